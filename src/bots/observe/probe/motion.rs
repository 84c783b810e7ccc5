//! Whether a rectangle moved between two pictures.

use super::picture::{Picture, clip};
use crate::layout::Rect;

/// The mean absolute luma difference of a rectangle between two pictures, 0 to 255; `None` if the
/// pictures differ in size or none of the rectangle is in them.
///
/// A still picture re-encoded stays below 1; film of anything that moves is above it within
/// half a second.
pub fn between(a: &Picture, b: &Picture, rect: Rect) -> Option<f64> {
    if (a.width, a.height) != (b.width, b.height) {
        return None;
    }
    let rect = clip(rect, a.bounds());
    let mut sum = 0u64;
    for y in rect.y..rect.y + rect.h {
        for x in rect.x..rect.x + rect.w {
            sum += u64::from(a.luma(x, y).abs_diff(b.luma(x, y)));
        }
    }
    let count = u64::from(rect.w) * u64::from(rect.h);
    (count > 0).then(|| sum as f64 / count as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tile_that_moved_is_reported() {
        let still = Picture::solid(64, 32, [90; 3]);
        let mut moved = still.clone();
        let (left, right) = (
            Rect {
                x: 0,
                y: 0,
                w: 32,
                h: 32,
            },
            Rect {
                x: 32,
                y: 0,
                w: 32,
                h: 32,
            },
        );
        moved.fill_luma(
            Rect {
                x: 40,
                y: 8,
                w: 16,
                h: 16,
            },
            235,
        );
        assert_eq!(between(&still, &moved, left), Some(0.0));
        assert!(between(&still, &moved, right).unwrap() > 20.0);
        assert_eq!(
            between(&still, &Picture::solid(32, 32, [90; 3]), left),
            None
        );
    }
}
