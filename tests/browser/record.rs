//! Recordings in browsers: begun and ended from the page, seen by everybody, played and deleted.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tessera::archive::{Kind, Marker, Moment, Recording, RecordingId, Standing, Subject};
use tessera::bots::{Bot, BotConfig, Decode, VideoFormat};
use tessera::config::{Config, VideoCodec};
use tessera::id::ParticipantId;
use tessera::layout::Size;
use tessera::media::recorder::Container;
use tessera::protocol::RoomState;
use tessera::room::view::RecordingState;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep_until, timeout};

use crate::common::browser::{Page, Scheme, alone, key};
use crate::common::server::{PATIENCE, TestServer, room};

/// How long what is recorded here is.
const TAKE: Duration = Duration::from_secs(3);

fn recording(folder: &Path) -> impl FnOnce(&mut Config) {
    let folder = folder.to_owned();
    move |config| {
        config.recordings = Some(folder);
        config.recording_quotas.free_space = 0;
    }
}

async fn bot(url: &str, name: &str, token: Option<&str>) -> Bot {
    let config = BotConfig::new(url, room(name), "Bot")
        .person(0, VideoFormat::new(VideoCodec::Vp8))
        .decoding(Decode::No)
        .with_slots(4);
    let token = token.map(str::to_owned);
    Bot::join(BotConfig { token, ..config }).await.unwrap()
}

/// Lets a recording run: there is no event that says that three seconds of it are over.
async fn record_for(length: Duration) {
    sleep_until(Instant::now() + length).await;
}

async fn click(page: &Page, selector: &str) {
    let button = format!("document.querySelector('{selector}')");
    page.until(selector, &format!("{button} && !{button}.disabled"))
        .await;
    page.evaluate(&format!("{button}.click()")).await;
}

/// Clicks one after the other, all within one frame, and waits for the next.
async fn at_once(page: &Page, selectors: impl IntoIterator<Item = &str>) {
    let clicks = selectors
        .into_iter()
        .map(|selector| format!("document.querySelector('{selector}').click();"));
    let clicks: String = clicks.collect();
    let frames = "requestAnimationFrame(() => requestAnimationFrame(then))";
    page.evaluate(&format!(
        "(() => {{ {clicks} return new Promise((then) => {frames}); }})()"
    ))
    .await;
}

/// Waits until the list has as many rows, none of which is of what goes on.
async fn listed(page: &Page, rows: usize) {
    let condition = format!(
        "document.querySelectorAll('.take').length === {rows} \
         && !document.querySelector('.badge--live')"
    );
    page.until("the list", &condition).await;
}

const MEDIA: &str = "document.querySelector('#player-media > *')";

/// Plays the recording of the row with `button`, seeks in it and closes the player. What it is.
async fn play(page: &Page, button: &str) -> Value {
    click(page, button).await;
    page.until(
        "it to play",
        &format!("{MEDIA}.currentTime > 0.5 && !{MEDIA}.paused"),
    )
    .await;
    let about = format!(
        "(({{ videoWidth, videoHeight, duration, error, seekable }}) => ({{ \
         videoWidth, videoHeight, duration, error: error?.message ?? null, \
         seekable: seekable.length && seekable.end(0) }}))({MEDIA})"
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
    page.evaluate(&format!("void {moment}.click()")).await;
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

#[tokio::test(flavor = "multi_thread")]
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
    let mut child = Command::new(env!("CARGO_BIN_EXE_tessera"))
        .args(["serve", "--listen", "127.0.0.1:0", "--canvas", "640x360"])
        .args(["--turn-listen", "127.0.0.1:0", "--max-cores", "unlimited"])
        .args(["--recording-free-space", "0", "--record", "mp4"])
        .arg("--recordings")
        .arg(folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap();
    let line = line.unwrap().expect("an address");
    let bot = bot(line.trim_start_matches("listening on "), "crash", None).await;
    bot.room_when("a recording", |room| !room.recordings.is_empty())
        .await
        .unwrap();
    record_for(TAKE + Duration::from_secs(2)).await;
    child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
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

/// Entries without files, as a folder has them after some weeks.
fn many(folder: &TempDir, count: usize) {
    for n in 0..count {
        let id = RecordingId::new(format!("room-{n:02}")).unwrap();
        let format = [Container::Mp4, Container::Webm, Container::Ogg][n % 3];
        let (state, reason) = match n {
            20 => (
                Standing::Recovered,
                Some("the server ended without stopping it"),
            ),
            21 => (
                Standing::Failed,
                Some(
                    "the disk of the recordings has 524288000 bytes left, 1000000000 have to stay free",
                ),
            ),
            _ => (Standing::Finished, None),
        };
        let names = ["Ann Bergström", "Ben", "Ada Lovelace", "Cy", "Di"];
        let entry = Recording {
            file: format!("{id}.{}", format.extension()),
            id: id.clone(),
            room: room(
                [
                    "lapis-arcade-42",
                    "team",
                    "a-room-with-a-name-as-long-as-it-may-be-of-64-characters-and-so",
                ][n % 3],
            ),
            kind: Kind::Composite,
            format,
            state,
            started: format!("2026-11-{:02}T09:{:02}:00.000Z", 1 + n, 2 * n),
            ended: Some(format!("2026-11-{:02}T10:30:00.000Z", 1 + n)),
            duration_ms: 97_000 * (n as u64 + 1).pow(2),
            bytes: 19_000_000 * (n as u64 + 1),
            size: format.codec().map(|_| Size {
                width: 1280,
                height: 720,
            }),
            video: format.codec(),
            participants: names[..=n % 5]
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
            reason: reason.map(str::to_owned),
            tracks: Vec::new(),
            markers: (0..10 * n)
                .map(|at| Marker {
                    at_ms: 1_000 + 47_000 * at as u64,
                    moment: [Moment::Join, Moment::Speaker, Moment::Leave][at % 3],
                    participant: ParticipantId::new(1 + at as u32 % 5),
                    name: names[at % 5].to_owned(),
                })
                .collect(),
        };
        let path = folder.path().join(format!("{id}.json"));
        std::fs::write(path, serde_json::to_vec(&entry).unwrap()).unwrap();
    }
}

/// Screenshots at desktop and phone size, light and dark; and nothing is wider than its place.
async fn shots(page: &Page, name: &str) {
    for (size, width, height) in [("desktop", 1280, 800), ("phone", 390, 844)] {
        page.resize(width, height).await;
        for (scheme, colors) in [(Scheme::Dark, "dark"), (Scheme::Light, "light")] {
            page.prefer(scheme).await;
            page.screenshot(&format!("{name}-{size}-{colors}")).await;
        }
        let wide = page.evaluate(OVERFLOWING).await;
        assert_eq!(wide, Value::Array(vec![]), "{name} at {width}x{height}");
    }
}

/// The elements that are wider than their place, so that one would have to scroll sideways.
const OVERFLOWING: &str = "[...document.querySelectorAll('html, #call, .panel, .panel *, .archive, .archive *, dialog[open], dialog[open] *')] \
    .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1 \
        && ['auto', 'scroll', 'visible'].includes(getComputedStyle(one).overflowX) \
        && getComputedStyle(one).display !== 'inline' && !(one instanceof SVGElement)) \
    .map((one) => `${one.tagName}#${one.id}.${one.className}`)";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_recordings_asks_for_the_token_and_turns_its_pages() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    many(&folder, 24);
    let server = TestServer::with(|config| {
        recording(folder.path())(config);
        config.token = Some("s3cret".into());
    })
    .await;
    let page = Page::chromium("Ann").await;
    page.open(&format!("{}/recordings", server.url)).await;
    page.until("the question", "probe.shown('token-form')")
        .await;
    shots(&page, "recordings-token").await;
    for (token, condition) in [
        (
            "wrong",
            "probe.text('archive-notice').includes('not this server')",
        ),
        ("s3cret", "document.querySelectorAll('.take').length === 20"),
    ] {
        let give = format!("void (document.getElementById('token').value = '{token}')");
        page.evaluate(&give).await;
        click(&page, "#token-form button").await;
        page.until(token, condition).await;
    }
    shots(&page, "recordings").await;
    click(&page, "#older").await;
    page.until(
        "the rest",
        "document.querySelectorAll('.take').length === 4 \
         && probe.text('pages-text') === '21 to 24 of 24' && location.search === '?offset=20'",
    )
    .await;
    let link = "document.querySelector('.take a').getAttribute('href')";
    let link = page.evaluate(link).await;
    assert!(
        link.as_str().unwrap().ends_with("?download=1&token=s3cret"),
        "{link}"
    );
    // Its file is not there.
    click(&page, ".take__play").await;
    page.until(
        "words",
        "probe.text('player-notice').includes('cannot play')",
    )
    .await;
    shots(&page, "player-fails").await;
    click(&page, "#player-close").await;
    click(&page, ".take [aria-label^=Delete]").await;
    shots(&page, "confirm").await;
    page.assert_no_errors();
    server.stop().await;

    let off = TestServer::start().await;
    page.open(&format!("{}/recordings", off.url)).await;
    page.until(
        "words",
        "probe.text('archive-notice').includes('keeps no recordings')",
    )
    .await;
    page.join(&off.url, "off").await;
    page.pictured().await;
    page.press(['r', key::ENTER]).await;
    page.until(
        "the same words in the call",
        "probe.text('record-reason').includes('keeps no recordings')",
    )
    .await;
    off.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
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
    let begun = handle.record(&archive, Subject::Mix(Container::Ogg));
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
    shots(&page, "join-recorded").await;
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
    shots(&page, "record").await;
    click(&page, "#record-start").await;
    page.until("the badge", "probe.shown('recorded')").await;
    shots(&page, "record-on").await;
    page.press([key::ESCAPE]).await;
    shots(&page, "recorded").await;
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
    shots(&page, "player").await;
    page.assert_no_errors();
    drop(bot);
    server.stop().await;
}
