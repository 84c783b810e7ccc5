//! Audio levels: who speaks, from what senders say of each packet's loudness (RFC 6464), so that
//! forwarding knows it without decoding; and the thresholds of speech, which the mixer's gate
//! shares. Of a sender that says nothing the level is measured
//! (`media/mixer/level_meter`).

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Level above which 20 ms of sound count towards speech, dBov.
pub const OPEN: f32 = -55.0;

/// Level below which 20 ms of sound count towards silence, dBov. The 5 dB between this and [`OPEN`]
/// keep a voice at the threshold from flickering.
pub const CLOSE: f32 = -60.0;

/// Loud frames or packets in a row that begin speech: 40 ms, so that a click does not.
pub const OPENING: u32 = 2;

/// The level of silence, dBov (RFC 6464).
pub const SILENCE: f32 = -127.0;

/// The least that a packet can say, -dBov: silence.
pub(crate) const QUIETEST: u8 = 127;

/// Silence that ends speech: as long as in the mix.
const HANGOVER: gst::ClockTime = gst::ClockTime::from_mseconds(800);

/// Where a level comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LevelSource {
    /// From the header extension of this id, 1 to 14, in each packet.
    Packets(u8),
    /// From whoever decodes it, by [`AudioLevel::measured`].
    Decoder,
}

/// Reads the levels that the packets of one uplink say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LevelReader {
    /// Id of the header extension, 1 to 14; `None` where packets say nothing.
    extension: Option<u8>,
}

impl LevelReader {
    /// For the packets of an uplink with this level.
    pub(crate) fn of(level: Option<&AudioLevel>) -> Self {
        let extension = level.and_then(|level| match level.source {
            LevelSource::Packets(extension) => Some(extension),
            LevelSource::Decoder => None,
        });
        Self { extension }
    }

    /// The level of a packet, -dBov: 0 to 127; `None` if it does not say it.
    pub(crate) fn level<T>(self, rtp: &gst_rtp::RTPBuffer<'_, T>) -> Option<u8> {
        let extension = self.extension?;
        // A bit of voice activity, which not every sender sets, and seven of level.
        let one_byte = rtp.extension_onebyte_header(extension, 0);
        let two_bytes = || rtp.extension_twobytes_header(extension, 0);
        let element = one_byte.or_else(|| two_bytes().map(|(_, bytes)| bytes));
        element.and_then(|bytes| bytes.first().map(|byte| byte & 0x7f))
    }
}

/// The level of one uplink, and whether its participant speaks. Written by the streaming thread of
/// its tap, read on any thread.
#[derive(Debug)]
pub(crate) struct AudioLevel {
    source: LevelSource,
    /// Level of the newest packet, -dBov: 0 to 127.
    level: AtomicU8,
    /// Loud packets in a row.
    loud: AtomicU8,
    /// Running time until which the participant counts as speaking, ns.
    speaking_until: AtomicU64,
}

impl AudioLevel {
    /// Reads the header extension with this id, 1 to 14.
    pub(crate) fn new(extension: u8) -> Self {
        Self::from(LevelSource::Packets(extension))
    }

    /// Of packets that do not say how loud they are: somebody has to measure it.
    pub(crate) fn unsaid() -> Self {
        Self::from(LevelSource::Decoder)
    }

    /// Whether somebody has to measure it.
    pub(crate) fn is_unsaid(&self) -> bool {
        self.source == LevelSource::Decoder
    }

    fn from(source: LevelSource) -> Self {
        Self {
            source,
            level: AtomicU8::new(QUIETEST),
            loud: AtomicU8::new(0),
            speaking_until: AtomicU64::new(0),
        }
    }

    /// Takes the level of the next packet. A packet without the extension changes nothing.
    pub(crate) fn on_packet<T>(&self, rtp: &gst_rtp::RTPBuffer<'_, T>, now: gst::ClockTime) {
        let level = LevelReader::of(Some(self)).level(rtp);
        if let Some(level) = level {
            self.update(level, now);
        }
    }

    /// Takes the level of the next 20 ms, dBov, from whoever has decoded them.
    pub(crate) fn measured(&self, dbov: f32, now: gst::ClockTime) {
        // -127 is silence; 0 is as loud as can be.
        self.update((-dbov).clamp(0.0, 127.0) as u8, now);
    }

    fn update(&self, level: u8, now: gst::ClockTime) {
        self.level.store(level, Ordering::Relaxed);
        let dbov = -f32::from(level);
        let speaking = self.is_speaking(now);
        let loud = match dbov > OPEN {
            true => self.loud.load(Ordering::Relaxed).saturating_add(1),
            false => 0,
        };
        self.loud.store(loud, Ordering::Relaxed);
        // The thresholds of the mixer's own gate: a room must not change its mind with its mode.
        if u32::from(loud) >= OPENING || speaking && dbov >= CLOSE {
            let until = now + HANGOVER;
            self.speaking_until
                .store(until.nseconds(), Ordering::Relaxed);
        }
    }

    /// Whether the participant speaks at this running time.
    pub(crate) fn is_speaking(&self, now: gst::ClockTime) -> bool {
        now.nseconds() < self.speaking_until.load(Ordering::Relaxed)
    }

    /// The level, dBov: 0 is loudest, -127 silence. [`SILENCE`] while the participant does not
    /// speak.
    pub(crate) fn level_dbov(&self, now: gst::ClockTime) -> f32 {
        match self.is_speaking(now) {
            true => -f32::from(self.level.load(Ordering::Relaxed)),
            false => SILENCE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(n)
    }

    #[test]
    fn a_click_is_no_speech_and_a_pause_does_not_end_it() {
        let level = AudioLevel::new(1);
        level.update(20, ms(0));
        assert!(!level.is_speaking(ms(0)), "one loud packet");
        level.update(127, ms(20));
        level.update(20, ms(40));
        assert!(!level.is_speaking(ms(40)));
        level.update(20, ms(60));
        assert!(level.is_speaking(ms(60)));
        assert_eq!(level.level_dbov(ms(60)), -20.0);
        level.update(100, ms(80));
        assert!(level.is_speaking(ms(859)), "a pause between words");
        assert!(!level.is_speaking(ms(860)));
        assert_eq!(level.level_dbov(ms(860)), SILENCE);
    }

    #[test]
    fn between_the_thresholds_speech_goes_on_but_does_not_begin() {
        let level = AudioLevel::new(1);
        for n in 0..10 {
            level.update(58, ms(n * 20));
        }
        assert!(!level.is_speaking(ms(200)));
        level.update(30, ms(200));
        level.update(30, ms(220));
        level.update(58, ms(900));
        assert!(level.is_speaking(ms(1600)));
    }
}
