//! Recordings of tracks of somebody whose line loses packets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tessera::archive::events::{self, Event, RecordedTrack};
use tessera::bots::{AudioSource, Bot, BotConfig, Capture, Decode, VideoFormat, VideoSource};
use tessera::codec::VideoCodec;
use tessera::id::Role;
use tessera::layout::Size;
use tessera::media::gst::template::Templates;
use tessera::protocol::room::{RoomState, UplinkState};
use tessera::remix::{self, RemixOptions};

use crate::common::claps::{claps, flashes, offsets};
use crate::common::netns::{Network, Way};
use crate::common::recorded::{ask, folder, record_for, stop};
use crate::common::server::room;

/// How long each half of the recording is: without losses, and with them.
const TAKE: Duration = Duration::from_secs(14);
/// Percent of packets that get lost.
const LOSS: u32 = 10;

fn times(folder: &Path, role: Role, seen: fn(&Path) -> Vec<Duration>) -> Vec<Duration> {
    let lines = events::read(folder).expect("events");
    let tracks: Vec<RecordedTrack> = lines
        .into_iter()
        .filter_map(|line| match line.event {
            Event::Track(track) if track.role == role => Some(track),
            _ => None,
        })
        .collect();
    assert_eq!(tracks.len(), 1, "losses begin no other file: {tracks:?}");
    let start = Duration::from_millis(tracks[0].start);
    let all = seen(&folder.join(&tracks[0].file)).into_iter();
    all.map(|at| start + at).collect()
}

fn median(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Without losses and with them, what is seen and heard at one moment is so.
fn check_halves(apart: &[f64]) {
    assert!(apart.len() >= 8, "{apart:?}");
    for half in apart.chunks(apart.len().div_ceil(2)) {
        let median = median(half);
        assert!(median.abs() < 40.0, "{median} ms of {apart:?}");
    }
}

async fn remixed(place: &Path) -> PathBuf {
    let output = place.join("remix.webm");
    let options = RemixOptions {
        folder: place.to_owned(),
        output: output.clone(),
        force: false,
        layout: None,
        size: Some(Size {
            width: 320,
            height: 180,
        }),
        fps: None,
        video_bitrate: None,
    };
    let made = remix::run(options, Arc::new(Templates::default()), |_, _| {});
    made.await.expect("a remix");
    output
}

/// What is seen and heard at one moment stays so in the files, to their end, and in what is made of
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn losses_do_not_move_sound_against_picture() {
    let (folder, network) = (folder(), Network::new(1));
    let place = folder.path().to_str().expect("text").to_owned();
    let options = ["--recordings", &place, "--recording-free-space", "0"];
    let server = network.serve(&options).await;
    let (line, url) = (network.line(0), server.url(network.line(0)));
    let mut clapper = BotConfig::new(&url, room("loss"), "Clapper").decoding(Decode::No);
    clapper.video = VideoSource::Clap {
        format: VideoFormat {
            fps: 25,
            ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
        },
    };
    clapper.audio = AudioSource::Clap;
    clapper.capture = Capture::Ignore;
    clapper.interface = line.interface();
    let clapper = Bot::join(clapper).await.expect("they join");
    let on = |camera| camera == UplinkState::Live;
    let live = move |room: &RoomState| room.participants.iter().all(|p| on(p.camera));
    clapper.room_when("them live", live).await.expect("live");
    let body = Some(json!({ "kind": "tracks" }));
    let (status, begun) = ask(Method::POST, &url, "/rooms/loss/recordings", body).await;
    assert_eq!(status, StatusCode::CREATED, "{begun}");
    let id = begun["id"].as_str().expect("an id").to_owned();
    record_for(TAKE).await;
    line.lose(Way::Up, LOSS);
    record_for(TAKE).await;
    let lost = line.lost(Way::Up);
    line.clear();
    stop(&url, "loss", &id).await;
    clapper.leave().await.expect("they leave");
    server.stop().await;

    let place = folder.path().join(&id);
    let flashed = times(&place, Role::Camera, flashes);
    let clapped = times(&place, Role::Mic, claps);
    let apart = offsets(&flashed, &clapped);
    println!("{lost} packets lost; sound after picture by {apart:.0?} ms");
    assert!(lost > 50, "{lost} packets lost");
    check_halves(&apart);
    let film = remixed(&place).await;
    let apart = offsets(&flashes(&film), &claps(&film));
    println!("remixed: sound after picture by {apart:.0?} ms");
    check_halves(&apart);
}
