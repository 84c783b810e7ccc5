//! What is known of one stream that leaves a peer: its packets of late, and what its reports say.

use std::sync::Arc;
use std::time::Duration;

use crate::media::rtp::sender_report::SenderReport;
use crate::media::stream::outgoing::{Outgoing, Rtx};
use crate::media::stream::sent_packets::SentPackets;

/// Time between two reports of a stream that sends: as often as browsers report. Until its first one
/// a receiver cannot synchronise it with others.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two reports of a stream that rests. They tell its receiver that it is alive.
const REST_INTERVAL: Duration = Duration::from_secs(5);

/// What a stream does for who receives it. Called on the thread that receives RTCP; must not block.
pub(crate) struct StreamHooks {
    /// Asks the source of the stream for a keyframe.
    pub(crate) request_keyframe: Box<dyn Fn() + Send + Sync>,
    /// Whether packets are paced: then there is no use in sending again what is before the newest
    /// keyframe.
    pub(crate) is_paced: Box<dyn Fn() -> bool + Send + Sync>,
}

/// What a stream is announced with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamParams {
    pub(crate) ssrc: u32,
    /// The payload type of its packets.
    pub(crate) payload_type: u8,
    /// Timestamp units a second, Hz.
    pub(crate) clock_rate: u32,
    /// Id of the header extension with the transport-wide sequence number, if it has one.
    pub(crate) numbered: Option<u8>,
    /// The place of its m-line.
    pub(crate) line: usize,
    /// Whether lost packets are sent again.
    pub(crate) repaired: bool,
}

/// One stream of a peer.
pub(super) struct Stream {
    pub(super) params: StreamParams,
    pub(super) hooks: Option<Arc<StreamHooks>>,
    /// The stream that repeats its packets, and the next sequence number of that.
    rtx: Option<(Rtx, u16)>,
    pub(super) sent: SentPackets,
    packets: u32,
    octets: u32,
    /// Media time and timestamp of the newest packet.
    newest: Option<(Duration, u32)>,
    last_sent: Duration,
    /// The beat that it reported in last; `None` if it has to at once.
    reported: Option<Duration>,
}

impl Stream {
    pub(super) fn new(params: StreamParams) -> Self {
        Self {
            params,
            hooks: None,
            rtx: None,
            sent: SentPackets::default(),
            packets: 0,
            octets: 0,
            newest: None,
            last_sent: Duration::ZERO,
            reported: None,
        }
    }

    /// Repeats lost packets in a stream of that SSRC and payload type from now on.
    pub(super) fn repeat_in(&mut self, rtx: Rtx) {
        let first = rand::random::<u16>() >> 1;
        self.rtx = self.params.repaired.then_some((rtx, first));
    }

    /// Takes note of a packet that leaves at `now`.
    pub(super) fn record(&mut self, now: Duration, packet: Outgoing) {
        if self.last_sent + REPORT_INTERVAL < now {
            self.reported = None;
        }
        self.last_sent = now;
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
        self.newest = Some((packet.media_time, packet.header.timestamp));
        if self.rtx.is_some() {
            self.sent.record(now, packet);
        }
    }

    /// Writes the packet of that number once more, for the stream that repeats it. Returns whether there
    /// is one.
    pub(super) fn write_again(&mut self, seq: u16, to: &mut Vec<u8>) -> bool {
        let (Some((rtx, next)), Some(packet)) = (&mut self.rtx, self.sent.get(seq)) else {
            return false;
        };
        let number = *next;
        *next = next.wrapping_add(1);
        packet.write_again(*rtx, number, self.params.numbered, to)
    }

    /// The report that is due in the beat `beat`, if one is, of what is so at `now`. `wall` is the wall
    /// clock then.
    pub(super) fn report(
        &mut self,
        beat: Duration,
        now: Duration,
        wall: Duration,
    ) -> Option<SenderReport> {
        let (media_time, timestamp) = self.newest?;
        let rests = self.last_sent + REPORT_INTERVAL < now;
        let interval = if rests {
            REST_INTERVAL
        } else {
            REPORT_INTERVAL
        };
        if self.reported.is_some_and(|last| beat < last + interval) {
            return None;
        }
        self.reported = Some(beat);
        Some(SenderReport {
            ssrc: self.params.ssrc,
            at: wall,
            timestamp: timestamp.wrapping_add(self.units(media_time, now)),
            packets: self.packets,
            octets: self.octets,
        })
    }

    /// The time from one moment to another in timestamp units, modulo 2^32; it may be negative.
    fn units(&self, from: Duration, to: Duration) -> u32 {
        let nanos = to.as_nanos().cast_signed() - from.as_nanos().cast_signed();
        (nanos * i128::from(self.params.clock_rate) / 1_000_000_000) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::rtp::header::RtpHeader;
    use crate::media::stream::outgoing::Payload;

    fn stream() -> Stream {
        Stream::new(StreamParams {
            ssrc: 1,
            payload_type: 96,
            clock_rate: 90_000,
            numbered: None,
            line: 0,
            repaired: true,
        })
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn packet(media_time: Duration, timestamp: u32) -> Outgoing {
        gst::init().expect("GStreamer");
        let header = RtpHeader {
            payload_type: 96,
            seq: 1,
            timestamp,
            marker: true,
            ssrc: 1,
        };
        Outgoing {
            header,
            contributor: None,
            starts_keyframe: false,
            media_time,
            payload: Payload::new(&gst::Buffer::from_slice([0; 22]), 12..22, None),
        }
    }

    #[test]
    fn a_report_says_which_timestamp_belongs_to_its_time() {
        let mut stream = stream();
        assert_eq!(
            stream.report(ms(10), ms(10), ms(0)),
            None,
            "nothing was sent"
        );
        // It was made 40 ms before it leaves.
        stream.record(ms(1_000), packet(ms(960), u32::MAX - 899));
        let report = stream
            .report(ms(1_000), ms(1_010), ms(77))
            .expect("the first at once");
        assert_eq!((report.at, report.timestamp), (ms(77), 3_600));
        assert_eq!((report.packets, report.octets), (1, 10));
        // Later than now, as what a jitterbuffer places may be.
        stream.record(ms(2_100), packet(ms(2_110), 9_000));
        let report = stream
            .report(ms(2_100), ms(2_100), ms(0))
            .expect("a second has passed");
        assert_eq!(report.timestamp, 9_000 - 900);
    }

    #[test]
    fn a_stream_reports_each_second_and_each_five_while_it_rests() {
        let mut stream = stream();
        let mut reports = Vec::new();
        for at in (0..30_000).step_by(100) {
            if !(5_000..24_000).contains(&at) {
                stream.record(ms(at), packet(ms(at), 0));
            }
            if stream.report(ms(at), ms(at + at % 19), ms(0)).is_some() {
                reports.push(at);
            }
        }
        let gaps: Vec<u64> = reports.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(gaps[..4], [1_000; 4]);
        assert_eq!(
            reports
                .iter()
                .filter(|at| (6_000..24_000).contains(*at))
                .count(),
            3
        );
        assert!(
            reports.contains(&24_000),
            "at once when it goes on: {reports:?}"
        );
        assert!(reports.contains(&25_000));
    }

    #[test]
    fn repeated_packets_have_numbers_of_their_own() {
        let mut stream = stream();
        let mut written = Vec::new();
        stream.record(ms(0), packet(ms(0), 0));
        assert!(!stream.write_again(1, &mut written), "it is not repeated");
        stream.repeat_in(Rtx {
            ssrc: 9,
            payload_type: 97,
        });
        stream.record(ms(0), packet(ms(0), 5));
        let mut again = |seq| {
            written.clear();
            stream
                .write_again(seq, &mut written)
                .then(|| written.clone())
        };
        let first = again(1).expect("it is there");
        let second = again(1).expect("it still is");
        assert_eq!(again(2), None);
        assert_eq!(
            (first[1], &first[8..14]),
            (0x80 | 97, &[0, 0, 0, 9, 0, 1][..])
        );
        let seq = |packet: &[u8]| u16::from_be_bytes([packet[2], packet[3]]);
        assert_eq!(seq(&second), seq(&first) + 1);
    }

    proptest! {
        /// Whatever is asked for, in whatever order and however often, comes as what it was.
        #[test]
        fn what_is_asked_for_again_is_what_was_sent(
            gaps in proptest::collection::vec(1u16..4, 1..400),
            asked in proptest::collection::vec(0u16..1200, 0..200),
        ) {
            gst::init().expect("GStreamer");
            let mut stream = stream();
            stream.repeat_in(Rtx { ssrc: 9, payload_type: 97 });
            let (mut seq, mut sent) = (65_000u16, Vec::new());
            for gap in gaps {
                seq = seq.wrapping_add(gap);
                let mut outgoing = packet(ms(0), 0);
                outgoing.header.seq = seq;
                let bytes = [&[0; 12][..], &seq.to_be_bytes()].concat();
                outgoing.payload = Payload::new(&gst::Buffer::from_slice(bytes), 12..14, None);
                stream.record(ms(0), outgoing);
                sent.push(seq);
            }
            let mut last = None;
            for ahead in asked {
                let (seq, mut written) = (65_000u16.wrapping_add(ahead), Vec::new());
                prop_assert_eq!(stream.write_again(seq, &mut written), sent.contains(&seq));
                if written.is_empty() {
                    continue;
                }
                let number = u16::from_be_bytes([written[2], written[3]]);
                prop_assert!(last.is_none_or(|last: u16| number == last.wrapping_add(1)));
                last = Some(number);
                let own = seq.to_be_bytes();
                prop_assert_eq!(&written[12..], &[own, own].concat()[..]);
            }
        }
    }
}
