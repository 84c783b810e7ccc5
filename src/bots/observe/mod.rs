//! What a bot sees and hears, and the instruments that read it.

pub(crate) mod detection;
pub(crate) mod observer;
pub mod packet_capture;
pub mod palette;
pub mod probe;
