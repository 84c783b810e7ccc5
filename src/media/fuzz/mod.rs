//! What strangers send, given to the parsers that read it: any bytes at all. For the targets of
//! `tests/fuzz`, and for the short form of the same beside this.
//!
//! Each function panics where a parser does, or where it says something that cannot be.

pub mod damage;

use std::time::Duration;

use crate::codec::{Codec, VideoCodec};
use crate::id::{Mid, Role};
use crate::media::bwe::receive_log::ReceiveLog;
use crate::media::bwe::rtcp::{keyframe_requests, nacked, report_blocks, sender_infos};
use crate::media::bwe::twcc::SendLog;
use crate::media::rtp::budget::DecodeBudget;
use crate::media::rtp::compound::packets;
use crate::media::rtp::h264_sps::{PeakRates, heads, patched_unit, picture_size};
use crate::media::rtp::payload::vp8::{Vp8Descriptor, Vp8Numbers};
use crate::media::rtp::payload::vp9::SuperframeIndex;
use crate::media::rtp::sanitize::Sanitizer;
use crate::media::rtp::session_gate::SessionGate;
use crate::media::rtp::{header, header_extension, payload};
use crate::media::sdp::normalise::{Kind, Offer};
use crate::media::sdp::plan::{RoleSource, plan};
use crate::protocol::ClientMessage;

/// M-lines that are taken.
const MAX_LINES: usize = 32;
/// Bytes of feedback about arrivals that fit into one packet.
const MAX_FEEDBACK: usize = 1_100;
/// Packets that feedback can tell of here.
const SENT: u16 = 100;

/// An offer: read, planned in every way, and written again for webrtcbin.
pub fn sdp(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(offer) = Offer::parse(&text, MAX_LINES) else {
        return;
    };
    assert!(!offer.lines.is_empty() && offer.lines.len() <= MAX_LINES);
    let named: Vec<(Mid, Role)> = offer
        .lines
        .iter()
        .map(|line| match line.kind {
            Kind::Audio => (line.mid.clone(), Role::ForwardAudio),
            Kind::Video => (line.mid.clone(), Role::ForwardVideo),
        })
        .collect();
    for roles in [
        RoleSource::Publish,
        RoleSource::Play,
        RoleSource::Named(&named),
    ] {
        if let Ok(lines) = plan(&offer, &roles, &[VideoCodec::H264, VideoCodec::Vp8]) {
            let canonical = offer.canonical(&lines, &offer.transport.candidates);
            let again = Offer::parse(&canonical, MAX_LINES);
            assert!(again.is_ok(), "{again:?}\n{canonical}");
        }
    }
}

/// An RTP packet, as each codec.
pub fn rtp(bytes: &[u8]) {
    let _ = header::ssrc_and_seq(bytes);
    let parsed = header::RtpHeader::parse(bytes);
    assert!(parsed.is_none_or(|(_, payload)| payload.end <= bytes.len()));
    for id in 0..=15 {
        let range = header_extension::find(bytes, id);
        assert!(range.is_none_or(|range| range.end <= bytes.len()));
    }
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264] {
        let mut sanitizer = Sanitizer::new(codec);
        for (sequence, part) in (0..).zip(bytes.chunks(200)) {
            let _ = sanitizer.judge(sequence, part, part.len() < 200);
        }
        let _ = DecodeBudget::new(codec).spend(Duration::ZERO, bytes);
        let _ = payload::can_begin(codec, bytes);
        let _ = payload::keyframe_size(codec, bytes);
    }
    if let Some(descriptor) = Vp8Descriptor::parse(bytes) {
        let mut copy = bytes.to_vec();
        descriptor.write(&mut copy, &Vp8Numbers::default());
        assert_eq!(copy.len(), bytes.len());
    }
    let _ = payload::vp9::undeclared_dependency(bytes);
    let _ = SuperframeIndex::default().after(0, bytes, true);
    let _ = picture_size(bytes);
    let peak = PeakRates {
        fps: 30,
        bitrate: 1_000_000,
    };
    let patched = patched_unit(bytes, peak);
    let most = bytes.len() + 64 * (heads(bytes).len() + 1);
    assert!(patched.is_none_or(|unit| unit.len() <= most));
}

/// A compound RTCP packet, and the same bytes as feedback of both kinds.
pub fn rtcp(bytes: &[u8]) {
    assert!(report_blocks(bytes).count() <= bytes.len() / 24);
    assert!(nacked(bytes).count() <= bytes.len() / 4 * 17);
    assert!(keyframe_requests(bytes).count() <= bytes.len() / 4);
    for info in sender_infos(bytes) {
        assert!(info.nanos() >= 0);
    }
    let mut arrivals = ReceiveLog::default();
    for (n, number) in (0..).zip(bytes.as_chunks().0) {
        arrivals.record(Duration::from_millis(n), u16::from_be_bytes(*number));
    }
    while let Some(fci) = arrivals.feedback() {
        assert!(fci.len() <= MAX_FEEDBACK);
    }
    let kept = SessionGate::new(MAX_LINES).admit(Duration::ZERO, bytes);
    assert!(kept.compound.is_empty() || packets(&kept.compound).is_some());
    let mut log = SendLog::default();
    for number in 0..SENT {
        log.record(Duration::from_millis(number.into()), 1000);
    }
    let told = log.on_feedback(bytes);
    assert!(told.len() <= usize::from(SENT));
}

/// A message of the WebSocket.
pub fn protocol(bytes: &[u8]) {
    let Ok(message) = serde_json::from_slice::<ClientMessage>(bytes) else {
        return;
    };
    let text = serde_json::to_string(&message).unwrap_or_default();
    let again = serde_json::from_str::<ClientMessage>(&text);
    assert!(again.is_ok(), "{again:?}\n{text}");
}

#[cfg(test)]
mod tests;
