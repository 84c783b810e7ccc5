//! What Chromium shows and plays of somebody who is forwarded belongs together.

use std::time::Duration;

use tempfile::TempDir;
use tessera::bots::{AudioSource, Bot, BotConfig, Capture, Decode, VideoFormat, VideoSource};
use tessera::codec::VideoCodec;
use tessera::topology::Mode;

use crate::common::bars;
use crate::common::browser::{Page, alone};
use crate::common::claps::{claps, flashes, offsets};
use crate::common::server::{TestServer, room};

/// How long it is recorded, and how long before that it is left alone: a receiver synchronises what
/// two sender reports have told it.
const RECORDED: Duration = Duration::from_secs(20);
const SETTLES: Duration = Duration::from_secs(8);

/// Records what the page has of picture and sound that are forwarded, and gives it in base64.
const RECORD: &str = "(async () => { \
    const live = (kind) => tessera.pc.getReceivers().map(({ track }) => track) \
        .filter((track) => track.kind === kind && !track.muted); \
    const stats = [...(await tessera.pc.getStats()).values()].filter((one) => one.type === 'inbound-rtp'); \
    const busiest = (kind) => stats.filter((one) => one.kind === kind) \
        .sort((a, b) => b.packetsReceived - a.packetsReceived)[0]?.trackIdentifier; \
    const tracks = ['video', 'audio'].map((kind) => live(kind).find((track) => track.id === busiest(kind))); \
    const recorder = new MediaRecorder(new MediaStream(tracks), { mimeType: 'video/webm;codecs=vp8,opus' }); \
    const parts = []; \
    recorder.ondataavailable = ({ data }) => parts.push(data); \
    const stopped = new Promise((resolve) => { recorder.onstop = resolve; }); \
    recorder.start(); \
    setTimeout(() => recorder.stop(), LENGTH); \
    await stopped; \
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer()); \
    let text = ''; \
    for (let at = 0; at < bytes.length; at += 32768) \
        text += String.fromCharCode(...bytes.subarray(at, at + 32768)); \
    return btoa(text); })()";

/// How far what is played of the sound is behind what is shown of the picture, ms, by the senders' clocks
/// as Chromium has them; nothing where it does not play them in sync.
const PLAYED: &str = "(async () => { const all = []; \
    while (all.length < 40) { \
        const { video, audio } = await probe.inbound(); \
        all.push(video.estimatedPlayoutTimestamp - audio.estimatedPlayoutTimestamp); \
        await new Promise((resolve) => setTimeout(resolve, 97)); \
    } return all; })()";

fn median(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// By how many ms the sound of each clap lies behind its picture, of somebody who is in a room of that
/// mode with a page.
async fn apart(mode: Mode) -> Vec<f64> {
    let server = TestServer::with(|config| config.mode = mode).await;
    let format = VideoFormat::sized(VideoCodec::Vp8, 320, 180);
    let mut clapper = BotConfig::new(&server.url, room("sync"), "Clapper").decoding(Decode::No);
    clapper.video = VideoSource::Clap { format };
    clapper.audio = AudioSource::Clap;
    clapper.capture = Capture::Ignore;
    let clapper = Bot::join(clapper).await.unwrap();

    let page = Page::chromium("Listener").await;
    page.join(&server.url, "sync").await;
    let comes = "(async () => { if (!tessera.pc) return false; const { video, audio } = await probe.inbound(); \
                 return video.framesDecoded > 30 && audio.totalAudioEnergy > 0; })()";
    page.until("picture and sound", comes).await;
    tokio::time::sleep(SETTLES).await;
    let length = RECORDED.as_millis().to_string();
    let recorded = page.evaluate(&RECORD.replace("LENGTH", &length)).await;
    let played: Vec<Option<f64>> = serde_json::from_value(page.evaluate(PLAYED).await).unwrap();
    let played: Option<Vec<f64>> = played.into_iter().collect();
    let played = median(&played.expect("sound and picture are of one stream"));
    println!("{mode:?}: sound is played {played:.0} ms after its picture");
    assert!(played.abs() < bars::apart(20.0), "{played} ms");
    page.assert_no_errors();
    clapper.leave().await.unwrap();
    server.stop().await;

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("seen.webm");
    let bytes = gst::glib::base64_decode(recorded.as_str().unwrap());
    std::fs::write(&file, bytes).unwrap();
    let offsets = offsets(&flashes(&file), &claps(&file));
    println!("{mode:?}: sound after picture by {offsets:.0?} ms");
    // There is one each two seconds.
    let claps = usize::try_from(RECORDED.as_secs()).unwrap() / 2;
    assert!(offsets.len() > claps / 2, "{offsets:?}");
    offsets
}

/// What Chromium records is not quite when it plays it, so what is forwarded is compared with a mix.
#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_clap_that_is_forwarded_is_heard_when_it_is_seen() {
    let _alone = alone().await;
    let mixed = median(&apart(Mode::Mcu).await);
    let forwarded = median(&apart(Mode::Sfu).await);
    println!("sound after picture by {mixed:.0} ms mixed, {forwarded:.0} ms forwarded");
    assert!(
        (forwarded - mixed).abs() < bars::apart(20.0),
        "{forwarded} ms"
    );
}
