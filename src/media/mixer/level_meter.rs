//! Measures how loud a microphone is whose packets do not say it, while no mixer decodes it. Decoding
//! Opus costs a thousandth of a core, and nothing else tells: packets of a constant bitrate have one
//! size.

use super::audio::decoder::VoiceDecoder;
use super::audio::feed;
use super::audio::gate::frame_level;
use super::audio::mix::{FRAME, Frame};
use super::error::MixerError;
use crate::id::SourceId;
use crate::media::gst::pipeline::running_time;
use crate::media::stream::tap::{Subscription, Tap};

/// A decoder of one microphone, which runs on the thread of its tap. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct LevelMeter {
    tap: Tap,
    _link: Subscription,
}

impl LevelMeter {
    /// Decodes `tap` from now on and tells it the level of what was decoded.
    ///
    /// # Errors
    /// [`MixerError`] when there is no memory for a decoder.
    pub(crate) fn start(source: SourceId, tap: &Tap) -> Result<Self, MixerError> {
        let mut decoder = VoiceDecoder::new()?;
        let measured = tap.clone();
        // Samples of a frame that is not whole yet.
        let mut rest: Vec<f32> = Vec::with_capacity(2 * FRAME);
        let link = feed::listen(source, tap, move |packet| {
            rest.extend(decoder.decode(packet.lost, packet.samples, &packet.payload));
            let whole = rest.len() - rest.len() % FRAME;
            for samples in rest.drain(..whole).as_slice().chunks_exact(FRAME) {
                let mut frame: Frame = [0.0; FRAME];
                frame.copy_from_slice(samples);
                if let Some(level) = measured.audio_level() {
                    level.measured(frame_level(&frame), running_time());
                }
            }
        });
        Ok(Self {
            tap: tap.clone(),
            _link: link,
        })
    }

    /// Whether this tap is measured.
    pub(crate) fn is_of(&self, tap: &Tap) -> bool {
        self.tap.is_same(tap)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use gst::prelude::*;

    use super::*;
    use crate::codec::Codec;
    use crate::id::{ParticipantId, Role};
    use crate::media::stream::audio_level::AudioLevel;

    /// Whether somebody with a microphone of this volume counts as speaking after a second.
    async fn is_heard(volume: f64) -> bool {
        gst::init().unwrap();
        let pipeline = gst::parse::launch(&format!(
            "audiotestsrc is-live=true freq=440 volume={volume} samplesperbuffer=960 ! \
             audio/x-raw,rate=48000,channels=1 ! opusenc bitrate=64000 bitrate-type=cbr ! \
             rtpopuspay pt=111 ! appsink name=out"
        ));
        let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
        let sink = pipeline.by_name("out").and_downcast().unwrap();
        let level = Some(AudioLevel::unsaid());
        let tap = Tap::new(&sink, Codec::Opus, Duration::from_millis(100), level);
        let source = SourceId {
            participant: ParticipantId::new(1),
            role: Role::Mic,
        };
        let _meter = LevelMeter::start(source, &tap).unwrap();
        let (came, mut packets) = tokio::sync::mpsc::unbounded_channel();
        let _link = tap.connect(Box::new(move |_, _| {
            let _ = came.send(());
        }));
        pipeline.set_state(gst::State::Playing).unwrap();
        for _ in 0..50 {
            let patience = Duration::from_secs(10);
            tokio::time::timeout(patience, packets.recv())
                .await
                .unwrap()
                .unwrap();
        }
        pipeline.set_state(gst::State::Null).unwrap();
        tap.audio_level().unwrap().is_speaking(running_time())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_does_not_say_how_loud_they_are_is_listened_to() {
        assert!(is_heard(0.3).await);
        assert!(!is_heard(0.0001).await);
    }
}
