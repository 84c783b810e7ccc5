//! What the system gives this process besides CPU time: file descriptors, threads and memory. How
//! much of each is free, what starting something takes, and what has to stay free; readings in,
//! decisions out, pure.
//!
//! GLib ends the process when it gets no pipe or no thread, and so does the system when a container
//! is out of memory. Neither can be caught, so it is counted before.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::{Add, AddAssign, SubAssign};

use thiserror::Error;

use crate::net::subscriber;
use crate::process::MAX_BLOCKING_THREADS;

/// What is free for this process. `None` is no limit, or one that the system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Means {
    /// File descriptors that can still be opened.
    pub descriptors: Option<u64>,
    /// Threads that can still be started.
    pub threads: Option<u64>,
    /// Bytes of memory that can still be used without pushing anything out.
    pub memory: Option<u64>,
}

/// What something takes, at most, until it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// File descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Bytes of memory.
    pub memory: u64,
}

const MIB: u64 = 1024 * 1024;

/// What stays free after all that is granted. It is for what starts without asking: threads of
/// tokio's blocking pool, those that tear down pipelines, files of the archive, answers to requests.
pub const RESERVE: Demand = Demand::of(64, 64, 64 * MIB);
const _: () = assert!(MAX_BLOCKING_THREADS < RESERVE.threads as usize);
/// Joins under way on the whole server, that is, begun and not connected. Each holds 7 file
/// descriptors, 5 threads and 0.5 MB until it fails after 10 s.
pub const MAX_JOINS_UNDER_WAY: usize = 256;
/// Joins under way from one address (IPv6: one /64), unless the rate of joins allows it more; see
/// [`joins_by_address`].
pub const MIN_JOINS_BY_ADDRESS: usize = 16;

/// Joins under way that one address (IPv6: one /64) may have, where it may begin `per_second`: as
/// many as it may begin at once, but never more than half of all.
pub fn joins_by_address(per_second: u32) -> usize {
    let burst = usize::try_from(per_second).unwrap_or(usize::MAX);
    let burst = burst.saturating_mul(2);
    burst.clamp(MIN_JOINS_BY_ADDRESS, MAX_JOINS_UNDER_WAY / 2)
}

impl Demand {
    /// A participant with two uplinks and the mix, decoded and heard (measured: 15 descriptors, 16
    /// threads, 7 MB).
    pub const MEDIA: Self = Self::of(20, 20, 8 * MIB);
    /// A participant whose media goes between the participants (measured: 8 descriptors, 10
    /// threads, 7 MB).
    pub const DIRECT: Self = Self::of(12, 12, 8 * MIB);
    /// A room's canvas and sound mixer (measured: 8 descriptors, 8 threads; the canvas has 4 frames
    /// of 1080p at most).
    pub const MIXER: Self = Self::of(12, 12, 32 * MIB);
    /// A decoder with its scaler.
    pub const DECODER: Self = Self::of(6, 8, 8 * MIB);
    /// An encoder of a picture or of the sound.
    pub const ENCODER: Self = Self::of(6, 8, 16 * MIB);
    /// A recording: its event log, and a muxer that writes its file.
    pub const RECORDING: Self = Self::of(12, 12, 16 * MIB);
    /// One uplink's file of a recording: a muxer and what writes.
    pub const TRACK: Self = Self::of(6, 6, 4 * MIB);
    /// A name, drawn.
    pub const LABEL: Self = Self::of(6, 6, 2 * MIB);
    /// A relayed transport address.
    pub const RELAY: Self = Self::of(2, 0, MIB);

    const fn of(descriptors: u64, threads: u64, memory: u64) -> Self {
        Self {
            descriptors,
            threads,
            memory,
        }
    }
}

impl Add for Demand {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.saturating_add(other.descriptors),
            threads: self.threads.saturating_add(other.threads),
            memory: self.memory.saturating_add(other.memory),
        }
    }
}

impl AddAssign for Demand {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Demand {
    fn sub_assign(&mut self, other: Self) {
        self.descriptors = self.descriptors.saturating_sub(other.descriptors);
        self.threads = self.threads.saturating_sub(other.threads);
        self.memory = self.memory.saturating_sub(other.memory);
    }
}

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Shortage {
    /// File descriptors.
    #[error("the server is busy: it has no file descriptors left for one more")]
    Descriptors,
    /// Threads.
    #[error("the server is busy: it has no threads left for one more")]
    Threads,
    /// Memory.
    #[error("the server is busy: it has no memory left for one more")]
    Memory,
    /// Places for joins under way, of all addresses.
    #[error("the server is busy: too many joins are under way")]
    Joins,
    /// Places for joins under way, of this address.
    #[error("too many joins from this address are under way: wait until they are connected")]
    JoinsOfAddress,
}

impl Shortage {
    /// Its name in metrics and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Threads => "threads",
            Self::Memory => "memory",
            Self::Joins => "joins",
            Self::JoinsOfAddress => "joins_of_address",
        }
    }
}

/// The bounds of what is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What stays free.
    pub reserve: Demand,
    /// Largest number of joins under way.
    pub joins: usize,
    /// Largest number of joins under way from one address.
    pub joins_by_address: usize,
}

impl Policy {
    /// The policy of a server where one address may begin `joins_per_second`.
    pub fn new(joins_per_second: u32) -> Self {
        Self {
            reserve: RESERVE,
            joins: MAX_JOINS_UNDER_WAY,
            joins_by_address: joins_by_address(joins_per_second),
        }
    }
}

/// What has been granted and may not show in a reading yet.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Granted, and not given back.
    held: Demand,
    /// Given back since the last reading, which may not show what was made of it.
    settled: Demand,
    joins: usize,
    /// Joins under way, by subscriber. Only those who have any are in it.
    by_address: HashMap<IpAddr, usize>,
}

impl Ledger {
    /// Grants `demand`, to a join from `joiner` where it is one; it counts until it is given back.
    ///
    /// # Errors
    /// [`Shortage`]: one of the bounds would be exceeded. Nothing is granted then.
    pub fn admit(
        &mut self,
        means: &Means,
        demand: Demand,
        joiner: Option<IpAddr>,
        policy: &Policy,
    ) -> Result<(), Shortage> {
        if let Some(joiner) = joiner {
            self.admit_join(joiner, policy)?;
        }
        self.covers(means, demand, policy)?;
        self.held += demand;
        if let Some(joiner) = joiner {
            self.joins += 1;
            *self.by_address.entry(subscriber(joiner)).or_default() += 1;
        }
        Ok(())
    }

    fn admit_join(&self, joiner: IpAddr, policy: &Policy) -> Result<(), Shortage> {
        let own = self.by_address.get(&subscriber(joiner));
        if own.is_some_and(|own| *own >= policy.joins_by_address) {
            return Err(Shortage::JoinsOfAddress);
        }
        match self.joins < policy.joins {
            true => Ok(()),
            false => Err(Shortage::Joins),
        }
    }

    /// Whether `demand` could be granted.
    ///
    /// # Errors
    /// [`Shortage`], of the first thing that there is too little of.
    pub fn covers(&self, means: &Means, demand: Demand, policy: &Policy) -> Result<(), Shortage> {
        let needed = self.held + self.settled + demand + policy.reserve;
        let is_short = |free: Option<u64>, needed: u64| free.is_some_and(|free| free < needed);
        if is_short(means.descriptors, needed.descriptors) {
            Err(Shortage::Descriptors)
        } else if is_short(means.threads, needed.threads) {
            Err(Shortage::Threads)
        } else if is_short(means.memory, needed.memory) {
            Err(Shortage::Memory)
        } else {
            Ok(())
        }
    }

    /// Gives back what [`Ledger::admit`] has granted: it runs now, or has failed. It counts until
    /// the next reading, which shows what is left of it.
    pub fn give_back(&mut self, demand: Demand, joiner: Option<IpAddr>) {
        self.held -= demand;
        self.settled += demand;
        let Some(joiner) = joiner else {
            return;
        };
        self.joins = self.joins.saturating_sub(1);
        let subscriber = subscriber(joiner);
        if let Some(own) = self.by_address.get_mut(&subscriber) {
            *own -= 1;
            if *own == 0 {
                self.by_address.remove(&subscriber);
            }
        }
    }

    /// Notes that a new reading has been taken, which shows all that was given back before.
    pub fn read_anew(&mut self) {
        self.settled = Demand::default();
    }

    /// Number of joins under way.
    pub fn joins(&self) -> usize {
        self.joins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        reserve: Demand::of(10, 10, 10),
        joins: 5,
        joins_by_address: 3,
    };
    const ONE: Demand = Demand::of(5, 5, 5);

    fn free(descriptors: u64, threads: u64, memory: u64) -> Means {
        Means {
            descriptors: Some(descriptors),
            threads: Some(threads),
            memory: Some(memory),
        }
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
    }

    #[test]
    fn the_reserve_stays_free_of_each() {
        for (means, outcome) in [
            (free(15, 15, 15), Ok(())),
            (free(14, 99, 99), Err(Shortage::Descriptors)),
            (free(99, 14, 99), Err(Shortage::Threads)),
            (free(99, 99, 14), Err(Shortage::Memory)),
            (free(0, 0, 0), Err(Shortage::Descriptors)),
            (Means::default(), Ok(())),
        ] {
            let mut ledger = Ledger::default();
            let granted = ledger.admit(&means, ONE, address(1), &POLICY);
            assert_eq!(granted, outcome, "{means:?}");
            assert_eq!(ledger.joins(), usize::from(outcome.is_ok()));
        }
    }

    #[test]
    fn what_was_granted_counts_until_a_reading_shows_what_became_of_it() {
        let mut ledger = Ledger::default();
        let means = free(20, 99, 99);
        assert_eq!(ledger.admit(&means, ONE, None, &POLICY), Ok(()));
        assert_eq!(ledger.admit(&means, ONE, None, &POLICY), Ok(()));
        let third = ledger.admit(&means, ONE, None, &POLICY);
        assert_eq!(third, Err(Shortage::Descriptors));
        ledger.give_back(ONE, None);
        let third = ledger.covers(&means, ONE, &POLICY);
        assert_eq!(third, Err(Shortage::Descriptors), "not seen yet");
        ledger.read_anew();
        assert_eq!(ledger.admit(&means, ONE, None, &POLICY), Ok(()));
    }

    #[test]
    fn one_address_leaves_room_for_others() {
        let mut ledger = Ledger::default();
        let means = Means::default();
        let ask = |ledger: &mut Ledger, who| ledger.admit(&means, ONE, who, &POLICY);
        for _ in 0..3 {
            assert_eq!(ask(&mut ledger, address(1)), Ok(()));
        }
        assert_eq!(ask(&mut ledger, address(1)), Err(Shortage::JoinsOfAddress));
        for _ in 0..2 {
            assert_eq!(ask(&mut ledger, address(2)), Ok(()));
        }
        assert_eq!(ask(&mut ledger, address(3)), Err(Shortage::Joins));
        ledger.give_back(ONE, address(1));
        assert_eq!(ask(&mut ledger, address(3)), Ok(()));
        assert_eq!(ask(&mut ledger, None), Ok(()), "no join");
    }

    #[test]
    fn nothing_is_left_of_joins_that_have_ended() {
        let mut ledger = Ledger::default();
        let network = |host: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]));
        for host in 0..3 {
            let granted = ledger.admit(&Means::default(), ONE, network(host), &POLICY);
            assert_eq!(granted, Ok(()));
        }
        let fourth = ledger.admit(&Means::default(), ONE, network(9), &POLICY);
        assert_eq!(fourth, Err(Shortage::JoinsOfAddress), "one /64");
        for host in 0..3 {
            ledger.give_back(ONE, network(host));
        }
        ledger.read_anew();
        assert_eq!((ledger.joins(), ledger.by_address.len()), (0, 0));
        assert_eq!(ledger.held + ledger.settled, Demand::default());
    }

    #[test]
    fn an_address_may_have_under_way_what_it_may_begin_at_once() {
        assert_eq!(joins_by_address(1), MIN_JOINS_BY_ADDRESS);
        assert_eq!(joins_by_address(20), 40);
        assert_eq!(joins_by_address(u32::MAX), MAX_JOINS_UNDER_WAY / 2);
    }
}
