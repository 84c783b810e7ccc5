//! Recordings of tracks on a disk that fills up, and of anything on one that is full.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tessera::archive::events::{self, Event, RecordedTrack};
use tessera::bots::Bot;
use tessera::id::Role;
use tessera::protocol::recording::RecordingStatus;
use tessera::protocol::room::{RoomState, UplinkState};
use tokio::time::timeout;

use crate::common::disk::Disk;
use crate::common::film;
use crate::common::recorded::{ask, people, recording};
use crate::common::server::{PATIENCE, TestServer};

/// The tracks that the events name.
fn tracks(folder: &Path) -> Vec<RecordedTrack> {
    let lines = events::read(folder).expect("events");
    let track = |line: events::LogEntry| match line.event {
        Event::Track(track) => Some(track),
        _ => None,
    };
    lines.into_iter().filter_map(track).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_a_recording_of_tracks_and_not_the_call() {
    let disk = Disk::new("116k");
    let server = TestServer::with(recording(disk.path())).await;
    let bots = people(&server.url, "full", 2).await;
    let body = Some(json!({ "kind": "tracks" }));
    let begun = ask(Method::POST, &server.url, "/rooms/full/recordings", body).await;
    assert_eq!(begun.0, StatusCode::CREATED, "{}", begun.1);
    let none = |room: &RoomState| room.recordings.is_empty();
    let shown = bots[0].room_when("a recording", |room| !none(room)).await;
    shown.expect("it begins");
    let over = bots[0].room_when("no recording", none).await;
    over.expect("it ends by itself");
    let archive = server.registry.archive().expect("an archive").clone();
    let id = begun.1["id"].as_str().expect("an id").to_owned();
    let id = id.try_into().expect("an id");
    let ended = timeout(PATIENCE, archive.ended(&id)).await;
    let ended = ended.expect("it ends").expect("known");
    assert_eq!(ended.state, RecordingStatus::Failed);
    assert!(ended.reason.is_some(), "{ended:?}");

    let folder = archive.path(&ended);
    let tracks = tracks(&folder);
    assert_eq!(tracks.len(), 4, "{tracks:?}");
    assert_eq!(ended.tracks.len(), 4, "{ended:?}");
    for track in tracks.iter().filter(|track| track.role == Role::Camera) {
        let pictures = film::playable(&folder.join(&track.file));
        assert!(pictures > 10, "{pictures} in {track:?}");
    }
    for place in [&folder, disk.path()] {
        let entries = std::fs::read_dir(place).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let drafts = names.filter(|name| name.to_string_lossy().ends_with(".part"));
        assert_eq!(drafts.count(), 0, "what is half written is not kept");
    }
    let on = |camera| camera == UplinkState::Live;
    let state = bots[0].room().borrow().clone().expect("a room");
    assert_eq!(state.participants.len(), 2, "the call goes on");
    assert!(state.participants.iter().all(|p| on(p.camera)));
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_a_byte_gets_no_orphans_and_an_end_is_written_all_the_same() {
    let disk = Disk::new("200k");
    let server = TestServer::with(recording(disk.path())).await;
    let made = ask(
        Method::POST,
        &server.url,
        "/rooms",
        Some(json!({ "id": "r" })),
    )
    .await;
    assert_eq!(made.0, StatusCode::CREATED, "{}", made.1);
    let body = || Some(json!({ "kind": "tracks" }));
    let record = || ask(Method::POST, &server.url, "/rooms/r/recordings", body());
    let begun = record().await;
    assert_eq!(begun.0, StatusCode::CREATED, "{}", begun.1);
    let filler = disk.path().join("filler");
    let full = std::fs::write(&filler, vec![1; 1 << 20]);
    assert_eq!(
        full.expect_err("it is full").kind(),
        std::io::ErrorKind::StorageFull
    );
    let names = || {
        let entries = std::fs::read_dir(disk.path()).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.collect::<BTreeSet<_>>()
    };
    let before = names();
    for _ in 0..3 {
        let (status, refused) = record().await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{refused}");
        let folder = disk.path().to_str().expect("a name in Unicode");
        assert!(!refused.to_string().contains(folder), "{refused}");
    }
    // What was on its way when the disk was full may be gone.
    let orphans: Vec<_> = names().difference(&before).cloned().collect();
    assert_eq!(orphans, [""; 0], "no orphans");
    let id = begun.1["id"].as_str().expect("an id");
    let path = format!("/rooms/r/recordings/{id}/stop");
    let stopped = ask(Method::POST, &server.url, &path, None).await;
    // It may have failed by then, because there is no space for its events.
    let is_over = [StatusCode::OK, StatusCode::NOT_FOUND].contains(&stopped.0);
    assert!(is_over, "{}", stopped.1);
    let ended = async {
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        loop {
            poll.tick().await;
            let entry = std::fs::read(disk.path().join(format!("{id}.json"))).expect("its entry");
            let entry: serde_json::Value = serde_json::from_slice(&entry).expect("JSON");
            if entry["ended"].is_string() {
                break;
            }
        }
    };
    timeout(PATIENCE, ended).await.expect("its end is written");
    server.stop().await;
}
