//! `tessera compare`: the same people through every topology, one after the other, each on a
//! server of its own in a process of its own.
//!
//! [`measure`] and `server` do the work. [`Comparison`] is what they found. Counting (`count`), the
//! table and the page are functions of values.

mod count;
mod html;
pub mod measure;
mod plot;
mod probe;
mod report;
mod server;
mod table;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

pub use crate::compare::html::page;
pub use crate::compare::measure::Case;
pub use crate::compare::report::{Comparison, Machine, Row};
pub use crate::compare::table::table;

use crate::layout::Size;
use crate::progress::{Bar, left};
use crate::room::MAX_MESH;
use crate::topology::Topology;

/// Options of `tessera compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareOptions {
    /// How many people
    #[arg(long, default_value_t = 4, value_parser = people)]
    pub participants: usize,
    /// How long to measure each topology
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// What to compare
    #[arg(long, value_delimiter = ',', value_parser = topology,
          default_value = "p2p,turn,sfu,turn+sfu,mcu,turn+mcu")]
    pub topologies: Vec<Topology>,
    /// Write the figures here
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots here
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Do it with each of these numbers of people, like 2..6
    #[arg(long, value_name = "FROM..TO", value_parser = sweep)]
    pub sweep: Option<RangeInclusive<usize>>,
}

fn people(text: &str) -> Result<usize, String> {
    let found = text.parse().ok().filter(|n| (2..=25).contains(n));
    found.ok_or_else(|| "from 2 to 25".into())
}

fn topology(text: &str) -> Result<Topology, &'static str> {
    let allowed = "one of p2p, turn, sfu, turn+sfu, mcu, turn+mcu";
    text.parse().map_err(|_| allowed)
}

fn sweep(text: &str) -> Result<RangeInclusive<usize>, String> {
    let range = text.split_once("..").and_then(|(from, to)| {
        let range = people(from).ok()?..=people(to).ok()?;
        (!range.is_empty()).then_some(range)
    });
    range.ok_or_else(|| "like 2..12, from 2 to 25".into())
}

/// The cases of a run in their order. A mesh is left out for more people than a room allows it.
fn cases(options: &CompareOptions) -> Vec<(Topology, usize)> {
    let one = options.participants..=options.participants;
    let all = options.sweep.clone().unwrap_or(one);
    let cases = all.flat_map(|n| options.topologies.iter().map(move |t| (*t, n)));
    let is_mesh = |t: Topology| matches!(t, Topology::P2p | Topology::Turn);
    cases
        .filter(|(t, n)| !is_mesh(*t) || *n <= MAX_MESH)
        .collect()
}

/// Measures all cases, with progress on stderr, and writes the files asked for. GStreamer has to be
/// initialised.
///
/// # Errors
/// The first topology that cannot be measured ends the run; a file that cannot be written.
pub async fn run(options: CompareOptions) -> Result<Comparison> {
    let program = std::env::current_exe().context("this program's own file is not known")?;
    let mut report = Comparison {
        machine: machine()?,
        seconds: options.seconds,
        topologies: Vec::new(),
    };
    let cases = cases(&options);
    let (mut bar, began) = (Bar::default(), Instant::now());
    for (done, (topology, participants)) in cases.iter().enumerate() {
        let stage = table::stage(done, cases.len(), *topology, *participants);
        if !Bar::is_visible() {
            eprintln!("{stage}");
        }
        let case = Case {
            topology: *topology,
            participants: *participants,
            length: Duration::from_secs(options.seconds),
            size: Size {
                width: 640,
                height: 360,
            },
            fps: 30,
        };
        let row = measure::run(&program, case, |share| {
            let share = (done as f64 + share) / cases.len() as f64;
            let left = left(share, began.elapsed());
            let left =
                left.map_or_else(String::new, |left| format!(", {} s to go", left.as_secs()));
            bar.show(share, &format!("{stage}{left}"));
        });
        let row = row.await;
        let row = row.with_context(|| format!("{topology:?} with {participants}"))?;
        report.topologies.push(row);
    }
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    if let Some(file) = &options.html {
        std::fs::write(file, page(&report)).with_context(|| file.display().to_string())?;
    }
    Ok(report)
}

fn machine() -> Result<Machine> {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name"));
    let cpu = name.and_then(|line| line.split_once(':'));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|first| first.parse().ok());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(Machine {
        cpu: cpu.map_or("unknown", |(_, name)| name.trim()).to_owned(),
        cores: std::thread::available_parallelism()?.get(),
        load: load.unwrap_or_default(),
        kernel: kernel.trim().to_owned(),
        gstreamer: gst::version_string().to_string(),
        tessera: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_a_range_of_people() {
        assert_eq!(sweep("2..12"), Ok(2..=12));
        for bad in ["2", "1..4", "6..2", "2..99", ".."] {
            assert!(sweep(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mesh_ends_where_the_room_ends_it() {
        let options = CompareOptions {
            participants: 4,
            seconds: 1,
            topologies: vec![Topology::P2p, Topology::Mcu],
            json: None,
            html: None,
            sweep: Some(MAX_MESH..=MAX_MESH + 1),
        };
        let p2p = (Topology::P2p, MAX_MESH);
        let mcu = [MAX_MESH, MAX_MESH + 1].map(|n| (Topology::Mcu, n));
        assert_eq!(cases(&options), [p2p, mcu[0], mcu[1]]);
    }
}
