//! Cameras of browsers in several encodings at once: who gets which, what is sent, and what
//! becomes of offers that make no sense.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde_json::Value;
use tessera::bots::{Bot, BotConfig, Decode, StreamStats, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::protocol::{ClientMessage, PictureSize};
use tessera::topology::Mode;

use crate::common::bars::at_most;
use crate::common::browser::{Page, alone};
use crate::common::server::{TestServer, room};

/// How long a browser may take to send another encoding, and a viewer to get it.
const DEADLINE: Duration = Duration::from_secs(60);

/// How large three viewers draw, and what they are to get of a camera of 1280 by 720.
const DRAWN: [(u32, (u32, u32)); 3] = [(720, (1280, 720)), (340, (640, 360)), (150, (320, 180))];

async fn viewer(server: &TestServer, name: &str) -> Bot {
    let config = BotConfig::new(&server.url, room("sizes"), name);
    Bot::join(config.with_slots(4).decoding(Decode::Video))
        .await
        .unwrap()
}

fn draws(bot: &Bot, who: ParticipantId, height: u32) {
    let picture = PictureSize {
        participant: who,
        role: Role::Camera,
        height,
    };
    let pictures = vec![picture];
    bot.send(ClientMessage::Sizes { pictures }).unwrap();
}

/// What a bot gets forwarded of somebody's camera.
fn forwarded(bot: &Bot, who: ParticipantId) -> Option<StreamStats> {
    let mut received = bot.stats().received.into_iter();
    received.find(|one| one.role == Role::ForwardVideo && one.from == Some(who))
}

fn size(bot: &Bot, who: ParticipantId) -> Option<(u32, u32)> {
    let size = forwarded(bot, who)?.size?;
    Some((size.width, size.height))
}

/// Waits for what can only be asked for again and again.
async fn until(what: &str, mut seen: impl FnMut() -> Result<(), String>) {
    let began = Instant::now();
    loop {
        match seen() {
            Ok(()) => break println!("{what} after {:?}", began.elapsed()),
            Err(why) => assert!(began.elapsed() < DEADLINE, "{what}: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The rids of a page's camera of which packets were sent within a second, and the sizes.
const SENDING: &str = "(async () => { \
    const all = async () => [...(await tessera.pc.getStats()).values()].filter((one) => one.type === 'outbound-rtp' && one.rid); \
    const before = new Map((await all()).map((one) => [one.rid, one.packetsSent])); \
    await probe.pause(1000); \
    return (await all()).filter((one) => one.packetsSent > (before.get(one.rid) ?? 0)) \
        .map((one) => `${one.rid} ${one.frameWidth}x${one.frameHeight}`).sort().join(', '); })()";

async fn id_of(page: &Page, name: &str) -> ParticipantId {
    let id = page
        .until(name, &format!("probe.person('{name}')?.id"))
        .await;
    id.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn each_viewer_gets_the_size_that_fits_them_and_no_other_is_sent() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let names = ["Large", "Medium", "Small"];
    let viewers = names.map(|name| viewer(&server, name));
    let mut viewers = futures::future::join_all(viewers).await;
    viewers[0].set_mode(Mode::Sfu).unwrap();
    let ann = Page::chromium("Ann").await;
    ann.join(&server.url, "sizes").await;
    let who = id_of(&ann, "Ann").await;

    // Nobody has said how large, so it is as large as the composite.
    until("a picture", || match size(&viewers[0], who) {
        Some((1280, 720)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let sending = ann.evaluate(SENDING).await;
    assert_eq!(sending, "f 1280x720", "all want the same");

    for (bot, (height, _)) in viewers.iter().zip(DRAWN) {
        draws(bot, who, height);
    }
    until("three sizes at once", || {
        let sizes: Vec<_> = viewers.iter().map(|bot| size(bot, who)).collect();
        let right = sizes
            .iter()
            .zip(DRAWN)
            .all(|(s, (_, fits))| *s == Some(fits));
        right.then_some(()).ok_or(format!("{sizes:?}"))
    })
    .await;
    assert_eq!(
        ann.evaluate(SENDING).await,
        "f 1280x720, h 640x360, q 320x180"
    );
    for bot in &viewers {
        let stream = forwarded(bot, who).unwrap();
        println!(
            "{}: no frame for {:?} at most",
            bot.name(),
            stream.longest_gap
        );
    }
    println!(
        "{}",
        server.get("/api/v1/rooms/sizes/stats").await["participants"]
    );

    // The one who wants the largest goes, and it with them.
    viewers.remove(0).leave().await.unwrap();
    let two = format!("await {SENDING} === 'h 640x360, q 320x180'");
    ann.until_within("two encodings", &two, DEADLINE).await;
    draws(&viewers[1], who, 720);
    until("the largest again", || match size(&viewers[1], who) {
        Some((1280, 720)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    viewers[0].set_mode(Mode::Mcu).unwrap();
    let one = format!("!(await {SENDING}).includes(',')");
    ann.until_within("one encoding", &one, DEADLINE).await;
    println!("mixed: {}", ann.evaluate(SENDING).await);
    ann.pictured().await;
    assert_eq!(ann.evaluate("probe.state().descriptions").await, 1);
    ann.assert_no_errors();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_firefox_page_is_seen_in_the_sizes_of_a_chromium_page_and_a_bot() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let bot = viewer(&server, "Bot").await;
    bot.set_mode(Mode::Sfu).unwrap();
    let (ann, fay) = tokio::join!(Page::chromium("Ann"), Page::firefox("Fay"));
    for page in [&ann, &fay] {
        page.join(&server.url, "sizes").await;
    }
    let who = id_of(&fay, "Fay").await;
    until("a picture", || {
        let seen = size(&bot, who);
        seen.map(drop).ok_or(format!("{:?}", bot.stats().received))
    })
    .await;
    draws(&bot, who, 100);
    // The page draws three tiles, in a window of 1280 by 800: 360 pixels each at most.
    let tile =
        "probe.state().playback.tiles.find((one) => one.participant === probe.person('Fay').id)";
    ann.until(
        "Fay's picture",
        &format!("{tile}?.source === 'forward' && {tile}.framesSeen > 10"),
    )
    .await;
    until("her smallest picture", || match size(&bot, who) {
        Some((_, height)) if height <= 180 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    // What comes first may be smaller: how much her link carries is found out upwards.
    ann.until_within(
        "a larger picture",
        &format!("{tile}?.height > 180"),
        DEADLINE,
    )
    .await;
    println!(
        "Chromium draws {}; Firefox sends {}",
        ann.evaluate(tile).await,
        fay.evaluate(SENDING).await
    );
    for page in [&ann, &fay] {
        page.assert_no_errors();
    }
    server.stop().await;
}

/// Offers a camera over WHIP whose encodings are described by `lines`, and gives the status, and
/// what the answer says of encodings.
fn offering(lines: &str) -> String {
    format!(
        "(async () => {{ \
    const media = await navigator.mediaDevices.getUserMedia({{ video: true }}); \
    const pc = new RTCPeerConnection({{ bundlePolicy: 'max-bundle' }}); \
    const sendEncodings = [{{ rid: 'a', scaleResolutionDownBy: 2 }}, {{ rid: 'b' }}]; \
    pc.addTransceiver(media.getVideoTracks()[0], {{ direction: 'sendonly', sendEncodings }}); \
    await pc.setLocalDescription(); \
    await probe.until(() => pc.iceGatheringState === 'complete', 10_000); \
    const honest = pc.localDescription.sdp; \
    const body = honest.replace(/^a=(rid|simulcast):.*\\r\\n/gm, '') + ({lines}); \
    const headers = {{ 'content-type': 'application/sdp' }}; \
    const answer = await fetch('/whip/odd', {{ method: 'POST', headers, body }}); \
    const said = (await answer.text()).match(/^a=(rid|simulcast):.*/gm) ?? []; \
    return `${{answer.status}} ${{said.map((line) => line.trim()).join(' ')}}`; }})()"
    )
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn offers_that_make_no_sense_are_answered_in_one_encoding_and_disturb_nobody() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let format = VideoFormat::sized(VideoCodec::Vp8, 320, 180);
    let next_door = (0..2).map(|i| {
        let config = BotConfig::new(&server.url, room("next-door"), format!("Bot {i}"));
        Bot::join(config.person(i, format).decoding(Decode::Video))
    });
    let next_door = try_join_all(next_door).await.unwrap();
    for bot in &next_door {
        bot.picture_when("a picture", |_| true).await.unwrap();
        bot.reset_stats();
    }
    let page = Page::chromium("Ann").await;
    page.open(&server.url).await;
    let taken = "201 a=rid:a recv a=rid:b recv a=simulcast:recv a;b";
    for (lines, expected) in [
        (
            r"'a=rid:a send\r\na=rid:b send\r\na=simulcast:send a;b\r\n'",
            taken,
        ),
        (
            r"[...Array(40)].map((_, i) => `a=rid:r${i} send\r\n`).join('') + `a=simulcast:send ${[...Array(40)].map((_, i) => `r${i}`).join(';')}\r\n`",
            "201 ",
        ),
        (
            r"'a=rid:a send\r\na=rid:a send\r\na=simulcast:send a;a\r\n'",
            "201 ",
        ),
        (
            r"`a=rid:a send\r\na=rid:${'x'.repeat(1000)} send\r\na=simulcast:send a;${'x'.repeat(1000)}\r\n`",
            "201 ",
        ),
        (r"'a=rid:\u0000 send\r\na=simulcast:send ~~;,;\r\n'", "201 "),
        (r"'a=simulcast:send a;b\r\n'", "201 "),
    ] {
        let said: Value = page.evaluate(&offering(lines)).await;
        assert_eq!(said, expected, "{lines}");
    }
    for bot in &next_door {
        let stats = bot.stats();
        let mix = stats.received.iter().find(|one| one.role == Role::MixVideo);
        let mix = mix.unwrap();
        assert!(
            mix.decoded > 0 && mix.longest_gap < at_most(Duration::from_secs(2)),
            "{mix:?}"
        );
    }
    server.stop().await;
}
