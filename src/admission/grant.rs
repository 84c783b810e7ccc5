//! The books of what was granted, and the guard that gives it back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::gauge;
use parking_lot::Mutex;

use super::means::{Demand, Ledger, Means, Policy, Shortage};
use super::overload::{Expected, OverloadController};
use super::readings::Reader;

/// Age up to which a reading counts, together with what was granted since.
const READING_GOOD_FOR: Duration = Duration::from_millis(100);

/// The ledger, and the readings that it is held against.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) policy: Policy,
    ledger: Ledger,
    means: Means,
    /// When `means` were read.
    read: Option<Instant>,
    /// `None` if they are given.
    reader: Option<Reader>,
}

impl Books {
    /// Books of this process.
    pub(super) fn measured(policy: Policy) -> Self {
        Self {
            reader: Some(Reader::new()),
            ..Self::given(policy)
        }
    }

    /// Books of means that are given, without limits at first.
    pub(super) fn given(policy: Policy) -> Self {
        Self {
            policy,
            ledger: Ledger::default(),
            means: Means::default(),
            read: None,
            reader: None,
        }
    }

    /// Sets what is free.
    pub(super) fn give(&mut self, means: Means) {
        self.means = means;
        self.ledger.read_anew();
    }

    fn refresh(&mut self) {
        let is_old = |read: Instant| read.elapsed() > READING_GOOD_FOR;
        if let Some(reader) = &mut self.reader
            && self.read.is_none_or(is_old)
        {
            self.means = reader.read();
            self.read = Some(Instant::now());
            self.ledger.read_anew();
        }
    }

    pub(super) fn admit(&mut self, demand: Demand, joiner: Option<IpAddr>) -> Result<(), Shortage> {
        self.refresh();
        self.ledger
            .admit(&self.means, demand, joiner, &self.policy)
            .inspect_err(|shortage| {
                let means = self.means;
                tracing::debug!(
                    short = shortage.name(),
                    ?means,
                    ?demand,
                    "nothing is started"
                );
            })
    }

    fn give_back(&mut self, demand: Demand, joiner: Option<IpAddr>) {
        self.ledger.give_back(demand, joiner);
    }

    /// Whether `demand` could be granted.
    pub(super) fn covers(&mut self, demand: Demand) -> Result<(), Shortage> {
        self.refresh();
        self.ledger.covers(&self.means, demand, &self.policy)
    }

    /// Updates the metrics.
    pub(super) fn publish(&self) {
        let Means {
            descriptors,
            threads,
            memory,
        } = self.means;
        for (name, free) in [
            ("descriptors", descriptors),
            ("threads", threads),
            ("memory", memory),
        ] {
            if let Some(free) = free {
                gauge!("tessera_means_free", "of" => name).set(free as f64);
            }
        }
        gauge!("tessera_joins_under_way").set(self.ledger.joins() as f64);
    }
}

/// Permission to start something, and its place in the books. Dropping it gives that back: what was
/// started shows in the readings then, or has failed.
pub struct Grant {
    books: Arc<Mutex<Books>>,
    demand: Demand,
    joiner: Option<IpAddr>,
    /// The load that is expected of a join until it is connected.
    expected: Option<(Arc<Mutex<OverloadController>>, Expected)>,
}

impl Grant {
    pub(super) fn new(books: Arc<Mutex<Books>>, demand: Demand, joiner: Option<IpAddr>) -> Self {
        Self {
            books,
            demand,
            joiner,
            expected: None,
        }
    }

    /// The same, for a join of which this load is expected.
    pub(super) fn expecting(
        self,
        controller: Arc<Mutex<OverloadController>>,
        expected: Expected,
    ) -> Self {
        // Field by field: what has a destructor cannot be taken apart.
        let mut grant = self;
        grant.expected = Some((controller, expected));
        grant
    }

    /// Ends the grant of a join that is connected: its load will show.
    pub(crate) fn connected(mut self) {
        self.expected = None;
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.books.lock().give_back(self.demand, self.joiner);
        if let Some((controller, expected)) = self.expected.take() {
            controller.lock().withdraw(expected);
        }
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("demand", &self.demand)
            .field("joiner", &self.joiner)
            .finish_non_exhaustive()
    }
}
