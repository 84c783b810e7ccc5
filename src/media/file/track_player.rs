//! Plays a recorded track back into a mixer, as fast as the mixer asks for it. It is decoded ahead
//! on threads of its own, and handed out by the time that the mixer passes.
//!
//! Times are those of the recording: time `t` of the file is `start + t` of the recording.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;

use crate::codec::Codec;
use crate::layout::{Fit, Size};
use crate::media::gst::pipeline::Pipeline;
use crate::media::gst::plugins;
use crate::media::gst::template::{Templates, Value};
use crate::media::mixer::error::MixerError;
use crate::media::mixer::ingest::TileScaler;
use crate::media::mixer::source::SampleSource;

/// How long a decoder may take for a picture or a block of sound. After that its track ends.
const DECODE_DEADLINE: gst::ClockTime = gst::ClockTime::from_seconds(20);
/// How much before its time the first picture of a track is shown: a participant is connected, and
/// has a tile, for about as long before the first picture of their camera arrives.
pub(crate) const FIRST_PICTURE_LEAD: Duration = Duration::from_millis(500);
/// Sample rate of the sound, Hz.
const RATE: u64 = 48_000;
/// Distance, in samples, up to which a block of sound still follows the one before: times jitter.
const JITTER: u64 = RATE / 100;
/// Samples that the sound mixer holds of a source before it plays it: a frame to play and one to
/// spare.
const LOOKAHEAD: u64 = RATE / 25;

/// A track that is being decoded. Dropping it stops the decoder.
#[derive(Debug)]
struct TrackPlayer {
    sink: gst_app::AppSink,
    start: gst::ClockTime,
    next: Option<(gst::ClockTime, gst::Sample)>,
    _pipeline: Pipeline,
}

impl TrackPlayer {
    fn start(name: &str, mut pipeline: Pipeline, start: Duration) -> Result<Self, MixerError> {
        let sink = pipeline.element::<gst_app::AppSink>("out")?;
        let name = name.to_owned();
        pipeline.start(move |event| {
            if let crate::media::gst::pipeline::BusEvent::Error(text) = event {
                tracing::warn!(name, text, "a track cannot be decoded any further");
            }
        })?;
        let start = gst::ClockTime::try_from(start).unwrap_or_default();
        Ok(Self {
            sink,
            start,
            next: None,
            _pipeline: pipeline,
        })
    }

    /// The time of the next sample; `None` at the end of the track. Waits until it is decoded.
    fn next_at(&mut self) -> Option<gst::ClockTime> {
        while self.next.is_none() {
            let sample = self.sink.try_pull_sample(DECODE_DEADLINE)?;
            let pts = sample.buffer().and_then(|buffer| buffer.pts());
            if let Some(pts) = pts {
                self.next = Some((self.start + pts, sample));
            }
        }
        self.next.as_ref().map(|(at, _)| *at)
    }

    fn take(&mut self) -> Option<gst::Sample> {
        self.next.take().map(|(_, sample)| sample)
    }
}

fn open(
    templates: &Templates,
    path: &Path,
    codec: Codec,
) -> Result<(String, Pipeline), MixerError> {
    let (name, values) = match codec {
        Codec::Vp8 => ("reel-vp8", Vec::new()),
        Codec::Vp9 => ("reel-vp9", Vec::new()),
        Codec::Opus => ("reel-opus", Vec::new()),
        Codec::H264 => {
            let decoder = plugins::h264_decoder().ok_or(MixerError::NoCodec("H.264 decoder"))?;
            ("reel-h264", vec![("decoder", Value::Word(decoder))])
        }
    };
    let pipeline = Pipeline::parse(name, &templates.fill(name, &values)?)?;
    let source = pipeline.element::<gst::Element>("source")?;
    source.set_property("location", path);
    Ok((path.display().to_string(), pipeline))
}

/// The pictures of a recorded track, as a mixer reads them.
#[derive(Debug)]
pub(crate) struct PictureTrackPlayer {
    player: TrackPlayer,
    begun: bool,
}

/// Sets the size in which the pictures of a track are decoded. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct TileSize(Arc<TileScaler>);

impl TileSize {
    /// Sets the size of the tile from the next decoded picture on.
    pub(crate) fn set(&self, tile: Size) {
        self.0.set_tile(tile);
    }
}

impl PictureTrackPlayer {
    /// Opens the file at `path`, which begins at `start` of the recording. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`MixerError`] when there is no decoder, or no file.
    pub(crate) fn open(
        templates: &Templates,
        path: &Path,
        (codec, start): (Codec, Duration),
        (tile, fit): (Option<Size>, Fit),
    ) -> Result<(Self, TileSize), MixerError> {
        let (name, pipeline) = open(templates, path, codec)?;
        let tile_size = TileSize(TileScaler::install(&pipeline, fit)?);
        if let Some(tile) = tile {
            tile_size.set(tile);
        }
        let player = TrackPlayer::start(&name, pipeline, start)?;
        let begun = false;
        Ok((Self { player, begun }, tile_size))
    }
}

impl SampleSource for PictureTrackPlayer {
    fn pull(&mut self, now: gst::ClockTime) -> Option<gst::Sample> {
        let mut newest = None;
        while let Some(at) = self.player.next_at() {
            let lead = gst::ClockTime::try_from(FIRST_PICTURE_LEAD).unwrap_or_default();
            let first = !std::mem::replace(&mut self.begun, true) && at <= now + lead;
            if at > now && !first {
                break;
            }
            newest = self.player.take();
        }
        newest
    }
}

/// The sound of a recorded track, as a mixer reads it.
#[derive(Debug)]
pub(crate) struct SoundTrackPlayer {
    player: TrackPlayer,
    timeline: SampleTimeline,
}

impl SoundTrackPlayer {
    /// Opens the file at `path`, which begins at `start` of the recording. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`MixerError`] when there is no decoder, or no file.
    pub(crate) fn open(
        templates: &Templates,
        path: &Path,
        start: Duration,
    ) -> Result<Self, MixerError> {
        let (name, pipeline) = open(templates, path, Codec::Opus)?;
        let player = TrackPlayer::start(&name, pipeline, start)?;
        let timeline = SampleTimeline::default();
        Ok(Self { player, timeline })
    }
}

impl SampleSource for SoundTrackPlayer {
    /// As much as a mixer needs to play the sound of `now`, with silence where the track has none.
    fn pull(&mut self, now: gst::ClockTime) -> Option<gst::Sample> {
        let now = in_samples(now);
        let missing = self.timeline.missing(now)?;
        while self.timeline.written_until() < missing.end {
            let Some(at) = self.player.next_at() else {
                break;
            };
            if in_samples(at) >= missing.end {
                break;
            }
            let Some(sample) = self.player.take() else {
                break;
            };
            self.timeline.write(in_samples(at), &floats(&sample));
        }
        Some(sample_of(missing.start, &self.timeline.read(missing)))
    }
}

fn in_samples(at: gst::ClockTime) -> u64 {
    // Rounded: three samples are 62.5 microseconds.
    (at.nseconds() / 1000 * RATE + 500_000) / 1_000_000
}

fn floats(sample: &gst::Sample) -> Vec<f32> {
    let Some(map) = sample.buffer().and_then(|b| b.map_readable().ok()) else {
        return Vec::new();
    };
    map.chunks_exact(4)
        .filter_map(|bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?)))
        .collect()
}

fn sample_of(at: u64, samples: &[f32]) -> gst::Sample {
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let time = |samples: u64| gst::ClockTime::from_nseconds(samples * 1_000_000_000 / RATE);
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    if let Some(header) = buffer.get_mut() {
        header.set_pts(time(at));
        header.set_duration(time(samples.len() as u64));
    }
    gst::Sample::builder().buffer(&buffer).build()
}

/// Sound placed by its time, with silence in between; pure. All positions are in samples from the
/// beginning of the recording.
#[derive(Debug, Default)]
struct SampleTimeline {
    /// Samples that have been written and not read.
    held: VecDeque<f32>,
    /// Position of the first sample that is held.
    from: u64,
    /// Position up to which sound has been handed out; `None` before the first.
    read_until: Option<u64>,
}

impl SampleTimeline {
    /// The range that is still to be handed out at `now`.
    fn missing(&self, now: u64) -> Option<std::ops::Range<u64>> {
        let start = self.read_until.unwrap_or(now);
        let end = now + LOOKAHEAD;
        (start < end).then_some(start..end)
    }

    fn written_until(&self) -> u64 {
        self.from + self.held.len() as u64
    }

    /// Places `samples` at `at`, or right behind those before if that is within [`JITTER`].
    fn write(&mut self, at: u64, samples: &[f32]) {
        let end = self.written_until();
        if self.held.is_empty() && end.abs_diff(at) > JITTER {
            self.from = at.max(self.from);
        } else if at > end + JITTER {
            let silence = usize::try_from(at - end).unwrap_or_default();
            self.held.extend(std::iter::repeat_n(0.0, silence));
        }
        // Samples that begin long before the end of the last ones overlap them.
        let end = self.written_until();
        let overlap = end.checked_sub(at + JITTER).map_or(0, |over| over + JITTER);
        let overlap = usize::try_from(overlap).unwrap_or(usize::MAX);
        self.held.extend(samples.iter().skip(overlap));
    }

    /// Hands out the sound of `range`, which begins where the last one ended.
    fn read(&mut self, range: std::ops::Range<u64>) -> Vec<f32> {
        self.read_until = Some(range.end);
        let mut out = Vec::new();
        for at in range {
            while self.from < at && self.held.pop_front().is_some() {
                self.from += 1;
            }
            let sample = match self.from == at {
                true => self.held.pop_front(),
                false => None,
            };
            if sample.is_some() {
                self.from += 1;
            }
            out.push(sample.unwrap_or_default());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_stands_where_its_time_is() {
        let mut timeline = SampleTimeline::default();
        let first = timeline.missing(480).expect("nothing was read yet");
        assert_eq!(first, 480..480 + LOOKAHEAD);
        timeline.write(1000, &[0.5; 960]);
        let read = timeline.read(first);
        assert!(read[..520].iter().all(|s| *s == 0.0), "before it");
        assert!(read[520..1480].iter().all(|s| *s == 0.5));
        assert!(read[1480..].iter().all(|s| *s == 0.0), "behind it");
        assert_eq!(timeline.missing(480), None, "no more of this moment");
        assert_eq!(
            timeline.missing(1440),
            Some(480 + LOOKAHEAD..1440 + LOOKAHEAD)
        );
    }

    #[test]
    fn what_wavers_follows_and_what_does_not_leaves_a_gap() {
        let mut timeline = SampleTimeline::default();
        timeline.write(0, &[0.1; 960]);
        timeline.write(960 + 100, &[0.2; 960]);
        assert_eq!(timeline.written_until(), 1920, "right behind");
        timeline.write(5000, &[0.3; 960]);
        assert_eq!(timeline.written_until(), 5960);
        let read = timeline.read(0..5960);
        assert_eq!((read[959], read[960], read[1919]), (0.1, 0.2, 0.2));
        assert_eq!((read[1920], read[4999], read[5000]), (0.0, 0.0, 0.3));
        timeline.write(4000, &[0.4; 960]);
        assert_eq!(timeline.written_until(), 5960, "that time is over");
    }
}
