//! The part of the server's configuration that a room's task needs.

use std::net::IpAddr;

use crate::codec::VideoCodec;
use crate::layout::{Fit, Size};
use crate::media::peer::Transport;
use crate::net::MediaIps;

/// Settings that the tasks of all rooms of a server share.
#[derive(Debug)]
pub(crate) struct RoomSettings {
    /// Addresses on which ICE candidates are gathered.
    pub(crate) media_ips: MediaIps,
    /// UDP ports of media, both ends included; any if `None`.
    pub(crate) media_ports: Option<(u16, u16)>,
    /// The address that host candidates carry instead of their own (NAT 1:1).
    pub(crate) public_ip: Option<IpAddr>,
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

impl RoomSettings {
    /// Where a peer's transport runs, with the addresses that the machine has now.
    pub(crate) fn transport(&self) -> Transport {
        Transport {
            media_ips: self.media_ips.addresses(),
            media_ports: self.media_ports,
            public_ip: self.public_ip,
        }
    }
}
