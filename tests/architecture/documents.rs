//! What the documents name: paths, links, variants and parameters.

use std::fs;
use std::path::Path;

use super::files::{Files, folder_of};

/// The documents whose paths are those of files. Others have paths of URLs, too.
const OF_CODE: &[&str] = &[
    "docs/ARCHITECTURE.md",
    "docs/BWE.md",
    "docs/INTEROP.md",
    "docs/SIMULCAST.md",
    "docs/decisions/",
];

/// Where a path in a document begins.
const ROOTS: &[&str] = &["", "src/", "src/media/", "assets/js/"];

/// All documents for readers of the repository.
pub(crate) fn documents() -> Files {
    let mut documents = Files::of("docs", "md");
    for name in ["README.md", "CHANGELOG.md"] {
        let text = fs::read_to_string(root().join(name)).expect("a text");
        documents.0.insert(name.to_owned(), text);
    }
    documents
}

/// Paths and links to what does not exist.
pub(crate) fn missing(documents: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (document, text) in &documents.0 {
        let is_of_code = OF_CODE.iter().any(|place| document.starts_with(place));
        let paths = quoted(text).into_iter().filter(|text| is_path(text));
        for path in paths.filter(|path| is_of_code && !is_module_or_file(path)) {
            wrong.push(format!("{document}: no {path}"));
        }
        for target in links(text) {
            if !root().join(folder_of(document)).join(target).exists() {
                wrong.push(format!(
                    "{document}: a link to {target}, which is not there"
                ));
            }
        }
    }
    wrong
}

/// Variants (`Step::Feed`) and parameters (`DWELL`) that no source has.
pub(crate) fn unknown(documents: &Files, sources: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (document, text) in &documents.0 {
        for name in quoted(text) {
            let known = match name.split_once("::") {
                Some((of, variant)) if is_type(of) && is_type(variant) => has(
                    sources,
                    &[&format!("enum {of} {{"), &format!("    {variant}")],
                ),
                None if is_parameter(name) => has(sources, &[&format!("const {name}:")]),
                _ => true,
            };
            if !known {
                wrong.push(format!("{document}: no {name}"));
            }
        }
    }
    wrong
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text without its fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2)
}

/// What stands in backticks, which come in pairs.
fn quoted(text: &str) -> Vec<&str> {
    let quoted = prose(text).flat_map(|part| part.split('`').skip(1).step_by(2));
    quoted.collect()
}

/// The files that are linked to, without anchors.
fn links(text: &str) -> Vec<&str> {
    let links = prose(text).flat_map(|part| part.split("](").skip(1));
    let targets = links.filter_map(|rest| rest.split_once(')'));
    let files = targets.filter_map(|(target, _)| target.split('#').next());
    files
        .filter(|file| !file.is_empty() && !file.contains("://"))
        .collect()
}

fn is_path(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_./-".contains(c);
    text.contains('/') && !text.starts_with('/') && text.chars().all(fits)
}

fn is_module_or_file(path: &str) -> bool {
    let mut places = ROOTS.iter().map(|place| format!("{place}{path}"));
    places.any(|place| {
        let file = format!("{place}.rs");
        root().join(place).exists() || root().join(file).exists()
    })
}

fn is_type(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_parameter(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// Whether one of the sources has all of these texts.
fn has(sources: &Files, texts: &[&str]) -> bool {
    let mut sources = sources.0.values();
    sources.any(|source| texts.iter().all(|text| source.contains(text)))
}
