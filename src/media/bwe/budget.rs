//! What may be sent to a viewer, and what of it is a picture's; pure.

use super::ladder::{Ladder, Rung};

/// bit/s that headers add to sound of a packet each 20 ms: 20 bytes of RTP, and those of
/// `peer::link_monitor::PACKET_OVERHEAD`.
pub const SOUND_HEADERS: u32 = 23_200;
/// What headers leave of the bits of a picture, whose packets have 600 bytes on average.
pub const PICTURE_SHARE: f64 = 0.92;

/// What all that is sent to a viewer may come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub enum Budget {
    /// bit/s, all headers included.
    Limited(f64),
    /// Nothing has been heard that speaks against the best.
    #[default]
    Free,
}

impl Budget {
    /// No more than `bits`, bit/s.
    pub(crate) fn lower_to(&mut self, bits: f64) {
        if *self > Self::Limited(bits) {
            *self = Self::Limited(bits);
        }
    }

    /// No less than `bits`, bit/s.
    pub(crate) fn raise_to(&mut self, bits: f64) {
        if *self < Self::Limited(bits) {
            *self = Self::Limited(bits);
        }
    }

    /// bit/s for an encoder of pictures beside sound of `audio` bit/s; `None` if it is free.
    pub fn for_picture(self, audio: u32) -> Option<f64> {
        match self {
            Self::Limited(bits) => Some(((bits - sound(audio)) * PICTURE_SHARE).max(0.0)),
            Self::Free => None,
        }
    }
}

/// What sound comes to.
fn sound(audio: u32) -> f64 {
    match audio {
        0 => 0.0,
        bits => f64::from(bits.saturating_add(SOUND_HEADERS)),
    }
}

/// What a rung needs at least, with sound.
pub(crate) fn need(ladder: &Ladder, rung: Rung, audio: u32) -> f64 {
    let least = ladder.spec(rung).map_or(0, |spec| spec.least);
    f64::from(least) / PICTURE_SHARE + sound(audio)
}

/// What a rung needs at most, with sound.
pub(crate) fn all(ladder: &Ladder, rung: Rung, audio: u32) -> f64 {
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
