//! How often the server asks for memory for each packet that it forwards: eight people who see and hear
//! each other. Prints figures; nothing here passes or fails.
//!
//! The server runs in this process, whose allocations by Rust code are counted, and the bots in one of
//! their own, on the same machine. What GLib and libnice ask for is not counted.
#![allow(missing_docs)]

use std::alloc::System;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tessera::config::{BuiltIn, Config, MaxCores};
use tessera::id::RoomId;
use tessera::media::gst::template::Templates;
use tessera::net::machine::MediaIps;
use tessera::protocol::room::{ByeReason, RoomState, UplinkState};
use tessera::room::Registry;
use tessera::signalling::Server;
use tessera::telemetry::Metrics;
use tessera::topology::Mode;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PEOPLE: usize = 8;
/// How long it is measured, and how long before that the room is left alone.
const MEASURED: Duration = Duration::from_secs(6);
const SETTLES: Duration = Duration::from_secs(3);
/// How long the bots stay, if nobody ends them.
const STAY: Duration = Duration::from_secs(120);

#[derive(Parser)]
struct Parts {
    /// How often to measure
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// What cargo tells every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// A server in this process, its rooms, and where it is.
async fn serve() -> Result<(Registry, String)> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config {
        listen: loopback,
        media_ips: MediaIps::Only(vec![loopback.ip()]),
        joins_per_second: 1000,
        max_cores: MaxCores::Unlimited,
        ..Config::default()
    };
    config.turn.built_in = BuiltIn::Off;
    let config = Arc::new(config);
    let templates = Arc::new(Templates::load(None)?);
    let registry = Registry::new(Arc::clone(&config), templates);
    let server = Server::bind(config, registry.clone(), Metrics::install()?).await?;
    let url = format!("http://{}", server.local_addr());
    tokio::spawn(server.run(std::future::pending()));
    Ok((registry, url))
}

/// Packets that have come from all people of a room so far.
async fn received(registry: &Registry, room: &RoomId) -> Result<u64> {
    let room = registry.get(room).context("the room is gone")?;
    let stats = room.stats().await.context("the room is gone")?;
    let uplinks = stats.participants.iter().flat_map(|p| p.uplinks.values());
    Ok(uplinks.map(|uplink| uplink.total.packets).sum())
}

/// Waits until everybody is there and forwarded to everybody else, and what joining costs is over.
async fn full(registry: &Registry, room: &RoomId) -> Result<()> {
    let mut poll = tokio::time::interval(Duration::from_millis(200));
    let is_full = |state: &RoomState| {
        let live = state.participants.iter();
        let live = live.filter(|p| p.camera == UplinkState::Live).count();
        state.mode == Mode::Sfu && live == PEOPLE && state.paths.measured == state.paths.expected
    };
    loop {
        poll.tick().await;
        if let Some(room) = registry.get(room)
            && is_full(&room.state())
        {
            break;
        }
    }
    tokio::time::sleep(SETTLES).await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let parts = Parts::parse();
    gst::init()?;
    let (registry, url) = serve().await?;
    println!("| packets out a second | allocations a packet out | bytes a packet out |");
    println!("| --- | --- | --- |");
    for run in 0..parts.runs {
        let name = format!("bench{run}");
        let room: RoomId = name.parse()?;
        let seconds = STAY.as_secs().to_string();
        let mut bots = Command::new(env!("CARGO_BIN_EXE_tessera"))
            .args(["bots", "--server", &url, "--room", &name, "--mode", "sfu"])
            .args(["--count", &PEOPLE.to_string(), "--seconds", &seconds])
            .args([
                "--size",
                "640x360",
                "--video",
                "timecode",
                "--forward-slots",
                "8",
            ])
            .args(["--speakers", "8", "--decode", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        full(&registry, &room).await?;
        let (began, before) = (Instant::now(), received(&registry, &room).await?);
        let region = Region::new(ALLOCATOR);
        tokio::time::sleep(MEASURED).await;
        let change = region.change();
        let packets = received(&registry, &room).await? - before;
        let out = packets as f64 * (PEOPLE - 1) as f64;
        println!(
            "| {:.0} | {:.2} | {:.0} |",
            out / began.elapsed().as_secs_f64(),
            (change.allocations + change.reallocations) as f64 / out,
            change.bytes_allocated as f64 / out,
        );
        bots.kill()?;
        bots.wait()?;
        if let Some(room) = registry.get(&room) {
            room.close(ByeReason::RoomClosed).await;
        }
    }
    Ok(())
}
