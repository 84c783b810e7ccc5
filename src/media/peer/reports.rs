//! The thread that has all peers of the process send their reports: of what leaves them, and of what
//! comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::media::gst::pipeline::now;

/// Time between two looks at every peer. All are looked at together, so that the thread seldom wakes.
const BEAT: Duration = Duration::from_millis(100);
/// The same for a peer that something is missing of: what waits for it waits for so much longer.
const SHORT_BEAT: Duration = Duration::from_millis(20);

/// A part of a peer that reports.
pub(super) trait Reporter: Send + Sync {
    /// Sends the reports that are due, and says when it wants to be called again. `beat` is the beat that
    /// it is, by which time between reports is told: the thread wakes up now a little later, now less.
    fn report(&self, beat: Duration) -> Next;
}

/// When a peer wants to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// With all others.
    Beat,
    /// Sooner: something is missing, and is to be asked for again or given up in time.
    Soon,
}

/// Has a peer looked at soon, from any thread.
#[derive(Debug, Clone)]
pub(super) struct Hurry(Arc<AtomicBool>);

impl Hurry {
    /// Something is missing from now on.
    pub(super) fn up(&self) {
        if !self.0.swap(true, Ordering::AcqRel) {
            Thread::get().hurry();
        }
    }
}

/// The peers that report.
#[derive(Default)]
struct Thread {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    peers: Vec<Entry>,
    /// The short beat in which the first of those began to hurry who are to be looked at before the
    /// others; `None` while nobody does.
    hurried: Option<Duration>,
}

#[derive(Clone)]
struct Entry {
    peer: Weak<dyn Reporter>,
    hurry: Hurry,
}

/// Has a peer report from now on, until it is gone.
pub(super) fn add(peer: Weak<dyn Reporter>) -> Hurry {
    let thread = Thread::get();
    let hurry = Hurry(Arc::default());
    thread.state.lock().peers.push(Entry {
        peer,
        hurry: hurry.clone(),
    });
    thread.work.notify_one();
    hurry
}

impl Thread {
    fn get() -> &'static Self {
        static THREAD: OnceLock<Thread> = OnceLock::new();
        THREAD.get_or_init(|| {
            let name = "reports".to_owned();
            let spawned = std::thread::Builder::new().name(name).spawn(|| {
                let thread = Self::get();
                let mut beat = Duration::ZERO;
                loop {
                    beat = thread.turn(beat);
                }
            });
            if let Err(error) = spawned {
                tracing::error!(%error, "no thread for reports");
            }
            Self::default()
        })
    }

    fn hurry(&self) {
        let mut state = self.state.lock();
        // Those who hurry are looked at together, too.
        state
            .hurried
            .get_or_insert_with(|| floor(now(), SHORT_BEAT));
        drop(state);
        self.work.notify_one();
    }

    /// Waits for the next turn, where the last look at all peers was that of `beat`, and has those report
    /// whose turn it is. Returns the beat of the last look at all.
    fn turn(&self, beat: Duration) -> Duration {
        let peers = self.wait(beat);
        let this = floor(now(), BEAT);
        for Entry { peer, hurry } in peers {
            if this == beat && !hurry.0.load(Ordering::Acquire) {
                continue;
            }
            // Before it looks: what is missing after that hurries anew.
            hurry.0.store(false, Ordering::Release);
            if peer
                .upgrade()
                .is_some_and(|peer| peer.report(this) == Next::Soon)
            {
                hurry.up();
            }
        }
        this
    }

    /// Waits until it is somebody's turn, and returns all peers.
    fn wait(&self, beat: Duration) -> Vec<Entry> {
        let mut state = self.state.lock();
        loop {
            let now = now();
            let due = due(beat, state.hurried);
            if state.peers.is_empty() {
                self.work.wait(&mut state);
            } else if now < due {
                self.work.wait_for(&mut state, due - now);
            } else {
                break;
            }
        }
        state.hurried = None;
        state.peers.retain(|entry| entry.peer.strong_count() > 0);
        state.peers.clone()
    }
}

/// When the next look is due, after one at all peers in `beat`, where somebody has hurried since
/// `hurried`.
fn due(beat: Duration, hurried: Option<Duration>) -> Duration {
    let soon = hurried.map(|since| since + SHORT_BEAT);
    soon.map_or(beat + BEAT, |soon| soon.min(beat + BEAT))
}

/// The last of the moments that are `beat` apart, up to `time`.
fn floor(time: Duration, beat: Duration) -> Duration {
    let since = time.as_nanos() % beat.as_nanos().max(1);
    time.saturating_sub(Duration::from_nanos(
        u64::try_from(since).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn all_are_looked_at_in_each_beat_and_those_who_hurry_in_each_short_one() {
        assert_eq!(floor(ms(1_099), BEAT), ms(1_000));
        assert_eq!(floor(ms(1_099), SHORT_BEAT), ms(1_080));
        assert_eq!(due(ms(1_000), None), ms(1_100));
        assert_eq!(due(ms(1_000), Some(ms(1_040))), ms(1_060));
        assert_eq!(due(ms(1_000), Some(ms(1_080))), ms(1_100));
        assert_eq!(due(ms(1_000), Some(ms(1_100))), ms(1_100));
    }

    /// Tells that it is called, and is in a hurry the first times.
    struct Peer {
        told: mpsc::Sender<Next>,
        hurries: parking_lot::Mutex<u32>,
    }

    impl Reporter for Peer {
        fn report(&self, _: Duration) -> Next {
            let mut left = self.hurries.lock();
            let next = match *left {
                0 => Next::Beat,
                _ => Next::Soon,
            };
            *left = left.saturating_sub(1);
            let _ = self.told.send(next);
            next
        }
    }

    #[test]
    fn whoever_hurries_is_called_before_the_others_and_then_with_them() {
        const HURRIES: u32 = 30;
        gst::init().expect("GStreamer starts");
        let (told, calls) = mpsc::channel();
        let peer: Arc<dyn Reporter> = Arc::new(Peer {
            told,
            hurries: parking_lot::Mutex::new(HURRIES),
        });
        let began = now();
        add(Arc::downgrade(&peer)).up();
        let mut calls = calls.iter();
        for _ in 0..HURRIES {
            assert_eq!(calls.next(), Some(Next::Soon));
        }
        let took = now() - began;
        assert!(took < BEAT * HURRIES / 2, "{took:?}");
        assert_eq!(calls.next(), Some(Next::Beat));
        assert_eq!(calls.next(), Some(Next::Beat), "and it is called on");
    }
}
