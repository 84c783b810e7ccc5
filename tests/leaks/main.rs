//! What many joins and leaves leave behind: nothing. Alone in their binary, because they count the
//! threads and files of the whole process.

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use common::server::{PATIENCE, TestServer, room};
use futures::future::try_join_all;
use procfs::process::Process;
use tessera::bots::{Bot, BotConfig, Decode, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::media::gst::pipeline;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// People who come and go together.
const GROUP: usize = 4;

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    threads: usize,
    files: usize,
    pipelines: i64,
    /// Resident set, KiB.
    memory: u64,
}

fn held() -> Held {
    let process = Process::myself().expect("/proc/self");
    Held {
        threads: process.tasks().expect("tasks").count(),
        files: process.fd_count().expect("fds"),
        pipelines: pipeline::alive(),
        memory: process.status().expect("status").vmrss.expect("vmrss"),
    }
}

/// A client that plays and has no camera: what it may send from is hidden behind names of mDNS.
async fn plays_and_ends(server: &TestServer, offer: &str) {
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a client");
    let url = format!("{}/whep/names", server.url);
    let play = client.post(url).header("content-type", "application/sdp");
    let answer = play.body(offer.to_owned()).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 201, "{:?}", answer.text().await);
    let at = answer.headers()["location"].to_str().expect("a location");
    let end = client.delete(format!("{}{at}", server.url)).send().await;
    assert!(end.expect("an answer").status().is_success());
}

/// Names of mDNS (`.local`), which libnice would look up on threads that wait for good, are never given
/// to it.
#[tokio::test(flavor = "multi_thread")]
async fn candidates_that_are_names_leave_nothing_behind() {
    const PLAYS: usize = 40;
    let server = TestServer::start().await;
    let offer = include_str!("../data/offers/f17-whep-inactive-video.sdp");
    let mut offer = offer.replace("a=inactive", "a=recvonly");
    for port in [50_000, 50_001] {
        let name = "7f3cc600-0f5b-4f5c-9a53-3f0d2b7d1c11.local";
        offer += &format!("a=candidate:1 1 udp 2113937151 {name} {port} typ host\r\n");
    }
    let empty = async |server: &TestServer| {
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        let empty = async {
            while !server.registry.list().is_empty() || pipeline::alive() > 0 {
                poll.tick().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, empty).await;
        assert!(waited.is_ok(), "the room does not empty: {:?}", held());
    };
    for _ in 0..4 {
        plays_and_ends(&server, &offer).await;
    }
    empty(&server).await;
    let before = held();
    for _ in 0..PLAYS {
        plays_and_ends(&server, &offer).await;
    }
    empty(&server).await;
    let after = held();
    println!("before {before:?}\nafter  {after:?}");
    // With them it was one thread and four descriptors for each.
    assert!(after.files <= before.files + 8, "{before:?} -> {after:?}");
    assert!(
        after.threads <= before.threads + 8,
        "{before:?} -> {after:?}"
    );
    server.stop().await;
}

/// A group joins, is connected, and leaves; in every tenth round one of them without a word.
async fn come_and_go(server: &TestServer, round: usize) {
    let joins = (0..GROUP).map(|i| {
        let config = BotConfig::new(&server.url, room("door"), format!("Guest {i}"))
            .person(i, VideoFormat::sized(VideoCodec::Vp8, 160, 90))
            .decoding(Decode::No);
        Bot::join(config)
    });
    let bots = try_join_all(joins).await.expect("they join");
    for bot in &bots {
        bot.first_picture().await.expect("a picture");
    }
    for (i, bot) in bots.into_iter().enumerate() {
        match (round % 10, i) {
            (9, 0) => bot.kill().await,
            _ => bot.leave().await.expect("leave"),
        }
    }
    let empty = async {
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        while !server.registry.list().is_empty() || pipeline::alive() > 0 {
            poll.tick().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, empty).await;
    assert!(waited.is_ok(), "the room does not empty: {:?}", held());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_joins_leave_nothing_behind() {
    let server = TestServer::start().await;
    // What is made once and kept: codec tables, caches, pools of threads.
    for round in 5..11 {
        come_and_go(&server, round).await;
    }
    let before = held();
    for round in 0..200 / GROUP {
        come_and_go(&server, round).await;
    }
    let after = held();
    println!("before {before:?}\nafter  {after:?}");
    assert_eq!(after.pipelines, 0);
    assert!(after.files <= before.files + 8, "{before:?} -> {after:?}");
    // Tokio's and GLib's pools breathe by a few threads.
    assert!(
        after.threads <= before.threads + 8,
        "{before:?} -> {after:?}"
    );
    assert!(
        after.memory * 10 < before.memory * 11,
        "{before:?} -> {after:?}"
    );
    server.stop().await;
}

/// How many threads of each kind a process has. Those of pools and what ends come and go with what there
/// is to do, and the numbers in the names of others are of the element.
fn threads(process: &Child) -> BTreeMap<String, i64> {
    let pid = process.id().and_then(|pid| i32::try_from(pid).ok());
    let process = Process::new(pid.expect("it runs")).expect("its threads");
    let mut kinds = BTreeMap::new();
    for stat in process.tasks().expect("tasks").flatten() {
        let name = stat.stat().expect("a name").comm;
        let kind: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
        // The last draws a name.
        let breathes = ["tokio", "pool", "teardown", "videotestsrc"];
        if !breathes.iter().any(|name| kind.starts_with(name)) {
            *kinds.entry(kind).or_default() += 1;
        }
    }
    kinds
}

/// A room of four who see the composite, and offer so many forward slots of each kind as well.
async fn mixed(url: &str, name: &str, slots: usize) -> Vec<Bot> {
    let joins = (0..GROUP).map(|i| {
        let config = BotConfig::new(url, room(name), format!("Guest {i}"))
            .person(i, VideoFormat::sized(VideoCodec::Vp8, 160, 90))
            .decoding(Decode::No)
            .with_slots(slots);
        Bot::join(config)
    });
    let bots = try_join_all(joins).await.expect("they join");
    for bot in &bots {
        bot.first_picture().await.expect("a picture");
    }
    bots
}

/// A browser offers eight forward slots of each kind, and in a mixed room none of them is used.
#[tokio::test(flavor = "multi_thread")]
async fn forward_slots_that_are_not_used_have_no_thread() {
    gst::init().expect("GStreamer");
    let mut server = Command::new(env!("CARGO_BIN_EXE_tessera"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--media-ip",
            "127.0.0.1",
        ])
        .args(["--joins-per-second", "1000", "--max-cores", "unlimited"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("tessera starts");
    let out = server.stdout.take().expect("a pipe");
    let first = BufReader::new(out).lines().next_line().await;
    let first = first.expect("a pipe").expect("a line");
    let url = first.strip_prefix("listening on ").expect("an address");
    // With the first of all come those that stay.
    let warm = mixed(url, "warm", 0).await;
    let before = threads(&server);
    let plain = mixed(url, "plain", 0).await;
    let between = threads(&server);
    let slotted = mixed(url, "slotted", 8).await;
    let after = threads(&server);
    println!("{before:?}\n{between:?}\n{after:?}");
    let more = |then: &BTreeMap<String, i64>, now: &BTreeMap<String, i64>| {
        let count = |of: &BTreeMap<String, i64>, kind| of.get(kind).copied().unwrap_or_default();
        let kinds = now
            .keys()
            .map(|kind| (kind.clone(), count(now, kind) - count(then, kind)));
        kinds
            .filter(|(_, more)| *more != 0)
            .collect::<BTreeMap<_, _>>()
    };
    // What nothing goes through has ended.
    let rests = |kind: &&String| kind.starts_with("rtpsession") || kind.starts_with("rtprtxsend");
    assert_eq!(after.keys().find(rests), None);
    assert_eq!(more(&before, &between), more(&between, &after));
    for bot in warm.into_iter().chain(plain).chain(slotted) {
        bot.leave().await.expect("leave");
    }
}
