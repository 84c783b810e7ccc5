//! Where the tiles of a composite are: `(canvas, people, kind) -> tiles`; pure.
//!
//! All lengths are pixels with an aspect ratio of 1:1. Tiles have the proportions of the
//! canvas, turned to landscape if the canvas is upright, because cameras are landscape.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How tiles are arranged on the canvas. Its text is its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayoutKind {
    /// Tiles of one size, as large as fit.
    Grid,
    /// One large tile (pinned, else a shared screen, else the last speaker), the others in a strip.
    Spotlight,
}

impl fmt::Display for LayoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grid => "grid",
            Self::Spotlight => "spotlight",
        })
    }
}

/// A text that is not the name of a [`LayoutKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a layout is grid or spotlight")]
pub struct BadLayout;

impl FromStr for LayoutKind {
    type Err = BadLayout;

    fn from_str(text: &str) -> Result<Self, BadLayout> {
        match text {
            "grid" => Ok(Self::Grid),
            "spotlight" => Ok(Self::Spotlight),
            _ => Err(BadLayout),
        }
    }
}

/// The size of a picture in pixels, as text `1280x720`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A text that is not a [`Size`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a size is a width and a height with an x between them, such as 1280x720")]
pub struct BadSize;

impl FromStr for Size {
    type Err = BadSize;

    /// Reads any width and height; spaces around either are ignored.
    fn from_str(text: &str) -> Result<Self, BadSize> {
        let (width, height) = text.split_once('x').ok_or(BadSize)?;
        let pixels = |side: &str| side.trim().parse().map_err(|_| BadSize);
        Ok(Self {
            width: pixels(width)?,
            height: pixels(height)?,
        })
    }
}

/// A rectangle in pixels. Its edges are even numbers, so that the chroma samples of I420 line up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rect {
    /// Distance of the left edge from that of the canvas.
    pub x: u32,
    /// Distance of the top edge from that of the canvas.
    pub y: u32,
    /// Width in pixels.
    pub w: u32,
    /// Height in pixels.
    pub h: u32,
}

/// How a picture of another aspect ratio is put in a tile. Its text is its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The whole picture is shown, with bars beside it.
    Contain,
    /// The picture fills the tile, and its edges are cut off.
    Cover,
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contain => "contain",
            Self::Cover => "cover",
        })
    }
}

/// A text that is not the name of a [`Fit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a fit is contain or cover")]
pub struct BadFit;

impl FromStr for Fit {
    type Err = BadFit;

    fn from_str(text: &str) -> Result<Self, BadFit> {
        match text {
            "contain" => Ok(Self::Contain),
            "cover" => Ok(Self::Cover),
            _ => Err(BadFit),
        }
    }
}

/// Largest number of tiles in a grid; later participants in the list get none.
pub const MAX_GRID: usize = 25;

/// Largest number of tiles in the strip of a spotlight. The strip takes a fifth of the canvas and
/// tiles have its proportions, so five of them fill it exactly.
pub const MAX_STRIP: usize = 5;

/// The strip of a spotlight takes this fraction, one fifth, of the long side of the canvas.
const STRIP_SHARE: u32 = 5;

/// The rectangles of `people` participants on `canvas`: entry `i` belongs to participant `i`, and
/// is `None` if there is no space for them (see [`MAX_GRID`] and [`MAX_STRIP`]).
///
/// Tiles have even edges, lie inside the canvas and touch without overlapping. In a grid all have
/// one size, the largest that any number of columns allows, and are in reading order, with every
/// row centred. A spotlight gives the large tile to `spotlit` (participant 0 if that is `None` or
/// out of range), at the left of a landscape canvas or the top of an upright one, and puts the
/// first of the others in a strip of equal tiles on the opposite side.
///
/// A canvas too small for tiles of 2x2 pixels shows nobody.
pub fn tiles(
    canvas: Size,
    kind: LayoutKind,
    people: usize,
    spotlit: Option<usize>,
) -> Vec<Option<Rect>> {
    let aspect = Aspect::of(canvas);
    let whole = Rect {
        x: 0,
        y: 0,
        w: even(canvas.width),
        h: even(canvas.height),
    };
    match kind {
        LayoutKind::Grid => {
            let shown = people.min(MAX_GRID);
            let mut all = pack(whole, aspect, shown);
            all.resize(people, None);
            all
        }
        LayoutKind::Spotlight => spotlight(whole, aspect, people, spotlit),
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
    /// The dimension that follows from the other one is rounded to the nearest even number, not
    /// down: three columns of 1280x720 are 426x240, the full height of the cell, not 426x238.
    fn largest_in(self, width: u32, height: u32) -> Size {
        let height = even(height);
        let width = even(width).min(nearest_even(height, self.long, self.short));
        let height = height.min(nearest_even(width, self.short, self.long));
        Size { width, height }
    }
}

/// `count` tiles of one size in `area`, as large as fit.
fn pack(area: Rect, aspect: Aspect, count: usize) -> Vec<Option<Rect>> {
    // At most MAX_GRID, so it fits.
    let count = count as u32;
    // Among arrangements with tiles of the same size, the one with most columns wins: wide groups
    // look better than tall ones.
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

fn spotlight(
    whole: Rect,
    aspect: Aspect,
    people: usize,
    spotlit: Option<usize>,
) -> Vec<Option<Rect>> {
    if people < 2 {
        return pack(whole, aspect, people);
    }
    let star = spotlit.filter(|&i| i < people).unwrap_or(0);
    let (stage, strip) = split(whole);
    let mut large = pack(stage, aspect, 1).into_iter();
    let mut small = pack(strip, aspect, MAX_STRIP.min(people - 1)).into_iter();
    (0..people)
        .map(|i| {
            let source = if i == star { &mut large } else { &mut small };
            source.next().flatten()
        })
        .collect()
}

/// Splits the canvas of a spotlight into the area of the large tile and the strip.
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

/// How a picture is cropped, scaled and placed in a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Placement {
    /// The part of the source that is shown, in source pixels. Its left and top are even; its
    /// size is odd only if the whole of a source of odd size is shown.
    pub crop: Rect,
    /// The size that the crop is scaled to: even, at least 2x2, no larger than the tile.
    pub scaled: Size,
    /// Distance of the scaled picture's left edge from that of the tile; even.
    pub x: u32,
    /// Distance of the scaled picture's top edge from that of the tile; even.
    pub y: u32,
}

/// Places a picture of size `source` in the centre of a tile of size `tile`.
///
/// The picture keeps its proportions, apart from rounding to even numbers. A tile counts as at
/// least 2x2 and a source as at least 1x1, whatever is given.
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
mod tests {
    use super::*;

    const HD: Size = Size {
        width: 1280,
        height: 720,
    };

    fn rect(x: u32, y: u32, w: u32, h: u32) -> Option<Rect> {
        Some(Rect { x, y, w, h })
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in [LayoutKind::Grid, LayoutKind::Spotlight] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for fit in [Fit::Contain, Fit::Cover] {
            assert_eq!(fit.to_string().parse(), Ok(fit));
        }
        assert_eq!(HD.to_string(), "1280x720");
        assert_eq!(" 1280 x 720 ".parse(), Ok(HD));
        for bad in ["", "1280", "x", "1280x", "-1x2", "1280x720x3"] {
            assert_eq!(bad.parse::<Size>(), Err(BadSize), "{bad}");
        }
    }

    #[test]
    fn one_person_fills_the_canvas() {
        for kind in [LayoutKind::Grid, LayoutKind::Spotlight] {
            assert_eq!(tiles(HD, kind, 1, None), [rect(0, 0, 1280, 720)]);
            assert_eq!(tiles(HD, kind, 0, Some(3)), []);
        }
    }

    #[test]
    fn two_stand_side_by_side_and_three_have_the_last_one_centred() {
        assert_eq!(
            tiles(HD, LayoutKind::Grid, 2, None),
            [rect(0, 180, 640, 360), rect(640, 180, 640, 360)]
        );
        assert_eq!(
            tiles(HD, LayoutKind::Grid, 3, None)[2],
            rect(320, 360, 640, 360)
        );
    }

    #[test]
    fn tile_sizes_of_the_usual_rooms() {
        for (people, w, h) in [(4, 640, 360), (5, 426, 240), (9, 426, 240), (10, 320, 180)] {
            let tile = tiles(HD, LayoutKind::Grid, people, None)[0].expect("shown");
            assert_eq!((tile.w, tile.h), (w, h), "{people} people");
        }
        let all = tiles(HD, LayoutKind::Grid, 27, None);
        assert_eq!(all.iter().flatten().count(), 25);
        assert_eq!(all[24], rect(1024, 576, 256, 144));
        assert_eq!(all[25..], [None, None]);
    }

    #[test]
    fn an_upright_canvas_stacks_landscape_tiles() {
        let phone = Size {
            width: 720,
            height: 1280,
        };
        assert_eq!(
            tiles(phone, LayoutKind::Grid, 2, None),
            [rect(0, 234, 720, 406), rect(0, 640, 720, 406)]
        );
        let spot = tiles(phone, LayoutKind::Spotlight, 3, Some(2));
        assert_eq!(spot[2], rect(0, 308, 720, 406));
        assert_eq!(spot[0], rect(0, 1050, 360, 202));
    }

    #[test]
    fn a_spotlight_has_its_strip_on_the_right() {
        let all = tiles(HD, LayoutKind::Spotlight, 8, Some(1));
        assert_eq!(all[1], rect(0, 72, 1024, 576));
        assert_eq!(all[0], rect(1024, 0, 256, 144));
        assert_eq!(all[5], rect(1024, 576, 256, 144));
        assert_eq!(all[6..], [None, None]);
    }

    #[test]
    fn fitting_a_camera_and_a_phone() {
        let tile = Size {
            width: 640,
            height: 360,
        };
        let same = fit(HD, tile, Fit::Contain);
        assert_eq!((same.scaled, same.x, same.y), (tile, 0, 0));
        let phone = Size {
            width: 720,
            height: 1280,
        };
        let barred = fit(phone, tile, Fit::Contain);
        assert_eq!((barred.scaled.width, barred.scaled.height), (202, 360));
        assert_eq!((barred.x, barred.y), (218, 0));
        let cut = fit(phone, tile, Fit::Cover);
        assert_eq!(cut.scaled, tile);
        assert_eq!(Some(cut.crop), rect(0, 436, 720, 406));
    }
}
