//! The metrics of the TURN server.

use std::fmt;

use metrics::{Counter, Gauge, counter, gauge};
use turn_server_proto::types::stun::attribute::ErrorCode;
use turn_server_proto::types::stun::message::Message;

/// Counts packets relayed in one direction.
pub(super) struct DirectionCounter {
    packets: Counter,
    bytes: Counter,
}

impl DirectionCounter {
    fn new(direction: &'static str) -> Self {
        Self {
            packets: counter!("tessera_turn_packets_total", "direction" => direction),
            bytes: counter!("tessera_turn_bytes_total", "direction" => direction),
        }
    }

    /// Counts a packet with a payload of `length` bytes.
    pub(super) fn add(&self, length: usize) {
        self.packets.increment(1);
        self.bytes.increment(length as u64);
    }
}

/// All metrics of the server. Handles are looked up once: packets come by the thousand.
pub(super) struct Counters {
    pub(super) allocations: Gauge,
    pub(super) to_peer: DirectionCounter,
    pub(super) from_peer: DirectionCounter,
    /// Packets that were lost because a socket or a queue was full.
    pub(super) dropped: Counter,
    pub(super) bindings: Counter,
    /// Requests without a credential that got no answer because of the rate limit.
    pub(super) limited: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            allocations: gauge!("tessera_turn_allocations"),
            to_peer: DirectionCounter::new("to_peer"),
            from_peer: DirectionCounter::new("from_peer"),
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
    /// Counts a response by its error code, 0 for success.
    pub(super) fn answered(&self, answer: &[u8]) {
        let code = Message::from_bytes(answer)
            .ok()
            .and_then(|answer| answer.attribute::<ErrorCode>().ok().map(|code| code.code()));
        let code = code.unwrap_or(0).to_string();
        counter!("tessera_turn_answers_total", "code" => code).increment(1);
    }
}
