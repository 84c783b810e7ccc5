//! A record of packets, by which a test can tell that a server passed them on untouched.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use gst::prelude::*;
use parking_lot::Mutex;
use thiserror::Error;

use crate::codec::Codec;
use crate::id::ParticipantId;
use crate::media::rtp::payload::vp8::{PictureId, Vp8Descriptor, Vp8Numbers};

/// Packets kept of a stream, the newest ones: more than a minute of video of 2 Mbit/s.
const KEPT: usize = 20_000;

/// An RTP packet without what a forwarding server has to renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Payload {
    /// The RTP timestamp. A server may shift all of a stream by the same amount.
    pub timestamp: u32,
    /// The marker bit, which a server may set on the first packet of a source.
    pub marker: bool,
    /// Hash of the payload; of VP8 with picture id, TL0PICIDX and KEYIDX set to 0.
    pub hash: u64,
    /// The participant that its CSRC names, if any.
    pub from: Option<ParticipantId>,
}

/// The newest packets of a stream, in the order in which they passed.
#[derive(Debug, Default)]
pub(crate) struct PacketCapture {
    packets: Mutex<VecDeque<Payload>>,
}

impl PacketCapture {
    /// Records everything that leaves a pad from now on, on the thread that pushes it.
    pub(crate) fn record(self: &Arc<Self>, pad: &gst::Pad, codec: Codec) {
        let packet_capture = self.clone();
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(kinds, move |_, info| {
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => packet_capture.note(buffer, codec),
                Some(gst::PadProbeData::BufferList(list)) => {
                    list.iter()
                        .for_each(|buffer| packet_capture.note(buffer, codec));
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn note(&self, buffer: &gst::BufferRef, codec: Codec) {
        if let Ok(rtp) = gst_rtp::RTPBuffer::from_buffer_readable(buffer) {
            self.packet(&rtp, codec);
        }
    }

    /// Records a packet.
    pub(crate) fn packet(
        &self,
        rtp: &gst_rtp::RTPBuffer<'_, gst_rtp::rtp_buffer::Readable>,
        codec: Codec,
    ) {
        let payload = Payload {
            timestamp: rtp.timestamp(),
            marker: rtp.is_marker(),
            hash: hash(codec, rtp.payload().unwrap_or_default()),
            from: rtp.csrc(0).map(ParticipantId::new),
        };
        let mut packets = self.packets.lock();
        if packets.len() == KEPT {
            packets.pop_front();
        }
        packets.push_back(payload);
    }

    /// The packets recorded so far, the oldest first.
    pub(crate) fn read(&self) -> Vec<Payload> {
        let packets = self.packets.lock();
        packets.iter().copied().collect()
    }
}

fn hash(codec: Codec, payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    match (codec, Vp8Descriptor::parse(payload)) {
        (Codec::Vp8, Some(descriptor)) => {
            let mut payload = payload.to_vec();
            mask(&mut payload, &descriptor);
            payload.hash(&mut hasher);
        }
        _ => payload.hash(&mut hasher),
    }
    hasher.finish()
}

/// Sets what a forwarding server renumbers to 0.
fn mask(payload: &mut [u8], descriptor: &Vp8Descriptor) {
    let picture_id = descriptor.picture_id.map(|field| match field.value {
        PictureId::Short(_) => PictureId::Short(0),
        PictureId::Long(_) => PictureId::Long(0),
    });
    let numbers = Vp8Numbers {
        picture_id,
        tl0_pic_idx: Some(0),
        key_idx: Some(0),
    };
    descriptor.write(payload, &numbers);
}

/// Why received packets are not those that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Difference {
    /// No packet was received.
    #[error("nothing was received")]
    Nothing,
    /// The first received packet is none of those that were sent.
    #[error("what was received begins with something that was not sent")]
    Unknown,
    /// Some packets agree, the next one does not or is missing. Of all places where the received
    /// ones could begin, this is the best.
    #[error("after {same} packets that are the same, the next differs or is missing")]
    Differs {
        /// How many packets agree.
        same: usize,
    },
}

/// Checks that the received packets are an unbroken part of those that were sent, and returns the
/// index in `sent` at which it begins. All timestamps may be shifted by the same amount, and the
/// marker of the first packet may have been set. More may have been sent since: nothing is said
/// about the end.
///
/// # Errors
/// How far they agree.
pub fn unbroken(sent: &[Payload], received: &[Payload]) -> Result<usize, Difference> {
    let first = received.first().ok_or(Difference::Nothing)?;
    let starts = sent
        .iter()
        .enumerate()
        .filter(|(_, payload)| payload.hash == first.hash);
    let mut best = None;
    for (start, origin) in starts {
        let same = agreeing(&sent[start..], received, origin, first);
        if same == received.len() {
            return Ok(start);
        }
        best = best.max(Some(same));
    }
    Err(best.map_or(Difference::Unknown, |same| Difference::Differs { same }))
}

/// How many packets agree from these first ones on, timestamps relative to `origin` and `first`.
fn agreeing(sent: &[Payload], received: &[Payload], origin: &Payload, first: &Payload) -> usize {
    let pairs = sent.iter().zip(received).enumerate();
    pairs
        .take_while(|(n, (out, back))| {
            // The first packet of a source begins a talkspurt (RFC 3551 section 4.1).
            let marked = out.marker == back.marker || *n == 0 && back.marker;
            out.hash == back.hash
                && marked
                && out.timestamp.wrapping_sub(origin.timestamp)
                    == back.timestamp.wrapping_sub(first.timestamp)
        })
        .count()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn stream(from: u32, shift: u32, length: u32) -> Vec<Payload> {
        (from..from + length)
            .map(|n| Payload {
                timestamp: n.wrapping_mul(3000).wrapping_add(shift),
                marker: n % 3 == 0,
                hash: u64::from(n % 30),
                from: None,
            })
            .collect()
    }

    #[test]
    fn a_part_is_found_whatever_its_timestamps_start_at() {
        let sent = stream(0, 0, 300);
        // Wraps on the way.
        let received = stream(77, u32::MAX - 300_000, 100);
        let start = unbroken(&sent, &received).unwrap();
        // A loop looks the same every 30 packets.
        assert_eq!(start % 30, 77 % 30);
    }

    #[test]
    fn losses_changes_and_strangers_are_seen() {
        let sent = stream(0, 0, 300);
        assert_eq!(unbroken(&sent, &[]), Err(Difference::Nothing));
        let mut received = stream(60, 5, 90);
        received.remove(40);
        assert_eq!(
            unbroken(&sent, &received),
            Err(Difference::Differs { same: 40 })
        );
        let mut received = stream(60, 5, 90);
        received[50].hash ^= 1 << 40;
        assert_eq!(
            unbroken(&sent, &received),
            Err(Difference::Differs { same: 50 })
        );
        let mut received = stream(60, 5, 90);
        received[50].timestamp += 1;
        assert_eq!(
            unbroken(&sent, &received),
            Err(Difference::Differs { same: 50 })
        );
        received[0].hash = 1 << 50;
        assert_eq!(unbroken(&sent, &received), Err(Difference::Unknown));
    }

    #[test]
    fn only_running_numbers_are_left_out() {
        // X, then I (15 bits), L, T and K, then the fields and two bytes of VP8.
        let payload = |id: u8, tl0, key: u8, data| {
            vec![0x90, 0xf0, 0x80 | id, 0x34, tl0, 0xa0 | key, data, 7]
        };
        let plain = hash(Codec::Vp8, &payload(1, 2, 3, 4));
        assert_eq!(plain, hash(Codec::Vp8, &payload(9, 99, 30, 4)));
        assert_ne!(plain, hash(Codec::Vp8, &payload(1, 2, 3, 5)));
        assert_ne!(plain, hash(Codec::H264, &payload(1, 2, 3, 4)));
    }
}
