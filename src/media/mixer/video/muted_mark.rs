//! The mark before the name of somebody who is muted: a microphone that is crossed out; pure.

use std::sync::OnceLock;

use super::picture::{Mask, Plane};
use crate::layout::Size;

/// Edge of the square that the mark is drawn in, before it is scaled.
const EDGE: u32 = 64;
/// Luma of ink and of the ground.
const INK: u8 = 235;
const GROUND: u8 = 16;

/// The mark, as large as it was drawn.
pub(crate) fn mask() -> &'static Mask {
    static MASK: OnceLock<Mask> = OnceLock::new();
    MASK.get_or_init(|| {
        let size = Size {
            width: EDGE,
            height: EDGE,
        };
        let points = (0..EDGE).flat_map(|y| (0..EDGE).map(move |x| (x, y)));
        let luma = points.map(
            |(x, y)| match is_ink(f64::from(x) + 0.5, f64::from(y) + 0.5) {
                true => INK,
                false => GROUND,
            },
        );
        let data: Vec<u8> = luma.collect();
        let stride = EDGE as usize;
        Mask::trimmed(
            Plane {
                data: &data,
                stride,
            },
            size,
        )
    })
}

/// Whether a point of the drawing has ink.
fn is_ink(x: f64, y: f64) -> bool {
    // The stroke, from the upper left to the lower right, with a gap on either side.
    let (along, across) = ((x + y - 64.0) / 2f64.sqrt(), (x - y) / 2f64.sqrt());
    let is_crossed = along.abs() <= 34.0;
    if is_crossed && across.abs() <= 3.0 {
        return true;
    }
    if is_crossed && across.abs() <= 6.5 {
        return false;
    }
    let capsule = (x - 32.0).hypot(y - y.clamp(18.0, 30.0)) <= 9.0;
    let holder = y >= 30.0 && ((x - 32.0).hypot(y - 30.0) - 16.0).abs() <= 2.5;
    let stem = (x - 32.0).abs() <= 2.5 && (46.0..=56.0).contains(&y);
    let foot = (x - 32.0).abs() <= 10.0 && (54.0..=58.0).contains(&y);
    capsule || holder || stem || foot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_microphone_is_crossed_out() {
        let ink = |x: u32, y: u32| is_ink(f64::from(x), f64::from(y));
        assert!(ink(32, 32) && ink(12, 12) && ink(52, 52), "the stroke");
        assert!(ink(36, 20) && ink(32, 50) && ink(26, 56), "the microphone");
        assert!(
            !ink(32, 26) && !ink(4, 32) && !ink(60, 8),
            "what is between"
        );
        let mark = mask().scaled(20, 100);
        assert_eq!(mark.height, 20);
        assert!((14..=20).contains(&mark.width), "{}", mark.width);
    }
}
