//! Recordings of tracks of a browser that sends its camera in several encodings.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tessera::archive::events::{self, Event, RecordedTrack};
use tessera::bots::{Bot, BotConfig, Decode};
use tessera::id::Role;
use tessera::protocol::room::UplinkState;
use tessera::protocol::{ClientMessage, PictureSize};
use tessera::topology::Mode;
use tokio::time::Instant;

use crate::common::browser::{Page, alone};
use crate::common::film;
use crate::common::recorded::{ask, begin_as, folder, record_for, recording, stop};
use crate::common::server::{TestServer, room};

/// How long a browser may take to send another encoding, and the server to take it.
const DEADLINE: Duration = Duration::from_secs(60);
/// How much is recorded of each.
const PART: Duration = Duration::from_secs(3);

/// The cameras' files that have begun; none while the log has not.
fn cameras(folder: &Path) -> Vec<RecordedTrack> {
    let lines = events::read(folder).unwrap_or_default();
    let camera = |line: events::LogEntry| match line.event {
        Event::Track(track) if track.role == Role::Camera => Some(track),
        _ => None,
    };
    lines.into_iter().filter_map(camera).collect()
}

/// Waits until that many have begun.
async fn begun(folder: &Path, count: usize) {
    let began = Instant::now();
    while cameras(folder).len() < count {
        let all = cameras(folder);
        assert!(began.elapsed() < DEADLINE, "no {count} of {all:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Switches the largest encoding of a page on or off, as a browser does whose link is too narrow.
async fn switch_largest(page: &Page, active: bool) {
    let switched = format!(
        "(async () => {{ for (const sender of tessera.pc.getSenders()) {{ \
            const parameters = sender.getParameters(); \
            const largest = parameters.encodings?.find(({{ rid }}) => rid === 'f'); \
            if (!largest) continue; \
            largest.active = {active}; \
            await sender.setParameters(parameters); \
            return true; \
         }} return false; }})()"
    );
    assert_eq!(page.evaluate(&switched).await, true, "it has a largest one");
}

/// A viewer draws it small, and still the largest is recorded; when it stops the recording goes on
/// with what there is, and takes it again when it is back.
#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn the_largest_encoding_is_recorded_while_there_is_one() {
    let _alone = alone().await;
    let folder = folder();
    let server = TestServer::with(recording(folder.path())).await;
    let viewer = BotConfig::new(&server.url, room("sizes"), "Viewer").decoding(Decode::No);
    let viewer = Bot::join(viewer.with_slots(4)).await.unwrap();
    viewer.set_mode(Mode::Sfu).unwrap();
    let ann = Page::chromium("Ann").await;
    ann.join(&server.url, "sizes").await;
    let id = ann.until("Ann", "probe.person('Ann')?.id").await;
    let picture = PictureSize {
        participant: id.as_str().unwrap().parse().unwrap(),
        role: Role::Camera,
        height: 150,
    };
    let pictures = vec![picture];
    viewer.send(ClientMessage::Sizes { pictures }).unwrap();
    let small = "(async () => [...(await tessera.pc.getStats()).values()] \
        .some((one) => one.type === 'outbound-rtp' && one.frameHeight === 180))()";
    ann.until_within("it to be sent small", &format!("await {small}"), DEADLINE)
        .await;

    let body = Some(json!({ "kind": "tracks" }));
    let (status, take) = ask(Method::POST, &server.url, "/rooms/sizes/recordings", body).await;
    assert_eq!(status, StatusCode::CREATED, "{take}");
    let take = take["id"].as_str().unwrap().to_owned();
    let place = folder.path().join(&take);
    let large = small.replace("180", "720");
    ann.until_within("it to be sent large", &format!("await {large}"), DEADLINE)
        .await;
    record_for(PART).await;
    let before = cameras(&place).len();
    switch_largest(&ann, false).await;
    begun(&place, before + 1).await;
    record_for(PART).await;
    switch_largest(&ann, true).await;
    begun(&place, before + 2).await;
    record_for(PART).await;
    let ended = stop(&server.url, "sizes", &take).await;
    assert_eq!(ended["state"], "finished", "{ended}");

    let all = cameras(&place);
    println!("{all:?}");
    let widths: Vec<Vec<u32>> = all
        .iter()
        .map(|track| film::widths(&place.join(&track.file)))
        .collect();
    println!("{widths:?}");
    let last = |n: usize| *widths[n].last().unwrap();
    assert_eq!(last(before - 1), 1280);
    assert!(last(before) < 1280);
    assert_eq!(last(before + 1), 1280);
    for pair in all.windows(2) {
        let length = film::length(&place.join(&pair[0].file));
        let end = Duration::from_millis(pair[0].start) + length;
        let next = Duration::from_millis(pair[1].start);
        println!("from {end:?} to {next:?}");
        assert!(next + Duration::from_millis(500) > end, "one at a time");
        assert!(next < end + Duration::from_secs(5), "the next one follows");
    }
    drop(viewer);
    server.stop().await;
}

/// Publishes a camera in three spatial layers of VP9 that depend on one another in keyframes alone,
/// and nothing else.
const PUBLISH_LAYERS: &str = "probe.publish('layers', { audio: false, \
    video: { width: 1280, height: 720, frameRate: 15 }, codec: 'video/VP9', \
    sendEncodings: [{ scalabilityMode: 'L3T3_KEY' }] })";

/// How many they are.
const LAYERS: u64 = 3;

/// What the browser has sent: the largest size, frames of all layers, and how often it was asked for keyframes.
const SENT: &str = "publishing.getStats().then((all) => { \
    const video = [...all.values()].find((one) => one.type === 'outbound-rtp'); \
    return { mode: video.scalabilityMode, width: video.frameWidth, frames: video.framesEncoded, \
        asked: video.pliCount + video.firCount }; })";

/// Spatial layers are one picture, in its largest size, in the mix and in a file: nobody asks for a
/// keyframe because of each of them.
#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn spatial_layers_of_vp9_are_one_picture() {
    let _alone = alone().await;
    let folder = folder();
    let server = TestServer::with(recording(folder.path())).await;
    let viewer = BotConfig::new(&server.url, room("layers"), "Viewer").decoding(Decode::Video);
    let viewer = Bot::join(viewer).await.unwrap();
    let page = Page::chromium("Ann").await;
    page.open(&server.url).await;
    page.evaluate(PUBLISH_LAYERS).await;
    let sent = format!(
        "(async () => {{ const now = await {SENT}; \
         return now.width === 1280 && now.frames > 30 ? now : null; }})()"
    );
    let before = page.until_within("all layers", &sent, DEADLINE).await;
    assert_eq!(before["mode"], "L3T3_KEY", "{before}");
    viewer
        .room_when("a live camera", |state| {
            state
                .participants
                .iter()
                .any(|one| one.camera == UplinkState::Live)
        })
        .await
        .unwrap();

    let body = json!({ "kind": "tracks" });
    let take = begin_as(&server.url, "layers", body).await;
    let place = folder.path().join(&take);
    begun(&place, 1).await;
    record_for(PART).await;
    let after = page.evaluate(SENT).await;
    let ended = stop(&server.url, "layers", &take).await;
    assert_eq!(ended["state"], "finished", "{ended}");

    let file = place.join(&cameras(&place)[0].file);
    let widths = film::vp9_widths(&file);
    let packets = film::packets(&file).len();
    let count = |key: &str| after[key].as_u64().unwrap() - before[key].as_u64().unwrap();
    let (sent, asked) = (count("frames"), count("asked"));
    println!("{sent} layers sent, {packets} pictures recorded, {asked} keyframes asked for");
    assert_eq!(widths, vec![1280; packets]);
    let whole = packets as u64 * LAYERS;
    assert!(2 * whole > sent, "{packets} pictures of {sent} layers");
    // For the recording, for its size, and for one that is lost.
    assert!(asked <= 5, "{asked} keyframes are asked for");
    drop(viewer);
    server.stop().await;
}
