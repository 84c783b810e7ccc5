//! Tessera: a WebRTC mixing server (an MCU, RFC 7667) on GStreamer.
//!
//! [`signalling`] speaks with clients and asks a [`room`]; the room's pure [`room::state`] decides
//! what media should run, its task carries that out with [`media`]. [`bots`] are WebRTC clients for
//! the demo, the tests and [`compare`]; [`archive`] and [`remix`] keep and remake recordings;
//! [`turn`] relays; [`admission`] watches the machine. [`protocol`], [`codec`], [`layout`],
//! [`topology`] and [`id`] are values that all of them share.
//!
//! `docs/ARCHITECTURE.md` has the floors, the way of a packet, the invariants and where each kind
//! of change goes.

#![forbid(unsafe_code)]

pub mod admission;
pub mod archive;
pub mod bots;
pub mod codec;
pub mod compare;
pub mod config;
pub mod id;
pub mod layout;
pub mod media;
pub mod net;
pub mod process;
pub mod progress;
pub mod protocol;
#[cfg(test)]
mod protocol_types_tests;
pub mod remix;
pub mod room;
pub mod signalling;
pub mod telemetry;
pub mod topology;
pub mod turn;
