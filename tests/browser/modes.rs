//! A room that changes its mode while people are in it, bots and a Chromium.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use rand::Rng;
use serde_json::json;
use tessera::bots::observe::palette;
use tessera::bots::{Bot, BotConfig, Decode, VideoFormat, clock};
use tessera::codec::VideoCodec;
use tessera::id::ParticipantId;
use tessera::protocol::ServerMessage;
use tessera::topology::Mode;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::{sleep, timeout};

use crate::common::browser::{Page, alone};
use crate::common::server::{PATIENCE, TestServer, room};

const PEOPLE: usize = 4;
const SWITCHES: usize = 20;

/// Only a room that has stopped has such gaps; how long they are is for the report.
const LONGEST_GAP: Duration = Duration::from_secs(5);

fn person(server: &TestServer, i: usize, decode: Decode) -> BotConfig {
    let format = VideoFormat {
        fps: 15,
        ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
    };
    BotConfig::new(&server.url, room("switch"), format!("Person {i}"))
        .person(i, format)
        .decoding(decode)
        .with_slots(8)
}

fn id(bot: &Bot) -> ParticipantId {
    bot.id().expect("a WebSocket bot has an id")
}

/// The gaps of everybody else at the first two, one for each stretch of time.
struct Gaps {
    picture: Vec<Duration>,
    sound: Vec<Duration>,
}

impl Gaps {
    fn of(bots: &[Bot], during: &[Range<Duration>]) -> Self {
        let (mut picture, mut sound) = (Vec::new(), Vec::new());
        for (i, bot) in bots.iter().enumerate().take(2) {
            for (j, other) in bots.iter().enumerate().filter(|(j, _)| *j != i) {
                for stretch in during {
                    let observer = bot.observer();
                    let unseen = observer.unseen(id(other), palette::color(j), stretch.clone());
                    picture.push(unseen.length);
                    sound.push(observer.unheard(j, stretch.clone()).length);
                }
            }
        }
        picture.sort_unstable();
        sound.sort_unstable();
        Self { picture, sound }
    }
}

fn report(what: &str, gaps: &[Duration]) {
    let at = |percent: usize| gaps[(gaps.len() - 1) * percent / 100].as_millis();
    println!(
        "longest gap of {what}, {} stretches: p50 {} ms, p95 {} ms, most {} ms",
        gaps.len(),
        at(50),
        at(95),
        at(100)
    );
}

/// The server's side of every negotiation after the join.
fn renegotiations(notices: &mut tokio::sync::broadcast::Receiver<ServerMessage>) -> usize {
    let mut answers = 0;
    loop {
        match notices.try_recv() {
            Ok(ServerMessage::Answer { .. } | ServerMessage::Welcome { .. }) => answers += 1,
            Ok(_) | Err(TryRecvError::Lagged(_)) => {}
            Err(_) => return answers,
        }
    }
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn twenty_switches_drop_nobody_and_show_nobody_under_anothers_name() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    let joins = (0..PEOPLE).map(|i| {
        let decode = if i < 2 { Decode::Both } else { Decode::No };
        Bot::join(person(&server, i, decode))
    });
    let bots = try_join_all(joins).await.unwrap();
    let page = Page::chromium("Ann").await;
    page.join(&server.url, "switch").await;
    page.pictured().await;
    let people: BTreeMap<String, [u8; 3]> = (0..PEOPLE)
        .map(|i| (format!("Person {i}"), palette::color(i)))
        .collect();
    page.evaluate(&format!("probe.watchNames({})", json!(people)))
        .await;
    let mut notices: Vec<_> = bots.iter().map(Bot::notices).collect();
    let before = page
        .evaluate("probe.state().room.participants.map((one) => one.id)")
        .await;

    page.evaluate("window.tessera.resetGaps()").await;
    let began = clock::now();
    let mut switched = vec![began];
    let mut guest = None;
    let cycle = [Mode::Sfu, Mode::P2p, Mode::Sfu, Mode::Mcu];
    for (n, mode) in cycle.into_iter().cycle().take(SWITCHES).enumerate() {
        bots[n % PEOPLE].set_mode(mode).unwrap();
        switched.push(clock::now());
        let accepted = bots[0].room_when("the mode", |room| room.mode == mode);
        accepted.await.unwrap();
        // Not a wait for anything: switches come at random moments, also before the last is done.
        let pause = rand::rng().random_range(200..3000);
        sleep(Duration::from_millis(pause)).await;
        guest = match guest.take() {
            None if n % 3 == 0 => Some(Bot::join(person(&server, 4, Decode::No)).await.unwrap()),
            None => None,
            Some(bot) => {
                Bot::leave(bot).await.unwrap();
                None
            }
        };
    }
    // The last stretch, long enough for what it shows to be decoded.
    sleep(Duration::from_secs(2)).await;
    switched.push(clock::now() - Duration::from_millis(500));
    if let Some(bot) = guest {
        bot.leave().await.unwrap();
    }

    let stay = bots[0].room_when("only those who stay", |room| {
        room.participants.len() == PEOPLE + 1 && room.mode == Mode::Mcu
    });
    stay.await.unwrap();
    let after = page
        .evaluate("probe.state().room.participants.map((one) => one.id)")
        .await;
    assert_eq!(before, after, "somebody was dropped");
    for (bot, notices) in bots.iter().zip(&mut notices) {
        assert_eq!(renegotiations(notices), 0, "{}", bot.name());
    }
    let descriptions = page.evaluate("probe.state().descriptions").await;
    assert_eq!(descriptions, 1, "the page has negotiated again");

    let names: Vec<_> = bots.iter().enumerate().map(|(i, b)| (id(b), i)).collect();
    for bot in &bots[..2] {
        let mixups = bot.observer().mixups(&names, began..clock::now());
        assert_eq!(mixups, [], "{} saw others under a name", bot.name());
    }
    let seen = page.evaluate("probe.names()").await;
    assert_eq!(
        seen["wrong"],
        json!([]),
        "the page showed others under a name"
    );
    assert!(seen["looks"].as_u64().unwrap() > 100, "{seen}");

    let stretches: Vec<_> = switched.windows(2).map(|pair| pair[0]..pair[1]).collect();
    // The stretch before the first switch is in a room that is being joined.
    for (n, mode) in cycle.iter().enumerate() {
        let after = stretches.iter().skip(1 + n).step_by(cycle.len());
        let gaps = Gaps::of(&bots, &after.cloned().collect::<Vec<_>>());
        report(
            &format!("picture after a switch to {mode:?}"),
            &gaps.picture,
        );
        report(&format!("sound after a switch to {mode:?}"), &gaps.sound);
    }
    let gaps = Gaps::of(&bots, &stretches[1..]);
    report("picture", &gaps.picture);
    report("sound", &gaps.sound);
    let page_gaps = page.evaluate("probe.state().playback.gaps").await;
    println!("gaps in Chromium: {page_gaps}");
    assert!(gaps.picture.last().unwrap() < &LONGEST_GAP);
    assert!(gaps.sound.last().unwrap() < &LONGEST_GAP);

    let leave = join_all(bots.into_iter().map(Bot::leave));
    timeout(PATIENCE, leave).await.unwrap();
    server.stop().await;
}
