//! Rooms: who is in them, what mode and layout they have, and what follows from that.

pub mod error;
pub mod handle;
pub mod registry;
pub mod view;

pub use error::RoomError;
pub use handle::{
    Capture, Departure, JoinRequest, Joined, Muter, Notice, Roles, RoomHandle, RoomStats,
};
pub use registry::Registry;
