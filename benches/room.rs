//! What a room costs: CPU of a server with 4, 9 and 16 people at 720p30, beside the bare cost of
//! the same decodes and encodes (the codec floor), the latency that mixing adds, and the time from
//! a join to the first picture; and what forwarding and direct rooms cost beside mixed ones, with the
//! threads of the server and how often they are switched.
//! Prints figures; nothing here passes or fails.
//!
//! The server runs in a process of its own and the bots in this one, on the same machine.
#![allow(missing_docs)]

#[path = "common/film.rs"]
mod film;
#[path = "common/server.rs"]
mod server;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use film::{CANVAS, film};
use gst::prelude::*;
use server::{Server, cpu_seconds};
use tessera::bots::{self, BotsOptions, RunReport};
use tessera::layout::{self, LayoutKind, Size};
use tessera::room::MAX_MESH;

/// How many of them speak.
const SPEAKERS: usize = 2;
/// How long each room is measured, s.
const SECONDS: u64 = 10;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    bots: BotsOptions,
}

/// What to measure, after `--` of `cargo bench`.
#[derive(Parser)]
struct Parts {
    /// People in the rooms whose cost is measured; 0 for no room
    #[arg(long, value_delimiter = ',', default_value = "4,9,16")]
    rooms: Vec<usize>,
    /// People in the rooms whose latency is measured; 0 for no room
    #[arg(long, value_delimiter = ',', default_value = "2,4,9")]
    latency: Vec<usize>,
    /// People in the rooms that are measured in every mode; 0 for no room
    #[arg(long, value_delimiter = ',', default_value = "4,8")]
    modes: Vec<usize>,
    /// How often to measure each
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// What cargo tells every bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Parts {
    /// A list of rooms, each as often as it is to be measured.
    fn repeated(&self, rooms: &[usize]) -> Vec<usize> {
        let people = rooms.iter().filter(|people| **people > 0);
        people
            .flat_map(|people| std::iter::repeat_n(*people, self.runs))
            .collect()
    }
}

fn options(arguments: &[&str]) -> BotsOptions {
    let all = std::iter::once("bots").chain(arguments.iter().copied());
    Options::parse_from(all).bots
}

/// What a server takes for a room.
struct Cost {
    cores: f64,
    threads: usize,
    /// How often its threads are switched to another, a second.
    switches: f64,
}

/// A room of `people`: what the server takes while they watch each other's film, and their report.
async fn room(people: usize, video: &str, mode: &str) -> Result<(Cost, RunReport)> {
    let server = Server::start(&[])?;
    let (count, speakers) = (people.to_string(), SPEAKERS.to_string());
    let seconds = SECONDS.to_string();
    let options = options(&[
        "--server",
        &server.url,
        "--room",
        "bench",
        "--count",
        &count,
        "--seconds",
        &seconds,
        "--video",
        video,
        "--size",
        "1280x720",
        "--speakers",
        &speakers,
        "--decode",
        "1",
        "--mode",
        mode,
        "--forward-slots",
        "8",
    ]);
    // The same film is joined by all, so the middle of the run is when all are in.
    let running = tokio::spawn(bots::run(options));
    let cost = measure_when_full(&server, people, mode).await?;
    let report = running.await??;
    Ok((cost, report))
}

/// What the server takes once all are in and what joining cost is over.
async fn measure_when_full(server: &Server, people: usize, mode: &str) -> Result<Cost> {
    let url = format!("{}/api/v1/rooms/bench", server.url);
    let mut poll = tokio::time::interval(Duration::from_millis(200));
    loop {
        poll.tick().await;
        let Ok(answer) = reqwest::get(&url).await else {
            continue;
        };
        let state: serde_json::Value = answer.json().await?;
        let live = |p: &&serde_json::Value| p["camera"] == "live";
        let people_in = state["participants"]
            .as_array()
            .map_or(0, |all| all.iter().filter(live).count());
        let paths = &state["paths"];
        if people_in == people && state["mode"] == mode && paths["measured"] == paths["expected"] {
            break;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (began, before, first) = (Instant::now(), server.cpu()?, server.threads()?);
    tokio::time::sleep(Duration::from_secs(SECONDS - 4)).await;
    let (used, last) = (server.cpu()? - before, server.threads()?);
    let seconds = began.elapsed().as_secs_f64();
    Ok(Cost {
        cores: used / seconds,
        threads: last.count,
        switches: last.switches.saturating_sub(first.switches) as f64 / seconds,
    })
}

/// Cores that a codec alone takes in real time: CPU seconds per second of media.
fn bare(description: &str, media_seconds: f64) -> Result<f64> {
    let pid = i32::try_from(std::process::id())?;
    let pipeline = gst::parse::launch(description)?;
    pipeline.set_state(gst::State::Paused)?;
    pipeline.state(gst::ClockTime::from_seconds(20)).0?;
    let before = cpu_seconds(pid)?;
    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().context("a bus")?;
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &end);
    let used = cpu_seconds(pid)? - before;
    pipeline.set_state(gst::State::Null)?;
    match message.context("the codec does not end")?.view() {
        gst::MessageView::Eos(_) => Ok(used / media_seconds),
        other => anyhow::bail!("{description}: {other:?}"),
    }
}

/// The film's length, s.
const FILM: f64 = 5.2;

/// The bare cost of each codec of a room, cores.
struct Floor {
    folder: tempfile::TempDir,
    film: String,
}

impl Floor {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let film = film();
        Ok(Self { folder, film })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn decode(&self, size: Size) -> Result<f64> {
        let Size { width, height } = size;
        let file = self.path(&format!("{width}.webm"));
        bare(
            &format!(
                "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! videorate ! videoconvertscale \
                 ! video/x-raw,format=I420,width={width},height={height},framerate=30/1 \
                 ! vp8enc deadline=1 cpu-used=8 target-bitrate={} ! webmmux ! filesink location={file}",
                self.film,
                width * height * 2
            ),
            FILM,
        )?;
        bare(
            &format!(
                "filesrc location={file} ! matroskademux ! vp8dec threads=1 ! fakesink sync=false"
            ),
            FILM,
        )
    }

    fn encode_video(&self) -> Result<f64> {
        let raw = self.path("raw.i420");
        let Size { width, height } = CANVAS;
        bare(
            &format!(
                "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! videorate ! videoconvertscale \
                 ! video/x-raw,format=I420,width={width},height={height},framerate=30/1 \
                 ! filesink location={raw}",
                self.film
            ),
            FILM,
        )?;
        bare(
            &format!(
                "filesrc location={raw} blocksize={} ! rawvideoparse format=i420 width={width} height={height} framerate=30/1 \
                 ! openh264enc complexity=low rate-control=bitrate bitrate=1500000 gop-size=900 multi-thread=1 \
                 ! fakesink sync=false",
                width * height * 3 / 2
            ),
            FILM,
        )
    }

    /// One Opus encoder and one decoder.
    fn opus(&self) -> Result<(f64, f64)> {
        let file = self.path("voice.ogg");
        let source = "audiotestsrc wave=ticks num-buffers=3000 samplesperbuffer=960 \
             ! audio/x-raw,format=F32LE,rate=48000,channels=1";
        let alone = bare(&format!("{source} ! fakesink sync=false"), 60.0)?;
        let encode = bare(
            &format!(
                "{source} ! audioconvert ! opusenc bitrate=40000 complexity=5 ! oggmux ! filesink location={file}"
            ),
            60.0,
        )?;
        let decode = bare(
            &format!("filesrc location={file} ! oggdemux ! opusdec ! fakesink sync=false"),
            60.0,
        )?;
        Ok(((encode - alone).max(0.0), decode))
    }
}

/// The cost of rooms beside the codec floor, taken anew before each of them.
fn costs(runtime: &tokio::runtime::Runtime, rooms: &[usize]) -> Result<()> {
    let floor = Floor::new()?;
    println!(
        "| people | server, cores | codec floor, cores | ratio | threads a person | join p50 ms \
         | longest gap ms | freezes |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for &people in rooms {
        let tile = layout::tiles(CANVAS, LayoutKind::Grid, people, None)[0].context("a tile")?;
        let size = Size {
            width: tile.w,
            height: tile.h,
        };
        let video = floor.encode_video()?;
        let (opus_encode, opus_decode) = floor.opus()?;
        let decode = floor.decode(size)?;
        let sound = opus_encode * (SPEAKERS + 1) as f64 + opus_decode * people as f64;
        let bare = decode * people as f64 + video + sound;
        let (cost, report) = runtime.block_on(room(people, "film", "mcu"))?;
        let Cost { cores, threads, .. } = cost;
        let join = report.join_ms.map_or(f64::NAN, |join| join.p50);
        println!(
            "| {people} | {cores:.2} | {bare:.2} | {:.2} | {:.1} | {join:.0} | {:.0} | {} |",
            cores / bare,
            threads as f64 / people as f64,
            report.longest_gap_ms,
            report.freezes
        );
    }
    Ok(())
}

fn latencies(runtime: &tokio::runtime::Runtime, rooms: &[usize]) -> Result<()> {
    println!("| people | added latency p50 ms | p95 ms |\n| --- | --- | --- |");
    for &people in rooms {
        let (_, report) = runtime.block_on(room(people, "timecode", "mcu"))?;
        if let Some(latency) = report.latency_ms {
            println!("| {people} | {:.0} | {:.0} |", latency.p50, latency.p95);
        }
    }
    Ok(())
}

/// The same room in each mode.
fn modes(runtime: &tokio::runtime::Runtime, rooms: &[usize]) -> Result<()> {
    println!(
        "| mode | people | server, cores | a participant | packets out a second | us a packet \
         | switches a packet | threads | latency p50 ms | p95 ms | freezes |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for &people in rooms {
        for mode in ["mcu", "sfu", "p2p"] {
            if mode == "p2p" && people > MAX_MESH {
                continue;
            }
            let (cost, report) = runtime.block_on(room(people, "timecode", mode))?;
            let Cost {
                cores,
                threads,
                switches,
            } = cost;
            let from_server = report
                .bots
                .iter()
                .flat_map(|bot| &bot.received)
                .filter(|stream| stream.path != bots::Path::Mesh);
            let packets: u64 = from_server.map(|stream| stream.packets).sum();
            let rate = packets as f64 * 1000.0 / report.measured_ms;
            let (p50, p95) = report
                .latency_ms
                .map_or((f64::NAN, f64::NAN), |latency| (latency.p50, latency.p95));
            println!(
                "| {mode} | {people} | {cores:.3} | {:.3} | {rate:.0} | {:.0} | {:.2} | {threads} \
                 | {p50:.0} | {p95:.0} | {} |",
                cores / people as f64,
                cores * 1e6 / rate.max(1.0),
                switches / rate.max(1.0),
                report.freezes
            );
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let parts = Parts::parse();
    gst::init()?;
    let runtime = tokio::runtime::Runtime::new()?;
    costs(&runtime, &parts.repeated(&parts.rooms))?;
    latencies(&runtime, &parts.repeated(&parts.latency))?;
    modes(&runtime, &parts.repeated(&parts.modes))
}
