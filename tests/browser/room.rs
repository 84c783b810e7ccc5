//! A room as people see it: Chromium and Firefox pages in front of a real server.

use std::time::{Duration, Instant};

use serde_json::Value;
use tessera::bots::observe::palette;
use tessera::bots::{Bot, BotConfig, Decode, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::id::Role;
use tessera::protocol::room::UplinkState;
use tessera::room::{Muter, Request};

use crate::common::bars::{at_least, at_most};
use crate::common::browser::{Page, Permission, alone, key};
use crate::common::look::COLOR_ERROR;
use crate::common::server::{TestServer, room};

/// Longer than any frame may be missing.
const LONGEST_GAP: Duration = Duration::from_secs(1);
/// Slower than any picture may be.
const FRAMES_A_SECOND: f64 = 15.0;

/// The first of the palette, which [`assert_color`] looks for.
async fn bot(server: &TestServer, room_name: &str, name: &str) -> Bot {
    person(0, server, room_name, name).await
}

/// A bot with a colour and a tone, which decodes what it sees.
pub(crate) async fn person(number: usize, server: &TestServer, room_name: &str, name: &str) -> Bot {
    let format = VideoFormat::new(VideoCodec::Vp8);
    let config = BotConfig::new(&server.url, room(room_name), name)
        .person(number, format)
        .decoding(Decode::Video);
    Bot::join(config).await.unwrap()
}

/// The id of the person of that name, as a page sees the room.
pub(crate) async fn id_of(page: &Page, name: &str) -> String {
    let id = page
        .until(name, &format!("probe.person('{name}')?.id"))
        .await;
    id.as_str().unwrap().to_owned()
}

fn number(seen: &Value, key: &str) -> f64 {
    seen[key]
        .as_f64()
        .unwrap_or_else(|| panic!("no {key} in {seen}"))
}

/// Asserts what everybody who watches must see: a picture that flows, and sound.
#[track_caller]
fn assert_flows(who: &str, seen: &Value) {
    let fps = number(seen, "framesPerSecond");
    assert!(
        fps >= at_least(FRAMES_A_SECOND),
        "{who}: {fps:.1} frames per second: {seen}"
    );
    let gap = Duration::from_secs_f64(number(seen, "longestGap") / 1000.0);
    assert!(
        gap < at_most(LONGEST_GAP),
        "{who}: no frame for {gap:?}: {seen}"
    );
    let energy = number(seen, "audioEnergy");
    assert!(energy > 0.001, "{who} hears nothing: {seen}");
}

/// Asserts that a tile of the colour of bot 0 stands where it must.
#[track_caller]
fn assert_color(who: &str, seen: &Value, bot: &str) {
    let color = seen["colors"][bot].as_array().expect("the bot's tile");
    let off = color.iter().zip(palette::color(0));
    let off: f64 = off
        .map(|(c, want)| (c.as_f64().unwrap() - f64::from(want)).abs())
        .sum();
    assert!(
        off / 3.0 < COLOR_ERROR,
        "{who}: the bot is {color:?}: {seen}"
    );
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn two_chromium_pages_a_firefox_page_and_a_bot_see_and_hear_each_other() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let bot = bot(&server, "meet", "Bot").await;
    let (ann, ben, fay) = tokio::join!(
        Page::chromium("Ann"),
        Page::chromium("Ben"),
        Page::firefox("Fay"),
    );
    let pages = [("Ann", &ann), ("Ben", &ben), ("Fay", &fay)];
    for (_, page) in pages {
        page.join(&server.url, "meet").await;
    }
    for (_, page) in pages {
        page.pictured().await;
        let all_live = "probe.state().room?.tiles.length === 4 \
            && probe.state().room.participants.every((one) => one.camera === 'live' && one.mic === 'live')";
        page.until("everybody's camera and microphone", all_live)
            .await;
    }
    let bot_id = id_of(&ann, "Bot").await;
    let length = Duration::from_secs(5);
    let seen = tokio::join!(ann.watch(length), ben.watch(length), fay.watch(length));
    for ((who, page), seen) in pages.iter().zip([seen.0, seen.1, seen.2]) {
        println!("{who}: {seen}");
        assert_flows(who, &seen);
        assert_color(who, &seen, &bot_id);
        for other in ["Ann", "Ben", "Fay"] {
            let id = id_of(page, other).await;
            let moved = number(&seen["moved"], &id);
            assert!(moved > 0.2, "{who}: {other}'s tile stands still: {seen}");
        }
        page.screenshot(&format!("{who}-desktop")).await;
        page.assert_no_errors();
    }
    drop(bot);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn the_keyboard_does_everything() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let bot = bot(&server, "keys", "Bot").await;
    let page = Page::chromium("Ann").await;
    page.open(&format!("{}/r/keys", server.url)).await;
    page.until(
        "the preview",
        "document.getElementById('preview').videoWidth",
    )
    .await;
    let focused = |id: &str| format!("document.activeElement?.id === '{id}'");
    page.until("the name", &focused("name")).await;
    page.press_with(key::SHIFT, key::TAB).await;
    page.until("what is before the name", &focused("choose-mic"))
        .await;
    page.press([key::TAB]).await;
    page.until("the name again", &focused("name")).await;
    page.press("Ann".chars().chain([key::ENTER])).await;
    page.pictured().await;

    let ann = |room: &tessera::protocol::room::RoomState| {
        room.participants
            .iter()
            .find(|one| one.name == "Ann")
            .cloned()
    };
    let when = async |what: &'static str, role: Role, state: UplinkState| {
        bot.room_when(what, |room| {
            ann(room).is_some_and(|one| match role {
                Role::Mic => one.mic == state,
                _ => one.camera == state,
            })
        })
        .await
        .unwrap()
    };
    when("the camera live", Role::Camera, UplinkState::Live).await;
    when("the microphone live", Role::Mic, UplinkState::Live).await;
    page.press(['m']).await;
    when("the microphone muted", Role::Mic, UplinkState::Muted).await;
    page.press(['m']).await;
    when("the microphone live again", Role::Mic, UplinkState::Live).await;

    let id = id_of(&page, "Ann").await;
    page.press(['v']).await;
    let off = when("the camera muted", Role::Camera, UplinkState::Muted).await;
    assert_eq!(off.tiles.len(), 2, "who is muted keeps the tile: {off:?}");
    page.until("a card in place of the picture", &stands_still(&id))
        .await;
    page.press(['v']).await;
    when("the camera live again", Role::Camera, UplinkState::Live).await;
    page.until("the picture again", &format!("!({})", stands_still(&id)))
        .await;
    page.assert_no_errors();
    server.stop().await;
}

/// How many frames of its camera a page has sent.
const ENCODED: &str = "tessera.pc.getSenders()[1].getStats() \
    .then((all) => [...all.values()].reduce((sum, one) => sum + (one.framesEncoded ?? 0), 0))";

/// Whether nothing moves for a second in the tile of `id`.
fn stands_still(id: &str) -> String {
    format!("await probe.watch(1000).then((seen) => seen.moved['{id}'] < 0.1)")
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn devices_change_in_the_call_and_an_operators_mute_is_shown() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let page = Page::chromium("Ann").await;
    page.join(&server.url, "tools").await;
    page.pictured().await;
    let live = "probe.person('Ann').mic === 'live' && probe.person('Ann').camera === 'live'";
    page.until("her microphone and camera", live).await;

    page.press(['s']).await;
    page.until(
        "the lists",
        "document.getElementById('settings-camera').length >= 5",
    )
    .await;
    page.evaluate(
        "void (globalThis.before = { pc: tessera.pc, sdp: tessera.pc.remoteDescription.sdp })",
    )
    .await;
    for (list, kind) in [("settings-camera", "video"), ("settings-mic", "audio")] {
        let choose = format!(
            "(() => {{ const list = document.getElementById('{list}'); list.selectedIndex = list.length - 2; \
             list.dispatchEvent(new Event('change')); return list.selectedOptions[0].text; }})()"
        );
        let label = page.evaluate(&choose).await;
        let sent = format!(
            "tessera.pc.getSenders().some(({{ track }}) => track?.kind === '{kind}' \
             && track.label === {label} && track.readyState === 'live')"
        );
        page.until("the other device", &sent).await;
    }
    let same = "tessera.pc === before.pc && tessera.pc.remoteDescription.sdp === before.sdp";
    assert_eq!(page.evaluate(same).await, true, "nothing is renegotiated");
    let encoded = page.evaluate(ENCODED).await;
    page.until(
        "the new picture sent",
        &format!("await {ENCODED} > {encoded} + 20"),
    )
    .await;
    page.until("it is still live", live).await;
    let id = id_of(&page, "Ann").await;
    let moves = format!("!({})", stands_still(&id));
    page.until("the new picture", &moves).await;

    let handle = server.registry.get(&room("tools")).unwrap();
    let who = handle.state().participants[0].id;
    let label = "document.getElementById('toggle-mic').title";
    for (muted, words) in [(true, "by an operator"), (false, "Mute (M)")] {
        handle
            .ask(Request::Mute {
                who,
                role: Role::Mic,
                by: Muter::Operator,
                muted,
            })
            .await
            .unwrap();
        page.until(words, &format!("{label}.includes('{words}')"))
            .await;
    }
    page.assert_no_errors();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_browser_that_is_killed_takes_nothing_from_the_others() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let bot = bot(&server, "crash", "Bot").await;
    let (ann, ben) = tokio::join!(Page::chromium("Ann"), Page::chromium("Ben"));
    for page in [&ann, &ben] {
        page.join(&server.url, "crash").await;
    }
    for page in [&ann, &ben] {
        page.pictured().await;
        page.until("three tiles", "probe.state().room.tiles.length === 3")
            .await;
    }
    ben.evaluate("void (window.shut = probe.watchFrames())")
        .await;
    bot.reset_stats();
    let killed = Instant::now();
    ann.kill();
    let deadline = at_most(Duration::from_secs(5));
    let gone = "probe.state().room.tiles.length === 2 && !probe.person('Ann')";
    ben.until_within("Ann's tile to go", gone, deadline).await;
    println!("gone after {:?}", killed.elapsed());
    // What follows the leave, a rearrangement of the picture, is watched too.
    let seen = ben.watch(Duration::from_secs(3)).await;
    assert_flows("Ben", &seen);
    let gap = ben.evaluate("window.shut()").await.as_f64().unwrap();
    let gap = Duration::from_secs_f64(gap / 1000.0);
    assert!(gap < at_most(LONGEST_GAP), "Ben: no frame for {gap:?}");
    let stats = bot.stats();
    let video = stats.received.iter().find(|one| one.role == Role::MixVideo);
    let video = video.expect("the mix");
    assert!(video.decoded > 10, "{video:?}");
    assert!(video.longest_gap < at_most(LONGEST_GAP), "{video:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_page_comes_back_by_itself_when_the_server_does() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let address = server.url.trim_start_matches("http://").parse().unwrap();
    let page = Page::chromium("Ann").await;
    page.join(&server.url, "back").await;
    page.pictured().await;
    page.until("the camera", "probe.person('Ann')?.camera === 'live'")
        .await;
    server.stop().await;
    page.until(
        "its notice",
        "probe.state().phase === 'reconnecting' && probe.shown('reconnecting')",
    )
    .await;
    let words = page.evaluate("probe.text('reconnecting')").await;
    assert!(
        words.as_str().unwrap().starts_with("Reconnecting"),
        "{words}"
    );
    page.screenshot("reconnecting").await;

    let server = TestServer::with(|config| config.listen = address).await;
    page.until("its return", "probe.state().phase === 'in-call'")
        .await;
    page.pictured().await;
    let seen = page.watch(Duration::from_secs(2)).await;
    let fps = number(&seen, "framesPerSecond");
    assert!(fps >= at_least(FRAMES_A_SECOND), "{seen}");
    page.until(
        "the cover gone",
        "!probe.shown('reconnecting') && !probe.shown('still')",
    )
    .await;
    page.screenshot("returned").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_full_room_is_said_in_words() {
    let _alone = alone().await;
    let server = TestServer::with(|config| config.max_participants = 1).await;
    let _bot = bot(&server, "full", "Bot").await;
    let page = Page::chromium("Ann").await;
    page.join(&server.url, "full").await;
    let notice = page.until("a notice", "probe.text('join-notice')").await;
    assert!(
        notice.as_str().unwrap().contains("room is full"),
        "{notice}"
    );
    page.screenshot("room-full").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn who_refuses_the_camera_listens_and_is_told_so() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let _bot = bot(&server, "shy", "Bot").await;
    let page = Page::chromium_with("Ann", Permission::Refused).await;
    page.join(&server.url, "shy").await;
    let words = page.until("a notice", "probe.text('toasts')").await;
    assert!(words.as_str().unwrap().contains("blocked"), "{words}");
    page.screenshot("camera-refused").await;
    page.pictured().await;
    let seen = page.watch(Duration::from_secs(2)).await;
    assert_flows("Ann", &seen);
    let ann = page.evaluate("probe.person('Ann')").await;
    assert_eq!(
        (&ann["camera"], &ann["mic"]),
        (&"none".into(), &"none".into())
    );
    page.press(['v']).await;
    page.until(
        "the advice again",
        "probe.text('toasts').includes('camera is blocked')",
    )
    .await;
    server.stop().await;
}

/// Publishes camera and microphone over WHIP, the camera in two sizes with names of their own
/// (RFC 8853): then the offer says of no SSRC which m-line it is of.
const PUBLISH_TWO_SIZES: &str = "(async () => { \
    const sendEncodings = [{ rid: 'small', scaleResolutionDownBy: 2 }, { rid: 'large' }]; \
    const { offer } = await probe.publish('sizes', { sendEncodings }); \
    const video = offer.slice(offer.indexOf('m=video')); \
    return { simulcast: video.includes('a=simulcast:send'), announced: video.includes('a=ssrc:') }; })()";

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn who_publishes_a_camera_in_several_sizes_is_seen() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let bot = bot(&server, "sizes", "Bot").await;
    let (ann, fay) = tokio::join!(Page::chromium("Ann"), Page::firefox("Fay"));
    for page in [&ann, &fay] {
        page.open(&server.url).await;
        let offered = page.evaluate(PUBLISH_TWO_SIZES).await;
        println!("{offered}");
        assert_eq!(offered["simulcast"], true, "{offered}");
    }
    bot.room_when("both publishers to be heard of and seen", |state| {
        let live = |state: &UplinkState| *state == UplinkState::Live;
        let all = &state.participants;
        all.len() == 3 && all.iter().all(|one| live(&one.camera) && live(&one.mic))
    })
    .await
    .unwrap();
    drop(bot);
    server.stop().await;
}
