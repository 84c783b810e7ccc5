//! VP9 in RTP (RFC 9628): where keyframes begin, and how large they are.

use super::bits::Bits;
use super::demand::Demand;
use crate::media::rtp::header::missing_between;

/// Differences to reference pictures (P_DIFF) that a descriptor has at most (RFC 9628 section 4.2).
const MAX_DIFFERENCES: usize = 3;

/// What the payload descriptor (section 4.2) says that matters here.
struct Descriptor<'a> {
    inter_predicted: bool,
    starts_frame: bool,
    spatial_layer: u8,
    /// Where the byte with the layers is, and whether it says that this layer depends on the one
    /// below it.
    layers: Option<(usize, bool)>,
    /// What follows: the scalability structure, if there is one, and the frame.
    has_structure: bool,
    rest: &'a [u8],
}

impl<'a> Descriptor<'a> {
    fn parse(payload: &'a [u8]) -> Option<Self> {
        let (&flags, mut rest) = payload.split_first()?;
        let has = |bit: u8| flags & bit != 0;
        let skip = |rest: &mut &'a [u8], count: usize| {
            *rest = rest.get(count..)?;
            Some(())
        };
        if has(0x80) {
            let long = rest.first()? & 0x80 != 0;
            skip(&mut rest, if long { 2 } else { 1 })?;
        }
        let flexible = has(0x10);
        let (mut spatial_layer, mut layers) = (0, None);
        if has(0x20) {
            let byte = rest.first()?;
            spatial_layer = (byte >> 1) & 0x07;
            layers = Some((payload.len() - rest.len(), byte & 1 != 0));
            skip(&mut rest, if flexible { 1 } else { 2 })?;
        }
        if flexible && has(0x40) {
            // Depayloaders read no more than there may be, either.
            for _ in 0..MAX_DIFFERENCES {
                let is_followed = rest.first()? & 1 != 0;
                skip(&mut rest, 1)?;
                if !is_followed {
                    break;
                }
            }
        }
        Some(Self {
            inter_predicted: has(0x40),
            starts_frame: has(0x08),
            spatial_layer,
            layers,
            has_structure: has(0x02),
            rest,
        })
    }

    /// The bytes of the frame: what is behind the scalability structure, if there is one (section
    /// 4.2.1). `None` if that is cut short.
    fn frame(&self) -> Option<&'a [u8]> {
        match self.has_structure {
            true => behind_structure(self.rest),
            false => Some(self.rest),
        }
    }

    fn starts_keyframe(&self) -> bool {
        !self.inter_predicted && self.starts_frame && self.spatial_layer == 0
    }
}

/// Whether the payload is the first of a keyframe; `None` if it is cut short.
pub(super) fn starts_keyframe(payload: &[u8]) -> Option<bool> {
    Descriptor::parse(payload).map(|descriptor| descriptor.starts_keyframe())
}

/// Width and height of a keyframe that begins with this payload: those of its largest spatial layer,
/// if it says them, or else of its frame.
pub(super) fn keyframe_size(payload: &[u8]) -> Option<(u16, u16)> {
    let descriptor = Descriptor::parse(payload)?;
    if !descriptor.starts_keyframe() {
        return None;
    }
    match descriptor.has_structure {
        true => structure_size(descriptor.rest).or_else(|| frame_size(descriptor.rest)),
        false => frame_size(descriptor.rest),
    }
}

/// The byte of the payload whose last bit says that the layer depends on the one below it (D), if
/// the bit is not set and the packet begins a layer above the lowest. Depayloaders take such a layer
/// for a picture of its own, though it is shown in place of those below: where layers depend on one
/// another in keyframes alone (L3T3_KEY), that is each of them in each picture.
pub(crate) fn undeclared_dependency(payload: &[u8]) -> Option<usize> {
    let descriptor = Descriptor::parse(payload)?;
    let (at, depends) = descriptor.layers?;
    (descriptor.starts_frame && descriptor.spatial_layer > 0 && !depends).then_some(at)
}

/// Gathers how long the layers of a picture are, for the index that makes one picture of them (VP9
/// bitstream specification, annex B). RTP needs none, but behind a depayloader, and in a file, some
/// decoders take the first layer alone without it.
#[derive(Debug, Default)]
pub(crate) struct SuperframeIndex {
    /// Sequence number of the newest packet.
    last: Option<u16>,
    /// Bytes of each layer of the picture so far; `None` while a part of it is missing.
    layers: Option<Vec<u32>>,
}

impl SuperframeIndex {
    /// Most frames that an index tells of.
    const MAX_FRAMES: usize = 8;

    /// Takes the next packet: its number, its payload and its marker bit, which ends a picture. Gives
    /// what is to be appended to the payload: nothing, if it does not end a picture of several layers.
    pub(crate) fn after(&mut self, number: u16, payload: &[u8], marker: bool) -> Option<Vec<u8>> {
        let is_gapped = self
            .last
            .is_some_and(|last| missing_between(last, number) > 0);
        self.last = Some(number);
        let packet = Descriptor::parse(payload).and_then(|packet| Some((packet.frame()?, packet)));
        let layers = self.layers.take().filter(|_| !is_gapped);
        let (frame, packet) = packet?;
        let mut layers = match packet.starts_frame {
            true if packet.spatial_layer == 0 => Vec::new(),
            _ => layers?,
        };
        if packet.starts_frame {
            layers.push(0);
        }
        *layers.last_mut()? += u32::try_from(frame.len()).ok()?;
        if !marker {
            self.layers = Some(layers);
            return None;
        }
        (2..=Self::MAX_FRAMES)
            .contains(&layers.len())
            .then(|| index(&layers))
    }
}

/// An index over frames of these sizes, in bytes.
fn index(sizes: &[u32]) -> Vec<u8> {
    let largest = sizes.iter().copied().max().unwrap_or_default();
    let width = 4 - (largest.leading_zeros() as usize / 8).min(3);
    let marker = 0b1100_0000 | ((width - 1) << 3 | (sizes.len() - 1)) as u8;
    let mut index = vec![marker];
    for size in sizes {
        index.extend(&size.to_le_bytes()[..width]);
    }
    index.push(marker);
    index
}

/// The largest size in a scalability structure (section 4.2.1); `None` if it names none.
fn structure_size(structure: &[u8]) -> Option<(u16, u16)> {
    let (&flags, sizes) = structure.split_first()?;
    let layers = usize::from(flags >> 5) + 1;
    if flags & 0x10 == 0 {
        return None;
    }
    let sizes = sizes.get(..4 * layers)?;
    let read = |size: &[u8]| match *size {
        [a, b, c, d] => Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
        _ => None,
    };
    let known = sizes.chunks_exact(4).filter_map(read);
    known.max_by_key(|(width, height)| u32::from(*width) * u32::from(*height))
}

/// The size in the uncompressed header of a keyframe of profile 0 (VP9 bitstream specification
/// section 6.2).
fn frame_size(frame: &[u8]) -> Option<(u16, u16)> {
    // Marker, profile 0, no existing frame, keyframe: then any of shown and resilient.
    let [first, 0x49, 0x83, 0x42, rest @ ..] = frame else {
        return None;
    };
    if first & 0xfc != 0x80 {
        return None;
    }
    // Three bits of colour space and one of range; then 16 bits each of width and height, less one.
    let [a, b, c, d, e, ..] = *rest else {
        return None;
    };
    let bits = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
    let pixels = |shift: u32| u16::try_from((bits >> shift & 0xffff) + 1).ok();
    Some((pixels(20)?, pixels(4)?))
}

/// What a payload asks of a decoder; `None` if the frame that begins in it cannot be read.
pub(super) fn demand(payload: &[u8]) -> Option<Demand> {
    let mut demand = Demand::default();
    let Some(descriptor) = Descriptor::parse(payload) else {
        return Some(demand);
    };
    if !descriptor.starts_frame {
        return Some(demand);
    }
    let frame = descriptor.frame()?;
    let layer = descriptor.spatial_layer;
    demand.pictures.push(layer);
    let size = frame_header(&mut Bits::new(frame))?;
    demand.areas.extend(size.map(|area| (layer, area)));
    Some(demand)
}

/// What follows a scalability structure (section 4.2.1).
fn behind_structure(structure: &[u8]) -> Option<&[u8]> {
    let (&flags, mut rest) = structure.split_first()?;
    if flags & 0x10 != 0 {
        rest = rest.get(4 * (usize::from(flags >> 5) + 1)..)?;
    }
    if flags & 0x08 != 0 {
        let (&pictures, behind) = rest.split_first()?;
        rest = behind;
        for _ in 0..pictures {
            let differences = usize::from(rest.first()? >> 2 & 0x03);
            rest = rest.get(1 + differences..)?;
        }
    }
    Some(rest)
}

/// The area in pixels that the uncompressed header of a frame says (VP9 bitstream specification
/// section 6.2): `Some(None)` for a frame of the size of another one. `None` if it cannot be read.
fn frame_header(bits: &mut Bits<'_>) -> Option<Option<u32>> {
    const MARKER: u32 = 2;
    if bits.number(2)? != MARKER {
        return None;
    }
    let profile = bits.number(1)? + 2 * bits.number(1)?;
    if profile == 3 {
        bits.flag()?;
    }
    let shows_existing = bits.flag()?;
    if shows_existing {
        return Some(None);
    }
    let (is_inter, is_shown, is_resilient) = (bits.flag()?, bits.flag()?, bits.flag()?);
    if !is_inter {
        skip_colors(bits, profile)?;
        return explicit_size(bits).map(Some);
    }
    let is_intra_only = !is_shown && bits.flag()?;
    if !is_resilient {
        bits.number(2)?;
    }
    if is_intra_only {
        match profile {
            0 => skip_sync(bits)?,
            _ => skip_colors(bits, profile)?,
        }
        bits.number(8)?;
        return explicit_size(bits).map(Some);
    }
    // The frames that it refreshes, and those that it refers to.
    bits.number(8 + 3 * 4)?;
    for _ in 0..3 {
        let has_size_of_reference = bits.flag()?;
        if has_size_of_reference {
            return Some(None);
        }
    }
    explicit_size(bits).map(Some)
}

fn skip_sync(bits: &mut Bits<'_>) -> Option<()> {
    const SYNC: u32 = 0x49_8342;
    (bits.number(24)? == SYNC).then_some(())
}

/// Reads the sync code and `color_config`.
fn skip_colors(bits: &mut Bits<'_>, profile: u32) -> Option<()> {
    const SRGB: u32 = 7;
    skip_sync(bits)?;
    if profile >= 2 {
        bits.flag()?;
    }
    let has_subsampling = profile % 2 == 1;
    if bits.number(3)? != SRGB {
        bits.flag()?;
        if has_subsampling {
            bits.number(3)?;
        }
    } else if has_subsampling {
        bits.flag()?;
    }
    Some(())
}

/// Reads 16 bits each of width and height, less one.
fn explicit_size(bits: &mut Bits<'_>) -> Option<u32> {
    let (width, height) = (bits.number(16)? + 1, bits.number(16)? + 1);
    width.checked_mul(height).or(Some(u32::MAX))
}
