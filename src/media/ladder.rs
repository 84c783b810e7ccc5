//! The ladder of renditions: in which sizes, at which rates and bitrates the composite of a canvas
//! is encoded; pure. What is on it stands in `pipelines/renditions.toml`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::layout::Size;

/// A rung of a [`Ladder`], counted from the top.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Rung(pub u8);

impl Rung {
    /// The best: the canvas itself.
    pub const TOP: Self = Self(0);

    /// The next one below.
    #[must_use]
    pub fn below(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// How often a rung has a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// So many a second.
    Fps(u32),
    /// A picture that stands for so long, each one whole.
    Still(Duration),
}

impl Pace {
    /// Frames a second.
    pub fn fps(self) -> f64 {
        match self {
            Self::Fps(fps) => f64::from(fps),
            Self::Still(every) => every.as_secs_f64().recip(),
        }
    }
}

/// What a rung is encoded at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RungSpec {
    /// Pixels, even numbers, in the canvas's proportions.
    pub size: Size,
    /// Frames.
    pub pace: Pace,
    /// bit/s below which the size is not worth having.
    pub least: u32,
    /// bit/s above which nothing is gained.
    pub most: u32,
}

impl RungSpec {
    /// `bitrate` as far as it lies within the range.
    pub fn clamp(&self, bitrate: u32) -> u32 {
        bitrate.clamp(self.least, self.most)
    }
}

/// Why a text is no ladder.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LadderError {
    /// Not TOML, or another shape.
    #[error("{0}")]
    Syntax(String),
    /// A value that makes no sense.
    #[error("{what} cannot be {value}: {allowed}")]
    Value {
        /// Which entry.
        what: String,
        /// What it is.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
}

/// The text of a ladder, checked: what an operator wrote, for any canvas.
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

/// Nothing but the canvas and a still.
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
    let size = text.split_once('x').and_then(|(width, height)| {
        let width = width.parse().ok()?;
        let height = height.parse().ok()?;
        Some(Size { width, height })
    });
    size.ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no size such as 640x360")))
}

impl Renditions {
    /// Reads and checks a ladder.
    ///
    /// # Errors
    /// [`LadderError`]; the text is meant for the operator.
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

/// What a viewer asks for at most, whatever their link can carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// bit/s, sound and picture together.
    pub max_bitrate: Option<u32>,
    /// Pixels.
    pub max_height: Option<u32>,
    /// Sound, and a still picture now and then.
    pub audio_only: bool,
}

impl Limits {
    /// Whether a rung is within them, beside sound of `audio` bit/s.
    fn allow(&self, spec: &RungSpec, audio: u32) -> bool {
        let whole = spec.most.saturating_add(audio);
        !self.audio_only
            && self.max_bitrate.is_none_or(|max| whole <= max)
            && self.max_height.is_none_or(|max| spec.size.height <= max)
    }
}

/// The rungs there are for one canvas, the best first: at least the canvas itself and the still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    rungs: Vec<RungSpec>,
}

impl Ladder {
    /// The ladder of a canvas of that size, frames and bit/s.
    pub fn new(renditions: &Renditions, canvas: Size, fps: u32, bitrate: u32) -> Self {
        let named = renditions.rung.iter();
        let same = named
            .clone()
            .find(|rung| within(canvas, rung.size) == canvas);
        let least = same.map_or(bitrate / 5 * 3, |rung| rung.bitrate[0]);
        let mut rungs = vec![RungSpec {
            size: canvas,
            pace: Pace::Fps(fps),
            least: least.min(bitrate),
            most: bitrate,
        }];
        for rung in named {
            let [least, most] = rung.bitrate;
            let size = within(canvas, rung.size);
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
            size: within(canvas, still.size),
            pace: Pace::Still(Duration::from_secs(still.every.into())),
            least: still.bitrate,
            most: still.bitrate,
        });
        Self { rungs }
    }

    /// What a rung is, if it is one of this ladder.
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

    /// The best rung within `limits`, beside sound of `audio` bit/s; the still if there is none.
    pub fn best(&self, limits: &Limits, audio: u32) -> Rung {
        let mut rungs = self.rungs();
        let allowed = rungs.find(|(_, spec)| limits.allow(spec, audio));
        allowed.map_or(self.still(), |(rung, _)| rung)
    }

    /// The last rung: sound and a still picture.
    pub fn still(&self) -> Rung {
        Rung(u8::try_from(self.rungs.len() - 1).unwrap_or(u8::MAX))
    }
}

/// `canvas` scaled down into `area`, turned with it, its proportions kept as well as even numbers
/// allow. A canvas that fits is left as it is.
fn within(canvas: Size, area: Size) -> Size {
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::media::template::Templates;

    fn ladder(width: u32, height: u32, bitrate: u32) -> Ladder {
        let canvas = Size { width, height };
        Templates::default().ladder(canvas, 30, bitrate)
    }

    fn sizes(ladder: &Ladder) -> Vec<(u32, u32)> {
        let rungs = ladder.rungs();
        rungs.map(|(_, r)| (r.size.width, r.size.height)).collect()
    }

    #[test]
    fn the_default_ladder_is_that_of_the_default_canvas() {
        let ladder = ladder(1280, 720, 1_500_000);
        let expected = [
            (1280, 720),
            (960, 540),
            (640, 360),
            (480, 270),
            (320, 180),
            (320, 180),
        ];
        assert_eq!(sizes(&ladder), expected);
        let bitrates: Vec<_> = ladder.rungs().map(|(_, r)| (r.least, r.most)).collect();
        assert_eq!(bitrates[0], (800_000, 1_500_000));
        assert!(bitrates.windows(2).all(|pair| pair[1].1 <= pair[0].1));
        // Who climbs to a rung has shown on the one below that their link carries it.
        let moving = &bitrates[..5];
        assert!(
            moving
                .windows(2)
                .all(|pair| pair[1].1 >= pair[0].0 / 100 * 112)
        );
        let still = ladder.spec(ladder.still()).unwrap();
        assert_eq!(still.pace, Pace::Still(Duration::from_secs(5)));
        assert_eq!(ladder.spec(ladder.still().below()), None);
        assert_eq!(ladder.spec(Rung(3)).unwrap().pace, Pace::Fps(20));
    }

    #[test]
    fn other_canvases_keep_their_proportions() {
        let upright = sizes(&ladder(720, 1280, 1_500_000));
        assert_eq!(upright[..3], [(720, 1280), (540, 960), (360, 640)]);
        let square = sizes(&ladder(600, 600, 1_500_000));
        assert_eq!(square[..3], [(600, 600), (540, 540), (360, 360)]);
        let large = sizes(&ladder(1920, 1080, 4_000_000));
        assert_eq!(large[..3], [(1920, 1080), (1280, 720), (960, 540)]);
    }

    #[test]
    fn a_small_or_cheap_canvas_has_fewer_rungs() {
        let small = ladder(320, 180, 300_000);
        assert_eq!(sizes(&small), [(320, 180), (320, 180)], "itself and still");
        // 960x540 would cost more than the canvas may.
        let cheap = sizes(&ladder(1280, 720, 800_000));
        assert_eq!(cheap[..2], [(1280, 720), (640, 360)]);
        let tiny = sizes(&ladder(160, 90, 300_000));
        assert_eq!(tiny, [(160, 90), (160, 90)]);
    }

    #[test]
    fn limits_choose_the_best_rung_within_them() {
        let ladder = ladder(1280, 720, 1_500_000);
        let none = Limits::default();
        let height = |max| Limits {
            max_height: Some(max),
            ..none
        };
        let bitrate = |max| Limits {
            max_bitrate: Some(max),
            ..none
        };
        let audio_only = Limits {
            audio_only: true,
            ..none
        };
        for (limits, rung) in [
            (none, 0),
            (height(720), 0),
            (height(719), 1),
            (height(360), 2),
            (height(100), 5),
            (bitrate(1_540_000), 0),
            (bitrate(1_539_999), 1),
            (bitrate(300_000), 3),
            (bitrate(0), 5),
            (audio_only, 5),
        ] {
            assert_eq!(ladder.best(&limits, 40_000), Rung(rung), "{limits:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let text = include_str!("../../pipelines/renditions.toml");
        for (from, to, says) in [
            ("fps = 20", "fps = 0", "fps of rung 4 cannot be 0"),
            ("640x360", "640", "is no size"),
            (
                "[220_000, 500_000]",
                "[500_000, 220_000]",
                "bitrate of rung 3",
            ),
            ("every = 5", "every = 0", "every of still"),
            ("every = 5", "often = 5", "unknown field"),
        ] {
            let error = Renditions::parse(&text.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(says), "{to}: {error}");
        }
    }
}
