//! What pages look like in every size and colour.

use std::time::Duration;

use serde_json::Value;
use tessera::codec::Container;
use tessera::id::Role;
use tessera::protocol::ClientMessage;

use crate::common::browser::{Page, Scheme, alone, key};
use crate::common::recorded::record_for;
use crate::common::server::{TestServer, room};
use crate::record::{MEDIA, TAKE, bot, click, listed, recording};
use crate::room::person;

/// The elements that are wider than their place, so that one would have to scroll sideways.
const OVERFLOWING: &str = "[...document.querySelectorAll('html, #call, .panel, .panel *, .archive, .archive *, .watch, .watch *, .missing, .missing *, dialog[open], dialog[open] *')] \
    .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1 \
        && ['auto', 'scroll', 'visible'].includes(getComputedStyle(one).overflowX) \
        && getComputedStyle(one).display !== 'inline' && !(one instanceof SVGElement)) \
    .map((one) => `${one.tagName}#${one.id}.${one.className}`)";

/// Nothing is wider than its place.
async fn assert_fits(page: &Page, name: &str) {
    let wide = page.evaluate(OVERFLOWING).await;
    let width = page.evaluate("innerWidth").await;
    assert_eq!(wide, Value::Array(vec![]), "{name}, {width} wide");
}

async fn shots_sized(page: &Page, name: &str, width: u32, height: u32) {
    page.resize(width, height).await;
    for (scheme, colors) in [(Scheme::Dark, "dark"), (Scheme::Light, "light")] {
        page.prefer(scheme).await;
        page.screenshot(&format!("{name}-{colors}")).await;
    }
}

/// Screenshots at desktop and phone size, light and dark.
async fn shots(page: &Page, name: &str) {
    shots_sized(page, &format!("{name}-desktop"), 1280, 800).await;
    shots_sized(page, &format!("{name}-phone"), 390, 844).await;
}

/// The same, and nothing is wider than its place.
pub(crate) async fn neat_shots(page: &Page, name: &str) {
    shots_sized(page, &format!("{name}-desktop"), 1280, 800).await;
    assert_fits(page, name).await;
    shots_sized(page, &format!("{name}-phone"), 390, 844).await;
    assert_fits(page, name).await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn the_page_looks_right_in_every_size_and_colour() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let _bots = [
        person(2, &server, "look", "Ada Lovelace").await,
        person(5, &server, "look", "Ben").await,
    ];
    let page = Page::chromium("Ann").await;
    page.open(&format!("{}/r/look?name=Ann", server.url)).await;
    page.until(
        "the preview",
        "document.getElementById('preview').videoWidth",
    )
    .await;
    page.until("who is there", "probe.text('room-hint')").await;
    shots(&page, "join").await;
    page.evaluate("document.getElementById('join-button').click()")
        .await;
    page.pictured().await;
    page.until("figures", "probe.state().stats?.down").await;
    shots(&page, "call").await;
    for panel in ["people", "chat", "figures", "settings"] {
        page.evaluate(&format!(
            "document.getElementById('toggle-{panel}').click()"
        ))
        .await;
        shots(&page, panel).await;
        for (width, height) in [(1280, 720), (390, 844)] {
            page.resize(width, height).await;
            assert_fits(&page, panel).await;
        }
    }
    page.assert_no_errors();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn recording_looks_right_in_every_size_and_colour() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let token = "s3cret";
    let server = TestServer::with(|config| {
        recording(folder.path())(config);
        config.token = Some(token.into());
    })
    .await;
    let bot = bot(&server.url, "look", Some(token)).await;
    let archive = server.registry.archive().unwrap().clone();
    let handle = server.registry.get(&room("look")).unwrap();
    let begun = handle.record(&archive, Container::Ogg.into());
    begun.await.unwrap();
    let page = Page::chromium("Ann").await;
    page.open(&format!("{}/r/look?name=Ann#token={token}", server.url))
        .await;
    // Who comes in is told before and after.
    page.until(
        "a warning",
        "probe.text('room-hint') === 'Bot is here. The call is being recorded.'",
    )
    .await;
    page.until(
        "the preview",
        "document.getElementById('preview').videoWidth",
    )
    .await;
    neat_shots(&page, "join-recorded").await;
    click(&page, "#join-button").await;
    page.until(
        "the badge and the words",
        "probe.shown('recorded') && probe.text('toasts').includes('is being recorded')",
    )
    .await;
    page.pictured().await;
    click(&page, "#toggle-record").await;
    click(&page, "#record-list button").await;
    page.until("no badge", "!probe.shown('recorded')").await;
    neat_shots(&page, "record").await;
    click(&page, "#record-start").await;
    page.until("the badge", "probe.shown('recorded')").await;
    neat_shots(&page, "record-on").await;
    page.press([key::ESCAPE]).await;
    neat_shots(&page, "recorded").await;
    record_for(TAKE).await;
    page.press(['r']).await;
    click(&page, "#record-list button").await;
    page.until("no badge", "!probe.shown('recorded')").await;
    // The token came with the address of the call, and the tab keeps it.
    page.open(&format!("{}/recordings?room=look", server.url))
        .await;
    listed(&page, 2).await;
    click(&page, ".take__play").await;
    page.until("a picture", &format!("{MEDIA}.currentTime > 1"))
        .await;
    page.evaluate(&format!("{MEDIA}.pause()")).await;
    neat_shots(&page, "player").await;
    page.assert_no_errors();
    drop(bot);
    server.stop().await;
}

/// Where the frame of the picture is in the window, and the proportions of both.
const FRAME: &str = "(() => { const { x, y, width, height } = document.getElementById('frame').getBoundingClientRect(); \
    const { width: w, height: h } = tessera.state().room.canvas; \
    return Math.abs(width / height - w / h) < 0.01 && x > -1 && y > -1 \
        && x + width < innerWidth + 1 && y + height < innerHeight + 1 \
        && (innerWidth - width < 2 || innerHeight - height < 2); })()";

/// A screen that somebody shares is large by itself and says whose it is, whoever is muted has a mark; and
/// in full screen on 16:10 what is clicked is where the tiles are.
#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_shared_screen_is_large_and_full_screen_keeps_its_proportions() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let bots = [
        person(2, &server, "look", "Ada Lovelace").await,
        person(5, &server, "look", "Ben").await,
    ];
    let mute = ClientMessage::Mute {
        role: Role::Mic,
        muted: true,
    };
    bots[1].send(mute).unwrap();
    let page = Page::chromium("Ann").await;
    page.join(&server.url, "look").await;
    page.pictured().await;
    page.resize(1280, 800).await;
    click(&page, "#toggle-screen").await;
    let large = "(() => { const { canvas, layout, tiles } = tessera.state().room; \
        const screen = tiles.find((tile) => tile.role === 'screen'); \
        return layout === 'grid' && screen && 2 * screen.w * screen.h >= canvas.width * canvas.height; })()";
    page.until("a large screen", large).await;
    // Its picture is there some frames later.
    page.watch(Duration::from_secs(2)).await;
    page.screenshot("screen-shared").await;
    page.act("document.getElementById('fullscreen').click()")
        .await;
    let full = format!("document.fullscreenElement && {FRAME}");
    page.until("full screen", &full).await;
    page.screenshot("screen-shared-full").await;
    page.act("document.getElementById('fullscreen').click()")
        .await;
    click(&page, "#toggle-screen").await;
    let gone = "!tessera.state().room.tiles.some((tile) => tile.role === 'screen')";
    page.until("no screen", gone).await;
    page.assert_no_errors();
    for bot in bots {
        bot.leave().await.unwrap();
    }
    server.stop().await;
}
