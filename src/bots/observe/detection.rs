//! What was seen and heard of a participant, as values; pure.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::probe::color::Patch;
use crate::id::ParticipantId;

/// By which path media of a participant reaches a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// In the server's mix: the composite and the mixed audio.
    Mix,
    /// On a forward m-line: the server passed packets on.
    Forward,
    /// From the participant directly, in mode `p2p`.
    Mesh,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mix => "mix",
            Self::Forward => "forward",
            Self::Mesh => "mesh",
        })
    }
}

/// Error of a colour ([`Patch::error`]) below which it counts as the colour asked for. Any two
/// colours of [`super::palette`] are at least three times as far apart.
const COLOR_ERROR: f64 = 12.0;

/// A decoded frame of a participant, or of their tile in a composite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// When it came out of the decoder, on the machine's clock.
    pub at: Duration,
    /// The path by which it came.
    pub path: Path,
    /// The colours it may have. Only in a mix whose tiles have just changed is there a second one:
    /// that at the place of the former tile.
    pub colors: [Option<Patch>; 2],
    /// False if it may belong to somebody else: a mix that may not show the newest tiles yet, or a
    /// frame that may be of the former owner of its stream.
    pub settled: bool,
    /// False if its time code is that of the frame before: the picture is frozen. True without time
    /// codes.
    pub fresh: bool,
    /// Its age when it was decoded, if it has a time code.
    pub age: Option<Duration>,
    /// Whether the page would have shown it: always, but for frames of a mesh that is not played
    /// yet.
    pub played: bool,
}

impl Detection {
    /// Whether it has a colour, R'G'B'.
    pub fn is(&self, rgb: [u8; 3]) -> bool {
        let mut colors = self.colors.iter().flatten();
        colors.any(|patch| patch.error(rgb) < COLOR_ERROR)
    }
}

/// A window of 20 ms of decoded sound, and the tones in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundDetection {
    /// When it is played, by its timestamp, on the machine's clock.
    pub start: Duration,
    /// How long the window is.
    pub length: Duration,
    /// The tones in it: bit `i` stands for the tone of the `i`-th person of [`super::palette`].
    pub tones: u32,
    /// The path it came by, and whose it is said to be.
    pub origin: Origin,
    /// Whether the page would have played it: always, but for sound of a mesh that is not played
    /// yet.
    pub played: bool,
}

/// Where a piece of sound came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The path by which it came.
    pub path: Path,
    /// The participant whose it is said to be; `None` in a mix.
    pub from: Option<ParticipantId>,
    /// False just after the stream went over to another participant. An Opus decoder predicts the
    /// energy of each band from the frame before (RFC 6716 section 4.3.2.1), so that the former
    /// participant is heard for some frames, fading, beside the new one.
    pub settled: bool,
}

/// Whose a frame is, by the CSRC of its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contributor {
    /// `None` if packets do not say, and in a mix.
    pub(crate) who: Option<ParticipantId>,
    /// False if it may as well be of the former owner of the slot.
    pub(crate) settled: bool,
}

impl Contributor {
    /// The one participant that an m-line always carries, or none of a mix.
    pub(crate) fn always(who: Option<ParticipantId>) -> Self {
        Self { who, settled: true }
    }
}

/// A time during which something was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When it began, on the machine's clock.
    pub start: Duration,
    /// How long it was.
    pub length: Duration,
}

/// How a participant was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// By their colour.
    Seen,
    /// By their tone.
    Heard,
}

/// A participant who was seen or heard under the name of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixup {
    /// Whether seen or heard.
    pub sense: Sense,
    /// When, on the machine's clock.
    pub at: Duration,
    /// The path by which it came.
    pub path: Path,
    /// The participant under whose name it came.
    pub name: ParticipantId,
    /// Who it was instead: the index into the people that
    /// [`mixups`](super::observer::Observer::mixups) was asked about.
    pub was: usize,
}

/// The longest part of `during` that none of `spans` covers.
pub(crate) fn longest_gap(mut spans: Vec<Range<Duration>>, during: Range<Duration>) -> Gap {
    spans.sort_unstable_by_key(|span| span.start);
    let mut longest = Gap {
        start: during.start,
        length: Duration::ZERO,
    };
    let mut covered = during.start;
    let end = during.end..during.end;
    for span in spans.into_iter().chain([end]) {
        let length = span.start.min(during.end).saturating_sub(covered);
        if length > longest.length {
            longest = Gap {
                start: covered,
                length,
            };
        }
        covered = covered.max(span.end);
    }
    longest
}
