//! How much one sender may ask of decoders; pure.
//!
//! A decoder makes room for pictures as large as a header says, and decodes as many as come. So
//! pictures that are too large are not decoded, nor is what depends on them, and of those that are
//! too many a share is left out. It is all read from headers, before a decoder sees them
//! ([`super::payload::demand`]).

use std::collections::BTreeMap;
use std::time::Duration;

use super::payload::can_begin;
use super::payload::reader::{DemandReader, samples};
use super::token_bucket::TokenBucket;
use crate::codec::Codec;

/// Pixels of the largest picture that is decoded: 4096x2304, which every form of 4K fits in.
pub(crate) const MAX_PICTURE: u32 = 4_096 * 2_304;
/// Pixels of one sender's stream that are decoded a second: the largest pictures at 30 a second.
const MAX_PIXELS_PER_SECOND: u32 = 30 * MAX_PICTURE;
/// Pictures of one sender's stream that are decoded a second, each layer of VP9 for itself: three of
/// them at 60 a second, and some to spare.
const MAX_PICTURES_PER_SECOND: u32 = 240;
/// Packets of sound of one sender that are decoded a second. The shortest are 2.5 ms long.
const MAX_SOUND_PACKETS_PER_SECOND: u32 = 500;
/// Samples of sound at 48 kHz of one sender that are decoded a second, those made up for lost ones
/// included: twice as long as a second.
const MAX_SAMPLES_PER_SECOND: u32 = 2 * 48_000;
/// How long nothing is decoded after a decoder has made a picture that is too large though no header
/// said so. Each time costs as much as the largest picture that a codec has.
pub(crate) const HIDDEN_HOLD_OFF: Duration = Duration::from_secs(5);
/// Seconds of each of these rates that may come at once, as after a stall of the network, or of what
/// came since a keyframe.
const AT_ONCE: u32 = 4;

/// Why a packet is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// It is of pictures that are too large, or that do not say how large they are.
    Size,
    /// There are too many of them, or too many pixels in them.
    Rate,
}

impl Over {
    /// What it is called in logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Rate => "rate",
        }
    }
}

/// The budget of one stream of a sender.
#[derive(Debug)]
pub(crate) struct DecodeBudget {
    format: Codec,
    reader: DemandReader,
    entry: Entry,
    /// Until when nothing passes whatever its headers say.
    shut_until: Duration,
    /// Sizes in pixels, by what said them.
    areas: BTreeMap<u8, u32>,
    pictures: TokenBucket,
    pixels: TokenBucket,
    sound_packets: TokenBucket,
    samples: TokenBucket,
}

/// What of a stream of pictures passes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// All of it.
    Open,
    /// Nothing before a decoder can begin anew.
    Shut(Over),
}

impl DecodeBudget {
    /// For a stream of this codec.
    pub(crate) fn new(format: Codec) -> Self {
        let bucket = |per_second: u32| TokenBucket::new(per_second, AT_ONCE * per_second);
        Self {
            format,
            reader: DemandReader::new(format),
            entry: Entry::Open,
            shut_until: Duration::ZERO,
            areas: BTreeMap::new(),
            pictures: bucket(MAX_PICTURES_PER_SECOND),
            pixels: bucket(MAX_PIXELS_PER_SECOND),
            sound_packets: bucket(MAX_SOUND_PACKETS_PER_SECOND),
            samples: bucket(MAX_SAMPLES_PER_SECOND),
        }
    }

    /// Whether the packet with this payload, which comes at `now`, is decoded.
    ///
    /// # Errors
    /// It is not. Of pictures nothing is then before the next that a decoder can begin with, which
    /// whoever asks here has to ask for.
    pub(crate) fn spend(&mut self, now: Duration, payload: &[u8]) -> Result<(), Over> {
        if self.format == Codec::Opus {
            return self.spend_sound(now, payload);
        }
        let entry = self.enter(now, payload);
        self.entry = entry;
        match entry {
            Entry::Open => Ok(()),
            Entry::Shut(over) => Err(over),
        }
    }

    /// Whether so much lost sound is made up for at `now`, samples at 48 kHz.
    pub(crate) fn conceals(&mut self, now: Duration, samples: u32) -> bool {
        self.samples.take(now, samples)
    }

    /// Notes that at `now` a decoder has made a picture that is too large: a frame of VP9 may stand
    /// behind another one, unseen. Nothing passes for [`HIDDEN_HOLD_OFF`], and then the next picture
    /// that a decoder can begin with.
    pub(crate) fn shut(&mut self, now: Duration) {
        self.entry = Entry::Shut(Over::Size);
        self.shut_until = now + HIDDEN_HOLD_OFF;
    }

    fn spend_sound(&mut self, now: Duration, payload: &[u8]) -> Result<(), Over> {
        let is_within = self.sound_packets.take(now, 1) && self.samples.take(now, samples(payload));
        is_within.then_some(()).ok_or(Over::Rate)
    }

    fn enter(&mut self, now: Duration, payload: &[u8]) -> Entry {
        let Some(demand) = self.reader.read(payload) else {
            return Entry::Shut(Over::Size);
        };
        if demand.areas.iter().any(|(_, area)| *area > MAX_PICTURE) {
            return Entry::Shut(Over::Size);
        }
        if now < self.shut_until {
            return Entry::Shut(Over::Size);
        }
        let begins = match self.entry {
            Entry::Open => true,
            Entry::Shut(Over::Rate) => can_begin(self.format, payload),
            // A slice of H.264 does not say that it belongs to the parameter set that was left out.
            Entry::Shut(Over::Size) => can_begin(self.format, payload) && !demand.areas.is_empty(),
        };
        if !begins {
            return self.entry;
        }
        self.areas.extend(demand.areas);
        for layer in demand.pictures {
            if !self.pictures.has_any(now) || !self.pixels.has_any(now) {
                return Entry::Shut(Over::Rate);
            }
            self.pictures.owe(1);
            self.pixels.owe(self.area(layer));
        }
        Entry::Open
    }

    /// Pixels of a picture of a layer: as many as the largest has where it is not known. Nothing is
    /// known of H.264 whose parameter sets are not in the stream; of other codecs nothing is decoded
    /// before it is known.
    fn area(&self, layer: u8) -> u32 {
        let own = self.areas.get(&layer).filter(|_| self.format == Codec::Vp9);
        let largest = || self.areas.values().max().copied();
        let unknown = match self.format {
            Codec::H264 => MAX_PICTURE,
            _ => 0,
        };
        own.copied().or_else(largest).unwrap_or(unknown)
    }
}

#[cfg(test)]
mod tests;
