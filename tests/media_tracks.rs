//! Recordings of tracks: what is in each file and when it begins, what the events say, what a crash
//! leaves, and what a remix makes of it.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::film;
use common::look::{COLOR_ERROR, check_tones};
use common::recorded::{Process, ask, folder, id, list, people, record_for, recording, stop};
use common::server::{PATIENCE, TestServer, room};
use futures::future::join_all;
use reqwest::header::RANGE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tessera::archive::journal::{self, Event, Line, Track, TrackCodec};
use tessera::bots::probe::color;
use tessera::bots::probe::picture::inset;
use tessera::bots::{AudioSource, Bot, BotConfig, Decode, VideoFormat, palette};
use tessera::config::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::layout::Size;
use tessera::protocol::{ClientMessage, Mode, RoomState, UplinkState};
use tokio::time::{Instant, timeout};

/// How long each part of a recording here is.
const PART: Duration = Duration::from_secs(2);

async fn begin(url: &str, name: &str) -> String {
    let path = format!("/rooms/{name}/recordings");
    let body = json!({ "kind": "tracks" });
    let (status, recording) = ask(Method::POST, url, &path, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{recording}");
    assert_eq!(recording["kind"], "tracks");
    recording["id"].as_str().expect("an id").to_owned()
}

/// The `n`-th person, with a colour in this codec and a tone of their own.
async fn person(url: &str, name: &str, n: usize, codec: VideoCodec) -> Bot {
    let format = VideoFormat {
        fps: 15,
        ..VideoFormat::sized(codec, 320, 180)
    };
    let mut config = BotConfig::new(url, room(name), format!("Person {n}"))
        .person(n, format)
        .decoding(Decode::No)
        .with_slots(4);
    config.audio = AudioSource::Tone {
        hz: palette::tone(n) as u32,
        dbfs: -24,
    };
    Bot::join(config).await.expect("they join")
}

async fn live(bot: &Bot, n: usize) -> RoomState {
    let live = move |state: &RoomState| {
        let on = |camera| camera == UplinkState::Live;
        state.participants.len() == n && state.participants.iter().all(|p| on(p.camera))
    };
    bot.room_when("all to be live", live).await.expect("live")
}

fn tracks(lines: &[Line]) -> Vec<&Track> {
    let track = |line| match line {
        &Line {
            event: Event::Track(ref track),
            ..
        } => Some(track),
        _ => None,
    };
    lines.iter().filter_map(track).collect()
}

fn of(tracks: &[&Track], who: ParticipantId, role: Role) -> Track {
    let is = |track: &&&Track| track.participant == who && track.role == role;
    let mut found = tracks.iter().filter(is);
    let track = found
        .next()
        .unwrap_or_else(|| panic!("{who} {role} in {tracks:?}"));
    assert!(found.next().is_none(), "one file of {role} of {who}");
    (*track).clone()
}

/// When an event came, ms.
#[track_caller]
fn at(lines: &[Line], event: &Event) -> u64 {
    let found = lines.iter().find(|line| line.event == *event);
    found
        .unwrap_or_else(|| panic!("{event:?} in {lines:#?}"))
        .at
}

/// The colour of a track is that of its person, from its first picture to its last.
fn check_picture(folder: &Path, track: &Track, person: usize, fps: f64) -> Duration {
    let file = folder.join(&track.file);
    let pictures = film::pictures(&file);
    for picture in [
        &pictures[0],
        &pictures[pictures.len() / 2],
        &pictures[pictures.len() - 1],
    ] {
        let middle = inset(picture.bounds(), 20);
        let error = color::error(picture, middle, palette::color(person)).expect("inside");
        assert!(
            error < 2.0 * COLOR_ERROR,
            "{} is off by {error:.1}",
            track.file
        );
    }
    let length = film::length(&file);
    let pictures = pictures.len() as f64;
    let expected = length.as_secs_f64() * fps;
    assert!(
        (pictures - expected).abs() < 0.2 * expected + 2.0,
        "{pictures} pictures in {length:?} of {}",
        track.file
    );
    length
}

/// A track's sound is that of its person, without a hole.
fn check_sound(folder: &Path, track: &Track, person: usize) -> Duration {
    let file = folder.join(&track.file);
    let sound = film::sound(&file);
    let half = sound.len() / 2;
    let window = &sound[half - film::RATE / 4..half + film::RATE / 4];
    let others: Vec<f64> = (0..4).filter(|n| *n != person).map(palette::tone).collect();
    assert_eq!(
        check_tones(window, &[palette::tone(person)], &others),
        Ok(()),
        "{}",
        track.file
    );
    film::length(&file)
}

fn codec(file: &Path) -> String {
    let probed = film::probe(file);
    let streams = probed["streams"].as_array().expect("streams");
    assert_eq!(streams.len(), 1, "one track in {}", file.display());
    streams[0]["codec_name"]
        .as_str()
        .expect("a codec")
        .to_owned()
}

/// How many packets are in a file.
fn packets(file: &Path) -> usize {
    film::packets(file).len()
}

/// Two people, one in H.264; a third comes later, one mutes the microphone, and one leaves.
async fn record_a_meeting(url: &str, name: &str) -> (String, [ParticipantId; 3]) {
    let ann = person(url, name, 0, VideoCodec::Vp8).await;
    let ben = person(url, name, 1, VideoCodec::H264).await;
    live(&ann, 2).await;
    let recording = begin(url, name).await;
    let shown = |room: &RoomState| room.recordings.len() == 1;
    ann.room_when("it to be shown", shown).await.expect("shown");
    record_for(PART).await;
    let cleo = person(url, name, 2, VideoCodec::Vp8).await;
    live(&ann, 3).await;
    record_for(PART).await;
    let people = [id(&ann), id(&ben), id(&cleo)];
    let (role, muted) = (Role::Mic, true);
    ann.send(ClientMessage::Mute { role, muted })
        .expect("an open WebSocket");
    let muted = |room: &RoomState| room.participants[0].mic == UplinkState::Muted;
    ann.room_when("the mute", muted).await.expect("muted");
    record_for(PART).await;
    ben.leave().await.expect("they leave");
    live(&ann, 2).await;
    record_for(PART).await;
    stop(url, name, &recording).await;
    join_all([ann, cleo].map(Bot::leave)).await;
    (recording, people)
}

async fn check_meeting(mode: Mode) {
    let folder = folder();
    let server = TestServer::with(recording(folder.path())).await;
    if mode == Mode::Sfu {
        let body = json!({ "id": "meet", "mode": "sfu" });
        let made = ask(Method::POST, &server.url, "/rooms", Some(body)).await;
        assert_eq!(made.0, StatusCode::CREATED);
    }
    let (recording, [ann, ben, cleo]) = record_a_meeting(&server.url, "meet").await;
    let entry = entry(&server.url, &recording).await;
    assert_eq!(entry["state"], "finished", "{entry}");
    assert_eq!(entry["participants"].as_array().map(Vec::len), Some(3));
    let place = folder.path().join(&recording);
    let lines = journal::read(&place).expect("events");
    let all = tracks(&lines);
    assert_eq!(all.len(), 6, "{all:?}");
    assert_eq!(entry["tracks"].as_array().map(Vec::len), Some(6));

    let length = entry["duration_ms"].as_u64().expect("ms");
    let near = |ms: u64, to: u64| ms.abs_diff(to) < 700;
    assert_eq!(lines.last().map(|line| &line.event), Some(&Event::End));
    assert!(lines.last().expect("events").at.abs_diff(length) < 5);
    assert!(matches!(lines[0].event, Event::Begin { version: 1, .. }));
    let ordered = lines
        .windows(2)
        .filter(|pair| pair[0].at > pair[1].at + 100);
    assert_eq!(ordered.count(), 0, "{lines:#?}");
    let joined = at(
        &lines,
        &Event::Join {
            participant: cleo,
            name: "Person 2".into(),
            viewer: false,
        },
    );
    let muted = at(
        &lines,
        &Event::Mute {
            participant: ann,
            role: Role::Mic,
            muted: true,
        },
    );
    let left = at(&lines, &Event::Leave { participant: ben });
    at(&lines, &Event::Mode { mode });
    at(
        &lines,
        &Event::Speaker {
            participant: cleo,
            speaking: true,
        },
    );

    for (n, who, extension) in [(0, ann, "webm"), (1, ben, "mkv"), (2, cleo, "webm")] {
        let camera = of(&all, who, Role::Camera);
        assert!(camera.file.ends_with(extension), "{}", camera.file);
        let wanted = if n == 1 {
            ("h264", TrackCodec::H264)
        } else {
            ("vp8", TrackCodec::Vp8)
        };
        assert_eq!(
            (codec(&place.join(&camera.file)).as_str(), camera.codec),
            wanted
        );
        let lasts = check_picture(&place, &camera, n, 15.0).as_millis() as u64;
        let mic = of(&all, who, Role::Mic);
        assert_eq!(
            (codec(&place.join(&mic.file)).as_str(), mic.codec),
            ("opus", TrackCodec::Opus)
        );
        let sounds = check_sound(&place, &mic, n).as_millis() as u64;
        // As many packets as were sent in the time: nothing is lost on the way to the file.
        let sent = packets(&place.join(&mic.file)) as u64 * 20;
        assert!(
            sent.abs_diff(sounds) < 60,
            "{sent} ms of packets in {sounds} ms"
        );
        let (begins, ends) = match n {
            2 => (joined, length),
            1 => (0, left),
            _ => (0, length),
        };
        println!(
            "{}: {}+{lasts}; {}: {}+{sounds}; {begins} to {ends}, muted at {muted}",
            camera.file, camera.start, mic.file, mic.start
        );
        assert!(near(camera.start, begins) && near(mic.start, begins));
        assert!(
            near(camera.start + lasts, ends),
            "{lasts} of {camera:?}, to {ends}"
        );
        let silent_from = if n == 0 { muted } else { ends };
        assert!(near(mic.start + sounds, silent_from), "{sounds} of {mic:?}");
    }
    check_files(&server.url, &recording, &place, all[0]).await;
    server.stop().await;
}

async fn entry(url: &str, id: &str) -> Value {
    let all = list(url).await;
    let found = all.into_iter().find(|one| one["id"] == id);
    found.expect("it is listed")
}

/// What the API gives of the files, and that they go with the recording.
async fn check_files(url: &str, recording: &str, place: &Path, track: &Track) {
    let base = format!("{url}/api/v1/rooms/meet/recordings/{recording}");
    let get = |name: &str| reqwest::Client::new().get(format!("{base}/files/{name}"));
    let whole = get(&track.file).send().await.expect("an answer");
    assert_eq!(whole.status(), StatusCode::OK);
    let bytes = std::fs::read(place.join(&track.file)).expect("the file");
    assert_eq!(whole.bytes().await.expect("a body"), bytes);
    let part = get(&track.file).header(RANGE, "bytes=0-3").send().await;
    let part = part.expect("an answer");
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.expect("a body"), &bytes[..4]);
    let events = get(journal::EVENTS).send().await.expect("an answer");
    assert_eq!(events.status(), StatusCode::OK);
    for stray in ["..", "%2e%2e%2fx.webm", "other.webm", "p1-mic-1.part", ""] {
        let stray = get(stray).send().await.expect("an answer");
        assert_ne!(stray.status(), StatusCode::OK, "{}", stray.url());
    }
    let path = format!("/rooms/meet/recordings/{recording}");
    let (status, said) = ask(Method::GET, url, &path, None).await;
    assert_eq!((status, &said["kind"]), (StatusCode::OK, &json!("tracks")));
    let (status, _) = ask(Method::DELETE, url, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(!place.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_uplink_is_a_file_of_a_mixed_room() {
    check_meeting(Mode::Mcu).await;
}

/// No mixer is there for it.
#[tokio::test(flavor = "multi_thread")]
async fn each_uplink_is_a_file_of_a_forwarding_room() {
    check_meeting(Mode::Sfu).await;
}
