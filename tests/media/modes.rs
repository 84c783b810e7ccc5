//! What people see and hear in a forwarding room and from each other, and what that takes.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use serde_json::Value;
use tessera::bots::observe::packet_capture::unbroken;
use tessera::bots::observe::palette;
use tessera::bots::{AudioSource, Bot, BotConfig, Decode, Path, VideoFormat, clock};
use tessera::codec::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::protocol::ClientMessage;
use tessera::protocol::room::RoomState;
use tessera::topology::Mode;
use tokio::time::{Instant, timeout};

use crate::common::bars::at_most;
use crate::common::server::{PATIENCE, TestServer, room};

/// A small camera, so that many fit on two cores.
fn small() -> VideoFormat {
    VideoFormat {
        fps: 15,
        ..VideoFormat::sized(VideoCodec::Vp8, 320, 180)
    }
}

/// A person with a colour, a tone and eight slots.
fn person(server: &TestServer, name: &str, i: usize, decode: Decode) -> BotConfig {
    BotConfig::new(&server.url, room(name), format!("Person {i}"))
        .person(i, small())
        .decoding(decode)
        .with_slots(8)
}

/// `n` people; the first two see and hear.
pub(crate) async fn people(server: &TestServer, name: &str, n: usize) -> Vec<Bot> {
    let joins = (0..n).map(|i| {
        let decode = match i {
            0 | 1 => Decode::Both,
            _ => Decode::No,
        };
        Bot::join(person(server, name, i, decode))
    });
    try_join_all(joins).await.expect("everybody joins")
}

pub(crate) fn id(bot: &Bot) -> ParticipantId {
    bot.id().expect("a WebSocket bot has an id")
}

fn switch(bot: &Bot, mode: Mode) {
    bot.set_mode(mode).expect("an open WebSocket");
}

/// A room whose counted paths are those of the arithmetic.
fn paths_agree(state: &RoomState, mode: Mode, n: usize) -> bool {
    let paths = state.paths;
    state.mode == mode && state.participants.len() == n && paths.measured == paths.expected
}

/// Waits until the room's figures are as wanted; they are sampled, so they are asked for again.
async fn stats_when(server: &TestServer, name: &str, wanted: impl Fn(&Value) -> bool) -> Duration {
    let since = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let look = async {
        loop {
            ticks.tick().await;
            let stats = server.get(&format!("/api/v1/rooms/{name}/stats")).await;
            if wanted(&stats) {
                return since.elapsed();
            }
        }
    };
    timeout(PATIENCE, look).await.expect("the figures wanted")
}

fn has_no_mixer(stats: &Value) -> bool {
    stats["decoders"] == 0 && stats["renditions"].as_array().is_some_and(Vec::is_empty)
}

/// The first two see everybody else in their colour by `path`, and hear everybody else.
async fn everybody_comes_by(path: Path, bots: &[Bot]) {
    for (i, bot) in bots.iter().enumerate().take(2) {
        for (j, other) in bots.iter().enumerate().filter(|(j, _)| *j != i) {
            bot.sees(id(other), palette::color(j), path)
                .await
                .unwrap_or_else(|error| panic!("{i} does not see {j} by {path:?}: {error}"));
        }
        let others: BTreeSet<usize> = (0..bots.len()).filter(|j| *j != i).collect();
        hears(bot, path, &others).await;
    }
}

/// Waits until each of `others`, and nobody else, is heard by `path`, each under their own name.
async fn hears(bot: &Bot, path: Path, others: &BTreeSet<usize>) {
    let since = clock::now();
    let mut changes = bot.observer().changes();
    let heard = |bot: &Bot| -> BTreeSet<usize> {
        let sounds = bot.observer().sounds();
        let new = sounds
            .iter()
            .filter(|s| s.start >= since && s.origin.path == path);
        new.flat_map(|s| (0..palette::PEOPLE).filter(|i| s.tones >> i & 1 == 1))
            .collect()
    };
    let all = changes.wait_for(|_| heard(bot).is_superset(others));
    if timeout(PATIENCE, all).await.is_err() {
        panic!("{} hears {:?}, not {others:?}", bot.name(), heard(bot));
    }
    assert_eq!(heard(bot), *others, "{} hears somebody else", bot.name());
}

/// Nobody was seen or heard under another's name.
fn assert_no_mixup(bots: &[Bot]) {
    let who: Vec<_> = bots.iter().enumerate().map(|(i, b)| (id(b), i)).collect();
    for bot in bots {
        let mixups = bot.observer().mixups(&who, Duration::ZERO..clock::now());
        assert_eq!(mixups, [], "{} saw others under a name", bot.name());
        assert_eq!(bot.observer().unattributed(), 0, "frames of nobody");
    }
}

async fn is_forwarded(n: usize) {
    let server = TestServer::with(|config| config.mode = Mode::Sfu).await;
    let bots = people(&server, "sfu", n).await;
    everybody_comes_by(Path::Forward, &bots).await;
    bots[0]
        .room_when("the paths of forwarding", |state| {
            paths_agree(state, Mode::Sfu, n)
        })
        .await
        .unwrap_or_else(|error| panic!("{error}: {:?}", bots[0].room().borrow()));
    stats_when(&server, "sfu", has_no_mixer).await;
    assert_no_mixup(&bots);
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

async fn is_direct(n: usize) {
    let server = TestServer::start().await;
    let bots = people(&server, "p2p", n).await;
    switch(&bots[0], Mode::P2p);
    everybody_comes_by(Path::Mesh, &bots).await;
    for bot in &bots {
        let mut wanted = bot.uplinks();
        let stopped = wanted.wait_for(|wanted| !wanted);
        timeout(PATIENCE, stopped)
            .await
            .expect("the server needs nothing any more")
            .expect("a bot that lives");
    }
    bots[0]
        .room_when("the paths of a mesh", |state| {
            paths_agree(state, Mode::P2p, n)
        })
        .await
        .unwrap_or_else(|error| panic!("{error}: {:?}", bots[0].room().borrow()));
    stats_when(&server, "p2p", has_no_mixer).await;
    assert_no_mixup(&bots);
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_are_forwarded() {
    is_forwarded(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_people_are_forwarded() {
    is_forwarded(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_people_are_forwarded() {
    is_forwarded(8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_are_direct() {
    is_direct(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_people_are_direct() {
    is_direct(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_people_have_the_paths_of_each_mode() {
    let server = TestServer::start().await;
    let bots = people(&server, "paths", 4).await;
    for (mode, outside) in [(Mode::Mcu, 8), (Mode::Sfu, 16), (Mode::P2p, 12)] {
        switch(&bots[3], mode);
        let state = bots[0]
            .room_when("the paths of the mode", |state| {
                let expected = state.paths.expected.outside;
                paths_agree(state, mode, 4) && expected == outside
            })
            .await
            .unwrap_or_else(|error| panic!("{error}: {:?}", bots[0].room().borrow()));
        assert_eq!(state.paths.measured.inside, 0, "{mode:?}");
    }
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// Twelve people and eight slots: whoever speaks has one, and who begins to speak gets one.
#[tokio::test(flavor = "multi_thread")]
async fn speakers_get_the_slots() {
    let server = TestServer::with(|config| config.mode = Mode::Sfu).await;
    let viewer = Bot::join(person(&server, "many", 0, Decode::Both))
        .await
        .expect("the viewer joins");
    // Their tones are not heard yet: one after the other, so that the first have the slots.
    let mut bots = Vec::new();
    for i in 1..12 {
        let mut config = person(&server, "many", i, Decode::No);
        if i < 11 {
            config.audio = AudioSource::Silence;
        }
        let bot = Bot::join(config).await.expect("they join");
        if i == 11 {
            mute(&bot, true);
        }
        bots.push(bot);
    }
    let last = id(&bots[10]);
    let holders = |slots: &tessera::bots::Slots, role: Role| -> BTreeSet<ParticipantId> {
        let of_role = slots.slots.iter().filter(|slot| slot.role == Some(role));
        of_role.filter_map(|slot| slot.participant).collect()
    };
    let full = viewer
        .slots_when("eight pictures", |slots| {
            holders(slots, Role::Camera).len() == 8 && holders(slots, Role::Mic).len() == 8
        })
        .await
        .unwrap_or_else(|error| panic!("{error}: {:?}", viewer.slots().borrow()));
    assert!(!holders(&full, Role::Camera).contains(&last), "{full:?}");

    mute(&bots[10], false);
    let changed = viewer
        .slots_when("the speaker in a slot", |slots| {
            [Role::Camera, Role::Mic]
                .iter()
                .all(|role| holders(slots, *role).contains(&last))
        })
        .await
        .unwrap_or_else(|error| panic!("{error}: {:?}", viewer.slots().borrow()));
    for role in [Role::Camera, Role::Mic] {
        let before = holders(&full, role);
        let kept = holders(&changed, role).intersection(&before).count();
        assert_eq!(kept, 7, "one gave way, the others stayed: {changed:?}");
    }
    for holder in holders(&changed, Role::Camera) {
        let i = (1..12).find(|i| id(&bots[i - 1]) == holder);
        let i = i.expect("somebody of the room");
        viewer
            .sees(holder, palette::color(i), Path::Forward)
            .await
            .unwrap_or_else(|error| panic!("{i} is not seen: {error}"));
    }
    hears(&viewer, Path::Forward, &BTreeSet::from([11])).await;
    bots.insert(0, viewer);
    assert_no_mixup(&bots);
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

fn mute(bot: &Bot, muted: bool) {
    let role = Role::Mic;
    bot.send(ClientMessage::Mute { role, muted })
        .expect("an open WebSocket");
}

/// What a receiver gets is what the sender sent, packet for packet, over half a minute.
#[tokio::test(flavor = "multi_thread")]
async fn forwarding_changes_no_payload() {
    const WATCHED: Duration = Duration::from_secs(30);
    let server = TestServer::with(|config| config.mode = Mode::Sfu).await;
    let join = |i| Bot::join(person(&server, "exact", i, Decode::No).capturing_packets());
    let bots = try_join_all([join(0), join(1)]).await.expect("both join");
    let video = bots[1]
        .incoming(Role::ForwardVideo, 0)
        .expect("a slot for video");
    let first = async {
        let mut first = video.first();
        first
            .wait_for(Option::is_some)
            .await
            .expect("a bot that lives");
    };
    timeout(PATIENCE, first).await.expect("the first picture");
    let frames = bots[0].stats().frames_sent + 15 * WATCHED.as_secs();
    let mut room = bots[1].room();
    let all_sent = async {
        while bots[0].stats().frames_sent < frames {
            // Any news will do: there is some at least ten times a second while somebody speaks.
            let mut notices = bots[1].notices();
            tokio::select! {
                _ = notices.recv() => {}
                _ = room.changed() => {}
            }
        }
    };
    timeout(WATCHED * 2, all_sent).await.expect("half a minute");
    for (uplink, slot) in [
        (Role::Camera, Role::ForwardVideo),
        (Role::Mic, Role::ForwardAudio),
    ] {
        let received = bots[1].incoming(slot, 0).expect("a slot").payloads();
        let sent = bots[0].sent_payloads(uplink);
        assert!(received.len() > 400, "{uplink}: {} packets", received.len());
        unbroken(&sent, &received).unwrap_or_else(|error| {
            panic!("{uplink}: {error} ({} of {})", received.len(), sent.len())
        });
    }
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// One participant has the composite in a forwarding room; the mixer is theirs alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_mixer_for_one() {
    let server = TestServer::with(|config| config.mode = Mode::Sfu).await;
    let mut bots = people(&server, "one", 3).await;
    let phone = person(&server, "one", 3, Decode::Both).viewing(Mode::Mcu);
    let phone = Bot::join(phone).await.expect("the phone joins");
    bots.push(phone);
    for (j, other) in bots.iter().enumerate() {
        bots[3]
            .sees(id(other), palette::color(j), Path::Mix)
            .await
            .unwrap_or_else(|error| panic!("{j} is not in the composite: {error}"));
    }
    hears(&bots[3], Path::Mix, &BTreeSet::from([0, 1, 2])).await;
    everybody_comes_by(Path::Forward, &bots).await;

    bots[3].set_view(None).expect("an open WebSocket");
    bots[3]
        .sees(id(&bots[0]), palette::color(0), Path::Forward)
        .await
        .expect("forwarded like the others");
    bots[3]
        .set_view(Some(Mode::Mcu))
        .expect("an open WebSocket");
    bots[3]
        .sees(id(&bots[0]), palette::color(0), Path::Mix)
        .await
        .expect("the composite again");
    let phone = bots.pop().expect("the phone");
    phone.leave().await.expect("it leaves");
    let gone = stats_when(&server, "one", has_no_mixer).await;
    assert!(gone < at_most(MIXER_STAYS), "the mixer stayed {gone:?}");
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// How long a mixer stays that nobody needs.
const MIXER_STAYS: Duration = Duration::from_secs(2);

/// The mixer and its decoders are gone within two seconds of the last need.
#[tokio::test(flavor = "multi_thread")]
async fn the_mixer_goes_with_its_mode() {
    let server = TestServer::start().await;
    let bots = people(&server, "leave", 4).await;
    for mode in [Mode::Sfu, Mode::P2p] {
        switch(&bots[0], Mode::Mcu);
        stats_when(&server, "leave", |stats| {
            stats["decoders"] == 8 && stats["paths"]["measured"]["outside"] == 8
        })
        .await;
        switch(&bots[0], mode);
        if mode == Mode::P2p {
            // Until then the composite is needed.
            let mut wanted = bots[0].uplinks();
            let direct = wanted.wait_for(|wanted| !wanted);
            timeout(PATIENCE, direct)
                .await
                .expect("everybody is direct")
                .expect("a bot that lives");
        }
        let gone = stats_when(&server, "leave", has_no_mixer).await;
        assert!(gone < at_most(MIXER_STAYS), "{mode:?}: {gone:?}");
    }
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}
