//! Rooms: who is in them, what mode and layout they have, and what follows from that.
//!
//! [`state`] decides: a pure state machine. `actor` is the task that carries out what it decides,
//! `recording` the tasks that write files. [`handle`] is what signalling holds of a room and
//! [`registry`] the map of all.

mod actor;
pub mod error;
pub mod handle;
pub mod notices;
mod recording;
pub mod registry;
pub(crate) mod settings;
pub mod state;

pub use error::RoomError;
pub use handle::{JoinRequest, Joined, Roles, RoomHandle};
pub use notices::{Notice, NoticeReceiver};
pub use registry::{Registry, Wanted};
pub use state::commands::MAX_MESH;
pub use state::participant::{Downlinks, Sends};
pub use state::recordings::MAX_RECORDINGS;
pub use state::{Departure, Muter, Reach, Request};
