//! Recordings: what is in them, what a crash and a full disk leave of them, and what they are
//! refused for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rand::Rng;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tessera::bots::Bot;
use tessera::bots::observe::palette;
use tessera::protocol::ServerMessage;
use tessera::protocol::error::ErrorCode;
use tessera::protocol::room::RoomState;
use tessera::topology::Mode;
use tokio::time::{Instant, timeout};

use crate::common::bars::at_most;
use crate::common::disk::Disk;
use crate::common::film;
use crate::common::look::{COARSE_COLOR_ERROR, COLOR_ERROR, check_tiles_within, check_tones};
use crate::common::recorded::{
    Process, ask, begin, begin_as, folder, id, list, people, record_for, recording, stop,
};
use crate::common::server::{PATIENCE, TestServer};

/// How long most recordings here are.
const TAKE: Duration = Duration::from_secs(3);

/// Everybody's colour stands in their tile from the first picture on, and everybody is heard.
fn check_content(file: &Path, state: &RoomState, bots: &[Bot]) {
    let people = bots.iter().enumerate();
    let people: Vec<_> = people
        .map(|(i, bot)| (id(bot), palette::color(i)))
        .collect();
    let pictures = film::pictures(file);
    let kinds = [
        (0, COARSE_COLOR_ERROR),
        (pictures.len() / 2, COLOR_ERROR),
        (pictures.len() - 1, COLOR_ERROR),
    ];
    for (n, most) in kinds {
        let right = check_tiles_within(most, &pictures[n], state, &people);
        assert_eq!(right, Ok(()), "picture {n} of {}", file.display());
    }
    let mut gaps = pictures
        .windows(2)
        .map(|pair| pair[1].arrival - pair[0].arrival);
    let longest = gaps.clone().max().unwrap_or_default();
    let most = at_most(Duration::from_millis(300));
    assert!(longest < most, "a gap of {longest:?}");
    assert!(gaps.all(|gap| !gap.is_zero()), "two pictures at once");
    check_sound(file, bots.len());
}

/// So many people are heard in the middle of a file.
fn check_sound(file: &Path, people: usize) {
    let sound = film::sound(file);
    let tones: Vec<f64> = (0..people).map(palette::tone).collect();
    let half = sound.len() / 2;
    let window = &sound[half..half + film::RATE / 2];
    assert_eq!(
        check_tones(window, &tones, &[]),
        Ok(()),
        "{}",
        file.display()
    );
}

/// A file has the codecs that were asked for, and an MP4 has its header in front.
fn check_format(file: &Path, recording: &Value, codecs: &[&str]) {
    assert_eq!(film::codecs(file), codecs, "{recording}");
    assert_eq!(recording["audio"], codecs[codecs.len() - 1], "{recording}");
    if recording["format"] == "mp4" {
        let boxes = film::boxes(file);
        let at = |kind: &str| boxes.iter().position(|one| one == kind).expect(kind);
        assert!(at("moov") < at("mdat"), "{boxes:?}");
    }
}

/// Every format at once, of one room; then what the API says of them, and gives of them.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_in_the_recording_from_its_first_picture_on() {
    let folder = folder();
    let server = TestServer::with(recording(folder.path())).await;
    let bots = people(&server.url, "take", 4).await;
    let kinds = [
        (json!({ "format": "mp4" }), &["h264", "aac"][..]),
        (
            json!({ "format": "mp4", "audio": "opus" }),
            &["h264", "opus"],
        ),
        (json!({ "format": "webm" }), &["vp8", "opus"]),
        (json!({ "format": "ogg", "audio": "opus" }), &["opus"]),
    ];
    let mut ids = Vec::new();
    for (body, codecs) in kinds {
        ids.push((begin_as(&server.url, "take", body).await, codecs));
    }
    let state = bots[1].room_when("it to be shown", |room| room.recordings.len() == 4);
    let state = state.await.expect("everybody sees that they are recorded");
    let began = Instant::now();
    record_for(TAKE).await;
    for (id, codecs) in &ids {
        let recording = stop(&server.url, "take", id).await;
        let took = began.elapsed();
        assert_eq!(recording["state"], "finished", "{recording}");
        let file = folder
            .path()
            .join(recording["file"].as_str().expect("a file"));
        check_format(&file, &recording, codecs);
        let length = film::length(&file);
        let said = Duration::from_millis(recording["duration_ms"].as_u64().expect("ms"));
        let off = |other: Duration| length.abs_diff(other);
        assert!(
            off(said) < Duration::from_millis(200),
            "{length:?}, not {said:?}"
        );
        assert!(
            off(took) < Duration::from_millis(700),
            "{length:?} in {took:?}"
        );
        assert_eq!(recording["participants"].as_array().map(Vec::len), Some(4));
        match recording["format"].as_str() {
            Some("ogg") => check_sound(&file, bots.len()),
            _ => check_content(&file, &state, &bots),
        }
    }
    let path = format!("/api/v1/rooms/take/recordings/{}", ids[0].0);
    let client = reqwest::Client::new();
    let part = client
        .get(format!("{}{path}", server.url))
        .header(RANGE, "bytes=4-7");
    let part = part.send().await.expect("an answer");
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert!(part.headers().contains_key(CONTENT_RANGE));
    assert_eq!(part.bytes().await.expect("a body"), "ftyp");

    assert_eq!(list(&server.url).await.len(), 4);
    let path = path.trim_start_matches("/api/v1");
    let (status, _) = ask(Method::DELETE, &server.url, path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, gone) = ask(Method::GET, &server.url, path, None).await;
    assert_eq!(
        (status, &gone["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("not_found"))
    );
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// In a forwarding room the mixer is there for the recording alone; direct rooms have nothing.
#[tokio::test(flavor = "multi_thread")]
async fn recordings_follow_the_mode() {
    let folder = folder();
    let server = TestServer::with(recording(folder.path())).await;
    let bots = people(&server.url, "modes", 3).await;
    bots[0].set_mode(Mode::Sfu).expect("an open WebSocket");
    let forwarded = |room: &RoomState| room.mode == Mode::Sfu && room.tiles.is_empty();
    bots[0]
        .room_when("no mixer", forwarded)
        .await
        .expect("forwarded");
    let one = begin(&server.url, "modes", "mp4").await;
    let mixed = |room: &RoomState| room.mode == Mode::Sfu && room.tiles.len() == 3;
    let state = bots[0]
        .room_when("a mixer", mixed)
        .await
        .expect("mixed for the recorder");
    let mut notices = bots[0].notices();
    bots[0].set_mode(Mode::P2p).expect("an open WebSocket");
    let refusal = async {
        loop {
            if let Ok(ServerMessage::Error { code, .. }) = notices.recv().await {
                return code;
            }
        }
    };
    let refusal = timeout(PATIENCE, refusal).await.expect("a refusal");
    assert_eq!(refusal, ErrorCode::ModeUnavailable);
    record_for(TAKE).await;
    let recording = stop(&server.url, "modes", &one).await;
    check_content(
        &folder
            .path()
            .join(recording["file"].as_str().expect("a file")),
        &state,
        &bots,
    );
    bots[0]
        .room_when("no mixer", forwarded)
        .await
        .expect("the mixer goes with the recorder");

    bots[0].set_mode(Mode::P2p).expect("an open WebSocket");
    let direct = |room: &RoomState| room.mode == Mode::P2p;
    bots[0].room_when("p2p", direct).await.expect("direct");
    let body = json!({ "format": "mp4" });
    let path = "/rooms/modes/recordings";
    let (status, refused) = ask(Method::POST, &server.url, path, Some(body)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["error"]["code"], "recording_unavailable");
    let listed = list(&server.url).await;
    assert_eq!(listed.len(), 1, "what was refused has left nothing");
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_with_their_reason() {
    let folder = folder();
    let server = TestServer::with(recording(folder.path())).await;
    let bots = people(&server.url, "bad", 1).await;
    let code = |(status, body): (StatusCode, Value)| {
        let code = body["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (status.as_u16(), code)
    };
    let post = |path: &'static str, body| ask(Method::POST, &server.url, path, Some(body));
    let refused = |status, code: &str| (status, code.to_owned());

    let odd = post("/rooms/bad/recordings", json!({ "format": "avi" })).await;
    assert_eq!(code(odd), refused(400, "bad_message"));
    for (body, word) in [
        (json!({ "format": "webm", "audio": "aac" }), "mp4"),
        (json!({ "format": "ogg", "audio": "aac" }), "mp4"),
        (json!({ "format": "mp4", "audio": "mp3" }), "opus"),
        (json!({ "kind": "tracks", "audio": "aac" }), "mix"),
    ] {
        let (status, said) = post("/rooms/bad/recordings", body.clone()).await;
        let words = said["error"]["message"].as_str().unwrap_or_default();
        assert!(words.contains(word), "{said} to {body}");
        assert_eq!(code((status, said)), refused(400, "bad_message"), "{body}");
    }
    let nobody = post("/rooms/nobody/recordings", json!({ "format": "mp4" })).await;
    assert_eq!(code(nobody), refused(404, "not_found"));
    for path in [
        "/rooms/bad/recordings/..",
        "/rooms/bad/recordings/%2e%2e%2fpasswd",
    ] {
        let stray = ask(Method::GET, &server.url, path, None).await;
        assert!(
            stray.0 == StatusCode::NOT_FOUND || stray.1["error"].is_null(),
            "{stray:?}"
        );
    }
    for _ in 0..4 {
        begin(&server.url, "bad", "ogg").await;
    }
    let fifth = post("/rooms/bad/recordings", json!({ "format": "ogg" })).await;
    assert_eq!(code(fifth), refused(409, "too_many_recordings"));
    let running = list(&server.url).await;
    let path = format!(
        "/rooms/bad/recordings/{}",
        running[0]["id"].as_str().expect("an id")
    );
    let early = ask(Method::DELETE, &server.url, &path, None).await;
    assert_eq!(code(early), refused(409, "recording_goes_on"));

    // The last one goes, and with them the room: every recording ends in good order.
    join_all(bots.into_iter().map(Bot::leave)).await;
    let archive = Arc::new(server.registry.archive().expect("an archive").clone());
    for recording in running {
        let id = recording["id"].as_str().expect("an id").to_owned();
        let id = id.try_into().expect("an id");
        let ended = timeout(PATIENCE, archive.ended(&id))
            .await
            .expect("it ends");
        assert_eq!(
            ended.expect("known").state,
            tessera::protocol::recording::RecordingStatus::Finished
        );
    }
    server.stop().await;

    let off = TestServer::start().await;
    let bots = people(&off.url, "off", 1).await;
    let path = "/rooms/off/recordings";
    let answer = ask(
        Method::POST,
        &off.url,
        path,
        Some(json!({ "format": "mp4" })),
    )
    .await;
    assert_eq!(code(answer), refused(409, "recording_unavailable"));
    join_all(bots.into_iter().map(Bot::leave)).await;
    off.stop().await;
}

/// Every track of a killed recording plays, and lacks less than two seconds.
fn check_tracks(folder: &Path, recording: &Value, took: Duration) {
    let tracks = recording["tracks"].as_array().expect("tracks");
    assert_eq!(tracks.len(), 4, "{recording}");
    for track in tracks {
        let file = folder.join(track["file"].as_str().expect("a file"));
        let start = Duration::from_millis(track["start_ms"].as_u64().expect("ms"));
        let end = start + film::length(&file);
        println!("{}: {end:?} of {took:?}", track["file"]);
        assert!(
            end + Duration::from_secs(2) > took,
            "{end:?} of {took:?}: {track}"
        );
        match track["role"].as_str() {
            Some("camera") => assert!(film::pictures(&file).len() > 15, "{track}"),
            _ => assert!(!film::sound(&file).is_empty(), "{track}"),
        }
    }
}

/// A room in a server that records in every way there is, until it is killed at a random moment. For
/// how long that was.
async fn record_and_kill(folder: &Path, name: &str) -> Duration {
    let server = Process::start(folder, "webm").await;
    for recording in list(&server.url).await {
        assert_eq!(recording["state"], "recovered", "{recording}");
    }
    let bots = people(&server.url, name, 2).await;
    begin(&server.url, name, "mp4").await;
    begin(&server.url, name, "ogg").await;
    let path = format!("/rooms/{name}/recordings");
    let body = json!({ "kind": "tracks" });
    let (status, _) = ask(Method::POST, &server.url, &path, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED);
    let began = Instant::now();
    record_for(Duration::from_millis(
        rand::rng().random_range(2_500..4_500),
    ))
    .await;
    let took = began.elapsed();
    server.kill().await;
    drop(bots);
    took
}

/// What is left of a recording that went on for so long when its server was killed.
fn check_recovered(folder: &Path, recording: &Value, took: Duration) {
    assert_eq!(recording["state"], "recovered", "{recording}");
    let file: PathBuf = folder.join(recording["file"].as_str().expect("a file"));
    if recording["kind"] == "tracks" {
        return check_tracks(&file, recording, took);
    }
    let length = film::length(&file);
    println!("{}: {length:?} of {took:?}", recording["format"]);
    assert!(
        length + Duration::from_secs(2) > took,
        "{length:?} of {took:?}: {recording}"
    );
    check_sound(&file, 2);
    if recording["format"] != "ogg" {
        assert!(film::pictures(&file).len() > 20, "{recording}");
        let chapters = film::chapters(&file);
        assert_eq!(chapters.first().map(|first| first.0), Some(Duration::ZERO));
    }
    let markers = recording["markers"].as_array().expect("markers");
    let joins = markers.iter().filter(|marker| marker["type"] == "join");
    assert_eq!(joins.count(), 2, "{recording}");
    let path = file.with_extension("events.jsonl");
    assert!(!path.exists(), "the events have become markers");
}

/// Kills servers of one folder, one after the other, and looks at what they leave.
async fn kill_and_recover(kills: usize) {
    let folder = folder();
    let mut lengths = BTreeMap::new();
    for n in 0..kills {
        let name = format!("kill-{n}");
        let took = record_and_kill(folder.path(), &name).await;
        lengths.insert(name, took);
    }
    let server = Process::start(folder.path(), "webm").await;
    let recordings = list(&server.url).await;
    assert_eq!(recordings.len(), 4 * kills);
    let looked_at = tokio::task::spawn_blocking(move || {
        for recording in recordings {
            let room = recording["room"].as_str().expect("a room");
            check_recovered(folder.path(), &recording, lengths[room]);
        }
    });
    looked_at.await.expect("all is as it should be");
    server.kill().await;
}

/// Killed at random moments: every file plays, at most two seconds are missing, and the next
/// start recovers them. One recording of each file's kind is that which every room gets. Two servers
/// at once, each with a folder of its own, are killed ten times in all.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_no_more_than_two_seconds() {
    gst::init().expect("GStreamer for the bots");
    tokio::join!(kill_and_recover(5), kill_and_recover(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_recording_and_not_the_call() {
    let disk = Disk::new("300k");
    let server = TestServer::with(recording(disk.path())).await;
    let bots = people(&server.url, "full", 2).await;
    let mut ids = Vec::new();
    for format in ["mp4", "webm"] {
        ids.push(begin(&server.url, "full", format).await);
    }
    let none = |room: &RoomState| room.recordings.is_empty();
    bots[0]
        .room_when("recordings", |room| !none(room))
        .await
        .expect("they begin");
    bots[0]
        .room_when("no recordings", none)
        .await
        .expect("they end by themselves");
    let archive = server.registry.archive().expect("an archive").clone();
    for id in ids {
        let id = id.try_into().expect("an id");
        let ended = timeout(PATIENCE, archive.ended(&id))
            .await
            .expect("it ends");
        let ended = ended.expect("known");
        assert_eq!(
            ended.state,
            tessera::protocol::recording::RecordingStatus::Failed
        );
        assert!(ended.reason.is_some());
        let pictures = film::playable(&archive.path(&ended));
        assert!(pictures > 10, "{pictures} in {ended:?}");
    }
    let state = bots[0].room().borrow().clone();
    assert_eq!(
        state.map(|room| room.participants.len()),
        Some(2),
        "the call goes on"
    );
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}
