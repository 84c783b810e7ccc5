//! One voice on its way from packets to the playout buffer: decoded while it is a candidate
//! ([`super::candidates`]), and silence of the same length otherwise.
//!
//! That the buffer is fed in either case keeps everything about it as it would be if all were
//! decoded: its depth, its adaptation to jitter, and the delay that pictures follow. When a voice
//! becomes a candidate, the last packets before that are run through the decoder first. A decoder
//! needs them to find in, and what they say takes the place of the silence that is still held in the
//! buffer; so the beginning of a word is whole even if it is fainter than a candidate has to be.

use std::collections::VecDeque;

use super::candidates::{Claim, Standing};
use super::decoder::VoiceDecoder;
use super::feed::{PacketFeed, VoicePacket};
use super::mix::SAMPLE_RATE;
use super::playout::{Continuity, Playout};

/// How much of what was not decoded is kept: 100 ms.
const KEPT_SAMPLES: usize = SAMPLE_RATE as usize / 10;

/// A microphone whose packets the mixer decodes itself.
#[derive(Debug)]
pub(crate) struct Voice {
    feed: PacketFeed,
    claim: Claim,
    /// Packets that have come since the last beat.
    arrived: Vec<VoicePacket>,
    /// The last packets before those, [`KEPT_SAMPLES`] at most.
    kept: VecDeque<VoicePacket>,
    kept_samples: usize,
    /// Exists while the voice is decoded.
    decoder: Option<VoiceDecoder>,
}

impl Voice {
    pub(crate) fn new(feed: PacketFeed) -> Self {
        Self {
            feed,
            claim: Claim::default(),
            arrived: Vec::new(),
            kept: VecDeque::new(),
            kept_samples: 0,
            decoder: None,
        }
    }

    /// Takes the packets that have come since the last beat. Returns how the voice stands now.
    pub(crate) fn collect(&mut self, heard: bool) -> Standing {
        while let Some(packet) = self.feed.next() {
            self.claim.packet(packet.level);
            self.arrived.push(packet);
        }
        self.claim.standing(heard)
    }

    /// Whether it was decoded in the last beat.
    pub(crate) fn is_decoded(&self) -> bool {
        self.decoder.is_some()
    }

    /// The level that the newest packet says, dBov, while nobody decodes it.
    pub(crate) fn said_dbov(&self) -> Option<f32> {
        self.claim.level_dbov().filter(|_| !self.is_decoded())
    }

    /// Ends a beat, after which the voice is in the mix (`heard`) or not.
    pub(crate) fn end_beat(&mut self, heard: bool) {
        self.claim.beat(self.is_decoded(), heard);
    }

    /// Moves what has come into the playout buffer, decoded or as silence. `before` is called with
    /// the beginning and the length of the sound of each packet, and says how it relates to the
    /// sound before.
    pub(crate) fn play_into(
        &mut self,
        playout: &mut Playout,
        decode: bool,
        mut before: impl FnMut(gst::ClockTime, usize) -> Continuity,
    ) {
        let was_decoded = self.is_decoded();
        match decode {
            true if !was_decoded && !self.arrived.is_empty() => self.begin(playout),
            true => {}
            false => self.decoder = None,
        }
        let mut broken = was_decoded && !self.is_decoded();
        for packet in std::mem::take(&mut self.arrived) {
            let VoicePacket { lost, samples, .. } = packet;
            let begins = packet.at.saturating_sub(length(lost));
            let continuity = match before(begins, lost + samples) {
                _ if std::mem::take(&mut broken) => Continuity::Gap,
                continuity => continuity,
            };
            match &mut self.decoder {
                Some(decoder) => {
                    playout.push(decoder.decode(lost, samples, &packet.payload), continuity);
                }
                None => playout.push_silence(lost + samples, continuity),
            }
            self.keep(packet);
        }
    }

    /// Begins to decode, with what was kept.
    fn begin(&mut self, playout: &mut Playout) {
        let mut decoder = match VoiceDecoder::new() {
            Ok(decoder) => decoder,
            Err(error) => {
                tracing::warn!(?error, "a voice is not decoded");
                return;
            }
        };
        let mut sound = Vec::with_capacity(2 * KEPT_SAMPLES);
        for packet in &self.kept {
            sound.extend_from_slice(decoder.decode(packet.lost, packet.samples, &packet.payload));
        }
        playout.replace_end(&sound);
        self.decoder = Some(decoder);
    }

    fn keep(&mut self, packet: VoicePacket) {
        self.kept_samples += packet.samples;
        self.kept.push_back(packet);
        while self.kept_samples > KEPT_SAMPLES
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_samples -= oldest.samples;
        }
    }
}

/// How long it takes to play so many samples.
pub(crate) fn length(samples: usize) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(samples as u64 * 1_000_000_000 / u64::from(SAMPLE_RATE))
}
