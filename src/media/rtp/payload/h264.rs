//! H.264 in RTP (RFC 6184): where a decoder can begin, and how large pictures are.

use super::demand::{Demand, ONLY};
use crate::media::rtp::h264_sps;

const NAL_SLICE: u8 = 1;
const NAL_PARTITION: u8 = 2;
const NAL_IDR: u8 = 5;
const NAL_SEI: u8 = 6;
const NAL_SPS: u8 = 7;
/// A parameter set of scalable or stereoscopic video, which nobody agrees on.
const NAL_SUBSET_SPS: u8 = 15;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;

/// Type of the SEI message that says that pictures are whole from here on, or after some more
/// (recovery point, ITU-T H.264 section D.2.8).
const RECOVERY_POINT: u8 = 6;

/// Whether the payload is the first of a keyframe; `None` if it is cut short.
pub(super) fn starts_keyframe(payload: &[u8]) -> Option<bool> {
    let (&indicator, rest) = payload.split_first()?;
    match indicator & 0x1f {
        NAL_STAP_A => Some(units(rest).any(nal_starts_keyframe)),
        NAL_FU_A => {
            let (&header, fragment) = rest.split_first()?;
            let is_first = header & 0x80 != 0;
            Some(is_first && starts(header & 0x1f, fragment))
        }
        _ => Some(nal_starts_keyframe(payload)),
    }
}

/// Whether the payload has a recovery point; `None` if it is cut short.
pub(super) fn has_recovery_point(payload: &[u8]) -> Option<bool> {
    let of_nal = |nal: &[u8]| {
        let parts = nal.split_first();
        parts.is_some_and(|(header, body)| header & 0x1f == NAL_SEI && recovers(body))
    };
    match payload.first()? & 0x1f {
        NAL_STAP_A => Some(units(payload.get(1..)?).any(of_nal)),
        _ => Some(of_nal(payload)),
    }
}

/// Width and height of the pictures that a parameter set in this payload describes, pixels; `None`
/// if there is none.
pub(super) fn picture_size(payload: &[u8]) -> Option<(u16, u16)> {
    match payload.first()? & 0x1f {
        NAL_STAP_A => units(payload.get(1..)?).find_map(h264_sps::picture_size),
        _ => h264_sps::picture_size(payload),
    }
}

/// The units of a STAP-A. Each has 16 bits of size before it (RFC 6184 section 5.7.1).
fn units(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (size, behind) = rest.split_first_chunk::<2>()?;
        let size = usize::from(u16::from_be_bytes(*size));
        let (unit, after) = behind.split_at_checked(size)?;
        rest = after;
        Some(unit)
    })
}

fn nal_starts_keyframe(nal: &[u8]) -> bool {
    let parts = nal.split_first();
    parts.is_some_and(|(header, body)| starts(header & 0x1f, body))
}

fn starts(nal_type: u8, body: &[u8]) -> bool {
    match nal_type {
        NAL_SPS => true,
        // A keyframe can have several slices. The first one says first_mb_in_slice = 0, which as
        // an Exp-Golomb code is a single 1 bit (ITU-T H.264 section 7.3.3).
        NAL_IDR => body.first().is_some_and(|byte| byte & 0x80 != 0),
        _ => false,
    }
}

/// Whether one of the messages of an SEI unit is a recovery point. Types and sizes are sums of bytes
/// up to one that is not 255 (section 7.3.2.3.1).
fn recovers(mut body: &[u8]) -> bool {
    let sum = |body: &mut &[u8]| {
        let mut sum = 0;
        loop {
            let (byte, rest) = body.split_first()?;
            *body = rest;
            sum += usize::from(*byte);
            if *byte != 255 {
                return Some(sum);
            }
        }
    };
    loop {
        // The last byte holds the stop bit.
        if body.len() < 2 {
            return false;
        }
        let (Some(kind), Some(size)) = (sum(&mut body), sum(&mut body)) else {
            return false;
        };
        if kind == usize::from(RECOVERY_POINT) {
            return true;
        }
        let Some(rest) = body.get(size..) else {
            return false;
        };
        body = rest;
    }
}

/// The last bytes of an unfinished fragment, which what follows could go on from.
#[derive(Debug, Default, Clone)]
pub(super) struct Fragment {
    tail: Vec<u8>,
}

/// What begins a unit in a byte stream (annex B). No unit has it within (emulation prevention), but
/// a decoder that is given one all the same takes it for what it is.
const START_CODE: [u8; 3] = [0, 0, 1];

/// What a payload asks of a decoder; `None` if a parameter set in it cannot be read. `fragment` is
/// what is known of the payload before.
pub(super) fn demand(payload: &[u8], fragment: &mut Fragment) -> Option<Demand> {
    let mut demand = Demand::default();
    let before = std::mem::take(&mut fragment.tail);
    match payload {
        [] => {}
        [first, rest @ ..] if first & 0x1f == NAL_STAP_A => {
            for unit in depayloaded_units(rest) {
                demand.add_units(unit)?;
            }
        }
        [first, header, rest @ ..] if first & 0x1f == NAL_FU_A => {
            let is_first = header & 0x80 != 0;
            let (kind, before) = match is_first {
                true => (header & 0x1f, [0xff, header & 0x1f].to_vec()),
                false => (0, before),
            };
            if is_first {
                demand.add_unit(kind, rest, Whole::No)?;
            }
            // One that begins in the fragment before.
            let seam = [&before, rest.get(..START_CODE.len() - 1).unwrap_or(rest)].concat();
            if start_code(&seam).is_some() {
                return None;
            }
            if let Some(at) = start_code(rest) {
                demand.add_units(rest.get(at + START_CODE.len()..)?)?;
            }
            let joined = [&before, rest].concat();
            fragment.tail = joined.get(joined.len().saturating_sub(2)..)?.to_vec();
        }
        unit => demand.add_units(unit)?,
    }
    Some(demand)
}

/// Whether all of a unit is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Yes,
    No,
}

impl Demand {
    /// Adds a unit, and those that follow it behind start codes.
    fn add_units(&mut self, bytes: &[u8]) -> Option<()> {
        let mut rest = bytes;
        loop {
            let end = start_code(rest);
            let (header, body) = rest.get(..end.unwrap_or(rest.len()))?.split_first()?;
            self.add_unit(header & 0x1f, body, Whole::Yes)?;
            match end {
                Some(end) => rest = rest.get(end + START_CODE.len()..)?,
                None => return Some(()),
            }
        }
    }

    /// Adds a unit of this type. `None` if it is a parameter set that cannot be read.
    fn add_unit(&mut self, kind: u8, body: &[u8], whole: Whole) -> Option<()> {
        match kind {
            NAL_SPS if whole == Whole::Yes => {
                self.areas.push(h264_sps::coded_area(body)?);
            }
            NAL_SPS | NAL_SUBSET_SPS => return None,
            // As in `starts`.
            NAL_SLICE | NAL_PARTITION | NAL_IDR
                if body.first().is_some_and(|byte| byte & 0x80 != 0) =>
            {
                self.pictures.push(ONLY);
            }
            _ => {}
        }
        Some(())
    }
}

/// The units of a STAP-A as GStreamer's depayloader takes them: the last one is as long as there is
/// something left, whatever size it says.
fn depayloaded_units(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (size, behind) = rest.split_first_chunk::<2>()?;
        let size = usize::from(u16::from_be_bytes(*size)).min(behind.len());
        let (unit, after) = behind.split_at_checked(size)?;
        rest = after;
        Some(unit)
    })
    .filter(|unit| !unit.is_empty())
}

/// Where the first start code is.
fn start_code(bytes: &[u8]) -> Option<usize> {
    let mut end = 2;
    loop {
        match bytes.get(end)? {
            0 => end += 1,
            1 if bytes.get(end - 2..end) == Some(&[0, 0]) => return Some(end - 2),
            // No start code has this byte, or another one before its end.
            _ => end += 3,
        }
    }
}
