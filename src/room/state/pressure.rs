//! What a room saves on while the server is overloaded: first the frame rate of the composite, then
//! its size, then the number of sizes in which it is encoded; pure.

use std::collections::BTreeMap;

use super::State;
use super::delivery_path::MediaKind;
use crate::admission::Pressure;
use crate::codec::VideoCodec;
use crate::media::bwe::ladder::Rung;
use crate::media::mixer::Output;
use crate::protocol::recording::RecordingId;

/// The encodings of the mixer that recordings need.
pub(crate) type RecordedOutputs = BTreeMap<(RecordingId, MediaKind), Output>;

/// Frame rate of a composite at an overload level, frames per second. `fps` is its frame rate
/// without overload.
pub(crate) fn fps(pressure: Pressure, fps: u32) -> u32 {
    let left = match pressure {
        Pressure::None => fps,
        Pressure::FrameRate => fps * 2 / 3,
        Pressure::HalfFrameRate | Pressure::Size | Pressure::Rungs => fps / 2,
    };
    left.max(1)
}

impl State {
    /// Frame rate of the composite now, 1/s. Senders are asked for the same.
    pub fn fps(&self) -> u32 {
        fps(self.pressure, self.settings.fps)
    }

    /// The overload level of the server. It decides how far composites are degraded.
    pub fn pressure(&self) -> Pressure {
        self.pressure
    }

    /// `rung`, or the best one below it that is not withheld. The still is never withheld, nor is a
    /// rung that is encoded for a recording anyway.
    pub(crate) fn permitted(
        &self,
        codec: VideoCodec,
        rung: Rung,
        recorded: &RecordedOutputs,
    ) -> Rung {
        let still = self.settings.ladder.still();
        let runs = |rung: Rung| {
            let output = Output::Video { codec, rung };
            recorded.values().any(|used| *used == output)
        };
        let mut below = self.settings.ladder.rungs().map(|(r, _)| r);
        let permitted = below.find(|r| *r >= rung && (!self.is_withheld(*r) || runs(*r)));
        permitted.unwrap_or(still)
    }

    /// Whether a rung is withheld to save CPU. The last moving one never is, so that every viewer
    /// keeps a moving picture.
    fn is_withheld(&self, rung: Rung) -> bool {
        let still = self.settings.ladder.still();
        let moving = rung < still;
        let is_last = rung.below() == still;
        let withheld = match self.pressure {
            Pressure::None | Pressure::FrameRate | Pressure::HalfFrameRate => false,
            Pressure::Size => rung == Rung::TOP,
            Pressure::Rungs => {
                rung == Rung::TOP || still.0.saturating_sub(rung.0).is_multiple_of(2)
            }
        };
        moving && !is_last && withheld
    }
}
