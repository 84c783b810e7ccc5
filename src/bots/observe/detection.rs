//! What can be seen and heard of a participant, as values.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::probe::color::Patch;
use crate::id::ParticipantId;

/// By which way media comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// In the mix.
    Mix,
    /// In a forward m-line.
    Forward,
    /// From the participant directly.
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

/// The largest error of a colour that is the one it should be; any two of [`super::palette`] are at
/// least three times as far apart.
const COLOR_ERROR: f64 = 12.0;

/// A frame of a participant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// When it came out of the decoder.
    pub at: Duration,
    /// By which way.
    pub path: Path,
    /// The colours it may have: in a mix whose tiles have just changed that of the tile of
    /// before, too.
    pub colors: [Option<Patch>; 2],
    /// False for a mix that may not show yet what the tiles say, and for a frame that may as well be
    /// of whoever had its stream before.
    pub settled: bool,
    /// False for a frame with the same time code as the one before.
    pub fresh: bool,
    /// How old it is, where it has a time code.
    pub age: Option<Duration>,
    /// Whether the bot, if it were a page, would have shown it.
    pub played: bool,
}

impl Detection {
    /// Whether it is of a colour.
    pub fn is(&self, rgb: [u8; 3]) -> bool {
        let mut colors = self.colors.iter().flatten();
        colors.any(|patch| patch.error(rgb) < COLOR_ERROR)
    }
}

/// A piece of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundDetection {
    /// When it began.
    pub start: Duration,
    /// How long it is.
    pub length: Duration,
    /// The tones in it: bit `i` is that of the `i`-th person of [`super::palette`].
    pub tones: u32,
    /// Where it came from.
    pub origin: Origin,
    /// Whether the bot, if it were a page, would have played it.
    pub played: bool,
}

/// Where a piece of sound came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// By which way it came.
    pub path: Path,
    /// Whose it is said to be; `None` in a mix.
    pub from: Option<ParticipantId>,
    /// False for what was decoded just after somebody else's in the same stream. An Opus decoder
    /// foretells the energy of each band from the frame before (RFC 6716 section 4.3.2.1), so that
    /// what it remembers of the other is heard for some frames, fading, beside whoever it is.
    pub settled: bool,
}

/// Whose a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contributor {
    /// `None` where packets do not say, and in a mix.
    pub(crate) who: Option<ParticipantId>,
    /// False where it may as well be whoever had the slot before.
    pub(crate) settled: bool,
}

impl Contributor {
    /// Of one whom the m-line has always.
    pub(crate) fn always(who: Option<ParticipantId>) -> Self {
        Self { who, settled: true }
    }
}

/// A time during which something was not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When it began.
    pub start: Duration,
    /// How long it was.
    pub length: Duration,
}

/// How somebody is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// By their colour.
    Seen,
    /// By their tone.
    Heard,
}

/// Somebody seen or heard under another's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixup {
    /// How.
    pub sense: Sense,
    /// When.
    pub at: Duration,
    /// By which way.
    pub path: Path,
    /// Under whose name.
    pub name: ParticipantId,
    /// Who it was: the place in what was asked.
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
