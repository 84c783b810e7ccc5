//! The threads that pictures are decoded and encoded on: as many as there are cores, for all rooms.
//!
//! A pipeline of pictures begins with a [`source`] that has no thread of its own. What is pushed into
//! it waits in a queue, and whichever thread of the pool is free takes it on its way, one source in one
//! thread at a time. So each picture wakes one thread at most, and none where they are busy anyway. No
//! source waits long for another: each has a queue with a limit of its own, and a turn ends with a picture
//! or after two milliseconds.

pub(crate) mod source;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};

/// Work that is done in turns.
pub(crate) trait Work: Send + Sync {
    /// Does some of it, a picture or what takes two milliseconds, and says whether there is more. Not
    /// called twice at a time.
    fn turn(&self) -> Turn;
}

/// What a turn has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    Done,
    /// Something, for when others have had their turn.
    More,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has nothing to do.
    Idle,
    /// It waits for a thread.
    Waits,
    /// It has one.
    Runs,
    /// It has one, and has got something to do since its turn began.
    RunsAgain,
}

/// Some work and where it stands.
pub(crate) struct Task {
    stage: Mutex<Stage>,
    work: Box<dyn Work>,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

impl Task {
    /// A task for `work`, which there is none of yet.
    pub(crate) fn new(work: Box<dyn Work>) -> Arc<Self> {
        let stage = Mutex::new(Stage::Idle);
        Arc::new(Self { stage, work })
    }

    /// Has it done soon: there is work. Does not block.
    pub(crate) fn wake(self: &Arc<Self>) {
        let mut stage = self.stage.lock();
        match *stage {
            Stage::Idle => {
                *stage = Stage::Waits;
                drop(stage);
                Pool::get().add(Arc::clone(self));
            }
            Stage::Runs => *stage = Stage::RunsAgain,
            Stage::Waits | Stage::RunsAgain => {}
        }
    }

    fn run(self: Arc<Self>, pool: &Pool) {
        *self.stage.lock() = Stage::Runs;
        // The thread is there for others, too.
        let turn = catch_unwind(AssertUnwindSafe(|| self.work.turn())).unwrap_or_else(|_| {
            tracing::error!("a turn of pictures ends in a panic");
            Turn::Done
        });
        let mut stage = self.stage.lock();
        if turn == Turn::Done && *stage == Stage::Runs {
            *stage = Stage::Idle;
            return;
        }
        *stage = Stage::Waits;
        drop(stage);
        pool.add(self);
    }
}

/// Starts the threads, unless they run. They are there before anything is counted that is left.
pub(crate) fn start() {
    Pool::get();
}

/// The threads and what waits for them.
#[derive(Default)]
struct Pool {
    waiting: Mutex<VecDeque<Arc<Task>>>,
    work: Condvar,
}

impl Pool {
    fn get() -> &'static Self {
        static POOL: OnceLock<Pool> = OnceLock::new();
        POOL.get_or_init(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            for _ in 0..cores {
                let thread = std::thread::Builder::new().name("pictures".to_owned());
                let spawned = thread.spawn(|| Self::get().work());
                if let Err(error) = spawned {
                    tracing::error!(%error, "no thread for pictures");
                }
            }
            Self::default()
        })
    }

    fn add(&self, task: Arc<Task>) {
        self.waiting.lock().push_back(task);
        self.work.notify_one();
    }

    /// What each thread does.
    fn work(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            let task = waiting.pop_front();
            match task {
                Some(task) => {
                    drop(waiting);
                    task.run(self);
                }
                None => self.work.wait(&mut waiting),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    /// Does one of what is asked for in each turn.
    #[derive(Default)]
    struct Counter {
        asked: AtomicU64,
        done: AtomicU64,
        is_running: AtomicBool,
        ran_twice: AtomicBool,
    }

    impl Work for Arc<Counter> {
        fn turn(&self) -> Turn {
            if self.is_running.swap(true, Ordering::SeqCst) {
                self.ran_twice.store(true, Ordering::SeqCst);
            }
            let is_left = self.done.load(Ordering::SeqCst) < self.asked.load(Ordering::SeqCst);
            if is_left {
                self.done.fetch_add(1, Ordering::SeqCst);
            }
            std::thread::yield_now();
            self.is_running.store(false, Ordering::SeqCst);
            if is_left { Turn::More } else { Turn::Done }
        }
    }

    #[test]
    fn all_work_is_done_once_and_in_one_thread_at_a_time() {
        const TASKS: usize = 5;
        const EACH: u64 = 2_000;
        let counters: [Arc<Counter>; TASKS] = Default::default();
        let tasks = counters.each_ref();
        let tasks = tasks.map(|counter| Task::new(Box::new(Arc::clone(counter))));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..EACH / 2 {
                        for (counter, task) in counters.iter().zip(&tasks) {
                            counter.asked.fetch_add(1, Ordering::SeqCst);
                            task.wake();
                        }
                    }
                });
            }
        });
        let until = Instant::now() + Duration::from_secs(60);
        for counter in &counters {
            while counter.done.load(Ordering::SeqCst) < EACH && Instant::now() < until {
                std::thread::yield_now();
            }
            assert_eq!(counter.done.load(Ordering::SeqCst), EACH);
            assert!(!counter.ran_twice.load(Ordering::SeqCst));
        }
    }
}
