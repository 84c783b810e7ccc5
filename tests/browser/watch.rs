//! Players that ask for no name, and links that lead nowhere.

use tessera::bots::observe::palette;

use crate::common::browser::{Page, alone};
use crate::common::look::COLOR_ERROR;
use crate::common::server::TestServer;
use crate::looks::neat_shots;
use crate::record::{bot, click};

const TOKEN: &str = "s3cret";

/// Whether the middle of the picture has the colour of bot 0, which is alone in it.
fn shows_bot() -> String {
    format!(
        "(() => {{ const canvas = new OffscreenCanvas(8, 8); const context = canvas.getContext('2d'); \
         context.drawImage(document.getElementById('video'), 0, 0, 8, 8); \
         const [pixel, bot] = [context.getImageData(4, 3, 1, 1).data, {:?}]; \
         const off = bot.reduce((sum, channel, i) => sum + Math.abs(channel - pixel[i]), 0) / 3; \
         return off < {COLOR_ERROR}; }})()",
        palette::color(0)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_waits_for_people_and_plays_them_with_their_sound() {
    let _alone = alone().await;
    let server = TestServer::with(|config| config.token = Some(TOKEN.into())).await;
    let page = Page::chromium("Wall").await;
    page.open(&format!("{}/watch/show?token={TOKEN}", server.url))
        .await;
    let nobody = "probe.text('notice-title') === 'Nobody is here' && !probe.shown('start')";
    page.until("nobody", nobody).await;
    neat_shots(&page, "watch-empty").await;

    let bot = bot(&server.url, "show", Some(TOKEN)).await;
    let heard = "(async () => (await probe.inbound()).audio.totalAudioEnergy > 0.001)()";
    page.until("their picture", &shows_bot()).await;
    page.until("no notice", "!probe.shown('notice')").await;
    page.until("their sound", heard).await;
    click(&page, "#toggle-sound").await;
    page.until("silence", "probe.state().muted").await;
    neat_shots(&page, "watch").await;

    bot.leave().await.unwrap();
    page.until("nobody again", nobody).await;
    page.assert_no_errors();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_asks_for_the_token_and_says_when_it_is_wrong() {
    let _alone = alone().await;
    let server = TestServer::with(|config| config.token = Some(TOKEN.into())).await;
    let page = Page::chromium("Wall").await;
    page.open(&format!("{}/watch/show", server.url)).await;
    page.until("the question", "probe.shown('token-form')")
        .await;
    neat_shots(&page, "watch-token").await;
    for (token, condition) in [
        (
            "wrong",
            "probe.text('notice-text').includes('not this server')",
        ),
        (TOKEN, "probe.state().stage === 'playing'"),
    ] {
        page.evaluate(&format!(
            "void (document.getElementById('token').value = '{token}')"
        ))
        .await;
        click(&page, "#token-form button").await;
        page.until(token, condition).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_link_leads_to_the_room_that_was_meant() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let page = Page::chromium("Ann").await;
    page.open(&format!("{}/r/foo%20bar", server.url)).await;
    page.until("the offer", "probe.text('meant') === 'Join foo-bar'")
        .await;
    neat_shots(&page, "missing").await;
    let link = "document.getElementById('meant').getAttribute('href')";
    assert_eq!(page.evaluate(link).await, "/r/foo-bar");
    page.open(&format!("{}/r/foo-bar?name=Ann", server.url))
        .await;
    page.until(
        "a quiet screen",
        "probe.text('room-hint') === 'Nobody is here yet.'",
    )
    .await;
    let bot = bot(&server.url, "foo-bar", None).await;
    page.until(
        "who came meanwhile",
        "probe.text('room-hint') === 'Bot is here.'",
    )
    .await;
    bot.leave().await.unwrap();
    page.assert_no_errors();
    server.stop().await;
}
