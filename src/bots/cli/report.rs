//! What a run of bots found, and its text.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::bots::observe::detection::Path;
use crate::bots::observe::probe::{Histogram, Spread};
use crate::bots::rtc::receive::StreamStats;
use crate::bots::session::bot::Bot;
use crate::bots::session::stats::BotStats;
use crate::topology::Mode;

/// All paths by which media reaches a bot, in the order of the report.
const PATHS: [Path; 3] = [Path::Mix, Path::Forward, Path::Mesh];

/// What arrived by one delivery path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathReport {
    /// The delivery path.
    pub path: Path,
    /// Streams on which at least one packet arrived, audio and video together.
    pub streams: usize,
    /// Complete video frames (RTP markers).
    pub frames: u64,
    /// Bytes of RTP, audio and video together, headers included.
    pub bytes: u64,
    /// From the drawing of a frame to its decoding, ms; `None` where no time codes were decoded.
    pub latency_ms: Option<Spread>,
}

impl PathReport {
    fn of(path: Path, streams: &[StreamStats], ages: &Histogram) -> Self {
        let streams = || streams.iter().filter(|s| s.path == path && s.packets > 0);
        let videos = streams().filter(|stream| !stream.role.is_audio());
        Self {
            path,
            streams: streams().count(),
            frames: videos.map(|stream| stream.frames).sum(),
            bytes: streams().map(|stream| stream.bytes).sum(),
            latency_ms: ages.spread(),
        }
    }
}

/// What one bot sent and received while it was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BotReport {
    /// The bot's name in the room.
    pub name: String,
    /// From the start of its join to its first picture, ms; `None` if it receives nothing.
    pub first_picture_ms: Option<f64>,
    /// Video sent to the server and to other participants, bit/s, without RTP headers.
    pub sent_bps: f64,
    /// Keyframes that receivers requested of its camera.
    pub key_requests: u64,
    /// What arrived, the streams of the server first, then those of other participants.
    pub received: Vec<StreamStats>,
    /// From the drawing of a frame to its decoding over all paths, ms; `None` where no time codes
    /// were decoded.
    pub latency_ms: Option<Spread>,
    /// One entry for each path on which anything arrived.
    pub paths: Vec<PathReport>,
}

impl BotReport {
    /// The report of a bot whose figures were reset at the start of the measurement; `before` are
    /// its counters at that moment.
    pub(crate) fn of(
        bot: &Bot,
        before: &BotStats,
        join: Option<Duration>,
        measured: Duration,
    ) -> Self {
        let stats = bot.stats();
        let bytes = sent(&stats).saturating_sub(sent(before));
        let requests = stats.key_requests + stats.mesh.iter().map(|m| m.key_requests).sum::<u64>();
        let direct = stats.mesh.into_iter().flat_map(|with| with.received);
        let received: Vec<_> = stats.received.into_iter().chain(direct).collect();
        let mut all = Histogram::default();
        let mut paths = Vec::new();
        for path in PATHS {
            let ages = bot.observer().ages(path);
            all.merge(&ages);
            paths.push(PathReport::of(path, &received, &ages));
        }
        paths.retain(|path| path.streams > 0);
        Self {
            name: bot.name().to_owned(),
            first_picture_ms: join.map(|d| d.as_secs_f64() * 1000.0),
            sent_bps: 8.0 * bytes as f64 / measured.as_secs_f64(),
            key_requests: requests,
            received,
            latency_ms: all.spread(),
            paths,
        }
    }
}

/// Bytes of video sent, to the server and to other participants.
fn sent(stats: &BotStats) -> u64 {
    let direct = stats.mesh.iter().map(|with| with.video_bytes_sent);
    stats.video_bytes_sent + direct.sum::<u64>()
}

/// What [`run`](super::run::run) measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// The room's mode at the end of the run.
    pub mode: Mode,
    /// Length of the measurement, ms.
    pub measured_ms: f64,
    /// From the start of a join to the first picture, over all bots, ms.
    pub join_ms: Option<Spread>,
    /// From the drawing of a frame to its decoding, over all bots and paths, ms.
    pub latency_ms: Option<Spread>,
    /// One entry for each path on which anything arrived, all bots together.
    pub paths: Vec<PathReport>,
    /// The longest time without a frame on any video stream of the mode's path, ms.
    pub longest_gap_ms: f64,
    /// Freezes by the rule of webrtc-stats, over all video streams of the mode's path.
    pub freezes: u32,
    /// One report for each bot, in the order of joining.
    pub bots: Vec<BotReport>,
}

impl RunReport {
    /// Sums up the reports of all bots.
    pub(crate) fn of(
        mode: Mode,
        measured: Duration,
        joins: Vec<Option<Duration>>,
        bots: &[Bot],
        reports: Vec<BotReport>,
    ) -> Self {
        let streams: Vec<_> = reports
            .iter()
            .flat_map(|bot| bot.received.clone())
            .collect();
        let mut all = Histogram::default();
        let mut paths = Vec::new();
        for path in PATHS {
            let mut ages = Histogram::default();
            bots.iter()
                .for_each(|bot| ages.merge(&bot.observer().ages(path)));
            all.merge(&ages);
            paths.push(PathReport::of(path, &streams, &ages));
        }
        paths.retain(|path| path.streams > 0);
        // What came by the path of an earlier mode is over, and a forward m-line without a sender
        // has no gaps. The mix is due to everybody.
        let path = match mode {
            Mode::Mcu => Path::Mix,
            Mode::Sfu => Path::Forward,
            Mode::P2p => Path::Mesh,
        };
        let in_use = paths.iter().any(|one| one.path == path && one.frames > 0);
        let path = if in_use { path } else { Path::Mix };
        let due = |stream: &&StreamStats| {
            let is_video = stream.path == path && !stream.role.is_audio();
            is_video && (path == Path::Mix || stream.frames > 0)
        };
        let videos = || streams.iter().filter(due);
        let gap = videos().map(|stream| stream.longest_gap).max();
        Self {
            mode,
            measured_ms: measured.as_secs_f64() * 1000.0,
            join_ms: Spread::of(joins.into_iter().flatten().collect()),
            latency_ms: all.spread(),
            paths,
            longest_gap_ms: gap.unwrap_or_default().as_secs_f64() * 1000.0,
            freezes: videos().map(|stream| stream.freezes).sum(),
            bots: reports,
        }
    }
}

impl fmt::Display for PathReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} streams, {} frames, {} kB",
            self.streams,
            self.frames,
            self.bytes / 1000
        )?;
        match &self.latency_ms {
            Some(spread) => write!(f, ", frame to frame {spread}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for StreamStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.role)?;
        if let Some(from) = self.from {
            write!(f, " of {from}")?;
        }
        write!(
            f,
            " {:.0} kbit/s, {:.1}/s, gap {} ms, {} lost",
            self.bitrate() / 1e3,
            self.frames as f64 / self.measured.as_secs_f64().max(0.001),
            self.longest_gap.as_millis(),
            self.lost,
        )
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bots, seconds) = (self.bots.len(), self.measured_ms / 1000.0);
        writeln!(f, "{bots} bots, {seconds:.1} s")?;
        if let Some(spread) = self.join_ms {
            writeln!(f, "join to first picture: {spread}")?;
        }
        if let Some(spread) = self.latency_ms {
            writeln!(f, "frame to frame:        {spread}")?;
        }
        writeln!(
            f,
            "video:                 longest gap {:.0} ms, {} freezes",
            self.longest_gap_ms, self.freezes
        )?;
        for path in &self.paths {
            writeln!(f, "{:<22} {path}", format!("by {}:", path.path))?;
        }
        for bot in &self.bots {
            write!(f, "{:<8} sent {:>5.0} kbit/s", bot.name, bot.sent_bps / 1e3)?;
            // Many m-lines may be offered; shown are those on which anything arrived.
            for stream in bot.received.iter().filter(|stream| stream.packets > 0) {
                write!(f, "; {stream}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
