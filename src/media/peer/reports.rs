//! The thread that has all peers of the process send their reports: of what leaves them, and of what
//! comes.

use std::sync::{OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Time between two looks at what is due. What waits for a missing packet waits for so much longer.
const TICK: Duration = Duration::from_millis(20);

/// A part of a peer that reports.
pub(super) trait Reporter: Send + Sync {
    /// Sends the reports that are due.
    fn report(&self);
}

/// The peers that report.
#[derive(Default)]
struct Thread {
    peers: Mutex<Vec<Weak<dyn Reporter>>>,
    work: Condvar,
}

/// Has a peer report from now on, until it is gone.
pub(super) fn add(peer: Weak<dyn Reporter>) {
    let thread = Thread::get();
    thread.peers.lock().push(peer);
    thread.work.notify_one();
}

impl Thread {
    fn get() -> &'static Self {
        static THREAD: OnceLock<Thread> = OnceLock::new();
        THREAD.get_or_init(|| {
            let name = "reports".to_owned();
            let spawned = std::thread::Builder::new().name(name).spawn(|| {
                let thread = Self::get();
                loop {
                    thread.tick();
                }
            });
            if let Err(error) = spawned {
                tracing::error!(%error, "no thread for reports");
            }
            Self::default()
        })
    }

    fn tick(&self) {
        let mut peers = self.peers.lock();
        while peers.is_empty() {
            self.work.wait(&mut peers);
        }
        peers.retain(|peer| peer.strong_count() > 0);
        let now = peers.clone();
        drop(peers);
        for peer in now.iter().filter_map(Weak::upgrade) {
            peer.report();
        }
        std::thread::sleep(TICK);
    }
}
