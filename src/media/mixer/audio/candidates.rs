//! Whose voice is decoded: of those whose packets say how loud they are, up to six who speak or
//! spoke lately; pure.
//!
//! A level that is said (RFC 6464) costs nothing to read, and can be wrong. So it only makes its
//! sender a candidate; who is heard is decided by the gate ([`super::gate`]), by what was decoded.
//! Who says that they are loud and turns out not to be gives way to everybody else who says so.
//!
//! Time is counted in beats of the mixer, of 20 ms.

use super::gate::OPEN;

/// Most voices that are decoded at once, of those whose packets say how loud they are.
pub const MAX_VOICES: usize = 6;

/// Level from which on a packet makes its sender a candidate, dBov: ten below that at which the
/// gate opens, for senders do not all measure alike.
pub const CANDIDATE: f32 = OPEN - 10.0;

/// Beats without a loud packet after which somebody is not loud any more: 200 ms, so that a
/// consonant between two vowels costs nobody their place.
const LOUD: u32 = 10;

/// Beats without a loud packet after which a voice is not decoded any more, unless it is still in
/// the mix: one second, longer than the pauses between words.
const RECENT: u32 = 50;

/// Beats for which a voice that says it is loud is decoded without getting into the mix before it
/// is doubted: half a second, longer than any playout buffer.
const PROOF: u32 = 25;

/// Beats for which a doubt lasts: ten seconds.
const DOUBT: u32 = 500;

/// How much louder than what was doubted a packet has to say it is to be believed, dB.
const LOUDER: u8 = 6;

/// What one sender's packets say of their loudness, and what came of it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Level of the newest packet, -dBov; `None` if packets do not say it, or none has come.
    said: Option<u8>,
    /// Beats since a packet was loud, or did not say whether it is.
    quiet_for: u32,
    /// Beats for which it was loud and decoded without being heard.
    unheard_for: u32,
    /// Level, -dBov, that turned out to be none, and beats until that is forgotten.
    doubted: Option<(u8, u32)>,
}

impl Default for Claim {
    fn default() -> Self {
        Self {
            said: None,
            quiet_for: RECENT,
            unheard_for: 0,
            doubted: None,
        }
    }
}

/// What speaks for decoding a voice; what is greater comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Silent: not decoded.
    Silent,
    /// Says that it is this loud, dBov; and what was said before was not so.
    Doubted(i16),
    /// Spoke lately, or is still in the mix.
    Recent,
    /// Says that it is this loud, dBov.
    Loud(i16),
    /// Is loud, and in the mix.
    Heard,
    /// Says nothing: always decoded.
    Unsaid,
}

impl Claim {
    /// Takes the level of the next packet, -dBov: 127 for one that is silence by its first bytes, as
    /// in a pause (DTX), `None` for one that does not say.
    pub fn packet(&mut self, level: Option<u8>) {
        self.said = level;
        if level.is_none_or(is_loud) {
            self.quiet_for = 0;
        }
    }

    /// Level of the newest packet, dBov, if it says it.
    pub fn level_dbov(&self) -> Option<f32> {
        self.said.map(|level| -f32::from(level))
    }

    /// How the voice stands, which is in the mix (`heard`) or not.
    pub fn standing(&self, heard: bool) -> Standing {
        let Some(said) = self.said else {
            return Standing::Unsaid;
        };
        let loud = -i16::from(said);
        match (self.quiet_for < LOUD, self.doubted) {
            (true, _) if heard => Standing::Heard,
            (true, Some((level, _))) if said.saturating_add(LOUDER) > level => {
                Standing::Doubted(loud)
            }
            (true, _) => Standing::Loud(loud),
            (false, _) if heard || self.quiet_for < RECENT => Standing::Recent,
            (false, _) => Standing::Silent,
        }
    }

    /// Ends a beat in which the voice was `decoded` or not, and after which it is in the mix
    /// (`heard`) or not.
    pub fn beat(&mut self, decoded: bool, heard: bool) {
        let loud = self.said.filter(|_| self.quiet_for < LOUD);
        match (loud, heard) {
            (_, true) => (self.unheard_for, self.doubted) = (0, None),
            (Some(level), false) if decoded => {
                self.unheard_for += 1;
                if self.unheard_for >= PROOF {
                    let loudest = self
                        .doubted
                        .map_or(level, |(doubted, _)| doubted.min(level));
                    self.doubted = Some((loudest, DOUBT));
                }
            }
            _ => self.unheard_for = 0,
        }
        self.doubted = self
            .doubted
            .and_then(|(level, left)| Some((level, left.checked_sub(1)?)));
        self.quiet_for = self.quiet_for.saturating_add(1);
    }
}

/// Whether a packet of this level, -dBov, makes its sender a candidate.
fn is_loud(level: u8) -> bool {
    -f32::from(level) >= CANDIDATE
}

/// Which of these voices are decoded in this beat: `true` at the place of each. Each is given with
/// whether it was decoded in the beat before. Among equals that decides, so that places do not
/// change hands without need.
pub fn choose(voices: &[(Standing, bool)]) -> Vec<bool> {
    let mut chosen: Vec<bool> = voices
        .iter()
        .map(|(standing, _)| *standing == Standing::Unsaid)
        .collect();
    let mut candidates: Vec<usize> = (0..voices.len())
        .filter(|n| !matches!(voices[*n].0, Standing::Unsaid | Standing::Silent))
        .collect();
    if candidates.len() > MAX_VOICES {
        candidates.sort_by_key(|n| std::cmp::Reverse(rank(voices[*n])));
    }
    for n in candidates.into_iter().take(MAX_VOICES) {
        chosen[n] = true;
    }
    chosen
}

/// Who is decoded counts as a little louder than they are.
fn rank((standing, decoded): (Standing, bool)) -> (Standing, bool) {
    let bonus = i16::from(LOUDER) * i16::from(decoded);
    let standing = match standing {
        Standing::Loud(level) => Standing::Loud(level + bonus),
        Standing::Doubted(level) => Standing::Doubted(level + bonus),
        other => other,
    };
    (standing, decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(levels: &[Option<u8>]) -> Claim {
        let mut claim = Claim::default();
        for level in levels {
            claim.packet(*level);
            claim.beat(false, false);
        }
        claim
    }

    #[test]
    fn who_speaks_stands_higher_than_who_spoke_and_who_says_nothing_is_always_decoded() {
        assert_eq!(Claim::default().standing(false), Standing::Unsaid);
        assert_eq!(after(&[Some(127)]).standing(false), Standing::Silent);
        assert_eq!(after(&[Some(30)]).standing(false), Standing::Loud(-30));
        assert_eq!(after(&[Some(30)]).standing(true), Standing::Heard);
        let mut paused = vec![Some(30)];
        paused.resize(20, Some(90));
        assert_eq!(after(&paused).standing(false), Standing::Recent);
        paused.resize(60, Some(90));
        assert_eq!(after(&paused).standing(false), Standing::Silent);
        assert_eq!(
            after(&paused).standing(true),
            Standing::Recent,
            "still in the mix"
        );
        let order = [
            Standing::Silent,
            Standing::Doubted(0),
            Standing::Recent,
            Standing::Loud(-60),
            Standing::Loud(-20),
            Standing::Heard,
            Standing::Unsaid,
        ];
        assert!(order.is_sorted());
    }

    #[test]
    fn who_says_nothing_is_decoded_until_a_pause_has_lasted() {
        let mut packets = vec![None];
        assert_eq!(after(&packets).standing(false), Standing::Unsaid);
        packets.resize(20, Some(127));
        assert_eq!(after(&packets).standing(false), Standing::Recent);
        packets.resize(60, Some(127));
        assert_eq!(after(&packets).standing(false), Standing::Silent);
    }

    /// Six who say that they are as loud as can be, and are not heard.
    #[test]
    fn who_only_says_so_keeps_nobody_out() {
        let mut liars = vec![Claim::default(); MAX_VOICES];
        for _ in 0..PROOF {
            for liar in &mut liars {
                liar.packet(Some(0));
                liar.beat(true, false);
            }
        }
        let mut voices: Vec<_> = liars.iter().map(|l| (l.standing(false), true)).collect();
        voices.push((after(&[Some(40)]).standing(false), false));
        assert_eq!(choose(&voices).last(), Some(&true));
    }

    #[test]
    fn a_doubt_ends_when_somebody_is_much_louder_or_heard_or_after_a_while() {
        let mut noisy = Claim::default();
        for _ in 0..PROOF {
            noisy.packet(Some(60));
            noisy.beat(true, false);
        }
        assert_eq!(noisy.standing(false), Standing::Doubted(-60));
        noisy.packet(Some(30));
        assert_eq!(noisy.standing(false), Standing::Loud(-30));
        noisy.packet(Some(60));
        for _ in 0..=DOUBT {
            noisy.packet(Some(60));
            noisy.beat(false, false);
        }
        assert_eq!(noisy.standing(false), Standing::Loud(-60));
        noisy.beat(true, true);
        assert_eq!(noisy.doubted, None);
    }
}
