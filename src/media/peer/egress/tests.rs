//! What is sealed here is opened by libsrtp, which GStreamer's `srtpdec` is made of.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::media::gst::testing::pad_into;
use crate::media::rtp::header::RtpHeader;
use crate::media::rtp::sender_report::SenderReport;
use crate::media::rtp::srtp::SrtpKeys;

/// Master key and salt.
const MASTER: [u8; 30] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29,
];

/// Packets behind the newest that `srtpdec` opens.
const LIBSRTP_WINDOW: i32 = 128;

fn sealer() -> Sealer {
    let keys = SrtpKeys::new("aes-128-icm", "hmac-sha1-80", MASTER.to_vec());
    Sealer::new(keys.expect("a profile")).expect("its keys")
}

/// `srtpdec` with the same keys, and what comes out of it.
struct Opener {
    element: gst::Element,
    rtp: gst::Pad,
    rtcp: gst::Pad,
    opened: Arc<Mutex<Vec<Vec<u8>>>>,
    _sinks: [gst::Pad; 2],
}

impl Opener {
    fn start() -> Self {
        gst::init().expect("GStreamer");
        let element = gst::ElementFactory::make("srtpdec").build();
        let element = element.expect("an element of webrtcbin");
        element.connect("request-key", false, |_| {
            let key = gst::Buffer::from_slice(MASTER);
            let caps = gst::Caps::builder("application/x-srtp")
                .field("srtp-key", key)
                .field("srtp-cipher", "aes-128-icm")
                .field("srtcp-cipher", "aes-128-icm")
                .field("srtp-auth", "hmac-sha1-80")
                .field("srtcp-auth", "hmac-sha1-80")
                .build();
            Some(caps.to_value())
        });
        let opened = Arc::new(Mutex::new(Vec::new()));
        let sinks = ["rtp_src", "rtcp_src"].map(|source| {
            let pad = element.static_pad(source).expect("a pad");
            let opened = Arc::clone(&opened);
            let sink = gst::Pad::builder(gst::PadDirection::Sink)
                .chain_function(move |_, _, packet| {
                    let bytes = packet.map_readable().expect("bytes").to_vec();
                    opened.lock().push(bytes);
                    Ok(gst::FlowSuccess::Ok)
                })
                .event_function(|_, _, _| true)
                .build();
            sink.set_active(true).expect("it is active");
            pad.link(&sink).expect("it fits");
            sink
        });
        element.set_state(gst::State::Playing).expect("it starts");
        let pad = |name| element.static_pad(name).expect("a pad");
        Self {
            rtp: pad_into(&pad("rtp_sink"), "application/x-srtp"),
            rtcp: pad_into(&pad("rtcp_sink"), "application/x-srtcp"),
            element,
            opened,
            _sinks: sinks,
        }
    }

    /// What is inside a packet of RTP; `None` if it is not accepted.
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let _ = self.rtp.push(gst::Buffer::from_slice(sealed.to_vec()));
        self.opened.lock().pop()
    }

    fn open_rtcp(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let _ = self.rtcp.push(gst::Buffer::from_slice(sealed.to_vec()));
        self.opened.lock().pop()
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        let _ = self.element.set_state(gst::State::Null);
    }
}

fn packet(ssrc: u32, seq: u16, payload: &[u8]) -> Vec<u8> {
    let header = RtpHeader {
        payload_type: 96,
        seq,
        timestamp: u32::from(seq),
        marker: false,
        ssrc,
    };
    let mut packet = Vec::new();
    header.write(Some(7), Some(5), &mut packet);
    packet.extend(payload);
    packet
}

#[test]
fn libsrtp_opens_what_is_sealed_over_wraps_and_rests() {
    let (mut sealer, opener) = (sealer(), Opener::start());
    let mut wrapped = 0u32;
    let mut seq = 32_000u16;
    // Four wraps of the sequence number. Others send meanwhile, and one rests over all of them.
    let resting = packet(2, 65_535, b"before");
    let sealed = sealer.seal_rtp(&resting).expect("a new number");
    assert_eq!(opener.open(&sealed), Some(resting));
    while wrapped < 4 {
        let plain = packet(1, seq, &seq.to_be_bytes());
        let sealed = sealer.seal_rtp(&plain).expect("a new number");
        assert_eq!(opener.open(&sealed), Some(plain), "{wrapped} {seq}");
        let next = seq.wrapping_add(97);
        wrapped += u32::from(next < seq);
        seq = next;
    }
    let resumed = packet(2, 0, b"after");
    let sealed = sealer.seal_rtp(&resumed).expect("a new number");
    assert_eq!(
        opener.open(&sealed),
        Some(resumed),
        "its own roll-over counter"
    );
}

#[test]
fn a_thousand_streams_keep_to_themselves() {
    let (mut sealer, opener) = (sealer(), Opener::start());
    for round in 0..4u16 {
        for ssrc in 1..=1_000 {
            let plain = packet(ssrc, (65_534u16).wrapping_add(round), b"payload");
            let sealed = sealer.seal_rtp(&plain).expect("a new number");
            assert_eq!(opener.open(&sealed), Some(plain), "{ssrc} {round}");
        }
    }
}

#[test]
fn replays_and_forged_packets_are_not_opened() {
    let (mut sealer, opener) = (sealer(), Opener::start());
    let plain = packet(1, 10, b"payload");
    let sealed = sealer.seal_rtp(&plain).expect("a new number");
    for bit in 0..sealed.len() * 8 {
        let mut forged = sealed.to_vec();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(opener.open(&forged), Some(plain.clone()), "bit {bit}");
    }
    assert_eq!(opener.open(&sealed), Some(plain));
    assert_eq!(opener.open(&sealed), None, "a replay");
}

#[test]
fn libsrtp_opens_reports() {
    let (mut sealer, opener) = (sealer(), Opener::start());
    for packets in 0..50 {
        let report = SenderReport {
            ssrc: 1 + packets % 3,
            at: Duration::from_secs(5),
            timestamp: 9,
            packets,
            octets: 1,
        };
        let plain = report.compound("a name");
        let sealed = sealer.seal_rtcp(&plain).expect("it is a report");
        assert_eq!(opener.open_rtcp(&sealed), Some(plain));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever order, gaps and interleaving packets leave in, each is opened as what it was.
    #[test]
    fn any_order_is_opened(
        steps in proptest::collection::vec((1u32..4, -60i32..400, 0usize..1200), 1..300),
    ) {
        let (mut sealer, opener) = (sealer(), Opener::start());
        // Of each stream the last number and the highest.
        let mut numbers: BTreeMap<u32, (i32, i32)> = BTreeMap::new();
        for (ssrc, step, size) in steps {
            let first = 30_000 + ssrc as i32 * 10_000;
            let (number, highest) = numbers.entry(ssrc).or_insert((first, first));
            *number += step;
            let plain = packet(ssrc, *number as u16, &vec![ssrc as u8; size]);
            if let Some(sealed) = sealer.seal_rtp(&plain) {
                let opened = opener.open(&sealed);
                // What is further behind libsrtp takes for a replay; our window is larger.
                let is_too_old = *highest - *number >= LIBSRTP_WINDOW;
                prop_assert!(is_too_old || opened == Some(plain), "{ssrc} {number} {highest}");
            }
            *highest = (*highest).max(*number);
        }
    }
}
