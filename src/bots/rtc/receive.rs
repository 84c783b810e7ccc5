//! What comes in on one m-line: counted always, decoded where asked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gst_video::prelude::*;
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::{broadcast, watch};

use super::codec::matrix;
use super::csrc_tracker::CsrcTracker;
use crate::bots::clock;
use crate::bots::config::{AudioLossRecovery, Decode};
use crate::bots::observe::detection::{Contributor, Origin, Path};
use crate::bots::observe::observer::Observer;
use crate::bots::observe::packet_capture::{PacketCapture, Payload};
use crate::bots::observe::probe::{Cadence, Picture};
use crate::codec::Codec;
use crate::id::{Mid, ParticipantId, Role};
use crate::layout::Size;
use crate::media::bwe::fec;
use crate::media::rtp::payload::starts_keyframe;

/// 20 ms chunks of sound kept for somebody who listens slowly: 5 s.
const SOUND_BACKLOG: usize = 250;

/// For so many packets, of 20 ms, after somebody else's may the decoder's memory of them be heard:
/// four were seen, with two steady tones.
const DECODER_MEMORY: u32 = 5;

/// What came in on an m-line since the start or the last reset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamStats {
    /// What the m-line is for.
    pub role: Role,
    /// The way it comes.
    pub path: Path,
    /// Who sends it: in a mesh always the same one, in a forward m-line who did last.
    pub from: Option<ParticipantId>,
    /// RTP packets.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Sequence numbers that never came, late ones included.
    pub lost: u64,
    /// How many of them the next packet said again: sound with in-band FEC.
    pub said_again: u64,
    /// Most of them in a row.
    pub lost_in_a_row: u64,
    /// Whole frames of video (RTP markers), or packets of sound.
    pub frames: u64,
    /// Video frames that a decoder can start with.
    pub keyframes: u64,
    /// Frames that came out of the decoder.
    pub decoded: u64,
    /// The size of the newest decoded one.
    pub size: Option<Size>,
    /// Longest time without a frame, the one in progress included; of decoded frames where video
    /// is decoded.
    #[serde(serialize_with = "as_ms")]
    pub longest_gap: Duration,
    /// Freezes by the rule of webrtc-stats.
    pub freezes: u32,
    /// How long they lasted together.
    #[serde(serialize_with = "as_ms")]
    pub frozen: Duration,
    /// How long the measurement has lasted.
    #[serde(serialize_with = "as_ms")]
    pub measured: Duration,
}

impl StreamStats {
    /// Mean rate, bit/s.
    pub fn bitrate(&self) -> f64 {
        8.0 * self.bytes as f64 / self.measured.as_secs_f64().max(0.001)
    }
}

/// Milliseconds, for reports.
pub(crate) fn as_ms<S: serde::Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(value.as_secs_f64() * 1000.0)
}

#[derive(Debug, Default)]
struct Counters {
    since: Duration,
    packets: u64,
    bytes: u64,
    lost: u64,
    said_again: u64,
    lost_in_a_row: u64,
    keyframes: u64,
    next_sequence: Option<u16>,
    key_in_frame: bool,
    received: Cadence,
    decoded: Cadence,
    csrc_tracker: CsrcTracker,
    newest: Option<ParticipantId>,
    /// How many packets in a row were theirs.
    in_a_row: u32,
    size: Option<Size>,
    /// When the last packet and the last whole frame came.
    packet_at: Option<Duration>,
    frame_at: Option<Duration>,
}

/// What an m-line takes, and what is done with it.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) role: Role,
    pub(crate) path: Path,
    /// Who sends it, where it is always the same one.
    pub(crate) from: Option<ParticipantId>,
    pub(crate) decode: Decode,
    pub(crate) audio_loss_recovery: AudioLossRecovery,
    pub(crate) packet_capture: Option<Arc<PacketCapture>>,
}

/// One m-line a bot receives on.
#[derive(Debug)]
pub struct Incoming {
    mid: OnceLock<Mid>,
    receiver: Receiver,
    observer: Arc<Observer>,
    counters: Mutex<Counters>,
    /// When the first picture or sound came, on the machine's clock.
    first: watch::Sender<Option<Duration>>,
    picture: watch::Sender<Option<Arc<Picture>>>,
    sound: broadcast::Sender<Arc<[f32]>>,
}

impl Incoming {
    pub(crate) fn new(receiver: Receiver, observer: Arc<Observer>) -> Arc<Self> {
        let counters = Counters {
            since: clock::now(),
            ..Counters::default()
        };
        Arc::new(Self {
            mid: OnceLock::new(),
            receiver,
            observer,
            counters: Mutex::new(counters),
            first: watch::Sender::new(None),
            picture: watch::Sender::new(None),
            sound: broadcast::Sender::new(SOUND_BACKLOG),
        })
    }

    /// The m-line's name, once the offer has given it one.
    pub fn mid(&self) -> Option<&Mid> {
        self.mid.get()
    }

    /// What the m-line is for.
    pub fn role(&self) -> Role {
        self.receiver.role
    }

    /// The way it comes.
    pub fn path(&self) -> Path {
        self.receiver.path
    }

    /// What came in its packets, in the order of their sequence numbers; nothing unless the bot
    /// records ([`crate::bots::config::Recording`]) and the m-line is a forward one.
    pub fn payloads(&self) -> Vec<Payload> {
        let packet_capture = self.receiver.packet_capture.as_ref();
        packet_capture
            .map(|packet_capture| packet_capture.read())
            .unwrap_or_default()
    }

    /// When the last packet came, on the machine's clock.
    pub fn last_packet(&self) -> Option<Duration> {
        self.lock().packet_at
    }

    /// When the last whole frame of video or packet of sound came, on the machine's clock.
    pub fn last_frame(&self) -> Option<Duration> {
        self.lock().frame_at
    }

    /// Who sent the newest packet; `None` in a mix.
    pub fn newest_from(&self) -> Option<ParticipantId> {
        self.receiver.from.or(self.lock().newest)
    }

    pub(crate) fn name(&self, mid: Mid) {
        // Set once: there is one offer.
        let _ = self.mid.set(mid);
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock()
    }

    /// The figures since the start or the last reset.
    pub fn stats(&self) -> StreamStats {
        let now = clock::now();
        let counters = self.lock();
        let seen = if self.decodes_video() {
            &counters.decoded
        } else {
            &counters.received
        };
        StreamStats {
            role: self.receiver.role,
            path: self.receiver.path,
            from: self.receiver.from.or(counters.newest),
            packets: counters.packets,
            bytes: counters.bytes,
            lost: counters.lost,
            said_again: counters.said_again,
            lost_in_a_row: counters.lost_in_a_row,
            frames: counters.received.count(),
            keyframes: counters.keyframes,
            decoded: counters.decoded.count(),
            size: counters.size,
            longest_gap: seen.longest(now),
            freezes: seen.freezes(),
            frozen: seen.frozen(),
            measured: now.saturating_sub(counters.since),
        }
    }

    /// Measures from now on.
    pub fn reset_stats(&self) {
        let mut counters = self.lock();
        counters.since = clock::now();
        (counters.packets, counters.bytes) = (0, 0);
        (counters.lost, counters.lost_in_a_row) = (0, 0);
        counters.said_again = 0;
        counters.keyframes = 0;
        counters.received.reset();
        counters.decoded.reset();
    }

    /// When the first picture or sound came, on the machine's clock: the first decoded one where
    /// it is decoded, else the first whole keyframe or packet.
    pub fn first(&self) -> watch::Receiver<Option<Duration>> {
        self.first.subscribe()
    }

    /// Sees every decoded picture, or the newest where the reader is slow.
    pub fn pictures(&self) -> watch::Receiver<Option<Arc<Picture>>> {
        self.picture.subscribe()
    }

    /// Hears everything from now on: mono, 48 kHz, full scale 1.0.
    pub fn sound(&self) -> broadcast::Receiver<Arc<[f32]>> {
        self.sound.subscribe()
    }

    pub(crate) fn decodes_video(&self) -> bool {
        !self.receiver.role.is_audio() && self.receiver.decode.video()
    }

    pub(crate) fn audio_loss_recovery(&self) -> AudioLossRecovery {
        self.receiver.audio_loss_recovery
    }

    pub(crate) fn decodes_audio(&self) -> bool {
        self.receiver.role.is_audio() && self.receiver.decode.audio()
    }

    fn note_first(&self, at: Duration) {
        self.first
            .send_if_modified(|first| first.is_none() && first.replace(at).is_none());
    }

    /// Counts an RTP packet.
    pub(crate) fn packet(&self, buffer: &gst::BufferRef, codec: Codec) {
        let Ok(rtp) = gst_rtp::RTPBuffer::from_buffer_readable(buffer) else {
            return;
        };
        if let Some(packet_capture) = &self.receiver.packet_capture {
            packet_capture.packet(&rtp, codec);
        }
        let now = clock::now();
        let mut counters = self.lock();
        counters.packets += 1;
        counters.bytes += buffer.size() as u64;
        counters.packet_at = Some(now);
        if self.receiver.path == Path::Forward {
            let newest = rtp.csrc(0).map(ParticipantId::new);
            counters.in_a_row = if newest == counters.newest {
                counters.in_a_row.saturating_add(1)
            } else {
                1
            };
            counters.newest = newest;
            if let Some(pts) = buffer.pts() {
                counters.csrc_tracker.packet(pts, newest);
            }
        }
        let (sequence, payload) = (rtp.seq(), rtp.payload().unwrap_or_default());
        if let Some(expected) = counters.next_sequence {
            let missed = sequence.wrapping_sub(expected);
            // A packet from behind (reordered or retransmitted) is no jump ahead.
            if missed < 0x8000 {
                counters.lost += u64::from(missed);
                let again = missed > 0 && codec == Codec::Opus && fec::repeats(payload);
                counters.said_again += u64::from(again);
                counters.lost_in_a_row = counters.lost_in_a_row.max(missed.into());
            }
        }
        counters.next_sequence = Some(sequence.wrapping_add(1));
        counters.key_in_frame |= codec != Codec::Opus && starts_keyframe(codec, payload);
        let audio = self.receiver.role.is_audio();
        if audio || rtp.is_marker() {
            counters.received.push(now);
            counters.frame_at = Some(now);
            let key = std::mem::take(&mut counters.key_in_frame);
            counters.keyframes += u64::from(key);
            drop(counters);
            let decoded = self.decodes_video() || self.decodes_audio();
            if !decoded && (key || audio) {
                self.note_first(now);
            }
        }
    }

    /// Whose the picture of a timestamp is.
    fn contributor_at(&self, pts: Option<gst::ClockTime>) -> Contributor {
        match (self.receiver.path, pts) {
            (Path::Forward, Some(pts)) => self.lock().csrc_tracker.at(pts),
            (Path::Mesh, _) => Contributor::always(self.receiver.from),
            (Path::Mix, _) | (Path::Forward, None) => Contributor::always(None),
        }
    }

    /// Takes a decoded picture.
    pub(crate) fn take_picture(&self, sample: &gst::Sample, codec: Codec) -> Option<()> {
        let arrival = clock::now();
        let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
        let buffer = sample.buffer()?;
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).ok()?;
        let plane = |i: u32| {
            let stride = usize::try_from(*frame.plane_stride().get(i as usize)?).ok()?;
            Some((frame.plane_data(i).ok()?, stride))
        };
        let number = {
            let mut counters = self.lock();
            counters.decoded.push(arrival);
            counters.size = Some(Size {
                width: frame.width(),
                height: frame.height(),
            });
            counters.decoded.count()
        };
        let planes = [plane(0)?, plane(1)?, plane(2)?];
        let mut picture =
            Picture::from_planes(frame.width(), frame.height(), planes, arrival, number)?
                .in_matrix(matrix(codec, sample.caps()?));
        let contributor = self.contributor_at(buffer.pts());
        picture.from = contributor.who;
        let picture = Arc::new(picture);
        self.picture.send_replace(Some(picture.clone()));
        self.note_first(arrival);
        // Last: whoever waits for something to be seen finds everything else told.
        match self.receiver.path {
            Path::Mix => self.observer.record_mix(&picture),
            path => self.observer.record_picture(&picture, path, contributor),
        }
        Some(())
    }

    /// Where the sound of the newest packet came from.
    fn origin(&self) -> Origin {
        let path = self.receiver.path;
        let settled = path != Path::Forward || self.lock().in_a_row > DECODER_MEMORY;
        Origin {
            path,
            from: self.newest_from(),
            settled,
        }
    }

    /// Takes decoded sound; `base` is its pipeline's base time. Called on the thread and within
    /// the call that brought its packet, so that it is the newest packet's: its timestamp would
    /// not say, since the decoder counts samples where packets' times jump.
    pub(crate) fn take_sound(
        &self,
        sample: &gst::Sample,
        base: Option<gst::ClockTime>,
    ) -> Option<()> {
        let buffer = sample.buffer()?;
        let map = buffer.map_readable().ok()?;
        let chunk: Arc<[f32]> = map
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        let now = clock::now();
        self.lock().decoded.push(now);
        self.note_first(now);
        // Nobody listening is fine.
        let _ = self.sound.send(chunk.clone());
        if let (Some(base), Some(pts)) = (base, buffer.pts()) {
            let start = (base + pts).into();
            self.observer.record_sound(&chunk, start, self.origin());
        }
        Some(())
    }
}
