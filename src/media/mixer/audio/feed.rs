//! The packets of a microphone on their way to the mixer: those that may be decoded, in their order,
//! each with what is missing before it and with how loud it says it is.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::gaps::GapDetector;
use crate::id::SourceId;
use crate::media::gst::pipeline::running_time;
use crate::media::rtp::payload::reader::{is_silence, samples};
use crate::media::stream::audio_level::{LevelReader, QUIETEST};
use crate::media::stream::sanitize::PacketGate;
use crate::media::stream::tap::{Subscription, Tap};

/// Most packets that wait for a mixer: a second of the usual ones. Beyond it the oldest is dropped.
const MAX_WAITING: usize = 50;

/// A packet of Opus.
#[derive(Debug, Clone)]
pub(crate) struct VoicePacket {
    /// Running time at which its sound begins.
    pub(crate) at: gst::ClockTime,
    /// Samples at 48 kHz that it is decoded to.
    pub(crate) samples: usize,
    /// Samples at 48 kHz that were lost right before it and are made up for.
    pub(crate) lost: usize,
    /// Its level, -dBov, if it says it or is silence.
    pub(crate) level: Option<u8>,
    pub(crate) payload: Box<[u8]>,
}

/// The packets of one microphone that wait for the mixer. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct PacketFeed {
    waiting: Arc<Mutex<VecDeque<VoicePacket>>>,
    _link: Subscription,
}

impl PacketFeed {
    /// The packets of `tap` from now on.
    pub(crate) fn new(source: SourceId, tap: &Tap) -> Self {
        let waiting = Arc::new(Mutex::new(VecDeque::with_capacity(MAX_WAITING)));
        let queue = Arc::clone(&waiting);
        let link = listen(source, tap, move |packet| {
            let mut queue = queue.lock();
            if queue.len() == MAX_WAITING {
                queue.pop_front();
            }
            queue.push_back(packet);
        });
        Self {
            waiting,
            _link: link,
        }
    }

    /// The next packet that has come.
    pub(crate) fn next(&self) -> Option<VoicePacket> {
        self.waiting.lock().pop_front()
    }
}

/// Calls `take` with each packet of a microphone that may be decoded, on the thread of the tap.
pub(crate) fn listen(
    source: SourceId,
    tap: &Tap,
    mut take: impl FnMut(VoicePacket) + Send + 'static,
) -> Subscription {
    let mut gate = PacketGate::new(tap.format());
    let mut gaps = GapDetector::default();
    let level = LevelReader::of(tap.audio_level());
    tap.connect(Box::new(move |packets, _caps| {
        let now = running_time();
        for packet in packets {
            let Some(packet) = gate.admit(packet, now) else {
                continue;
            };
            if let Some(packet) = read(&packet, now, (&mut gate, &mut gaps), level) {
                take(packet);
            }
        }
        if let Some(over) = gate.newly_over() {
            tracing::warn!(%source, of = over.name(), "more is sent than is decoded");
        }
    }))
}

fn read(
    packet: &gst::Buffer,
    now: gst::ClockTime,
    (gate, gaps): (&mut PacketGate, &mut GapDetector),
    level: LevelReader,
) -> Option<VoicePacket> {
    let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet).ok()?;
    if gaps.is_late(rtp.ssrc(), rtp.seq()) {
        return None;
    }
    let lost = gaps.lost_before(rtp.seq(), rtp.timestamp());
    let lost = lost.filter(|lost| gate.conceals(now, *lost));
    let payload = rtp.payload().ok()?;
    let silent = || is_silence(payload).then_some(QUIETEST);
    Some(VoicePacket {
        at: packet.pts().unwrap_or(now),
        samples: usize::try_from(samples(payload)).ok()?,
        lost: lost.map_or(0, |lost| lost.as_micros() as usize * 48 / 1_000),
        level: level.level(&rtp).or_else(silent),
        payload: payload.into(),
    })
}
