//! How much of the server one client may use: requests without a credential, and allocations.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
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

/// Part of all allocations that one address (IPv6: one /64) may have: one in so many, or as many as
/// two users may have where that is more. Anybody can be many users, each with a credential.
pub(super) const ADDRESS_SHARE: usize = 4;

/// Counts the open allocations against the limits of the server, of each user and of each address.
#[derive(Debug)]
pub(super) struct AllocationQuotas {
    max: usize,
    max_per_user: usize,
    total: usize,
    by_user: HashMap<String, usize>,
    /// By subscriber.
    by_address: HashMap<IpAddr, usize>,
}

impl AllocationQuotas {
    /// Quotas of a server without an allocation yet.
    pub(super) fn new(max: usize, max_per_user: usize) -> Self {
        Self {
            max,
            max_per_user,
            total: 0,
            by_user: HashMap::new(),
            by_address: HashMap::new(),
        }
    }

    /// Largest number of allocations of one address.
    fn max_per_address(&self) -> usize {
        (self.max / ADDRESS_SHARE).max(self.max_per_user.saturating_mul(2))
    }

    /// Counts one more allocation of `user` at `address`. False, and nothing counted, if a limit is
    /// reached.
    pub(super) fn take(&mut self, user: &str, address: IpAddr) -> bool {
        let address = subscriber(address);
        let of_user = self.by_user.get(user).copied().unwrap_or(0);
        let of_address = self.by_address.get(&address).copied().unwrap_or(0);
        if self.total >= self.max
            || of_user >= self.max_per_user
            || of_address >= self.max_per_address()
        {
            return false;
        }
        self.total += 1;
        self.by_user.insert(user.to_owned(), of_user + 1);
        self.by_address.insert(address, of_address + 1);
        true
    }

    /// Counts one allocation of `user` at `address` less. Does nothing if the user has none.
    pub(super) fn give_back(&mut self, user: &str, address: IpAddr) {
        if one_less(&mut self.by_user, user) {
            self.total -= 1;
            one_less(&mut self.by_address, &subscriber(address));
        }
    }
}

/// Counts one less, and forgets who has none left. False if there was none.
fn one_less<K: Hash + Eq + Borrow<Q>, Q: Hash + Eq + ?Sized>(
    counts: &mut HashMap<K, usize>,
    of: &Q,
) -> bool {
    let Some(count) = counts.get_mut(of) else {
        return false;
    };
    *count -= 1;
    if *count == 0 {
        counts.remove(of);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

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
        let (one, other) = (host(1), host(2));
        assert!(quotas.take("ann", one) && quotas.take("ann", one) && !quotas.take("ann", other));
        assert!(quotas.take("ben", other) && !quotas.take("cleo", other));
        quotas.give_back("ann", one);
        assert!(quotas.take("cleo", other) && !quotas.take("ann", one));
    }

    #[test]
    fn one_address_leaves_allocations_for_others_whoever_it_says_it_is() {
        let mut quotas = AllocationQuotas::new(1000, 40);
        let taken = (0..1000).filter(|n| quotas.take(&format!("u{n}"), host(1)));
        assert_eq!(taken.count(), 1000 / ADDRESS_SHARE);
        assert!(quotas.take("honest", host(2)));
        quotas.give_back("u0", host(1));
        assert!(quotas.take("again", host(1)) && !quotas.take("more", host(1)));
        for n in 1..250 {
            quotas.give_back(&format!("u{n}"), host(1));
        }
        quotas.give_back("again", host(1));
        assert_eq!((quotas.total, quotas.by_address.len()), (1, 1));
    }

    #[test]
    fn what_was_never_taken_is_not_given_back() {
        let mut quotas = AllocationQuotas::new(1, 1);
        quotas.give_back("ann", host(1));
        assert!(quotas.take("ann", host(1)) && !quotas.take("ben", host(1)));
    }
}
