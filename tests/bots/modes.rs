//! Bots in a real room whose mode changes: what they see and hear of each other goes on, and they
//! are members of a mesh like pages of browsers.

use std::time::Duration;

use tessera::bots::observe::palette;
use tessera::bots::{Bot, BotConfig, Decode, Path, VideoFormat, clock};
use tessera::codec::VideoCodec;
use tessera::id::ParticipantId;
use tessera::protocol::room::UplinkState;
use tessera::topology::Mode;
use tokio::time::timeout;

use crate::common::bars::at_most;
use crate::common::browser::{Page, alone};
use crate::common::server::{PATIENCE, TestServer, room};

/// The longest that anybody may be out of sight or hearing. What a bot sees is two bots' and a
/// server's work on one busy machine.
const LONGEST_GAP: Duration = Duration::from_millis(1_000);

async fn person(server: &TestServer, i: usize) -> Bot {
    let format = VideoFormat::sized(VideoCodec::Vp8, 320, 180);
    let config = BotConfig::new(&server.url, room("modes"), format!("Bot {i}"))
        .person(i, format)
        .with_slots(4)
        .decoding(Decode::Both);
    let bot = Bot::join(config).await.unwrap();
    bot.connected().await.unwrap();
    bot
}

/// Waits until every bot sees every other by that way.
async fn all_by(bots: &[Bot], ids: &[ParticipantId], path: Path) {
    for (i, bot) in bots.iter().enumerate() {
        for (j, id) in ids.iter().enumerate().filter(|(j, _)| *j != i) {
            bot.sees(*id, palette::color(j), path).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_lost_from_mode_to_mode() {
    let server = TestServer::start().await;
    let mut bots = Vec::new();
    for i in 0..3 {
        bots.push(person(&server, i).await);
    }
    let ids: Vec<_> = bots.iter().map(|bot| bot.id().unwrap()).collect();
    all_by(&bots, &ids, Path::Mix).await;
    let people: Vec<_> = ids.iter().copied().zip(0..).collect();
    let steps = [
        (Mode::Sfu, Path::Forward),
        (Mode::P2p, Path::Mesh),
        (Mode::Mcu, Path::Mix),
        (Mode::P2p, Path::Mesh),
        (Mode::Sfu, Path::Forward),
        (Mode::Mcu, Path::Mix),
    ];
    // One second of calm before and after each change.
    let pause = || tokio::time::sleep(Duration::from_secs(1));
    pause().await;
    for (n, (mode, path)) in steps.into_iter().enumerate() {
        let start = clock::now();
        bots[n % 3].set_mode(mode).unwrap();
        for bot in &bots {
            bot.room_when("mode", |room| room.mode == mode)
                .await
                .unwrap();
        }
        all_by(&bots, &ids, path).await;
        let took = clock::now() - start;
        pause().await;
        pause().await;
        let during = start..clock::now() - Duration::from_millis(500);
        let mut seen = Duration::ZERO;
        let mut heard = Duration::ZERO;
        for (i, bot) in bots.iter().enumerate() {
            let observer = bot.observer();
            for (j, id) in ids.iter().enumerate().filter(|(j, _)| *j != i) {
                let gap = observer.unseen(*id, palette::color(j), during.clone());
                seen = seen.max(gap.length);
                let gap = observer.unheard(j, during.clone());
                heard = heard.max(gap.length);
            }
            let wrong = observer.mixups(&people, during.clone());
            assert_eq!(wrong, [], "bot {i} in {mode:?}");
            assert_eq!(observer.unattributed(), 0);
        }
        println!("{mode:?} after {took:?}: unseen {seen:?}, unheard {heard:?}");
        assert!(seen < at_most(LONGEST_GAP), "{mode:?}: unseen for {seen:?}");
        assert!(
            heard < at_most(LONGEST_GAP),
            "{mode:?}: unheard for {heard:?}"
        );
        for bot in &bots {
            let wanted = *bot.uplinks().borrow();
            assert_eq!(wanted, mode != Mode::P2p, "in {mode:?}");
        }
    }
    for bot in bots {
        bot.leave().await.unwrap();
    }
}

/// A bot that decodes, in a room of its own with pages.
async fn companion(server: &TestServer, i: usize) -> Bot {
    let format = VideoFormat::sized(VideoCodec::Vp8, 320, 180);
    let config = BotConfig::new(&server.url, room("mixed"), format!("Bot {i}"))
        .person(i, format)
        .decoding(Decode::Both);
    let bot = Bot::join(config).await.unwrap();
    bot.connected().await.unwrap();
    bot
}

#[tokio::test(flavor = "multi_thread", crate = "crate::common::home")]
async fn bots_and_pages_are_members_of_one_mesh() {
    let _alone = alone().await;
    let server = TestServer::start().await;
    // A page offers to who was there before, and answers who came after.
    let before = companion(&server, 0).await;
    let page = Page::chromium("Page").await;
    page.join(&server.url, "mixed").await;
    page.pictured().await;
    let after = companion(&server, 1).await;
    let id = page.until("itself", "probe.person('Page')?.id").await;
    let id: ParticipantId = id.as_str().unwrap().parse().unwrap();
    after
        .room_when("the page's media", |room| {
            let page = room.participants.iter().find(|p| p.id == id);
            page.is_some_and(|p| p.mic == UplinkState::Live && p.camera == UplinkState::Live)
        })
        .await
        .unwrap();
    before.set_mode(Mode::P2p).unwrap();
    let (one, two) = (before.id().unwrap(), after.id().unwrap());
    for (bot, other) in [(&before, two), (&after, one)] {
        bot.meshed_when("the page and the other bot", |with| {
            with.contains(&id) && with.contains(&other)
        })
        .await
        .unwrap();
        let [mic, camera, _] = bot.mesh_incoming(id).unwrap();
        for line in [mic, camera] {
            let mut changes = bot.observer().changes();
            let decoded = changes.wait_for(|_| line.stats().decoded >= 20);
            timeout(PATIENCE, decoded).await.unwrap().unwrap();
        }
        let link = bot.stats().mesh.into_iter().find(|link| link.with == id);
        let link = link.unwrap();
        assert!(link.frames_sent > 0 && link.packets_sent > 0, "{link:?}");
    }
    let both =
        format!("['{one}', '{two}'].every((id) => probe.state().mesh.receiving.includes(id))");
    page.until("both bots, directly", &both).await;
    page.until("the whole mesh", "probe.state().mesh.covered")
        .await;
    let mut wanted = before.uplinks();
    let stopped = wanted.wait_for(|wanted| !wanted);
    timeout(PATIENCE, stopped).await.unwrap().unwrap();
    // And back.
    after.set_mode(Mode::Mcu).unwrap();
    for (bot, other, person) in [(&before, two, 1), (&after, one, 0)] {
        bot.sees(other, palette::color(person), Path::Mix)
            .await
            .unwrap();
        let mut changes = bot.observer().changes();
        let ended = changes.wait_for(|_| bot.stats().mesh.is_empty());
        timeout(PATIENCE, ended).await.unwrap().unwrap();
    }
    page.pictured().await;
    page.assert_no_errors();
    before.leave().await.unwrap();
    after.leave().await.unwrap();
    server.stop().await;
}
