//! The three people a newcomer finds in the demo room.

use std::time::Duration;

use crate::bots::error::BotError;
use crate::bots::rtc::connection::Reach;
use crate::bots::session::bot::Bot;
use crate::bots::session::config::{
    AudioSource, BotConfig, Receive, VideoFormat, VideoSource, Voice,
};
use crate::codec::VideoCodec;
use crate::id::RoomId;

/// Joins three bots, each with the film at another place and a voice that takes its turn. They
/// receive nothing, and stay until they are dropped or told to leave. `reach` is where the
/// server's media is.
///
/// # Errors
/// The first bot's that cannot join.
pub async fn demo(server: &str, room: &RoomId, reach: Reach) -> Result<Vec<Bot>, BotError> {
    let people = [
        ("Ada", Voice::Ada),
        ("Ben", Voice::Ben),
        ("Cleo", Voice::Cleo),
    ];
    let mut bots = Vec::with_capacity(people.len());
    for (offset, (name, voice)) in (0u32..).zip(people) {
        let mut config = BotConfig::new(server, room.clone(), name);
        config.reach = Some(reach);
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
