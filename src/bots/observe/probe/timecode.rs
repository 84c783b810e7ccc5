//! A clock drawn into a picture, which survives scaling and lossy coding.
//!
//! Two rows of sixteen black or white cells across the middle of the picture: 20 bits of
//! milliseconds on the machine's monotonic clock ([`crate::bots::clock`]), then 12 bits of
//! checksum. Sender and receiver must be on one machine.

use std::time::Duration;

use super::picture::{Picture, clip, inset};
use crate::layout::Rect;

const COLUMNS: u32 = 16;
const ROWS: u32 = 2;
const TIME_BITS: u32 = 20;
const CHECK_BITS: u32 = 12;

/// Luma of a cell that is 0, and of one that is 1. Around the cells is half of the latter.
const BLACK: u8 = 16;
const WHITE: u8 = 235;

/// Luma between the darkest and the brightest cell below which there is no code.
const CONTRAST: f64 = 80.0;

/// The value of a code: milliseconds of the machine's clock, modulo 2^20 (17.5 minutes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeCode(u32);

impl TimeCode {
    /// The code of an instant.
    pub fn at(instant: Duration) -> Self {
        let ms = instant.as_millis() & ((1 << TIME_BITS) - 1);
        Self(ms as u32)
    }

    /// How long before `now` the code was drawn; wrong by multiples of 17.5 minutes if it is older
    /// than that.
    pub fn age(self, now: Duration) -> Duration {
        let ms = Self::at(now).0.wrapping_sub(self.0) & ((1 << TIME_BITS) - 1);
        Duration::from_millis(u64::from(ms))
    }

    /// The 32 cells, row by row, the first in the highest bit.
    fn bits(self) -> u32 {
        (self.0 << CHECK_BITS) | checksum(self.0)
    }

    fn from_bits(bits: u32) -> Option<Self> {
        let time = bits >> CHECK_BITS;
        (bits & ((1 << CHECK_BITS) - 1) == checksum(time)).then_some(Self(time))
    }

    /// Draws the code into a picture, across its middle.
    pub fn draw(self, picture: &mut Picture) {
        let bounds = picture.bounds();
        picture.fill_luma(area(bounds, 1), WHITE / 2);
        for index in 0..COLUMNS * ROWS {
            let one = self.bits() >> (COLUMNS * ROWS - 1 - index) & 1 == 1;
            picture.fill_luma(cell(bounds, index), if one { WHITE } else { BLACK });
        }
    }

    /// Reads the code of a picture that fills `rect` of another. `None` if there is none, or if it
    /// does not agree with its checksum.
    pub fn read(picture: &Picture, rect: Rect) -> Option<Self> {
        let mut levels = [0.0; (COLUMNS * ROWS) as usize];
        for (index, level) in (0u32..).zip(&mut levels) {
            // The outer parts of a cell bleed into its neighbours when scaled and coded.
            *level = mean_luma(picture, inset(cell(rect, index), 25))?;
        }
        let low = levels.iter().copied().fold(f64::INFINITY, f64::min);
        let high = levels.iter().copied().fold(0.0, f64::max);
        if high - low < CONTRAST {
            return None;
        }
        let middle = (low + high) / 2.0;
        let bits = levels
            .iter()
            .fold(0, |bits, level| bits << 1 | u32::from(*level > middle));
        Self::from_bits(bits)
    }
}

/// CRC-12 (polynomial 0x80F) that starts from ones, so that neither all black nor all white is a
/// code.
fn checksum(time: u32) -> u32 {
    let mask = (1 << CHECK_BITS) - 1;
    (0..TIME_BITS).rev().fold(mask, |crc, bit| {
        let top = (crc >> (CHECK_BITS - 1)) ^ (time >> bit & 1);
        let shifted = crc << 1 & mask;
        if top == 1 { shifted ^ 0x80f } else { shifted }
    })
}

/// The part of a picture that the code fills, with a border of `border` percent of the picture.
fn area(picture: Rect, border: u32) -> Rect {
    let (bx, by) = (picture.w * border / 100, picture.h * border / 100);
    let (x, y) = (picture.w / 10, picture.h * 3 / 10);
    Rect {
        x: picture.x + x - bx,
        y: picture.y + y - by,
        w: picture.w * 8 / 10 + 2 * bx,
        h: picture.h * 4 / 10 + 2 * by,
    }
}

/// The rectangle of a cell. Edges are computed from the whole area, so that rounding does not add
/// up.
fn cell(picture: Rect, index: u32) -> Rect {
    let area = area(picture, 0);
    let (column, row) = (index % COLUMNS, index / COLUMNS);
    let (left, right) = (area.w * column / COLUMNS, area.w * (column + 1) / COLUMNS);
    let (top, bottom) = (area.h * row / ROWS, area.h * (row + 1) / ROWS);
    Rect {
        x: area.x + left,
        y: area.y + top,
        w: right - left,
        h: bottom - top,
    }
}

fn mean_luma(picture: &Picture, rect: Rect) -> Option<f64> {
    let rect = clip(rect, picture.bounds());
    let mut sum = 0u64;
    for y in rect.y..rect.y + rect.h {
        for x in rect.x..rect.x + rect.w {
            sum += u64::from(picture.luma(x, y));
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
    fn what_is_drawn_is_read() {
        for ms in [0, 1, 33, 1_048_575, 1_048_576, 987_654_321] {
            let code = TimeCode::at(Duration::from_millis(ms));
            for (w, h) in [(1280, 720), (640, 360), (320, 180), (256, 144)] {
                let mut picture = Picture::solid(w, h, [90, 100, 110]);
                code.draw(&mut picture);
                assert_eq!(TimeCode::read(&picture, picture.bounds()), Some(code));
            }
        }
    }

    #[test]
    fn no_code_is_read_where_none_is() {
        for level in [0, 128, 255] {
            let picture = Picture::solid(640, 360, [level; 3]);
            assert_eq!(TimeCode::read(&picture, picture.bounds()), None);
        }
        assert_eq!(TimeCode::from_bits(0), None);
        assert_eq!(TimeCode::from_bits(u32::MAX), None);
    }

    #[test]
    fn every_single_wrong_cell_is_noticed() {
        let bits = TimeCode(0x5_a5a5).bits();
        for cell in 0..32 {
            assert_eq!(TimeCode::from_bits(bits ^ 1 << cell), None, "cell {cell}");
        }
    }

    #[test]
    fn age_wraps() {
        let drawn = Duration::from_millis((1 << TIME_BITS) - 10);
        let age = TimeCode::at(drawn).age(drawn + Duration::from_millis(85));
        assert_eq!(age, Duration::from_millis(85));
    }
}
