//! Packets of a slot on their way to its peer: a header of the slot's own before the payload of a
//! source, which all slots that are fed from it share.

use std::ops::Range;
use std::time::Duration;

use crate::codec::Codec;
use crate::media::rtp::header::RtpHeader;
use crate::media::rtp::payload::starts_keyframe;
use crate::media::rtp::payload::vp8::{Vp8Descriptor, Vp8Numbers};

/// X in the first byte of a packet: a header extension follows the header (RFC 3550 section 5.1).
const EXTENSION: u8 = 1 << 4;

/// A packet of one slot. Its payload is not copied before it is written.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) header: RtpHeader,
    /// Contributing source (CSRC, RFC 3550 section 5.1).
    pub(crate) contributor: Option<u32>,
    /// Whether a keyframe starts with it.
    pub(crate) starts_keyframe: bool,
    /// Running time of what it carries, by which streams are synchronised.
    pub(crate) media_time: Duration,
    pub(crate) payload: Payload,
}

/// The payload of a packet that came, with numbers of its own.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    /// The packet as it came.
    packet: gst::Buffer,
    /// Where in it the payload is.
    place: Range<usize>,
    vp8: Option<(Vp8Descriptor, Vp8Numbers)>,
    /// Whether the header extension that the packet came with is its beginning.
    is_extended: bool,
}

impl Payload {
    /// What is in that place of `packet`, with these numbers for its own.
    pub(crate) fn new(
        packet: &gst::Buffer,
        place: Range<usize>,
        vp8: Option<(Vp8Descriptor, Vp8Numbers)>,
    ) -> Self {
        Self {
            packet: packet.clone(),
            place,
            vp8,
            is_extended: false,
        }
    }

    /// Bytes that it has.
    pub(crate) fn len(&self) -> usize {
        self.place.len()
    }

    /// Appends it to a packet. Returns whether it could be read.
    fn append(&self, to: &mut Vec<u8>) -> bool {
        let Ok(bytes) = self.packet.map_readable() else {
            return false;
        };
        let Some(payload) = bytes.get(self.place.clone()) else {
            return false;
        };
        let start = to.len();
        to.extend_from_slice(payload);
        if let (Some((descriptor, numbers)), Some(written)) = (&self.vp8, to.get_mut(start..)) {
            descriptor.write(written, numbers);
        }
        true
    }
}

/// The stream that repeats lost packets of another (RTX, RFC 4588): its SSRC and payload type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rtx {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
}

impl Outgoing {
    /// A packet as it is, with the header extension that it comes with; `None` if it is cut short.
    pub(crate) fn of_packet(packet: &gst::Buffer, codec: Codec) -> Option<Self> {
        let bytes = packet.map_readable().ok()?;
        let (header, place) = RtpHeader::parse(&bytes)?;
        let starts_keyframe = starts_keyframe(codec, bytes.get(place.clone())?);
        let is_extended = bytes.first()? & EXTENSION != 0;
        let payload = Payload::new(packet, RtpHeader::LEN..place.end, None);
        Some(Self {
            header,
            contributor: None,
            starts_keyframe,
            media_time: packet.pts().map(Duration::from).unwrap_or_default(),
            payload: Payload {
                is_extended,
                ..payload
            },
        })
    }

    /// Bytes of the packet, without header extension.
    pub(crate) fn size(&self) -> usize {
        let contributor = if self.contributor.is_some() { 4 } else { 0 };
        RtpHeader::LEN + contributor + self.payload.len()
    }

    /// Writes the packet, with room for a header extension of that id. Returns whether its payload could
    /// be read.
    pub(crate) fn write(&self, extension: Option<u8>, to: &mut Vec<u8>) -> bool {
        let start = to.len();
        self.header.write(self.contributor, extension, to);
        if let (true, Some(first)) = (self.payload.is_extended, to.get_mut(start)) {
            *first |= EXTENSION;
        }
        self.payload.append(to)
    }

    /// Writes the packet as the one numbered `seq` of the stream that repeats it: with its own number
    /// before the payload (RFC 4588 section 4).
    pub(crate) fn write_again(
        &self,
        rtx: Rtx,
        seq: u16,
        extension: Option<u8>,
        to: &mut Vec<u8>,
    ) -> bool {
        let header = RtpHeader {
            ssrc: rtx.ssrc,
            payload_type: rtx.payload_type,
            seq,
            ..self.header
        };
        header.write(self.contributor, extension, to);
        to.extend(self.header.seq.to_be_bytes());
        self.payload.append(to)
    }
}

/// Takes the packets of one slot and sends them. Called on streaming threads; must not block.
pub(crate) trait Outlet: Send + Sync {
    /// Sends the packets of a frame, in their order.
    fn send(&self, packets: Vec<Outgoing>);
}
