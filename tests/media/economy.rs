//! What a room costs the server is kept near what it shows.

use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use reqwest::Method;
use serde_json::{Value, json};
use tessera::admission::{Admission, LoadSample, PerMode};
use tessera::bots::{
    AudioSource, Bot, BotConfig, BotError, Decode, Entry, StreamStats, VideoFormat, VideoSource,
};
use tessera::codec::VideoCodec;
use tessera::id::Role;
use tessera::protocol::error::ErrorCode;
use tessera::protocol::room::{RoomState, UplinkState};

use crate::common::bars::at_most;
use crate::common::film;
use crate::common::recorded::{Process, ask};
use crate::common::server::{PATIENCE, TestServer, metric, room};

/// Between two looks at figures that the server takes once a second.
const LOOK: Duration = Duration::from_millis(500);

/// Pixels of the default canvas in a second.
const CANVAS: u64 = 1280 * 720 * 30;

async fn stats(server: &TestServer, name: &str) -> Value {
    server.get(&format!("/api/v1/rooms/{name}/stats")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nine_cameras_cost_what_one_canvas_does() {
    let server = TestServer::start().await;
    let format = VideoFormat::sized(VideoCodec::Vp8, 1280, 720);
    let joins = (0..9).map(|i| {
        let config = BotConfig::new(&server.url, room("nine"), format!("Person {i}"));
        Bot::join(config.person(i, format))
    });
    let bots = try_join_all(joins).await.expect("all join");
    let live = |state: &RoomState| {
        let cameras = state.participants.iter().map(|p| p.camera);
        let live = cameras.filter(|camera| *camera == UplinkState::Live);
        live.count() == 9 && state.tiles.len() == 9
    };
    let state = bots[0].room_when("nine cameras", live).await;
    let state = state.expect("nine cameras");
    for tile in &state.tiles {
        assert!(tile.w * 3 <= 1280 && tile.h * 3 <= 720, "{tile:?}");
    }

    // All nine are decoded, and none of them larger than it is shown any more.
    let few = |pixels: u64| pixels * 10 < CANVAS * 13;
    let settled = async {
        let mut looks = Vec::new();
        while looks.len() < 6 {
            tokio::time::sleep(LOOK).await;
            let stats = stats(&server, "nine").await;
            let pixels = stats["decoded_pixels_per_second"].as_u64();
            let pixels = pixels.expect("pixels");
            // Nine cameras and nine microphones.
            match stats["decoders"] == 18 && few(pixels) && pixels * 2 > CANVAS {
                true => looks.push(pixels),
                false => looks.clear(),
            }
        }
        looks
    };
    let looks = tokio::time::timeout(PATIENCE, settled).await;
    match looks {
        Ok(looks) => println!("{looks:?} of {CANVAS} pixels a second"),
        Err(_) => panic!("of {CANVAS}: {}", stats(&server, "nine").await),
    }
    assert!(metric(&server.url, "tessera_decoded_pixels_total").await > CANVAS as f64);
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// A load that is told, in seconds that do not pass.
struct Load {
    admission: Admission,
    at: Duration,
    cpu: Duration,
}

impl Load {
    /// Uses so many cores for so many seconds.
    fn is(&mut self, cores: f64, seconds: u32) {
        for _ in 0..seconds {
            self.at += Duration::from_secs(1);
            self.cpu += Duration::from_secs_f64(cores);
            self.admission.observe(LoadSample {
                at: self.at,
                cpu: self.cpu,
                people: PerMode {
                    mcu: 2,
                    ..PerMode::default()
                },
            });
        }
    }
}

/// The bot sees the composite in this height.
async fn sees(bot: &Bot, height: u32) {
    let picture = bot.picture_when("a height", |picture| picture.height == height);
    if let Err(error) = picture.await {
        let last = bot.picture().await.map(|picture| picture.height);
        panic!("{error}: {last:?}, not {height}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_saves_and_refuses_and_recovers() {
    let admission = Admission::given(Some(1.0));
    let server = TestServer::admitting(&admission).await;
    let mut load = Load {
        admission,
        at: Duration::ZERO,
        cpu: Duration::ZERO,
    };
    load.is(0.2, 10);
    let format = VideoFormat {
        fps: 15,
        ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
    };
    let person = |i: usize| {
        let config = BotConfig::new(&server.url, room("busy"), format!("Person {i}"));
        config.person(i, format).decoding(Decode::Video)
    };
    let bots = try_join_all((0..2).map(|i| Bot::join(person(i)))).await;
    let bots = bots.expect("both join");
    sees(&bots[0], 720).await;
    let before = stats(&server, "busy").await;
    assert_eq!(
        (&before["pressure"], &before["fps"]),
        (&"none".into(), &30.into())
    );

    load.is(1.0, 30);
    // Whoever comes now is told so, by whichever door.
    match Bot::join(person(2)).await {
        Err(BotError::Refused { code, .. }) => assert_eq!(code, ErrorCode::ServerBusy),
        other => panic!("{other:?}"),
    }
    for entry in [Entry::Whip, Entry::Whep] {
        let config = BotConfig::new(&server.url, room("another"), "Nobody").entering(entry);
        match Bot::join(config.person(3, format)).await {
            Err(BotError::RefusedHttp { status, body }) => {
                assert!(
                    status == 503 && body.contains("server_busy"),
                    "{status} {body}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    let offer = reqwest::Client::new()
        .post(format!("{}/whep/another", server.url))
        .header("content-type", "application/sdp")
        .body("v=0\r\n");
    let answer = offer.send().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let rooms = server.get("/api/v1/rooms").await;
    let rooms = rooms.as_array().map(Vec::len);
    assert_eq!(rooms, Some(1), "no room was left behind");

    // The room goes on, with half of the frames and the third of five sizes.
    sees(&bots[0], 360).await;
    let report = server.get("/api/v1/server").await;
    assert_eq!(report["pressure"], "rungs", "{report}");
    assert_eq!(report["has_room"]["mcu"], false, "{report}");
    assert_eq!(report["people"]["mcu"], 2, "{report}");
    let during = stats(&server, "busy").await;
    assert_eq!(
        (&during["pressure"], &during["fps"]),
        (&"rungs".into(), &15.into())
    );
    for (name, value) in [("tessera_pressure", 4.0), ("tessera_cpu_cores_limit", 1.0)] {
        assert_eq!(metric(&server.url, name).await, value, "{name}");
    }
    assert!(metric(&server.url, "tessera_joins_refused_total").await >= 4.0);
    assert!(metric(&server.url, "tessera_join_cost_cores").await > 0.0);
    // In none of the three modes.
    assert_eq!(metric(&server.url, "tessera_has_room").await, 0.0);

    load.is(0.1, 90);
    sees(&bots[0], 720).await;
    let third = Bot::join(person(2)).await.expect("there is room again");
    sees(&third, 720).await;
    let after = stats(&server, "busy").await;
    assert_eq!(
        (&after["pressure"], &after["fps"]),
        (&"none".into(), &30.into())
    );
    join_all(bots.into_iter().chain([third]).map(Bot::leave)).await;
    server.stop().await;
}

/// The figures of the composite at a viewer.
fn video(bot: &Bot) -> StreamStats {
    let received = bot.stats().received.into_iter();
    let mut video = received.filter(|stream| stream.role == Role::MixVideo);
    video.next().expect("the composite")
}

/// Waits until a viewer gets the composite with a number of frames a second in this range, looked
/// at for two seconds at a time. Nobody may take any of it for a freeze.
async fn frames_a_second(viewer: &Bot, range: std::ops::Range<f64>) {
    let window = Duration::from_secs(2);
    let began = Instant::now();
    loop {
        let before = video(viewer);
        tokio::time::sleep(window).await;
        let after = video(viewer);
        assert_eq!(after.freezes, 0, "{after:?}");
        let rate = (after.decoded - before.decoded) as f64 / window.as_secs_f64();
        println!(
            "{rate} frames a second, {:?} at most without one",
            after.longest_gap
        );
        if range.contains(&rate) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{rate}, not {range:?}");
    }
}

async fn post(server: &TestServer, path: &str, body: Value) -> Value {
    let url = format!("{}/api/v1/rooms/{path}", server.url);
    let request = reqwest::Client::new().post(url).json(&body);
    let answer = request.send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_in_which_nothing_moves_rests_until_something_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = TestServer::with(|config| {
        config.recordings = Some(folder.path().to_owned());
        config.recording_quotas.free_space = 0;
    })
    .await;
    let format = VideoFormat {
        fps: 15,
        ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
    };
    // Cameras that show the same again and again, and nobody says a word.
    let person = |i: usize| {
        let config = BotConfig::new(&server.url, room("still"), format!("Person {i}"));
        let mut config = config.person(i, format).decoding(Decode::Video);
        config.audio = AudioSource::None;
        config
    };
    let bots = try_join_all((0..2).map(|i| Bot::join(person(i)))).await;
    let mut bots = bots.expect("both join");
    let live = |n: usize| {
        move |state: &RoomState| {
            let cameras = state.participants.iter().map(|p| p.camera);
            let live = cameras.filter(|camera| *camera == UplinkState::Live);
            live.count() == n && state.tiles.len() == n
        }
    };
    let state = bots[0].room_when("two cameras", live(2)).await;
    state.expect("two cameras");
    sees(&bots[0], 720).await;
    let wanted = json!({"format": "mp4", "kind": "composite"});
    let recording = post(&server, "still/recordings", wanted).await;
    let shown = bots[1].room_when("the recording", |state| !state.recordings.is_empty());
    shown.await.expect("it is recorded");
    let began = Instant::now();
    bots[0].reset_stats();
    frames_a_second(&bots[0], 3.0..12.0).await;

    // Somebody who moves: all of the rate at once.
    let mut mover = person(2);
    mover.video = VideoSource::Film {
        format,
        offset: Duration::ZERO,
    };
    bots.push(Bot::join(mover).await.expect("joins"));
    let state = bots[0].room_when("three cameras", live(3)).await;
    state.expect("three cameras");
    frames_a_second(&bots[0], 15.0..32.0).await;
    let seen = video(&bots[0]);
    let longest = at_most(Duration::from_millis(500));
    assert!(seen.longest_gap < longest, "{seen:?}");

    // And rest again, when they have gone.
    let mover = bots.pop().expect("the third");
    mover.leave().await.expect("left");
    frames_a_second(&bots[0], 3.0..12.0).await;
    let id = recording["id"].as_str().expect("an id");
    let ended = post(&server, &format!("still/recordings/{id}/stop"), json!({})).await;
    let took = began.elapsed();
    assert_eq!(ended["state"], "finished", "{ended}");
    let file = folder.path().join(ended["file"].as_str().expect("a file"));
    let length = film::length(&file);
    let off = length.abs_diff(took);
    let most = at_most(Duration::from_millis(1200));
    assert!(off < most, "{length:?} in {took:?}");
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// Cores of a server that has hardly any: two people fit by what they are taken to cost, and not by
/// what they do, with a film each and a composite in VP8 of its full size.
const FEW: f64 = 0.3;

/// As at the command, with the load that there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_few_cores_says_that_it_saves_and_refuses_and_goes_on() {
    gst::init().expect("GStreamer");
    let server = Process::serve(&["--max-cores", &FEW.to_string()]).await;
    let url = &server.url;
    let format = VideoFormat::new(VideoCodec::Vp8);
    let person = |i: usize| {
        let mut config = BotConfig::new(url, room("few"), format!("Person {i}"));
        config.video = VideoSource::Film {
            format,
            offset: Duration::from_secs(i as u64),
        };
        let config = config.receiving(&[VideoCodec::Vp8]);
        config.decoding(Decode::Video)
    };
    let bots = try_join_all((0..2).map(|i| Bot::join(person(i)))).await;
    let bots = bots.expect("both join");
    let report = async || ask(Method::GET, url, "/server", None).await.1;
    let pressed = async {
        loop {
            let report = report().await;
            if report["pressure"] != "none" && report["people"]["mcu"] == 2 {
                return report;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let pressed = tokio::time::timeout(PATIENCE, pressed).await;
    let Ok(pressed) = pressed else {
        panic!("{}", report().await);
    };
    println!("{pressed}");
    assert_eq!(pressed["cores_limit"], FEW);
    assert!(pressed["cores_used"].as_f64() > Some(FEW / 2.0));
    match Bot::join(person(2)).await {
        Err(BotError::Refused { code, .. }) => assert_eq!(code, ErrorCode::ServerBusy),
        other => panic!("{other:?} beside {}", report().await),
    }
    assert!(metric(url, "tessera_pressure").await >= 1.0);
    assert!(metric(url, "tessera_cpu_cores_used").await > 0.0);
    assert_eq!(metric(url, "tessera_cpu_cores_limit").await, FEW);
    assert_eq!(metric(url, "tessera_joins_refused_total").await, 1.0);

    // Those who are here go on, and see each other.
    for bot in &bots {
        let picture = bot.incoming(Role::MixVideo, 0).expect("a composite");
        let before = picture.stats().decoded;
        let mut pictures = picture.pictures();
        let more = pictures.wait_for(|_| picture.stats().decoded >= before + 30);
        let more = tokio::time::timeout(PATIENCE, more).await;
        assert!(more.is_ok(), "the composite stands still");
        let live = |state: &RoomState| {
            let cameras = state.participants.iter().map(|p| p.camera);
            cameras.filter(|c| *c == UplinkState::Live).count() == 2
        };
        bot.room_when("both cameras", live).await.expect("both");
    }
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.kill().await;
}
