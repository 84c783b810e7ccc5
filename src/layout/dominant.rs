//! The dominant speaker; pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::ParticipantId;

/// How long somebody is heard, after the dominant speaker has stopped, before they take their place.
/// Longer than a cough, which is heard for 0.9 s with what follows it.
const TAKES_OVER: Duration = Duration::from_secs(1);

/// The same while the dominant speaker goes on.
const INTERRUPTS: Duration = Duration::from_millis(1500);

/// Who has the large tile of a spotlight: who speaks, but not each who coughs or agrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DominantSpeaker {
    /// With the time since which they are it.
    who: Option<(ParticipantId, Duration)>,
    /// Everybody who is heard, and since when.
    heard: BTreeMap<ParticipantId, Duration>,
}

impl DominantSpeaker {
    /// The dominant speaker, who may have stopped speaking; `None` before anybody spoke.
    pub fn who(&self) -> Option<ParticipantId> {
        self.who.map(|(who, _)| who)
    }

    /// Notes who is heard at `now`, and who of the room is still there.
    pub fn update(
        &mut self,
        now: Duration,
        heard: impl Iterator<Item = ParticipantId>,
        is_present: impl Fn(ParticipantId) -> bool,
    ) {
        let before = std::mem::take(&mut self.heard);
        self.heard = heard
            .map(|who| (who, before.get(&who).copied().unwrap_or(now)))
            .collect();
        self.who = self.who.filter(|(who, _)| is_present(*who));
        let next = self.due().filter(|(at, _)| *at <= now).min();
        if let Some((_, who)) = next {
            self.who = Some((who, now));
        }
    }

    /// When somebody else becomes the dominant speaker, if nothing else changes.
    pub fn next_change(&self) -> Option<Duration> {
        self.due().map(|(at, _)| at).min()
    }

    /// Who can become the dominant speaker, and when.
    fn due(&self) -> impl Iterator<Item = (Duration, ParticipantId)> {
        let others = self
            .heard
            .iter()
            .filter(|(who, _)| Some(**who) != self.who());
        others.filter_map(|(who, began)| {
            let wait = match self.who {
                None => Duration::ZERO,
                Some((dominant, _)) if !self.heard.contains_key(&dominant) => TAKES_OVER,
                // Who spoke already when the other took over has to begin anew.
                Some((_, since)) if *began > since => INTERRUPTS,
                Some(_) => return None,
            };
            Some((*began + wait, *who))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: u32 = 1;
    const BEN: u32 = 2;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Who is dominant at the end, when these are heard from these times on.
    fn dominant(history: &[(u64, &[u32])]) -> Option<u32> {
        let mut dominant = DominantSpeaker::default();
        let mut told: &[u32] = &[];
        let until = history.last().map_or(0, |(at, _)| *at);
        for now in (0..=until).step_by(20) {
            if let Some((_, heard)) = history.iter().find(|(at, _)| *at == now) {
                told = heard;
            }
            let heard = told.iter().map(|who| ParticipantId::new(*who));
            dominant.update(ms(now), heard, |_| true);
        }
        dominant.who().map(ParticipantId::ordinal)
    }

    #[test]
    fn the_first_to_speak_has_it_at_once_and_keeps_it() {
        assert_eq!(dominant(&[(0, &[])]), None);
        assert_eq!(dominant(&[(0, &[BEN])]), Some(BEN));
        assert_eq!(
            dominant(&[(0, &[BEN]), (1000, &[]), (60_000, &[])]),
            Some(BEN)
        );
    }

    #[test]
    fn a_cough_changes_nothing() {
        let during = [
            (0, &[ANN][..]),
            (5000, &[ANN, BEN]),
            (5860, &[ANN]),
            (9000, &[ANN]),
        ];
        assert_eq!(dominant(&during), Some(ANN), "while somebody speaks");
        let after = [
            (0, &[ANN][..]),
            (1000, &[]),
            (5000, &[BEN]),
            (5860, &[]),
            (9000, &[]),
        ];
        assert_eq!(dominant(&after), Some(ANN), "in silence");
    }

    #[test]
    fn who_goes_on_speaking_takes_over() {
        let turn = [(0, &[ANN][..]), (1000, &[BEN]), (2000, &[BEN])];
        assert_eq!(dominant(&turn), Some(BEN));
        let interrupts = [(0, &[ANN][..]), (1000, &[ANN, BEN]), (2480, &[ANN, BEN])];
        assert_eq!(dominant(&interrupts), Some(ANN));
        let goes_on = [(0, &[ANN][..]), (1000, &[ANN, BEN]), (9000, &[ANN, BEN])];
        assert_eq!(
            dominant(&goes_on),
            Some(BEN),
            "and it does not go to and fro"
        );
        let back = [
            (0, &[ANN][..]),
            (1000, &[ANN, BEN]),
            (9000, &[ANN]),
            (9020, &[ANN]),
        ];
        assert_eq!(
            dominant(&back),
            Some(ANN),
            "who speaks on when the other stops"
        );
    }

    #[test]
    fn who_has_left_has_nothing() {
        let mut dominant = DominantSpeaker::default();
        let ann = ParticipantId::new(ANN);
        dominant.update(ms(0), [ann].into_iter(), |_| true);
        assert_eq!(dominant.who(), Some(ann));
        dominant.update(ms(20), [].into_iter(), |_| false);
        assert_eq!((dominant.who(), dominant.next_change()), (None, None));
    }
}
