//! Rooms: who is in them, what mode and layout they have, and what follows from that.

mod actor;
pub mod error;
pub mod handle;
mod recording;
pub mod registry;
pub mod state;

pub use crate::id::SourceId;
pub use crate::room::error::RoomError;
pub use crate::room::handle::{
    Capture, Departure, JoinRequest, Joined, LayerCapture, Muter, Notice, Reach, Roles, RoomHandle,
    RoomStats,
};
pub use crate::room::registry::{Registry, Wanted};
pub use crate::room::state::participant::{Downlinks, Sends};
pub use crate::room::state::recordings::MAX_RECORDINGS;
pub use crate::room::state::requests::MAX_MESH;
