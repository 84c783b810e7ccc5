//! What a room of four costs beside another state of its own: recorded and not, in turns, in a mixed
//! room and a forwarding one; and with pictures that move and pictures that do not. Prints figures;
//! nothing here passes or fails.
//!
//! The server runs in a process of its own and the bots in this one, on the same machine.
#![allow(missing_docs)]

#[path = "common/server.rs"]
mod server;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use server::Server;
use tessera::bots::{AudioSource, Bot, BotConfig, VideoFormat, VideoSource, Voice};
use tessera::codec::VideoCodec;
use tessera::id::RoomId;
use tessera::topology::Mode;

const ROOM: &str = "bench";
/// How many there are.
const PEOPLE: usize = 4;
/// How long each state is measured, and how long before that it is left alone.
const MEASURED: Duration = Duration::from_secs(6);
const SETTLES: Duration = Duration::from_secs(3);

#[derive(Parser)]
struct Parts {
    /// How often to measure each state
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What cargo tells every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the cameras show.
#[derive(Clone, Copy)]
enum Scene {
    /// The film, and one person speaks.
    Lively,
    /// A colour each, and nobody speaks.
    Still,
}

struct Room {
    server: Server,
    bots: Vec<Bot>,
}

impl Room {
    /// Everybody is in, in `mode`.
    async fn open(server: Server, mode: Mode, scene: Scene) -> Result<Self> {
        let room: RoomId = ROOM.parse()?;
        let format = VideoFormat::sized(VideoCodec::Vp8, 640, 360);
        let joins = (0..PEOPLE).map(|i| {
            let config = BotConfig::new(&server.url, room.clone(), format!("Person {i}"));
            let mut config = config.person(i, format).with_slots(PEOPLE - 1);
            (config.video, config.audio) = match scene {
                Scene::Lively => {
                    let offset = Duration::from_secs(i as u64);
                    let voice = match i {
                        0 => AudioSource::Speech(Voice::Ada),
                        _ => AudioSource::Silence,
                    };
                    (VideoSource::Film { format, offset }, voice)
                }
                Scene::Still => (config.video, AudioSource::Silence),
            };
            Bot::join(config)
        });
        let bots = try_join_all(joins).await?;
        let first = bots.first().context("nobody is there")?;
        first.set_mode(mode)?;
        let full = |room: &tessera::protocol::room::RoomState| {
            room.mode == mode && room.participants.len() == PEOPLE
        };
        first.room_when("everybody", full).await?;
        Ok(Self { server, bots })
    }

    /// The server's cores, once it has settled.
    async fn cores(&self) -> Result<f64> {
        tokio::time::sleep(SETTLES).await;
        let (began, before) = (Instant::now(), self.server.cpu()?);
        tokio::time::sleep(MEASURED).await;
        Ok((self.server.cpu()? - before) / began.elapsed().as_secs_f64())
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/api/v1/rooms/{ROOM}/{path}", self.server.url);
        let answer = reqwest::Client::new().post(url).json(body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    async fn close(self) {
        join_all(self.bots.into_iter().map(Bot::leave)).await;
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What a recording adds, each round beside the time just before it.
async fn recorded(rounds: usize) -> Result<()> {
    println!(
        "| room | recording | without, cores | with | more, median of {rounds} | from .. to |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let folder = tempfile::tempdir()?;
    let place = folder.path().display().to_string();
    for mode in [Mode::Mcu, Mode::Sfu] {
        let server = Server::start(&["--recordings", &place, "--recording-free-space", "0"])?;
        let room = Room::open(server, mode, Scene::Lively).await?;
        for (kind, format) in [
            ("composite", "mp4"),
            ("composite", "webm"),
            ("tracks", "webm"),
        ] {
            let (mut without, mut with) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                without.push(room.cores().await?);
                let wanted = json!({"kind": kind, "format": format});
                let recording = room.post("recordings", &wanted).await?;
                with.push(room.cores().await?);
                let id = recording["id"].as_str().context("no id")?;
                room.post(&format!("recordings/{id}/stop"), &json!({}))
                    .await?;
            }
            let more: Vec<f64> = with.iter().zip(&without).map(|(a, b)| a - b).collect();
            let least = more.iter().copied().fold(f64::INFINITY, f64::min);
            let most = more.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            println!(
                "| {mode:?} | {kind} {format} | {:.3} | {:.3} | {:.3} | {least:.3} .. {most:.3} |",
                median(without),
                median(with),
                median(more)
            );
        }
        room.close().await;
    }
    Ok(())
}

/// What a mixed room costs whose pictures move, and one whose pictures do not.
async fn resting(rounds: usize) -> Result<()> {
    println!("| pictures | server, cores, median of {rounds} | frames a second to a viewer |");
    println!("| --- | --- | --- |");
    for (name, scene) in [("the film", Scene::Lively), ("still", Scene::Still)] {
        let room = Room::open(Server::start(&[])?, Mode::Mcu, scene).await?;
        // Frames become rarer slowly.
        tokio::time::sleep(2 * SETTLES).await;
        room.bots.iter().for_each(Bot::reset_stats);
        let mut all = Vec::new();
        for _ in 0..rounds {
            all.push(room.cores().await?);
        }
        let viewer = room.bots.first().context("nobody is there")?.stats();
        let video = viewer
            .received
            .iter()
            .find(|stream| !stream.role.is_audio());
        let rate = video.map_or(f64::NAN, |v| v.frames as f64 / v.measured.as_secs_f64());
        println!("| {name} | {:.3} | {rate:.1} |", median(all));
        room.close().await;
    }
    Ok(())
}

fn main() -> Result<()> {
    let parts = Parts::parse();
    gst::init()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(recorded(parts.rounds))?;
    runtime.block_on(resting(parts.rounds))
}
