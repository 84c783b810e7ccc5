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

/// Every way media can come.
const PATHS: [Path; 3] = [Path::Mix, Path::Forward, Path::Mesh];

/// What came one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathReport {
    /// The way.
    pub path: Path,
    /// Streams on which anything came, of sound and of video.
    pub streams: usize,
    /// Whole frames of video.
    pub frames: u64,
    /// Bytes of RTP, of sound and of video.
    pub bytes: u64,
    /// From the drawing of a frame to its decoding, where it was read.
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

/// What one bot saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BotReport {
    /// Its name.
    pub name: String,
    /// From the start of its join to its first picture, ms.
    pub first_picture_ms: Option<f64>,
    /// Sent video, to the server and to other members, bit/s before RTP.
    pub sent_bps: f64,
    /// Keyframes asked of it.
    pub key_requests: u64,
    /// What came in, from the server and then from other members.
    pub received: Vec<StreamStats>,
    /// From the drawing of a frame to its decoding, whichever way it came, where it was read.
    pub latency_ms: Option<Spread>,
    /// Each way by which anything came.
    pub paths: Vec<PathReport>,
}

impl BotReport {
    /// What a bot saw since its figures were reset.
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

/// Bytes of video sent, whereto ever.
fn sent(stats: &BotStats) -> u64 {
    let direct = stats.mesh.iter().map(|with| with.video_bytes_sent);
    stats.video_bytes_sent + direct.sum::<u64>()
}

/// What [`super::run()`] found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// The room's mode at the end.
    pub mode: Mode,
    /// How long was measured, ms.
    pub measured_ms: f64,
    /// From the start of a join to the first picture.
    pub join_ms: Option<Spread>,
    /// From the drawing of a frame to its decoding, whichever way it came.
    pub latency_ms: Option<Spread>,
    /// Each way by which anything came, all bots together.
    pub paths: Vec<PathReport>,
    /// The longest time any bot was without a frame of a stream, ms.
    pub longest_gap_ms: f64,
    /// Freezes of all bots.
    pub freezes: u32,
    /// Each bot.
    pub bots: Vec<BotReport>,
}

impl RunReport {
    /// What all of them saw together.
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
        // What came the way of the mode before is over, and an m-line that carries nobody has no
        // gaps; the mix is due to everybody.
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
            // Of the many m-lines that may be offered, those on which anything came.
            for stream in bot.received.iter().filter(|stream| stream.packets > 0) {
                write!(f, "; {stream}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
