//! The composite: what is drawn, when, and how it gets to the encoders.

pub mod av_sync;
pub(crate) mod canvas;
pub(crate) mod colorimetry;
pub mod encoder_input;
pub(crate) mod frame_delay;
pub(crate) mod idle;
pub mod name_plate;
pub mod picture;
pub(crate) mod scene;
