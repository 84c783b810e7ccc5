//! Recordings of tracks: what is in each file and when it begins, what the events say, what a crash
//! leaves, and what a remix makes of it.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use reqwest::header::RANGE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tessera::archive::events::{self, Event, LogEntry, RecordedTrack};
use tessera::bots::observe::palette;
use tessera::bots::observe::probe::color;
use tessera::bots::observe::probe::picture::inset;
use tessera::bots::{AudioSource, Bot, BotConfig, Capture, Decode, VideoFormat, VideoSource};
use tessera::codec::Codec;
use tessera::codec::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::layout::{self, LayoutKind, Size};
use tessera::protocol::ClientMessage;
use tessera::protocol::room::{RoomState, UplinkState};
use tessera::topology::Mode;
use tokio::time::Instant;

use crate::common::bars::{self, at_most};
use crate::common::claps::{claps, flashes, offsets};
use crate::common::film;
use crate::common::look::COLOR_ERROR;
use crate::common::recorded::{
    Process, ask, folder, id, list, people, record_for, recording, stop,
};
use crate::common::server::{TestServer, room};
use crate::track_files::{
    begin, check_picture, check_remix, check_sound, codec, live, of, packets, person, remixed,
    sized, tracks,
};

/// How long each part of a recording here is.
const PART: Duration = Duration::from_secs(2);
/// The last moment of one.
const END: Duration = Duration::from_millis(100);

/// When an event came, ms.
#[track_caller]
fn at(lines: &[LogEntry], event: &Event) -> u64 {
    let found = lines.iter().find(|line| line.event == *event);
    found
        .unwrap_or_else(|| panic!("{event:?} in {lines:#?}"))
        .at
}

/// Two people, one in H.264; a third comes later, in VP9, one mutes the microphone, and one leaves.
async fn record_a_meeting(url: &str, name: &str) -> (String, [ParticipantId; 3]) {
    let ann = person(url, name, 0, VideoCodec::Vp8).await;
    let ben = person(url, name, 1, VideoCodec::H264).await;
    live(&ann, 2).await;
    let recording = begin(url, name).await;
    let shown = |room: &RoomState| room.recordings.len() == 1;
    ann.room_when("it to be shown", shown).await.expect("shown");
    record_for(PART).await;
    let cleo = person(url, name, 2, VideoCodec::Vp9).await;
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
    let lines = events::read(&place).expect("events");
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
        let wanted = match n {
            1 => ("h264", Codec::H264),
            2 => ("vp9", Codec::Vp9),
            _ => ("vp8", Codec::Vp8),
        };
        assert_eq!(
            (codec(&place.join(&camera.file)).as_str(), camera.codec),
            wanted
        );
        let lasts = check_picture(&place, &camera, n, 15.0).as_millis() as u64;
        let mic = of(&all, who, Role::Mic);
        assert_eq!(
            (codec(&place.join(&mic.file)).as_str(), mic.codec),
            ("opus", Codec::Opus)
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
    check_remix(&place, &lines, [ann, ben, cleo], (joined, muted, left)).await;
    check_files(&server.url, &recording, &place, all[0]).await;
    server.stop().await;
}

async fn entry(url: &str, id: &str) -> Value {
    let all = list(url).await;
    let found = all.into_iter().find(|one| one["id"] == id);
    found.expect("it is listed")
}

/// What the API gives of the files, and that they go with the recording.
async fn check_files(url: &str, recording: &str, place: &Path, track: &RecordedTrack) {
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
    let events = get(events::EVENTS).send().await.expect("an answer");
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

/// What is seen and heard at one moment is so by the times of the tracks, and in a remix.
#[tokio::test(flavor = "multi_thread")]
async fn tracks_and_what_is_made_of_them_stay_together() {
    let folder = folder();
    let server = TestServer::with(recording(folder.path())).await;
    let format = VideoFormat {
        fps: 25,
        ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
    };
    let mut clapper = BotConfig::new(&server.url, room("clap"), "Clapper").decoding(Decode::No);
    clapper.video = VideoSource::Clap { format };
    clapper.audio = AudioSource::Clap;
    clapper.capture = Capture::Ignore;
    let clapper = Bot::join(clapper).await.expect("they join");
    live(&clapper, 1).await;
    let recording = begin(&server.url, "clap").await;
    record_for(Duration::from_secs(12)).await;
    stop(&server.url, "clap", &recording).await;
    clapper.leave().await.expect("they leave");
    server.stop().await;

    let place = folder.path().join(&recording);
    let lines = events::read(&place).expect("events");
    let all = tracks(&lines);
    let who = all[0].participant;
    let moved = |track: &RecordedTrack, times: Vec<Duration>| {
        let start = Duration::from_millis(track.start);
        times.into_iter().map(|at| start + at).collect::<Vec<_>>()
    };
    let (camera, mic) = (of(&all, who, Role::Camera), of(&all, who, Role::Mic));
    let flashed = moved(&camera, flashes(&place.join(&camera.file)));
    let clapped = moved(&mic, claps(&place.join(&mic.file)));
    // What begins in the last moment may lie behind the end of a remix, which is not exact to that.
    let end = Duration::from_millis(lines.last().expect("events").at) - END;
    let before_end = |all: &[Duration]| -> Vec<Duration> {
        all.iter().copied().filter(|at| *at < end).collect()
    };
    let size = Size {
        width: 320,
        height: 180,
    };
    let mp4 = remixed(&place, "remix.mp4", Some(size)).await;
    let webm = remixed(&place, "remix.webm", Some(size)).await;
    let apart = offsets(&flashed, &clapped);
    println!("tracks: sound after picture by {apart:.0?} ms");
    let mut sorted = apart.clone();
    sorted.sort_by(f64::total_cmp);
    // One of a machine that was busy when it sent says nothing of the tracks' times.
    let median = sorted[sorted.len() / 2];
    assert!(
        sorted.len() >= 4 && median.abs() < bars::apart(40.0),
        "{apart:?}"
    );
    for (name, file) in [("mp4", mp4), ("webm", webm)] {
        let (pictures, sounds) = (flashes(&file), claps(&file));
        let (late, later) = (offsets(&flashed, &pictures), offsets(&clapped, &sounds));
        println!("{name}: pictures later by {late:.0?} ms, sounds by {later:.0?} ms");
        // Nothing more than there was, and nothing less.
        let lacking = offsets(&pictures, &before_end(&flashed));
        let missing = offsets(&sounds, &before_end(&clapped));
        let most = |offsets: &[f64]| offsets.iter().map(|ms| ms.abs()).fold(0.0, f64::max);
        // A frame at most; and the block in which the mixer's gate opens, with the encoder's lookahead.
        assert!(most(&late) < 40.0 && most(&later) < 30.0, "{name}");
        assert!(most(&lacking) < 40.0 && most(&missing) < 30.0, "{name}");
        assert!(lacking.len() >= 4 && missing.len() >= 4, "{name}");
    }
}

/// A killed server leaves tracks that can be played and lack little, and the next start makes them
/// whole, so that a remix can be made of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_tracks_that_can_be_remixed() {
    gst::init().expect("GStreamer");
    let folder = folder();
    let server = Process::start(folder.path(), "tracks").await;
    let bots = people(&server.url, "kill", 2).await;
    let began = Instant::now();
    record_for(Duration::from_millis(3_500)).await;
    let took = began.elapsed();
    server.kill().await;
    drop(bots);
    let [left] = &std::fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect::<Vec<_>>()[..]
    else {
        panic!("one recording");
    };
    let lines = events::read(left).expect("events");
    for track in tracks(&lines) {
        let last = film::packets(&left.join(&track.file)).into_iter().max();
        let last = last.expect("packets");
        assert!(
            last + Duration::from_secs(2) > took,
            "{last:?} of {took:?} in {track:?}"
        );
    }

    let server = Process::start(folder.path(), "tracks").await;
    let listed = list(&server.url).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["state"], "recovered", "{}", listed[0]);
    assert_eq!(listed[0]["tracks"].as_array().map(Vec::len), Some(4));
    let length = Duration::from_millis(listed[0]["duration_ms"].as_u64().expect("ms"));
    assert!(
        length + Duration::from_secs(2) > took,
        "{length:?} of {took:?}"
    );
    server.kill().await;
    let lines = events::read(left).expect("events");
    assert_eq!(lines.last().map(|line| &line.event), Some(&Event::End));
    let all = tracks(&lines);
    for (n, track) in all
        .iter()
        .filter(|track| track.role == Role::Camera)
        .enumerate()
    {
        let file = left.join(&track.file);
        assert!(
            film::length(&file) + Duration::from_secs(2) > took,
            "{track:?}"
        );
        assert!(film::pictures(&file).len() > 20, "{n}: {track:?}");
    }
    let remix = remixed(left, "remix.mp4", None).await;
    let off = film::length(&remix).abs_diff(length);
    assert!(off < at_most(Duration::from_millis(200)), "{off:?}");
    let whole = film::pictures(&remix);
    let last = whole.last().expect("pictures");
    let size = Size {
        width: last.width,
        height: last.height,
    };
    let seen = layout::tiles(size, LayoutKind::Grid, 2, None);
    let mut people: Vec<ParticipantId> = all.iter().map(|track| track.participant).collect();
    people.sort_unstable();
    people.dedup();
    assert_eq!(people.len(), 2);
    for rect in seen.into_iter().flatten() {
        let known = (0..2).filter_map(|n| color::error(last, inset(rect, 20), palette::color(n)));
        let nearest = known.fold(f64::MAX, f64::min);
        assert!(
            nearest < 2.0 * COLOR_ERROR,
            "nobody at {rect:?}: {nearest:.1}"
        );
    }
}

/// A sender who changes the size of the picture, as a room asks for when more people come, goes on
/// in one file.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_changes_its_size_stays_in_its_file() {
    let folder = folder();
    let server = TestServer::with(recording(folder.path())).await;
    let ann = sized(&server.url, "size", 0, VideoFormat::new(VideoCodec::Vp8)).await;
    let ben = sized(&server.url, "size", 1, VideoFormat::new(VideoCodec::H264)).await;
    live(&ann, 2).await;
    let recording = begin(&server.url, "size").await;
    record_for(PART).await;
    let others = (2..5).map(|n| person(&server.url, "size", n, VideoCodec::Vp8));
    let others = join_all(others).await;
    live(&ann, 5).await;
    record_for(PART).await;
    stop(&server.url, "size", &recording).await;
    let place = folder.path().join(&recording);
    let lines = events::read(&place).expect("events");
    let all = tracks(&lines);
    for (n, bot) in [&ann, &ben].into_iter().enumerate() {
        let camera = of(&all, id(bot), Role::Camera);
        let file = place.join(&camera.file);
        let widths = film::widths(&file);
        assert!(widths.len() > 1, "{widths:?} of {camera:?}");
        println!("{}: {widths:?}", camera.file);
        check_picture(&place, &camera, n, 15.0);
    }
    let remix = remixed(&place, "remix.mp4", None).await;
    let pictures = film::pictures(&remix);
    let last = pictures.last().expect("pictures");
    let size = Size {
        width: last.width,
        height: last.height,
    };
    let tiles = layout::tiles(size, LayoutKind::Grid, 5, None);
    for (person, rect) in tiles.into_iter().flatten().enumerate() {
        let known = [person, 2, 3, 4].map(palette::color);
        let errors = known
            .iter()
            .filter_map(|rgb| color::error(last, inset(rect, 20), *rgb));
        let nearest = errors.fold(f64::MAX, f64::min);
        assert!(nearest < 2.0 * COLOR_ERROR, "{person}: {nearest:.1}");
    }
    join_all([ann, ben].into_iter().chain(others).map(Bot::leave)).await;
    server.stop().await;
}
