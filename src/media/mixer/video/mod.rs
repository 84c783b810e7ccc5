//! The composite: what is drawn, when, and how it gets to the encoders.

pub(crate) mod av_sync;
pub(crate) mod canvas;
pub(crate) mod colorimetry;
pub(crate) mod encoder_input;
pub(crate) mod frame_delay;
pub(crate) mod idle;
pub(crate) mod label;
pub(crate) mod muted_mark;
pub(crate) mod name_plate;
pub(crate) mod name_plates;
pub(crate) mod picture;
pub(crate) mod read_frame;
pub(crate) mod scene;
