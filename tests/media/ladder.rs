//! Viewers who want less than the whole composite: what they see, and what the server does for it.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use serde_json::Value;
use tessera::bots::observe::palette;
use tessera::bots::{Bot, BotConfig, Decode, Entry, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::protocol::room::{Limits, RoomState, UplinkState};

use crate::common::bars::at_most;
use crate::common::look::check_tiles;
use crate::common::server::{TestServer, room};

/// Whether a viewer has the composite at this size, with everybody in it.
async fn sees(bot: &Bot, size: (u32, u32), state: &RoomState, people: &[(ParticipantId, [u8; 3])]) {
    let right = bot
        .picture_when("the right size and colours", |picture| {
            (picture.width, picture.height) == size && check_tiles(picture, state, people).is_ok()
        })
        .await;
    if let Err(error) = right {
        let picture = bot.picture().await.expect("a picture");
        let looks = check_tiles(&picture, state, people);
        let got = (picture.width, picture.height);
        panic!("{}: {error}: {got:?}, not {size:?}; {looks:?}", bot.name());
    }
}

/// Two senders with colours of their own, all live.
async fn senders(server: &TestServer, name: &str) -> (Vec<Bot>, RoomState) {
    let format = VideoFormat {
        fps: 15,
        ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
    };
    let joins = (0..2).map(|i| {
        let config = BotConfig::new(&server.url, room(name), format!("Person {i}"));
        Bot::join(config.person(i, format).receiving(&[]))
    });
    let bots = try_join_all(joins).await.expect("both join");
    let live = |state: &RoomState| {
        let cameras = state.participants.iter().map(|p| p.camera);
        cameras
            .filter(|camera| *camera == UplinkState::Live)
            .count()
            == 2
    };
    let state = bots[0].room_when("two cameras", live).await;
    (bots, state.expect("two cameras"))
}

fn colours(senders: &[Bot]) -> Vec<(ParticipantId, [u8; 3])> {
    let ids = senders.iter().map(|bot| bot.id().expect("an id"));
    ids.enumerate()
        .map(|(i, id)| (id, palette::color(i)))
        .collect()
}

/// The renditions of the composite that run.
async fn renditions(server: &TestServer, name: &str) -> Vec<Value> {
    let stats = server.get(&format!("/api/v1/rooms/{name}/stats")).await;
    let all = stats["renditions"].as_array().expect("a list").clone();
    all.into_iter().filter(|r| r["kind"] == "video").collect()
}

fn height(max: u32) -> Limits {
    Limits {
        max_height: Some(max),
        ..Limits::default()
    }
}

/// The figures of the composite at a viewer.
fn video(bot: &Bot) -> tessera::bots::StreamStats {
    let received = bot.stats().received.into_iter();
    let mut video = received.filter(|stream| stream.role == Role::MixVideo);
    video.next().expect("the composite")
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_viewers_of_three_kinds_cost_three_encoders() {
    let server = TestServer::start().await;
    let (senders, _) = senders(&server, "twelve").await;
    let audio_only = Limits {
        audio_only: true,
        ..Limits::default()
    };
    let kinds = [
        (Limits::default(), (1280, 720)),
        (height(360), (640, 360)),
        (audio_only, (320, 180)),
    ];
    let joins = (0..12).map(|i| {
        let config = BotConfig::new(&server.url, room("twelve"), format!("Viewer {i}"))
            // A third over WHEP, with the same wishes in the query.
            .entering(match i / 4 {
                0 => Entry::Whep,
                _ => Entry::WebSocket { forward_slots: 0 },
            })
            .decoding(Decode::Video)
            .limited(kinds[i % 3].0);
        Bot::join(config)
    });
    let viewers = try_join_all(joins).await.expect("all join");
    let composite = |state: &RoomState| state.tiles.len() == 2;
    let state = senders[0].room_when("a composite", composite).await;
    let (state, people) = (state.expect("a composite"), colours(&senders));
    join_all(
        viewers
            .iter()
            .enumerate()
            .map(|(i, bot)| sees(bot, kinds[i % 3].1, &state, &people)),
    )
    .await;
    let running = renditions(&server, "twelve").await;
    assert_eq!(running.len(), 3, "{running:?}");
    for rendition in &running {
        assert_eq!(rendition["viewers"], 4, "{rendition}");
        assert!(rendition["target_bps"].as_u64() > Some(0), "{rendition}");
    }
    let heights: Vec<_> = running.iter().map(|r| r["height"].as_u64()).collect();
    assert_eq!(heights, [Some(720), Some(360), Some(180)]);
    let rates: Vec<_> = running.iter().map(|r| r["fps"].as_f64()).collect();
    assert_eq!(rates, [Some(30.0), Some(30.0), Some(0.2)]);
    join_all(viewers.into_iter().chain(senders).map(Bot::leave)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_is_moved_without_a_gap() {
    let server = TestServer::start().await;
    let (senders, _) = senders(&server, "moved").await;
    for codec in [VideoCodec::H264, VideoCodec::Vp8] {
        let config = BotConfig::new(&server.url, room("moved"), format!("{codec:?}"))
            .receiving(&[codec])
            .decoding(Decode::Video);
        let viewer = Bot::join(config).await.expect("joins");
        let composite = |state: &RoomState| state.tiles.len() == 2;
        let state = viewer.room_when("a composite", composite).await;
        let (state, people) = (state.expect("a composite"), colours(&senders));
        sees(&viewer, (1280, 720), &state, &people).await;
        viewer.reset_stats();
        // Down, back to what is still running, and to rungs of other rates.
        for (max, size) in [
            (360, (640, 360)),
            (720, (1280, 720)),
            (180, (320, 180)),
            (270, (480, 270)),
            (540, (960, 540)),
            (720, (1280, 720)),
        ] {
            viewer.limit(height(max)).expect("said");
            sees(&viewer, size, &state, &people).await;
        }
        let figures = video(&viewer);
        assert_eq!(figures.lost, 0, "sequence numbers go on: {figures:?}");
        assert!(figures.keyframes >= 6, "one for each move: {figures:?}");
        // Seven frames of the slowest.
        let longest = at_most(Duration::from_millis(467));
        assert!(figures.longest_gap < longest, "{codec:?}: {figures:?}");
        viewer.leave().await.expect("left");
    }
    join_all(senders.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_viewer_who_tells_of_it_is_known() {
    let server = TestServer::start().await;
    let (senders, _) = senders(&server, "link").await;
    let join = |name: &str, entry| {
        let config = BotConfig::new(&server.url, room("link"), name);
        Bot::join(config.entering(entry).telling_arrivals())
    };
    let entries = [Entry::WebSocket { forward_slots: 2 }, Entry::Whep];
    let joins = entries.map(|entry| join(&format!("{entry:?}"), entry));
    let viewers = try_join_all(joins).await.expect("both join");
    let links = async {
        loop {
            let stats = server.get("/api/v1/rooms/link/stats").await;
            let people = stats["participants"].as_array().expect("a list");
            let links: Vec<Value> = people.iter().map(|p| p["link"].clone()).collect();
            let arriving = |link: &Value| link["arriving_bps"].as_u64() > Some(20_000);
            if links.iter().skip(2).filter(|link| arriving(link)).count() == 2 {
                return links;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let links = tokio::time::timeout(Duration::from_secs(20), links);
    let links = links.await.expect("something arrives at both viewers");
    assert_eq!(
        links[..2],
        [Value::Null, Value::Null],
        "they receive nothing"
    );
    for link in &links[2..] {
        assert!(link["loss"].as_f64() < Some(0.05), "{link}");
        assert_eq!(link["budget_bps"], Value::Null, "nothing is in its way");
    }
    join_all(viewers.into_iter().chain(senders).map(Bot::leave)).await;
    server.stop().await;
}
