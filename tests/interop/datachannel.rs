//! node-datachannel (npm): libdatachannel, which is in C++ and many programs' WebRTC.

use std::time::Duration;

use tessera::codec::VideoCodec;

use super::script::Script;
use super::stage::Stage;
use crate::common::server::PATIENCE;

async fn is_seen_and_heard(task: &str) {
    let stage = Stage::watched().await;
    let [pictures, sound] = stage.made(VideoCodec::H264);
    let whip = stage.whip();
    let mut client = Script::node("datachannel.mjs", &[task, &whip, &pictures, &sound]);
    client.during(stage.sees_and_hears()).await;
    client.stop().await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes() {
    is_seen_and_heard("publish").await;
}

/// Neither a `mid` in its packets nor `a=ssrc` in its offer says whose they are: only the payload
/// types do (RFC 9143 section 9.2).
#[tokio::test(flavor = "multi_thread")]
async fn publishes_without_naming_its_ssrcs() {
    is_seen_and_heard("publish-bare").await;
}

/// Longer than somebody is sent media who does not say that any of it arrives.
const STAY: Duration = Duration::from_secs(30);

/// It has no SSRC of its own to report from, and its reports count no packets. They are heard all the
/// same, so it is not let go of.
#[tokio::test(flavor = "multi_thread")]
async fn plays_on() {
    let stage = Stage::sending().await;
    let [pictures, sound] = stage.wanted();
    let whep = stage.whep();
    let stay = STAY.as_millis().to_string();
    let arguments = ["play", &whep, &pictures, &sound, &stay];
    let client = Script::node("datachannel.mjs", &arguments);
    client.ends_within(PATIENCE + STAY).await;
    stage.assert_received(VideoCodec::Vp8);
    stage.close().await;
}
