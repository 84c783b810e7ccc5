//! Members of a room, some of whom misbehave, and the composite that the others go on to get.

use std::time::Duration;

use tessera::bots::{Bot, BotConfig, Decode, StreamStats, VideoFormat};
use tessera::codec::VideoCodec;
use tessera::id::Role;
use tokio::time::timeout;

use crate::common::server::{PATIENCE, TestServer, room};

/// A small camera.
pub(crate) fn camera(codec: VideoCodec) -> VideoFormat {
    VideoFormat::sized(codec, 320, 180)
}

/// A member of a room who sends and looks.
pub(crate) async fn member(server: &TestServer, name: &str, i: usize) -> Bot {
    let config = BotConfig::new(&server.url, room(name), format!("Member {i}"))
        .person(i, camera(VideoCodec::Vp8))
        .decoding(if i == 0 { Decode::Video } else { Decode::No });
    Bot::join(config).await.expect("a member joins")
}

/// What has come of the composite.
pub(crate) fn mix_video(bot: &Bot) -> StreamStats {
    let received = bot.stats().received;
    received
        .into_iter()
        .find(|stream| stream.role == Role::MixVideo)
        .expect("a composite")
}

/// Waits until `n` more frames of the composite have come.
pub(crate) async fn frames(bot: &Bot, n: u64) {
    let wanted = mix_video(bot).frames + n;
    let mut poll = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        while mix_video(bot).frames < wanted {
            poll.tick().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("frames go on");
}
