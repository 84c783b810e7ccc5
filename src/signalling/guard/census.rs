//! How many of something there are at once, in all and by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::net::subscriber;

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::signalling) struct Capacity {
    /// In all.
    pub(in crate::signalling) total: usize,
    /// From one address (IPv6: one /64).
    pub(in crate::signalling) each: usize,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalling) enum Full {
    /// There are as many as there may be.
    Total,
    /// There are as many from this address as there may be.
    Address,
}

/// Who is in is counted. Cloning shares the count.
#[derive(Debug, Clone)]
pub(in crate::signalling) struct Census {
    capacity: Capacity,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    each: HashMap<IpAddr, usize>,
}

/// A place that is taken, given back when it is dropped.
#[derive(Debug)]
pub(in crate::signalling) struct Place {
    /// The address under which it is counted, if under one.
    address: Option<IpAddr>,
    counts: Arc<Mutex<Counts>>,
}

impl Census {
    pub(in crate::signalling) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            counts: Arc::default(),
        }
    }

    /// Takes a place for one from `address`; `None` is counted in all alone.
    ///
    /// # Errors
    /// [`Full`] if there is none.
    pub(in crate::signalling) fn enter(&self, address: Option<IpAddr>) -> Result<Place, Full> {
        let address = address.map(subscriber);
        let mut counts = self.counts.lock();
        if counts.total >= self.capacity.total {
            return Err(Full::Total);
        }
        if let Some(address) = address {
            let count = counts.each.get(&address).copied().unwrap_or(0);
            if count >= self.capacity.each {
                return Err(Full::Address);
            }
            counts.each.insert(address, count + 1);
        }
        counts.total += 1;
        Ok(Place {
            address,
            counts: Arc::clone(&self.counts),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        counts.total -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = counts.each.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.each.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn places_are_counted_by_address_and_in_all_and_given_back() {
        let census = Census::new(Capacity { total: 5, each: 2 });
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let mut places: Vec<Place> = [one, one, other, None]
            .into_iter()
            .map(|from| census.enter(from).expect("a place"))
            .collect();
        assert_eq!(census.enter(one).err(), Some(Full::Address));
        places.push(census.enter(None).expect("a place"));
        assert_eq!(census.enter(None).err(), Some(Full::Total));
        assert_eq!(census.enter(other).err(), Some(Full::Total));
        places.remove(0);
        places.push(census.enter(one).expect("it has been given back"));
        drop(places);
        let counts = census.counts.lock();
        assert_eq!((counts.total, counts.each.len()), (0, 0));
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let census = Census::new(Capacity { total: 9, each: 1 });
        let _place = census.enter(ip("2001:db8:1:2::1"));
        assert!(census.enter(ip("2001:db8:1:2::2")).is_err());
        assert!(census.enter(ip("2001:db8:1:3::1")).is_ok());
    }
}
