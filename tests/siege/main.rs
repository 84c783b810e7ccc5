//! Fuzzers at every door of a running server, and honest people in its rooms meanwhile: the server
//! lives, answers and gives back what it took, and nobody honest misses a picture or a word.
//!
//! `TESSERA_SOAK_SECONDS` says for how long (10 where it is not set); from [`LONG`] on memory has to
//! stay as it was after the first minutes, too. `TESSERA_FUZZ_SEED` repeats what a run has drawn,
//! but not when each of it arrived.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../src/media/fuzz/damage.rs"]
#[allow(unreachable_pub)]
mod damage;
mod draw;
mod honest;
mod media;
mod offers;
mod report;
mod rest;
mod server;
mod socket;
mod stun;
#[path = "../turn/client.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod turn;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use common::bars::at_most;
use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use draw::Draw;
use honest::Honest;
use report::{Finds, Stalls, Tally};
use server::{Held, ServerProcess};

/// Length of a run in which memory is judged.
const LONG: Duration = Duration::from_secs(600);
/// The longest time without a frame or a packet of sound.
const GAP: Duration = Duration::from_millis(300);
/// Time in which everything is given back that strangers took: longer than a join that never
/// connects is waited for.
const GIVEN_BACK: Duration = Duration::from_secs(60);
/// Threads and descriptors that pools breathe by.
const BREATH: usize = 8;

/// What every fuzzer gets.
#[derive(Clone)]
struct Siege {
    server: Arc<ServerProcess>,
    finds: Arc<Finds>,
    /// What a session says of itself that never connects, for those who send to its port.
    live: Arc<offers::Live>,
    stop: CancellationToken,
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let parsed = text.parse();
    Some(parsed.unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

type Fuzzer = fn(Siege, Draw, Arc<Tally>) -> BoxFuture<'static, ()>;

const FUZZERS: [(&str, Fuzzer); 9] = [
    ("STUN and noise to media ports", |s, d, t| {
        Box::pin(stun::media_ports(s, d, t))
    }),
    ("TURN", |s, d, t| Box::pin(stun::turn_port(s, d, t))),
    ("REST", |s, d, t| Box::pin(rest::run(s, d, t))),
    ("WebSocket, before and after joining", |s, d, t| {
        Box::pin(socket::strangers(s, d, t))
    }),
    ("WebSocket, connected", |s, d, t| {
        Box::pin(socket::connected(s, d, t))
    }),
    ("WebSocket, raw frames", |s, d, t| {
        Box::pin(socket::raw(s, d, t))
    }),
    ("offers over WHIP and WHEP", |s, d, t| {
        Box::pin(offers::run(s, d, t))
    }),
    ("RTP and RTCP in the mixed room", |s, d, t| {
        Box::pin(media::run(s, d, t, honest::MIXED))
    }),
    ("RTP and RTCP in the forwarded room", |s, d, t| {
        Box::pin(media::run(s, d, t, honest::FORWARDED))
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn honest_people_notice_nothing_of_fuzzers() {
    gst::init().expect("GStreamer");
    let length = Duration::from_secs(number("TESSERA_SOAK_SECONDS").unwrap_or(10));
    let seed = number("TESSERA_FUZZ_SEED").unwrap_or_else(rand::random);
    println!("TESSERA_FUZZ_SEED={seed}, {} s", length.as_secs());

    let server = Arc::new(ServerProcess::start().await);
    let mut honest = Honest::join(&server.url).await;
    let before = server.held();
    let siege = Siege {
        server: Arc::clone(&server),
        finds: Arc::default(),
        live: Arc::default(),
        stop: CancellationToken::new(),
    };
    let mut tasks = JoinSet::new();
    let mut tallies = Vec::new();
    for (number, (name, fuzzer)) in (0..).zip(FUZZERS) {
        let tally = Arc::new(Tally::new(name));
        tasks.spawn(fuzzer(
            siege.clone(),
            Draw::new(seed, number),
            Arc::clone(&tally),
        ));
        tallies.push(tally);
    }

    let (mut memory, mut stalls) = (Vec::new(), Stalls::watch());
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    second.tick().await;
    for n in 1..=length.as_secs() {
        second.tick().await;
        server.assert_alive();
        server.assert_answers().await;
        honest.note();
        stalls.note();
        let held = server.held();
        memory.push(held.memory);
        if n % 60 == 0 || n == length.as_secs() {
            println!("{n} s: {held:?}; {}; {}", report::load(), honest.figures());
        }
        while let Some(ended) = tasks.try_join_next() {
            ended.expect("a fuzzer fails");
        }
    }

    siege.stop.cancel();
    let ended = timeout(GIVEN_BACK, async {
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a fuzzer fails");
        }
    });
    ended.await.expect("the fuzzers end");
    tallies.iter().for_each(|tally| println!("{tally}"));
    let after = settled(&server, before).await;
    println!("before {before:?}\nafter  {after:?}");
    honest.note();
    println!("{}\n{}", honest.summary(), stalls.summary());

    siege.finds.assert_none();
    assert_eq!(server.complaints(), Vec::<String>::new());
    assert_eq!(
        tallies.iter().find(|tally| tally.is_idle()).map(|t| t.name),
        None
    );
    honest.assert_gaps(at_most(GAP));
    let threads = server.threads();
    assert!(
        is_given_back(before, after),
        "{before:?} -> {after:?}; threads: {threads:?}"
    );
    if length >= LONG {
        report::assert_flat(&memory);
    }
    honest.leave().await;
    drop(siege);
    let server = Arc::into_inner(server).expect("no fuzzer holds it");
    server.stop().await;
}

fn is_given_back(before: Held, after: Held) -> bool {
    after.threads <= before.threads + BREATH && after.files <= before.files + BREATH
}

/// What the server holds once it has given back what strangers took.
async fn settled(server: &ServerProcess, before: Held) -> Held {
    let given_back = async {
        loop {
            let held = server.held();
            if is_given_back(before, held) {
                return held;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    match timeout(GIVEN_BACK, given_back).await {
        Ok(held) => held,
        Err(_) => server.held(),
    }
}
