//! Rooms that are recorded: who is in them, and what the API says of it.

use std::path::Path;
use std::process::Stdio;

use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tessera::bots::observe::palette;
use tessera::bots::{AudioSource, Bot, BotConfig, Decode, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::config::Config;
use tessera::id::ParticipantId;
use tessera::protocol::room::{RoomState, UplinkState};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::server::{PATIENCE, room};

/// A folder of recordings and the settings to use it.
pub fn recording(folder: &Path) -> impl FnOnce(&mut Config) {
    let folder = folder.to_owned();
    move |config| {
        config.recordings = Some(folder);
        config.recording_quotas.free_space = 0;
        config.audio_bitrate = 128_000;
    }
}

/// A folder for them.
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A bot's id.
pub fn id(bot: &Bot) -> ParticipantId {
    bot.id().expect("a WebSocket bot has an id")
}

/// People with a colour and a tone each; the first one looks on.
pub async fn people(url: &str, name: &str, n: usize) -> Vec<Bot> {
    let joins = (0..n).map(|i| {
        let format = VideoFormat {
            fps: 15,
            ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
        };
        let mut config = BotConfig::new(url, room(name), format!("Person {i}"))
            .person(i, format)
            .decoding(Decode::No)
            .receiving(&[[VideoCodec::H264, VideoCodec::Vp8][i % 2]])
            .with_slots(4);
        config.audio = AudioSource::Tone {
            hz: palette::tone(i) as u32,
            dbfs: -24,
        };
        Bot::join(config)
    });
    let bots = try_join_all(joins).await.expect("everybody joins");
    let live = |state: &RoomState| {
        let on = |camera| camera == UplinkState::Live;
        state.participants.len() == n
            && state
                .participants
                .iter()
                .all(|p| on(p.camera) && p.speaking)
    };
    bots[0]
        .room_when("everybody to be live", live)
        .await
        .expect("live");
    bots
}

/// A request of the REST API, and what came back.
pub async fn ask(
    method: Method,
    url: &str,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let request = reqwest::Client::new().request(method, format!("{url}/api/v1{path}"));
    let request = match &body {
        Some(body) => request.json(body),
        None => request,
    };
    let response = request.send().await.expect("an answer");
    let status = response.status();
    (status, response.json().await.unwrap_or(Value::Null))
}

/// Begins to record a room's composite as a file of this format, and returns the recording's id.
pub async fn begin(url: &str, name: &str, format: &str) -> String {
    begin_as(url, name, json!({ "format": format, "kind": "composite" })).await
}

/// Begins to record a room as this body asks for, and returns the recording's id.
pub async fn begin_as(url: &str, name: &str, body: Value) -> String {
    let path = format!("/rooms/{name}/recordings");
    let (status, recording) = ask(Method::POST, url, &path, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{recording}");
    assert_eq!(recording["state"], "recording");
    recording["id"].as_str().expect("an id").to_owned()
}

/// Ends a recording.
pub async fn stop(url: &str, name: &str, id: &str) -> Value {
    let path = format!("/rooms/{name}/recordings/{id}/stop");
    let (status, recording) = ask(Method::POST, url, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{recording}");
    recording
}

/// What the catalogue says.
pub async fn list(url: &str) -> Vec<Value> {
    let (_, page) = ask(Method::GET, url, "/recordings", None).await;
    page["recordings"].as_array().expect("a list").clone()
}

/// Lets a recording run: there is no event that says that three seconds of it are over.
pub async fn record_for(length: Duration) {
    sleep_until(Instant::now() + length).await;
}

/// A server in a process of its own, which can be killed.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Process {
    /// Starts one that records every room as `record`.
    pub async fn start(folder: &Path, record: &str) -> Self {
        let folder = folder.to_str().expect("a name in Unicode");
        let cost = ["--max-cores", "unlimited", "--canvas", "640x360"];
        let recording = ["--recording-free-space", "0", "--record", record];
        Self::serve(&[&cost[..], &recording, &["--recordings", folder]].concat()).await
    }

    /// Starts one with these options beside those that tests need.
    pub async fn serve(options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tessera"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--media-ip",
                "127.0.0.1",
            ])
            .args(["--turn-listen", "127.0.0.1:0"])
            .args(["--joins-per-second", "1000"])
            .args(options)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = timeout(PATIENCE, lines.next_line())
            .await
            .expect("an address");
        let line = line.expect("text").expect("a line");
        let url = line.trim_start_matches("listening on ").to_owned();
        Self { child, url }
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}
