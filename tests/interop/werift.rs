//! werift (npm): all of WebRTC in TypeScript.

use tessera::codec::VideoCodec;

use super::script::Script;
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn publishes() {
    let stage = Stage::watched().await;
    let [pictures, sound] = stage.made(VideoCodec::Vp8);
    let whip = stage.whip();
    let mut client = Script::node("werift.mjs", &["publish", &whip, &pictures, &sound]);
    client.during(stage.sees_and_hears()).await;
    client.stop().await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plays() {
    let stage = Stage::sending().await;
    let [pictures, sound] = stage.wanted();
    let whep = stage.whep();
    let client = Script::node("werift.mjs", &["play", &whep, &pictures, &sound]);
    client.ends().await;
    stage.assert_received(VideoCodec::H264);
    stage.close().await;
}
