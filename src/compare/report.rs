//! What a comparison found: the JSON of `tessera compare`, and the source of its table and plots.

use serde::{Deserialize, Serialize};

use crate::bots::observe::probe::Spread;
use crate::topology::{Paths, Topology};

/// All that a run measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The machine on which it ran.
    pub machine: Machine,
    /// How long each row was measured, s.
    pub seconds: u64,
    /// The rows, in the order in which they were measured.
    pub topologies: Vec<Row>,
}

/// The machine on which a comparison ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The name of the processor.
    pub cpu: String,
    /// The number of its hardware threads.
    pub cores: usize,
    /// The load average of the minute before the run: what other processes used.
    pub load: f32,
    /// The release of the Linux kernel.
    pub kernel: String,
    /// The version of GStreamer as it names itself.
    pub gstreamer: String,
    /// The version of this program.
    pub tessera: String,
}

/// One topology with a number of people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The topology measured.
    pub name: Topology,
    /// The number of people in the room.
    pub participants: usize,
    /// Paths by the arithmetic and as measured.
    pub paths: Counted,
    /// Mean RTP bitrates of one person, audio and video.
    pub per_person: Rates,
    /// CPU of the server, TURN included, in cores.
    pub server_cpu_cores: f64,
    /// Resident memory of the server, bytes.
    pub server_memory_bytes: u64,
    /// CPU of one person's receiving threads, from the jitter buffer through the decoder, in cores.
    pub decode_cpu_cores: f64,
    /// From the drawing of a frame to its decoding, ms.
    pub latency_ms: Option<Latency>,
    /// From the beginning of a tone to the decoding of the packet it begins in, ms.
    pub audio_latency_ms: Option<Latency>,
    /// Freezes of all people together.
    pub freezes: Freezes,
    /// Structural similarity of a known tile to what was drawn; 1 is identical.
    pub ssim: Option<f64>,
}

/// Paths by the arithmetic, and those on which media travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Paths by the arithmetic of [`Topology::paths`].
    pub expected: Paths,
    /// Paths by who received packets from whom.
    pub measured: Paths,
}

/// Mean bitrates, bit/s, RTP headers included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Sent by one person, bit/s.
    pub up_bps: f64,
    /// Received by one person, bit/s.
    pub down_bps: f64,
}

/// Percentiles of a latency, ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The median, ms.
    pub p50: f64,
    /// The 95th percentile, ms.
    pub p95: f64,
}

impl From<Spread> for Latency {
    fn from(spread: Spread) -> Self {
        Self {
            p50: spread.p50,
            p95: spread.p95,
        }
    }
}

/// Freezes by the rule of webrtc-stats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Freezes {
    /// How many freezes there were.
    pub count: u32,
    /// Their total length, ms.
    pub total_ms: f64,
}
