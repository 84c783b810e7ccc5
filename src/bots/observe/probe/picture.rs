//! A decoded picture, rectangles in it, and colours of its pixels.

use std::time::Duration;

use crate::id::ParticipantId;
use crate::layout::Rect;

/// A decoded frame in I420, limited range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// When it came out of the decoder, on the machine's clock ([`crate::bots::clock`]).
    pub arrival: Duration,
    /// Its number among the decoded frames of its stream, from 1.
    pub number: u64,
    matrix: Matrix,
    /// The participant it shows, where that is known; `None` in a mix.
    pub from: Option<ParticipantId>,
    y: Plane,
    u: Plane,
    v: Plane,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Plane {
    stride: usize,
    data: Vec<u8>,
}

impl Plane {
    fn filled(width: u32, height: u32, value: u8) -> Self {
        Self {
            stride: width as usize,
            data: vec![value; (width * height) as usize],
        }
    }

    fn packed(width: u32, height: u32, stride: usize, rows: &[u8]) -> Option<Self> {
        let (width, height) = (width as usize, height as usize);
        if stride < width || rows.len() < stride.checked_mul(height.checked_sub(1)?)? + width {
            return None;
        }
        let mut data = Vec::with_capacity(width * height);
        for row in rows.chunks(stride).take(height) {
            data.extend_from_slice(&row[..width]);
        }
        Some(Self {
            stride: width,
            data,
        })
    }
}

impl Picture {
    /// A picture of one colour, R'G'B', encoded by BT.601.
    pub fn solid(width: u32, height: u32, rgb: [u8; 3]) -> Self {
        let [y, u, v] = rgb_to_yuv(rgb, Matrix::Bt601);
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        Self {
            width,
            height,
            arrival: Duration::ZERO,
            number: 0,
            matrix: Matrix::Bt601,
            from: None,
            y: Plane::filled(width, height, y),
            u: Plane::filled(cw, ch, u),
            v: Plane::filled(cw, ch, v),
        }
    }

    /// Copies a picture in BT.601 out of three planes with their strides. `None` if a plane is too
    /// short for the size.
    pub fn from_planes(
        width: u32,
        height: u32,
        planes: [(&[u8], usize); 3],
        arrival: Duration,
        number: u64,
    ) -> Option<Self> {
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        let [(y, ys), (u, us), (v, vs)] = planes;
        Some(Self {
            width,
            height,
            arrival,
            number,
            matrix: Matrix::Bt601,
            from: None,
            y: Plane::packed(width, height, ys, y)?,
            u: Plane::packed(cw, ch, us, u)?,
            v: Plane::packed(cw, ch, vs, v)?,
        })
    }

    /// The same samples, read by another matrix.
    pub(crate) fn in_matrix(self, matrix: Matrix) -> Self {
        Self { matrix, ..self }
    }

    /// The rectangle of the whole picture.
    pub fn bounds(&self) -> Rect {
        Rect {
            x: 0,
            y: 0,
            w: self.width,
            h: self.height,
        }
    }

    /// The luma sample of a pixel. Panics outside the picture.
    pub fn luma(&self, x: u32, y: u32) -> u8 {
        self.y.data[y as usize * self.y.stride + x as usize]
    }

    /// Luma and chroma of a pixel. Panics outside the picture.
    pub(crate) fn yuv(&self, x: u32, y: u32) -> [u8; 3] {
        let (cx, cy) = (x as usize / 2, y as usize / 2);
        [
            self.luma(x, y),
            self.u.data[cy * self.u.stride + cx],
            self.v.data[cy * self.v.stride + cx],
        ]
    }

    /// The colour of a pixel, R'G'B'. Panics outside the picture.
    pub fn rgb(&self, x: u32, y: u32) -> [u8; 3] {
        yuv_to_rgb(self.yuv(x, y), self.matrix)
    }

    /// Sets the luma of a rectangle, clipped to the picture.
    pub(crate) fn fill_luma(&mut self, rect: Rect, value: u8) {
        let rect = clip(rect, self.bounds());
        for row in rect.y..rect.y + rect.h {
            let start = row as usize * self.y.stride + rect.x as usize;
            self.y.data[start..start + rect.w as usize].fill(value);
        }
    }

    /// The planes Y, U and V, without padding.
    pub fn planes(&self) -> [&[u8]; 3] {
        [&self.y.data, &self.u.data, &self.v.data]
    }
}

/// The part of `rect` that lies in `bounds`; an empty rectangle if none does.
pub fn clip(rect: Rect, bounds: Rect) -> Rect {
    let x = rect.x.clamp(bounds.x, bounds.x + bounds.w);
    let y = rect.y.clamp(bounds.y, bounds.y + bounds.h);
    let right = (rect.x + rect.w).clamp(x, bounds.x + bounds.w);
    let bottom = (rect.y + rect.h).clamp(y, bounds.y + bounds.h);
    Rect {
        x,
        y,
        w: right - x,
        h: bottom - y,
    }
}

/// `rect` without `percent` of its width and height on each side.
pub fn inset(rect: Rect, percent: u32) -> Rect {
    let (dx, dy) = (rect.w * percent / 100, rect.h * percent / 100);
    Rect {
        x: rect.x + dx,
        y: rect.y + dy,
        w: rect.w.saturating_sub(2 * dx),
        h: rect.h.saturating_sub(2 * dy),
    }
}

/// Where a picture of `width` x `height` is in a tile that shows all of it, with bars.
pub fn contained(tile: Rect, width: u32, height: u32) -> Rect {
    if width == 0 || height == 0 {
        return tile;
    }
    let (w, h) = if tile.w * height <= tile.h * width {
        (tile.w, tile.w * height / width)
    } else {
        (tile.h * width / height, tile.h)
    };
    Rect {
        x: tile.x + (tile.w - w) / 2,
        y: tile.y + (tile.h - h) / 2,
        w,
        h,
    }
}

/// `rect` of a canvas, on a copy of that canvas scaled to another size.
pub fn scaled(rect: Rect, canvas: (u32, u32), copy: (u32, u32)) -> Rect {
    let scale = |v: u32, to: u32, from: u32| v * to / from.max(1);
    Rect {
        x: scale(rect.x, copy.0, canvas.0),
        y: scale(rect.y, copy.1, canvas.1),
        w: scale(rect.w, copy.0, canvas.0),
        h: scale(rect.h, copy.1, canvas.1),
    }
}

/// Which matrix turns colours into luma and chroma; limited range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matrix {
    /// ITU-R BT.601, standard definition.
    Bt601,
    /// ITU-R BT.709, high definition.
    Bt709,
}

impl Matrix {
    /// The weights of red and blue in luma.
    fn weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
        }
    }
}

/// Y'CbCr of an R'G'B' colour.
pub(crate) fn rgb_to_yuv(rgb: [u8; 3], matrix: Matrix) -> [u8; 3] {
    let (kr, kb) = matrix.weights();
    let [r, g, b] = rgb.map(f64::from);
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let u = (b - y) / (2.0 * (1.0 - kb));
    let v = (r - y) / (2.0 * (1.0 - kr));
    [
        to_byte(16.0 + y * 219.0 / 255.0),
        to_byte(128.0 + u * 224.0 / 255.0),
        to_byte(128.0 + v * 224.0 / 255.0),
    ]
}

/// R'G'B' of a Y'CbCr colour.
pub(crate) fn yuv_to_rgb(yuv: [u8; 3], matrix: Matrix) -> [u8; 3] {
    let (kr, kb) = matrix.weights();
    let y = (f64::from(yuv[0]) - 16.0) * 255.0 / 219.0;
    let u = (f64::from(yuv[1]) - 128.0) * 255.0 / 224.0;
    let v = (f64::from(yuv[2]) - 128.0) * 255.0 / 224.0;
    let r = y + 2.0 * (1.0 - kr) * v;
    let b = y + 2.0 * (1.0 - kb) * u;
    let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
    [to_byte(r), to_byte(g), to_byte(b)]
}

fn to_byte(value: f64) -> u8 {
    // The cast saturates, which is the clamping wanted here.
    value.round() as u8
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TILE: Rect = Rect {
        x: 100,
        y: 50,
        w: 320,
        h: 240,
    };

    #[test]
    fn a_wide_picture_gets_bars_above_and_below() {
        let inner = contained(TILE, 640, 360);
        assert_eq!((inner.x, inner.y, inner.w, inner.h), (100, 80, 320, 180));
        let tall = contained(TILE, 360, 640);
        assert_eq!((tall.x, tall.y, tall.w, tall.h), (192, 50, 135, 240));
    }

    #[test]
    fn padding_is_dropped_and_short_planes_refused() {
        let y: Vec<u8> = (0..4 * 8).collect();
        let c = [7u8; 2 * 4];
        let planes = [(&y[..], 8), (&c[..], 4), (&c[..], 4)];
        let picture = Picture::from_planes(4, 4, planes, Duration::ZERO, 1).unwrap();
        assert_eq!(picture.luma(3, 2), 19);
        assert_eq!(picture.yuv(1, 1), [9, 7, 7]);
        let short = [(&y[..20], 8), (&c[..], 4), (&c[..], 4)];
        assert!(Picture::from_planes(4, 4, short, Duration::ZERO, 1).is_none());
    }

    #[test]
    fn clipping_never_leaves_the_picture() {
        let bounds = Picture::solid(64, 32, [0; 3]).bounds();
        let outside = Rect {
            x: 100,
            y: 4,
            w: 10,
            h: 100,
        };
        let got = clip(outside, bounds);
        assert_eq!((got.x, got.y, got.w, got.h), (64, 4, 0, 28));
    }
}
