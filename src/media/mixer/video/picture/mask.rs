//! Text as a picture of its coverage; pure.

use super::planes::Plane;
use crate::layout::Size;

/// A text as its coverage of each pixel, 0 to 255.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mask {
    pub(crate) width: usize,
    pub(crate) height: usize,
    data: Vec<u8>,
}

impl Mask {
    /// A plane without the empty columns at its left and right. All rows are kept, so that lines of
    /// text have the same height whatever letters are in them.
    pub(crate) fn trimmed(plane: Plane<'_>, size: Size) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        let rows: Vec<&[u8]> = plane
            .data
            .chunks(plane.stride)
            .take(height)
            .filter_map(|row| row.get(..width))
            .collect();
        // Video black is 16; values near it are background.
        let inked = |x: &usize| rows.iter().any(|row| row.get(*x).is_some_and(|v| *v > 24));
        let Some(left) = (0..width).find(inked) else {
            return Self::default();
        };
        let right = (0..width).rev().find(inked).unwrap_or(left);
        let columns = left..=right;
        let coverage = |value: &u8| {
            let above = u32::from(value.saturating_sub(16));
            u8::try_from((above * 255 / 219).min(255)).unwrap_or(u8::MAX)
        };
        let data = rows
            .iter()
            .filter_map(|row| row.get(columns.clone()))
            .flat_map(|row| row.iter().map(coverage))
            .collect();
        Self {
            width: right - left + 1,
            height: rows.len(),
            data,
        }
    }

    /// The mask scaled to another height, each pixel the mean of those that it covers, and cut off
    /// at the width `widest`.
    pub(crate) fn scaled(&self, height: usize, widest: usize) -> Self {
        if self.height == 0 || height == 0 {
            return Self::default();
        }
        let width = (self.width * height / self.height).max(1);
        let kept = width.min(widest);
        let mut data = Vec::with_capacity(kept * height);
        for y in 0..height {
            for x in 0..kept {
                data.push(self.mean(
                    x * self.width / width..((x + 1) * self.width).div_ceil(width),
                    y * self.height / height..((y + 1) * self.height).div_ceil(height),
                ));
            }
        }
        Self {
            width: kept,
            height,
            data,
        }
    }

    fn mean(&self, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) -> u8 {
        let count = (columns.len() * rows.len()).max(1);
        let sum: usize = rows
            .filter_map(|y| self.row(y).get(columns.clone()))
            .flatten()
            .map(|value| usize::from(*value))
            .sum();
        u8::try_from(sum / count).unwrap_or(u8::MAX)
    }

    pub(crate) fn row(&self, y: usize) -> &[u8] {
        let start = y * self.width;
        self.data.get(start..start + self.width).unwrap_or_default()
    }
}
