//! Rooms: who is in them, what mode and layout they have, and what follows from that.

mod actor;
mod assign;
mod captures;
mod chronicle;
mod composites;
mod desired;
mod diary;
mod ears;
pub mod error;
mod forwards;
pub mod handle;
mod layers;
mod links;
mod member;
mod person;
mod pressure;
mod recorders;
mod recordings;
pub mod registry;
mod requests;
mod routing;
mod rungs;
mod service;
mod shares;
pub mod state;
mod stats;
mod tracks;
pub mod view;
pub mod wiring;

pub use crate::media::mixer::SourceId;
pub use error::RoomError;
pub use handle::{
    Capture, Departure, JoinRequest, Joined, LayerCapture, Muter, Notice, Reach, Roles, RoomHandle,
    RoomStats,
};
pub use person::{Downlinks, Sends};
pub use recordings::MAX_RECORDINGS;
pub use registry::{Registry, Wanted};
pub use requests::MAX_MESH;
