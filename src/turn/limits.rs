//! How much of the server anybody may have.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// How many allowances there are.
const BUCKETS: usize = 4096;

/// Meters what has not shown a credential, by address.
///
/// The source of a UDP packet can be made up, so there are as many allowances as there ever will
/// be, and an address has one by a hash that nobody else can compute. Two addresses may share one.
pub(super) struct Strangers {
    buckets: Vec<DefaultDirectRateLimiter>,
    hash: RandomState,
}

impl Strangers {
    /// `per_second` requests from one address, twice as many at once.
    pub(super) fn new(per_second: u32) -> Self {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(rate.saturating_add(rate.get()));
        Self {
            buckets: (0..BUCKETS).map(|_| RateLimiter::direct(quota)).collect(),
            hash: RandomState::new(),
        }
    }

    /// Takes one request of an address's allowance; whether there was one left.
    pub(super) fn admit(&self, address: IpAddr) -> bool {
        let hash = self.hash.hash_one(subscriber(address)) % BUCKETS as u64;
        let bucket = usize::try_from(hash).ok().and_then(|i| self.buckets.get(i));
        bucket.is_some_and(|bucket| bucket.check().is_ok())
    }
}

/// The part of an address that names a subscriber: an IPv6 host has a whole /64 (RFC 6177).
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

/// How many allocations there are, and may be.
#[derive(Debug)]
pub(super) struct Quotas {
    most: usize,
    most_of_a_user: usize,
    all: usize,
    by_user: HashMap<String, usize>,
}

impl Quotas {
    /// None yet.
    pub(super) fn new(most: usize, most_of_a_user: usize) -> Self {
        Self {
            most,
            most_of_a_user,
            all: 0,
            by_user: HashMap::new(),
        }
    }

    /// Takes a place for an allocation; whether there was one.
    pub(super) fn take(&mut self, user: &str) -> bool {
        let own = self.by_user.get(user).copied().unwrap_or(0);
        if self.all >= self.most || own >= self.most_of_a_user {
            return false;
        }
        self.all += 1;
        self.by_user.insert(user.to_owned(), own + 1);
        true
    }

    /// Gives one back.
    pub(super) fn give_back(&mut self, user: &str) {
        if let Some(own) = self.by_user.get_mut(user) {
            self.all -= 1;
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
    fn strangers_are_metered_by_address() {
        let strangers = Strangers::new(3);
        let one = IpAddr::from([192, 0, 2, 1]);
        let admitted = (0..50).filter(|_| strangers.admit(one)).count();
        assert!((6..=7).contains(&admitted), "twice the rate: {admitted}");
        // Some of them share an allowance with others, but few do.
        let others = (0..100u8).map(|i| IpAddr::from([198, 51, 100, i]));
        assert!(others.filter(|other| strangers.admit(*other)).count() > 90);
    }

    #[test]
    fn an_ipv6_network_is_one_stranger() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(
            subscriber(ip("2001:db8::1")),
            subscriber(ip("2001:db8::2:1"))
        );
        assert_ne!(
            subscriber(ip("2001:db8::1")),
            subscriber(ip("2001:db8:0:1::1"))
        );
    }

    #[test]
    fn places_are_limited_in_all_and_by_user() {
        let mut quotas = Quotas::new(3, 2);
        assert!(quotas.take("ann") && quotas.take("ann") && !quotas.take("ann"));
        assert!(quotas.take("ben") && !quotas.take("cleo"));
        quotas.give_back("ann");
        assert!(quotas.take("cleo") && !quotas.take("ann"));
    }

    #[test]
    fn what_was_never_taken_is_not_given_back() {
        let mut quotas = Quotas::new(1, 1);
        quotas.give_back("ann");
        assert!(quotas.take("ann") && !quotas.take("ben"));
    }
}
