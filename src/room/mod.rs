//! Rooms: who is in them, what mode and layout they have, and what follows from that.

mod actor;
mod desired;
pub mod error;
pub mod handle;
mod member;
mod person;
pub mod registry;
pub mod state;
mod stats;
pub mod view;
pub mod wiring;

pub use error::RoomError;
pub use handle::{
    Capture, Departure, JoinRequest, Joined, Muter, Notice, Reach, Roles, RoomHandle, RoomStats,
};
pub use person::Downlinks;
pub use registry::Registry;
