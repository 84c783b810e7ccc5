//! What a room costs in which nobody has a camera: CPU, threads and context switches of a server with
//! 20 people who hear the mix, of whom two talk. Prints figures; nothing here passes or fails.
//!
//! The server runs in a process of its own and the bots in this one, on the same machine.
#![allow(missing_docs)]

#[path = "common/server.rs"]
mod server;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use futures::future::{join_all, try_join_all};
use server::Server;
use tessera::bots::{AudioSource, Bot, BotConfig};
use tessera::id::RoomId;
use tessera::protocol::room::Limits;
use tessera::topology::Mode;

/// How long a room is measured, and how long before that it is left alone.
const MEASURED: Duration = Duration::from_secs(8);
const SETTLES: Duration = Duration::from_secs(4);

#[derive(Parser)]
struct Parts {
    /// How often to measure each room
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many people there are
    #[arg(long, default_value_t = 20)]
    people: usize,
    /// How many of them talk
    #[arg(long, value_delimiter = ',', default_value = "0,2")]
    talk: Vec<usize>,
    /// What cargo tells every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// A room in which so many of the `people` talk, without a pause.
async fn open(server: &Server, people: usize, talk: usize) -> Result<Vec<Bot>> {
    let room: RoomId = "bench".parse()?;
    let joins = (0..people).map(|i| {
        let mut config = BotConfig::new(&server.url, room.clone(), format!("Person {i}"));
        config.audio = match i < talk {
            true => AudioSource::Tone {
                hz: 200 + 100 * i as u32,
                dbfs: -24,
            },
            false => AudioSource::Silence,
        };
        config.limits = Limits {
            audio_only: true,
            ..Limits::default()
        };
        Bot::join(config)
    });
    let bots = try_join_all(joins).await?;
    let first = bots.first().context("nobody is there")?;
    first.set_mode(Mode::Mcu)?;
    let full = |room: &tessera::protocol::room::RoomState| room.participants.len() == people;
    first.room_when("everybody", full).await?;
    Ok(bots)
}

async fn measure(people: usize, talk: usize) -> Result<()> {
    let server = Server::start(&[])?;
    let bots = open(&server, people, talk).await?;
    tokio::time::sleep(SETTLES).await;
    let (began, cpu, before) = (Instant::now(), server.cpu()?, server.threads()?);
    tokio::time::sleep(MEASURED).await;
    let (seconds, after) = (began.elapsed().as_secs_f64(), server.threads()?);
    let cores = (server.cpu()? - cpu) / seconds;
    let switches = (after.switches - before.switches) as f64 / seconds;
    println!(
        "| {people} | {talk} | {cores:.3} | {} | {switches:.0} |",
        after.count
    );
    join_all(bots.into_iter().map(Bot::leave)).await;
    Ok(())
}

fn main() -> Result<()> {
    let parts = Parts::parse();
    gst::init()?;
    let runtime = tokio::runtime::Runtime::new()?;
    println!("| people | talk | server, cores | threads | context switches a second |");
    println!("| --- | --- | --- | --- | --- |");
    for talk in &parts.talk {
        for _ in 0..parts.rounds {
            runtime.block_on(measure(parts.people, *talk))?;
        }
    }
    Ok(())
}
