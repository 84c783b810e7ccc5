//! What a run has sent, and what it has found.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use procfs::{CpuPressure, Current, LoadAverage};

/// How much memory may have grown since the first minutes: what allocators keep of a peak.
const SLACK_PERCENT: u64 = 10;
/// And in all cases, MiB.
const SLACK: u64 = 16;
/// How often [`Stalls`] wakes up.
const WAKE: Duration = Duration::from_millis(20);
/// Finds that are told.
const TOLD: usize = 10;

/// How much one fuzzer has sent, and what became of it.
pub(crate) struct Tally {
    pub(crate) name: &'static str,
    sent: AtomicU64,
    taken: AtomicU64,
}

impl Tally {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            sent: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        }
    }

    /// Something was sent.
    pub(crate) fn sent(&self, n: u64) {
        self.sent.fetch_add(n, Ordering::Relaxed);
    }

    /// The server went along with something: an answer of success, a join, a session.
    pub(crate) fn taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether nothing was sent at all.
    pub(crate) fn is_idle(&self) -> bool {
        self.sent.load(Ordering::Relaxed) == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [sent, taken] = [&self.sent, &self.taken].map(|n| n.load(Ordering::Relaxed));
        write!(f, "{}: {sent} sent, {taken} taken", self.name)
    }
}

/// What must not be.
#[derive(Default)]
pub(crate) struct Finds(Mutex<Vec<String>>);

impl Finds {
    pub(crate) fn add(&self, find: String) {
        println!("found: {find}");
        self.0.lock().push(find);
    }

    pub(crate) fn assert_none(&self) {
        let finds = self.0.lock();
        let told = finds.get(..TOLD.min(finds.len()));
        assert!(finds.is_empty(), "{} finds: {told:#?}", finds.len());
    }
}

/// How busy the machine is, with others' work too.
pub(crate) fn load() -> String {
    let load = LoadAverage::current().map_or(0.0, |load| load.one);
    let waits = CpuPressure::current().map_or(0.0, |pressure| pressure.some.avg60);
    format!("load {load:.1}, {waits:.0} % of the last minute somebody waited for a core")
}

/// Panics if memory, MiB each second, has grown since the first minutes: those are the first
/// quarter of the run, ten minutes at most.
pub(crate) fn assert_flat(memory: &[u64]) {
    let first = (memory.len() / 4).min(600);
    let span = (memory.len() / 10).max(1);
    let then = median(&memory[first.saturating_sub(span)..first]);
    let now = median(&memory[memory.len() - span..]);
    println!("memory: {then} MiB after {first} s, {now} MiB at the end");
    let most = then + (then * SLACK_PERCENT / 100).max(SLACK);
    assert!(now <= most, "memory grows: {then} MiB -> {now} MiB");
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// How long this process has been kept from running, which is no fault of the server: a thread that
/// wakes up every now and then, and notes by how much it was late.
pub(crate) struct Stalls {
    worst: Arc<AtomicU64>,
    all: Vec<Duration>,
}

impl Stalls {
    pub(crate) fn watch() -> Self {
        let worst = Arc::new(AtomicU64::new(0));
        let noted = Arc::downgrade(&worst);
        // A thread and no task: tasks wait for each other, too.
        std::thread::spawn(move || {
            while let Some(noted) = noted.upgrade() {
                let before = Instant::now();
                std::thread::sleep(WAKE);
                let late = before.elapsed().saturating_sub(WAKE).as_millis();
                noted.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self {
            worst,
            all: Vec::new(),
        }
    }

    /// Notes the longest since the last note.
    pub(crate) fn note(&mut self) {
        let worst = self.worst.swap(0, Ordering::Relaxed);
        self.all.push(Duration::from_millis(worst));
    }

    pub(crate) fn summary(&self) -> String {
        let worst = self.all.iter().max().copied().unwrap_or_default();
        let over = self
            .all
            .iter()
            .filter(|late| **late > Duration::from_millis(100));
        let (n, of) = (over.count(), self.all.len());
        format!(
            "this process itself: late by {worst:?} at most, by more than 100 ms in {n} of {of} s"
        )
    }
}
