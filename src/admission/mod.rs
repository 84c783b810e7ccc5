//! Admission control: the server measures how much CPU it uses, degrades pictures where that is too
//! much, and refuses joins before those already in its rooms suffer.
//!
//! [`OverloadController`] decides; [`Admission`] shares it between the parts of the server. Rooms
//! follow `Admission::watch`, and ask `Admission::admit` before each join.

mod overload;

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;

pub use crate::admission::overload::{LoadSample, OverloadController, PerMode};
pub use crate::protocol::stats::Pressure;
use crate::topology::Mode;

/// A join was refused because the server has no CPU left for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the server is busy: one more would be at the expense of those who are here")]
pub struct Busy;

/// The load of the server, as `GET /api/v1/server` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LoadReport {
    /// Number of cores in use, smoothed over the last seconds.
    pub cores_used: f64,
    /// Number of cores that may be used; `None` without a limit.
    pub cores_limit: Option<f64>,
    /// Resident memory in bytes; `None` where the system does not say.
    pub memory_bytes: Option<u64>,
    /// The step of degradation in force.
    pub pressure: Pressure,
    /// Whether one more participant would be accepted.
    pub has_room: PerMode<bool>,
    /// Cores that one more participant is expected to use.
    pub join_costs: PerMode<f64>,
    /// Number of participants in the rooms of the server.
    pub people: PerMode<u32>,
}

/// Where samples come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `/proc`, for this process.
    Process,
    /// The caller of [`Admission::observe`] alone.
    Caller,
}

/// Admission control of a server. Clones share it. Any thread may call; no call blocks.
#[derive(Debug, Clone)]
pub struct Admission {
    controller: Arc<Mutex<OverloadController>>,
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
    /// Admission to a server that may use `limit` cores, measured from `/proc`. Without a limit no
    /// join is refused.
    pub fn new(limit: Option<f64>) -> Self {
        Self {
            controller: Arc::new(Mutex::new(OverloadController::new(limit))),
            pressure: Arc::new(watch::Sender::new(Pressure::None)),
            source: Source::Process,
            began: Instant::now(),
        }
    }

    /// The same, but the load is what [`Admission::observe`] is given and is never measured. For
    /// tests.
    pub fn given(limit: Option<f64>) -> Self {
        Self {
            source: Source::Caller,
            ..Self::new(limit)
        }
    }

    /// Measures the CPU time of this process, and follows it with the number of participants.
    /// Called once a second.
    pub(crate) fn sample(&self, people: PerMode<u32>) {
        if self.source == Source::Caller {
            return;
        }
        match cpu_time() {
            Ok(cpu) => self.observe(LoadSample {
                at: self.began.elapsed(),
                cpu,
                people,
            }),
            Err(error) => tracing::warn!(%error, "no load is known"),
        }
    }

    /// Follows a sample: updates the metrics, and tells rooms of a change of the pressure.
    pub fn observe(&self, sample: LoadSample) {
        let report = {
            let mut controller = self.controller.lock();
            controller.update(sample);
            report(&controller)
        };
        self.pressure.send_if_modified(|pressure| {
            let was = std::mem::replace(pressure, report.pressure);
            if was != *pressure {
                let LoadReport {
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

    /// Accepts a join in `mode`; its expected cost counts from now on.
    ///
    /// # Errors
    /// [`Busy`] if the load would be too high.
    pub(crate) fn admit(&self, mode: Mode) -> Result<(), Busy> {
        if self.controller.lock().admit(mode) {
            return Ok(());
        }
        counter!("tessera_joins_refused_total", "mode" => mode.to_string()).increment(1);
        Err(Busy)
    }

    /// The step of degradation in force, now and on each change.
    pub(crate) fn watch(&self) -> watch::Receiver<Pressure> {
        self.pressure.subscribe()
    }

    /// The load of the server now.
    pub(crate) fn report(&self) -> LoadReport {
        report(&self.controller.lock())
    }
}

fn report(controller: &OverloadController) -> LoadReport {
    LoadReport {
        cores_used: controller.load(),
        cores_limit: controller.limit(),
        memory_bytes: memory().ok(),
        pressure: controller.pressure(),
        has_room: PerMode {
            mcu: controller.has_room(Mode::Mcu),
            sfu: controller.has_room(Mode::Sfu),
            p2p: controller.has_room(Mode::P2p),
        },
        join_costs: controller.costs(),
        people: controller.people(),
    }
}

fn publish(report: &LoadReport) {
    gauge!("tessera_cpu_cores_used").set(report.cores_used);
    if let Some(limit) = report.cores_limit {
        gauge!("tessera_cpu_cores_limit").set(limit);
    }
    gauge!("tessera_pressure").set(f64::from(report.pressure.level()));
    for mode in [Mode::Mcu, Mode::Sfu, Mode::P2p] {
        gauge!("tessera_join_cost_cores", "mode" => mode.to_string())
            .set(report.join_costs.of(mode));
        let has_room = f64::from(u8::from(report.has_room.of(mode)));
        gauge!("tessera_has_room", "mode" => mode.to_string()).set(has_room);
    }
}

/// Resident memory of this process, in bytes.
///
/// # Errors
/// `/proc` cannot be read.
fn memory() -> procfs::ProcResult<u64> {
    let pages = procfs::process::Process::myself()?.statm()?.resident;
    Ok(pages * procfs::page_size())
}

/// CPU time that all threads of this process have used so far.
///
/// # Errors
/// `/proc` cannot be read.
fn cpu_time() -> procfs::ProcResult<Duration> {
    let stat = procfs::process::Process::myself()?.stat()?;
    let ticks = (stat.utime + stat.stime) as f64;
    Ok(Duration::from_secs_f64(
        ticks / procfs::ticks_per_second() as f64,
    ))
}
