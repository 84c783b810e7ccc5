//! Recordings in browsers: begun and ended from the page, seen by everybody, played and deleted.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tessera::bots::{Bot, BotConfig, Decode, VideoFormat};
use tessera::codec::Container;
use tessera::codec::VideoCodec;
use tessera::config::Config;
use tessera::protocol::room::RecordingState;
use tessera::protocol::room::RoomState;

use crate::common::browser::{Page, alone, key};
use crate::common::recorded::{Process, record_for};
use crate::common::server::{TestServer, room};

/// How long what is recorded here is.
pub(crate) const TAKE: Duration = Duration::from_secs(3);

pub(crate) fn recording(folder: &Path) -> impl FnOnce(&mut Config) {
    let folder = folder.to_owned();
    move |config| {
        config.recordings = Some(folder);
        config.recording_quotas.free_space = 0;
    }
}

pub(crate) async fn bot(url: &str, name: &str, token: Option<&str>) -> Bot {
    let config = BotConfig::new(url, room(name), "Bot")
        .person(0, VideoFormat::new(VideoCodec::Vp8))
        .decoding(Decode::No)
        .with_slots(4);
    let token = token.map(str::to_owned);
    Bot::join(BotConfig { token, ..config }).await.unwrap()
}

pub(crate) async fn click(page: &Page, selector: &str) {
    let button = format!("document.querySelector('{selector}')");
    page.until(selector, &format!("{button} && !{button}.disabled"))
        .await;
    page.act(&format!("{button}.click()")).await;
}

/// Clicks one after the other, all within one frame, and waits for the next.
async fn at_once(page: &Page, selectors: impl IntoIterator<Item = &str>) {
    let clicks = selectors
        .into_iter()
        .map(|selector| format!("document.querySelector('{selector}').click();"));
    let clicks: String = clicks.collect();
    let frames = "requestAnimationFrame(() => requestAnimationFrame(then))";
    page.act(&format!(
        "(() => {{ {clicks} return new Promise((then) => {frames}); }})()"
    ))
    .await;
}

/// Waits until the list has as many rows, none of which is of what goes on.
pub(crate) async fn listed(page: &Page, rows: usize) {
    let condition = format!(
        "document.querySelectorAll('.take').length === {rows} \
         && !document.querySelector('.badge--live')"
    );
    page.until("the list", &condition).await;
}

pub(crate) const MEDIA: &str = "document.querySelector('#player-media > *')";

/// Plays the recording of the row with `button`, seeks in it and closes the player. What it is.
async fn play(page: &Page, button: &str) -> Value {
    click(page, button).await;
    page.until(
        "it to play",
        &format!("{MEDIA}.currentTime > 0.5 && !{MEDIA}.paused"),
    )
    .await;
    let about = format!(
        "(({{ videoWidth, videoHeight, duration, error, seekable, \
         webkitAudioDecodedByteCount }}) => ({{ \
         videoWidth, videoHeight, duration, error: error?.message ?? null, \
         seekable: seekable.length && seekable.end(0), \
         sound: webkitAudioDecodedByteCount ?? null }}))({MEDIA})"
    );
    let seen = page.evaluate(&about).await;
    println!("{button}: {seen}");
    assert_eq!(seen["error"], Value::Null);
    for (to, least) in [(1.5, 1.8), (0.0, 0.3)] {
        page.evaluate(&format!(
            "void ({MEDIA}.currentTime = {to}, {MEDIA}.play())"
        ))
        .await;
        let there = format!(
            "!{MEDIA}.seeking && {MEDIA}.currentTime > {least} && {MEDIA}.currentTime < {least} + 1"
        );
        page.until("it to go on from there", &there).await;
    }
    page.until("no complaint", "!probe.shown('player-notice')")
        .await;
    at_once(page, ["#player-close", button]).await;
    page.until("it to play again", &format!("{MEDIA}?.currentTime > 0.1"))
        .await;
    click(page, "#player-close").await;
    page.until("the player gone", &format!("!{MEDIA}")).await;
    seen
}

/// Plays a recording from the moment at which somebody came.
async fn play_from_moment(page: &Page, button: &str) {
    click(page, button).await;
    page.until("it to play", &format!("{MEDIA}.currentTime > 0.1"))
        .await;
    let moment = "[...document.querySelectorAll('#player-moments button')] \
        .find((one) => one.textContent.endsWith('Bot joins'))";
    let said = page.evaluate(&format!("{moment}?.textContent")).await;
    let said = said.as_str().expect("who came is listed");
    println!("{said}");
    let seconds = said.split([':', ' ']).nth(1).expect("a time");
    let seconds: f64 = seconds.parse().expect("seconds");
    page.evaluate(&format!("void ({MEDIA}.pause(), {MEDIA}.currentTime = 0)"))
        .await;
    page.act(&format!("void {moment}.click()")).await;
    let there = format!(
        "!{MEDIA}.paused && !{MEDIA}.seeking && {MEDIA}.currentTime > {seconds} - 0.6 \
         && {MEDIA}.currentTime < {seconds} + 2"
    );
    page.until("it to play from there", &there).await;
    click(page, "#player-close").await;
    page.until("the player gone", &format!("!{MEDIA}")).await;
}

#[track_caller]
fn assert_film(seen: &Value, size: (u32, u32), length: std::ops::Range<f64>) {
    assert_eq!(
        (&seen["videoWidth"], &seen["videoHeight"]),
        (&size.0.into(), &size.1.into()),
        "{seen}"
    );
    let end = seen["duration"].as_f64().expect("a length that is known");
    assert!(length.contains(&end), "{seen}");
    assert!(seen["seekable"].as_f64().unwrap() > length.start, "{seen}");
}

/// The button of a row by its format.
async fn play_button(page: &Page, format: &str) -> String {
    let at = format!(
        "1 + tessera.state().listed.recordings.findIndex((one) => one.format === '{format}')"
    );
    let at = page.evaluate(&at).await;
    format!(".take:nth-child({at}) .take__play")
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn a_call_is_recorded_from_the_page_played_and_deleted() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::with(recording(folder.path())).await;
    let bot = bot(&server.url, "rec", None).await;
    let (ann, fay) = tokio::join!(Page::chromium("Ann"), Page::firefox("Fay"));
    for page in [&ann, &fay] {
        page.join(&server.url, "rec").await;
    }
    for page in [&ann, &fay] {
        page.pictured().await;
    }
    assert_eq!(fay.evaluate("probe.shown('recorded')").await, false);

    // MP4 by clicks, WebM by the keyboard alone.
    click(&ann, "#toggle-record").await;
    click(&ann, "#record-start").await;
    let one = |room: &RoomState| room.recordings.len() == 1;
    let state = bot.room_when("a recording", one).await.unwrap();
    assert_eq!(state.recordings[0].format, Container::Mp4);
    for page in [&ann, &fay] {
        page.until(
            "the badge and the words",
            "probe.shown('recorded') && probe.text('toasts').includes('is being recorded')",
        )
        .await;
    }
    ann.press([key::ESCAPE, 'r']).await;
    let focused = "document.activeElement?.value === 'mp4'";
    ann.until("the focus on the first format", focused).await;
    ann.press([key::DOWN, key::ENTER]).await;
    let two = |room: &RoomState| room.recordings.len() == 2;
    let state = bot.room_when("a second recording", two).await.unwrap();
    let other = |one: &RecordingState| one.format == Container::Webm;
    assert!(state.recordings.iter().any(other), "{state:?}");
    let guest = self::bot(&server.url, "rec", None).await;
    record_for(TAKE).await;

    ann.press(['3']).await;
    ann.until(
        "why it cannot be direct",
        "probe.text('toasts').includes('stop recording first')",
    )
    .await;
    for left in [1, 0] {
        let rows = "document.querySelectorAll('#record-list button').length";
        ann.until("the rows", &format!("{rows} === {}", left + 1))
            .await;
        click(&ann, "#record-list button").await;
        bot.room_when("one less", |room| room.recordings.len() == left)
            .await
            .unwrap();
    }
    for page in [&ann, &fay] {
        page.until(
            "no badge, and the words",
            "!probe.shown('recorded') && probe.text('toasts').includes('no longer recorded')",
        )
        .await;
    }
    ann.press(['3']).await;
    ann.until(
        "why there is nothing to record",
        "probe.state().room.mode === 'p2p' && probe.shown('record-reason') \
         && document.getElementById('record-start').matches(':disabled')",
    )
    .await;
    ann.assert_no_errors();
    fay.assert_no_errors();

    for page in [&ann, &fay] {
        page.open(&format!("{}/recordings", server.url)).await;
        listed(page, 2).await;
    }
    for format in ["mp4", "webm"] {
        let seen = play(&ann, &play_button(&ann, format).await).await;
        assert_film(&seen, (1280, 720), 2.0..20.0);
        assert!(seen["sound"].as_u64() > Some(0), "{seen}");
        play_from_moment(&ann, &play_button(&ann, format).await).await;
    }
    let seen = play(&fay, &play_button(&fay, "webm").await).await;
    assert_film(&seen, (1280, 720), 2.0..20.0);
    // This browser may be without H.264; then it says so.
    click(&fay, &play_button(&fay, "mp4").await).await;
    let heard = fay
        .until(
            "the film, or words",
            &format!("{MEDIA}.currentTime > 0.3 ? 'plays' : probe.text('player-notice')"),
        )
        .await;
    println!("MP4 in Firefox: {heard}");
    assert!(
        heard == "plays" || heard.as_str().unwrap().contains("Download"),
        "{heard}"
    );
    ann.assert_no_errors();
    delete_first(&ann, folder.path()).await;
    drop((bot, guest));
    server.stop().await;
}

/// Deletes the first of two recordings, after having thought better of it once.
async fn delete_first(page: &Page, folder: &Path) {
    let files = || std::fs::read_dir(folder).unwrap().count();
    let before = files();
    let button = ".take [aria-label^=Delete]";
    click(page, button).await;
    page.until(
        "the question",
        "document.activeElement === document.getElementById('confirm-keep')",
    )
    .await;
    page.press([key::ENTER]).await;
    page.until("no question", "!document.getElementById('confirm').open")
        .await;
    assert_eq!(files(), before);
    // Browsers say that a dialog was closed a frame later, when it may be open for another.
    let quickly = [button, "#confirm-keep", button];
    at_once(page, quickly).await;
    click(page, "#confirm-delete").await;
    listed(page, 1).await;
    assert_eq!(files(), before - 2, "the file and what is known of it");
    page.assert_no_errors();
}

/// A server in a process of its own records every room, and is killed in the middle of it.
async fn record_and_kill(folder: &Path) {
    let server = Process::start(folder, "mp4").await;
    let bot = bot(&server.url, "crash", None).await;
    bot.room_when("a recording", |room| !room.recordings.is_empty())
        .await
        .unwrap();
    record_for(TAKE + Duration::from_secs(2)).await;
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn what_a_killed_server_was_recording_plays() {
    let _alone = alone().await;
    gst::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    record_and_kill(folder.path()).await;
    let server = TestServer::with(recording(folder.path())).await;
    let page = Page::chromium("Ann").await;
    page.open(&format!("{}/recordings?room=crash", server.url))
        .await;
    listed(&page, 1).await;
    let words = page.evaluate("probe.text('takes')").await;
    assert!(words.as_str().unwrap().contains("Recovered"), "{words}");
    let seen = play(&page, ".take__play").await;
    assert_film(&seen, (640, 360), 2.0..10.0);
    page.assert_no_errors();
    server.stop().await;
}
