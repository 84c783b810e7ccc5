//! The three people a newcomer finds in the demo room.

use std::time::Duration;

use crate::bots::config::{BotConfig, NetworkInterface, Receive};
use crate::bots::error::BotError;
use crate::bots::session::bot::Bot;
use crate::bots::source::settings::{AudioSource, VideoFormat, VideoSource, Voice};
use crate::codec::VideoCodec;
use crate::id::RoomId;

/// Joins three bots. Each plays the film from another offset and speaks when it is its turn. They
/// receive nothing, and stay until they are dropped or told to leave. They use every network
/// interface: the server's media may be on any, and so may the browsers that they meet in mode
/// `p2p`.
///
/// # Errors
/// That of the first bot that cannot join.
pub async fn demo(server: &str, room: &RoomId) -> Result<Vec<Bot>, BotError> {
    let people = [
        ("Ada", Voice::Ada),
        ("Ben", Voice::Ben),
        ("Cleo", Voice::Cleo),
    ];
    let mut bots = Vec::with_capacity(people.len());
    for (offset, (name, voice)) in (0u32..).zip(people) {
        let mut config = BotConfig::new(server, room.clone(), name);
        config.interface = Some(NetworkInterface::All);
        config.video = VideoSource::Film {
            format: VideoFormat::new(VideoCodec::Vp8),
            offset: Duration::from_millis(1_700) * offset,
        };
        config.audio = AudioSource::Speech(voice);
        config.receive = Receive::nothing();
        bots.push(Bot::join(config).await?);
    }
    Ok(bots)
}
