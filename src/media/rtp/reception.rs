//! What a receiver reports of one stream (RFC 3550 section 6.4 and appendices A.3 and A.8); pure.

use std::time::Duration;

/// Packets of one stream as they came.
#[derive(Debug)]
pub(crate) struct Reception {
    /// Timestamp units a second, Hz.
    clock_rate: u32,
    /// The number of the first packet, and the highest.
    numbers: Option<(i64, i64)>,
    /// The sequence number of the first packet.
    first_seq: u16,
    received: i64,
    /// What was expected and received at the last report.
    reported: (i64, i64),
    /// Timestamp and arrival of the newest packet.
    newest: Option<(u32, Duration)>,
    /// Mean deviation of the time between arrivals, timestamp units.
    jitter: f64,
    /// The middle 32 bits of the NTP time of the last sender report, and when that came.
    sender_report: Option<(u32, Duration)>,
}

impl Reception {
    /// For a stream of that clock rate, Hz.
    pub(crate) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            numbers: None,
            first_seq: 0,
            received: 0,
            reported: (0, 0),
            newest: None,
            jitter: 0.0,
            sender_report: None,
        }
    }

    /// Takes a packet that came at `now`: its number that does not wrap, its sequence number and its
    /// timestamp.
    pub(crate) fn came(&mut self, now: Duration, number: i64, seq: u16, timestamp: u32) {
        self.received += 1;
        match &mut self.numbers {
            Some((_, highest)) => *highest = number.max(*highest),
            None => {
                self.numbers = Some((number, number));
                self.first_seq = seq;
            }
        }
        if let Some((last, at)) = self.newest {
            // Packets of one frame are sent one after the other, and say nothing of the way.
            if last == timestamp {
                return;
            }
            let units = now.saturating_sub(at).as_secs_f64() * f64::from(self.clock_rate);
            let sent = f64::from(timestamp.wrapping_sub(last).cast_signed());
            self.jitter += ((units - sent).abs() - self.jitter) / 16.0;
        }
        self.newest = Some((timestamp, now));
    }

    /// Takes a sender report of the stream that came at `now`, with that NTP time.
    pub(crate) fn on_sender_report(&mut self, now: Duration, ntp: u64) {
        self.sender_report = Some(((ntp >> 16) as u32, now));
    }

    /// The report block about the stream `ssrc`; `None` if nothing of it has come since the last.
    pub(crate) fn block(&mut self, now: Duration, ssrc: u32) -> Option<[u8; 24]> {
        let (first, highest) = self.numbers?;
        let expected = highest - first + 1;
        let (expected_before, received_before) = self.reported;
        if self.received == received_before {
            return None;
        }
        self.reported = (expected, self.received);
        let expected_now = expected - expected_before;
        let lost_now = expected_now - (self.received - received_before);
        let fraction = match (lost_now > 0, expected_now > 0) {
            (true, true) => u8::try_from(lost_now * 256 / expected_now).unwrap_or(u8::MAX),
            _ => 0,
        };
        let lost = (expected - self.received).clamp(-0x80_0000, 0x7f_ffff) as i32;
        let extended = i64::from(self.first_seq) + highest - first;
        let (last, delay) = match self.sender_report {
            Some((ntp, came)) => (ntp, now.saturating_sub(came).as_secs_f64() * 65_536.0),
            None => (0, 0.0),
        };
        let words = [
            ssrc,
            u32::from(fraction) << 24 | lost.cast_unsigned() & 0xff_ffff,
            extended as u32,
            self.jitter as u32,
            last,
            delay as u32,
        ];
        let mut block = [0; 24];
        for (place, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bwe::rtcp::{ReportBlock, report_blocks};
    use crate::media::rtp::compound::{RECEIVER_REPORT, write};

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn report(reception: &mut Reception, now: Duration) -> Option<ReportBlock> {
        let block = reception.block(now, 7)?;
        let mut compound = Vec::new();
        write(
            &mut compound,
            RECEIVER_REPORT,
            1,
            &[&[0; 4][..], &block].concat(),
        );
        report_blocks(&compound).next()
    }

    #[test]
    fn losses_are_told_in_all_and_since_the_last_report() {
        let mut reception = Reception::new(90_000);
        assert_eq!(report(&mut reception, ms(0)), None);
        for number in 0..10u16 {
            if number != 3 && number != 4 {
                let seq = 65_530u16.wrapping_add(number);
                reception.came(ms(0), number.into(), seq, 0);
            }
        }
        let first = report(&mut reception, ms(0)).expect("a report");
        assert_eq!((first.fraction_lost, first.lost), (51, 2));
        assert_eq!(first.highest, 65_530u16.wrapping_add(9));
        assert_eq!(report(&mut reception, ms(0)), None, "nothing came since");
        reception.came(ms(0), 10, 4, 0);
        let second = report(&mut reception, ms(0)).expect("a report");
        assert_eq!((second.fraction_lost, second.lost), (0, 2));
        // Twice the same is one less that is lost.
        reception.came(ms(0), 10, 4, 0);
        let third = report(&mut reception, ms(0)).expect("a report");
        assert_eq!((third.fraction_lost, third.lost), (0, 1));
    }

    #[test]
    fn an_even_stream_has_no_jitter_and_an_uneven_one_has_some() {
        let jitter = |shift: fn(u64) -> u64| {
            let mut reception = Reception::new(48_000);
            for n in 0..1_000u64 {
                let at = ms(20 * n + shift(n));
                reception.came(at, n as i64, n as u16, 960 * n as u32);
            }
            let block = reception.block(ms(20_000), 7).expect("a report");
            u32::from_be_bytes([block[12], block[13], block[14], block[15]])
        };
        assert_eq!(jitter(|_| 0), 0);
        let uneven = jitter(|n| 10 * (n % 2));
        assert!((470..=490).contains(&uneven), "{uneven} units of 480");
    }

    #[test]
    fn the_last_sender_report_is_named_with_its_age() {
        let mut reception = Reception::new(48_000);
        reception.came(ms(0), 0, 0, 0);
        reception.on_sender_report(ms(1_000), 0x1111_2222_3333_4444);
        let block = reception.block(ms(1_500), 7).expect("a report");
        assert_eq!(block[16..20], [0x22, 0x22, 0x33, 0x33]);
        assert_eq!(block[20..24], 32_768u32.to_be_bytes());
    }
}
