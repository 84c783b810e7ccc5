//! Sequence numbers of one stream without their wraps (RFC 3550 appendix A.1); pure.

/// Most packets that a number may be ahead of the newest one, in the same stream.
const MAX_DROPOUT: i64 = 3_000;
/// Most packets that a number may be behind the newest one, in the same stream: those that are sent
/// again come late.
const MAX_DISORDER: i64 = 1_000;

/// What the sequence number of a packet means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its number among all of the stream, which does not wrap.
    At(i64),
    /// The sender has begun anew, with this packet. Its number follows on all before.
    Anew(i64),
    /// Far from all others: a packet that has strayed here, unless the next one follows on it.
    Astray,
}

/// Unwraps the numbers of one stream.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// The highest number, and the sequence number of that packet.
    highest: Option<(i64, u16)>,
    /// What would follow on a packet that has strayed.
    after_stray: Option<u16>,
}

impl Sequence {
    /// The place of a packet that arrives with this sequence number.
    pub(crate) fn place(&mut self, seq: u16) -> Place {
        let Some(place) = self.find(seq) else {
            let follows = self.after_stray == Some(seq);
            self.after_stray = Some(seq.wrapping_add(1));
            return match self.highest {
                Some((highest, _)) if follows => {
                    self.highest = Some((highest + 1, seq));
                    self.after_stray = None;
                    Place::Anew(highest + 1)
                }
                Some(_) => Place::Astray,
                None => {
                    self.highest = Some((0, seq));
                    Place::At(0)
                }
            };
        };
        self.after_stray = None;
        if self.is_ahead(place) {
            self.highest = Some((place, seq));
        }
        Place::At(place)
    }

    /// The place of a packet near the newest one; `None` for one that is not, and before the first.
    pub(crate) fn find(&self, seq: u16) -> Option<i64> {
        let (highest, newest) = self.highest?;
        let ahead = i64::from(seq.wrapping_sub(newest).cast_signed());
        let is_near = (-MAX_DISORDER..=MAX_DROPOUT).contains(&ahead);
        is_near.then_some(highest + ahead)
    }

    /// Whether a place is ahead of the newest packet.
    pub(crate) fn is_ahead(&self, place: i64) -> bool {
        self.highest.is_none_or(|(highest, _)| place > highest)
    }

    /// The sequence number of the packet at that place; `None` before the first.
    pub(crate) fn seq_of(&self, place: i64) -> Option<u16> {
        let (highest, newest) = self.highest?;
        Some(newest.wrapping_add((place - highest) as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_over_a_wrap() {
        let mut sequence = Sequence::default();
        let places = [65_534, 65_535, 1, 0, 2].map(|seq| sequence.place(seq));
        assert_eq!(places, [0, 1, 3, 2, 4].map(Place::At));
    }

    #[test]
    fn a_stray_packet_is_none_of_the_stream_and_two_are_a_new_one() {
        let mut sequence = Sequence::default();
        let places = [10, 11, 30_000, 12, 40_000, 40_001, 40_002].map(|seq| sequence.place(seq));
        let expected = [
            Place::At(0),
            Place::At(1),
            Place::Astray,
            Place::At(2),
            Place::Astray,
            Place::Anew(3),
            Place::At(4),
        ];
        assert_eq!(places, expected);
        assert_eq!(sequence.find(40_001), Some(3));
        assert_eq!(sequence.seq_of(2), Some(40_000));
        assert_eq!(sequence.find(12), None);
    }
}
