//! Whether the other side still gets what it is sent; pure.
//!
//! Nobody is to be sent media for longer than 30 s without consent (RFC 7675). ICE asks for it with
//! checks of its own, but not every libnice takes their silence for an answer in time, and none
//! notices a client whose NAT gave it another port while it does not nominate that: its packets come,
//! and what it is sent goes to where it no longer is. So its reports count, which RTCP makes
//! compulsory (RFC 3550 section 6.2) and SRTCP authenticates: while it is sent something all the
//! time, they have to say that something of it has arrived. Where nothing is sent, there is nothing
//! to consent to.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long what is sent may go unanswered. Some three reports of a receiver that reports seldom
/// (every 5 s, by chance 7.5), and less than the 30 s of RFC 7675 section 5.1 by the time that one
/// takes that was under way.
const UNANSWERED_LIMIT: Duration = Duration::from_secs(25);

/// A gap in what is sent after which it counts anew: of a few packets every now and then each may get
/// lost, and nobody is flooded by them.
const PAUSE: Duration = Duration::from_secs(5);

/// What is known of the consent of one peer. Times are on one clock that does not go back.
#[derive(Debug, Default)]
pub(crate) struct Consent {
    /// By the SSRC of what is sent, what was last reported of it. Only SSRCs that this side sends
    /// pass the gate before the session.
    reported: BTreeMap<u32, Reported>,
    /// What has been sent since something was last known to have arrived.
    unanswered: Option<Unanswered>,
}

/// What changes in report blocks of a stream that arrives (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The highest sequence number that has arrived.
    pub(crate) highest: u16,
    /// Which sender report arrived last. It changes, too, where the number does not: some receivers
    /// do not count on when it wraps.
    pub(crate) last_sender_report: u32,
}

/// Packets that nothing is known of, without a pause among them.
#[derive(Debug, Clone, Copy)]
struct Unanswered {
    first: Duration,
    last: Duration,
}

impl Consent {
    /// Takes note of a packet of media that is sent at `now`.
    pub(crate) fn on_sent(&mut self, now: Duration) {
        let first = match self.unanswered {
            Some(Unanswered { first, last }) if now.saturating_sub(last) <= PAUSE => first,
            _ => now,
        };
        self.unanswered = Some(Unanswered { first, last: now });
    }

    /// Takes a report block about the stream `ssrc`. One that says the same as the one before it
    /// says of nothing that it has arrived.
    pub(crate) fn on_report(&mut self, ssrc: u32, reported: Reported) {
        if self.reported.insert(ssrc, reported) != Some(reported) {
            self.on_arrived();
        }
    }

    /// Takes note that something is known to have arrived.
    pub(crate) fn on_arrived(&mut self) {
        self.unanswered = None;
    }

    /// Whether nothing more may be sent.
    pub(crate) fn is_gone(&self) -> bool {
        self.unanswered
            .is_some_and(|sent| sent.last.saturating_sub(sent.first) >= UNANSWERED_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn reported(highest: u16, last_sender_report: u32) -> Reported {
        Reported {
            highest,
            last_sender_report,
        }
    }

    /// Sends every `interval` ms from `begin` to `end`, both in ms, with a report every `reports` ms
    /// made by `report` of its time. Gives when consent was first gone.
    fn sends(
        consent: &mut Consent,
        (begin, end): (u64, u64),
        interval: u64,
        reports: u64,
        report: impl Fn(u64) -> Option<Reported>,
    ) -> Option<u64> {
        (begin..end).step_by(10).find(|at| {
            if at % interval == 0 {
                consent.on_sent(ms(*at));
            }
            if at % reports == 0
                && let Some(reported) = report(*at)
            {
                consent.on_report(1, reported);
            }
            consent.is_gone()
        })
    }

    const HOUR: u64 = 3_600_000;

    #[test]
    fn who_reports_seldom_is_sent_on() {
        // Sound, and the packets of silence that keep DTX going.
        for interval in [20, 400] {
            let counts = |at| Some(reported((at / interval) as u16, (at / 5_000) as u32));
            let gone = sends(&mut Consent::default(), (0, HOUR), interval, 7_500, counts);
            assert_eq!(gone, None, "a packet every {interval} ms");
        }
    }

    #[test]
    fn who_gets_nothing_any_more_is_sent_nothing_more() {
        let mut consent = Consent::default();
        let counts = |at| Some(reported((at / 20) as u16, (at / 1_000) as u32));
        assert_eq!(sends(&mut consent, (0, 60_000), 20, 5_000, counts), None);
        // From a report at 55 s on.
        let gone = sends(&mut consent, (60_000, HOUR), 20, 5_000, |_| None);
        assert_eq!(gone, Some(55_020 + 25_000));
    }

    #[test]
    fn a_report_of_what_was_known_says_nothing() {
        let same = |_| Some(reported(7, 9));
        let gone = sends(&mut Consent::default(), (0, HOUR), 20, 1_000, same);
        // The first report is one of something.
        assert_eq!(gone, Some(25_020));
    }

    #[test]
    fn either_number_counts() {
        let numbers: [fn(u64) -> Option<Reported>; 2] = [
            |at| Some(reported((at / 20) as u16, 0)),
            |at| Some(reported(u16::MAX, (at / 1_000) as u32)),
        ];
        for number in numbers {
            let gone = sends(&mut Consent::default(), (0, HOUR), 20, 5_000, number);
            assert_eq!(gone, None);
        }
    }

    #[test]
    fn each_stream_is_known_by_itself() {
        let mut consent = Consent::default();
        for at in 0..=26 {
            consent.on_sent(ms(at * 1_000));
            consent.on_report(1, reported(7, 9));
            consent.on_report(2, reported(3, 9));
        }
        assert!(consent.is_gone());
    }

    #[test]
    fn a_pause_begins_anew() {
        let nothing = |_| None;
        // Stills every two minutes that get lost, each a burst of packets.
        let mut consent = Consent::default();
        for begin in (0..HOUR).step_by(120_000) {
            let burst = (begin, begin + 20_000);
            assert_eq!(sends(&mut consent, burst, 10, 1_000, nothing), None);
        }
        let gone = sends(&mut Consent::default(), (0, HOUR), 5_000, 1_000, nothing);
        assert_eq!(gone, Some(25_000), "no pause");
        let gone = sends(&mut Consent::default(), (0, HOUR), 5_010, 1_000, nothing);
        assert_eq!(gone, None, "a pause each time");
    }

    #[test]
    fn what_transport_wide_feedback_says_counts() {
        let mut consent = Consent::default();
        for at in 0..3_600 {
            consent.on_sent(ms(at * 1_000));
            if at % 20 == 0 {
                consent.on_arrived();
            }
            assert!(!consent.is_gone(), "after {at} s");
        }
    }
}
