//! What must not be, as lines that say where it is.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::files::{Files, folder_of};
use super::floors::{
    FLOORS, MOST_FILES, NEIGHBOURS, PAGE_FLOORS, PURE, READS_CONFIG, WITHIN, is_in, level, part,
};
use super::graph::{Arrows, arrow, circles};
use super::source::Usage;

/// Arrows between floors that do not point down, and files that stand on none.
pub(crate) fn floors(usage: &Usage) -> Vec<String> {
    let mut wrong: Vec<String> = usage.files.iter().filter_map(|f| unplaced(f)).collect();
    for ((from, to), names) in &usage.arrows {
        if let Some(why) = why_not(from, to) {
            wrong.push(format!("{}: {why}", arrow((from, to), names)));
        }
    }
    wrong
}

/// The root of the library has no floor: it holds the house together.
const ROOT: &str = "lib";

fn unplaced(file: &str) -> Option<String> {
    let top = part(file, "src")?;
    let within = WITHIN.iter().find(|(name, _)| *name == top);
    let known = match within {
        _ if level(FLOORS, top).is_none() => top == ROOT,
        Some((_, floors)) => {
            let name = part(file, &format!("src/{top}"));
            name.is_none_or(|name| level(floors, name).is_some())
        }
        None => true,
    };
    (!known).then(|| format!("{file}: stands on no floor (tests/architecture/floors.rs)"))
}

/// Why one file may not use another, if so.
fn why_not(from: &str, to: &str) -> Option<String> {
    let (above, below) = (part(from, "src")?, part(to, "src")?);
    if above == below {
        let (_, floors) = WITHIN.iter().find(|(name, _)| *name == above)?;
        let folder = format!("src/{above}");
        let (above, below) = (part(from, &folder)?, part(to, &folder)?);
        let (high, low) = (level(floors, above)?, level(floors, below)?);
        return (high > low).then(|| runs("up", above, below));
    }
    let (high, low) = (level(FLOORS, above)?, level(FLOORS, below)?);
    let mut neighbours = NEIGHBOURS.iter();
    let is_neighbour = neighbours.any(|(name, all)| *name == above && all.contains(&below));
    match high.cmp(&low) {
        Ordering::Greater => Some(runs("up", above, below)),
        Ordering::Equal if !is_neighbour => Some(runs("sideways", above, below)),
        _ => None,
    }
}

fn runs(how: &str, from: &str, to: &str) -> String {
    format!("runs {how} from floor {from} to floor {to}")
}

/// What pure code knows and must not.
pub(crate) fn purity(usage: &Usage) -> Vec<String> {
    let is_pure = |file: &&String| PURE.iter().any(|place| is_in(file, place));
    let mut wrong = Vec::new();
    for file in usage.files.iter().filter(is_pure) {
        let outside = usage.outside.get(file).into_iter().flatten();
        let foreign = outside.filter(|path| is_impure(path));
        let foreign: Vec<String> = foreign.map(|path| path.join("::")).collect();
        if !foreign.is_empty() {
            wrong.push(format!("{file}: pure code uses {}", foreign.join(", ")));
        }
    }
    for ((from, to), names) in usage.arrows.iter().filter(|((from, _), _)| is_pure(&from)) {
        if is_in(to, "src/media/gst") {
            wrong.push(format!(
                "{}: pure code uses pipelines",
                arrow((from, to), names)
            ));
        }
    }
    wrong
}

/// Whether it is of a runtime, of GStreamer, or a clock.
fn is_impure(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path[..] {
        [
            "std",
            "time",
            "Instant" | "SystemTime" | "UNIX_EPOCH" | "*",
            ..,
        ] => true,
        [name, ..] => name.starts_with("tokio") || name.starts_with("gst") || name == "glib",
        [] => false,
    }
}

/// Who reads the settings of the whole program and should be given what it needs of them.
pub(crate) fn settings(usage: &Usage) -> Vec<String> {
    let is_config =
        |to: &str, names: &BTreeSet<String>| is_in(to, "src/config") && names.contains("Config");
    let readers = usage.arrows.iter().filter(|((from, to), names)| {
        is_config(to, names) && !READS_CONFIG.iter().any(|place| is_in(from, place))
    });
    let all = readers.map(|((from, to), _)| format!("{from} -> {to}: uses `Config`"));
    all.collect()
}

/// Imports that do not point down, and circles of them.
pub(crate) fn page(imports: &Arrows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, to) in imports.keys() {
        let place = |file: &str| Some(part(file, "assets/js")?.to_owned());
        let (Some(above), Some(below)) = (place(from), place(to)) else {
            wrong.push(format!("{from} -> {to}: leads out of the page"));
            continue;
        };
        let why = match (level(PAGE_FLOORS, &above), level(PAGE_FLOORS, &below)) {
            _ if above == below => continue,
            (Some(high), Some(low)) if high < low => continue,
            (Some(high), Some(low)) if high > low => runs("up", &above, &below),
            (Some(_), Some(_)) => runs("sideways", &above, &below),
            (None, _) => format!("{above} stands on no floor"),
            (_, None) => format!("{below} stands on no floor"),
        };
        wrong.push(format!("{from} -> {to}: {why}"));
    }
    wrong.extend(circles(imports));
    wrong
}

/// Folders with too many files.
pub(crate) fn crowded(files: &Files) -> Vec<String> {
    let mut counts = BTreeMap::new();
    for file in files.0.keys() {
        *counts.entry(folder_of(file)).or_insert(0) += 1;
    }
    let full = counts.into_iter().filter(|(_, count)| *count > MOST_FILES);
    full.map(|(folder, count)| format!("{folder}: {count} files, {MOST_FILES} at most"))
        .collect()
}
