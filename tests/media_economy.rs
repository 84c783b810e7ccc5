//! What a room costs the server is kept near what it shows.

mod common;

use std::time::Duration;

use common::server::{PATIENCE, TestServer, room};
use futures::future::{join_all, try_join_all};
use serde_json::Value;
use tessera::bots::{Bot, BotConfig, VideoFormat};
use tessera::config::VideoCodec;
use tessera::protocol::{RoomState, UplinkState};

/// Between two looks at figures that the server takes once a second.
const LOOK: Duration = Duration::from_millis(500);

/// Pixels of the default canvas in a second.
const CANVAS: u64 = 1280 * 720 * 30;

async fn stats(server: &TestServer, name: &str) -> Value {
    server.get(&format!("/api/v1/rooms/{name}/stats")).await
}

/// The sum of a metric over all its labels, as Prometheus reads it.
async fn metric(server: &TestServer, name: &str) -> f64 {
    let url = format!("{}/metrics", server.url);
    let text = reqwest::get(url).await.expect("metrics");
    let text = text.text().await.expect("text");
    let of_name = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with([' ', '{']))
    };
    let values = text.lines().filter(of_name);
    values
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn nine_cameras_cost_what_one_canvas_does() {
    let server = TestServer::start().await;
    let format = VideoFormat::sized(VideoCodec::Vp8, 1280, 720);
    let joins = (0..9).map(|i| {
        let config = BotConfig::new(&server.url, room("nine"), format!("Person {i}"));
        Bot::join(config.person(i, format))
    });
    let bots = try_join_all(joins).await.expect("all join");
    let live = |state: &RoomState| {
        let cameras = state.participants.iter().map(|p| p.camera);
        let live = cameras.filter(|camera| *camera == UplinkState::Live);
        live.count() == 9 && state.tiles.len() == 9
    };
    let state = bots[0].room_when("nine cameras", live).await;
    let state = state.expect("nine cameras");
    for tile in &state.tiles {
        assert!(tile.w * 3 <= 1280 && tile.h * 3 <= 720, "{tile:?}");
    }

    // All nine are decoded, and none of them larger than it is shown any more.
    let few = |pixels: u64| pixels * 10 < CANVAS * 13;
    let settled = async {
        let mut looks = Vec::new();
        while looks.len() < 6 {
            tokio::time::sleep(LOOK).await;
            let stats = stats(&server, "nine").await;
            let pixels = stats["decoded_pixels_per_second"].as_u64();
            let pixels = pixels.expect("pixels");
            // Nine cameras and nine microphones.
            match stats["decoders"] == 18 && few(pixels) && pixels * 2 > CANVAS {
                true => looks.push(pixels),
                false => looks.clear(),
            }
        }
        looks
    };
    let looks = tokio::time::timeout(PATIENCE, settled).await;
    match looks {
        Ok(looks) => println!("{looks:?} of {CANVAS} pixels a second"),
        Err(_) => panic!("of {CANVAS}: {}", stats(&server, "nine").await),
    }
    assert!(metric(&server, "tessera_decoded_pixels_total").await > CANVAS as f64);
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}
