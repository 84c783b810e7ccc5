//! What the server must know of an RTP packet to start, stop and splice streams; pure.
//!
//! Payloads come from outside: every function here accepts any bytes and never panics.

use crate::codec::Codec;

/// The fields of a fixed RTP header (RFC 3550 section 5.1) that differ from slot to slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RtpHeader {
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number; wraps.
    pub seq: u16,
    /// Media time in units of the clock rate; wraps.
    pub timestamp: u32,
    /// Video: the last packet of a frame. Audio: the first after silence.
    pub marker: bool,
    /// The source.
    pub ssrc: u32,
}

impl RtpHeader {
    /// A packet with this header, without padding and the header extensions it came with: those
    /// of one connection mean nothing on another. `csrc` names who contributed to it; with an
    /// `extension` id it has room for two bytes under it (RFC 8285 section 4.2), which are zero.
    pub fn packet(&self, csrc: Option<u32>, extension: Option<u8>, payload: &[u8]) -> Vec<u8> {
        const VERSION: u8 = 2 << 6;
        let extended = u8::from(extension.is_some()) << 4;
        let mut packet = Vec::with_capacity(24 + payload.len());
        packet.push(VERSION | extended | u8::from(csrc.is_some()));
        packet.push(u8::from(self.marker) << 7 | self.payload_type & 0x7f);
        packet.extend(self.seq.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        if let Some(csrc) = csrc {
            packet.extend(csrc.to_be_bytes());
        }
        if let Some(id) = extension {
            packet.extend([0xbe, 0xde, 0, 1, id << 4 | 1, 0, 0, 0]);
        }
        packet.extend_from_slice(payload);
        packet
    }
}

/// SSRC and sequence number of a packet (RFC 3550 section 5.1).
pub fn stream_and_place(packet: &[u8]) -> Option<(u32, u16)> {
    let &[_, _, high, low, _, _, _, _, a, b, c, d, ..] = packet else {
        return None;
    };
    let ssrc = u32::from_be_bytes([a, b, c, d]);
    Some((ssrc, u16::from_be_bytes([high, low])))
}

/// Whether a decoder that has seen nothing can begin with this payload: it is the first of a
/// keyframe, or of a frame of sound.
pub fn starts_keyframe(format: Codec, payload: &[u8]) -> bool {
    match format {
        Codec::Vp8 => vp8_starts_keyframe(payload).unwrap_or(false),
        Codec::H264 => h264_starts_keyframe(payload).unwrap_or(false),
        Codec::Vp9 => vp9_starts_keyframe(payload).unwrap_or(false),
        Codec::Opus => !payload.is_empty(),
    }
}

fn vp8_starts_keyframe(payload: &[u8]) -> Option<bool> {
    let descriptor = Vp8Descriptor::parse(payload)?;
    let frame_tag = payload.get(descriptor.len)?;
    // RFC 6386 section 9.1: the lowest bit of the frame tag is 0 in a keyframe.
    Some(descriptor.starts_partition && descriptor.partition == 0 && frame_tag & 0x01 == 0)
}

/// Width and height, pixels, of the keyframe that begins with this payload, where it says so:
/// VP8 does.
pub fn keyframe_size(format: Codec, payload: &[u8]) -> Option<(u16, u16)> {
    if format != Codec::Vp8 || !vp8_starts_keyframe(payload)? {
        return None;
    }
    let descriptor = Vp8Descriptor::parse(payload)?;
    // RFC 6386 section 9.1: the frame tag, the start code, 14 bits of width and 2 of scale, and
    // the same of height.
    let header = payload.get(descriptor.len..)?.first_chunk::<10>()?;
    let [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *header else {
        return None;
    };
    let pixels = |bytes| u16::from_le_bytes(bytes) & 0x3fff;
    let (width, height) = (pixels([w0, w1]), pixels([h0, h1]));
    (width > 0 && height > 0).then_some((width, height))
}

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;

fn h264_starts_keyframe(payload: &[u8]) -> Option<bool> {
    let (&indicator, rest) = payload.split_first()?;
    match indicator & 0x1f {
        NAL_STAP_A => Some(aggregate_starts_keyframe(rest)),
        NAL_FU_A => {
            let (&header, fragment) = rest.split_first()?;
            let is_first = header & 0x80 != 0;
            Some(is_first && nal_starts_keyframe(header & 0x1f, fragment))
        }
        nal_type => Some(nal_starts_keyframe(nal_type, rest)),
    }
}

/// RFC 6184 section 5.7.1: 16 bits of size before each NAL unit.
fn aggregate_starts_keyframe(mut units: &[u8]) -> bool {
    while let Some((size, rest)) = units.split_first_chunk::<2>() {
        let size = usize::from(u16::from_be_bytes(*size));
        let Some((unit, after)) = rest.split_at_checked(size) else {
            return false;
        };
        if let Some((&header, body)) = unit.split_first()
            && nal_starts_keyframe(header & 0x1f, body)
        {
            return true;
        }
        units = after;
    }
    false
}

fn nal_starts_keyframe(nal_type: u8, body: &[u8]) -> bool {
    match nal_type {
        NAL_SPS => true,
        // A keyframe can have several slices. The first one says first_mb_in_slice = 0, which as
        // an Exp-Golomb code is a single 1 bit (ITU-T H.264 section 7.3.3).
        NAL_IDR => body.first().is_some_and(|byte| byte & 0x80 != 0),
        _ => false,
    }
}

/// RFC 9628 section 4.2.
fn vp9_starts_keyframe(payload: &[u8]) -> Option<bool> {
    let (&flags, rest) = payload.split_first()?;
    let has = |bit: u8| flags & bit != 0;
    let (picture_id, inter_predicted, layers, starts_frame) =
        (has(0x80), has(0x40), has(0x20), has(0x08));
    let mut at = 0;
    if picture_id {
        at += if rest.first()? & 0x80 != 0 { 2 } else { 1 };
    }
    let spatial_layer = if layers {
        (rest.get(at)? >> 1) & 0x07
    } else {
        0
    };
    Some(!inter_predicted && starts_frame && spatial_layer == 0)
}

/// A running number inside a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field<T> {
    /// Where its first byte stands, from the start of the payload.
    pub offset: usize,
    /// What it says.
    pub value: T,
}

/// A VP8 picture id, in the width its sender chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureId {
    /// One byte, 0 to 127.
    Short(u8),
    /// Two bytes, 0 to 32767.
    Long(u16),
}

/// A VP8 payload descriptor (RFC 7741 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vp8Descriptor {
    /// The S bit: a partition starts here.
    pub starts_partition: bool,
    /// The partition, 0 to 7.
    pub partition: u8,
    /// Counts pictures.
    pub picture_id: Option<Field<PictureId>>,
    /// TL0PICIDX, counts pictures of the lowest temporal layer.
    pub tl0_pic_idx: Option<Field<u8>>,
    /// The temporal layer, 0 to 3.
    pub temporal_layer: Option<u8>,
    /// KEYIDX, counts keyframes, 0 to 31; the three upper bits of its byte mean something else.
    pub key_idx: Option<Field<u8>>,
    /// Bytes before the VP8 data itself.
    pub len: usize,
}

impl Vp8Descriptor {
    /// Reads the descriptor `payload` begins with; `None` if it is cut short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &first = payload.first()?;
        let mut descriptor = Self {
            starts_partition: first & 0x10 != 0,
            partition: first & 0x07,
            picture_id: None,
            tl0_pic_idx: None,
            temporal_layer: None,
            key_idx: None,
            len: 1,
        };
        if first & 0x80 != 0 {
            descriptor.parse_extension(payload)?;
        }
        Some(descriptor)
    }

    fn parse_extension(&mut self, payload: &[u8]) -> Option<()> {
        let &flags = payload.get(1)?;
        let mut at = 2;
        if flags & 0x80 != 0 {
            let &high = payload.get(at)?;
            let (value, width) = if high & 0x80 != 0 {
                let low = *payload.get(at + 1)?;
                (PictureId::Long(u16::from_be_bytes([high & 0x7f, low])), 2)
            } else {
                (PictureId::Short(high), 1)
            };
            self.picture_id = Some(Field { offset: at, value });
            at += width;
        }
        if flags & 0x40 != 0 {
            let &value = payload.get(at)?;
            self.tl0_pic_idx = Some(Field { offset: at, value });
            at += 1;
        }
        // T and K share a byte, which is there if either is set.
        if flags & 0x30 != 0 {
            let &byte = payload.get(at)?;
            self.temporal_layer = (flags & 0x20 != 0).then_some(byte >> 6);
            self.key_idx = (flags & 0x10 != 0).then_some(Field {
                offset: at,
                value: byte & 0x1f,
            });
            at += 1;
        }
        self.len = at;
        Some(())
    }

    /// Puts other running numbers into `payload`, which must be the one that was parsed: same
    /// places, same widths. Numbers the payload has no field for are left out.
    pub fn write(&self, payload: &mut [u8], numbers: &Vp8Numbers) {
        if let (Some(field), Some(id)) = (self.picture_id, numbers.picture_id) {
            // Numbers of the other width would move every byte behind them.
            match (field.value, id) {
                (PictureId::Short(_), PictureId::Short(id)) => {
                    put(payload, field.offset, id & 0x7f);
                }
                (PictureId::Long(_), PictureId::Long(id)) => {
                    let [high, low] = id.to_be_bytes();
                    put(payload, field.offset, high | 0x80);
                    put(payload, field.offset + 1, low);
                }
                _ => {}
            }
        }
        if let (Some(field), Some(value)) = (self.tl0_pic_idx, numbers.tl0_pic_idx) {
            put(payload, field.offset, value);
        }
        if let (Some(field), Some(value)) = (self.key_idx, numbers.key_idx)
            && let Some(byte) = payload.get_mut(field.offset)
        {
            *byte = (*byte & 0xe0) | (value & 0x1f);
        }
    }
}

fn put(payload: &mut [u8], offset: usize, value: u8) {
    if let Some(byte) = payload.get_mut(offset) {
        *byte = value;
    }
}

/// The running numbers of a VP8 payload descriptor, without their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Vp8Numbers {
    /// The picture id.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX.
    pub tl0_pic_idx: Option<u8>,
    /// KEYIDX, 0 to 31.
    pub key_idx: Option<u8>,
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const FORMATS: [Codec; 4] = [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Opus];

    fn vp8(payload: &[u8]) -> bool {
        starts_keyframe(Codec::Vp8, payload)
    }

    fn h264(payload: &[u8]) -> bool {
        starts_keyframe(Codec::H264, payload)
    }

    fn vp9(payload: &[u8]) -> bool {
        starts_keyframe(Codec::Vp9, payload)
    }

    #[test]
    fn a_vp8_keyframe_says_its_size() {
        let size = |payload: &[u8]| keyframe_size(Codec::Vp8, payload);
        // 640 by 360, scaled by 5/4 upwards, which nobody does.
        let frame = [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x41];
        assert_eq!(size(&frame), Some((640, 360)));
        assert_eq!(size(&frame[..10]), None, "cut short");
        let mut delta = frame;
        delta[1] |= 1;
        assert_eq!(size(&delta), None, "not a keyframe");
        let mut strange = frame;
        strange[4] = 0;
        assert_eq!(size(&strange), None, "no start code");
        assert_eq!(keyframe_size(Codec::H264, &frame), None);
    }

    #[test]
    fn vp8_without_extension() {
        assert!(vp8(&[0x10, 0x00]));
        assert!(!vp8(&[0x10, 0x01]), "a delta frame");
        assert!(!vp8(&[0x00, 0x00]), "in the middle of a partition");
        assert!(!vp8(&[0x11, 0x00]), "another partition");
        assert!(!vp8(&[0x10]), "nothing after the descriptor");
    }

    #[test]
    fn vp8_with_every_extension() {
        let payload = [0x90, 0xf0, 0x92, 0x34, 0x56, 0xb7, 0x00];
        let d = Vp8Descriptor::parse(&payload).expect("complete");
        assert_eq!(
            d.picture_id,
            Some(Field {
                offset: 2,
                value: PictureId::Long(0x1234)
            })
        );
        assert_eq!(
            d.tl0_pic_idx,
            Some(Field {
                offset: 4,
                value: 0x56
            })
        );
        assert_eq!(d.temporal_layer, Some(2));
        assert_eq!(
            d.key_idx,
            Some(Field {
                offset: 5,
                value: 0x17
            })
        );
        assert_eq!(d.len, 6);
        assert!(vp8(&payload));
        for cut in 0..payload.len() {
            assert!(!vp8(&payload[..cut]));
        }
    }

    #[test]
    fn vp8_short_picture_id_and_a_key_index_alone() {
        let d = Vp8Descriptor::parse(&[0x80, 0x90, 0x7f, 0xe3]).expect("complete");
        assert_eq!(d.picture_id.map(|f| f.value), Some(PictureId::Short(127)));
        assert_eq!(d.temporal_layer, None);
        assert_eq!(
            d.key_idx,
            Some(Field {
                offset: 3,
                value: 3
            })
        );
        let temporal_only = Vp8Descriptor::parse(&[0x80, 0x20, 0xc5]).expect("complete");
        assert_eq!(temporal_only.temporal_layer, Some(3));
        assert_eq!(temporal_only.key_idx, None);
        assert_eq!(temporal_only.len, 3);
    }

    #[test]
    fn h264_single_units() {
        assert!(h264(&[0x67, 0x42]), "SPS");
        assert!(h264(&[0x65, 0x88]), "first slice of an IDR picture");
        assert!(!h264(&[0x65, 0x01]), "a later slice of it");
        assert!(!h264(&[0x68, 0xce]), "PPS");
        assert!(!h264(&[0x41, 0x9a]), "another slice");
        assert!(!h264(&[]));
    }

    #[test]
    fn h264_aggregates_and_fragments() {
        let aud_sps = [0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x67, 0x42];
        assert!(h264(&aud_sps));
        assert!(!h264(&aud_sps[..8]), "the SPS is cut");
        assert!(!h264(&[0x78, 0, 2, 0x09, 0xf0, 0, 1, 0x41]));
        assert!(!h264(&[0x78, 0, 0, 0, 0]), "empty units");
        assert!(h264(&[0x7c, 0x85, 0x88]), "FU-A, start of an IDR slice");
        assert!(!h264(&[0x7c, 0x05, 0x88]), "FU-A, middle");
        assert!(!h264(&[0x7c, 0x45, 0x88]), "FU-A, end");
        assert!(!h264(&[0x7c, 0x81, 0x88]), "FU-A, another slice");
    }

    #[test]
    fn vp9_start_of_a_key_picture() {
        assert!(vp9(&[0x08]));
        assert!(!vp9(&[0x48]), "inter-predicted");
        assert!(!vp9(&[0x04]), "not the start of the frame");
        assert!(vp9(&[0xa8, 0x81, 0x00, 0x10, 0x00]), "layer 0");
        assert!(!vp9(&[0xa8, 0x81, 0x00, 0x12, 0x00]), "layer 1");
        assert!(vp9(&[0xa8, 0x01, 0x10, 0x00]), "layer 0, short picture id");
        assert!(!vp9(&[0xa8, 0x01, 0x12, 0x00]), "layer 1, short picture id");
        assert!(!vp9(&[0xa8, 0x81, 0x00]), "cut");
    }

    #[test]
    fn opus_starts_anywhere() {
        assert!(starts_keyframe(Codec::Opus, &[0xfc]));
        assert!(!starts_keyframe(Codec::Opus, &[]));
    }

    /// A descriptor as a sender would write it.
    fn written(
        id: Option<PictureId>,
        tl0: Option<u8>,
        tid: Option<u8>,
        key: Option<u8>,
    ) -> Vec<u8> {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let mut bytes = vec![
            0x90,
            bit(id.is_some(), 0x80)
                | bit(tl0.is_some(), 0x40)
                | bit(tid.is_some(), 0x20)
                | bit(key.is_some(), 0x10),
        ];
        match id {
            Some(PictureId::Short(id)) => bytes.push(id),
            Some(PictureId::Long(id)) => bytes.extend((id | 0x8000).to_be_bytes()),
            None => {}
        }
        bytes.extend(tl0);
        if tid.is_some() || key.is_some() {
            bytes.push(tid.unwrap_or(0) << 6 | 0x20 | key.unwrap_or(0));
        }
        bytes
    }

    fn picture_id() -> impl Strategy<Value = PictureId> {
        prop_oneof![
            (0u8..128).prop_map(PictureId::Short),
            (0u16..0x8000).prop_map(PictureId::Long)
        ]
    }

    fn same_width(id: PictureId, n: u16) -> PictureId {
        match id {
            PictureId::Short(_) => PictureId::Short((n & 0x7f) as u8),
            PictureId::Long(_) => PictureId::Long(n & 0x7fff),
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(payload in vec(any::<u8>(), 0..64)) {
            for format in FORMATS {
                starts_keyframe(format, &payload);
            }
            if let Some(d) = Vp8Descriptor::parse(&payload) {
                prop_assert!(d.len <= payload.len());
                let mut copy = payload.clone();
                let same = Vp8Numbers {
                    picture_id: d.picture_id.map(|f| f.value),
                    tl0_pic_idx: d.tl0_pic_idx.map(|f| f.value),
                    key_idx: d.key_idx.map(|f| f.value),
                };
                d.write(&mut copy, &same);
                prop_assert_eq!(copy, payload);
            }
        }

        #[test]
        fn aggregates_of_any_bytes_are_survived(tail in vec(any::<u8>(), 0..64)) {
            let mut payload = vec![0x78];
            payload.extend(tail);
            h264(&payload);
        }

        #[test]
        fn numbers_are_replaced_and_nothing_else(
            id in proptest::option::of(picture_id()),
            tl0 in proptest::option::of(any::<u8>()),
            tid in proptest::option::of(0u8..4),
            key in proptest::option::of(0u8..32),
            n in any::<u16>(),
            body in vec(any::<u8>(), 0..8),
        ) {
            let mut payload = written(id, tl0, tid, key);
            payload.extend(&body);
            let d = Vp8Descriptor::parse(&payload).expect("complete");
            let numbers = Vp8Numbers {
                picture_id: id.map(|id| same_width(id, n)),
                tl0_pic_idx: tl0.map(|old| old.wrapping_add(n as u8)),
                key_idx: key.map(|old| old.wrapping_add(n as u8) & 0x1f),
            };
            d.write(&mut payload, &numbers);
            let mut expected = written(numbers.picture_id, numbers.tl0_pic_idx, tid, numbers.key_idx);
            expected.extend(&body);
            prop_assert_eq!(payload, expected);
        }
    }

    #[test]
    fn keyframes_are_known_by_their_first_packet() {
        let starts = |codec, payload: &[u8]| starts_keyframe(codec, payload);
        // X with a 15-bit picture id, then the frame header.
        assert!(starts(Codec::Vp8, &[0x90, 0x80, 0x81, 0x02, 0x10]));
        assert!(!starts(Codec::Vp8, &[0x90, 0x80, 0x81, 0x02, 0x11]));
        assert!(
            !starts(Codec::Vp8, &[0x80, 0x80, 0x81, 0x02, 0x10]),
            "no start"
        );
        assert!(starts(Codec::Vp8, &[0x10, 0x10]));
        assert!(!starts(Codec::Vp8, &[0x90, 0x80]));
        assert!(starts(Codec::H264, &[0x67, 0x42]));
        assert!(starts(Codec::H264, &[0x78, 0, 9, 0x67]));
        assert!(starts(Codec::H264, &[0x7c, 0x85]));
        assert!(!starts(Codec::H264, &[0x7c, 0x05]), "the middle of one");
        assert!(!starts(Codec::H264, &[0x41, 0x9a]));
        assert!(starts(Codec::Vp9, &[0x88]) && !starts(Codec::Vp9, &[0xc8]));
    }
}
