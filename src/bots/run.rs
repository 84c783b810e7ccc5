//! Many bots at once, and what they saw: `tessera bots`.

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::bot::Bot;
use super::clock;
use super::config::{AudioSource, BotConfig, Decode, VideoFormat, VideoSource};
use super::error::BotError;
use super::live::PHASES;
use super::palette;
use super::probe::picture::scaled;
use super::probe::timecode::TimeCode;
use super::probe::{Picture, Spread};
use super::receive::StreamStats;
use crate::config::VideoCodec;
use crate::id::{Role, RoomId};
use crate::layout::{Rect, Size};
use crate::protocol::RoomState;

/// What the cameras of [`run`] show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VideoKind {
    /// Film, each bot at another place of it.
    Film,
    /// A colour for each bot.
    Color,
    /// The sender's clock, from which receivers read the latency.
    Timecode,
    /// Nothing: the bots only receive.
    None,
}

/// What [`run`] does.
#[derive(Debug, Clone, Args)]
pub struct BotsOptions {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// The room to join
    #[arg(long, default_value = "demo", value_parser = room_id)]
    pub room: RoomId,
    /// How many bots
    #[arg(long, default_value_t = 3)]
    pub count: usize,
    /// How long to measure, once all bots have a picture
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// What their cameras show
    #[arg(long, value_enum, default_value_t = VideoKind::Film)]
    pub video: VideoKind,
    /// The codec they send: vp8, h264 or vp9
    #[arg(long, default_value = "vp8", value_parser = codec)]
    pub codec: VideoCodec,
    /// The size they send, unless the server asks for less
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "640x360", value_parser = size)]
    pub size: Size,
    /// Frames per second they send
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub fps: u32,
    /// The codecs they receive, the preferred first
    #[arg(long, value_delimiter = ',', default_value = "h264,vp8", value_parser = codec)]
    pub receive: Vec<VideoCodec>,
    /// How many of the bots decode what they receive; the others count packets
    #[arg(long, default_value_t = 1)]
    pub decode: usize,
    /// How many of the bots make a sound
    #[arg(long, default_value_t = 2)]
    pub speakers: usize,
}

fn room_id(text: &str) -> Result<RoomId, String> {
    text.parse()
        .map_err(|e: crate::id::BadRoomId| e.to_string())
}

fn codec(text: &str) -> Result<VideoCodec, String> {
    match text {
        "h264" => Ok(VideoCodec::H264),
        "vp8" => Ok(VideoCodec::Vp8),
        "vp9" => Ok(VideoCodec::Vp9),
        _ => Err("one of h264, vp8, vp9".into()),
    }
}

fn size(text: &str) -> Result<Size, String> {
    let parse = |side: &str| side.parse().ok().filter(|s| (16..=4096).contains(s));
    text.split_once('x')
        .and_then(|(width, height)| {
            let (width, height): (u32, u32) = (parse(width)?, parse(height)?);
            (width % 2 == 0 && height % 2 == 0).then_some(Size { width, height })
        })
        .ok_or_else(|| "like 640x360, both even and from 16 to 4096".into())
}

/// What one bot saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BotReport {
    /// Its name.
    pub name: String,
    /// From the start of its join to its first picture, ms.
    pub first_picture_ms: Option<f64>,
    /// Sent video, bit/s before RTP.
    pub sent_bps: f64,
    /// Keyframes asked of it.
    pub key_requests: u64,
    /// What came in.
    pub received: Vec<StreamStats>,
    /// From the drawing of a frame to its decoding in the mix, over all tiles, where it was read.
    pub latency_ms: Option<Spread>,
}

/// What [`run`] found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How long was measured, ms.
    pub measured_ms: f64,
    /// From the start of a join to the first picture.
    pub join_ms: Option<Spread>,
    /// From the drawing of a frame to its decoding in the mix.
    pub latency_ms: Option<Spread>,
    /// The longest time any bot was without a frame, ms.
    pub longest_gap_ms: f64,
    /// Freezes of all bots.
    pub freezes: u32,
    /// Each bot.
    pub bots: Vec<BotReport>,
}

/// Joins the bots one after the other.
///
/// # Errors
/// The first bot's that cannot join or is not connected in time.
pub async fn join_all(options: &BotsOptions) -> Result<Vec<Bot>, BotError> {
    let mut bots = Vec::with_capacity(options.count);
    for i in 0..options.count {
        let bot = Bot::join(config(options, i)).await?;
        bot.connected().await?;
        bots.push(bot);
    }
    Ok(bots)
}

/// Joins the bots one after the other, measures, and has them leave.
///
/// # Errors
/// The first bot that cannot join or gets no picture ends the run.
pub async fn run(options: BotsOptions) -> Result<Report, BotError> {
    let mut bots = Vec::with_capacity(options.count);
    let mut joins = Vec::with_capacity(options.count);
    for i in 0..options.count {
        let bot = Bot::join(config(&options, i)).await?;
        bot.connected().await?;
        joins.push(if options.receive.is_empty() {
            None
        } else {
            Some(bot.first_picture().await?)
        });
        bots.push(bot);
    }
    bots.iter().for_each(Bot::reset_stats);
    let before: Vec<_> = bots.iter().map(|b| b.stats().video_bytes_sent).collect();
    let start = clock::now();
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let reading = bots.iter().enumerate().map(|(i, bot)| {
        let reads = i < options.decode && options.video == VideoKind::Timecode;
        read_latency(bot, reads, end)
    });
    let latencies = futures::future::join_all(reading).await;
    let measured = clock::now().saturating_sub(start);
    let stats: Vec<_> = bots.iter().map(Bot::stats).collect();
    let all = latencies.iter().flatten().copied().collect();
    let mut reports = Vec::with_capacity(bots.len());
    for (i, (stats, latency)) in stats.into_iter().zip(latencies).enumerate() {
        let bytes = stats.video_bytes_sent.saturating_sub(before[i]);
        reports.push(BotReport {
            name: bots[i].name().to_owned(),
            first_picture_ms: joins[i].map(|d| d.as_secs_f64() * 1000.0),
            sent_bps: 8.0 * bytes as f64 / measured.as_secs_f64(),
            key_requests: stats.key_requests,
            received: stats.received,
            latency_ms: Spread::of(latency),
        });
    }
    let report = summary(measured, joins, all, reports);
    for result in futures::future::join_all(bots.into_iter().map(Bot::leave)).await {
        if let Err(error) = result {
            tracing::warn!(%error, "a bot did not leave as it should");
        }
    }
    Ok(report)
}

fn config(options: &BotsOptions, i: usize) -> BotConfig {
    let format = VideoFormat {
        codec: options.codec,
        size: options.size,
        fps: options.fps,
    };
    let phase = u32::try_from(i).unwrap_or(0) % PHASES;
    let mut config = BotConfig::new(
        &options.server,
        options.room.clone(),
        format!("Bot {}", i + 1),
    )
    .receiving(&options.receive);
    if i < options.decode {
        config = config.decoding(Decode::Both);
    }
    config.video = match options.video {
        VideoKind::Film => VideoSource::Film {
            format,
            offset: Duration::from_millis(1_300) * u32::try_from(i).unwrap_or(0),
        },
        VideoKind::Color => VideoSource::Color {
            rgb: palette::color(i),
            format,
        },
        VideoKind::Timecode => VideoSource::TimeCode { format, phase },
        VideoKind::None => VideoSource::None,
    };
    config.audio = match (options.video, i < options.speakers) {
        (VideoKind::None, _) => AudioSource::None,
        (_, false) => AudioSource::Silence,
        (_, true) => AudioSource::Tone {
            hz: palette::tone(i) as u32,
            dbfs: -24,
        },
    };
    config
}

/// Reads the time code of every tile of every picture until `end`.
async fn read_latency(bot: &Bot, reads: bool, end: Instant) -> Vec<Duration> {
    let mut ages = Vec::new();
    let pictures = bot.incoming(Role::MixVideo, 0).map(|line| line.pictures());
    let (true, Ok(mut pictures)) = (reads, pictures) else {
        sleep_until(end).await;
        return ages;
    };
    let room = bot.room();
    // Ends at `end`, or when there are no more pictures to come.
    while let Ok(Ok(())) = tokio::time::timeout_at(end, pictures.changed()).await {
        let picture = pictures.borrow_and_update().clone();
        if let (Some(picture), Some(room)) = (picture, &*room.borrow()) {
            ages.extend(ages_in(&picture, room));
        }
    }
    ages
}

/// How old the frame in each tile of a composite is.
pub fn ages_in(picture: &Picture, room: &RoomState) -> Vec<Duration> {
    let canvas = (room.canvas.width, room.canvas.height);
    let copy = (picture.width, picture.height);
    let tiles = room.tiles.iter().map(|tile| Rect {
        x: tile.x,
        y: tile.y,
        w: tile.w,
        h: tile.h,
    });
    tiles
        .filter_map(|tile| TimeCode::read(picture, scaled(tile, canvas, copy)))
        .map(|code| code.age(picture.arrival))
        .collect()
}

fn summary(
    measured: Duration,
    joins: Vec<Option<Duration>>,
    latencies: Vec<Duration>,
    bots: Vec<BotReport>,
) -> Report {
    let videos = || {
        bots.iter()
            .flat_map(|bot| &bot.received)
            .filter(|stream| stream.role == Role::MixVideo)
    };
    let gap = videos().map(|stream| stream.longest_gap).max();
    Report {
        measured_ms: measured.as_secs_f64() * 1000.0,
        join_ms: Spread::of(joins.into_iter().flatten().collect()),
        latency_ms: Spread::of(latencies),
        longest_gap_ms: gap.unwrap_or_default().as_secs_f64() * 1000.0,
        freezes: videos().map(|stream| stream.freezes).sum(),
        bots,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} bots, {:.1} s",
            self.bots.len(),
            self.measured_ms / 1000.0
        )?;
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
        for bot in &self.bots {
            write!(f, "{:<8} sent {:>5.0} kbit/s", bot.name, bot.sent_bps / 1e3)?;
            for stream in &bot.received {
                let rate = stream.frames as f64 / stream.measured.as_secs_f64().max(0.001);
                write!(
                    f,
                    "; {} {:.0} kbit/s, {rate:.1}/s, gap {} ms, {} lost",
                    stream.role,
                    stream.bitrate() / 1e3,
                    stream.longest_gap.as_millis(),
                    stream.lost,
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_even_and_in_bounds() {
        assert_eq!(size("640x360").unwrap().width, 640);
        for bad in ["640", "641x360", "8x8", "x", "9999x10", "-2x4"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
