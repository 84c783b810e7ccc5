//! What stands at the lower left of a tile: marks and a name; pure.

use super::picture::{Mask, Surface};
use crate::layout::Rect;

/// The distance of a label of that height from the edges of its tile.
pub(crate) fn margin(height: u32) -> u32 {
    even((height / 2).max(8))
}

/// The distance between the parts of a label of that height.
pub(crate) fn gap(height: u32) -> u32 {
    even(margin(height) / 2)
}

/// Draws what is said of somebody at the lower left of their tile, one behind the other.
pub(crate) fn draw(surface: &mut Surface<'_>, rect: Rect, parts: [&Mask; 2]) {
    let parts = parts.into_iter().filter(|part| part.width > 0);
    let parts: Vec<&Mask> = parts.collect();
    let Some(height) = parts.iter().map(|part| part.height as u32).max() else {
        return;
    };
    let (margin, gap) = (margin(height), gap(height));
    let widths = parts.iter().map(|part| even(part.width as u32) + gap);
    let width = widths.sum::<u32>().saturating_sub(gap);
    // Who is shown is more than their name: it may have the lower half of the picture.
    if 2 * (height + margin) > rect.h || width + 3 * margin > rect.w {
        return;
    }
    let ground = Rect {
        x: rect.x + margin,
        y: rect.y + even(rect.h - height - margin),
        w: even(width + margin),
        h: even(height),
    };
    surface.darken(ground);
    let mut x = ground.x + gap;
    for part in parts {
        surface.write(part, x, ground.y);
        x += even(part.width as u32) + gap;
    }
}

/// Rounds down to an even number, so that chroma lines up.
pub(crate) fn even(value: u32) -> u32 {
    value & !1
}
