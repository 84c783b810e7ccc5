//! Recordings of tracks on a disk that fills up.

use std::path::Path;

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
    let disk = Disk::new("100k");
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
