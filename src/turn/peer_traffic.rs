//! What has gone through an allocation, by peer; pure.

use std::net::SocketAddr;

/// Most peers that are counted one by one. A call has a handful; more is somebody who tries ports.
const MOST: usize = 64;

/// Packets and the bytes in them, without what TURN wraps them in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their payload, bytes.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, length: usize) {
        self.packets += 1;
        self.bytes += length as u64;
    }
}

/// What an allocation and one peer have exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The peer.
    pub peer: SocketAddr,
    /// From the client to it.
    pub to_peer: Count,
    /// From it to the client.
    pub from_peer: Count,
}

/// All of an allocation's flows, in the order they began.
#[derive(Debug, Default)]
pub(super) struct Flows(Vec<Flow>);

impl Flows {
    /// Counts a packet to a peer.
    pub(super) fn sent(&mut self, peer: SocketAddr, length: usize) {
        if let Some(flow) = self.of(peer) {
            flow.to_peer.add(length);
        }
    }

    /// Counts a packet from a peer.
    pub(super) fn received(&mut self, peer: SocketAddr, length: usize) {
        if let Some(flow) = self.of(peer) {
            flow.from_peer.add(length);
        }
    }

    /// All there are.
    pub(super) fn all(&self) -> &[Flow] {
        &self.0
    }

    fn of(&mut self, peer: SocketAddr) -> Option<&mut Flow> {
        let index = match self.0.iter().position(|flow| flow.peer == peer) {
            Some(index) => index,
            None if self.0.len() == MOST => return None,
            None => {
                self.0.push(Flow {
                    peer,
                    to_peer: Count::default(),
                    from_peer: Count::default(),
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
    fn packets_are_counted_by_peer_and_way() {
        let peer = |port| SocketAddr::from(([192, 0, 2, 7], port));
        let mut flows = Flows::default();
        flows.sent(peer(1), 10);
        flows.sent(peer(1), 20);
        flows.received(peer(2), 30);
        let count = |packets, bytes| Count { packets, bytes };
        assert_eq!(
            flows.all(),
            [
                Flow {
                    peer: peer(1),
                    to_peer: count(2, 30),
                    from_peer: count(0, 0),
                },
                Flow {
                    peer: peer(2),
                    to_peer: count(0, 0),
                    from_peer: count(1, 30),
                },
            ]
        );
    }

    #[test]
    fn their_number_is_limited() {
        let mut flows = Flows::default();
        for port in 1000..2000 {
            flows.sent(SocketAddr::from(([192, 0, 2, 7], port)), 1);
        }
        assert_eq!(flows.all().len(), MOST);
    }
}
