//! The mix: who is heard, the sum for each listener, and what is sent of it.

pub(crate) mod dtx;
pub(crate) mod gaps;
pub mod gate;
pub mod mix;
pub mod playout;
pub(crate) mod sound;
