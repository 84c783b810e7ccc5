//! The permissions and channels of one allocation, counted; pure. The library keeps them in a list
//! that it searches for each packet, and bounds it by nothing.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turn_server_proto::types::Instant;

/// Largest number of addresses that one allocation has permissions and channels for at once; a
/// request for more is answered with 508. Browsers ask for one per candidate of the other side.
pub(super) const MAX_PERMISSIONS: usize = 32;
/// How long a channel lasts (RFC 8656 section 12), and at least what a permission does.
const LIFETIME: Duration = Duration::from_secs(600);

/// The addresses that an allocation may exchange packets with, each until a time.
#[derive(Debug, Default)]
pub(super) struct Permissions(Vec<(IpAddr, Instant)>);

impl Permissions {
    /// Whether permissions for `peers` can be had beside those that are there.
    pub(super) fn fit(&mut self, peers: &[SocketAddr], now: Instant) -> bool {
        self.0.retain(|(_, until)| *until > now);
        let mut new: Vec<IpAddr> = peers.iter().map(SocketAddr::ip).collect();
        new.retain(|ip| !self.0.iter().any(|(known, _)| known == ip));
        new.sort_unstable();
        new.dedup();
        self.0.len() + new.len() <= MAX_PERMISSIONS
    }

    /// Notes that permissions for `peers` were granted or renewed.
    pub(super) fn note(&mut self, peers: &[SocketAddr], now: Instant) {
        let until = now + LIFETIME;
        for peer in peers {
            match self.0.iter_mut().find(|(known, _)| *known == peer.ip()) {
                Some((_, known)) => *known = until,
                None => self.0.push((peer.ip(), until)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: usize, port: u16) -> SocketAddr {
        let host = u8::try_from(host).expect("a byte");
        SocketAddr::from(([198, 51, 100, host], port))
    }

    #[test]
    fn an_allocation_has_permissions_for_few_addresses_at_once() {
        let mut permissions = Permissions::default();
        let now = Instant::from_nanos(1_000_000_000);
        let most: Vec<SocketAddr> = (0..MAX_PERMISSIONS).map(|n| peer(n, 1)).collect();
        assert!(permissions.fit(&most, now));
        permissions.note(&most, now);
        assert!(permissions.fit(&[peer(0, 9), peer(1, 9)], now), "renewed");
        assert!(!permissions.fit(&[peer(0, 9), peer(MAX_PERMISSIONS, 9)], now));
        let later = now + LIFETIME;
        permissions.note(&[peer(0, 1)], later - Duration::from_secs(1));
        assert!(permissions.fit(&most[1..], later), "the others are over");
        let twice = [&most[..], &most].concat();
        assert!(Permissions::default().fit(&twice, now), "each counts once");
    }
}
