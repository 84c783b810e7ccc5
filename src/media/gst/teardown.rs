//! Pipelines on their way to `Null`, each on a thread of its own, and the wait for them at exit.
//!
//! A teardown can block, or hang, in native code, so it must not run on an async thread. The
//! process must not end beneath one either: libraries clean up at exit (OpenSSL frees what every
//! DTLS connection shares), and a pipeline that is being disposed of meanwhile frees it twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use parking_lot::{Condvar, Mutex};

/// How long a pipeline may take to reach `Null`. After that it counts as abandoned.
pub const DEADLINE: Duration = Duration::from_secs(3);

static NEXT_TICKET: AtomicU64 = AtomicU64::new(0);
/// The teardowns under way by ticket, with the moment each began.
static UNDER_WAY: Mutex<BTreeMap<u64, Instant>> = Mutex::new(BTreeMap::new());
static ENDED: Condvar = Condvar::new();

/// Brings `pipeline` to `Null`, disposes of it and calls `done`, on a thread of its own. A tokio
/// runtime that is shutting down would drop it instead, and a pipeline that is disposed of while it
/// plays takes the process with it. `label` is for logs.
pub fn begin(label: String, pipeline: gst::Pipeline, done: impl FnOnce() + Send + 'static) {
    let began = Instant::now();
    let ticket = NEXT_TICKET.fetch_add(1, Ordering::Relaxed);
    UNDER_WAY.lock().insert(ticket, began);
    let work = move || {
        if pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!(pipeline = label, "a pipeline refused to go to Null");
        }
        drop(pipeline);
        if began.elapsed() > DEADLINE {
            tracing::warn!(pipeline = label, "teardown took {:?}", began.elapsed());
        }
        done();
        UNDER_WAY.lock().remove(&ticket);
        ENDED.notify_all();
    };
    let thread = std::thread::Builder::new().name("teardown".to_owned());
    if let Err(error) = thread.spawn(work) {
        tracing::error!(%error, "no thread for a teardown; the pipeline is left as it is");
    }
}

/// The number of teardowns that take longer than [`DEADLINE`]: they hang in native code.
pub fn abandoned() -> usize {
    let under_way = UNDER_WAY.lock();
    let late = |began: &&Instant| began.elapsed() > DEADLINE;
    under_way.values().filter(late).count()
}

/// Blocks until no teardown is under way, or `deadline` has passed. Returns how many still are.
/// Call it before the process ends.
pub fn settle(deadline: Duration) -> usize {
    let until = Instant::now() + deadline;
    let mut under_way = UNDER_WAY.lock();
    while !under_way.is_empty() && !ENDED.wait_until(&mut under_way, until).timed_out() {}
    under_way.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn whoever_settles_waits_until_the_pipeline_is_gone() {
        gst::init().expect("GStreamer");
        let pipeline = gst::Pipeline::new();
        let weak = pipeline.downgrade();
        let done = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&done);
        // A teardown that cannot end before somebody waits for it.
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock();
        let own = Arc::clone(&gate);
        begin("test".into(), pipeline, move || {
            drop(own.lock());
            told.store(true, Ordering::SeqCst);
        });
        assert!(settle(Duration::from_millis(20)) > 0, "it is held");
        drop(held);
        assert_eq!(settle(DEADLINE), 0);
        assert!(done.load(Ordering::SeqCst));
        assert!(weak.upgrade().is_none());
    }
}
