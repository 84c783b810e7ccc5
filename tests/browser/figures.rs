//! What browsers themselves count of what they are sent: nothing is lost on a line that loses nothing,
//! nothing comes too late, and next to nothing is made up.

use std::time::Duration;

use serde::Deserialize;
use tessera::bots::{Bot, BotConfig, Decode, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::topology::Mode;

use crate::common::bars;
use crate::common::browser::{Page, alone};
use crate::common::server::{TestServer, room};

/// How long it is counted, and how long before that a page is left alone.
const COUNTED: Duration = Duration::from_secs(10);
const SETTLES: Duration = Duration::from_secs(6);

/// The counters of the stream of each kind that has had the most packets (W3C webrtc-stats).
const COUNTERS: &str = "(async () => { const { video, audio } = await probe.inbound(); \
    const of = (stats, name) => stats[name] ?? 0; \
    return { picture: of(video, 'packetsReceived'), lost: of(video, 'packetsLost'), \
        discarded: of(video, 'packetsDiscarded'), frames: of(video, 'framesDecoded'), \
        freezes: of(video, 'freezeCount'), sound: of(audio, 'packetsReceived'), \
        sound_lost: of(audio, 'packetsLost'), sound_discarded: of(audio, 'packetsDiscarded'), \
        samples: of(audio, 'totalSamplesReceived'), concealed: of(audio, 'concealedSamples') }; })()";

#[derive(Debug, Clone, Copy, Deserialize)]
struct Counters {
    picture: f64,
    lost: f64,
    discarded: f64,
    frames: f64,
    freezes: f64,
    sound: f64,
    sound_lost: f64,
    sound_discarded: f64,
    samples: f64,
    concealed: f64,
}

impl Counters {
    async fn of(page: &Page) -> Self {
        serde_json::from_value(page.evaluate(COUNTERS).await).unwrap()
    }

    /// What came after `before`.
    fn since(self, before: Self) -> Self {
        Self {
            picture: self.picture - before.picture,
            lost: self.lost - before.lost,
            discarded: self.discarded - before.discarded,
            frames: self.frames - before.frames,
            freezes: self.freezes - before.freezes,
            sound: self.sound - before.sound,
            sound_lost: self.sound_lost - before.sound_lost,
            sound_discarded: self.sound_discarded - before.sound_discarded,
            samples: self.samples - before.samples,
            concealed: self.concealed - before.concealed,
        }
    }
}

/// Two people who talk and move, and a page that watches them.
async fn counts(page: Page, mode: Mode) {
    let server = TestServer::with(|config| config.mode = mode).await;
    let format = VideoFormat::sized(VideoCodec::Vp8, 640, 360);
    let mut bots = Vec::new();
    for i in 0..2 {
        let config = BotConfig::new(&server.url, room("figures"), format!("Bot {i}"));
        let config = config.person(i, format).decoding(Decode::No);
        bots.push(Bot::join(config).await.unwrap());
    }
    page.join(&server.url, "figures").await;
    let comes = "(async () => { if (!tessera.pc) return false; const { video, audio } = await probe.inbound(); \
                 return video.framesDecoded > 30 && audio.packetsReceived > 30; })()";
    page.until("picture and sound", comes).await;
    tokio::time::sleep(SETTLES).await;
    let before = Counters::of(&page).await;
    tokio::time::sleep(COUNTED).await;
    let counted = Counters::of(&page).await.since(before);
    println!("{mode:?}: {counted:?}");
    for bot in bots {
        bot.leave().await.unwrap();
    }
    server.stop().await;

    assert!(counted.picture > 0.0 && counted.sound > 0.0, "{counted:?}");
    // On a busy machine a socket's buffer may overflow, and a page may come late.
    let percent = bars::apart(1.0) / 100.0;
    let lost = counted.lost + counted.discarded;
    assert!(lost <= counted.picture * percent, "{counted:?}");
    let lost = counted.sound_lost + counted.sound_discarded;
    assert!(lost <= counted.sound * percent, "{counted:?}");
    let made_up = bars::apart(3.0) / 100.0;
    assert!(
        counted.concealed <= counted.samples * made_up,
        "{counted:?}"
    );
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn chromium_misses_nothing_of_a_mix() {
    let _alone = alone().await;
    counts(Page::chromium("Counter").await, Mode::Mcu).await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn chromium_misses_nothing_of_what_is_forwarded() {
    let _alone = alone().await;
    counts(Page::chromium("Counter").await, Mode::Sfu).await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn firefox_misses_nothing_of_a_mix() {
    let _alone = alone().await;
    counts(Page::firefox("Counter").await, Mode::Mcu).await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn firefox_misses_nothing_of_what_is_forwarded() {
    let _alone = alone().await;
    counts(Page::firefox("Counter").await, Mode::Sfu).await;
}
