//! Arrows between files, and the circles they make.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What a file uses of another: from, to, and the names.
pub(crate) type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

/// An arrow with both its ends and what it is there for.
pub(crate) fn arrow((from, to): (&str, &str), names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("{from} -> {to} ({})", names.join(", "))
}

/// All files that can be reached along arrows.
fn reached<'a>(arrows: &'a Arrows, start: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(file) = open.pop() {
        let ahead = arrows.keys().filter(|(from, _)| from == file);
        open.extend(
            ahead
                .map(|(_, to)| to.as_str())
                .filter(|to| reached.insert(*to)),
        );
    }
    reached
}

/// Each set of files that reach each other, with the arrows between them, one a line.
pub(crate) fn circles(arrows: &Arrows) -> Vec<String> {
    let files: BTreeSet<&str> = arrows.keys().map(|(from, _)| from.as_str()).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> = files
        .into_iter()
        .map(|file| (file, reached(arrows, file)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for (file, ahead) in &reached {
        let is_round = |other: &&str| reached.get(other).is_some_and(|back| back.contains(file));
        let circle: BTreeSet<&str> = ahead.iter().copied().filter(is_round).collect();
        if !circle.is_empty() && seen.insert(circle.clone()) {
            circles.push(describe(&circle, arrows));
        }
    }
    circles
}

fn describe(circle: &BTreeSet<&str>, arrows: &Arrows) -> String {
    let mut text = format!("{} files use each other in a circle:", circle.len());
    for ((from, to), names) in arrows {
        if circle.contains(from.as_str()) && circle.contains(to.as_str()) {
            write!(text, "\n    {}", arrow((from, to), names)).expect("a string");
        }
    }
    text
}
