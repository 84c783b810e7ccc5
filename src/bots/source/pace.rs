//! One thread that keeps the time for every sender in the process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::bots::clock;

/// Something that acts at a time of its own choosing.
pub(crate) trait Paced: Send + Sync {
    /// Acts, and says when to be called next; `None` ends it. Runs on the pacing thread and must
    /// not block.
    fn tick(&self, due: Duration) -> Option<Duration>;
}

/// An entry of the agenda; ordered by time, then by the order of arrival.
struct Entry {
    due: Duration,
    order: u64,
    who: Weak<dyn Paced>,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

#[derive(Default)]
struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    arrivals: u64,
}

#[derive(Default)]
struct Pacer {
    agenda: Mutex<Agenda>,
    changed: Condvar,
}

/// The thread lives as long as the process: it costs nothing while its agenda is empty.
static PACER: LazyLock<Arc<Pacer>> = LazyLock::new(|| {
    let pacer = Arc::<Pacer>::default();
    let own = pacer.clone();
    let spawned = std::thread::Builder::new()
        .name("bot-pacer".into())
        .spawn(move || own.run());
    if let Err(error) = spawned {
        tracing::error!(%error, "no thread for the bots' clock: they will send nothing");
    }
    pacer
});

/// Has `who` called first at `due`, and then when it asks for, until it or its owner ends it.
pub(crate) fn schedule(who: &Arc<impl Paced + 'static>, due: Duration) {
    let who: Weak<dyn Paced> = Arc::downgrade(who) as Weak<dyn Paced>;
    PACER.add(due, who);
    PACER.changed.notify_one();
}

impl Pacer {
    fn add(&self, due: Duration, who: Weak<dyn Paced>) {
        let mut agenda = self.agenda.lock().unwrap_or_else(PoisonError::into_inner);
        let order = agenda.arrivals;
        agenda.arrivals += 1;
        agenda.entries.push(Reverse(Entry { due, order, who }));
    }

    fn run(&self) {
        loop {
            let Entry { due, who, .. } = self.next();
            // The agenda is not locked here: ticks may schedule.
            let next = who.upgrade().and_then(|paced| paced.tick(due));
            if let Some(next) = next {
                self.add(next, who);
            }
        }
    }

    /// Waits for the first entry to be due.
    fn next(&self) -> Entry {
        let mut agenda = self.agenda.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let wait = agenda
                .entries
                .peek()
                .map(|Reverse(entry)| entry.due.saturating_sub(clock::now()));
            agenda = match wait {
                Some(Duration::ZERO) => match agenda.entries.pop() {
                    Some(Reverse(entry)) => return entry,
                    None => agenda,
                },
                Some(wait) => {
                    let waited = self.changed.wait_timeout(agenda, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.changed.wait(agenda);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

/// When to act after `due`: an interval later, or, if that is long past because the machine was
/// busy, from now on, so that nothing is sent in a burst.
pub(crate) fn following(due: Duration, interval: Duration) -> Duration {
    const PATIENCE: Duration = Duration::from_millis(250);
    let next = due + interval;
    let now = clock::now();
    if next + PATIENCE < now { now } else { next }
}
