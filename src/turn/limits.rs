//! How much of the server one client may use: requests without a credential, and allocations.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::net::subscriber;

/// Number of rate limiters that all addresses share. Two addresses fall on the same one with a
/// chance of 1 in 4,096.
const BUCKETS: usize = 4096;

/// Limits the rate of requests that carry no valid credential, by source address.
///
/// The source of a UDP packet can be forged, so the number of limiters is fixed: an address is
/// assigned one by a hash with a random key, which no client can compute. Two addresses may share
/// one.
pub(super) struct UnauthenticatedLimiter {
    buckets: Vec<DefaultDirectRateLimiter>,
    hash: RandomState,
}

impl UnauthenticatedLimiter {
    /// Allows `per_second` requests a second from one address, in bursts of twice as many.
    pub(super) fn new(per_second: u32) -> Self {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(rate.saturating_add(rate.get()));
        Self {
            buckets: (0..BUCKETS).map(|_| RateLimiter::direct(quota)).collect(),
            hash: RandomState::new(),
        }
    }

    /// Takes one request of an address's allowance. False if none is left: the request gets no
    /// answer.
    pub(super) fn admit(&self, address: IpAddr) -> bool {
        let hash = self.hash.hash_one(subscriber(address)) % BUCKETS as u64;
        let bucket = usize::try_from(hash).ok().and_then(|i| self.buckets.get(i));
        bucket.is_some_and(|bucket| bucket.check().is_ok())
    }
}

/// Counts the open allocations against the limits of the server and of each user.
#[derive(Debug)]
pub(super) struct AllocationQuotas {
    max: usize,
    max_per_user: usize,
    total: usize,
    by_user: HashMap<String, usize>,
}

impl AllocationQuotas {
    /// Quotas of a server without an allocation yet.
    pub(super) fn new(max: usize, max_per_user: usize) -> Self {
        Self {
            max,
            max_per_user,
            total: 0,
            by_user: HashMap::new(),
        }
    }

    /// Counts one more allocation of `user`. False, and nothing counted, if either limit is
    /// reached.
    pub(super) fn take(&mut self, user: &str) -> bool {
        let own = self.by_user.get(user).copied().unwrap_or(0);
        if self.total >= self.max || own >= self.max_per_user {
            return false;
        }
        self.total += 1;
        self.by_user.insert(user.to_owned(), own + 1);
        true
    }

    /// Counts one allocation of `user` less. Does nothing if the user has none.
    pub(super) fn give_back(&mut self, user: &str) {
        if let Some(own) = self.by_user.get_mut(user) {
            self.total -= 1;
            *own -= 1;
            if *own == 0 {
                self.by_user.remove(user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unauthenticated_requests_are_limited_by_address() {
        let limiter = UnauthenticatedLimiter::new(3);
        let one = IpAddr::from([192, 0, 2, 1]);
        let admitted = (0..50).filter(|_| limiter.admit(one)).count();
        assert!((6..=7).contains(&admitted), "twice the rate: {admitted}");
        // Some of them share an allowance with others, but few do.
        let others = (0..100u8).map(|i| IpAddr::from([198, 51, 100, i]));
        assert!(others.filter(|other| limiter.admit(*other)).count() > 90);
    }

    #[test]
    fn an_ipv6_network_shares_one_allowance() {
        let limiter = UnauthenticatedLimiter::new(3);
        let hosts = (0..50u16).map(|host| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 2, host]));
        let admitted = hosts.filter(|host| limiter.admit(*host)).count();
        assert!((6..=7).contains(&admitted), "twice the rate: {admitted}");
        // Another network has its own, but for the one in 4,096 that shares it.
        let others = (1..100u16).map(|n| IpAddr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, 1]));
        assert!(others.filter(|other| limiter.admit(*other)).count() > 90);
    }

    #[test]
    fn allocations_are_limited_in_all_and_by_user() {
        let mut quotas = AllocationQuotas::new(3, 2);
        assert!(quotas.take("ann") && quotas.take("ann") && !quotas.take("ann"));
        assert!(quotas.take("ben") && !quotas.take("cleo"));
        quotas.give_back("ann");
        assert!(quotas.take("cleo") && !quotas.take("ann"));
    }

    #[test]
    fn what_was_never_taken_is_not_given_back() {
        let mut quotas = AllocationQuotas::new(1, 1);
        quotas.give_back("ann");
        assert!(quotas.take("ann") && !quotas.take("ben"));
    }
}
