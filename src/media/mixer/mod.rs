//! The room's mixer.

pub mod blend;
pub mod playout;
pub mod voice;
