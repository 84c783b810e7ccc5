//! Tessera: a WebRTC mixing server (MCU) on GStreamer.
//!
//! # Code map
//!
//! Dependencies point down only: `signalling -> room -> media -> {layout, rewrite, id, config}`.
//!
//! - [`signalling`]: WebSocket, WHIP, WHEP, REST and the page. Knows the wire ([`protocol`]) and
//!   turns it into calls on a [`room::RoomHandle`]. Knows no media.
//! - [`room`]: [`room::state`] is a pure state machine, `(now, Input) -> Effects`; it says what
//!   should be, and [`room::wiring`] the steps from what is to that. A mode is routing: `routing`
//!   says by which way each participant is served and when a change of that is complete,
//!   `forwards` and `assign` who has whose slots, `layers` and `captures` in which of a camera's
//!   encodings. One task per room carries the steps out and is the only place where effects happen.
//!   [`room::Registry`] is the map of rooms.
//! - [`media`]: the only module that uses GStreamer. A [`media::peer`] per participant transports
//!   and nothing else; a [`media::mixer`] per room decodes, composites, mixes and encodes;
//!   [`media::tap`] and [`media::slot`] join them.
//! - [`bots`]: synthetic participants for the demo, the tests and the measurements, which are
//!   WebRTC clients like any other.
//! - [`compare`]: the same bots through every topology on a server of its own; `report` is what was
//!   measured, and everything that judges or draws is a function of it.
//! - [`archive`]: the folder of recordings and its catalogue. `room::recorders` has a task for each
//!   recording, [`media::recorder`] the pipeline that writes it.
//! - [`admission`]: what the server uses of the machine, what a join costs, what is saved on and who
//!   is refused. A pure gauge, which the server samples and the rooms follow.
//! - [`remix`]: a composite of recorded tracks, made afterwards by the room's own canvas and sound
//!   mixer ([`media::mixer::offline`]).
//! - [`turn`]: STUN and TURN, which know of nothing else here but their settings.
//! - [`layout`], [`topology`], [`media::rewrite`], [`media::rtp`] and the sound modules of
//!   [`media::mixer`] are pure: values in, values out.
//!
//! # Invariants
//!
//! - The room's state machine knows no clock, no tokio and no GStreamer. Time is a parameter.
//! - Media never crosses a tokio channel; signalling never crosses a GStreamer thread.
//! - Every participant's transport and every decoder and encoder is a pipeline of its own, on one
//!   clock and base time. What is joined is joined by a tap, so that the end of one is a `Null`
//!   and not surgery on another, and an error is known by whose bus it came from.
//! - The canvas and the sound mixer read their sources when it is time for a frame; no source is
//!   ever waited for.
//! - A peer answers one offer and never renegotiates. What a downlink slot carries is routing.
//! - A participant's media is neither decoded nor fed before its DTLS certificate has been
//!   compared with its offer.
//! - No text of a client ever gets into a pipeline description.
//!
//! # Where the design was departed from
//!
//! The composite is made by [`media::mixer`]'s own canvas and not by `compositor`, the sound by
//! plain Rust and not by `audiomixer`, and taps are not `StreamProducer`s; the reasons stand at
//! the head of each module.

#![forbid(unsafe_code)]

pub mod admission;
pub mod archive;
pub mod bots;
pub mod compare;
pub mod config;
pub mod id;
pub mod layout;
pub mod media;
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
