//! Media: the two journeys through the server, floor by floor. What is above uses what is below.
//!
//! **A packet up.** `peer` receives it (webrtcbin decrypts and orders), finds out which m-line
//! and encoding it belongs to, and hands it to a tap of [`stream`]. Its consumers are a decoder and
//! the canvas or the sound mixer of [`mixer`], forward slots, and a track writer of `file`.
//!
//! **A picture down.** [`mixer`] draws the canvas and encodes it once per rendition, each of which
//! ends in a tap. A slot of [`stream`] rewrites its packets for one viewer, and `peer` sends them
//! and takes the feedback.
//!
//! | floor | does |
//! | --- | --- |
//! | `peer` | one webrtcbin: an offer in, an answer out, taps and slots |
//! | [`mixer`] | decoders, canvas, sound mixer, encoders |
//! | `file` | writes recordings, repairs them, plays tracks back |
//! | [`stream`] | taps, slots, pacing, keyframe requests, retransmission budget |
//! | [`bwe`] | bandwidth estimation, and what follows from it; pure |
//! | [`sdp`], [`rtp`] | session descriptions and packets; `rtp` is pure |
//! | [`gst`] | what every pipeline shares |
//!
//! `peer`, [`mixer`] and `file` are the upper floor: only `file` uses another of them, the
//! [`mixer`]. [`bwe`], [`sdp`], [`rtp`] and [`gst`] are the ground floor.

pub mod bwe;
pub(crate) mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod gst;
pub mod mixer;
pub(crate) mod peer;
pub mod rtp;
pub mod sdp;
pub mod stream;
