//! Ten rooms that are recorded at once, as a mix and as tracks.

use std::time::Duration;

use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tessera::bots::Bot;
use tessera::bots::observe::palette;
use tessera::bots::observe::probe::tone;
use tokio::time::Instant;

use crate::common::bars::at_most;
use crate::common::film;
use crate::common::look::check_tones;
use crate::common::recorded::{Process, ask, folder, list, people, record_for, stop};

/// How many.
const ROOMS: usize = 10;
/// How long they are recorded.
const TAKE: Duration = Duration::from_secs(8);

async fn begin(url: &str, name: &str, body: Value) -> String {
    let path = format!("/rooms/{name}/recordings");
    let (status, recording) = ask(Method::POST, url, &path, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{recording}");
    recording["id"].as_str().expect("an id").to_owned()
}

/// The share of quarters of a second in which all of `tones` are nearly as loud as they ever are.
fn whole(sound: &[f32], tones: &[f64]) -> f64 {
    let quarters = sound.chunks_exact(film::RATE / 4);
    let faintest = |quarter| tone::levels(quarter, tones).into_iter().fold(0.0, f64::min);
    let levels: Vec<f64> = quarters.map(faintest).collect();
    let loudest = levels.iter().copied().fold(f64::MIN, f64::max);
    let near = levels.iter().filter(|level| **level > loudest - 6.0);
    near.count() as f64 / levels.len() as f64
}

/// Every recording has its length, every picture and every tone, whatever the others do.
#[tokio::test(flavor = "multi_thread")]
async fn ten_rooms_are_recorded_at_once() {
    gst::init().expect("GStreamer");
    let folder = folder();
    let server = Process::start(folder.path(), "tracks").await;
    let names: Vec<String> = (0..ROOMS).map(|n| format!("room-{n}")).collect();
    let mut rooms = Vec::new();
    for name in &names {
        rooms.push(people(&server.url, name, 2).await);
    }
    let body = json!({ "format": "mp4" });
    let begun = names
        .iter()
        .map(|name| begin(&server.url, name, body.clone()));
    let ids = join_all(begun).await;
    let began = Instant::now();
    record_for(TAKE).await;
    let stopped = names
        .iter()
        .zip(&ids)
        .map(|(name, id)| stop(&server.url, name, id));
    let stopped = join_all(stopped).await;
    let took = began.elapsed();
    // Ten rooms leave no time to read what was recorded.
    join_all(rooms.into_iter().flatten().map(Bot::leave)).await;
    for recording in stopped {
        assert_eq!(recording["state"], "finished", "{recording}");
        let file = folder
            .path()
            .join(recording["file"].as_str().expect("a file"));
        let length = film::length(&file);
        assert!(
            length.abs_diff(took) < at_most(Duration::from_secs(2)),
            "{length:?} of {took:?}"
        );
        let pictures = film::pictures(&file);
        assert_eq!((pictures[0].width, pictures[0].height), (640, 360));
        let gaps = pictures
            .windows(2)
            .map(|pair| pair[1].arrival - pair[0].arrival);
        let longest = gaps.max().unwrap_or_default();
        println!(
            "{length:?}, {} pictures, {longest:?} between two",
            pictures.len()
        );
        assert!(
            longest < at_most(Duration::from_secs(1)),
            "{longest:?} without a picture"
        );
        let sound = film::sound(&file);
        let half = sound.len() / 2;
        let window = &sound[half..half + film::RATE / 2];
        let tones = [palette::tone(0), palette::tone(1)];
        assert_eq!(check_tones(window, &tones, &[]), Ok(()));
        // A machine that has too much to do loses pictures, which nobody misses, before sound.
        let whole = whole(&sound, &tones);
        println!("{whole:.2} of the sound is whole");
        assert!(whole > 0.5, "{whole:.2} of the sound of {}", file.display());
    }
    // With their rooms the tracks have ended, which each was recorded as from its beginning.
    for one in list(&server.url).await {
        let id = one["id"].as_str().expect("an id").to_owned();
        let room = one["room"].as_str().expect("a room").to_owned();
        let path = format!("/rooms/{room}/recordings/{id}");
        let ended = loop {
            let response = reqwest::Client::new()
                .get(format!("{}/api/v1{path}", server.url))
                .header("accept", "application/json")
                .send();
            let entry: Value = response
                .await
                .expect("an answer")
                .json()
                .await
                .expect("JSON");
            if entry["state"] != "recording" {
                break entry;
            }
            record_for(Duration::from_millis(50)).await;
        };
        assert_eq!(ended["state"], "finished", "{ended}");
        if ended["kind"] == "tracks" {
            let tracks = ended["tracks"].as_array().expect("tracks");
            assert_eq!(tracks.len(), 4, "{ended}");
            for track in tracks {
                let place = folder
                    .path()
                    .join(ended["file"].as_str().expect("a folder"));
                let file = place.join(track["file"].as_str().expect("a file"));
                assert!(
                    film::length(&file) + Duration::from_secs(1) > TAKE,
                    "{track}"
                );
            }
        }
    }
    server.kill().await;
}
