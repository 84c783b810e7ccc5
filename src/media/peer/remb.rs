//! Limits what a sender sends that has no signalling for it: REMB (draft-alvestrand-rmcat-remb-03),
//! which libwebrtc takes as a bound on all that it sends.
//!
//! It is appended to the RTCP packets that are sent anyway: at once when the limit changes, and
//! then to every report, because it is not acknowledged.
//!
//! Threads: the limit comes from the room's task. Packets are completed on the thread that sends
//! RTCP, under a short lock.

use std::sync::{Arc, Weak};

use gst::prelude::*;
use parking_lot::Mutex;

use super::webrtcbin::internals::on_element_added;
use crate::media::sdp::line::{BitrateControl, Line};
use crate::media::sdp::simulcast;

/// How long a new limit may wait for other RTCP to go with, ns.
const MAX_DELAY_NS: u64 = 20_000_000;
/// Bitrate that a sender of pictures is granted for its sound, bit/s.
const SOUND_BITRATE: u32 = 64_000;

/// An answer that announces REMB for the m-lines that get it; webrtcbin 1.22 does not take it over
/// from the offer.
pub(crate) fn with_feedback(answer: &str, lines: &[Line]) -> String {
    simulcast::with_attributes(answer, lines, |line| {
        let attribute = format!("a=rtcp-fb:{} goog-remb", line.payload_type);
        let wanted = line.bitrate_control == BitrateControl::Remb
            && !answer.lines().any(|said| said == attribute);
        wanted.then_some(attribute).into_iter().collect()
    })
}

/// The limit of one sender. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Remb(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Bitrate granted for sound on top of the limit of pictures, bit/s.
    sound: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    limit: Option<Limit>,
    /// `rtpsession`, once there is one.
    session: Option<gst::glib::WeakRef<gst::Element>>,
}

/// A limit in force.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Limit {
    /// Most that is to be sent, bit/s.
    bitrate: u32,
    /// The streams that the limit is for.
    ssrcs: Vec<u32>,
}

impl Remb {
    /// The limit of the sender behind `webrtc`, if one of its m-lines takes REMB.
    pub(crate) fn install(webrtc: &gst::Element, lines: &[Line]) -> Option<Self> {
        lines
            .iter()
            .find(|line| line.bitrate_control == BitrateControl::Remb)?;
        let has_sound = lines.iter().any(|line| line.role.is_audio());
        let remb = Self(Arc::new(Inner {
            sound: if has_sound { SOUND_BITRATE } else { 0 },
            state: Mutex::default(),
        }));
        let inner = Arc::downgrade(&remb.0);
        on_element_added(webrtc, move |element, name| {
            if name == "rtpsession" {
                attach(element, &inner);
            }
        });
        Some(remb)
    }

    /// Has the sender send pictures, in the streams of these SSRCs, with `bitrate` bit/s at most.
    pub(crate) fn set(&self, bitrate: u32, ssrcs: Vec<u32>) {
        let bitrate = bitrate.saturating_add(self.0.sound);
        let limit = Some(Limit { bitrate, ssrcs });
        let session = {
            let mut state = self.0.state.lock();
            if state.limit == limit {
                return;
            }
            state.limit = limit;
            state.session.as_ref().and_then(|session| session.upgrade())
        };
        if let Some(session) = session {
            let internal = session.property::<gst::glib::Object>("internal-session");
            internal.emit_by_name::<()>("send-rtcp", &[&MAX_DELAY_NS]);
        }
    }
}

fn attach(session: &gst::Element, inner: &Weak<Inner>) {
    if let Some(inner) = inner.upgrade() {
        inner.state.lock().session = Some(session.downgrade());
    }
    let inner = inner.clone();
    session.connect_pad_added(move |_, pad| {
        if pad.name() == "send_rtcp_src" {
            append_remb(pad, inner.clone());
        }
    });
}

/// Appends REMB to every RTCP packet that passes `pad`.
fn append_remb(pad: &gst::Pad, inner: Weak<Inner>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data
            && let Some(inner) = inner.upgrade()
            && let Some(limit) = &inner.state.lock().limit
            && let Some(sender) = sender_of(buffer)
        {
            let packet = gst::Memory::from_slice(packet(sender, limit));
            buffer.make_mut().append_memory(packet);
        }
        gst::PadProbeReturn::Ok
    });
}

/// The sender of an RTCP packet: its first SSRC (RFC 3550 section 6.4).
fn sender_of(rtcp: &gst::BufferRef) -> Option<u32> {
    let bytes = rtcp.map_readable().ok()?;
    let ssrc = bytes.get(4..8)?.try_into().ok()?;
    Some(u32::from_be_bytes(ssrc))
}

/// REMB as a packet: payload-specific feedback of the application layer (RFC 4585 section 6.4).
fn packet(sender: u32, limit: &Limit) -> Vec<u8> {
    const PAYLOAD_SPECIFIC: u8 = 206;
    const APPLICATION_LAYER: u8 = 15;
    /// Bits that the mantissa of the bitrate has.
    const MANTISSA: u32 = 18;
    let ssrcs = &limit.ssrcs[..limit.ssrcs.len().min(31)];
    let exponent = (u32::BITS - limit.bitrate.leading_zeros()).saturating_sub(MANTISSA);
    let mantissa = limit.bitrate >> exponent;
    let mut packet = Vec::with_capacity(20 + 4 * ssrcs.len());
    packet.extend([2 << 6 | APPLICATION_LAYER, PAYLOAD_SPECIFIC]);
    // Length in words of 32 bits, less one.
    packet.extend((4 + ssrcs.len() as u16).to_be_bytes());
    packet.extend(sender.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(b"REMB");
    packet.extend(((ssrcs.len() as u32) << 24 | exponent << MANTISSA | mantissa).to_be_bytes());
    packet.extend(ssrcs.iter().flat_map(|ssrc| ssrc.to_be_bytes()));
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::id::{Mid, Role};

    fn limit(bitrate: u32, ssrcs: &[u32]) -> Limit {
        let ssrcs = ssrcs.to_vec();
        Limit { bitrate, ssrcs }
    }

    #[test]
    fn an_answer_says_once_of_which_payload_it_comes() {
        let line = |told| Line {
            mid: Mid("1".to_owned()),
            role: Role::Camera,
            format: Codec::Vp8,
            payload_type: 96,
            extensions: Vec::new(),
            rids: Vec::new(),
            legacy: None,
            bitrate_control: told,
            fec: Default::default(),
        };
        let answer = "v=0\r\nm=video 9\r\na=mid:1\r\n";
        let told = with_feedback(answer, &[line(BitrateControl::Remb)]);
        assert_eq!(told, format!("{answer}a=rtcp-fb:96 goog-remb\r\n"));
        assert_eq!(with_feedback(&told, &[line(BitrateControl::Remb)]), told);
        assert_eq!(
            with_feedback(answer, &[line(BitrateControl::Signalling)]),
            answer
        );
    }

    #[test]
    fn a_packet_is_as_the_draft_draws_it() {
        let bytes = packet(
            0x12345678,
            &limit(0x3fb93 << 1, &[0x23456789, 0x2345678a, 0x2345678b]),
        );
        let expected = [
            0x8f, 206, 0x00, 0x07, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, b'R', b'E', b'M', b'B',
            0x03, 0x07, 0xfb, 0x93, 0x23, 0x45, 0x67, 0x89, 0x23, 0x45, 0x67, 0x8a, 0x23, 0x45,
            0x67, 0x8b,
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn bitrates_are_rounded_down_and_never_by_much() {
        for bitrate in [0, 1, 80_000, 262_143, 262_144, 691_200, 2_500_000, u32::MAX] {
            let bytes = packet(1, &limit(bitrate, &[]));
            assert_eq!(bytes.len(), 20);
            let exponent = u32::from(bytes[17] >> 2);
            let high = u32::from(bytes[17] & 3) << 16;
            let mantissa = high | u32::from(bytes[18]) << 8 | u32::from(bytes[19]);
            let said = u64::from(mantissa) << exponent;
            let exact = u64::from(bitrate);
            assert!(
                said <= exact && exact - said <= exact >> 17,
                "{said} for {bitrate}"
            );
        }
    }

    #[test]
    fn the_sender_is_that_of_the_compound_packet() {
        gst::init().expect("gst");
        let report = [0x80, 201, 0, 1, 9, 8, 7, 6];
        let sender = |bytes: &[u8]| sender_of(&gst::Buffer::from_slice(bytes.to_vec()));
        assert_eq!(sender(&report), Some(0x09080706));
        assert_eq!(sender(&report[..7]), None);
    }
}
