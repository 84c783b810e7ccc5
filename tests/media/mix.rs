//! What people in a mixed room see and hear.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tessera::bots::observe::palette;
use tessera::bots::observe::probe::color;
use tessera::bots::{
    AudioLevels, AudioSource, Bot, BotConfig, Decode, Entry, VideoFormat, VideoSource,
};
use tessera::codec::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::protocol::ClientMessage;
use tessera::protocol::room::{RoomState, UplinkState};

use crate::common::look::{COLOR_ERROR, check_tiles, check_tones, tile};
use crate::common::server::{TestServer, room};

/// Long enough for a tone's level to mean something.
const LISTEN: Duration = Duration::from_millis(600);

/// A small camera, so that many fit on two cores.
fn small(codec: VideoCodec) -> VideoFormat {
    VideoFormat {
        fps: 15,
        ..VideoFormat::sized(codec, 320, 180)
    }
}

/// Of those who say how loud they are six are heard at once; of the others, who have to be decoded to
/// know, all.
fn levels_of(people: usize) -> AudioLevels {
    match people {
        0..=6 => AudioLevels::Said,
        _ => AudioLevels::Unsaid,
    }
}

/// `n` people, each with a colour and a tone of their own; the first two see, all hear.
async fn people(server: &TestServer, name: &str, n: usize) -> Vec<Bot> {
    let joins = (0..n).map(|i| {
        let (decode, codecs) = match i {
            0 => (Decode::Both, vec![VideoCodec::H264, VideoCodec::Vp8]),
            1 => (Decode::Both, vec![VideoCodec::Vp8]),
            _ => (Decode::Audio, vec![VideoCodec::H264]),
        };
        let mut config = BotConfig::new(&server.url, room(name), format!("Person {i}"))
            .person(i, small(VideoCodec::Vp8))
            .decoding(decode)
            .receiving(&codecs);
        // Sixteen of them stay below the limiter's knee.
        config.audio = AudioSource::Tone {
            hz: palette::tone(i) as u32,
            dbfs: -30,
        };
        config.audio_levels = levels_of(n);
        Bot::join(config)
    });
    try_join_all(joins).await.expect("everybody joins")
}

fn id(bot: &Bot) -> ParticipantId {
    bot.id().expect("a WebSocket bot has an id")
}

/// All cameras are live and everybody is heard.
fn is_full_swing(state: &RoomState, n: usize) -> bool {
    let on = state
        .participants
        .iter()
        .filter(|p| p.camera == UplinkState::Live && p.speaking);
    on.count() == n && state.tiles.len() == n
}

/// Each colour stands in its tile and each listener hears every tone but their own.
async fn everybody_is_seen_and_heard(n: usize) {
    // At 40 kbit/s Opus puts its own noise where the listener's tone is missing, 20 dB below the
    // others, at 128 kbit/s 30 dB between two of its bands: enough bits show what the mixer does.
    let server = TestServer::with(|config| config.audio_bitrate = 256_000).await;
    let bots = people(&server, "mix", n).await;
    let state = bots[0]
        .room_when("everybody to be live", |state| is_full_swing(state, n))
        .await
        .unwrap_or_else(|error| panic!("{error}: {:?}", bots[0].room().borrow()));
    let expected: Vec<_> = bots
        .iter()
        .enumerate()
        .map(|(i, bot)| (id(bot), palette::color(i)))
        .collect();
    for bot in bots.iter().take(2) {
        let right = bot
            .picture_when("the right colours", |picture| {
                check_tiles(picture, &state, &expected).is_ok()
            })
            .await;
        if right.is_err() {
            let picture = bot.picture().await.expect("a picture");
            panic!(
                "{}: {:?}",
                bot.name(),
                check_tiles(&picture, &state, &expected)
            );
        }
    }
    let hearing = bots
        .iter()
        .enumerate()
        .map(|(i, bot)| settled_sound(bot, n, i));
    for (i, outcome) in join_all(hearing).await.into_iter().enumerate() {
        if let Err(why) = outcome {
            panic!("person {i} of {n}: {why}");
        }
    }
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// Sound in which every tone but the `own` is heard; the last taken if that never comes to be.
///
/// Somebody who starts to speak hears the first moments of themselves: their own mix exists a
/// few frames after the first of them is in the common one.
async fn settled_sound(bot: &Bot, n: usize, own: usize) -> Result<(), String> {
    let others: Vec<f64> = (0..n).filter(|j| *j != own).map(palette::tone).collect();
    let mut outcome = Ok(());
    for _ in 0..8 {
        let heard = bot.sound(LISTEN).await.expect("sound");
        outcome = check_tones(&heard, &others, &[palette::tone(own)]);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_sees_themselves_and_hears_nothing() {
    everybody_is_seen_and_heard(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people() {
    everybody_is_seen_and_heard(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_people() {
    everybody_is_seen_and_heard(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nine_people() {
    everybody_is_seen_and_heard(9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_people() {
    everybody_is_seen_and_heard(16).await;
}

/// VP8, VP9 and H.264 senders in one room, in sizes that are not their tile's.
#[tokio::test(flavor = "multi_thread")]
async fn every_codec_and_odd_sizes_find_their_tile() {
    let server = TestServer::start().await;
    let formats = [
        VideoFormat::sized(VideoCodec::Vp8, 640, 360),
        VideoFormat::sized(VideoCodec::H264, 480, 270),
        VideoFormat::sized(VideoCodec::Vp9, 320, 180),
    ];
    let joins = formats.into_iter().enumerate().map(|(i, format)| {
        let mut config = BotConfig::new(&server.url, room("codecs"), format!("{:?}", format.codec))
            .person(i, format)
            .decoding(if i == 0 { Decode::Video } else { Decode::No });
        config.capture = tessera::bots::Capture::Ignore;
        Bot::join(config)
    });
    let bots = try_join_all(joins).await.expect("they join");
    let state = bots[0]
        .room_when("three live cameras", |state| is_full_swing(state, 3))
        .await
        .expect("live");
    let expected: Vec<_> = bots
        .iter()
        .enumerate()
        .map(|(i, bot)| (id(bot), palette::color(i)))
        .collect();
    let seen = bots[0]
        .picture_when("three colours", |picture| {
            check_tiles(picture, &state, &expected).is_ok()
        })
        .await;
    if seen.is_err() {
        let picture = bots[0].picture().await.expect("a picture");
        panic!("{:?}", check_tiles(&picture, &state, &expected));
    }
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// One colour is one colour, whatever it is sent and watched as: who watches H.264 and who watches
/// VP8, each taking the samples as a browser does, see it within [`SAME`] of what was sent.
///
/// All differences together are rounding and quantisation: a matrix mixed up on the way moves
/// these colours by 8 to 14.
#[tokio::test(flavor = "multi_thread")]
async fn a_colour_is_the_same_in_every_codec() {
    const SAME: f64 = 4.0;
    let server = TestServer::start().await;
    let codecs = [VideoCodec::Vp8, VideoCodec::H264, VideoCodec::Vp9];
    // Larger than 576 lines, and than their tiles: where GStreamer would guess BT.709.
    let senders = (0..3usize).map(|i| {
        let format = VideoFormat {
            fps: 5,
            ..VideoFormat::sized(codecs[i], 1280, 720)
        };
        let name = format!("{:?}", format.codec);
        let mut config = BotConfig::new(&server.url, room("colour"), name).person(i, format);
        config.capture = tessera::bots::Capture::Ignore;
        Bot::join(config)
    });
    let senders = try_join_all(senders).await.expect("they join");
    let viewers = [VideoCodec::H264, VideoCodec::Vp8].map(|codec| {
        let config = BotConfig::new(&server.url, room("colour"), format!("Sees {codec:?}"));
        Bot::join(config.receiving(&[codec]).decoding(Decode::Video))
    });
    for viewer in try_join_all(viewers).await.expect("they join") {
        let state = viewer
            .room_when("three live cameras", |state| {
                let live = state.participants.iter().map(|p| p.camera);
                live.filter(|camera| *camera == UplinkState::Live).count() == 3
            })
            .await
            .expect("live");
        let error = |picture: &tessera::bots::observe::probe::Picture| {
            let errors = senders.iter().enumerate().map(|(i, sender)| {
                let rect = tile(picture, &state, id(sender)).expect("a tile");
                color::error(picture, rect, palette::color(i)).expect("within the picture")
            });
            errors.collect::<Vec<_>>()
        };
        let seen = viewer
            .picture_when("the colours", |p| error(p).iter().all(|e| *e <= SAME))
            .await;
        let errors = error(&viewer.picture().await.expect("a picture"));
        println!("{}: off by {errors:.1?}", viewer.name());
        seen.unwrap_or_else(|why| panic!("{}: {why}: off by {errors:.1?}", viewer.name()));
        viewer.leave().await.expect("leave");
    }
    join_all(senders.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// A publisher and a player that speak only HTTP and SDP, beside somebody on the WebSocket.
#[tokio::test(flavor = "multi_thread")]
async fn whip_and_whep_see_and_are_seen() {
    let server = TestServer::start().await;
    let base = |name: &str| BotConfig::new(&server.url, room("web"), name);
    let member = Bot::join(
        base("Member")
            .person(0, small(VideoCodec::Vp8))
            .decoding(Decode::Both),
    )
    .await
    .expect("the member joins");
    let publisher = Bot::join(
        base("Publisher")
            .person(1, small(VideoCodec::H264))
            .entering(Entry::Whip),
    )
    .await
    .expect("WHIP");
    let player = Bot::join(base("Player").entering(Entry::Whep).decoding(Decode::Both))
        .await
        .expect("WHEP");
    let state = member
        .room_when("both to be live", |state| {
            is_full_swing(state, 2) || {
                state.participants.iter().filter(|p| p.speaking).count() == 2
                    && state.tiles.len() == 2
            }
        })
        .await
        .expect("both are live");
    let publishing = state
        .participants
        .iter()
        .find(|p| p.name == "Publisher")
        .expect("listed");
    let expected = [
        (id(&member), palette::color(0)),
        (publishing.id, palette::color(1)),
    ];
    for bot in [&member, &player] {
        bot.picture_when("both colours", |picture| {
            check_tiles(picture, &state, &expected).is_ok()
        })
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", bot.name()));
    }
    let tones = palette::tones(2);
    let heard = player.sound(LISTEN).await.expect("sound");
    check_tones(&heard, &tones, &[]).expect("the player hears both");
    settled_sound(&member, 2, 0)
        .await
        .expect("the member hears the publisher");

    player.leave().await.expect("DELETE ends a WHEP session");
    publisher.leave().await.expect("DELETE ends a WHIP session");
    member
        .room_when("only the member", |state| {
            state.participants.len() == 1 && state.tiles.len() == 1
        })
        .await
        .expect("they are gone");
    member.leave().await.expect("leave");
    server.stop().await;
}

/// Of eight who say how loud they are and do not stop, six are decoded, and so heard.
#[tokio::test(flavor = "multi_thread")]
async fn six_are_heard_of_eight_who_talk_at_once() {
    let server = TestServer::start().await;
    let joins = (0..8).map(|i| {
        let mut config = BotConfig::new(&server.url, room("talk"), format!("Talker {i}"));
        config.audio = AudioSource::Tone {
            hz: palette::tone(i) as u32,
            dbfs: -30,
        };
        Bot::join(config.decoding(if i == 0 { Decode::Audio } else { Decode::No }))
    });
    let bots = try_join_all(joins).await.expect("they join");
    let speaking = |state: &RoomState| state.participants.iter().filter(|p| p.speaking).count();
    bots[0]
        .room_when("six to be heard", |state| speaking(state) == 6)
        .await
        .expect("six are heard");
    let heard = bots[0].sound(LISTEN).await.expect("sound");
    let tones = (0..8).filter(|i| check_tones(&heard, &[palette::tone(*i)], &[]).is_ok());
    // The listener may be one of the six.
    let tones = tones.count();
    assert!((5..=6).contains(&tones), "{tones} tones");
    let state = bots[0].room().borrow().clone().expect("a room");
    assert_eq!(speaking(&state), 6);
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// Sixteen people at full scale: the mix is loud, and does not clip.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_shouting_people_do_not_clip() {
    let server = TestServer::start().await;
    let joins = (0..16).map(|i| {
        let mut config = BotConfig::new(&server.url, room("loud"), format!("Shouter {i}"));
        config.audio = AudioSource::Tone {
            hz: palette::tone(i) as u32,
            dbfs: -1,
        };
        config.audio_levels = levels_of(16);
        Bot::join(config.decoding(if i == 0 { Decode::Audio } else { Decode::No }))
    });
    let bots = try_join_all(joins).await.expect("they join");
    bots[0]
        .room_when("all to be heard", |state| {
            state.participants.iter().filter(|p| p.speaking).count() == 16
        })
        .await
        .expect("all are heard");
    let heard = bots[0].sound(Duration::from_millis(1200)).await;
    // The first frames of an encoder that begins in the middle of a shout are its worst.
    let peak = heard
        .expect("sound")
        .iter()
        .skip(48_000 / 5)
        .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    // The limiter's ceiling is 0.75; the codec adds up to 2 dB of its own.
    assert!((0.4..0.99).contains(&peak), "peak {peak}");
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}

/// No camera, a muted one, and one that stops: an avatar each, and the picture again after.
#[tokio::test(flavor = "multi_thread")]
async fn people_without_a_picture_have_an_avatar() {
    let server = TestServer::start().await;
    let viewer = BotConfig::new(&server.url, room("faces"), "Vera").decoding(Decode::Video);
    let viewer = Bot::join(BotConfig {
        audio: AudioSource::Silence,
        ..viewer
    })
    .await
    .expect("join");
    let colour = palette::color(3);
    let sender = Bot::join(
        BotConfig::new(&server.url, room("faces"), "Sam").person(3, small(VideoCodec::Vp8)),
    )
    .await
    .expect("join");
    let who = id(&sender);
    let shows = |state: &RoomState, picture: &tessera::bots::observe::probe::Picture| {
        let rect = tile(picture, state, who).expect("a tile");
        color::error(picture, rect, colour).expect("within the picture") < COLOR_ERROR
    };
    let state = viewer
        .room_when("two tiles", |state| state.tiles.len() == 2)
        .await
        .expect("tiles");
    assert_eq!(viewer.id(), Some(state.participants[0].id));
    assert_eq!(state.participants[0].camera, UplinkState::None);
    viewer
        .picture_when("the colour", |p| shows(&state, p))
        .await
        .expect("seen");

    let mute = |muted| ClientMessage::Mute {
        role: Role::Camera,
        muted,
    };
    sender.send(mute(true)).expect("sent");
    viewer
        .picture_when("the avatar", |p| !shows(&state, p))
        .await
        .expect("avatar");
    sender.send(mute(false)).expect("sent");
    viewer
        .picture_when("the colour again", |p| shows(&state, p))
        .await
        .expect("seen again");
    join_all([viewer, sender].map(Bot::leave)).await;
    server.stop().await;
}

/// The screen of a participant is a tile of its own, and the film moves in every tile.
#[tokio::test(flavor = "multi_thread")]
async fn film_moves_in_every_tile() {
    let server = TestServer::start().await;
    let joins = (0..3u64).map(|i| {
        let mut config = BotConfig::new(&server.url, room("film"), format!("Film {i}"));
        config.video = VideoSource::Film {
            format: VideoFormat::sized(VideoCodec::Vp8, 640, 360),
            offset: Duration::from_secs(i),
        };
        config.audio = AudioSource::Film;
        Bot::join(config.decoding(if i == 0 { Decode::Both } else { Decode::No }))
    });
    let bots = try_join_all(joins).await.expect("they join");
    let state = bots[0]
        .room_when("three live cameras", |state| {
            let live = state
                .participants
                .iter()
                .filter(|p| p.camera == UplinkState::Live);
            live.count() == 3 && state.tiles.len() == 3
        })
        .await
        .expect("live");
    let pictures = bots[0].pictures(45).await.expect("pictures");
    let people: Vec<_> = bots.iter().map(id).collect();
    let moved = (0..30).any(|from| {
        crate::common::look::check_motion(&pictures[from], &pictures[from + 15], &state, &people)
            .is_ok()
    });
    assert!(
        moved,
        "half a second apart, something has moved in every tile"
    );
    join_all(bots.into_iter().map(Bot::leave)).await;
    server.stop().await;
}
