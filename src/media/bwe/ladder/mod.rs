//! The ladder of renditions (in adaptive streaming: the bitrate ladder): in which sizes, frame
//! rates and bitrates the composite of a canvas is encoded; pure. `pipelines/renditions.toml` lists
//! them.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use thiserror::Error;

use crate::layout::Size;
use crate::protocol::room::Limits;
pub use crate::protocol::room::Rung;

/// How often a rung has a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A moving picture of so many frames a second.
    Fps(u32),
    /// A still picture every so often, each one a keyframe.
    Still(Duration),
}

impl Pace {
    /// Frames a second; less than one for a still.
    pub fn fps(self) -> f64 {
        match self {
            Self::Fps(fps) => f64::from(fps),
            Self::Still(every) => every.as_secs_f64().recip(),
        }
    }
}

/// What a rung is encoded at: one rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RungSpec {
    /// Pixels, even numbers, in the canvas's proportions.
    pub size: Size,
    /// Its frame rate, or the time between two stills.
    pub pace: Pace,
    /// Lowest bitrate, bit/s; below it a smaller size looks better.
    pub least: u32,
    /// Highest bitrate, bit/s; above it nothing is gained.
    pub most: u32,
}

impl RungSpec {
    /// `bitrate`, moved into the range from [`Self::least`] to [`Self::most`].
    pub fn clamp(&self, bitrate: u32) -> u32 {
        bitrate.clamp(self.least, self.most)
    }
}

/// Why a text is no list of renditions.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LadderError {
    /// The text is not TOML, or has other fields.
    #[error("{0}")]
    Syntax(String),
    /// A field has a value that makes no sense.
    #[error("{what} cannot be {value}: {allowed}")]
    Value {
        /// The field, in words.
        what: String,
        /// The value it has.
        value: String,
        /// The values it may have, in words.
        allowed: &'static str,
    },
}

/// The renditions that an operator listed, checked. They make a [`Ladder`] with a canvas.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renditions {
    rung: Vec<RungText>,
    still: StillText,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RungText {
    #[serde(deserialize_with = "size")]
    size: Size,
    fps: u32,
    bitrate: [u32; 2],
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct StillText {
    #[serde(deserialize_with = "size")]
    size: Size,
    every: u32,
    bitrate: u32,
}

/// No renditions but the canvas itself and a still of 320x180.
impl Default for Renditions {
    fn default() -> Self {
        let size = Size {
            width: 320,
            height: 180,
        };
        let still = StillText {
            size,
            every: 5,
            bitrate: 8_000,
        };
        Self {
            rung: Vec::new(),
            still,
        }
    }
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Size, D::Error> {
    let text = String::deserialize(from)?;
    let refused = |_| serde::de::Error::custom(format!("{text:?} is no size such as 640x360"));
    text.parse().map_err(refused)
}

impl Renditions {
    /// Reads and checks a list of renditions, in TOML.
    ///
    /// # Errors
    /// [`LadderError`]; its text is meant for the operator.
    pub fn parse(text: &str) -> Result<Self, LadderError> {
        let renditions: Self =
            toml::from_str(text).map_err(|error| LadderError::Syntax(error.to_string()))?;
        for (n, rung) in renditions.rung.iter().enumerate() {
            let what = |field: &str| format!("{field} of rung {}", n + 1);
            check_size(what("size"), rung.size)?;
            check(what("fps"), rung.fps, 1..=60, "it goes from 1 to 60")?;
            let [least, most] = rung.bitrate;
            let allowed = "the least and the most, from 10000 to 50000000 bit/s";
            check(what("bitrate"), least, 10_000..=most, allowed)?;
            check(what("bitrate"), most, least..=50_000_000, allowed)?;
        }
        let StillText {
            size,
            every,
            bitrate,
        } = renditions.still;
        check_size("size of still".into(), size)?;
        let allowed = "it goes from 1 to 60 seconds";
        check("every of still".into(), every, 1..=60, allowed)?;
        let allowed = "it goes from 1000 to 1000000 bit/s";
        check(
            "bitrate of still".into(),
            bitrate,
            1000..=1_000_000,
            allowed,
        )?;
        Ok(renditions)
    }
}

fn check(
    what: String,
    value: u32,
    range: std::ops::RangeInclusive<u32>,
    allowed: &'static str,
) -> Result<(), LadderError> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(LadderError::Value {
            what,
            value: value.to_string(),
            allowed,
        }),
    }
}

fn check_size(what: String, size: Size) -> Result<(), LadderError> {
    match (64..=3840).contains(&size.width) && (36..=2160).contains(&size.height) {
        true => Ok(()),
        false => Err(LadderError::Value {
            what,
            value: format!("{}x{}", size.width, size.height),
            allowed: "it goes from 64x36 to 3840x2160",
        }),
    }
}

/// Whether a rung is within a viewer's limits, beside sound of `audio` bit/s.
fn is_within(limits: &Limits, spec: &RungSpec, audio: u32) -> bool {
    let whole = spec.most.saturating_add(audio);
    !limits.audio_only
        && limits.max_bitrate.is_none_or(|max| whole <= max)
        && limits.max_height.is_none_or(|max| spec.size.height <= max)
}

/// The renditions of one canvas, the best first: at least the canvas itself and the still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    rungs: Vec<RungSpec>,
}

impl Ladder {
    /// The ladder of a canvas of a size, frames a second and bit/s. Renditions that are not smaller
    /// and cheaper than the rung above are left out.
    pub(crate) fn new(renditions: &Renditions, canvas: Size, fps: u32, bitrate: u32) -> Self {
        let named = renditions.rung.iter();
        let same = named
            .clone()
            .find(|rung| scaled_down(canvas, rung.size) == canvas);
        let least = same.map_or(bitrate / 5 * 3, |rung| rung.bitrate[0]);
        let mut rungs = vec![RungSpec {
            size: canvas,
            pace: Pace::Fps(fps),
            least: least.min(bitrate),
            most: bitrate,
        }];
        for rung in named {
            let [least, most] = rung.bitrate;
            let size = scaled_down(canvas, rung.size);
            let above = rungs.last().map_or((canvas, bitrate), |r| (r.size, r.most));
            if size.width < above.0.width && size.height < above.0.height && most < above.1 {
                rungs.push(RungSpec {
                    size,
                    pace: Pace::Fps(rung.fps.min(fps)),
                    least,
                    most,
                });
            }
        }
        let still = &renditions.still;
        rungs.push(RungSpec {
            size: scaled_down(canvas, still.size),
            pace: Pace::Still(Duration::from_secs(still.every.into())),
            least: still.bitrate,
            most: still.bitrate,
        });
        Self { rungs }
    }

    /// What a rung is encoded at; `None` below the still.
    pub fn spec(&self, rung: Rung) -> Option<&RungSpec> {
        self.rungs.get(usize::from(rung.0))
    }

    /// All rungs, the best first.
    pub fn rungs(&self) -> impl DoubleEndedIterator<Item = (Rung, &RungSpec)> {
        // There are a handful.
        (0..)
            .map(Rung)
            .zip(&self.rungs)
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The best rung within `limits`, beside sound of `audio` bit/s; the still if none is.
    pub(crate) fn best(&self, limits: &Limits, audio: u32) -> Rung {
        let mut rungs = self.rungs();
        let allowed = rungs.find(|(_, spec)| is_within(limits, spec, audio));
        allowed.map_or(self.still(), |(rung, _)| rung)
    }

    /// The lowest rung: a whole picture every few seconds.
    pub fn still(&self) -> Rung {
        Rung(u8::try_from(self.rungs.len() - 1).unwrap_or(u8::MAX))
    }
}

/// The size of a canvas scaled down into `area`, with its proportions kept as well as even numbers
/// allow. The area is turned upright for an upright canvas. A canvas that fits keeps its size.
fn scaled_down(canvas: Size, area: Size) -> Size {
    let (long, short) = (area.width.max(area.height), area.width.min(area.height));
    let (width, height) = match canvas.width >= canvas.height {
        true => (long, short),
        false => (short, long),
    };
    if canvas.width <= width && canvas.height <= height {
        return canvas;
    }
    let even = |n: u64| u32::try_from(((n + 1) & !1).max(2)).unwrap_or(u32::MAX);
    let wide = u64::from(canvas.width);
    let high = u64::from(canvas.height);
    // Which edge meets the area's first.
    match wide * u64::from(height) >= high * u64::from(width) {
        true => Size {
            width: width & !1,
            height: even((high * u64::from(width) + wide / 2) / wide),
        },
        false => Size {
            width: even((wide * u64::from(height) + high / 2) / high),
            height: height & !1,
        },
    }
}

#[cfg(test)]
mod tests;
