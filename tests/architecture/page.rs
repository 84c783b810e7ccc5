//! What the scripts of the page import.

use super::files::{Files, folder_of};
use super::graph::Arrows;

/// Who imports from whom, statically or not.
pub(crate) fn imports(files: &Files) -> Arrows {
    let mut arrows = Arrows::new();
    for (file, text) in &files.0 {
        for source in sources(text) {
            if let Some(to) = target(file, &source) {
                arrows.entry((file.clone(), to)).or_default().insert(source);
            }
        }
    }
    arrows
}

/// The file that a relative source means.
fn target(file: &str, source: &str) -> Option<String> {
    if !source.starts_with('.') {
        return None;
    }
    let mut folder: Vec<&str> = folder_of(file).split('/').collect();
    for part in source.split('/') {
        match part {
            "." => {}
            ".." => drop(folder.pop()),
            name => folder.push(name),
        }
    }
    Some(folder.join("/"))
}

/// The strings that stand behind `from`, `import` and `import(`.
fn sources(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' | '"' => {
                let length = quoted(rest, first);
                let before = code.trim_end();
                if ["from", "import", "import("]
                    .iter()
                    .any(|word| before.ends_with(word))
                {
                    found.push(rest[1..length].trim_end_matches(first).to_owned());
                }
                code.clear();
                length
            }
            other => {
                code.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    found
}

/// How long a string is with its quotes. One that is not closed ends with its line: an apostrophe in
/// a template or a regular expression is none.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if char == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
