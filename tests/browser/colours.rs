//! Colours, which look the same whatever codec they come in.

use std::time::Duration;

use tessera::bots::observe::palette;
use tessera::bots::{Bot, BotConfig, VideoFormat};
use tessera::codec::VideoCodec;

use crate::common::browser::{Page, alone};
use crate::common::server::{TestServer, room};
use crate::room::id_of;

/// Sends a canvas in [`palette::color`] of 1 instead of the camera.
const SEND_GREEN: &str = "(async () => { \
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 }); \
    const context = canvas.getContext('2d'); \
    setInterval(() => { \
        context.fillStyle = 'rgb(0 240 0)'; \
        context.fillRect(0, 0, canvas.width, canvas.height); \
    }, 33); \
    const [track] = canvas.captureStream(30).getVideoTracks(); \
    await tessera.pc.getSenders()[1].replaceTrack(track); })()";

/// The largest mean difference of a colour from what was sent, and of what two codecs make of
/// it, of 255. A wrong matrix makes 8 to 14 of these.
const SAME: f64 = 4.0;

/// The mean difference of two colours, of 255.
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let off = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    off.sum::<f64>() / 3.0
}

/// What Chromium shows of saturated colours that come from a bot and from a page, by name, where
/// a server takes and gives `codecs`, and the composite comes as `expected`.
async fn shown(codecs: &[VideoCodec], expected: &str) -> Vec<Vec<f64>> {
    let server = TestServer::with(|config| config.codecs = codecs.to_vec()).await;
    let format = VideoFormat::new(if codecs.contains(&VideoCodec::Vp8) {
        VideoCodec::Vp8
    } else {
        VideoCodec::H264
    });
    let bots = [0, 3].map(|i| {
        let config = BotConfig::new(&server.url, room("colours"), format!("Bot {i}"));
        Bot::join(config.person(i, format))
    });
    let _bots = futures::future::try_join_all(bots).await.unwrap();
    let page = Page::chromium("Ann").await;
    page.join(&server.url, "colours").await;
    page.pictured().await;
    let live =
        "probe.state().room.participants.filter((one) => one.camera === 'live').length === 3";
    page.until("three cameras", live).await;
    let codec = "tessera.pc.getStats().then((all) => all.get( \
        [...all.values()].find((one) => one.kind === 'video' && one.framesDecoded).codecId).mimeType)";
    assert_eq!(page.evaluate(codec).await, expected);
    page.evaluate(SEND_GREEN).await;
    let own = id_of(&page, "Ann").await;
    let green = format!(
        "await probe.watch(400).then((seen) => seen.colors['{own}']) \
         .then(([r, g, b]) => r < 40 && g > 200 && b < 40)"
    );
    page.until("the canvas", &green).await;
    let seen = page.watch(Duration::from_secs(2)).await;
    page.assert_no_errors();
    let mut colors = Vec::new();
    for (name, i) in [("Bot 0", 0), ("Bot 3", 3), ("Ann", 1)] {
        let color: Vec<f64> =
            serde_json::from_value(seen["colors"][id_of(&page, name).await].clone()).unwrap();
        let off = distance(&color, &palette::color(i).map(f64::from));
        println!("{codecs:?}: {name} is {color:.0?}, off by {off:.1}");
        assert!(off <= SAME, "{codecs:?}: {name} is {color:.0?}");
        colors.push(color);
    }
    server.stop().await;
    colors
}

/// H.264 that does not say what its samples are is shown as BT.709 by Chromium, VP8 as BT.601;
/// and what a page draws it sends in BT.709 and full range, and says so.
#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_colour_looks_the_same_in_every_codec() {
    use VideoCodec::{H264, Vp8};
    let _alone = alone().await;
    let vp8 = shown(&[Vp8], "video/VP8").await;
    for codecs in [&[H264, Vp8][..], &[H264]] {
        let h264 = shown(codecs, "video/H264").await;
        for (one, other) in vp8.iter().zip(&h264) {
            assert!(distance(one, other) <= SAME, "{vp8:.0?} and {h264:.0?}");
        }
    }
}
