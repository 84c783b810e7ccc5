//! Browsers that publish over WHIP, whom no message of the server reaches.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tessera::bots::{Bot, BotConfig, VideoFormat};
use tessera::codec::VideoCodec;

use crate::common::browser::{Page, alone};
use crate::common::server::{TestServer, room};

/// How long an encoder may take to follow.
const DEADLINE: Duration = Duration::from_secs(60);

/// Publishes camera and microphone. Gives what the answer says of REMB.
const PUBLISH: &str = "probe.publish('bound', { video: { width: 640, height: 360, frameRate: 30 } }) \
    .then(({ answer }) => answer.match(/^a=rtcp-fb:.*goog-remb/gm)?.length ?? 0)";

/// What the browser says of what it may send, and does, bit/s.
const SENDING: &str = "(async () => { \
    const stats = [...(await publishing.getStats()).values()]; \
    const pair = stats.find((one) => one.type === 'candidate-pair' && one.nominated); \
    const video = stats.find((one) => one.type === 'outbound-rtp' && one.kind === 'video'); \
    return { available: pair?.availableOutgoingBitrate ?? 0, target: video?.targetBitrate ?? 0, \
        height: video?.frameHeight ?? 0 }; })()";

/// Waits until it may send between `least` and `most` bit/s, and encodes within that.
async fn settles(page: &Page, least: u32, most: u32) {
    let within = format!(
        "(async () => {{ const now = await {SENDING}; \
         return now.available >= {least} && now.available <= {most} && now.target > 0 \
             && now.target <= {most} ? now : null; }})()"
    );
    let what = format!("a bound from {least} to {most}");
    let now = page.until_within(&what, &within, DEADLINE).await;
    println!("{what}: {now}");
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_browser_that_publishes_over_whip_sends_what_its_tile_needs() {
    let _alone = alone().await;
    let server = TestServer::with(|config| {
        config.canvas.width = 640;
        config.canvas.height = 360;
    })
    .await;
    let page = Page::chromium("Ann").await;
    page.open(&server.url).await;
    assert_eq!(page.evaluate(PUBLISH).await, 1, "the answer keeps it");
    // The whole canvas: 640 * 360 * 30 / 10, and 64 kbit/s for sound.
    settles(&page, 700_000, 756_000).await;

    // A third of it in each direction, which is asked for with no less than 80 kbit/s.
    let format = VideoFormat {
        fps: 15,
        ..VideoFormat::sized(VideoCodec::Vp8, 160, 90)
    };
    let joins = (0..8).map(|i| {
        let config = BotConfig::new(&server.url, room("bound"), format!("Bot {i}"));
        Bot::join(config.person(i, format))
    });
    let bots = try_join_all(joins).await.unwrap();
    settles(&page, 100_000, 145_000).await;

    // And all of it again.
    join_all(bots.into_iter().map(Bot::leave)).await;
    settles(&page, 500_000, 756_000).await;
    server.stop().await;
}
