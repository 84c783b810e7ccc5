//! What a mixer produces, as values that the room's state can compare.

use crate::codec::VideoCodec;
use crate::id::ParticipantId;
use crate::media::bwe::ladder::Rung;

/// An encoding that a mixer produces. Each is encoded once for all who get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Output {
    /// The composite picture, encoded in one way.
    Video {
        /// The codec it is encoded with.
        codec: VideoCodec,
        /// The rung of the ladder that says its size, frame rate and bitrates.
        rung: Rung,
    },
    /// The mixed sound, without the voice of whoever hears it (mix-minus, N-1).
    Sound(MixMinus),
}

/// Whose voice a mix leaves out (mix-minus, N-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MixMinus {
    /// Nobody's: the mix of all who are heard, for those who are silent.
    Nobody,
    /// The voice of this participant, who hears this mix while speaking.
    Participant(ParticipantId),
}
