//! Measures how loud a microphone is whose packets do not say it, while no mixer decodes it. Decoding
//! Opus costs half a hundredth of a core, and nothing else tells: packets of a constant bitrate have
//! one size.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::audio::gate::frame_level;
use super::audio::mix::{FRAME, Frame};
use super::error::MixerError;
use super::ingest::Ingest;
use crate::id::SourceId;
use crate::layout::Fit;
use crate::media::gst::pipeline::running_time;
use crate::media::gst::template::Templates;
use crate::media::stream::tap::Tap;

/// Time between a decoder and the one that is tried in place of it when it has failed.
const RETRY_AFTER: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// A decoder of one microphone. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct LevelMeter {
    tap: Tap,
    ingest: Ingest,
    /// Running time at which it began.
    began: gst::ClockTime,
    has_failed: Arc<AtomicBool>,
    /// Samples of a frame that is not whole yet.
    rest: Vec<f32>,
}

impl LevelMeter {
    /// Starts decoding `tap`.
    ///
    /// # Errors
    /// [`MixerError`] when the pipeline cannot be made.
    pub(crate) fn start(
        templates: &Templates,
        source: SourceId,
        tap: &Tap,
    ) -> Result<Self, MixerError> {
        let has_failed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&has_failed);
        let failed = move |error: String| {
            tracing::warn!(%source, error, "level is not measured");
            flag.store(true, Ordering::Relaxed);
        };
        Ok(Self {
            tap: tap.clone(),
            began: running_time(),
            has_failed,
            ingest: Ingest::start(templates, source, tap, Fit::Contain, failed)?,
            rest: Vec::new(),
        })
    }

    /// Whether it has failed, and has rested long enough for another one to be tried.
    pub(crate) fn is_to_be_replaced(&self, now: gst::ClockTime) -> bool {
        let rested = now.saturating_sub(self.began) >= RETRY_AFTER;
        rested && self.has_failed.load(Ordering::Relaxed)
    }

    /// Whether this tap is measured.
    pub(crate) fn is_of(&self, tap: &Tap) -> bool {
        self.tap.is_same(tap)
    }

    /// Tells the tap the level of all that has been decoded since the last call, up to `now`. To be
    /// called more often than once a second, which is as much as is kept.
    pub(crate) fn measure(&mut self, now: gst::ClockTime) {
        let Some(level) = self.tap.audio_level() else {
            return;
        };
        while let Some(sample) = self.ingest.sink().try_pull_sample(gst::ClockTime::ZERO) {
            if let Some(Ok(map)) = sample.buffer().map(gst::BufferRef::map_readable) {
                let samples = map.chunks_exact(4);
                let samples = samples.filter_map(|bytes| bytes.try_into().ok());
                self.rest.extend(samples.map(f32::from_le_bytes));
            }
        }
        for samples in self.rest.chunks_exact(FRAME) {
            let mut frame: Frame = [0.0; FRAME];
            frame.copy_from_slice(samples);
            level.measured(frame_level(&frame), now);
        }
        let whole = self.rest.len() - self.rest.len() % FRAME;
        self.rest.drain(..whole);
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
        let mut meter = LevelMeter::start(&Templates::default(), source, &tap).unwrap();
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
            meter.measure(running_time());
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
