//! One thread that paces every sender in the process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::bots::clock;

/// Something that acts at times of its own choosing.
pub(crate) trait Paced: Send + Sync {
    /// Acts, and says when to be called next; `None` ends it. Runs on the pacing thread and must
    /// not block.
    fn tick(&self, due: Duration) -> Option<Duration>;
}

/// An entry of the agenda, ordered by time and then by the order in which it was made.
struct ScheduledTick {
    due: Duration,
    order: u64,
    who: Weak<dyn Paced>,
}

impl Ord for ScheduledTick {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

impl PartialOrd for ScheduledTick {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ScheduledTick {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ScheduledTick {}

#[derive(Default)]
struct Agenda {
    entries: BinaryHeap<Reverse<ScheduledTick>>,
    arrivals: u64,
}

#[derive(Default)]
struct Pacer {
    agenda: Mutex<Agenda>,
    changed: Condvar,
}

/// The pacing thread. It lives as long as the process, and costs nothing while its agenda is empty.
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

/// Calls `who` first at `due`, and then whenever it asks for, until it ends or is dropped.
pub(crate) fn schedule(who: &Arc<impl Paced + 'static>, due: Duration) {
    let who: Weak<dyn Paced> = Arc::downgrade(who) as Weak<dyn Paced>;
    PACER.add(due, who);
    PACER.changed.notify_one();
}

impl Pacer {
    fn add(&self, due: Duration, who: Weak<dyn Paced>) {
        let mut agenda = self.agenda.lock();
        let order = agenda.arrivals;
        agenda.arrivals += 1;
        agenda
            .entries
            .push(Reverse(ScheduledTick { due, order, who }));
    }

    fn run(&self) {
        loop {
            let ScheduledTick { due, who, .. } = self.next();
            // The agenda is not locked here: ticks may schedule.
            let next = who.upgrade().and_then(|paced| paced.tick(due));
            if let Some(next) = next {
                self.add(next, who);
            }
        }
    }

    /// Waits until the first entry is due.
    fn next(&self) -> ScheduledTick {
        let mut agenda = self.agenda.lock();
        loop {
            let wait = agenda
                .entries
                .peek()
                .map(|Reverse(entry)| entry.due.saturating_sub(clock::now()));
            match wait {
                Some(Duration::ZERO) => {
                    if let Some(Reverse(entry)) = agenda.entries.pop() {
                        return entry;
                    }
                }
                Some(wait) => {
                    self.changed.wait_for(&mut agenda, wait);
                }
                None => self.changed.wait(&mut agenda),
            }
        }
    }
}

/// The tick after `due`: one interval later. If that is long past, because the machine was busy, it
/// is now, so that the backlog is not sent in a burst.
pub(crate) fn next_due(due: Duration, interval: Duration) -> Duration {
    const PATIENCE: Duration = Duration::from_millis(250);
    let next = due + interval;
    let now = clock::now();
    if next + PATIENCE < now { now } else { next }
}
