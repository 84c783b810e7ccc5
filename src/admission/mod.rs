//! Admission: the server watches what it uses of the machine, saves on pictures where that is too
//! much, and refuses joins before the people in its rooms suffer from them.
//!
//! [`gauge`] decides; [`Admission`] is what the server's parts share of it. Rooms follow
//! [`Admission::watch`], and ask [`Admission::admit`] before they take somebody in.

pub mod gauge;

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, gauge as figure};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;

use crate::topology::Mode;
pub use gauge::{Gauge, PerMode, Pressure, Sample};

/// There is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the server is busy: one more would be at the expense of those who are here")]
pub struct Busy;

/// What the server says of its load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Report {
    /// Cores in use, over the last seconds.
    pub cores_used: f64,
    /// Cores it may use; `None` without a limit.
    pub cores_limit: Option<f64>,
    /// Resident memory, bytes; `None` where the system does not say.
    pub memory_bytes: Option<u64>,
    /// What is saved on.
    pub pressure: Pressure,
    /// Whether one more would be taken in.
    pub has_room: PerMode<bool>,
    /// Cores that one more is taken to cost.
    pub join_costs: PerMode<f64>,
    /// How many are in its rooms.
    pub people: PerMode<u32>,
}

/// Where samples come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// From what the system says of this process.
    Process,
    /// From whoever calls [`Admission::observe`].
    Caller,
}

/// The server's admission. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Admission {
    gauge: Arc<Mutex<Gauge>>,
    pressure: Arc<watch::Sender<Pressure>>,
    source: Source,
    began: Instant,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Admission {
    /// That of a server that may use so many cores; it refuses nobody without a limit.
    pub fn new(limit: Option<f64>) -> Self {
        Self {
            gauge: Arc::new(Mutex::new(Gauge::new(limit))),
            pressure: Arc::new(watch::Sender::new(Pressure::None)),
            source: Source::Process,
            began: Instant::now(),
        }
    }

    /// The same, which knows nothing but what it is given.
    pub fn given(limit: Option<f64>) -> Self {
        Self {
            source: Source::Caller,
            ..Self::new(limit)
        }
    }

    /// Takes a sample of what this process uses for so many people.
    pub fn sample(&self, people: PerMode<u32>) {
        if self.source == Source::Caller {
            return;
        }
        match cpu_time() {
            Ok(cpu) => self.observe(Sample {
                at: self.began.elapsed(),
                cpu,
                people,
            }),
            Err(error) => tracing::warn!(%error, "no load is known"),
        }
    }

    /// Takes a sample, and lets everybody know what follows from it.
    pub fn observe(&self, sample: Sample) {
        let report = {
            let mut gauge = self.gauge.lock();
            gauge.sample(sample);
            report(&gauge)
        };
        self.pressure.send_if_modified(|pressure| {
            let was = std::mem::replace(pressure, report.pressure);
            if was != *pressure {
                let Report {
                    cores_used,
                    cores_limit,
                    ..
                } = report;
                tracing::warn!(?was, now = ?*pressure, cores_used, cores_limit, "load");
            }
            was != *pressure
        });
        publish(&report);
    }

    /// Counts on one more in `mode`, if there is room.
    ///
    /// # Errors
    /// [`Busy`] if there is not.
    pub fn admit(&self, mode: Mode) -> Result<(), Busy> {
        if self.gauge.lock().admit(mode) {
            return Ok(());
        }
        counter!("tessera_joins_refused_total", "mode" => name(mode)).increment(1);
        Err(Busy)
    }

    /// What is to be saved on, now and whenever that changes.
    pub fn watch(&self) -> watch::Receiver<Pressure> {
        self.pressure.subscribe()
    }

    /// What the server says of its load.
    pub fn report(&self) -> Report {
        report(&self.gauge.lock())
    }
}

fn report(gauge: &Gauge) -> Report {
    Report {
        cores_used: gauge.load(),
        cores_limit: gauge.limit(),
        memory_bytes: memory().ok(),
        pressure: gauge.pressure(),
        has_room: PerMode {
            mcu: gauge.has_room(Mode::Mcu),
            sfu: gauge.has_room(Mode::Sfu),
            p2p: gauge.has_room(Mode::P2p),
        },
        join_costs: gauge.costs(),
        people: gauge.people(),
    }
}

fn publish(report: &Report) {
    figure!("tessera_cpu_cores_used").set(report.cores_used);
    if let Some(limit) = report.cores_limit {
        figure!("tessera_cpu_cores_limit").set(limit);
    }
    figure!("tessera_pressure").set(f64::from(report.pressure.level()));
    for mode in [Mode::Mcu, Mode::Sfu, Mode::P2p] {
        figure!("tessera_join_cost_cores", "mode" => name(mode)).set(report.join_costs.of(mode));
        let has_room = f64::from(u8::from(report.has_room.of(mode)));
        figure!("tessera_has_room", "mode" => name(mode)).set(has_room);
    }
}

fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Mcu => "mcu",
        Mode::Sfu => "sfu",
        Mode::P2p => "p2p",
    }
}

/// Resident memory of this process, bytes.
///
/// # Errors
/// `/proc` does not say.
fn memory() -> procfs::ProcResult<u64> {
    let pages = procfs::process::Process::myself()?.statm()?.resident;
    Ok(pages * procfs::page_size())
}

/// CPU time that this process has used so far, all its threads together.
///
/// # Errors
/// `/proc` does not say.
fn cpu_time() -> procfs::ProcResult<Duration> {
    let stat = procfs::process::Process::myself()?.stat()?;
    let ticks = (stat.utime + stat.stime) as f64;
    Ok(Duration::from_secs_f64(
        ticks / procfs::ticks_per_second() as f64,
    ))
}
