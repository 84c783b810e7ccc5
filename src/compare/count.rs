//! Which paths media took, from the packets that the server, the bots and the relays counted; pure.
//! It does not know what the arithmetic expects.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::bots::{Path, StreamStats};
use crate::id::ParticipantId;
use crate::protocol::rest::AllocationResource;
use crate::topology::Paths;

/// Packets per second from which on a flow counts as media: a microphone has 50, connectivity
/// checks and RTCP far fewer.
const MEDIA_PER_SECOND: f64 = 20.0;

/// What was counted during a measurement.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Length of the measurement, s.
    pub(crate) seconds: f64,
    /// RTP packets that the server received from each person.
    pub(crate) up: Vec<u64>,
    /// What each person received.
    pub(crate) down: Vec<Vec<StreamStats>>,
    /// The relays at the start, with counters since their allocation.
    pub(crate) relays_before: Vec<AllocationResource>,
    /// The relays at the end, with counters since their allocation.
    pub(crate) relays: Vec<AllocationResource>,
}

/// One-way flows of media through the TURN server.
#[derive(Debug, Default, PartialEq, Eq)]
struct Legs {
    /// Between people and their relays, to or from another relay.
    mesh: u64,
    /// From a relay to the server.
    up: u64,
    /// From the server to a relay.
    down: u64,
}

/// The paths that media took.
///
/// A relayed flow from the server carries a path for each sender in it. A relay sees one flow, so
/// the number of senders is what the receiver counted.
pub(crate) fn paths(counts: &Counts) -> Paths {
    let least = (MEDIA_PER_SECOND * counts.seconds) as u64;
    let up = counts.up.iter().filter(|n| **n >= least).count() as u64;
    let sources: Vec<_> = counts.down.iter().map(|s| sources(s, least)).collect();
    let mesh: u64 = sources.iter().map(|(mesh, _)| mesh).sum();
    let served: u64 = sources.iter().map(|(_, served)| served).sum();
    let receivers = sources.iter().filter(|(_, served)| *served > 0).count() as u64;
    let legs = legs(&counts.relays_before, &counts.relays, least);
    let relayed_down = match legs.down == receivers {
        true => served,
        // Some come without a relay: whose cannot be told.
        false => legs.down,
    };
    let direct = match legs.mesh {
        0 => mesh,
        relayed => relayed,
    };
    Paths {
        outside: up + served + direct,
        inside: legs.up + relayed_down,
    }
}

/// From how many others a person received media directly, and from how many by the server, where
/// the mix counts as one.
fn sources(streams: &[StreamStats], least: u64) -> (u64, u64) {
    let mut packets: BTreeMap<(Path, Option<ParticipantId>), u64> = BTreeMap::new();
    for stream in streams {
        *packets.entry((stream.path, stream.from)).or_default() += stream.packets;
    }
    let mut found = (0, 0);
    for ((path, _), _) in packets.iter().filter(|(_, n)| **n >= least) {
        match path {
            Path::Mesh => found.0 += 1,
            Path::Mix | Path::Forward => found.1 += 1,
        }
    }
    found
}

fn legs(before: &[AllocationResource], after: &[AllocationResource], least: u64) -> Legs {
    let flows = |list: &[AllocationResource]| {
        let flows = list.iter().flat_map(|one| {
            let key = |peer| (one.client, one.user.clone(), peer);
            let of = one.peers.iter();
            of.map(move |f| (key(f.address), (f.to_peer.packets, f.from_peer.packets)))
        });
        flows.collect::<BTreeMap<_, _>>()
    };
    let relays: BTreeSet<SocketAddr> = after.iter().flat_map(|a| a.relays.clone()).collect();
    let before = flows(before);
    let mut legs = Legs::default();
    for (key, (to, from)) in flows(after) {
        let (to_before, from_before) = before.get(&key).copied().unwrap_or_default();
        let to = u64::from(to.saturating_sub(to_before) >= least);
        let from = u64::from(from.saturating_sub(from_before) >= least);
        if relays.contains(&key.2) {
            legs.mesh += to + from;
        } else {
            legs.up += to;
            legs.down += from;
        }
    }
    legs
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::rest::{RelayedResource, TrafficResource};

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn relay(port: u16, peer: u16, to: u64, from: u64) -> AllocationResource {
        let traffic = |packets| TrafficResource { packets, bytes: 0 };
        AllocationResource {
            user: "whip/x".into(),
            client: at(port),
            relays: vec![at(port + 1000)],
            peers: vec![RelayedResource {
                address: at(peer),
                to_peer: traffic(to),
                from_peer: traffic(from),
            }],
        }
    }

    #[test]
    fn two_relayed_to_a_server_are_two_legs_each_way() {
        let after = [relay(1, 9, 500, 500), relay(2, 9, 500, 500)];
        let expected = Legs {
            mesh: 0,
            up: 2,
            down: 2,
        };
        assert_eq!(legs(&[], &after, 100), expected);
        assert_eq!(legs(&after, &after, 100), Legs::default(), "nothing moved");
    }

    #[test]
    fn two_who_meet_relay_to_relay_are_four_legs() {
        let after = [relay(1, 1002, 500, 500), relay(2, 1001, 500, 500)];
        assert_eq!(legs(&[], &after, 100).mesh, 4);
        let counts = Counts {
            seconds: 2.0,
            relays: after.into(),
            ..Counts::default()
        };
        assert_eq!(paths(&counts).outside, 4);
    }

    #[test]
    fn checks_are_no_media() {
        let after = [relay(1, 9, 12, 30)];
        assert_eq!(legs(&[], &after, 100), Legs::default());
    }
}
