//! An encoding that runs: of the composite, in a pipeline of its own, or of a mix, on the thread that
//! mixes.

use std::sync::Arc;

use super::audio::encoder::EncoderSettings;
use super::rendition::Rendition;
use crate::media::bwe::fec::Fec;
use crate::media::stream::tap::Tap;

/// One encoding of the composite or of a mix. Dropping it ends it, a mix once the sound mixer lets go
/// of its encoder.
#[derive(Debug)]
pub(crate) enum Encoding {
    Picture(Rendition),
    Sound {
        tap: Tap,
        settings: Arc<EncoderSettings>,
    },
}

impl Encoding {
    /// The tap that the encoded packets leave by.
    pub(crate) fn tap(&self) -> &Tap {
        match self {
            Self::Picture(rendition) => rendition.tap(),
            Self::Sound { tap, .. } => tap,
        }
    }

    /// Encodes at `bitrate` bit/s from the next frame or block on.
    pub(crate) fn set_bitrate(&self, bitrate: u32) {
        match self {
            Self::Picture(rendition) => rendition.set_bitrate(bitrate),
            Self::Sound { settings, .. } => settings.set_bitrate(bitrate),
        }
    }

    /// The bitrate in force, bit/s.
    pub(crate) fn bitrate(&self) -> u32 {
        match self {
            Self::Picture(rendition) => rendition.bitrate(),
            Self::Sound { settings, .. } => settings.bitrate(),
        }
    }

    /// Switches forward error correction from the next packet on, of sound.
    pub(crate) fn set_fec(&self, fec: Fec) {
        if let Self::Sound { settings, .. } = self {
            settings.set_fec(fec);
        }
    }

    /// The forward error correction in force; none for pictures.
    pub(crate) fn fec(&self) -> Fec {
        match self {
            Self::Picture(_) => Fec::Off,
            Self::Sound { settings, .. } => settings.fec(),
        }
    }
}
