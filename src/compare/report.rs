//! What a comparison found: the JSON of `tessera compare`, and the source of its table and plots.

use serde::{Deserialize, Serialize};

use crate::bots::observe::probe::Spread;
use crate::topology::{Paths, Topology};

/// Everything a run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Where it ran.
    pub machine: Machine,
    /// How long each row was measured, s.
    pub seconds: u64,
    /// The rows, in the order in which they were measured.
    pub topologies: Vec<Row>,
}

/// Where a comparison ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Its threads.
    pub cores: usize,
    /// Processes that ran or wanted to, averaged over a minute before the run: what others used.
    pub load: f32,
    /// Version of the kernel.
    pub kernel: String,
    /// Version of GStreamer.
    pub gstreamer: String,
    /// Version of this program.
    pub tessera: String,
}

/// One topology with so many people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which.
    pub name: Topology,
    /// How many people.
    pub participants: usize,
    /// Its paths.
    pub paths: Counted,
    /// RTP of one person, sound and video.
    pub per_person: Rates,
    /// The server's cores, TURN included.
    pub server_cpu_cores: f64,
    /// The server's resident memory, bytes.
    pub server_memory_bytes: u64,
    /// Cores of one person's receiving threads: from the jitter buffer through the decoder.
    pub decode_cpu_cores: f64,
    /// From the drawing of a frame to its decoding.
    pub latency_ms: Option<Latency>,
    /// From the beginning of a tone to the decoding of the packet it begins in.
    pub audio_latency_ms: Option<Latency>,
    /// Of all people.
    pub freezes: Freezes,
    /// What is seen of a known tile against what was drawn: 1 is the same.
    pub ssim: Option<f64>,
}

/// Paths by the arithmetic, and those on which media moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// By the arithmetic.
    pub expected: Paths,
    /// By who got packets of whom.
    pub measured: Paths,
}

/// Mean rates, bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Sent.
    pub up_bps: f64,
    /// Received.
    pub down_bps: f64,
}

/// Percentiles, ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
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
    /// How many.
    pub count: u32,
    /// How long together, ms.
    pub total_ms: f64,
}
