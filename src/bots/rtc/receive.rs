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
use crate::media::stream::decode_watch::DecodeWatch;

/// 20 ms chunks of sound kept for a slow listener: 5 s.
const SOUND_BACKLOG: usize = 250;

/// Number of 20 ms packets of a new participant during which an Opus decoder may still sound of the
/// former one. Four were seen, with two steady tones.
const DECODER_MEMORY: u32 = 5;

/// What arrived on an m-line since the start or the last reset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamStats {
    /// What the m-line carries.
    pub role: Role,
    /// The delivery path.
    pub path: Path,
    /// Who sends it: fixed in a mesh, the newest sender on a forward m-line, `None` in a mix.
    pub from: Option<ParticipantId>,
    /// RTP packets received.
    pub packets: u64,
    /// Bytes of RTP received, headers included.
    pub bytes: u64,
    /// Gaps in the sequence numbers, in packets. Packets that arrive late count as lost.
    pub lost: u64,
    /// Losses of audio whose next packet carried a copy (in-band FEC).
    pub said_again: u64,
    /// The largest number of consecutive packets lost.
    pub lost_in_a_row: u64,
    /// Complete video frames (RTP markers), or packets of audio.
    pub frames: u64,
    /// Complete video frames with which a decoder can start.
    pub keyframes: u64,
    /// Frames of video or audio that left the decoder.
    pub decoded: u64,
    /// The size of the newest decoded picture, pixels.
    pub size: Option<Size>,
    /// The longest time without a frame, the one in progress included. Counts decoded frames where
    /// video is decoded, else received ones. Milliseconds in JSON.
    #[serde(serialize_with = "as_ms")]
    pub longest_gap: Duration,
    /// Freezes by the rule of webrtc-stats.
    pub freezes: u32,
    /// The total length of these freezes. Milliseconds in JSON.
    #[serde(serialize_with = "as_ms")]
    pub frozen: Duration,
    /// For how long was measured. Milliseconds in JSON.
    #[serde(serialize_with = "as_ms")]
    pub measured: Duration,
}

impl StreamStats {
    /// The mean bitrate, bit/s, RTP headers included.
    pub fn bitrate(&self) -> f64 {
        8.0 * self.bytes as f64 / self.measured.as_secs_f64().max(0.001)
    }
}

/// Serialises a duration as milliseconds, for reports.
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
    decoder: DecodeWatch,
    csrc_tracker: CsrcTracker,
    newest: Option<ParticipantId>,
    /// How many consecutive packets the newest sender has sent.
    in_a_row: u32,
    size: Option<Size>,
    /// When the last packet and the last complete frame came.
    packet_at: Option<Duration>,
    frame_at: Option<Duration>,
}

/// What an m-line receives, and what is done with it.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) role: Role,
    pub(crate) path: Path,
    /// Who sends it, if it is always the same participant.
    pub(crate) from: Option<ParticipantId>,
    pub(crate) decode: Decode,
    pub(crate) audio_loss_recovery: AudioLossRecovery,
    pub(crate) packet_capture: Option<Arc<PacketCapture>>,
}

/// An m-line on which a bot receives: counts its packets, keeps the newest picture and hands on
/// sound.
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

    /// The m-line's mid, once there is an offer.
    pub fn mid(&self) -> Option<&Mid> {
        self.mid.get()
    }

    /// What the m-line carries.
    pub fn role(&self) -> Role {
        self.receiver.role
    }

    /// The delivery path.
    pub fn path(&self) -> Path {
        self.receiver.path
    }

    /// The packets received so far, in the order of arrival from the jitter buffer. Empty unless
    /// the bot captures packets and this is a forward m-line.
    pub fn payloads(&self) -> Vec<Payload> {
        let packet_capture = self.receiver.packet_capture.as_ref();
        packet_capture
            .map(|packet_capture| packet_capture.read())
            .unwrap_or_default()
    }

    /// When the newest packet came, on the machine's clock.
    pub(crate) fn last_packet(&self) -> Option<Duration> {
        self.lock().packet_at
    }

    /// When the newest complete video frame or audio packet came, on the machine's clock.
    pub(crate) fn last_frame(&self) -> Option<Duration> {
        self.lock().frame_at
    }

    /// Who sent the newest packet; `None` in a mix.
    pub fn newest_from(&self) -> Option<ParticipantId> {
        self.receiver.from.or(self.lock().newest)
    }

    pub(crate) fn set_mid(&self, mid: Mid) {
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

    /// Starts all figures anew.
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

    /// When the first picture or sound came, on the machine's clock: the first decoded one where it
    /// is decoded, else the first complete keyframe or audio packet.
    pub fn first(&self) -> watch::Receiver<Option<Duration>> {
        self.first.subscribe()
    }

    /// Every decoded picture; a slow reader sees the newest only.
    pub fn pictures(&self) -> watch::Receiver<Option<Arc<Picture>>> {
        self.picture.subscribe()
    }

    /// All decoded sound from now on: mono, 48 kHz, full scale 1.0.
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

    /// Counts an RTP packet. Called on a streaming thread.
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

    /// Whether a keyframe is to be asked for behind the packet that was counted last. Called on a
    /// streaming thread.
    pub(crate) fn wants_keyframe(&self) -> bool {
        if !self.decodes_video() {
            return false;
        }
        let mut counters = self.lock();
        let made = counters.decoded.count();
        counters.decoder.wants_keyframe(clock::now(), made)
    }

    /// Whose the picture with a timestamp is.
    fn contributor_at(&self, pts: Option<gst::ClockTime>) -> Contributor {
        match (self.receiver.path, pts) {
            (Path::Forward, Some(pts)) => self.lock().csrc_tracker.at(pts),
            (Path::Mesh, _) => Contributor::always(self.receiver.from),
            (Path::Mix, _) | (Path::Forward, None) => Contributor::always(None),
        }
    }

    /// Takes over a decoded picture. `None` if the sample is none. Called on a streaming thread.
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
        // Last, so that those who wait for a detection find everything else in place.
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

    /// Takes over decoded sound; `base` is the base time of its pipeline. Called on the thread and
    /// within the call that brought its packet, so that it belongs to the newest packet. Its
    /// timestamp would not say, because the decoder counts samples where the times of packets jump.
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
