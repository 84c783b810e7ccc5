//! Who came, went and spoke while a room was recorded: in the catalogue, and as chapters of the file.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tessera::bots::observe::palette;
use tessera::bots::{AudioSource, Bot, BotConfig, Decode, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::protocol::room::{RoomState, UplinkState};
use tokio::time::Instant;

use crate::common::film;
use crate::common::recorded::{ask, folder, id, list, people, record_for, recording, stop};
use crate::common::server::{TestServer, room};

/// How long each part of a recording here is.
const PART: Duration = Duration::from_millis(2_500);
/// What the moment at which a test is told and that at which a room knows may be apart.
const NEAR: Duration = Duration::from_millis(1_000);

async fn begin(url: &str, subject: Value) -> String {
    let (status, recording) = ask(Method::POST, url, "/rooms/meet/recordings", Some(subject)).await;
    assert_eq!(status, StatusCode::CREATED, "{recording}");
    recording["id"].as_str().expect("an id").to_owned()
}

/// Somebody who comes later, and is heard from their first moment on.
async fn guest(url: &str) -> Bot {
    let format = VideoFormat {
        fps: 15,
        ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
    };
    let mut config = BotConfig::new(url, room("meet"), "Zoë")
        .person(2, format)
        .decoding(Decode::No);
    config.audio = AudioSource::Tone {
        hz: palette::tone(2) as u32,
        dbfs: -24,
    };
    Bot::join(config).await.expect("they join")
}

/// The markers of a recording, `at` in ms.
fn markers(recording: &Value) -> Vec<(u64, String)> {
    let markers = recording["markers"].as_array().expect("markers").iter();
    let text = |marker: &Value, key: &str| marker[key].as_str().expect("text").to_owned();
    let marker = |one: &Value| {
        let words = format!("{} {}", text(one, "name"), text(one, "type"));
        (one["at_ms"].as_u64().expect("ms"), words)
    };
    markers.map(marker).collect()
}

/// The time of the one that says this.
fn at(all: &[(u64, String)], words: &str) -> Duration {
    let found = all.iter().find(|(_, said)| said.contains(words));
    let (ms, _) = found.unwrap_or_else(|| panic!("{words:?} in {all:?}"));
    Duration::from_millis(*ms)
}

fn check_chapters(file: &Path, joined: Duration, left: Duration) {
    let chapters = film::chapters(file);
    println!("{}: {chapters:?}", file.display());
    assert!(chapters[0].0.is_zero() && chapters[0].1.starts_with("Start"));
    assert!(chapters.is_sorted_by_key(|chapter| chapter.0));
    let in_ms = |at: &Duration| u64::try_from(at.as_millis()).expect("small");
    let all: Vec<(u64, String)> = chapters
        .iter()
        .map(|(at, title)| (in_ms(at), title.clone()))
        .collect();
    assert_eq!(at(&all, "Zoë joins"), joined);
    assert_eq!(at(&all, "Person 0 leaves"), left);
    // What was reserved for them is no part of what is said of the file.
    let probed = film::probe(file);
    assert!(probed["format"]["tags"]["comment"].is_null(), "{probed}");
    assert!(film::pictures(file).len() > 60);
    assert!(!film::sound(file).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_and_went_is_in_the_catalogue_and_in_the_file() {
    let folder = folder();
    let server = TestServer::with(recording(folder.path())).await;
    let mut bots = people(&server.url, "meet", 2).await;
    let leaves = bots.remove(0);
    let gone = id(&leaves);
    let mut ids = Vec::new();
    for format in ["mp4", "webm", "ogg"] {
        ids.push(begin(&server.url, json!({ "format": format })).await);
    }
    ids.push(begin(&server.url, json!({ "kind": "tracks" })).await);
    let shown = |room: &RoomState| room.recordings.len() == 4;
    bots[0]
        .room_when("it to be shown", shown)
        .await
        .expect("shown");
    let began = Instant::now();
    record_for(PART).await;
    bots.push(guest(&server.url).await);
    let on = |camera| camera == UplinkState::Live;
    let there = move |room: &RoomState| {
        room.participants.len() == 3 && room.participants.iter().all(|p| on(p.camera))
    };
    bots[0].room_when("the guest", there).await.expect("there");
    let joined = began.elapsed();
    record_for(PART).await;
    leaves.leave().await.expect("they leave");
    let away = move |room: &RoomState| room.participants.iter().all(|p| p.id != gone);
    bots[0].room_when("them gone", away).await.expect("gone");
    let left = began.elapsed();
    record_for(PART).await;
    let running = list(&server.url).await;
    assert!(running.iter().all(|one| one["markers"].is_null()));
    for id in &ids {
        let recording = stop(&server.url, "meet", id).await;
        assert_eq!(recording["state"], "finished", "{recording}");
        let markers = markers(&recording);
        println!("{}: {markers:?}", recording["format"]);
        // The first packet may be a little older than the wish to record.
        let there = markers
            .iter()
            .filter(|(at, said)| *at < 50 && said.ends_with("join"));
        assert_eq!(there.count(), 2);
        let told = (at(&markers, "Zoë join"), at(&markers, "Person 0 leave"));
        at(&markers, "Zoë speaker");
        assert!(told.0.abs_diff(joined) < NEAR, "{told:?}, not {joined:?}");
        assert!(told.1.abs_diff(left) < NEAR, "{told:?}, not {left:?}");
        let file = folder
            .path()
            .join(recording["file"].as_str().expect("a file"));
        match (recording["kind"].as_str(), recording["format"].as_str()) {
            (Some("tracks"), _) => assert!(file.join("events.jsonl").exists()),
            (_, Some("ogg")) => assert!(film::chapters(&file).is_empty()),
            _ => check_chapters(&file, told.0, told.1),
        }
        assert!(!folder.path().join(format!("{id}.events.jsonl")).exists());
    }
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}
