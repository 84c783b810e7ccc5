//! Which colour a rectangle has.

use super::picture::{Picture, clip};
use crate::layout::Rect;

/// The mean colour of a rectangle, R'G'B'; `None` if none of it is in the picture.
pub fn mean(picture: &Picture, rect: Rect) -> Option<[f64; 3]> {
    let mut sum = [0.0; 3];
    let count = each_sample(picture, rect, |rgb| {
        for (total, value) in sum.iter_mut().zip(rgb) {
            *total += f64::from(value);
        }
    })?;
    Some(sum.map(|total| total / count))
}

/// The mean absolute error of a rectangle against one colour, over all its points and the three
/// channels, 0 to 255; `None` if none of the rectangle is in the picture.
///
/// Unlike the error of the mean, it sees stripes of two wrong colours that average to the right
/// one.
pub fn error(picture: &Picture, rect: Rect, expected: [u8; 3]) -> Option<f64> {
    let mut sum = 0.0;
    let count = each_sample(picture, rect, |rgb| {
        for (value, wanted) in rgb.into_iter().zip(expected) {
            sum += f64::from(value.abs_diff(wanted));
        }
    })?;
    Some(sum / (3.0 * count))
}

/// The colour of a rectangle, sampled on a grid: cheap enough for every frame of many streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// The mean colour, R'G'B'.
    pub mean: [u8; 3],
    /// The mean distance of a sample from the mean, 0 to 255; 0 if all are of one colour.
    pub spread: u8,
}

/// Samples of a [`Patch`], across and down.
const GRID: (u32, u32) = (16, 9);

impl Patch {
    /// Samples a rectangle; `None` if none of it is in the picture.
    pub fn of(picture: &Picture, rect: Rect) -> Option<Self> {
        let rect = clip(rect, picture.bounds());
        if rect.w == 0 || rect.h == 0 {
            return None;
        }
        let (columns, rows) = GRID;
        let points: Vec<[u8; 3]> = (0..columns * rows)
            .map(|i| {
                let (column, row) = (i % columns, i / columns);
                // The middle of each cell of the grid.
                let x = rect.x + (2 * column + 1) * rect.w / (2 * columns);
                let y = rect.y + (2 * row + 1) * rect.h / (2 * rows);
                picture.rgb(x, y)
            })
            .collect();
        let count = columns * rows;
        let mean = [0, 1, 2].map(|channel: usize| {
            let sum: u32 = points.iter().map(|rgb| u32::from(rgb[channel])).sum();
            (sum / count) as u8
        });
        let far: u32 = points.iter().map(|rgb| distance(*rgb, mean)).sum();
        Some(Self {
            mean,
            spread: (far / count) as u8,
        })
    }

    /// How far it is from a colour: at least the mean error of its points, 0 to 510.
    pub fn error(self, rgb: [u8; 3]) -> f64 {
        f64::from(distance(self.mean, rgb)) + f64::from(self.spread)
    }
}

/// The mean of the channels' absolute differences.
fn distance(one: [u8; 3], other: [u8; 3]) -> u32 {
    let sum: u32 = one
        .into_iter()
        .zip(other)
        .map(|(a, b)| u32::from(a.abs_diff(b)))
        .sum();
    sum / 3
}

/// Visits every second pixel of every second row, as chroma has no more, and returns how many.
fn each_sample(picture: &Picture, rect: Rect, mut see: impl FnMut([u8; 3])) -> Option<f64> {
    let rect = clip(rect, picture.bounds());
    let mut count = 0u32;
    for y in (rect.y..rect.y + rect.h).step_by(2) {
        for x in (rect.x..rect.x + rect.w).step_by(2) {
            see(picture.rgb(x, y));
            count += 1;
        }
    }
    (count > 0).then_some(f64::from(count))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_error_sees_what_the_mean_does_not() {
        let mut picture = Picture::solid(64, 64, [128; 3]);
        let all = picture.bounds();
        assert!(error(&picture, all, [128; 3]).unwrap() < 2.0);
        for y in (0..64).step_by(4) {
            let stripe = |y, value| {
                (
                    Rect {
                        x: 0,
                        y,
                        w: 64,
                        h: 2,
                    },
                    value,
                )
            };
            for (rect, value) in [stripe(y, 16), stripe(y + 2, 235)] {
                picture.fill_luma(rect, value);
            }
        }
        assert!((mean(&picture, all).unwrap()[0] - 127.5).abs() < 1.0);
        assert!(error(&picture, all, [128; 3]).unwrap() > 120.0);
        assert!(Patch::of(&picture, all).unwrap().error([128; 3]) > 60.0);
    }

    #[test]
    fn a_patch_is_of_its_rectangle_alone() {
        let mut picture = Picture::solid(640, 360, [96, 128, 64]);
        let half = Rect {
            x: 0,
            y: 0,
            w: 320,
            h: 360,
        };
        picture.fill_luma(half, 16);
        let other = Rect { x: 320, ..half };
        assert!(Patch::of(&picture, other).unwrap().error([96, 128, 64]) < 4.0);
        assert!(Patch::of(&picture, half).unwrap().error([96, 128, 64]) > 40.0);
        assert!(Patch::of(&picture, picture.bounds()).unwrap().spread > 20);
    }

    #[test]
    fn nothing_is_measured_outside() {
        let picture = Picture::solid(16, 16, [0; 3]);
        let outside = Rect {
            x: 16,
            y: 0,
            w: 8,
            h: 8,
        };
        assert_eq!(mean(&picture, outside), None);
        assert_eq!(error(&picture, outside, [0; 3]), None);
    }
}
