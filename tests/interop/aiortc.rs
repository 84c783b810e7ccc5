//! aiortc (PyPI): WebRTC in Python, whose own codecs (FFmpeg's, by PyAV) make and take the media.

use std::time::Duration;

use tessera::bots::observe::palette;
use tessera::bots::observe::probe::Picture;

use super::media;
use super::script::Script;
use super::stage::{CLIENT, Stage};

async fn is_seen_and_heard(codec: &str) {
    is_seen_and_heard_in(codec, "opus").await;
}

async fn is_seen_and_heard_in(codec: &str, sound: &str) {
    publishes("publish", codec, sound).await;
}

/// Publishes until told to stop; the room is empty then.
async fn publishes(task: &str, codec: &str, sound: &str) {
    let stage = Stage::watched().await;
    let rgb = palette::color(CLIENT)
        .map(|value| value.to_string())
        .join(",");
    let hz = palette::tone(CLIENT).to_string();
    let whip = stage.whip();
    let mut client = Script::python("whip.py", &[task, &whip, codec, sound, &rgb, &hz]);
    client.during(stage.sees_and_hears()).await;
    client.stop().await;
    stage.close().await;
}

async fn sees_and_hears(codec: &str) {
    sees_and_hears_in(codec, "opus").await;
}

async fn sees_and_hears_in(codec: &str, sound_codec: &str) {
    let stage = Stage::sending().await;
    let [pictures, sound] = stage.wanted();
    let whep = stage.whep();
    let client = Script::python(
        "whip.py",
        &["play", &whep, codec, sound_codec, &pictures, &sound],
    );
    client.ends().await;
    let [pictures, sound] = stage.files().map(|file| media::read(&file));
    let pictures: Vec<_> = pictures.iter().map(|unit| picture(unit)).collect();
    stage.assert_played(&pictures, &media::samples(&sound.concat()));
    stage.close().await;
}

/// A picture as the script writes it: width, height and I420.
fn picture(unit: &[u8]) -> Picture {
    let (width, rest) = unit.split_first_chunk().expect("a width");
    let (height, i420) = rest.split_first_chunk().expect("a height");
    let [width, height] = [width, height].map(|side| u32::from_be_bytes(*side));
    let (columns, rows) = (width as usize, height as usize);
    let (y, chroma) = i420.split_at(columns * rows);
    let (u, v) = chroma.split_at(columns.div_ceil(2) * rows.div_ceil(2));
    let planes = [
        (y, columns),
        (u, columns.div_ceil(2)),
        (v, columns.div_ceil(2)),
    ];
    Picture::from_planes(width, height, planes, Duration::ZERO, 0).expect("whole planes")
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_vp8() {
    is_seen_and_heard("vp8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_h264() {
    is_seen_and_heard("h264").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plays_vp8() {
    sees_and_hears("vp8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plays_h264() {
    sees_and_hears("h264").await;
}

/// G.711, as telephones have it.
#[tokio::test(flavor = "multi_thread")]
async fn publishes_pcmu() {
    is_seen_and_heard_in("vp8", "pcmu").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plays_pcma() {
    sees_and_hears_in("vp8", "pcma").await;
}

/// DTLS says goodbye, and nothing else does. Silence alone would be noticed after twenty seconds,
/// which is longer than the stage waits.
#[tokio::test(flavor = "multi_thread")]
async fn who_closes_the_connection_has_left() {
    publishes("vanish", "vp8", "opus").await;
}
