//! Where the tiles of a composite stand: `(canvas, people, kind) -> tiles`; pure.
//!
//! [`large`] is the rule of which tile is the large one, if any, [`DominantSpeaker`] of whom the voice
//! makes it. The page has the same rule; both are tested with `tests/data/scenes.json`.
//!
//! All lengths are pixels with an aspect ratio of 1:1. Tiles have the proportions of the
//! canvas, turned to landscape if the canvas is upright, because cameras are landscape.

mod dominant;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use dominant::DominantSpeaker;

use crate::id::{ParticipantId, Role, SourceId};

/// How tiles are arranged on the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum LayoutKind {
    /// Equal tiles, as large as possible; while a screen is shared, that one large and the others beside it.
    Grid,
    /// One large tile (pinned, else a shared screen, else the dominant speaker), the others in a strip.
    Spotlight,
}

impl LayoutKind {
    /// The layout's name on the wire and in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Spotlight => "spotlight",
        }
    }
}

/// Why a text is not a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a layout is grid or spotlight")]
pub struct BadLayout;

impl FromStr for LayoutKind {
    type Err = BadLayout;

    fn from_str(text: &str) -> Result<Self, BadLayout> {
        let mut all = [Self::Grid, Self::Spotlight].into_iter();
        all.find(|kind| kind.as_str() == text).ok_or(BadLayout)
    }
}

/// A width and a height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Size {
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Why a text is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a size is two numbers with an x between them, such as 640x360")]
pub struct BadSize;

/// Reads `WIDTHxHEIGHT`. Which sizes make sense depends on what they are for, and is checked there.
impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let (width, height) = text.split_once('x').ok_or(BadSize)?;
        Ok(Self {
            width: width.parse().map_err(|_| BadSize)?,
            height: height.parse().map_err(|_| BadSize)?,
        })
    }
}

/// A rectangle in pixels; every edge is even, so that I420 chroma lines up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rect {
    /// The left edge, pixels from the left.
    pub x: u32,
    /// The top edge, pixels from the top.
    pub y: u32,
    /// The width in pixels.
    pub w: u32,
    /// The height in pixels.
    pub h: u32,
}

/// How a picture of another aspect ratio is put in a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// All of the picture is shown, with bars.
    Contain,
    /// The tile is filled, and edges of the picture are cut off.
    Cover,
}

impl Fit {
    /// The fit's name on the wire and in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contain => "contain",
            Self::Cover => "cover",
        }
    }
}

/// Why a text is not a fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a fit is contain or cover")]
pub struct BadFit;

impl FromStr for Fit {
    type Err = BadFit;

    fn from_str(text: &str) -> Result<Self, BadFit> {
        let mut all = [Self::Contain, Self::Cover].into_iter();
        all.find(|fit| fit.as_str() == text).ok_or(BadFit)
    }
}

/// Most tiles of a grid without a shared screen; participants further down the list have none.
pub const MAX_GRID: usize = 25;

/// Most tiles in the strip beside the large tile of a spotlight. A strip is a fifth of the
/// canvas and tiles have its proportions, so that five of them fill it exactly.
pub const MAX_STRIP: usize = 5;

/// Most tiles beside the shared screen of a grid: two columns of them.
pub const MAX_BESIDE_SCREEN: usize = 20;

/// The fraction of the canvas's long side that the strip beside a large tile takes.
const STRIP_SHARE: u32 = 5;

/// Which of the tiles `shown` is the large one. In a grid that is the first shared screen, which nobody
/// could read otherwise, and `None` without one. In a spotlight it is the camera of the pinned participant,
/// else the first shared screen, else the camera of the dominant speaker, else the first tile. A pinned
/// participant or dominant speaker without a tile counts as none. `None` without tiles.
pub fn large(
    kind: LayoutKind,
    shown: &[SourceId],
    pinned: Option<ParticipantId>,
    speaker: Option<ParticipantId>,
) -> Option<usize> {
    let screen = || shown.iter().position(|source| source.is_screen());
    match kind {
        LayoutKind::Grid => screen(),
        LayoutKind::Spotlight => spotlight(shown, pinned, speaker),
    }
}

fn spotlight(
    shown: &[SourceId],
    pinned: Option<ParticipantId>,
    speaker: Option<ParticipantId>,
) -> Option<usize> {
    let camera_of = |participant| {
        let role = Role::Camera;
        let camera = SourceId { participant, role };
        shown.iter().position(|source| *source == camera)
    };
    pinned
        .and_then(camera_of)
        .or_else(|| shown.iter().position(|source| source.is_screen()))
        .or_else(|| speaker.and_then(camera_of))
        .or((!shown.is_empty()).then_some(0))
}

/// The rectangles of `people` participants on `canvas`: entry `i` belongs to person `i`,
/// and is `None` for a person without a tile (see [`MAX_GRID`], [`MAX_BESIDE_SCREEN`] and
/// [`MAX_STRIP`]).
///
/// Tiles have even edges, lie inside the canvas and touch without overlapping. In a grid all
/// have one size, the largest that any number of columns allows, and stand in the order of
/// reading, with every row centred. Where one tile is `large` it is at the left of a landscape canvas or
/// the top of an upright one, with at least half of the area of the former, and the first of the others are
/// in a strip of equal tiles on the opposite side. A spotlight has a large tile always: that of person 0 if
/// `large` is `None` or nobody.
///
/// A canvas too small for tiles of 2x2 pixels shows nobody.
pub fn tiles(
    canvas: Size,
    kind: LayoutKind,
    people: usize,
    large: Option<usize>,
) -> Vec<Option<Rect>> {
    let aspect = Aspect::of(canvas);
    let whole = Rect {
        x: 0,
        y: 0,
        w: even(canvas.width),
        h: even(canvas.height),
    };
    let large = large.filter(|large| *large < people);
    match (kind, large) {
        (LayoutKind::Grid, None) => {
            let shown = people.min(MAX_GRID);
            let mut all = pack(whole, aspect, shown);
            all.resize(people, None);
            all
        }
        (LayoutKind::Grid, Some(large)) => {
            stage_and_strip(whole, aspect, people, (large, MAX_BESIDE_SCREEN))
        }
        (LayoutKind::Spotlight, large) => {
            stage_and_strip(whole, aspect, people, (large.unwrap_or(0), MAX_STRIP))
        }
    }
}

/// A tile's proportions, always landscape.
#[derive(Debug, Clone, Copy)]
struct Aspect {
    long: u32,
    short: u32,
}

impl Aspect {
    fn of(canvas: Size) -> Self {
        Self {
            long: canvas.width.max(canvas.height).max(1),
            short: canvas.width.min(canvas.height).max(1),
        }
    }

    /// The largest tile of these proportions in a cell.
    ///
    /// What follows from the other dimension is rounded to the nearest even number and not
    /// down, so that three columns of 1280x720 are 426x240, the full height of the cell, and
    /// not 426x238.
    fn largest_in(self, width: u32, height: u32) -> Size {
        let height = even(height);
        let width = even(width).min(nearest_even(height, self.long, self.short));
        let height = height.min(nearest_even(width, self.short, self.long));
        Size { width, height }
    }
}

/// `count` equal tiles in `area`, as large as they can be.
fn pack(area: Rect, aspect: Aspect, count: usize) -> Vec<Option<Rect>> {
    // At most MAX_GRID, so it fits.
    let count = count as u32;
    // Among arrangements of one size the one with most columns wins: wide groups suit the eye
    // better than tall ones.
    let best = (1..=count)
        .map(|columns| {
            let rows = count.div_ceil(columns);
            let tile = aspect.largest_in(area.w / columns, area.h / rows);
            (
                u64::from(tile.width) * u64::from(tile.height),
                columns,
                tile,
            )
        })
        .max_by_key(|&(pixels, columns, _)| (pixels, columns));
    let Some((pixels, columns, tile)) = best else {
        return Vec::new();
    };
    if pixels == 0 {
        return vec![None; count as usize];
    }
    let top = area.y + even((area.h - count.div_ceil(columns) * tile.height) / 2);
    (0..count)
        .map(|i| {
            let (row, column) = (i / columns, i % columns);
            let in_row = columns.min(count - row * columns);
            let left = area.x + even((area.w - in_row * tile.width) / 2);
            Some(Rect {
                x: left + column * tile.width,
                y: top + row * tile.height,
                w: tile.width,
                h: tile.height,
            })
        })
        .collect()
}

/// The tiles where number `large` is the large one, and at most `most` are beside it.
fn stage_and_strip(
    whole: Rect,
    aspect: Aspect,
    people: usize,
    (large, most): (usize, usize),
) -> Vec<Option<Rect>> {
    if people < 2 {
        return pack(whole, aspect, people);
    }
    let (stage, strip) = split(whole);
    let mut stage = pack(stage, aspect, 1).into_iter();
    let mut strip = pack(strip, aspect, most.min(people - 1)).into_iter();
    (0..people)
        .map(|i| {
            let place = if i == large { &mut stage } else { &mut strip };
            place.next().flatten()
        })
        .collect()
}

/// The stage of a large tile and the strip beside it.
fn split(whole: Rect) -> (Rect, Rect) {
    if whole.w >= whole.h {
        let w = even(whole.w / STRIP_SHARE);
        let x = whole.w - w;
        (Rect { w: x, ..whole }, Rect { x, w, ..whole })
    } else {
        let h = even(whole.h / STRIP_SHARE);
        let y = whole.h - h;
        (Rect { h: y, ..whole }, Rect { y, h, ..whole })
    }
}

/// How a picture is cut, scaled and placed to stand in a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Placement {
    /// The part of the source that is shown, in source pixels. Its left and top are even; its
    /// size is odd only where the whole of an odd source is shown.
    pub crop: Rect,
    /// What the crop is scaled to: even, at least 2x2, no larger than the tile.
    pub scaled: Size,
    /// Left edge of the scaled picture, from the tile's left edge; even.
    pub x: u32,
    /// Top edge of the scaled picture, from the tile's top edge; even.
    pub y: u32,
}

/// Places a picture of `source` pixels in a tile of `tile` pixels, centred.
///
/// Neither changes the picture's proportions, but for rounding to even numbers. A tile is taken
/// to be at least 2x2 and a source at least 1x1, whatever is given.
pub fn fit(source: Size, tile: Size, fit: Fit) -> Placement {
    let source = Size {
        width: source.width.max(1),
        height: source.height.max(1),
    };
    let tile = Size {
        width: even(tile.width).max(2),
        height: even(tile.height).max(2),
    };
    let wider = u64::from(source.width) * u64::from(tile.height)
        >= u64::from(source.height) * u64::from(tile.width);
    match fit {
        Fit::Contain => contain(source, tile, wider),
        Fit::Cover => cover(source, tile, wider),
    }
}

fn contain(source: Size, tile: Size, wider: bool) -> Placement {
    let mut scaled = tile;
    if wider {
        let height = nearest_even(tile.width, source.height, source.width);
        scaled.height = height.clamp(2, tile.height);
    } else {
        let width = nearest_even(tile.height, source.width, source.height);
        scaled.width = width.clamp(2, tile.width);
    }
    Placement {
        crop: Rect {
            x: 0,
            y: 0,
            w: source.width,
            h: source.height,
        },
        scaled,
        x: even((tile.width - scaled.width) / 2),
        y: even((tile.height - scaled.height) / 2),
    }
}

fn cover(source: Size, tile: Size, wider: bool) -> Placement {
    let (mut w, mut h) = (source.width, source.height);
    // The bounds are applied in this order because a source may be 1 pixel wide.
    if wider {
        w = nearest_even(h, tile.width, tile.height).max(2).min(w);
    } else {
        h = nearest_even(w, tile.height, tile.width).max(2).min(h);
    }
    Placement {
        crop: Rect {
            x: even((source.width - w) / 2),
            y: even((source.height - h) / 2),
            w,
            h,
        },
        scaled: tile,
        x: 0,
        y: 0,
    }
}

/// `n` or the even number below it.
fn even(n: u32) -> u32 {
    n & !1
}

/// The even number nearest to `n * num / den`.
fn nearest_even(n: u32, num: u32, den: u32) -> u32 {
    let den = u64::from(den);
    let halves = (u64::from(n) * u64::from(num) + den) / (2 * den);
    u32::try_from(2 * halves).unwrap_or(u32::MAX - 1)
}

#[cfg(test)]
mod tests;
