//! Clips: loops of encoded frames, made once in a process and played by any number of bots.
//!
//! With them a bot costs little more than its packets, so that a machine that runs both bots and
//! server measures the server.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::encode::{self, Content, Frame, PACKET, encoder, raw_caps};
use super::level;
use crate::bots::error::BotError;
use crate::bots::source::settings::{
    AudioSource, CLAP, CLAP_EVERY, VideoFormat, VideoSource, Voice,
};

/// The film, in the binary so that it works wherever it is put.
static FILM: &[u8] = include_bytes!("../../../assets/media/bigbuckbunny.mp4");
static VOICES: [&[u8]; 3] = [
    include_bytes!("../../../assets/media/voice-1.opus"),
    include_bytes!("../../../assets/media/voice-2.opus"),
    include_bytes!("../../../assets/media/voice-3.opus"),
];

/// How much of the film is played: a whole number of frames at 5, 10, 15, 20, 25, 30 and 60 frames
/// per second, and of 20 ms packets.
const FILM_LENGTH: Duration = Duration::from_millis(5_200);

/// Packets in two seconds, after which a tone of any whole number of Hz is in phase again.
const TONE_PACKETS: usize = 100;

/// Packets in a clip of silence: one second.
const SILENCE_PACKETS: usize = 50;

/// A loop of encoded frames. The first one is a keyframe.
#[derive(Debug)]
pub(crate) struct Clip {
    pub(crate) frames: Vec<Frame>,
    pub(crate) interval: Duration,
    /// How loud each frame of audio is, see [`level::measure`]; empty for video.
    pub(crate) levels: Vec<u8>,
    pub(crate) timing: ClipTiming,
}

/// What decides which frame is played next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClipTiming {
    /// The order of the loop: the one after the last.
    Loop,
    /// The machine's clock: each frame has its moment, as with claps. Every frame is a keyframe.
    Clock,
}

impl Clip {
    fn new(frames: Vec<Frame>, interval: Duration) -> Result<Self, BotError> {
        if frames.first().is_some_and(|frame| frame.key) {
            let levels = Vec::new();
            Ok(Self {
                frames,
                interval,
                levels,
                timing: ClipTiming::Loop,
            })
        } else {
            Err(BotError::Media("a clip without a keyframe first".into()))
        }
    }

    fn of_sound(packets: Vec<Frame>) -> Result<Self, BotError> {
        let levels = level::measure(&packets)?;
        Ok(Self {
            levels,
            ..Self::new(packets, PACKET)?
        })
    }

    /// How many whole intervals have passed at an instant of the machine's clock, modulo the length
    /// of the loop.
    pub(crate) fn count_at(&self, instant: Duration) -> usize {
        let count = instant.as_nanos() / self.interval.as_nanos().max(1);
        (count % self.frames.len() as u128) as usize
    }

    fn by_the_clock(self) -> Self {
        let timing = ClipTiming::Clock;
        Self { timing, ..self }
    }

    /// When the first frame is due: at `now` in a loop, else at the next moment of the clock.
    pub(crate) fn begins(&self, now: Duration) -> Duration {
        match self.timing {
            ClipTiming::Loop => now,
            ClipTiming::Clock => {
                let past = now.as_nanos() / self.interval.as_nanos().max(1);
                let past = u32::try_from(past + 1).unwrap_or(u32::MAX);
                self.interval * past
            }
        }
    }

    /// The first keyframe at or after a position. After the end of the loop comes its start.
    pub(crate) fn key_from(&self, position: usize) -> usize {
        let position = position % self.frames.len();
        let key = self.frames[position..].iter().position(|frame| frame.key);
        key.map_or(0, |ahead| position + ahead)
    }
}

/// The content of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Color([u8; 3], VideoFormat),
    Film(VideoFormat),
    Silence,
    Tone { hz: u32, dbfs: i32 },
    Speech(Voice),
    FilmSound,
    Flash(VideoFormat),
    Clap,
}

type Cell = Arc<OnceCell<Arc<Clip>>>;

/// The clips made so far. The lock is held for a look-up, never while encoding.
static CLIPS: LazyLock<Mutex<HashMap<Key, Cell>>> = LazyLock::new(Mutex::default);

/// The clip of a video source; `None` if it is encoded live or there is no video.
pub(crate) async fn video(source: VideoSource) -> Result<Option<Arc<Clip>>, BotError> {
    let key = match source {
        VideoSource::Color { rgb, format } => Key::Color(rgb, format),
        VideoSource::Film { format, .. } => Key::Film(format),
        VideoSource::Clap { format } => Key::Flash(format),
        VideoSource::None | VideoSource::TimeCode { .. } => return Ok(None),
    };
    cached(key).await.map(Some)
}

/// The clip of an audio source; `None` if there is no audio.
pub(crate) async fn audio(source: AudioSource) -> Result<Option<Arc<Clip>>, BotError> {
    let key = match source {
        AudioSource::None => return Ok(None),
        AudioSource::Silence => Key::Silence,
        AudioSource::Tone { hz, dbfs } => Key::Tone { hz, dbfs },
        AudioSource::Speech(voice) => Key::Speech(voice),
        AudioSource::Film => Key::FilmSound,
        AudioSource::Clap => Key::Clap,
    };
    cached(key).await.map(Some)
}

async fn cached(key: Key) -> Result<Arc<Clip>, BotError> {
    let cell = {
        let mut clips = CLIPS.lock();
        clips.entry(key).or_default().clone()
    };
    let encode = || async move {
        tokio::task::spawn_blocking(move || make(key))
            .await
            .map_err(|e| BotError::media("making a clip", e))?
            .map(Arc::new)
    };
    cell.get_or_try_init(encode).await.cloned()
}

fn make(key: Key) -> Result<Clip, BotError> {
    match key {
        Key::Color(rgb, format) => color(rgb, format),
        Key::Film(format) => film(format),
        Key::Silence => Clip::of_sound(silence()?),
        Key::Tone { hz, dbfs } => tone(hz, dbfs),
        Key::Speech(voice) => speech(voice),
        Key::FilmSound => film_sound(),
        Key::Flash(format) => flash(format),
        Key::Clap => clap(),
    }
}

fn color([r, g, b]: [u8; 3], format: VideoFormat) -> Result<Clip, BotError> {
    let launch = format!(
        "videotestsrc pattern=solid-color foreground-color=0xff{r:02x}{g:02x}{b:02x} \
         num-buffers={} ! {} ! {} ! appsink name=out sync=false",
        format.fps,
        raw_caps(format.size, format.fps),
        encoder(format, Content::Flat),
    );
    Clip::new(encode::run(&launch, None)?, interval(format.fps))
}

fn film(format: VideoFormat) -> Result<Clip, BotError> {
    let launch = format!(
        "appsrc name=in ! qtdemux name=demux demux.video_0 ! queue ! h264parse ! \
         avdec_h264 max-threads=1 ! videorate ! videoconvertscale ! {} ! {} ! \
         appsink name=out sync=false",
        raw_caps(format.size, format.fps),
        encoder(format, Content::Moving),
    );
    let mut frames = encode::run(&launch, Some(FILM))?;
    let length = FILM_LENGTH.as_millis() * u128::from(format.fps) / 1000;
    frames.truncate(length as usize);
    Clip::new(frames, interval(format.fps))
}

fn flash(format: VideoFormat) -> Result<Clip, BotError> {
    let caps = raw_caps(format.size, format.fps);
    let frames = |length: Duration| length.as_millis() * u128::from(format.fps) / 1000;
    let launch = format!(
        "videotestsrc pattern=white num-buffers={} ! {caps} ! all. \
         videotestsrc pattern=black num-buffers={} ! {caps} ! all. \
         concat name=all ! {} ! appsink name=out sync=false",
        frames(CLAP),
        frames(CLAP_EVERY - CLAP),
        encoder(format, Content::Timed),
    );
    Ok(Clip::new(encode::run(&launch, None)?, interval(format.fps))?.by_the_clock())
}

fn clap() -> Result<Clip, BotError> {
    let packets = |length: Duration| length.as_millis() / PACKET.as_millis();
    let launch = format!(
        "audiotestsrc freq=1000 volume=0.25 samplesperbuffer=960 num-buffers={} ! all. \
         audiotestsrc wave=silence samplesperbuffer=960 num-buffers={} ! all. \
         concat name=all ! audioconvert ! {} ! appsink name=out sync=false",
        packets(CLAP),
        packets(CLAP_EVERY - CLAP),
        opus(64_000),
    );
    let mut clip = encode::run(&launch, None)?;
    clip.truncate(packets(CLAP_EVERY) as usize);
    Ok(Clip::of_sound(clip)?.by_the_clock())
}

fn interval(fps: u32) -> Duration {
    Duration::from_secs(1) / fps.max(1)
}

/// The Opus encoder of tones, silence and film, in gst-launch syntax.
fn opus(bitrate: u32) -> String {
    format!(
        "audio/x-raw,rate=48000,channels=1 ! \
         opusenc bitrate={bitrate} bitrate-type=cbr frame-size=20 complexity=5"
    )
}

fn silence() -> Result<Vec<Frame>, BotError> {
    let launch = format!(
        "audiotestsrc wave=silence samplesperbuffer=960 num-buffers={SILENCE_PACKETS} ! {} ! \
         appsink name=out sync=false",
        opus(16_000)
    );
    let mut packets = encode::run(&launch, None)?;
    // At its end the encoder gives out what it had looked ahead as one more packet.
    packets.truncate(SILENCE_PACKETS);
    Ok(packets)
}

fn tone(hz: u32, dbfs: i32) -> Result<Clip, BotError> {
    // Twice round, of which the second is kept: its encoder comes from where its end leads to,
    // so that the loop has no seam.
    let launch = format!(
        "audiotestsrc freq={hz} volume={} samplesperbuffer=960 num-buffers={} ! audioconvert ! {} \
         ! appsink name=out sync=false",
        10f64.powf(f64::from(dbfs.min(0)) / 20.0),
        2 * TONE_PACKETS,
        opus(64_000),
    );
    let mut packets = encode::run(&launch, None)?;
    packets.truncate(2 * TONE_PACKETS);
    if packets.len() < 2 * TONE_PACKETS {
        return Err(BotError::Media("the Opus encoder held packets back".into()));
    }
    Clip::of_sound(packets.split_off(TONE_PACKETS))
}

/// The turn of one voice, with silence during the turns of the others, so that all clips of voices
/// have the same length.
fn speech(voice: Voice) -> Result<Clip, BotError> {
    let quiet = silence()?;
    let mut packets = Vec::new();
    for (turn, ogg) in [Voice::Ada, Voice::Ben, Voice::Cleo]
        .into_iter()
        .zip(VOICES)
    {
        // The files hold Opus in packets of 20 ms: they are played as they are.
        let launch = "appsrc name=in ! oggdemux ! opusparse ! appsink name=out sync=false";
        let spoken = encode::run(launch, Some(ogg))?;
        if turn == voice {
            packets.extend(spoken);
        } else {
            packets.extend(quiet.iter().cycle().take(spoken.len()).cloned());
        }
    }
    Clip::of_sound(packets)
}

fn film_sound() -> Result<Clip, BotError> {
    let launch = format!(
        "appsrc name=in ! qtdemux name=demux demux.audio_0 ! queue ! aacparse ! avdec_aac ! \
         audioconvert ! audioresample ! {} ! appsink name=out sync=false",
        opus(48_000)
    );
    let mut packets = encode::run(&launch, Some(FILM))?;
    packets.truncate((FILM_LENGTH.as_millis() / PACKET.as_millis()) as usize);
    Clip::of_sound(packets)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clips_are_as_long_as_they_should_be() {
        gst::init().unwrap();
        let tone = AudioSource::Tone { hz: 400, dbfs: -24 };
        for (source, packets) in [
            (AudioSource::Silence, SILENCE_PACKETS),
            (tone, TONE_PACKETS),
            (AudioSource::Film, 260),
        ] {
            let clip = audio(source).await.unwrap().unwrap();
            assert_eq!(clip.frames.len(), packets, "{source:?}");
            assert_eq!(clip.levels.len(), packets, "{source:?}");
            // A sine's root mean square is 3 dB below its peak.
            let wanted = match source {
                AudioSource::Silence => level::SILENCE..=level::SILENCE,
                AudioSource::Tone { .. } => 26..=28,
                _ => 0..=level::SILENCE,
            };
            let fit = clip.levels.iter().all(|level| wanted.contains(level));
            assert!(fit, "{source:?}: {:?}", clip.levels);
        }
        let offset = Duration::ZERO;
        for codec in [
            crate::codec::VideoCodec::H264,
            crate::codec::VideoCodec::Vp8,
        ] {
            let format = VideoFormat::sized(codec, 160, 90);
            let film = VideoSource::Film { format, offset };
            let clip = video(film).await.unwrap().unwrap();
            assert_eq!(clip.frames.len(), 156, "{codec:?}");
            // A receiver that has lost something waits for a second at most.
            for position in 0..156 {
                let ahead = (clip.key_from(position) + 156 - position) % 156;
                assert!(ahead <= 30, "{codec:?}: no keyframe for {ahead} frames");
            }
        }
    }

    #[tokio::test]
    async fn voices_take_turns() {
        gst::init().unwrap();
        let mut spoken = Vec::new();
        for voice in [Voice::Ada, Voice::Ben, Voice::Cleo] {
            let clip = audio(AudioSource::Speech(voice)).await.unwrap().unwrap();
            // Speech at 24 kbit/s has packets of other sizes than silence at a constant rate.
            let quiet = silence().unwrap()[1].buffer.size();
            let sizes = clip.frames.iter().map(|frame| frame.buffer.size());
            let talks: Vec<_> = sizes.map(|size| size != quiet).collect();
            // Well into a turn of another's, nothing of this voice is left in the decoder.
            for (i, turn) in talks.windows(20).enumerate() {
                if !turn.contains(&true) {
                    assert_eq!(clip.levels[i + 19], level::SILENCE, "packet {i} + 19");
                }
            }
            let loud = clip.levels.iter().filter(|level| **level < 50).count();
            assert!(loud > 250, "{loud} packets can be heard");
            spoken.push(talks);
        }
        let [ada, ben, cleo] = &spoken[..] else {
            panic!("three voices");
        };
        assert!(ada.len() == ben.len() && ben.len() == cleo.len());
        // 14 to 16 s each.
        assert!((2_100..2_500).contains(&ada.len()), "{} packets", ada.len());
        for i in 0..ada.len() {
            let talking = [ada[i], ben[i], cleo[i]].into_iter().filter(|t| *t).count();
            assert!(talking <= 1, "{talking} talk at packet {i}");
        }
        for voice in &spoken {
            assert!(voice.iter().filter(|talks| **talks).count() > 500);
        }
    }
}
