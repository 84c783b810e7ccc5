//! The server's metrics.

use std::fmt;

use metrics::{Counter, Gauge, counter, gauge};
use turn_server_proto::types::stun::attribute::ErrorCode;
use turn_server_proto::types::stun::message::Message;

/// One direction of what is relayed.
pub(super) struct Way {
    packets: Counter,
    bytes: Counter,
}

impl Way {
    fn new(direction: &'static str) -> Self {
        Self {
            packets: counter!("tessera_turn_packets_total", "direction" => direction),
            bytes: counter!("tessera_turn_bytes_total", "direction" => direction),
        }
    }

    /// Counts a packet by what is in it, bytes.
    pub(super) fn add(&self, length: usize) {
        self.packets.increment(1);
        self.bytes.increment(length as u64);
    }
}

/// All of them. Handles are looked up once: packets come by the thousand.
pub(super) struct Counters {
    /// Allocations open now.
    pub(super) allocations: Gauge,
    /// From clients to peers.
    pub(super) to_peer: Way,
    /// From peers to clients.
    pub(super) from_peer: Way,
    /// Packets for which there was no room.
    pub(super) dropped: Counter,
    /// Binding requests answered.
    pub(super) bindings: Counter,
    /// Requests without a credential that got no answer, for there were too many.
    pub(super) limited: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            allocations: gauge!("tessera_turn_allocations"),
            to_peer: Way::new("to_peer"),
            from_peer: Way::new("from_peer"),
            dropped: counter!("tessera_turn_dropped_total"),
            bindings: counter!("tessera_turn_bindings_total"),
            limited: counter!("tessera_turn_rate_limited_total"),
        }
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counters(..)")
    }
}

impl Counters {
    /// Counts an answer to a request by its error code, 0 for success.
    pub(super) fn answered(&self, answer: &[u8]) {
        let code = Message::from_bytes(answer)
            .ok()
            .and_then(|answer| answer.attribute::<ErrorCode>().ok().map(|code| code.code()));
        let code = code.unwrap_or(0).to_string();
        counter!("tessera_turn_answers_total", "code" => code).increment(1);
    }
}
