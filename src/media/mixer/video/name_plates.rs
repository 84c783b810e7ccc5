//! Draws name plates for all mixers of the process: one thread, one name after the other. Of each
//! participant only the newest name waits, so that somebody who renames without a pause costs one
//! drawing at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::id::ParticipantId;

/// Time for which the thread waits for another name before it ends.
const IDLE: Duration = Duration::from_secs(5);

/// Draws the name of a participant, and delivers it.
pub(crate) type Draw = Box<dyn FnOnce() + Send>;

/// What waits to be drawn, of all mixers: by the number of a mixer and its participant.
#[derive(Default)]
struct Queue {
    waiting: BTreeMap<(u64, ParticipantId), Draw>,
    /// What was drawn last. The next one is that after it, so that everybody has a turn.
    last: Option<(u64, ParticipantId)>,
    /// Number of mixers so far.
    mixers: u64,
    worker: Worker,
}

/// Whether there is a thread that draws.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Worker {
    #[default]
    None,
    Running,
}

impl Queue {
    fn next(&mut self) -> Option<Draw> {
        let after = self.last.and_then(|last| {
            let above = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
            self.waiting.range(above).next().map(|(key, _)| *key)
        });
        let key = after.or_else(|| self.waiting.keys().next().copied())?;
        self.last = Some(key);
        self.waiting.remove(&key)
    }
}

/// What waits, and the way to wake the worker. The process has one.
#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    news: Condvar,
}

static SHARED: LazyLock<Arc<Shared>> = LazyLock::new(Arc::default);

/// The names of one mixer. What still waits when it is dropped is not drawn.
pub(crate) struct NamePlates {
    shared: Arc<Shared>,
    mixer: u64,
}

impl NamePlates {
    /// Names of a mixer, drawn by the worker of the process.
    pub(crate) fn new() -> Self {
        Self::with(Arc::clone(&SHARED))
    }

    fn with(shared: Arc<Shared>) -> Self {
        let mixer = {
            let mut queue = shared.queue.lock();
            queue.mixers += 1;
            queue.mixers
        };
        Self { shared, mixer }
    }

    /// Has `draw` called by the worker, in place of what still waits for this participant.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn set(&self, who: ParticipantId, draw: Draw) -> std::io::Result<()> {
        let mut queue = self.shared.queue.lock();
        queue.waiting.insert((self.mixer, who), draw);
        if queue.worker == Worker::None {
            let shared = Arc::clone(&self.shared);
            std::thread::Builder::new()
                .name("name-plates".to_owned())
                .spawn(move || work(&shared))?;
            queue.worker = Worker::Running;
        }
        self.shared.news.notify_one();
        Ok(())
    }

    /// Draws nothing for this participant any more that waits.
    pub(crate) fn forget(&self, who: ParticipantId) {
        self.shared.queue.lock().waiting.remove(&(self.mixer, who));
    }
}

impl Drop for NamePlates {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.waiting.retain(|(mixer, _), _| *mixer != self.mixer);
    }
}

/// Draws one after the other, and ends when nothing has waited for [`IDLE`].
fn work(shared: &Shared) {
    loop {
        let mut queue = shared.queue.lock();
        if let Some(draw) = queue.next() {
            drop(queue);
            draw();
        } else if shared.news.wait_for(&mut queue, IDLE).timed_out() && queue.waiting.is_empty() {
            queue.worker = Worker::None;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Longer than anything here takes; only a hang reaches it.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn who(ordinal: u32) -> ParticipantId {
        ParticipantId::new(ordinal)
    }

    /// A drawing that is not done before it is told, so that others have to wait.
    fn busy(names: &NamePlates) -> mpsc::Sender<()> {
        let (go, held) = mpsc::channel();
        let (begins, begun) = mpsc::channel();
        let hold = Box::new(move || {
            let _ = begins.send(());
            let _ = held.recv_timeout(PATIENCE);
        });
        names.set(who(99), hold).expect("a thread");
        begun.recv_timeout(PATIENCE).expect("the worker draws");
        go
    }

    #[test]
    fn two_thousand_renames_draw_the_newest_name_alone() {
        let names = NamePlates::with(Arc::default());
        let go = busy(&names);
        let (drawn, seen) = mpsc::channel();
        for number in 0..2000 {
            let drawn = drawn.clone();
            let draw = Box::new(move || {
                let _ = drawn.send((number, std::thread::current().id()));
            });
            names.set(who(1), draw).expect("a thread");
        }
        drop(drawn);
        assert_eq!(names.shared.queue.lock().waiting.len(), 1);
        drop(go);
        let (number, first) = seen.recv_timeout(PATIENCE).expect("the newest");
        assert_eq!(number, 1999);
        assert!(
            seen.recv_timeout(PATIENCE).is_err(),
            "nothing else is drawn"
        );
        let (drawn, seen) = mpsc::channel();
        let draw = Box::new(move || {
            let _ = drawn.send(std::thread::current().id());
        });
        names.set(who(1), draw).expect("a thread");
        let second = seen.recv_timeout(PATIENCE).expect("it goes on");
        assert_eq!(first, second, "one thread");
    }

    #[test]
    fn everybody_has_a_turn() {
        let mut queue = Queue::default();
        let (drawn, seen) = mpsc::channel();
        let put = |queue: &mut Queue, mixer, ordinal| {
            let drawn = drawn.clone();
            let draw: Draw = Box::new(move || {
                let _ = drawn.send((mixer, ordinal));
            });
            queue.waiting.insert((mixer, who(ordinal)), draw);
        };
        for (mixer, ordinal) in [(1, 1), (1, 2), (2, 1)] {
            put(&mut queue, mixer, ordinal);
        }
        for _ in 0..4 {
            queue.next().expect("something waits")();
            // Who is first in the order renames all the time.
            put(&mut queue, 1, 1);
        }
        let order: Vec<_> = seen.try_iter().collect();
        assert_eq!(order, [(1, 1), (1, 2), (2, 1), (1, 1)]);
    }

    #[test]
    fn names_of_a_mixer_that_has_gone_are_not_drawn() {
        let shared = Arc::new(Shared::default());
        let (stays, goes) = (NamePlates::with(shared.clone()), NamePlates::with(shared));
        let go = busy(&stays);
        let (drawn, seen) = mpsc::channel::<u32>();
        for (names, number) in [(&goes, 1), (&stays, 2), (&stays, 3)] {
            let drawn = drawn.clone();
            let draw = Box::new(move || {
                let _ = drawn.send(number);
            });
            names.set(who(number), draw).expect("a thread");
        }
        drop((goes, drawn));
        stays.forget(who(2));
        drop(go);
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(3));
        assert!(seen.recv_timeout(PATIENCE).is_err());
    }
}
