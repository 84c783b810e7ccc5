//! What one participant's packets cannot do to the server, and so to the others.

use procfs::process::Process;
use tessera::bots::observe::palette;
use tessera::bots::{Bot, BotConfig, CorruptMode, Decode, Path, VideoFormat};
use tessera::codec::VideoCodec;
use tokio::time::timeout;

use crate::common::server::{PATIENCE, TestServer, room};
use crate::members::{frames, member, mix_video};

/// Resident set, MiB.
fn memory() -> u64 {
    let status = Process::myself().and_then(|process| process.status());
    status.expect("/proc/self").vmrss.expect("vmrss") / 1024
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Transport-wide feedback of 42 bytes that tells of 65,535 packets, none of which has arrived.
fn feedback_of_many() -> Vec<u8> {
    let head = words(&[0x8fcd_0009, 7, 7, 0x0000_ffff, 0]);
    let runs = [0x1f, 0xff].repeat(10);
    [head, runs].concat()
}

/// A room's decoder that is given nothing but noise asks for a keyframe, in every codec and whatever
/// its depayloader thinks of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_that_is_given_noise_asks_for_a_keyframe() {
    let server = TestServer::start().await;
    for codec in [VideoCodec::Vp8, VideoCodec::Vp9, VideoCodec::H264] {
        let config = BotConfig::new(&server.url, room("noise"), "Noise")
            .person(1, VideoFormat::sized(codec, 320, 180))
            .decoding(Decode::Video);
        let bot = Bot::join(config).await.expect("join");
        let color = palette::color(1);
        let who = bot.id().expect("an id");
        bot.sees(who, color, Path::Mix).await.expect("it is shown");
        let mut requests = bot.key_requests().expect("a camera");
        requests.mark_unchanged();
        bot.corrupt(CorruptMode::Noise).expect("a camera");
        let asked = timeout(PATIENCE, requests.changed()).await;
        asked.expect("nobody asks").expect("it sends");
        bot.leave().await.expect("leave");
    }
    server.stop().await;
}

/// Feedback is as cheap as it is small: what it tells of costs the server neither time nor memory,
/// and the others have the composite as before.
#[tokio::test(flavor = "multi_thread")]
async fn feedback_that_tells_of_more_than_was_sent_costs_nobody_a_frame() {
    let server = TestServer::start().await;
    let honest = member(&server, "feedback", 0).await;
    let config = BotConfig::new(&server.url, room("feedback"), "Mallory").telling_arrivals();
    let hostile = Bot::join(config).await.expect("join");
    frames(&hostile, 10).await;
    frames(&honest, 30).await;
    honest.reset_stats();
    let before = memory();
    hostile.append_rtcp(feedback_of_many().repeat(2));
    // Some seconds, in each of which the server is told ten times.
    frames(&honest, 60).await;
    let after = memory();
    assert_eq!(mix_video(&honest).lost, 0);
    assert!(after < before + 60, "{before} MiB -> {after} MiB");
    hostile.leave().await.expect("leave");
    honest.leave().await.expect("leave");
    server.stop().await;
}
