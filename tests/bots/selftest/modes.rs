//! What bots need of forwarding and of a mesh, without a server that does either.

use std::ops::Range;
use std::time::Duration;

use tessera::bots::VideoKind;
use tessera::bots::observe::packet_capture::unbroken;
use tessera::bots::observe::palette;
use tessera::bots::run;
use tessera::bots::{
    AudioSource, Bot, BotConfig, BotError, BotsOptions, Mesh, Path, VideoFormat, VideoSource, clock,
};
use tessera::codec::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::layout::Size;
use tessera::protocol::{ClientMessage, ServerMessage};
use tessera::topology::Mode;
use tokio::time::timeout;

use super::config;
use crate::common::bars::at_most;
use crate::common::reflector::{Extensions, Reflector};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Longer than anything may be missing while paths change.
const LONGEST_GAP: Duration = Duration::from_millis(500);

/// What a dBov level looks like where somebody speaks: the V bit and the level.
const VOICE: u8 = 0x80;

/// The `i`-th person, in VP8.
fn person(server: &Reflector, i: usize) -> BotConfig {
    let format = VideoFormat::sized(VideoCodec::Vp8, 320, 180);
    config(server, &format!("Bot {i}"))
        .person(i, format)
        .receiving(&[VideoCodec::Vp8])
}

async fn join(config: BotConfig) -> Bot {
    let bot = Bot::join(config).await.unwrap();
    bot.connected().await.unwrap();
    bot
}

/// Whether somebody's tone comes by that way.
async fn hears(bot: &Bot, person: usize, path: Path) {
    let since = clock::now();
    let mut changes = bot.observer().changes();
    let heard = changes.wait_for(|_| {
        let sounds = bot.observer().sounds();
        let mut newest = sounds.iter().rev().take_while(|s| s.start >= since);
        newest.any(|s| s.origin.path == path && s.tones == 1 << person)
    });
    timeout(PATIENCE, heard).await.expect("no sound").unwrap();
}

/// From an instant to one up to which all sound must have come.
async fn until_settled(from: Duration, bot: &Bot, person: usize, path: Path) -> Range<Duration> {
    hears(bot, person, path).await;
    let end = clock::now();
    // What sounds now has been heard once something later has.
    hears(bot, person, path).await;
    from..end
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_are_whose_their_packets_say() {
    let server = Reflector::start().await;
    let ann = join(person(&server, 0)).await;
    let bob = join(person(&server, 1)).await;
    let eve = join(person(&server, 2).with_slots(2)).await;
    let people: Vec<_> = [&ann, &bob, &eve].map(|bot| bot.id().unwrap()).into();
    eve.sees(people[2], palette::color(2), Path::Mix)
        .await
        .unwrap();
    let start = clock::now();
    // To and fro, to see changes of participant in one slot.
    for who in [0, 1, 0] {
        server.forward(people[2], 0, Some(people[who]));
        let (id, rgb) = (people[who], palette::color(who));
        eve.sees(id, rgb, Path::Forward).await.unwrap();
        hears(&eve, who, Path::Forward).await;
        let slots = eve.slots_when("slots", |s| s.mode == Mode::Sfu).await;
        let slots = slots.unwrap().slots;
        let roles = slots.iter().map(|slot| slot.role).collect::<Vec<_>>();
        let (mic, camera) = (Some(Role::Mic), Some(Role::Camera));
        assert_eq!(roles, [mic, None, camera, None]);
        let line = eve.incoming(Role::ForwardVideo, 0).unwrap();
        assert_eq!(line.mid(), Some(&slots[2].mid));
        assert_eq!(line.newest_from(), Some(id));
        let picture = line.pictures().borrow().clone().unwrap();
        assert_eq!(picture.from, Some(id));
    }
    let people: Vec<_> = people.into_iter().zip(0..).collect();
    let during = start..clock::now();
    let wrong = eve.observer().mixups(&people, during.clone());
    assert_eq!(wrong, [], "frames of a change went to the wrong one");
    assert_eq!(eve.observer().unattributed(), 0);
    // The instrument sees what is not there: Ann is not Bob's colour.
    let swapped = [(people[0].0, 1), (people[1].0, 0)];
    assert!(!eve.observer().mixups(&swapped, during).is_empty());
    for role in [Role::ForwardAudio, Role::ForwardVideo] {
        assert_eq!(eve.incoming(role, 1).unwrap().stats().packets, 0);
        assert!(eve.incoming(role, 0).unwrap().stats().decoded > 2);
    }
    for bot in [ann, bob, eve] {
        bot.leave().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payloads_of_a_forward_are_those_that_were_sent() {
    let server = Reflector::start().await;
    let mut sender = person(&server, 0).capturing_packets();
    // No two frames are alike.
    sender.video = VideoSource::TimeCode {
        format: VideoFormat::new(VideoCodec::Vp8),
        phase: 0,
    };
    let ann = join(sender).await;
    let bob = join(person(&server, 1).with_slots(1).capturing_packets()).await;
    server.forward(bob.id().unwrap(), 0, ann.id());
    for (sent, received) in [
        (Role::Mic, Role::ForwardAudio),
        (Role::Camera, Role::ForwardVideo),
    ] {
        let line = bob.incoming(received, 0).unwrap();
        let mut changes = bob.observer().changes();
        let packets = changes.wait_for(|_| line.payloads().len() >= 100);
        timeout(PATIENCE, packets).await.unwrap().unwrap();
        let got = line.payloads();
        let sent = ann.sent_payloads(sent);
        unbroken(&sent, &got).unwrap();
        assert!(got.iter().all(|payload| payload.from == ann.id()));
        // And it would be seen if they were not.
        let mut broken = got.clone();
        broken.remove(50);
        unbroken(&sent, &broken).unwrap_err();
    }
    let latency = bob.observer().latency(Path::Forward).unwrap();
    assert!(latency.count > 10 && latency.p50 < 5_000.0, "{latency}");
    ann.leave().await.unwrap();
    bob.leave().await.unwrap();
}

/// The levels that come with somebody's packets, once there are enough.
async fn levels(server: &Reflector, bot: &Bot) -> Vec<Option<u8>> {
    bot.sent(50).await.unwrap();
    let mut changes = bot.observer().changes();
    // Sound comes back only after the reflector has noted it.
    let heard = changes.wait_for(|_| server.levels(bot.id().unwrap()).len() >= 25);
    timeout(PATIENCE, heard).await.unwrap().unwrap();
    server.levels(bot.id().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_say_how_loud_they_are() {
    let server = Reflector::start().await;
    let loud = join(person(&server, 0)).await;
    let heard = levels(&server, &loud).await;
    // A sine's level is 3 dB below its peak, which is at -24.
    let fits = |level: &Option<u8>| level.is_some_and(|l| (VOICE | 26..=VOICE | 28).contains(&l));
    assert!(heard.iter().all(fits), "{heard:?}");
    let mut silent = person(&server, 1);
    silent.audio = AudioSource::Silence;
    let silent = join(silent).await;
    let heard = levels(&server, &silent).await;
    assert!(heard.iter().all(|level| *level == Some(127)), "{heard:?}");

    let refusing = Reflector::with(Extensions::Refused).await;
    let loud = join(person(&refusing, 0)).await;
    let heard = levels(&refusing, &loud).await;
    assert!(heard.iter().all(Option::is_none), "{heard:?}");
}

/// Waits until nothing more is sent. A picture may be on its way when the bot is told.
async fn rests(bot: &Bot) {
    let sent = || (bot.stats().frames_sent, bot.stats().packets_sent);
    let rest = async {
        let mut before = None;
        while before != Some(sent()) {
            before = Some(sent());
            // Several pictures and more than ten packets of sound.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let rest = timeout(PATIENCE, rest).await;
    rest.expect("it stops sending");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_wanted_is_not_sent() {
    let mut server = Reflector::start().await;
    let bot = join(person(&server, 0).viewing(Mode::Sfu)).await;
    let own = bot.id().unwrap();
    let room = bot.room_when("room", |_| true).await.unwrap();
    assert_eq!(room.participants[0].view, Some(Mode::Sfu));
    bot.first_picture().await.unwrap();
    server.say(own, ServerMessage::Uplinks { wanted: false });
    let mut wanted = bot.uplinks();
    wanted.wait_for(|wanted| !wanted).await.unwrap();
    rests(&bot).await;
    server.say(own, ServerMessage::Uplinks { wanted: true });
    let keyframes = bot.incoming(Role::MixVideo, 0).unwrap().stats().keyframes;
    bot.sees(own, palette::color(0), Path::Mix).await.unwrap();
    let stats = bot.incoming(Role::MixVideo, 0).unwrap().stats();
    assert!(stats.keyframes > keyframes, "{stats:?}");
    bot.set_view(None).unwrap();
    let asked = timeout(PATIENCE, server.heard.recv()).await.unwrap();
    assert_eq!(asked, Some((own, ClientMessage::View { mode: None })));
}

/// The members from whom a bot receives directly.
async fn meshed(bot: &Bot, with: &[ParticipantId]) {
    bot.meshed_when("mesh", |now| now == with).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_comes_and_goes_without_a_gap() {
    let mut server = Reflector::start().await;
    let mut bots = Vec::new();
    for i in 0..3 {
        bots.push(join(person(&server, i)).await);
    }
    let ids: Vec<_> = bots.iter().map(|bot| bot.id().unwrap()).collect();
    bots[1].set_mode(Mode::P2p).unwrap();
    for (i, bot) in bots.iter().enumerate() {
        let others: Vec<_> = ids.iter().copied().filter(|id| *id != ids[i]).collect();
        meshed(bot, &others).await;
        for (j, id) in ids.iter().enumerate().filter(|(j, _)| *j != i) {
            bot.sees(*id, palette::color(j), Path::Mesh).await.unwrap();
            hears(bot, j, Path::Mesh).await;
        }
        let stats = bot.stats();
        let with: Vec<_> = stats.mesh.iter().map(|link| link.with).collect();
        assert_eq!(with, others);
        for link in &stats.mesh {
            assert!(link.frames_sent > 0 && link.packets_sent > 0, "{link:?}");
            let [mic, camera, screen] = &link.received[..] else {
                panic!("{link:?}");
            };
            assert!(mic.decoded > 0 && camera.decoded > 0, "{link:?}");
            assert_eq!((camera.path, camera.from), (Path::Mesh, Some(link.with)));
            assert_eq!(screen.packets, 0);
        }
    }
    // Everybody has told the server.
    let mut told = std::collections::BTreeMap::new();
    while told
        .values()
        .filter(|with: &&Vec<_>| with.len() == 2)
        .count()
        < 3
    {
        let heard = timeout(PATIENCE, server.heard.recv()).await.unwrap();
        if let Some((who, ClientMessage::Mesh { receiving })) = heard {
            told.insert(who, receiving);
        }
    }
    // It goes on while the server serves nobody any more.
    for id in &ids {
        server.say(*id, ServerMessage::Uplinks { wanted: false });
    }
    let start = clock::now();
    let during = until_settled(start, &bots[2], 0, Path::Mesh).await;
    let people: Vec<_> = ids.iter().copied().zip(0..).collect();
    for bot in &bots {
        let wrong = bot.observer().mixups(&people, Duration::ZERO..clock::now());
        assert_eq!(wrong, []);
    }
    let observer = bots[2].observer();
    for person in [0, 1] {
        let gap = observer.unheard(person, during.clone());
        assert!(gap.length < at_most(LONGEST_GAP), "{gap:?}");
        let rgb = palette::color(person);
        let gap = observer.unseen(ids[person], rgb, during.clone());
        assert!(gap.length < at_most(LONGEST_GAP), "{gap:?}");
    }
    // Back: the mesh ends when the server delivers again, and not before.
    bots[0].set_mode(Mode::Mcu).unwrap();
    for bot in &bots {
        bot.room_when("mcu", |room| room.mode == Mode::Mcu)
            .await
            .unwrap();
        assert_eq!(bot.stats().mesh.len(), 2);
    }
    for id in &ids {
        server.say(*id, ServerMessage::Uplinks { wanted: true });
    }
    for bot in &bots {
        let mut changes = bot.observer().changes();
        let ended = changes.wait_for(|_| bot.stats().mesh.is_empty());
        timeout(PATIENCE, ended).await.unwrap().unwrap();
    }
    for bot in bots {
        bot.leave().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_takes_in_newcomers_and_lets_go_of_the_killed() {
    let server = Reflector::start().await;
    let ann = join(person(&server, 0)).await;
    ann.set_mode(Mode::P2p).unwrap();
    let bob = join(person(&server, 1)).await;
    meshed(&ann, &[bob.id().unwrap()]).await;
    let mut outsider = person(&server, 2);
    outsider.mesh = Mesh::Ignore;
    let outsider = join(outsider).await;
    let eve = join(person(&server, 3)).await;
    meshed(&eve, &[ann.id().unwrap(), bob.id().unwrap()]).await;
    meshed(&ann, &[bob.id().unwrap(), eve.id().unwrap()]).await;
    // As long as somebody is not in it, a page would play none of it.
    let newest = ann.observer().detections(eve.id().unwrap());
    assert!(
        newest.iter().all(|detection| !detection.played),
        "{newest:?}"
    );
    assert!(outsider.stats().mesh.is_empty());
    assert!(matches!(
        outsider.mesh_incoming(ann.id().unwrap()),
        Err(BotError::NotConfigured(_))
    ));
    bob.kill().await;
    outsider.leave().await.unwrap();
    meshed(&ann, &[eve.id().unwrap()]).await;
    let (who, rgb) = (eve.id().unwrap(), palette::color(3));
    ann.sees(who, rgb, Path::Mesh).await.unwrap();
    ann.leave().await.unwrap();
    eve.leave().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_reports_a_mesh() {
    let server = Reflector::start().await;
    let report = run(BotsOptions {
        server: server.url.clone(),
        room: "mirror".parse().unwrap(),
        count: 2,
        seconds: 1,
        video: VideoKind::Timecode,
        codec: VideoCodec::Vp8,
        size: Size {
            width: 320,
            height: 180,
        },
        fps: 20,
        receive: vec![VideoCodec::Vp8],
        decode: 2,
        speakers: 1,
        mode: Some(Mode::P2p),
        forward_slots: None,
        relay: false,
    })
    .await
    .unwrap();
    assert_eq!(report.mode, Mode::P2p);
    let paths: Vec<_> = report.paths.iter().map(|path| path.path).collect();
    assert_eq!(paths, [Path::Mix, Path::Mesh], "{report}");
    let mesh = &report.paths[1];
    assert_eq!(mesh.streams, 4, "{report}");
    // Of 40, some of which a busy machine may drop.
    assert!(mesh.frames >= 10 && mesh.bytes > 5_000, "{report}");
    let latency = mesh.latency_ms.unwrap();
    assert!(latency.count >= 10 && latency.p50 > 0.0, "{report}");
    assert!(report.to_string().contains("by mesh:"), "{report}");
}
