//! Pictures in three planes, to read and to compare; pure.

use crate::layout::{Rect, Size};

/// A colour in BT.601, limited range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Yuv(pub(crate) [u8; 3]);

impl Yuv {
    /// From 8-bit R, G and B (ITU-R BT.601-7, section 2.5.1 and 2.5.2).
    pub(crate) fn from_rgb([r, g, b]: [u8; 3]) -> Self {
        let [r, g, b] = [f32::from(r), f32::from(g), f32::from(b)];
        let luma = 16.0 + 0.256_788 * r + 0.504_129 * g + 0.097_906 * b;
        let blue = 128.0 - 0.148_223 * r - 0.290_993 * g + 0.439_216 * b;
        let red = 128.0 + 0.439_216 * r - 0.367_788 * g - 0.071_427 * b;
        Self([luma, blue, red].map(|value| value.round().clamp(0.0, 255.0) as u8))
    }
}

/// A plane of a picture to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plane<'a> {
    /// Rows, each of which begins `stride` bytes after the one before.
    pub(crate) data: &'a [u8],
    pub(crate) stride: usize,
}

/// A plane of a picture to draw on.
#[derive(Debug)]
pub(crate) struct PlaneMut<'a> {
    /// Rows, each of which begins `stride` bytes after the one before.
    pub(crate) data: &'a mut [u8],
    pub(crate) stride: usize,
}

/// A picture to read, in the planes Y, U and V.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picture<'a> {
    pub(crate) planes: [Plane<'a>; 3],
    /// The size of the luma plane, pixels.
    pub(crate) size: Size,
}

/// A rectangle of one plane, in pixels of that plane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) w: usize,
    pub(crate) h: usize,
}

/// `rect` on the plane of that index: chroma has half the size of luma.
pub(crate) fn area(rect: Rect, index: usize) -> Area {
    let half = u32::from(index > 0);
    let [x, y, w, h] = [rect.x, rect.y, rect.w, rect.h].map(|value| (value >> half) as usize);
    Area { x, y, w, h }
}

impl PlaneMut<'_> {
    /// The parts of rows within an area.
    pub(crate) fn rows(&mut self, area: Area) -> impl Iterator<Item = &mut [u8]> {
        self.data
            .chunks_mut(self.stride)
            .skip(area.y)
            .take(area.h)
            .filter_map(move |row| row.get_mut(area.x..area.x + area.w))
    }
}

/// Edge of the blocks that pictures are compared by, in pixels of luma.
const BLOCK: usize = 16;

impl Picture<'_> {
    /// Whether both pictures look the same: they have one size, and in no block of 16 by 16 pixels
    /// is the mean difference more than `tolerance` of 255.
    pub(crate) fn is_like(&self, other: &Self, tolerance: u8) -> bool {
        let whole = Rect {
            x: 0,
            y: 0,
            w: self.size.width,
            h: self.size.height,
        };
        let mut planes = self.planes.iter().zip(&other.planes).enumerate();
        self.size == other.size
            && planes.all(|(index, (one, other))| {
                let edge = BLOCK >> usize::from(index > 0);
                planes_are_alike(one, other, area(whole, index), edge, tolerance)
            })
    }
}

fn planes_are_alike(
    one: &Plane<'_>,
    other: &Plane<'_>,
    Area { w, h, .. }: Area,
    edge: usize,
    tolerance: u8,
) -> bool {
    let mut sums = vec![0u32; w.div_ceil(edge)];
    let most = u32::from(tolerance) * (edge * edge) as u32;
    let ones = one.data.chunks(one.stride.max(1));
    let others = other.data.chunks(other.stride.max(1));
    for (y, (one, other)) in ones.zip(others).take(h).enumerate() {
        if y % edge == 0 {
            sums.fill(0);
        }
        let (Some(one), Some(other)) = (one.get(..w), other.get(..w)) else {
            return false;
        };
        let blocks = one.chunks(edge).zip(other.chunks(edge));
        for (sum, (one, other)) in sums.iter_mut().zip(blocks) {
            let pairs = one.iter().zip(other);
            *sum += pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
        }
        if sums.iter().any(|sum| *sum > most) {
            return false;
        }
    }
    true
}
