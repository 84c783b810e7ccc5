//! A picture to draw on; pure.

use super::mask::Mask;
use super::planes::{Area, Picture, Plane, PlaneMut, Yuv, area};
use crate::layout::{Rect, Size};

/// A picture to draw on, in the planes Y, U and V.
#[derive(Debug)]
pub(crate) struct Surface<'a> {
    pub(crate) planes: [PlaneMut<'a>; 3],
    /// The size of the luma plane, pixels.
    pub(crate) size: Size,
}

impl Surface<'_> {
    /// Fills a rectangle with one colour.
    pub(crate) fn fill(&mut self, rect: Rect, colour: Yuv) {
        let rect = self.clip(rect);
        for (index, (plane, value)) in self.planes.iter_mut().zip(colour.0).enumerate() {
            let area = area(rect, index);
            for row in plane.rows(area) {
                row.fill(value);
            }
        }
    }

    /// Draws an outline of `width` pixels along the inner edge of `rect`.
    pub(crate) fn outline(&mut self, rect: Rect, width: u32, colour: Yuv) {
        let width = width.min(rect.w / 2).min(rect.h / 2);
        let Rect { x, y, w, h } = rect;
        let sides = [
            Rect { x, y, w, h: width },
            Rect {
                x,
                y: y + h - width,
                w,
                h: width,
            },
            Rect { x, y, w: width, h },
            Rect {
                x: x + w - width,
                y,
                w: width,
                h,
            },
        ];
        for side in sides {
            self.fill(side, colour);
        }
    }

    /// Copies `picture` to `(x, y)`, cut off at the edges of the surface.
    pub(crate) fn copy(&mut self, picture: &Picture<'_>, x: u32, y: u32) {
        let rect = self.clip(Rect {
            x,
            y,
            w: picture.size.width,
            h: picture.size.height,
        });
        for (index, (target, source)) in self.planes.iter_mut().zip(picture.planes).enumerate() {
            let area = area(rect, index);
            for (row, from) in target.rows(area).zip(source.data.chunks(source.stride)) {
                if let Some(from) = from.get(..row.len()) {
                    row.copy_from_slice(from);
                }
            }
        }
    }

    /// Scales `picture` into `rect` by nearest neighbour: good enough for the frame or two until
    /// the decoder branch delivers the new size.
    pub(crate) fn scale(&mut self, picture: &Picture<'_>, rect: Rect) {
        let rect = self.clip(rect);
        for (index, (target, source)) in self.planes.iter_mut().zip(picture.planes).enumerate() {
            let whole = Rect {
                x: 0,
                y: 0,
                w: picture.size.width,
                h: picture.size.height,
            };
            scale_plane(target, area(rect, index), source, area(whole, index));
        }
    }

    /// Darkens a rectangle to about a third, as a background for text.
    pub(crate) fn darken(&mut self, rect: Rect) {
        let rect = self.clip(rect);
        for (index, plane) in self.planes.iter_mut().enumerate() {
            let rest = if index == 0 { 16 } else { 128 };
            for row in plane.rows(area(rect, index)) {
                for value in row {
                    *value = blend(*value, rest, 165);
                }
            }
        }
    }

    /// Draws a mask in white with its top left corner at `(x, y)`.
    pub(crate) fn write(&mut self, mask: &Mask, x: u32, y: u32) {
        let rect = self.clip(Rect {
            x,
            y,
            w: mask.width as u32,
            h: mask.height as u32,
        });
        for (index, plane) in self.planes.iter_mut().enumerate() {
            let (step, white) = if index == 0 { (1, 235) } else { (2, 128) };
            for (n, row) in plane.rows(area(rect, index)).enumerate() {
                let coverage = mask.row(n * step).iter().step_by(step);
                for (value, alpha) in row.iter_mut().zip(coverage) {
                    *value = blend(*value, white, *alpha);
                }
            }
        }
    }

    /// `rect` cut off at the edges of the surface.
    fn clip(&self, rect: Rect) -> Rect {
        let x = rect.x.min(self.size.width);
        let y = rect.y.min(self.size.height);
        Rect {
            x,
            y,
            w: rect.w.min(self.size.width - x),
            h: rect.h.min(self.size.height - y),
        }
    }
}

fn scale_plane(target: &mut PlaneMut<'_>, to: Area, source: Plane<'_>, from: Area) {
    if from.w == 0 || from.h == 0 {
        return;
    }
    for (n, row) in target.rows(to).enumerate() {
        let start = (n * from.h / to.h.max(1)) * source.stride;
        let Some(line) = source.data.get(start..start + from.w) else {
            continue;
        };
        let width = row.len().max(1);
        for (m, value) in row.iter_mut().enumerate() {
            if let Some(pixel) = line.get(m * from.w / width) {
                *value = *pixel;
            }
        }
    }
}

/// Alpha blending: `over` on `under`, where `alpha` is 0 to 255.
fn blend(under: u8, over: u8, alpha: u8) -> u8 {
    let [under, over, alpha] = [under, over, alpha].map(u32::from);
    let mixed = (under * (255 - alpha) + over * alpha + 127) / 255;
    u8::try_from(mixed).unwrap_or(u8::MAX)
}
