//! Measuring instruments: what stands where in a picture, which tones are in a sound, how old a
//! frame is, and how evenly frames arrive. All pure.

pub mod cadence;
pub mod color;
pub mod motion;
pub mod picture;
pub mod spread;
pub mod timecode;
pub mod tone;

pub use cadence::Cadence;
pub use picture::Picture;
pub use spread::{Histogram, Spread};
