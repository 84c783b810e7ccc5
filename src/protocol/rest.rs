//! Resources and bodies of the REST API, those of recordings excepted.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::room::RoomState;
use crate::id::RoomId;
use crate::layout::LayoutKind;
use crate::topology::Mode;

/// A room in the REST API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoomResource {
    /// The room's id.
    pub id: RoomId,
    /// Everything a page draws.
    #[serde(flatten)]
    pub state: RoomState,
}

/// The built-in TURN server in the REST API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnResource {
    /// Every allocation there is.
    pub allocations: Vec<AllocationResource>,
}

/// A TURN allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationResource {
    /// Whose it is: room and participant, unless the credential came from elsewhere.
    pub user: String,
    /// Where its client is.
    pub client: SocketAddr,
    /// What peers see instead.
    pub relays: Vec<SocketAddr>,
    /// What went through it.
    pub peers: Vec<RelayedResource>,
}

/// What an allocation and one peer have exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedResource {
    /// The peer.
    pub address: SocketAddr,
    /// From the client to the peer.
    pub to_peer: TrafficResource,
    /// From the peer to the client.
    pub from_peer: TrafficResource,
}

/// Packets in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficResource {
    /// How many.
    pub packets: u64,
    /// The bytes in them, without the wrapping of TURN.
    pub bytes: u64,
}

/// The body of `POST /api/v1/rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRoom {
    /// The room's id.
    pub id: RoomId,
    /// The mode to start in, the server's default if absent.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// The layout to start with, the server's default if absent.
    #[serde(default)]
    pub layout: Option<LayoutKind>,
}

/// The body of `PATCH /api/v1/rooms/{room}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchRoom {
    /// Another mode.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Another layout.
    #[serde(default)]
    pub layout: Option<LayoutKind>,
}

/// The body of `PATCH /api/v1/rooms/{room}/participants/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchParticipant {
    /// Mute or release the microphone for everybody.
    #[serde(default)]
    pub mic_muted: Option<bool>,
    /// Hide or show the camera for everybody.
    #[serde(default)]
    pub camera_muted: Option<bool>,
    /// Another name.
    #[serde(default)]
    pub name: Option<String>,
    /// Give them the large tile of the spotlight layout, or take it away.
    #[serde(default)]
    pub pinned: Option<bool>,
}
