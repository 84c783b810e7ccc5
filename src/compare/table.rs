//! The comparison as a table for terminals; pure.

use std::fmt::Write;

use super::report::{Comparison, Latency, Row};
use crate::topology::{Paths, Topology};

/// The heads of the columns.
pub(super) const HEADS: [&str; 13] = [
    "topology",
    "people",
    "paths",
    "measured",
    "up kbit/s",
    "down kbit/s",
    "server cores",
    "server MB",
    "decode cores",
    "video ms",
    "audio ms",
    "freezes",
    "SSIM",
];

/// Paths outside, and inside if there are any.
fn paths(paths: Paths) -> String {
    match paths.inside {
        0 => paths.outside.to_string(),
        inside => format!("{}+{inside}", paths.outside),
    }
}

fn latency(latency: Option<Latency>) -> String {
    latency.map_or("-".into(), |l| format!("{:.0} / {:.0}", l.p50, l.p95))
}

/// The cells of a row, in the order of [`HEADS`].
pub(super) fn cells(row: &Row) -> [String; 13] {
    [
        row.name.as_str().into(),
        row.participants.to_string(),
        paths(row.paths.expected),
        paths(row.paths.measured),
        format!("{:.0}", row.per_person.up_bps / 1e3),
        format!("{:.0}", row.per_person.down_bps / 1e3),
        format!("{:.2}", row.server_cpu_cores),
        format!("{:.0}", row.server_memory_bytes as f64 / 1e6),
        format!("{:.3}", row.decode_cpu_cores),
        latency(row.latency_ms),
        latency(row.audio_latency_ms),
        format!("{} ({:.0} ms)", row.freezes.count, row.freezes.total_ms),
        row.ssim.map_or("-".into(), |ssim| format!("{ssim:.3}")),
    ]
}

/// The comparison as a table, which is valid Markdown. Latencies are p50 / p95, ms.
pub fn table(report: &Comparison) -> String {
    let rows: Vec<_> = report.topologies.iter().map(cells).collect();
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|i| {
            rows.iter()
                .map(|r| r[i].len())
                .max()
                .unwrap_or(0)
                .max(HEADS[i].len())
        })
        .collect();
    let mut text = String::new();
    let mut line = |cells: &[&str]| {
        for (cell, width) in cells.iter().zip(&widths) {
            // Writing to a string does not fail.
            let _ = write!(text, "| {cell:>width$} ");
        }
        text.push_str("|\n");
    };
    line(&HEADS);
    let rules: Vec<String> = widths
        .iter()
        .map(|w| format!("{}:", "-".repeat(w - 1)))
        .collect();
    line(&rules.iter().map(String::as_str).collect::<Vec<_>>());
    for row in &rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

/// What is being measured, as a line of progress.
pub(super) fn stage(done: usize, all: usize, topology: Topology, people: usize) -> String {
    format!("{}/{all} {}, {people} people", done + 1, topology.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_on_the_wire() {
        for topology in Topology::ALL {
            let wire = serde_json::to_value(topology).ok();
            let row = crate::compare::plot::tests::row(topology, 2);
            assert_eq!(wire, Some(cells(&row)[0].as_str().into()));
        }
    }

    #[test]
    fn a_stage_says_which() {
        assert_eq!(stage(3, 6, Topology::Mcu, 4), "4/6 mcu, 4 people");
    }
}
