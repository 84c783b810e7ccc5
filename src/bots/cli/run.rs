//! `tessera bots`: joins many bots and reports what they saw.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::sleep;

use super::report::{BotReport, RunReport};
use crate::bots::clock;
use crate::bots::config::{BotConfig, Decode};
use crate::bots::error::BotError;
use crate::bots::observe::palette;
use crate::bots::observe::probe::Picture;
use crate::bots::observe::probe::picture::scaled;
use crate::bots::observe::probe::timecode::TimeCode;
use crate::bots::session::bot::Bot;
use crate::bots::source::live::PHASES;
use crate::bots::source::settings::{AudioSource, VideoFormat, VideoSource};
use crate::codec::VideoCodec;
use crate::id::{Role, RoomId};
use crate::layout::{Rect, Size};
use crate::protocol::room::RoomState;
use crate::topology::Mode;

/// What the cameras of the bots show.
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

/// Options of `tessera bots`.
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
    /// The mode to ask for once all have joined: mcu, sfu or p2p
    #[arg(long, value_parser = mode)]
    pub mode: Option<Mode>,
    /// Streams of others each bot can be forwarded at once [default: 8 with --mode sfu, else 0]
    #[arg(long, value_name = "N")]
    pub forward_slots: Option<usize>,
    /// Send and receive through the server's TURN alone
    #[arg(long)]
    pub relay: bool,
}

impl BotsOptions {
    fn slots(&self) -> usize {
        // As many as the page has.
        let usual = if self.mode == Some(Mode::Sfu) { 8 } else { 0 };
        self.forward_slots.unwrap_or(usual)
    }
}

fn mode(text: &str) -> Result<Mode, &'static str> {
    text.parse().map_err(|_| "one of mcu, sfu, p2p")
}

fn room_id(text: &str) -> Result<RoomId, String> {
    text.parse()
        .map_err(|e: crate::id::BadRoomId| e.to_string())
}

fn codec(text: &str) -> Result<VideoCodec, &'static str> {
    text.parse().map_err(|_| "one of h264, vp8, vp9")
}

fn size(text: &str) -> Result<Size, &'static str> {
    let fits = |side: u32| (16..=4096).contains(&side) && side.is_multiple_of(2);
    let size: Option<Size> = text.parse().ok();
    size.filter(|size| fits(size.width) && fits(size.height))
        .ok_or("like 640x360, both even and from 16 to 4096")
}

/// Joins the bots one after the other, then asks for the mode of the options and waits until media
/// travels by it.
///
/// # Errors
/// That of the first bot that cannot join or is not connected in time, or of the change of mode.
pub async fn join_all(options: &BotsOptions) -> Result<Vec<Bot>, BotError> {
    let mut bots = Vec::with_capacity(options.count);
    for i in 0..options.count {
        let bot = Bot::join(config(options, i)).await?;
        bot.connected().await?;
        bots.push(bot);
    }
    change_mode(options, &bots).await?;
    Ok(bots)
}

/// Joins the bots one after the other, measures, and lets them leave.
///
/// # Errors
/// The first bot that cannot join or gets no picture ends the run, as does a change of mode that
/// does not happen in time.
pub async fn run(options: BotsOptions) -> Result<RunReport, BotError> {
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
    change_mode(&options, &bots).await?;
    bots.iter().for_each(Bot::reset_stats);
    let before: Vec<_> = bots.iter().map(Bot::stats).collect();
    let start = clock::now();
    sleep(Duration::from_secs(options.seconds)).await;
    let measured = clock::now().saturating_sub(start);
    let reports = bots.iter().zip(&before).zip(&joins);
    let reports = reports
        .map(|((bot, before), join)| BotReport::of(bot, before, *join, measured))
        .collect();
    let mode = bots
        .first()
        .and_then(|bot| Some(bot.room().borrow().as_ref()?.mode));
    let report = RunReport::of(mode.unwrap_or(Mode::Mcu), measured, joins, &bots, reports);
    for result in futures::future::join_all(bots.into_iter().map(Bot::leave)).await {
        if let Err(error) = result {
            tracing::warn!(%error, "a bot did not leave as it should");
        }
    }
    Ok(report)
}

/// Asks for the mode of the options, if any, and waits until media travels by it.
async fn change_mode(options: &BotsOptions, bots: &[Bot]) -> Result<(), BotError> {
    let (Some(mode), Some(first)) = (options.mode, bots.first()) else {
        return Ok(());
    };
    first.set_mode(mode)?;
    for bot in bots {
        let room = bot
            .room_when("change of mode", |room| room.mode == mode)
            .await?;
        if options.receive.is_empty() {
            continue;
        }
        match mode {
            Mode::Sfu if options.slots() > 0 && options.video != VideoKind::None => {
                let due = options.slots().min(bots.len() - 1);
                bot.slots_when("forwarding", |now| {
                    let cameras = now.slots.iter().filter(|s| s.role == Some(Role::Camera));
                    now.mode == mode && cameras.count() >= due
                })
                .await?;
            }
            Mode::P2p => {
                let members = room.participants.iter().filter(|member| !member.viewer);
                let others: Vec<_> = members
                    .map(|member| member.id)
                    .filter(|id| Some(*id) != bot.id())
                    .collect();
                bot.meshed_when("mesh", |with| others.iter().all(|id| with.contains(id)))
                    .await?;
            }
            Mode::Sfu | Mode::Mcu => {}
        }
    }
    Ok(())
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
    .receiving(&options.receive)
    .with_slots(options.slots());
    if options.relay {
        config = config.relayed();
    }
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

/// The age of the frame in each tile of a composite, read from its time code. Tiles without a
/// readable code are left out.
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
