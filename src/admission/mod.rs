//! Admission control: the server measures how much CPU it uses, degrades pictures where that is too
//! much, and refuses joins before those already in its rooms suffer. It counts file descriptors,
//! threads and memory, too, and starts nothing that these might not be enough for.
//!
//! [`OverloadController`] decides about CPU, [`Ledger`] about the rest; [`Admission`] shares both
//! between the parts of the server. Rooms follow `Admission::watch`, and ask `Admission::admit`
//! before each join. What starts on demand asks [`Admission::take`].

pub(crate) mod grant;
mod means;
mod overload;
mod readings;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;

use self::grant::Books;
pub use self::grant::Grant;
pub use crate::admission::means::{
    Demand, Ledger, MAX_JOINS_UNDER_WAY, MIN_JOINS_BY_ADDRESS, Means, Policy, RESERVE, Shortage,
    joins_by_address,
};
pub use crate::admission::overload::{Expected, LoadSample, OverloadController, PerMode};
pub use crate::protocol::stats::Pressure;
use crate::topology::Mode;

/// Joins per second of one address that the bounds of [`Admission::new`] are for.
const JOINS_PER_SECOND: u32 = 20;

/// Why a join was refused although nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Busy {
    /// The server has no CPU left for it.
    #[error("the server is busy: one more would be at the expense of those who are here")]
    Cpu,
    /// It is out of something else, or has to keep it.
    #[error(transparent)]
    Short(#[from] Shortage),
    /// It was begun, and did not get far enough in time.
    #[error("the server is busy: it did not make a connection in time")]
    Slow,
}

impl Busy {
    /// Its name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Short(shortage) => shortage.name(),
            Self::Slow => "slow",
        }
    }
}

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
    books: Arc<Mutex<Books>>,
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
    /// join is refused for CPU.
    pub fn new(limit: Option<f64>) -> Self {
        Self {
            controller: Arc::new(Mutex::new(OverloadController::new(limit))),
            books: Arc::new(Mutex::new(Books::measured(Policy::new(JOINS_PER_SECOND)))),
            pressure: Arc::new(watch::Sender::new(Pressure::None)),
            source: Source::Process,
            began: Instant::now(),
        }
    }

    /// The same, for a server where one address may begin `per_second` joins.
    #[must_use]
    pub fn with_joins_per_second(self, per_second: u32) -> Self {
        self.books.lock().policy = Policy::new(per_second);
        self
    }

    /// The same, but the load is what [`Admission::observe`] is given and the means are what
    /// [`Admission::observe_means`] is given, without limits before; neither is ever measured. For
    /// tests.
    pub fn given(limit: Option<f64>) -> Self {
        Self {
            source: Source::Caller,
            books: Arc::new(Mutex::new(Books::given(Policy::new(JOINS_PER_SECOND)))),
            ..Self::new(limit)
        }
    }

    /// Sets what is free from now on, in place of what would be measured.
    pub fn observe_means(&self, means: Means) {
        self.books.lock().give(means);
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
            self.report_of(&controller)
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

    /// Accepts a join in `mode` from the address `joiner`. Its expected cost counts from now on, and
    /// what it takes of everything else until the grant is dropped.
    ///
    /// # Errors
    /// [`Busy`] if the load would be too high, or too little of something would be left.
    pub(crate) fn admit(&self, mode: Mode, joiner: IpAddr) -> Result<Grant, Busy> {
        let granted = self.take_for(join_demand(mode), Some(joiner));
        let granted = granted.map_err(Busy::from).and_then(|grant| {
            let expected = self.controller.lock().reserve(mode).ok_or(Busy::Cpu)?;
            Ok(grant.expecting(Arc::clone(&self.controller), expected))
        });
        if let Err(busy) = granted {
            let labels = [
                ("mode", mode.to_string()),
                ("reason", busy.name().to_owned()),
            ];
            counter!("tessera_joins_refused_total", &labels).increment(1);
        }
        granted
    }

    /// Accepts a join that takes over a participant in `mode`, whose load it replaces.
    ///
    /// # Errors
    /// [`Busy`] if too little of something would be left.
    pub(crate) fn admit_again(&self, mode: Mode, joiner: IpAddr) -> Result<Grant, Busy> {
        Ok(self.take_for(join_demand(mode), Some(joiner))?)
    }

    /// Takes what something needs that starts on demand, until the grant is dropped: when it has
    /// started, and so shows in the readings.
    ///
    /// # Errors
    /// [`Shortage`] if too little would be left.
    pub fn take(&self, demand: Demand) -> Result<Grant, Shortage> {
        self.take_for(demand, None).inspect_err(|shortage| {
            counter!("tessera_starts_refused_total", "reason" => shortage.name()).increment(1);
        })
    }

    fn take_for(&self, demand: Demand, joiner: Option<IpAddr>) -> Result<Grant, Shortage> {
        self.books.lock().admit(demand, joiner)?;
        Ok(Grant::new(Arc::clone(&self.books), demand, joiner))
    }

    /// The step of degradation in force, now and on each change.
    pub(crate) fn watch(&self) -> watch::Receiver<Pressure> {
        self.pressure.subscribe()
    }

    /// The load of the server now.
    pub(crate) fn report(&self) -> LoadReport {
        self.report_of(&self.controller.lock())
    }

    fn report_of(&self, controller: &OverloadController) -> LoadReport {
        let mut report = report(controller);
        let mut books = self.books.lock();
        for mode in Mode::ALL {
            *report.has_room.of_mut(mode) &= books.covers(join_demand(mode)).is_ok();
        }
        books.publish();
        report
    }
}

/// What a join takes besides CPU time.
fn join_demand(mode: Mode) -> Demand {
    match mode {
        Mode::Mcu | Mode::Sfu => Demand::MEDIA,
        Mode::P2p => Demand::DIRECT,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn descriptors(free: u64) -> Means {
        Means {
            descriptors: Some(free),
            ..Means::default()
        }
    }

    #[test]
    fn a_join_that_would_take_the_reserve_is_refused_and_a_later_one_is_not() {
        let admission = Admission::given(None);
        let enough = RESERVE.descriptors + Demand::MEDIA.descriptors;
        admission.observe_means(descriptors(enough));
        let first = admission.admit(Mode::Sfu, address(1));
        assert!(first.is_ok());
        let second = admission.admit(Mode::Sfu, address(2));
        assert_eq!(second.err(), Some(Shortage::Descriptors.into()));
        assert!(!admission.report().has_room.sfu);
        drop(first);
        admission.observe_means(descriptors(enough));
        assert!(admission.report().has_room.sfu);
        assert!(admission.admit(Mode::Sfu, address(2)).is_ok());
        admission.observe_means(descriptors(RESERVE.descriptors));
        let mixer = admission.take(Demand::MIXER);
        assert_eq!(mixer.err(), Some(Shortage::Descriptors));
    }

    /// Joins that never connect, at the rate that one address may have, leave room for another's.
    #[test]
    fn joins_that_fail_give_back_what_they_were_expected_to_cost() {
        let admission = Admission::given(Some(2.0));
        let people = PerMode::default();
        for second in 0..60 {
            admission.observe(LoadSample {
                at: Duration::from_secs(second),
                cpu: Duration::ZERO,
                people,
            });
            let tried = (0..20).map(|_| admission.admit(Mode::Mcu, address(1)));
            let granted: Vec<_> = tried.filter_map(Result::ok).collect();
            assert!(!granted.is_empty());
            drop(granted);
            assert!(admission.admit(Mode::Mcu, address(2)).is_ok(), "{second}");
        }
    }

    #[test]
    fn one_address_cannot_have_all_joins_under_way() {
        let admission = Admission::given(None).with_joins_per_second(20);
        let of_one = || admission.admit(Mode::P2p, address(1));
        let held: Vec<_> = std::iter::from_fn(|| of_one().ok()).take(1000).collect();
        assert_eq!(held.len(), joins_by_address(20));
        assert_eq!(of_one().err(), Some(Shortage::JoinsOfAddress.into()));
        assert!(admission.admit(Mode::P2p, address(2)).is_ok());
        drop(held);
        assert!(of_one().is_ok());
    }
}
