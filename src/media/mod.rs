//! Everything that touches media; the only module that uses GStreamer.

pub mod plugins;
