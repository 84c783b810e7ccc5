//! VP8 in RTP (RFC 7741): keyframes, picture sizes, and the running numbers of its payload
//! descriptor.

use super::demand::{Demand, ONLY, area};

/// A running number inside a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field<T> {
    /// Position of its first byte in the payload.
    pub offset: usize,
    /// The number.
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
    /// PictureID: counts pictures.
    pub picture_id: Option<Field<PictureId>>,
    /// TL0PICIDX: counts pictures of the lowest temporal layer.
    pub tl0_pic_idx: Option<Field<u8>>,
    /// TID: the temporal layer, 0 to 3.
    pub temporal_layer: Option<u8>,
    /// KEYIDX: counts keyframes, 0 to 31. The upper three bits of its byte mean something else.
    pub key_idx: Option<Field<u8>>,
    /// Length of the descriptor, bytes: the VP8 data follows.
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

    /// Replaces the running numbers in `payload`, which must be the one that was parsed. Positions
    /// and widths stay. Numbers without a field of their width in the payload are left out.
    pub(crate) fn write(&self, payload: &mut [u8], numbers: &Vp8Numbers) {
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

/// The running numbers of a VP8 payload descriptor, without their positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Vp8Numbers {
    /// PictureID.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX.
    pub tl0_pic_idx: Option<u8>,
    /// KEYIDX, 0 to 31.
    pub key_idx: Option<u8>,
}

/// Whether the payload is the first of a keyframe; `None` if it is cut short.
pub(super) fn starts_keyframe(payload: &[u8]) -> Option<bool> {
    let descriptor = Vp8Descriptor::parse(payload)?;
    let frame_tag = payload.get(descriptor.len)?;
    // RFC 6386 section 9.1: the lowest bit of the frame tag is 0 in a keyframe.
    Some(descriptor.starts_partition && descriptor.partition == 0 && frame_tag & 0x01 == 0)
}

/// Width and height in pixels of the keyframe that begins with this payload.
pub(super) fn keyframe_size(payload: &[u8]) -> Option<(u16, u16)> {
    if !starts_keyframe(payload)? {
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

/// What a payload asks of a decoder; `None` for the first of a keyframe that does not say its size.
pub(super) fn demand(payload: &[u8]) -> Option<Demand> {
    let mut demand = Demand::default();
    let Some(descriptor) = Vp8Descriptor::parse(payload) else {
        return Some(demand);
    };
    let begins = descriptor.starts_partition && descriptor.partition == 0;
    if begins && payload.len() > descriptor.len {
        demand.pictures.push(ONLY);
    }
    if starts_keyframe(payload) == Some(true) {
        demand.areas.push((ONLY, area(keyframe_size(payload)?)?));
    }
    Some(demand)
}
