//! Resources and bodies of the REST API, apart from those of recordings.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::room::RoomState;
use crate::id::RoomId;
use crate::layout::LayoutKind;
use crate::topology::Mode;

/// A room, as the REST API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RoomResource {
    /// Id of the room.
    pub id: RoomId,
    /// State of the room, whose fields are in the same JSON object.
    #[serde(flatten)]
    pub state: RoomState,
}

/// The built-in TURN server, as `GET /api/v1/turn` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TurnResource {
    /// All open allocations.
    pub allocations: Vec<AllocationResource>,
}

/// An allocation of the built-in TURN server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AllocationResource {
    /// User of its credential: `ROOM/PARTICIPANT`, unless another program issued the credential.
    pub user: String,
    /// Transport address of the client.
    pub client: SocketAddr,
    /// Relayed transport addresses, which peers see in place of the client.
    pub relays: Vec<SocketAddr>,
    /// Traffic with each peer.
    pub peers: Vec<RelayedResource>,
}

/// The traffic between an allocation and one of its peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RelayedResource {
    /// Transport address of the peer.
    pub address: SocketAddr,
    /// Packets from the client to the peer.
    pub to_peer: TrafficResource,
    /// Packets from the peer to the client.
    pub from_peer: TrafficResource,
}

/// Packets that were relayed in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TrafficResource {
    /// Number of packets.
    pub packets: u64,
    /// Payload of the packets in bytes, without the framing of TURN.
    pub bytes: u64,
}

/// The body of `POST /api/v1/rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct CreateRoom {
    /// Id of the new room.
    pub id: RoomId,
    /// Mode in which it starts; the default of the server if absent.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Layout with which it starts; the default of the server if absent.
    #[serde(default)]
    pub layout: Option<LayoutKind>,
}

/// The body of `PATCH /api/v1/rooms/{room}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct PatchRoom {
    /// New mode of the room; unchanged if absent.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// New layout of the room; unchanged if absent.
    #[serde(default)]
    pub layout: Option<LayoutKind>,
}

/// The body of `PATCH /api/v1/rooms/{room}/participants/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct PatchParticipant {
    /// Whether the microphone is muted for everybody; unchanged if absent.
    #[serde(default)]
    pub mic_muted: Option<bool>,
    /// Whether the camera is hidden from everybody; unchanged if absent.
    #[serde(default)]
    pub camera_muted: Option<bool>,
    /// New display name; unchanged if absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether they are pinned to the large tile of the spotlight layout; unchanged if absent.
    #[serde(default)]
    pub pinned: Option<bool>,
}

/// The body of `PUT /api/v1/rooms/{room}/participants/{id}/hand`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct PutHand {
    /// True to raise the participant's hand, false to lower it.
    pub raised: bool,
}
