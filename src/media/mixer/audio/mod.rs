//! The mix: who is decoded, who is heard, the sum for each listener, and what is sent of it.

pub(crate) mod block_sink;
pub mod candidates;
pub(crate) mod decoder;
pub(crate) mod dtx;
pub(crate) mod encoder;
pub(crate) mod feed;
pub(crate) mod gaps;
pub mod gate;
pub(crate) mod input;
pub mod mix;
pub mod playout;
pub(crate) mod sound;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod voice;

#[cfg(test)]
mod tests;
