//! The part of the server's configuration that a room's task needs.

use crate::codec::VideoCodec;
use crate::layout::{Fit, Size};
use crate::media::peer::Transport;

/// Settings that the tasks of all rooms of a server share.
#[derive(Debug)]
pub(crate) struct RoomSettings {
    /// Addresses and ports on which ICE candidates are gathered.
    pub(crate) transport: Transport,
    /// Supported video codecs, the preferred one first.
    pub(crate) codecs: Vec<VideoCodec>,
    /// Largest number of m-lines in an offer.
    pub(crate) max_mlines: usize,
    /// Size of the composite, pixels.
    pub(crate) canvas: Size,
    /// Frames per second of the composite without pressure.
    pub(crate) fps: u32,
    /// How pictures fill tiles of another aspect ratio.
    pub(crate) fit: Fit,
    /// Bitrate of a sound mix, bit/s.
    pub(crate) audio_bitrate: u32,
}
