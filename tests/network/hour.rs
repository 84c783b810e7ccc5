//! A forwarded room for an hour, on lines that lose packets both ways: the server has as much memory and
//! as many threads at the end as after the first minute.
//!
//! `TESSERA_SOAK_SECONDS` says for how long; run by `make soak`.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use procfs::process::{Process, Task};
use tessera::bots::{Bot, BotConfig, VideoFormat};
use tessera::codec::VideoCodec;
use tokio::time::{Instant, interval};

use crate::common::netns::{Network, NetworkServer, Way};
use crate::common::server::room;

/// Each of them sees and hears the seven others: with 30 pictures and 50 packets of sound a second that is
/// 4,500 packets out and 640 in.
const PEOPLE: usize = 8;
/// Packets that are lost, percent, on each line and either way.
const LOSS: u32 = 2;
/// The time after which nothing grows any more.
const SETTLED: Duration = Duration::from_secs(60);
/// Shortest run that shows anything.
const SHORTEST: Duration = Duration::from_secs(180);
/// Most memory that comes in, from the minute after [`SETTLED`] to any later one, KiB.
const GROWTH: u64 = 2 << 10;

/// What the server has at a moment.
#[derive(Debug, Clone, Copy)]
struct Held {
    threads: usize,
    /// Resident set, KiB.
    memory: u64,
}

impl Held {
    fn of(server: &NetworkServer) -> Self {
        let process = Process::new(server.pid().try_into().unwrap()).unwrap();
        Self {
            threads: process.tasks().unwrap().flatten().filter(stays).count(),
            memory: process.status().unwrap().vmrss.unwrap(),
        }
    }

    /// The median memory and most threads of a minute.
    fn of_minute(seconds: &[Self]) -> Self {
        let mut memory: Vec<u64> = seconds.iter().map(|held| held.memory).collect();
        memory.sort_unstable();
        Self {
            threads: seconds.iter().map(|held| held.threads).max().unwrap(),
            memory: memory[memory.len() / 2],
        }
    }
}

/// Whether a thread is none of a pool, which breathes by a few.
fn stays(task: &Task) -> bool {
    let name = task.stat().map(|stat| stat.comm).unwrap_or_default();
    !name.starts_with("tokio") && !name.starts_with("pool-")
}

fn length() -> Duration {
    let asked = std::env::var("TESSERA_SOAK_SECONDS").ok();
    let seconds = asked.map_or(3_600, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds).max(SHORTEST)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_is_forwarded_for_an_hour_holds_no_more_than_after_a_minute() {
    let network = Network::new(PEOPLE);
    let server = network.serve(&["--mode", "sfu"]).await;
    let format = VideoFormat::sized(VideoCodec::Vp8, 640, 360);
    let joins = (0..PEOPLE).map(|i| {
        let line = network.line(i);
        let mut config = BotConfig::new(server.url(line), room("hour"), format!("Person {i}"))
            .person(i, format)
            .with_slots(PEOPLE)
            .telling_arrivals();
        config.interface = line.interface();
        Bot::join(config)
    });
    let bots = try_join_all(joins).await.expect("everybody joins");
    for line in (0..PEOPLE).map(|i| network.line(i)) {
        line.lose(Way::Up, LOSS);
        line.lose(Way::Down, LOSS);
    }

    let (began, packets) = (Instant::now(), received(&bots));
    let mut second = interval(Duration::from_secs(1));
    let mut held = Vec::new();
    while began.elapsed() < length() {
        second.tick().await;
        held.push(Held::of(&server));
        if held.len() % 300 == 0 {
            println!("{} s: {:?}", held.len(), held.last());
        }
    }
    let rate = (received(&bots) - packets) as f64 / began.elapsed().as_secs_f64();
    let lost: u64 = (0..PEOPLE).map(|i| network.line(i).lost(Way::Down)).sum();
    println!("{rate:.0} packets/s received, {lost} lost on their way down");
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;

    let settled = usize::try_from(SETTLED.as_secs()).unwrap();
    let minutes = held[settled..].chunks_exact(60).map(Held::of_minute);
    let minutes: Vec<Held> = minutes.collect();
    let (first, last) = (minutes[0], minutes[minutes.len() - 1]);
    let most = minutes.iter().map(|minute| minute.memory).max().unwrap();
    println!("minute 2: {first:?}, last: {last:?}, most memory of a minute: {most} KiB");
    assert!(rate > 2_000.0, "{rate:.0} packets/s are no load");
    assert!(lost > 0, "the lines lose nothing");
    assert!(most <= first.memory + GROWTH, "{first:?}: {most} KiB");
    assert!(last.threads <= first.threads, "{first:?}: {last:?}");
}

/// Packets that have come to all of them so far.
fn received(bots: &[Bot]) -> u64 {
    let streams = bots.iter().flat_map(|bot| bot.stats().received);
    streams.map(|stream| stream.packets).sum()
}
