//! The measuring instruments measured: bots that look at themselves through a server that only
//! reflects.

mod modes;

use std::time::Duration;

use gst::prelude::*;
use tessera::bots::observe::palette;
use tessera::bots::observe::probe::Picture;
use tessera::bots::observe::probe::timecode::TimeCode;
use tessera::bots::{
    Bot, BotConfig, BotsOptions, CorruptMode, Decode, Entry, Path, VideoFormat, VideoSource,
};
use tessera::bots::{VideoKind, ages_in};
use tessera::bots::{demo, run};
use tessera::codec::VideoCodec;
use tessera::id::{Role, RoomId};
use tessera::layout::Size;

use crate::common::look::{assert_tiles, assert_tones, check_motion, check_tiles, check_tones};
use crate::common::reflector::{Ending, Reflector};

fn config(server: &Reflector, name: &str) -> BotConfig {
    BotConfig::new(&server.url, RoomId::new("mirror").unwrap(), name).decoding(Decode::Both)
}

/// A bot sees its own colour and hears its own tone, in every codec, and would notice another's.
async fn looks_into_the_mirror(codec: VideoCodec, person: usize) {
    let mut server = Reflector::start().await;
    let config = config(&server, "Ann")
        .person(person, VideoFormat::new(codec))
        .receiving(&[VideoCodec::H264, VideoCodec::Vp8, VideoCodec::Vp9]);
    let bot = Bot::join(config).await.unwrap();
    bot.connected().await.unwrap();
    let first = bot.first_picture().await.unwrap();
    assert!(first > Duration::ZERO);
    let own = bot.id().unwrap();
    let room = bot
        .room_when("tile", |room| room.tiles.len() == 1)
        .await
        .unwrap();

    let picture = bot.picture().await.unwrap();
    assert_eq!((picture.width, picture.height), (640, 360));
    assert_tiles(&picture, &room, &[(own, palette::color(person))]);
    let other = palette::color(person + 1);
    check_tiles(&picture, &room, &[(own, other)]).expect_err("another's colour passed");

    let sound = bot.sound(Duration::from_millis(600)).await.unwrap();
    let (own, others) = (palette::tone(person), &palette::tones(25)[person + 1..]);
    assert_tones(&sound, &[own], others);
    check_tones(&sound, &[own, others[0]], &[]).expect_err("a tone that is not there passed");
    check_tones(&sound, &[], &[own]).expect_err("a tone that is there passed");

    let stats = bot.stats();
    let [audio, video] = &stats.received[..] else {
        panic!("two m-lines come in: {stats:?}");
    };
    assert!(audio.packets > 25 && audio.decoded > 25, "{stats:?}");
    assert!(video.keyframes >= 1 && video.decoded > 10, "{stats:?}");
    bot.leave().await.unwrap();
    assert_eq!(server.endings.recv().await, Some(Ending::Left));
}

#[tokio::test(flavor = "multi_thread")]
async fn vp8_comes_back_as_it_went() {
    looks_into_the_mirror(VideoCodec::Vp8, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_comes_back_as_it_went() {
    looks_into_the_mirror(VideoCodec::H264, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vp9_comes_back_as_it_went() {
    looks_into_the_mirror(VideoCodec::Vp9, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_code_tells_the_way_there_and_back() {
    let server = Reflector::start().await;
    let mut config = config(&server, "Ann");
    config.video = VideoSource::TimeCode {
        format: VideoFormat::new(VideoCodec::Vp8),
        phase: 1,
    };
    let bot = Bot::join(config).await.unwrap();
    bot.first_picture().await.unwrap();
    let room = bot
        .room_when("tile", |room| room.tiles.len() == 1)
        .await
        .unwrap();
    let pictures = bot.pictures(30).await.unwrap();
    let ages: Vec<_> = pictures.iter().flat_map(|p| ages_in(p, &room)).collect();
    assert!(ages.len() >= 27, "{} of 30 codes were read", ages.len());
    for age in &ages {
        // Never 0: it is encoded, sent twice and decoded. A wrong reading would be minutes.
        assert!((1..5_000).contains(&age.as_millis()), "{age:?}");
    }
    bot.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn film_moves_and_a_colour_does_not() {
    let server = Reflector::start().await;
    let format = VideoFormat::sized(VideoCodec::H264, 320, 180);
    let offset = Duration::from_secs(1);
    let mut film = config(&server, "Film");
    film.video = VideoSource::Film { format, offset };
    let color = config(&server, "Color").person(3, format);
    for (config, moves) in [(film, true), (color, false)] {
        let bot = Bot::join(config).await.unwrap();
        bot.first_picture().await.unwrap();
        let room = bot
            .room_when("tile", |room| room.tiles.len() == 1)
            .await
            .unwrap();
        let pictures = bot.pictures(25).await.unwrap();
        let own = bot.id().unwrap();
        let seen = check_motion(&pictures[0], &pictures[24], &room, &[own]);
        assert_eq!(seen.is_ok(), moves, "{seen:?}");
        bot.leave().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn corruption_arrives() {
    let server = Reflector::start().await;
    let format = VideoFormat::new(VideoCodec::Vp8);
    let bot = Bot::join(config(&server, "Ann").person(0, format))
        .await
        .unwrap();
    bot.first_picture().await.unwrap();
    let room = bot
        .room_when("tile", |room| room.tiles.len() == 1)
        .await
        .unwrap();
    let own = (bot.id().unwrap(), palette::color(0));
    assert_tiles(&bot.picture().await.unwrap(), &room, &[own]);
    let mut requests = bot.key_requests().unwrap();
    requests.mark_unchanged();
    bot.corrupt(CorruptMode::Noise).unwrap();
    // The receiver, given only noise, asks for a keyframe.
    let asked = tokio::time::timeout(Duration::from_secs(10), requests.changed()).await;
    asked.expect("the noise did no harm").unwrap();
    bot.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_killed_vanish() {
    let mut server = Reflector::start().await;
    let format = VideoFormat::new(VideoCodec::Vp8);
    let bot = Bot::join(config(&server, "Ann").person(0, format))
        .await
        .unwrap();
    bot.first_picture().await.unwrap();
    bot.kill().await;
    assert_eq!(server.endings.recv().await, Some(Ending::Vanished));
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_slots_are_negotiated_and_stay_empty() {
    let server = Reflector::start().await;
    let format = VideoFormat::new(VideoCodec::Vp8);
    let config = config(&server, "Ann")
        .person(0, format)
        .entering(Entry::WebSocket { forward_slots: 2 });
    let bot = Bot::join(config).await.unwrap();
    bot.first_picture().await.unwrap();
    for role in [Role::ForwardAudio, Role::ForwardVideo] {
        for n in 0..2 {
            let slot = bot.incoming(role, n).unwrap();
            assert!(slot.mid().is_some());
            assert_eq!(slot.stats().packets, 0);
        }
        assert!(bot.incoming(role, 2).is_err());
    }
    bot.leave().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_reports_what_its_bots_saw() {
    let mut server = Reflector::start().await;
    let report = run(BotsOptions {
        server: server.url.clone(),
        room: RoomId::new("mirror").unwrap(),
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
        decode: 1,
        speakers: 1,
        mode: None,
        forward_slots: None,
        relay: false,
    })
    .await
    .unwrap();
    let [reader, counter] = &report.bots[..] else {
        panic!("two bots: {report}");
    };
    // One tile a picture; 20 pictures a second, some of which a busy machine may drop.
    let latency = reader.latency_ms.unwrap();
    assert!((10..=25).contains(&latency.count), "{report}");
    assert_eq!(counter.latency_ms, None);
    let [mix] = &report.paths[..] else {
        panic!("one way: {report}");
    };
    assert_eq!((mix.path, mix.latency_ms), (Path::Mix, report.latency_ms));
    assert_eq!(mix.streams, 4, "sound and video of each: {report}");
    assert_eq!(report.join_ms.unwrap().count, 2);
    for bot in [reader, counter] {
        let video = bot.received.iter().find(|s| s.role == Role::MixVideo);
        assert!(
            video.unwrap().frames >= 10 && bot.sent_bps > 10e3,
            "{report}"
        );
    }
    serde_json::to_string(&report).unwrap();
    for _ in 0..2 {
        assert_eq!(server.endings.recv().await, Some(Ending::Left));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_people_of_the_demo_send_film_and_speech() {
    let server = Reflector::start().await;
    let room = RoomId::new("demo").unwrap();
    let bots = demo(&server.url, &room).await.unwrap();
    let names: Vec<_> = bots.iter().map(|bot| bot.name()).collect();
    assert_eq!(names, ["Ada", "Ben", "Cleo"]);
    for bot in &bots {
        bot.connected().await.unwrap();
        bot.sent(10).await.unwrap();
        let stats = bot.stats();
        assert!(stats.received.is_empty(), "{stats:?}");
        assert!(stats.video_bytes_sent > 1_000, "{stats:?}");
    }
    for bot in bots {
        bot.leave().await.unwrap();
    }
}

/// Time codes of 90 frames through VP8 at `bitrate`, scaled to `width` x `height`.
fn coded(bitrate: u32, width: u32, height: u32) -> Vec<(TimeCode, Picture)> {
    gst::init().unwrap();
    let launch = format!(
        "appsrc name=in format=time \
         caps=video/x-raw,format=I420,width=640,height=360,framerate=30/1 \
         ! vp8enc deadline=1 cpu-used=8 target-bitrate={bitrate} end-usage=cbr threads=1 \
         keyframe-max-dist=30 ! vp8dec ! videoscale ! video/x-raw,width={width},height={height} \
         ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&launch).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let source = pipeline
        .by_name("in")
        .unwrap()
        .downcast::<gst_app::AppSrc>()
        .unwrap();
    let sink = pipeline
        .by_name("out")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut codes = Vec::new();
    for i in 0..90u64 {
        // As a live source has them: some 33 ms apart, and none like the last.
        let at = Duration::from_millis(777_000 + i * 33 + i % 2);
        let mut picture = Picture::solid(640, 360, [64, 80, 112]);
        TimeCode::at(at).draw(&mut picture);
        codes.push(TimeCode::at(at));
        let mut buffer = gst::Buffer::from_slice(picture.planes().concat());
        let pts = gst::ClockTime::from_mseconds(i * 1000 / 30);
        buffer.get_mut().unwrap().set_pts(pts);
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let seen = codes.into_iter().map(|code| {
        let sample = sink.pull_sample().unwrap();
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let plane = |i: usize| (&map[info.offset()[i]..], info.stride()[i] as usize);
        let planes = [plane(0), plane(1), plane(2)];
        let picture = Picture::from_planes(width, height, planes, Duration::ZERO, 1).unwrap();
        (code, picture)
    });
    let seen = seen.collect();
    pipeline.set_state(gst::State::Null).unwrap();
    seen
}

#[test]
fn the_time_code_survives_a_low_bitrate_and_half_the_size() {
    for (code, picture) in coded(150_000, 320, 180) {
        assert_eq!(TimeCode::read(&picture, picture.bounds()), Some(code));
    }
}

#[test]
fn the_time_code_is_never_misread_when_it_cannot_be_read() {
    // Cells of under two pixels: unreadable, and known to be.
    let read: Vec<_> = coded(60_000, 32, 18)
        .into_iter()
        .filter_map(|(code, picture)| Some((code, TimeCode::read(&picture, picture.bounds())?)))
        .collect();
    assert!(read.len() < 90, "the picture was not spoilt at all");
    for (code, got) in read {
        assert_eq!(got, code);
    }
}
