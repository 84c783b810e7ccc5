//! What an allocation has relayed, by peer; pure.

use std::net::SocketAddr;

/// Largest number of peers that are counted one by one; packets of further ones are relayed and
/// not counted. A call has a handful of peers, more is a client that tries ports.
const MAX_PEERS: usize = 64;

/// Packets relayed in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficCount {
    /// Number of packets.
    pub packets: u64,
    /// Payload of the packets in bytes, without the framing of TURN.
    pub bytes: u64,
}

impl TrafficCount {
    fn add(&mut self, length: usize) {
        self.packets += 1;
        self.bytes += length as u64;
    }
}

/// What an allocation and one of its peers have exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerTraffic {
    /// Transport address of the peer.
    pub peer: SocketAddr,
    /// Packets from the client to the peer.
    pub to_peer: TrafficCount,
    /// Packets from the peer to the client.
    pub from_peer: TrafficCount,
}

/// The traffic of one allocation, in the order in which its peers appeared.
#[derive(Debug, Default)]
pub(super) struct TrafficByPeer(Vec<PeerTraffic>);

impl TrafficByPeer {
    /// Counts a packet of `length` bytes to a peer.
    pub(super) fn sent(&mut self, peer: SocketAddr, length: usize) {
        if let Some(traffic) = self.of(peer) {
            traffic.to_peer.add(length);
        }
    }

    /// Counts a packet of `length` bytes from a peer.
    pub(super) fn received(&mut self, peer: SocketAddr, length: usize) {
        if let Some(traffic) = self.of(peer) {
            traffic.from_peer.add(length);
        }
    }

    pub(super) fn all(&self) -> &[PeerTraffic] {
        &self.0
    }

    /// The entry of a peer, made if it is new; `None` once [`MAX_PEERS`] others are counted.
    fn of(&mut self, peer: SocketAddr) -> Option<&mut PeerTraffic> {
        let index = match self.0.iter().position(|traffic| traffic.peer == peer) {
            Some(index) => index,
            None if self.0.len() == MAX_PEERS => return None,
            None => {
                self.0.push(PeerTraffic {
                    peer,
                    to_peer: TrafficCount::default(),
                    from_peer: TrafficCount::default(),
                });
                self.0.len() - 1
            }
        };
        self.0.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_by_peer_and_direction() {
        let peer = |port| SocketAddr::from(([192, 0, 2, 7], port));
        let mut traffic = TrafficByPeer::default();
        traffic.sent(peer(1), 10);
        traffic.sent(peer(1), 20);
        traffic.received(peer(2), 30);
        let count = |packets, bytes| TrafficCount { packets, bytes };
        assert_eq!(
            traffic.all(),
            [
                PeerTraffic {
                    peer: peer(1),
                    to_peer: count(2, 30),
                    from_peer: count(0, 0),
                },
                PeerTraffic {
                    peer: peer(2),
                    to_peer: count(0, 0),
                    from_peer: count(1, 30),
                },
            ]
        );
    }

    #[test]
    fn their_number_is_limited() {
        let mut traffic = TrafficByPeer::default();
        for port in 1000..2000 {
            traffic.sent(SocketAddr::from(([192, 0, 2, 7], port)), 1);
        }
        assert_eq!(traffic.all().len(), MAX_PEERS);
    }
}
