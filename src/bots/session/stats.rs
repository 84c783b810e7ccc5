//! The figures of a bot: what it has sent and received.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::bot::Bot;
use crate::bots::rtc::peer::Uplink;
use crate::bots::rtc::receive::StreamStats;
use crate::bots::source::media_source::PipelineInput;
use crate::id::ParticipantId;
use crate::protocol::stats::RepairStats;

/// What a bot has sent and received.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BotStats {
    /// Video frames sent to the server.
    pub frames_sent: u64,
    /// Bytes of encoded video sent to the server, without RTP headers.
    pub video_bytes_sent: u64,
    /// Audio packets sent to the server.
    pub packets_sent: u64,
    /// Keyframes that the server requested.
    pub key_requests: u64,
    /// Losses and retransmissions on the connection to the server.
    pub repair: RepairStats,
    /// What arrived from the server, in the order of the m-lines.
    pub received: Vec<StreamStats>,
    /// The connections with other participants, in the order of their ids.
    pub mesh: Vec<MeshStats>,
}

/// What was sent and received over a connection with another participant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeshStats {
    /// The other participant.
    pub with: ParticipantId,
    /// Video frames sent to them.
    pub frames_sent: u64,
    /// Bytes of encoded video sent to them, without RTP headers.
    pub video_bytes_sent: u64,
    /// Audio packets sent to them.
    pub packets_sent: u64,
    /// Keyframes that they requested.
    pub key_requests: u64,
    /// What arrived from them: microphone, camera, screen.
    pub received: Vec<StreamStats>,
}

impl Bot {
    /// The figures. Those of received streams count from the last [`Bot::reset_stats`], the others
    /// from the start.
    pub fn stats(&self) -> BotStats {
        let input = |uplink: &Option<Uplink>| uplink.as_ref().map(|uplink| uplink.input.clone());
        let (frames_sent, video_bytes_sent, key_requests) = sent(input(&self.peer.camera));
        BotStats {
            frames_sent,
            video_bytes_sent,
            key_requests,
            packets_sent: sent(input(&self.peer.mic)).0,
            repair: self.peer.connection.repair(),
            received: self.peer.incoming().map(|line| line.stats()).collect(),
            mesh: self.mesh_stats(),
        }
    }

    fn mesh_stats(&self) -> Vec<MeshStats> {
        let links = self.links.lock();
        let stats = links.iter().map(|(with, link)| {
            let peer = link.peer.upgrade();
            let camera = peer.as_ref().and_then(|peer| peer.camera.clone());
            let mic = peer.as_ref().and_then(|peer| peer.mic.clone());
            let (frames_sent, video_bytes_sent, key_requests) = sent(camera);
            MeshStats {
                with: *with,
                frames_sent,
                video_bytes_sent,
                packets_sent: sent(mic).0,
                key_requests,
                received: link.lines.iter().map(|line| line.stats()).collect(),
            }
        });
        stats.collect()
    }

    /// Starts the figures of received streams and the latencies anew.
    pub fn reset_stats(&self) {
        self.peer.incoming().for_each(|line| line.reset_stats());
        for link in self.links.lock().values() {
            link.lines.iter().for_each(|line| line.reset_stats());
        }
        self.published.observer.reset_ages();
    }
}

/// Frames, bytes and keyframe requests of a source.
fn sent(input: Option<Arc<PipelineInput>>) -> (u64, u64, u64) {
    input.map_or((0, 0, 0), |input| {
        (
            *input.frames.borrow(),
            input.bytes.load(Ordering::Relaxed),
            *input.key_requests.borrow(),
        )
    })
}
