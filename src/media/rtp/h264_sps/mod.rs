//! Writes into an H.264 stream what openh264enc cannot be told to write; pure.
//! [`crate::media::gst::sps_probe`] applies it to an encoder.
//!
//! That its samples are BT.601: a stream that does not say what it has is shown as BT.709 by
//! Chromium. So the video usability information of its sequence parameter sets (ITU-T H.264 section
//! 7.3.2.1.1 and annex E) is written here, some thirty bits before each keyframe, instead of
//! converting every sample of every frame.
//!
//! And which level it needs: openh264 begins with a low one, and says 5.1 from the first change of
//! its bitrate on. Viewers have agreed on 3.1, and parameter sets that change are another stream
//! to whatever writes files.

use std::ops::Range;

/// NAL unit type of a sequence parameter set.
pub(crate) const SPS: u8 = 7;
/// Profiles whose parameter sets hold no chroma format: baseline, main, extended.
const PLAIN_PROFILES: [u32; 3] = [66, 77, 88];
/// The video signal, as values and their lengths in bits: `video_signal_type_present_flag`,
/// `video_format` unspecified, limited range, `colour_description_present_flag`; then primaries,
/// transfer and matrix, all SMPTE 170M, which is what browsers take VP8 for.
const SIGNAL: [(u32, u32); 5] = [(1, 1), (5, 3), (0, 1), (1, 1), (0x06_0606, 24)];

/// Levels from the one that browsers agree on upwards, with the macroblocks a second, macroblocks a
/// frame and kbit/s that they allow (table A-1).
const LEVELS: [(u8, u32, u32, u32); 8] = [
    (31, 108_000, 3_600, 14_000),
    (32, 216_000, 5_120, 20_000),
    (40, 245_760, 8_192, 20_000),
    (41, 245_760, 8_192, 50_000),
    (42, 522_240, 8_704, 50_000),
    (50, 589_824, 22_080, 135_000),
    (51, 983_040, 36_864, 240_000),
    (52, 2_073_600, 36_864, 240_000),
];

/// The highest rates at which a stream is ever encoded. With the picture's
/// size they decide its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeakRates {
    /// Frames a second.
    pub(crate) fps: u32,
    /// bit/s.
    pub(crate) bitrate: u32,
}

impl PeakRates {
    /// The lowest `level_idc` that allows these rates at so many macroblocks a frame.
    fn level(self, macroblocks: u32) -> u8 {
        let fits = |(_, a_second, a_frame, kbits): &&(u8, u32, u32, u32)| {
            macroblocks.saturating_mul(self.fps) <= *a_second
                && macroblocks <= *a_frame
                && self.bitrate / 1000 <= *kbits
        };
        let [.., (highest, ..)] = LEVELS;
        let least = LEVELS.iter().find(fits);
        least.map_or(highest, |(level, ..)| *level)
    }
}

/// An access unit (byte stream, annex B) whose parameter sets say BT.601, limited range,
/// and the level that `peak` needs. `None` if they say so already, if there are none, or
/// none of a known profile.
pub(crate) fn patched_unit(unit: &[u8], peak: PeakRates) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(unit.len() + 16);
    let mut kept = 0;
    for nal in heads(unit) {
        let Some(new) = unit.get(nal.clone()).and_then(|nal| patched_set(nal, peak)) else {
            continue;
        };
        out.extend_from_slice(unit.get(kept..nal.start)?);
        out.extend_from_slice(&new);
        kept = nal.end;
    }
    if kept == 0 {
        return None;
    }
    out.extend_from_slice(unit.get(kept..)?);
    Some(out)
}

/// Where the NAL units before the first slice of an access unit are, without
/// start codes and trailing zeros.
pub(crate) fn heads(unit: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, window) in unit.windows(4).enumerate() {
        let [0, 0, 1, header] = window else {
            continue;
        };
        if let Some(last) = found.last_mut() {
            let zeros = unit[last.start..at].iter().rev().take_while(|b| **b == 0);
            last.end = at - zeros.count();
        }
        if (1..=5).contains(&(header & 0x1f)) {
            return found;
        }
        found.push(at + 3..unit.len());
    }
    found
}

/// A parameter set with signal and level written into it. `None` if it has them already,
/// or `nal` is something else.
fn patched_set(nal: &[u8], peak: PeakRates) -> Option<Vec<u8>> {
    let (header, body) = nal.split_first()?;
    if header & 0x1f != SPS {
        return None;
    }
    let payload = unescaped(body);
    let mut from = Reader::new(&payload)?;
    let mut to = Writer::default();
    let macroblocks = skip_to_vui(&mut from)?;
    to.copy(&from, 0..from.at)?;
    // Behind profile and constraints.
    *to.bytes.get_mut(2)? = peak.level(macroblocks);
    let has_vui = from.bit()?;
    to.push(1, 1);
    if has_vui {
        let start = from.at;
        skip_to_signal(&mut from)?;
        to.copy(&from, start..from.at)?;
        skip_signal(&mut from)?;
        to.signal();
        to.copy(&from, from.at..from.end)?;
    } else {
        // No aspect ratio, no overscan; behind the signal no chroma location, timing, HRDs,
        // picture structure and restriction.
        to.push(0, 2);
        to.signal();
        to.push(0, 6);
    }
    let mut new = vec![*header];
    new.extend(escaped(&to.finished()));
    (new != nal).then_some(new)
}

/// Width and height in pixels of the pictures that a sequence parameter set describes, without what
/// is cropped. `None` if it is none, or is cut short.
pub(crate) fn picture_size(nal: &[u8]) -> Option<(u16, u16)> {
    let (header, body) = nal.split_first()?;
    if header & 0x1f != SPS {
        return None;
    }
    let payload = unescaped(body);
    let mut from = Reader::new(&payload)?;
    let coded = Coded::read(&mut from)?;
    from.bits(1)?;
    let mut size = coded.size;
    if from.bit()? {
        let (left, right) = (from.code()?, from.code()?);
        let (top, bottom) = (from.code()?, from.code()?);
        let (unit_x, unit_y) = coded.chroma.crop_units();
        let cut = |edges: (u32, u32), unit: u32| edges.0.checked_add(edges.1)?.checked_mul(unit);
        size.0 = size.0.checked_sub(cut((left, right), unit_x)?)?;
        size.1 = size
            .1
            .checked_sub(cut((top, bottom), unit_y * coded.fields)?)?;
    }
    let (width, height) = (size.0.try_into().ok()?, size.1.try_into().ok()?);
    (width > 0 && height > 0).then_some((width, height))
}

/// The id of a sequence parameter set, from its body, and how many pixels a decoder has for each of
/// its pictures, with what is cropped. `None` if it cannot be read.
pub(crate) fn coded_area(body: &[u8]) -> Option<(u8, u32)> {
    let payload = unescaped(body);
    let Coded { id, size, .. } = Coded::read(&mut Reader::new(&payload)?)?;
    Some((id, size.0.saturating_mul(size.1)))
}

/// What a sequence parameter set says up to the size of its pictures.
struct Coded {
    id: u8,
    chroma: Chroma,
    /// Fields that a frame is made of, 2 where it may be interlaced.
    fields: u32,
    /// Width and height, pixels.
    size: (u32, u32),
}

impl Coded {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        const MAX_ID: u32 = 31;
        let (id, chroma) = read_profile(from)?;
        skip_to_size(from)?;
        let (columns, rows) = (from.code()?.checked_add(1)?, from.code()?.checked_add(1)?);
        let fields = match from.bit()? {
            true => 1,
            false => from.bits(1).map(|_| 2)?,
        };
        Some(Self {
            id: u8::try_from(id).ok().filter(|_| id <= MAX_ID)?,
            chroma,
            fields,
            size: (columns.checked_mul(16)?, rows.checked_mul(16 * fields)?),
        })
    }
}

/// How colours are sampled (`chroma_format_idc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chroma(u32);

impl Chroma {
    /// 4:2:0, which profiles have that do not say it.
    const SUBSAMPLED: Self = Self(1);

    /// Pixels that a unit of cropping stands for, to the right and down (table 6-1).
    fn crop_units(self) -> (u32, u32) {
        match self.0 {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        }
    }
}

/// Reads profile, level, id and, for profiles that have it, the chroma format and scaling lists.
/// Returns the id and the chroma format.
fn read_profile(from: &mut Reader<'_>) -> Option<(u32, Chroma)> {
    const WITH_CHROMA: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
    let profile = from.bits(8)?;
    from.bits(16)?; // constraints, level
    let id = from.code()?;
    if !WITH_CHROMA.contains(&profile) {
        return Some((id, Chroma::SUBSAMPLED));
    }
    let chroma = from.code()?;
    if chroma == 3 {
        from.bits(1)?; // separate planes
    }
    from.codes(2)?; // bit depths
    from.bits(1)?; // transform bypass
    if from.bit()? {
        let lists = if chroma == 3 { 12 } else { 8 };
        for list in 0..lists {
            if from.bit()? {
                skip_scaling_list(from, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some((id, Chroma(chroma)))
}

/// Reads a scaling list of so many numbers (section 7.3.2.1.1.1).
fn skip_scaling_list(from: &mut Reader<'_>, length: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..length {
        if next != 0 {
            let code = i64::from(from.code()?);
            // Signed Exp-Golomb: 0, 1, -1, 2, -2, ...
            let delta = if code % 2 == 0 {
                -code / 2
            } else {
                (code + 1) / 2
            };
            next = (last + delta).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// Reads what stands between the profile and the size: frame numbers and picture order counts.
fn skip_to_size(from: &mut Reader<'_>) -> Option<()> {
    from.codes(1)?; // log2_max_frame_num
    match from.code()? {
        0 => from.codes(1)?,
        1 => {
            from.bits(1)?;
            from.codes(2)?;
            let cycle = from.code()?;
            from.codes(cycle)?;
        }
        _ => {}
    }
    from.codes(1)?; // max_num_ref_frames
    from.bits(1).map(drop)
}

/// Reads everything of `seq_parameter_set_data` before `vui_parameters_present_flag`. Returns how
/// many macroblocks a frame has.
fn skip_to_vui(from: &mut Reader<'_>) -> Option<u32> {
    if !PLAIN_PROFILES.contains(&from.bits(8)?) {
        return None;
    }
    from.bits(16)?; // constraints, level
    from.codes(1)?; // id
    skip_to_size(from)?;
    let (width, height) = (from.code()?.checked_add(1)?, from.code()?.checked_add(1)?);
    let fields = match from.bit()? {
        true => 1,
        false => from.bits(1).map(|_| 2)?,
    };
    from.bits(1)?;
    if from.bit()? {
        from.codes(4)?; // cropping
    }
    width.checked_mul(height)?.checked_mul(fields)
}

/// Reads aspect ratio and overscan, which stand before the signal.
fn skip_to_signal(from: &mut Reader<'_>) -> Option<()> {
    const EXTENDED_SAR: u32 = 255;
    if from.bit()? && from.bits(8)? == EXTENDED_SAR {
        from.bits(32)?;
    }
    if from.bit()? {
        from.bits(1)?;
    }
    Some(())
}

/// Reads `video_signal_type` as it is.
fn skip_signal(from: &mut Reader<'_>) -> Option<()> {
    if from.bit()? {
        from.bits(4)?; // format, range
        if from.bit()? {
            from.bits(24)?;
        }
    }
    Some(())
}

/// Reads bits up to the stop bit.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (index, last) = bytes.iter().enumerate().rfind(|(_, byte)| **byte != 0)?;
        let end = index * 8 + 7 - last.trailing_zeros() as usize;
        Some(Self { bytes, at: 0, end })
    }

    fn peek(&self, at: usize) -> Option<bool> {
        let byte = self.bytes.get(at / 8).filter(|_| at < self.end)?;
        Some(byte >> (7 - at % 8) & 1 == 1)
    }

    fn bit(&mut self) -> Option<bool> {
        let bit = self.peek(self.at)?;
        self.at += 1;
        Some(bit)
    }

    /// Reads a number of at most 32 bits.
    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value: u32, _| Some(value << 1 | u32::from(self.bit()?)))
    }

    /// Reads an Exp-Golomb code as an unsigned number.
    fn code(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
        }
        if zeros > 31 {
            return None;
        }
        (1u32 << zeros)
            .checked_add(self.bits(zeros)?)?
            .checked_sub(1)
    }

    /// Skips `count` Exp-Golomb codes, signed or not.
    fn codes(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.code().map(drop))
    }
}

/// Writes bits.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    used: usize,
}

impl Writer {
    fn bit(&mut self, bit: bool) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (7 - self.used % 8);
        }
        self.used += 1;
    }

    /// Writes the lowest `count` bits of `value`.
    fn push(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            self.bit(value >> shift & 1 == 1);
        }
    }

    fn signal(&mut self) {
        for (value, length) in SIGNAL {
            self.push(value, length);
        }
    }

    fn copy(&mut self, from: &Reader<'_>, range: Range<usize>) -> Option<()> {
        for at in range {
            self.bit(from.peek(at)?);
        }
        Some(())
    }

    /// The bytes, with the stop bit added.
    fn finished(mut self) -> Vec<u8> {
        self.bit(true);
        self.bytes
    }
}

/// The body of a NAL unit without its emulation prevention bytes.
fn unescaped(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut zeros = 0;
    for byte in body {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

/// The body of a NAL unit with emulation prevention bytes added.
fn escaped(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 4);
    let mut zeros = 0;
    for byte in payload {
        if zeros >= 2 && *byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests;
