//! Whether the bounds that a document tells are those of the sources and of the settings.

use super::files::Files;

/// Rows of tables whose last cell names a constant or a setting that does not have the figure of
/// their second one. `settings` is the document with the table of settings and their defaults.
pub(crate) fn untrue(document: &str, sources: &Files, settings: &str) -> Vec<String> {
    let rows = document.lines().filter_map(bound);
    let wrong = rows.filter_map(|(name, figure)| {
        let told = told(figure);
        let known: Vec<Vec<u64>> = match name.starts_with("--") {
            true => default_of(name, settings)
                .map(self::told)
                .into_iter()
                .collect(),
            false => values_of(name, sources).into_iter().map(written).collect(),
        };
        match known.as_slice() {
            [] => Some(format!("there is no {name}")),
            _ if told.is_empty() => Some(format!("{name}: no figure in {figure:?}")),
            known if known.contains(&told) => None,
            known => Some(format!("{name} is {known:?}, and not {figure} ({told:?})")),
        }
    });
    wrong.collect()
}

/// How many bounds a document tells.
pub(crate) fn count(document: &str) -> usize {
    document.lines().filter_map(bound).count()
}

/// The name and the figure in a row such as `| what | figure | by | NAME |`, each in backticks or not.
fn bound(row: &str) -> Option<(&str, &str)> {
    let cells: Vec<&str> = row.trim().split('|').map(str::trim).collect();
    let ["", _, figure, _, name, ""] = cells[..] else {
        return None;
    };
    let name = name.strip_prefix('`')?.strip_suffix('`')?;
    Some((name, figure))
}

/// The default of a setting, in a row such as `| flag | variable | default | text |`.
fn default_of<'a>(flag: &str, settings: &'a str) -> Option<&'a str> {
    let start = format!("| `{flag}` |");
    let row = settings.lines().find(|row| row.starts_with(&start))?;
    row.split('|').nth(3)
}

/// What stands behind `=` in each constant of that name.
fn values_of<'a>(name: &str, sources: &'a Files) -> Vec<&'a str> {
    let start = format!("const {name}: ");
    let values = sources.0.values().flat_map(|source| {
        let after = source.split(&start).skip(1);
        after.filter_map(|rest| rest.split_once(" = ")?.1.split(';').next())
    });
    values.collect()
}

/// The numbers in words for people: times in ms, sizes in bytes.
fn told(text: &str) -> Vec<u64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut numbers = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let digits = word
            .trim_matches(|c: char| !c.is_ascii_digit())
            .replace(',', "");
        let Ok(number) = digits.parse::<u64>() else {
            continue;
        };
        let unit = words
            .get(place + 1)
            .map_or("", |unit| unit.trim_end_matches(','));
        numbers.push(number * scale(unit));
    }
    numbers
}

fn scale(unit: &str) -> u64 {
    match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "s" => 1000,
        "min" => 60_000,
        _ => 1,
    }
}

/// The numbers in an expression: times in ms, and of a product what comes of it.
fn written(expression: &str) -> Vec<u64> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut numbers: Vec<u64> = Vec::new();
    let (mut unit, mut operator) = (1, ' ');
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end.max(first.len_utf8()));
        rest = after;
        let number = match word {
            "MIB" => Ok(1 << 20),
            _ => word.replace('_', "").parse::<u64>(),
        };
        if let Ok(number) = number {
            match numbers.last_mut().filter(|_| operator == '*') {
                Some(last) => *last *= number,
                None => numbers.push(number * unit),
            }
            unit = 1;
        } else if word.starts_with(char::is_alphabetic) {
            unit = match word {
                "from_secs" => 1000,
                "from_mins" => 60_000,
                _ => 1,
            };
        }
        if !first.is_whitespace() {
            operator = first;
        }
    }
    numbers
}

#[test]
fn figures_that_are_not_true_are_found() {
    let sources = Files::from([(
        "src/a.rs",
        "pub(super) const WAIT: Duration = Duration::from_secs(6);\n\
         const SIZE: usize = 4 * 1024 * 1024;\n\
         const RATE: Rate = Rate::once_in(Duration::from_secs(6), 10);\n\
         const MANY: u64 = 50_000;\n\
         const FREE: Demand = Demand::of(7, 8 * MIB);\n\
         const PLACES: Capacity = Capacity {\n    total: 512,\n    each: 64,\n};\n",
    )]);
    let settings = "| `--most` | `MOST` | `262144` | text |";
    let row = |name: &str, figure: &str| format!("| what | {figure} | whom | `{name}` |");
    for (name, figure) in [
        ("WAIT", "6 s"),
        ("SIZE", "4 MiB"),
        ("RATE", "one in 6 s, 10 at once"),
        ("MANY", "50,000"),
        ("FREE", "7 threads, 8 MiB"),
        ("PLACES", "512 in all, 64 an address"),
        ("--most", "256 KiB"),
    ] {
        let found = untrue(&row(name, figure), &sources, settings);
        assert_eq!(found, [""; 0], "{name}");
        assert_eq!(count(&row(name, figure)), 1);
    }
    for (name, figure) in [
        ("WAIT", "7 s"),
        ("WAIT", "6 ms"),
        ("SIZE", "4 KiB"),
        ("RATE", "10 at once"),
        ("MANY", "many"),
        ("NONE", "1"),
        ("--most", "256"),
        ("--least", "1"),
    ] {
        let found = untrue(&row(name, figure), &sources, settings);
        assert_eq!(found.len(), 1, "{name}: {figure}");
    }
    assert_eq!(
        count("| to | everybody | token | admin |\n| --- | --- |"),
        0
    );
}
