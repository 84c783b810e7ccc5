//! What may be sent to a viewer, and what of it is a picture's; pure.

use super::ladder::{Ladder, Rung};

/// Bytes on the way around each RTP packet: IPv4 20, UDP 8, and SRTP's tag of 80 bits. For sound
/// they are a quarter of all bits: without them a link would seem to carry now less and now more.
pub(crate) const OVERHEAD: usize = 20 + 8 + 10;
/// bit/s that headers add to sound of a packet each 20 ms: 20 bytes of RTP and [`OVERHEAD`].
pub(crate) const SOUND_HEADERS: u32 = 23_200;
/// Share of a picture's bits on the wire that headers leave for its payload. Its packets
/// have 600 bytes on average.
pub(crate) const PICTURE_SHARE: f64 = 0.92;

/// What may be sent to a viewer at most, sound and pictures together.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub enum Budget {
    /// bit/s, all headers included.
    Limited(f64),
    /// No limit: the link has never been overused, or carries the best there is.
    #[default]
    Free,
}

impl Budget {
    /// Lowers the budget to `bits` bit/s if it is more.
    pub(crate) fn lower_to(&mut self, bits: f64) {
        if *self > Self::Limited(bits) {
            *self = Self::Limited(bits);
        }
    }

    /// Raises the budget to `bits` bit/s if it is less.
    pub(crate) fn raise_to(&mut self, bits: f64) {
        if *self < Self::Limited(bits) {
            *self = Self::Limited(bits);
        }
    }

    /// bit/s left for the payload of pictures beside sound of `audio` bit/s; `None` without a
    /// limit.
    pub fn for_picture(self, audio: u32) -> Option<f64> {
        match self {
            Self::Limited(bits) => Some(((bits - sound(audio)) * PICTURE_SHARE).max(0.0)),
            Self::Free => None,
        }
    }
}

/// bit/s on the wire of sound that is encoded at `audio` bit/s; 0 for none.
fn sound(audio: u32) -> f64 {
    match audio {
        0 => 0.0,
        bits => f64::from(bits.saturating_add(SOUND_HEADERS)),
    }
}

/// bit/s on the wire that a rung needs at least, beside sound of `audio` bit/s.
pub(crate) fn rung_needs(ladder: &Ladder, rung: Rung, audio: u32) -> f64 {
    let least = ladder.spec(rung).map_or(0, |spec| spec.least);
    f64::from(least) / PICTURE_SHARE + sound(audio)
}

/// bit/s on the wire that a rung may take at most, beside sound of `audio` bit/s.
pub(crate) fn rung_takes(ladder: &Ladder, rung: Rung, audio: u32) -> f64 {
    let most = ladder.spec(rung).map_or(0, |spec| spec.most);
    f64::from(most) / PICTURE_SHARE + sound(audio)
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_comes_first() {
        let budget = Budget::Limited(100_000.0);
        assert_eq!(budget.for_picture(40_000), Some(36_800.0 * PICTURE_SHARE));
        assert_eq!(budget.for_picture(0), Some(92_000.0));
        assert_eq!(Budget::Limited(30_000.0).for_picture(40_000), Some(0.0));
        assert_eq!(Budget::Free.for_picture(40_000), None);
    }
}
