//! Live figures of a room: the body of `GET /api/v1/rooms/{room}/stats`.
//!
//! Bitrates are means over the last second, in bit/s, RTP headers included.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::room::MeasuredPaths;
use crate::codec::{Codec, VideoCodec};
use crate::id::{ParticipantId, Rid, Role, RoomId};
use crate::topology::Mode;

/// What the server saves on where it is short of processor time; each step includes all those
/// before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Pressure {
    /// It saves on nothing.
    #[default]
    None,
    /// Composites have two thirds of their frames.
    FrameRate,
    /// Composites have half of their frames.
    HalfFrameRate,
    /// The top rung of the ladder is withheld.
    Size,
    /// Every other rung of the ladder is withheld.
    Rungs,
}

/// Everything that is measured of a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RoomStats {
    /// The room's id.
    pub id: RoomId,
    /// The mode in force.
    pub mode: Mode,
    /// What the server saves on.
    pub pressure: Pressure,
    /// Frames per second of the composite.
    pub fps: u32,
    /// One entry per participant, in the order of joining.
    pub participants: Vec<ParticipantStats>,
    /// Media flows between machines, expected and counted.
    pub paths: MeasuredPaths,
    /// Decoders that run.
    pub decoders: usize,
    /// Pixels that they decode per second.
    pub decoded_pixels_per_second: u64,
    /// One entry per running encoder of the mixer.
    pub renditions: Vec<RenditionStats>,
    /// Figures of the whole server.
    pub server: ServerStats,
}

/// Figures of one participant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ParticipantStats {
    /// The participant.
    pub id: ParticipantId,
    /// The name on their tile.
    pub name: String,
    /// Whether ICE and DTLS are up.
    pub connected: bool,
    /// The uplinks on which anything has come.
    pub uplinks: BTreeMap<Role, UplinkStats>,
    /// The rung of the ladder that they are sent, 0 for the top; null where they are sent no
    /// composite.
    pub rung: Option<u8>,
    /// The link to them; null until anything is known of it.
    pub link: Option<LinkStats>,
    /// Lost packets and what became of them; null before there is a connection.
    pub repair: Option<RepairStats>,
}

/// What is known of the link to a participant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LinkStats {
    /// bit/s that arrive, all headers included (libwebrtc: acknowledged bitrate).
    pub arriving_bps: u32,
    /// Share of packets that do not arrive, 0 to 1.
    pub loss: f32,
    /// How long packets wait on the way, ms.
    pub queue_ms: f64,
    /// bit/s that the participant may be sent; null without a limit.
    pub budget_bps: Option<f64>,
}

/// Packets of a connection that were lost, asked for and sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RepairStats {
    /// Requests made for a packet (NACK, RFC 4585 section 6.2.1).
    pub asked: u64,
    /// Packets that came because they had been asked for (RFC 4588).
    pub recovered: u64,
    /// Packets that were not there when it was their turn.
    pub lost: u64,
    /// Requests that the other side made for a packet.
    pub asked_of_us: u64,
    /// Packets sent again because the other side asked.
    pub resent: u64,
}

/// Counters of one RTP stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StreamStats {
    /// RTP packets.
    pub packets: u64,
    /// Bytes of RTP, headers included.
    pub bytes: u64,
    /// Bitrate, bit/s.
    pub bps: u64,
    /// Keyframe requests sent to the encoder.
    pub keyframes_asked: u64,
    /// Keyframe requests that were answered by the keyframe of an earlier one.
    pub keyframes_avoided: u64,
}

/// Counters of an uplink: of all its encodings together, and of each if they have names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct UplinkStats {
    /// All encodings together.
    #[serde(flatten)]
    pub total: StreamStats,
    /// The encodings of a simulcast camera, the smallest first; absent otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerStats>,
}

/// Counters of one encoding of a simulcast camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LayerStats {
    /// Its name in the offer (`a=rid`).
    pub rid: Rid,
    /// Bitrate, bit/s.
    pub bps: u64,
    /// RTP packets.
    pub packets: u64,
    /// Width of its picture, pixels; null until a packet says it.
    pub width: Option<u32>,
    /// Height of its picture, pixels; null until a packet says it.
    pub height: Option<u32>,
    /// Forward slots that it feeds.
    pub viewers: usize,
}

/// Figures of one encoder of the mixer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RenditionStats {
    /// Its RTP stream.
    #[serde(flatten)]
    pub stream: StreamStats,
    /// What it encodes.
    #[serde(flatten)]
    pub output: OutputStats,
    /// What it is told to encode at, bit/s.
    pub target_bps: u32,
    /// Slots that it feeds.
    pub viewers: usize,
}

/// What an encoder of the mixer encodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum OutputStats {
    /// The composite.
    Video {
        /// Its codec.
        codec: VideoCodec,
        /// The rung of the ladder, 0 for the top.
        rung: u8,
        /// Pixels.
        width: Option<u32>,
        /// Pixels.
        height: Option<u32>,
        /// Frames per second.
        fps: Option<f64>,
    },
    /// The sound.
    Audio {
        /// Its codec.
        codec: Codec,
        /// Whose own voice is left out; absent from the mix of all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        without: Option<ParticipantId>,
        /// Whether packets repeat the one before (in-band FEC, RFC 6716 section 2.1.7).
        fec: bool,
    },
}

/// Figures of the whole server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ServerStats {
    /// GStreamer pipelines that exist.
    pub pipelines: i64,
    /// Pipelines whose end did not come in time.
    pub pipelines_abandoned: usize,
}
