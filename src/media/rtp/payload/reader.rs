//! Reads what the payloads of one stream ask of a decoder.

use super::demand::Demand;
use super::{h264, opus, vp8, vp9};
use crate::codec::Codec;

/// Reads the payloads of one stream of pictures, in their order.
#[derive(Debug, Clone)]
pub(crate) struct DemandReader {
    format: Codec,
    fragment: h264::Fragment,
}

impl DemandReader {
    /// For a stream of this codec.
    pub(crate) fn new(format: Codec) -> Self {
        Self {
            format,
            fragment: h264::Fragment::default(),
        }
    }

    /// What a payload asks; `None` if it cannot be told.
    pub(crate) fn read(&mut self, payload: &[u8]) -> Option<Demand> {
        match self.format {
            Codec::Vp8 => vp8::demand(payload),
            Codec::Vp9 => vp9::demand(payload),
            Codec::H264 => h264::demand(payload, &mut self.fragment),
            Codec::Opus => Some(Demand::default()),
        }
    }
}

/// Samples at 48 kHz that a packet of Opus is decoded to.
pub(crate) fn samples(payload: &[u8]) -> u32 {
    opus::samples(payload)
}

/// Whether a packet of Opus says itself that nothing is heard in it.
pub(crate) fn is_silence(payload: &[u8]) -> bool {
    opus::is_silence(payload)
}

/// Sizes of the pictures that a unit of H.264 describes outside of a stream (`sprop-parameter-sets`,
/// RFC 6184 section 8.1), pixels; `None` if they cannot be told.
pub(crate) fn described(unit: &[u8]) -> Option<Vec<u32>> {
    let demand = h264::demand(unit, &mut h264::Fragment::default())?;
    Some(demand.areas.into_iter().map(|(_, area)| area).collect())
}

#[cfg(test)]
mod tests;
