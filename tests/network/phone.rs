//! A call on a weak line that loses packets besides, as a real browser has it.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use serde_json::Value;
use tessera::bots::{AudioSource, Bot, BotConfig, VideoFormat, VideoSource, Voice};
use tessera::codec::VideoCodec;

use crate::common::browser::{Page, Permission, alone};
use crate::common::netns::{Network, Way};
use crate::common::server::room;

/// What the line carries, both ways, kbit/s.
const KBIT: u32 = 150;
/// Of packets, both ways, percent.
const LOSS: u32 = 5;
/// In which the page is to have what fits.
const SETTLES: Duration = Duration::from_secs(10);
/// How long it is watched there.
const WATCHED: Duration = Duration::from_secs(10);
/// In which it is to have the whole composite again.
const RECOVERS: Duration = Duration::from_secs(30);
/// The longest pause in its picture, ms. How much more than now a line would carry is found out by
/// trying, and where packets are lost besides that may cost a second.
const FREEZE: f64 = 2500.0;
/// The most of its sound that is concealed, percent.
const CONCEALED: f64 = 15.0;
/// The least frames a second: two thirds of those of the smallest picture.
const SLOWEST: f64 = 10.0;

/// What the page receives: sums since it joined, and the size of the picture.
const FIGURES: &str = "(async () => {
  const all = [...((await window.tessera.pc?.getStats())?.values() ?? [])].filter((s) => s.type === 'inbound-rtp');
  const sum = (kind, name) => all.filter((s) => s.kind === kind).reduce((total, s) => total + (s[name] ?? 0), 0);
  return {
    height: document.getElementById('video').videoHeight,
    bytes: sum('video', 'bytesReceived') + sum('audio', 'bytesReceived'),
    frames: sum('video', 'framesDecoded'),
    lost: sum('audio', 'packetsLost'),
    packets: sum('audio', 'packetsReceived'),
    concealed: sum('audio', 'concealedSamples'),
    silent: sum('audio', 'silentConcealedSamples'),
    samples: sum('audio', 'totalSamplesReceived'),
  };
})()";

/// Two people in 720p who speak by turns, and a page on a phone with a weak line: it has a moving picture
/// that fits, hears them, and gets the whole when the line is good.
#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_phone_on_a_weak_line_has_a_call() {
    let _alone = alone().await;
    let network = Network::new(2);
    let (line, others) = (network.line(0), network.line(1));
    let server = network.serve(&["--mode", "mcu"]).await;
    let joins = [Voice::Ada, Voice::Ben]
        .into_iter()
        .enumerate()
        .map(|(i, voice)| {
            let mut config =
                BotConfig::new(server.url(others), room("phone"), format!("{voice:?}"));
            config.interface = others.interface();
            config.video = VideoSource::Film {
                format: VideoFormat::sized(VideoCodec::Vp8, 1280, 720),
                offset: Duration::from_secs(2 * i as u64),
            };
            config.audio = AudioSource::Speech(voice);
            Bot::join(config)
        });
    let bots = try_join_all(joins).await.unwrap();
    let url = server.url(line);
    let page = Page::chromium_with("Ann", Permission::GrantedTo(url.clone())).await;
    page.resize(390, 844).await;
    page.join(&url, "phone").await;
    let whole = format!("(await {FIGURES}).height === 720");
    page.until("the whole composite", &whole).await;

    for way in [Way::Up, Way::Down] {
        line.limit(way, KBIT);
        line.lose(way, LOSS);
    }
    let start = page.evaluate(FIGURES).await;
    let first = page.watch(SETTLES).await;
    let before = page.evaluate(FIGURES).await;
    println!(
        "at first: {} ms without a frame; {start}, {before}",
        first["longestGap"]
    );
    let seen = page.watch(WATCHED).await;
    let after = page.evaluate(FIGURES).await;
    let figure = |of: &Value, name: &str| of[name].as_f64().unwrap();
    let more = |name: &str| figure(&after, name) - figure(&before, name);
    let gap = figure(&seen, "longestGap");
    let fps = figure(&seen, "framesPerSecond");
    let concealed = 100.0 * (more("concealed") - more("silent")) / more("samples");
    println!(
        "{KBIT} kbit/s, {LOSS} % lost: {} lines, {fps:.1} frames/s, {:.0} kbit/s, {gap:.0} ms without a frame \
         at most, {} of {} packets of sound lost, {concealed:.1} % concealed",
        after["height"],
        more("bytes") / WATCHED.as_secs_f64() / 125.0,
        more("lost"),
        more("lost") + more("packets"),
    );
    page.screenshot("phone-weak").await;
    line.clear();
    page.until_within("the whole composite again", &whole, RECOVERS)
        .await;

    assert!(figure(&after, "height") < 720.0, "it is sent the whole");
    assert!(gap < FREEZE, "it freezes for {gap} ms");
    assert!(fps >= SLOWEST, "{fps} frames a second");
    assert!(concealed < CONCEALED, "{concealed} % concealed");
    assert!(figure(&seen, "audioEnergy") > 0.0, "it hears nothing");
    page.assert_no_errors();
    join_all(bots.into_iter().map(Bot::leave)).await;
    drop(page);
    server.stop().await;
}
