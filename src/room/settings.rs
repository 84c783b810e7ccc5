//! What of the server's configuration reaches a room's task.

use crate::codec::VideoCodec;
use crate::layout::{Fit, Size};
use crate::media::peer::Transport;

/// What the rooms of a server are made with, as far as the room's task needs it.
#[derive(Debug)]
pub(crate) struct RoomSettings {
    /// Where ICE candidates are gathered.
    pub(crate) transport: Transport,
    /// Video codecs that are spoken, the best first.
    pub(crate) codecs: Vec<VideoCodec>,
    /// Most m-lines of an offer.
    pub(crate) max_mlines: usize,
    /// The composite's size, pixels.
    pub(crate) canvas: Size,
    /// Composite frames per second.
    pub(crate) fps: u32,
    /// How pictures fill tiles of another shape.
    pub(crate) fit: Fit,
    /// bit/s of a mix.
    pub(crate) audio_bitrate: u32,
}
