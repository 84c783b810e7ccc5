//! Measuring instruments: which colour is where in a picture, which tones are in a sound, how old a
//! frame is, and how evenly frames arrive. All pure.

pub(crate) mod cadence;
pub mod color;
pub mod motion;
pub mod picture;
pub(crate) mod spread;
pub mod timecode;
pub mod tone;

pub(crate) use cadence::Cadence;
pub use picture::Picture;
pub(crate) use spread::Histogram;
pub use spread::Spread;
