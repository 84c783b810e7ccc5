//! The first minute: `tessera demo` with the settings it comes with, in browsers as they come.

use std::process::Stdio;

use tessera::config::{Setting, settings};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::common::browser::{Page, alone};
use crate::common::server::PATIENCE;

/// The demo on a free port, and its address once its participants are in the room.
async fn demo() -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tessera"));
    // The tests and the browsers have the same cores.
    command.args([
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--max-cores",
        "unlimited",
    ]);
    for Setting { env, .. } in settings() {
        command.env_remove(env);
    }
    let spawned = command.stdout(Stdio::piped()).kill_on_drop(true).spawn();
    let mut process = spawned.expect("the demo starts");
    let out = process.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(out).lines();
    let open = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let url = line
                .strip_prefix("open ")
                .and_then(|rest| rest.split_once("/r/"));
            if let Some((url, _)) = url {
                return url.to_owned();
            }
        }
        panic!("the demo ended");
    };
    let url = timeout(PATIENCE, open)
        .await
        .expect("the demo's participants");
    (process, url)
}

async fn set_mode(url: &str, mode: &str) {
    let answer = reqwest::Client::new()
        .patch(format!("{url}/api/v1/rooms/demo"))
        .json(&serde_json::json!({"mode": mode}))
        .send();
    assert!(answer.await.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn the_demo_is_seen_in_every_mode_by_browsers_as_they_come() {
    let _alone = alone().await;
    let (process, url) = demo().await;
    for name in ["Fay", "Ann"] {
        let page = match name {
            "Fay" => Page::firefox(name).await,
            _ => Page::chromium(name).await,
        };
        page.join(&url, "demo").await;
        page.pictured().await;
        let tiles = "probe.state().room?.tiles.length === 4";
        page.until("three people and itself", tiles).await;
        set_mode(&url, "p2p").await;
        let directly = "probe.state().mesh.receiving.length === 3";
        page.until("three people, directly", directly).await;
        set_mode(&url, "mcu").await;
        let mixed = "probe.state().playback.view === 'composite'";
        page.until("the composite again", mixed).await;
        page.assert_no_errors();
    }
    drop(process);
}
