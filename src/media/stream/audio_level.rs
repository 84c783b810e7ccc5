//! Who speaks, from what senders say of each packet's loudness (RFC 6464): what forwarding needs
//! to know without decoding.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::media::mixer::audio::gate::{CLOSE, OPEN, OPENING, SILENCE};

/// The header extension's URI (RFC 6464 section 6).
pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// Silence after which somebody speaks no longer: as long as in the mix.
const HANGOVER: gst::ClockTime = gst::ClockTime::from_mseconds(800);

/// The loudness of one uplink. Written by the streaming thread of its tap, read by anybody.
#[derive(Debug)]
pub struct Speech {
    /// The extension's id in this connection, 1 to 14.
    extension: u8,
    /// -dBov of the newest packet, 0 to 127.
    level: AtomicU8,
    /// Loud packets in a row.
    loud: AtomicU8,
    /// Running time until which they count as speaking, ns.
    until: AtomicU64,
}

impl Speech {
    /// Listens to the header extension with this id.
    pub fn new(extension: u8) -> Self {
        Self {
            extension,
            level: AtomicU8::new(127),
            loud: AtomicU8::new(0),
            until: AtomicU64::new(0),
        }
    }

    /// Takes the next packet.
    pub(crate) fn hear<T>(&self, rtp: &gst_rtp::RTPBuffer<'_, T>, now: gst::ClockTime) {
        // The first byte: a bit of voice activity, which not every sender sets, and seven of level.
        let level = rtp
            .extension_onebyte_header(self.extension, 0)
            .and_then(|bytes| bytes.first().map(|byte| byte & 0x7f));
        if let Some(level) = level {
            self.update(level, now);
        }
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
            self.until.store(until.nseconds(), Ordering::Relaxed);
        }
    }

    /// Whether they speak at this running time.
    pub fn is_speaking(&self, now: gst::ClockTime) -> bool {
        now.nseconds() < self.until.load(Ordering::Relaxed)
    }

    /// How loud they are, dBov: 0 is loudest, -127 silence. Nothing heard lately is silence.
    pub fn level_dbov(&self, now: gst::ClockTime) -> f32 {
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
        let speech = Speech::new(1);
        speech.update(20, ms(0));
        assert!(!speech.is_speaking(ms(0)), "one loud packet");
        speech.update(127, ms(20));
        speech.update(20, ms(40));
        assert!(!speech.is_speaking(ms(40)));
        speech.update(20, ms(60));
        assert!(speech.is_speaking(ms(60)));
        assert_eq!(speech.level_dbov(ms(60)), -20.0);
        speech.update(100, ms(80));
        assert!(speech.is_speaking(ms(859)), "a pause between words");
        assert!(!speech.is_speaking(ms(860)));
        assert_eq!(speech.level_dbov(ms(860)), SILENCE);
    }

    #[test]
    fn between_the_thresholds_speech_goes_on_but_does_not_begin() {
        let speech = Speech::new(1);
        for n in 0..10 {
            speech.update(58, ms(n * 20));
        }
        assert!(!speech.is_speaking(ms(200)));
        speech.update(30, ms(200));
        speech.update(30, ms(220));
        speech.update(58, ms(900));
        assert!(speech.is_speaking(ms(1600)));
    }
}
