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

/// Every second point of every second row: chroma has no more.
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
