//! What viewers cost, and what they see: CPU of a server whose room of four senders has 1, 4, 16
//! and 64 viewers, and how near each rung of the ladder comes to the composite it is encoded from.
//! Prints figures; nothing here passes or fails.
#![allow(missing_docs)]

#[path = "common/film.rs"]
mod film;
#[path = "common/server.rs"]
mod server;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use film::{CANVAS, film};
use futures::future::{join_all, try_join_all};
use gst::prelude::*;
use server::Server;
use tessera::bots::{AudioSource, Bot, BotConfig, Entry, VideoFormat, VideoSource, Voice};
use tessera::codec::VideoCodec;
use tessera::id::RoomId;
use tessera::layout::Size;
use tessera::media::bwe::ladder::{Pace, RungSpec};
use tessera::media::gst::template::{Templates, Value};

/// How many send.
const SENDERS: usize = 4;
const FPS: u32 = 30;
/// As the server's default.
const TOP_BITRATE: u32 = 1_500_000;
/// How long a room is measured, and how long before that it is left alone.
const MEASURED: Duration = Duration::from_secs(6);
const SETTLES: Duration = Duration::from_secs(3);
/// The composite that is encoded, s.
const LENGTH: u32 = 6;

#[derive(Parser)]
struct Parts {
    /// Viewers of the rooms whose cost is measured; 0 for no room
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64")]
    viewers: Vec<usize>,
    /// How often to measure each
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// What cargo tells every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// The server's cores with so many viewers, and what each of them got, bit/s.
async fn watched(viewers: usize) -> Result<(f64, f64)> {
    let server = Server::start(&[])?;
    let room: RoomId = "bench".parse()?;
    let person = |name: String| BotConfig::new(&server.url, room.clone(), name);
    let senders = (0..SENDERS).map(|i| {
        let mut config = person(format!("Sender {i}"));
        config.video = VideoSource::Film {
            format: VideoFormat::sized(VideoCodec::Vp8, CANVAS.width, CANVAS.height),
            offset: Duration::from_secs(i as u64),
        };
        config.audio = match i {
            0 => AudioSource::Speech(Voice::Ada),
            _ => AudioSource::Silence,
        };
        Bot::join(config)
    });
    let senders = try_join_all(senders).await?;
    let mut players = Vec::new();
    for i in 0..viewers {
        // One after the other: joining is not what is measured.
        let player = Bot::join(person(format!("Viewer {i}")).entering(Entry::Whep)).await?;
        player.connected().await?;
        players.push(player);
    }
    tokio::time::sleep(SETTLES).await;
    players.iter().for_each(Bot::reset_stats);
    let (began, before) = (Instant::now(), server.cpu()?);
    tokio::time::sleep(MEASURED).await;
    let cores = (server.cpu()? - before) / began.elapsed().as_secs_f64();
    let streams = players.iter().flat_map(|player| player.stats().received);
    let bits: f64 = streams.map(|stream| stream.bitrate()).sum();
    join_all(players.into_iter().chain(senders).map(Bot::leave)).await;
    Ok((cores, bits / viewers as f64))
}

async fn costs(parts: &Parts) -> Result<()> {
    println!(
        "| viewers | server, cores | a viewer, kbit/s | each more than with the fewest, cores |"
    );
    println!("| --- | --- | --- | --- |");
    for _ in 0..parts.runs {
        let mut first: Option<(usize, f64)> = None;
        for &viewers in parts.viewers.iter().filter(|viewers| **viewers > 0) {
            let (cores, bits) = watched(viewers).await?;
            let each = first
                .filter(|(fewest, _)| viewers > *fewest)
                .map(|(fewest, least)| {
                    format!("{:.4}", (cores - least) / (viewers - fewest) as f64)
                });
            println!(
                "| {viewers} | {cores:.3} | {:.0} | {} |",
                bits / 1e3,
                each.unwrap_or_default()
            );
            first.get_or_insert((viewers, cores));
        }
    }
    Ok(())
}

/// Runs a program that says nothing but what is wrong; what it wrote to stderr.
fn ffmpeg(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-nostdin", "-y"])
        .args(arguments);
    let output = command.output().context("ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{said}");
    Ok(said)
}

/// A composite of four parts of the film, uncompressed, `fps` frames a second.
fn composite(file: &Path, fps: u32) -> Result<()> {
    let (film, file) = (film(), file.display().to_string());
    let tile = format!("scale={}:{}", CANVAS.width / 2, CANVAS.height / 2);
    let tiles = ["0", "1", "2", "3"].map(|n| format!("[{n}:v]{tile}[t{n}]"));
    let graph = format!(
        "{};[t0][t1][t2][t3]xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0,fps={fps}",
        tiles.join(";")
    );
    let mut arguments = Vec::new();
    for start in ["0", "1.3", "2.6", "3.9"] {
        arguments.extend(["-stream_loop", "3", "-ss", start, "-i", &film]);
    }
    let length = LENGTH.to_string();
    arguments.extend([
        "-filter_complex",
        &graph,
        "-t",
        &length,
        "-pix_fmt",
        "yuv420p",
    ]);
    arguments.extend(["-f", "rawvideo", &file]);
    ffmpeg(&arguments).map(drop)
}

/// What is left of the composite in an encoding: SSIM of all planes, shown as large as the canvas.
fn quality(
    raw: &Path,
    folder: &Path,
    codec: VideoCodec,
    spec: &RungSpec,
    bitrate: u32,
    fps: u32,
) -> Result<f64> {
    let (template, depayloaded) = match codec {
        VideoCodec::H264 => ("rendition-h264", "rtph264depay ! h264parse"),
        _ => ("rendition-vp8", "rtpvp8depay"),
    };
    let value = |number: u32| Value::Int(u64::from(number));
    let filled = Templates::load(None)?.fill(
        template,
        &[
            ("width", value(spec.size.width)),
            ("height", value(spec.size.height)),
            ("bitrate", value(bitrate)),
            ("cpu", value(8)),
            ("keyframe", value(900)),
        ],
    )?;
    let encoded = folder.join("encoded.mkv").display().to_string();
    let raw = raw.display().to_string();
    let Size { width, height } = CANVAS;
    // The template between its ends, which belong to a live mixer.
    let (_, body) = filled.split_once('!').context("a source")?;
    let (body, _) = body.rsplit_once('!').context("a sink")?;
    let pipeline = gst::parse::launch(&format!(
        "filesrc location={raw} blocksize={} ! rawvideoparse format=i420 width={width} height={height} \
         framerate={fps}/1 ! {body} ! {depayloaded} ! matroskamux ! filesink location={encoded}",
        width * height * 3 / 2
    ))?;
    pipeline.set_state(gst::State::Playing)?;
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().context("a bus")?;
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &end);
    pipeline.set_state(gst::State::Null)?;
    if let gst::MessageView::Error(error) = message.context("it does not end")?.view() {
        anyhow::bail!("{error:?}");
    }
    let (size, fps) = (format!("{width}x{height}"), fps.to_string());
    let graph = format!(
        "[0:v]settb=1/100,setpts=N,scale={width}:{height}:flags=bicubic[a];[1:v]settb=1/100,setpts=N[b];[a][b]ssim"
    );
    let said = ffmpeg(&[
        "-i", &encoded, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size, "-r", &fps, "-i",
        &raw, "-lavfi", &graph, "-f", "null", "-",
    ])?;
    let all = said.rsplit_once("All:").context("no SSIM")?.1;
    Ok(all.split_whitespace().next().context("a number")?.parse()?)
}

fn qualities() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ladder = Templates::load(None)?.ladder(CANVAS, FPS, TOP_BITRATE);
    println!("| rung | kbit/s | H.264 | VP8 |\n| --- | --- | --- | --- |");
    for (_, spec) in ladder.rungs() {
        let Pace::Fps(fps) = spec.pace else {
            continue;
        };
        let raw = folder.path().join(format!("{fps}.i420"));
        if !raw.exists() {
            composite(&raw, fps)?;
        }
        for bitrate in [spec.most, spec.least] {
            let of = |codec| quality(&raw, folder.path(), codec, spec, bitrate, fps);
            println!(
                "| {}x{}@{fps} | {} | {:.3} | {:.3} |",
                spec.size.width,
                spec.size.height,
                bitrate / 1000,
                of(VideoCodec::H264)?,
                of(VideoCodec::Vp8)?
            );
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let parts = Parts::parse();
    gst::init()?;
    qualities()?;
    tokio::runtime::Runtime::new()?.block_on(costs(&parts))
}
