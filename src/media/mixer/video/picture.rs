//! Drawing on I420: copies, fills, a rough scaler for the moments between two sizes, and text
//! masks. Plain slices in and out; pure.

use crate::layout::{Rect, Size};

/// A colour in BT.601 limited range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Yuv(pub [u8; 3]);

impl Yuv {
    /// From 8-bit R, G and B (ITU-R BT.601-7, section 2.5.1 and 2.5.2).
    pub fn from_rgb([r, g, b]: [u8; 3]) -> Self {
        let [r, g, b] = [f32::from(r), f32::from(g), f32::from(b)];
        let luma = 16.0 + 0.256_788 * r + 0.504_129 * g + 0.097_906 * b;
        let blue = 128.0 - 0.148_223 * r - 0.290_993 * g + 0.439_216 * b;
        let red = 128.0 + 0.439_216 * r - 0.367_788 * g - 0.071_427 * b;
        Self([luma, blue, red].map(|value| value.round().clamp(0.0, 255.0) as u8))
    }
}

/// One plane to read.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    /// Rows of `stride` bytes.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// One plane to draw on.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    /// Rows of `stride` bytes.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A picture to read: Y, U, V.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// The three planes.
    pub planes: [Plane<'a>; 3],
    /// Luma size, pixels.
    pub size: Size,
}

/// Edge of the blocks that pictures are compared in, pixels of luma.
const BLOCK: usize = 16;

impl Picture<'_> {
    /// Whether nothing is to be seen that tells both apart: in no block of 16 by 16 pixels do they
    /// differ by more than `tolerance` of 255 in the mean.
    pub fn is_like(&self, other: &Self, tolerance: u8) -> bool {
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

/// A picture to draw on: Y, U, V.
#[derive(Debug)]
pub struct Surface<'a> {
    /// The three planes.
    pub planes: [PlaneMut<'a>; 3],
    /// Luma size, pixels.
    pub size: Size,
}

/// A rectangle of one plane, in that plane's own pixels.
#[derive(Debug, Clone, Copy)]
struct Area {
    x: usize,
    y: usize,
    w: usize,
    h: usize,
}

/// `rect` on plane `index`, where chroma has half the luma's size.
fn area(rect: Rect, index: usize) -> Area {
    let half = u32::from(index > 0);
    let [x, y, w, h] = [rect.x, rect.y, rect.w, rect.h].map(|value| (value >> half) as usize);
    Area { x, y, w, h }
}

impl Surface<'_> {
    /// Fills a rectangle with one colour.
    pub fn fill(&mut self, rect: Rect, colour: Yuv) {
        let rect = self.clip(rect);
        for (index, (plane, value)) in self.planes.iter_mut().zip(colour.0).enumerate() {
            let area = area(rect, index);
            for row in plane.rows(area) {
                row.fill(value);
            }
        }
    }

    /// A frame of `width` pixels along the inner edge of `rect`.
    pub fn frame(&mut self, rect: Rect, width: u32, colour: Yuv) {
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

    /// Copies `picture` to `(x, y)` as it is, cut at the surface's edges.
    pub fn copy(&mut self, picture: &Picture<'_>, x: u32, y: u32) {
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

    /// Scales `picture` into `rect`, each pixel the nearest one: good enough for the frame or
    /// two until the branch delivers the new size.
    pub fn scale(&mut self, picture: &Picture<'_>, rect: Rect) {
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

    /// Darkens a rectangle to about a third, as a ground for text.
    pub fn darken(&mut self, rect: Rect) {
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

    /// Writes a mask in white with its top left corner at `(x, y)`.
    pub fn write(&mut self, mask: &Mask, x: u32, y: u32) {
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

    /// `rect` cut at the surface's edges.
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

impl PlaneMut<'_> {
    /// The rows of an area.
    fn rows(&mut self, area: Area) -> impl Iterator<Item = &mut [u8]> {
        self.data
            .chunks_mut(self.stride)
            .skip(area.y)
            .take(area.h)
            .filter_map(move |row| row.get_mut(area.x..area.x + area.w))
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

/// `under` with `over` on it at `alpha` of 255.
fn blend(under: u8, over: u8, alpha: u8) -> u8 {
    let [under, over, alpha] = [under, over, alpha].map(u32::from);
    let mixed = (under * (255 - alpha) + over * alpha + 127) / 255;
    u8::try_from(mixed).unwrap_or(u8::MAX)
}

/// Coverage of a text, 0 to 255 per pixel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    data: Vec<u8>,
}

impl Mask {
    /// The part of a plane that holds anything, in whole columns and the given rows: the rows
    /// are kept, so that lines of text have one height whatever letters are in them.
    pub fn trimmed(plane: Plane<'_>, size: Size) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        let rows: Vec<&[u8]> = plane
            .data
            .chunks(plane.stride)
            .take(height)
            .filter_map(|row| row.get(..width))
            .collect();
        // Video black is 16; whatever is near it is ground.
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

    /// The mask at another height, each pixel the mean of those it covers; at most `widest`
    /// pixels of it.
    pub fn scaled(&self, height: usize, widest: usize) -> Self {
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

    fn row(&self, y: usize) -> &[u8] {
        let start = y * self.width;
        self.data.get(start..start + self.width).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An I420 picture in one vector per plane.
    struct Owned {
        planes: [Vec<u8>; 3],
        size: Size,
    }

    impl Owned {
        fn new(width: u32, height: u32, colour: Yuv) -> Self {
            let luma = (width * height) as usize;
            let lengths = [luma, luma / 4, luma / 4];
            let mut colours = colour.0.into_iter();
            Self {
                planes: lengths.map(|n| vec![colours.next().unwrap_or_default(); n]),
                size: Size { width, height },
            }
        }

        fn stride(&self, index: usize) -> usize {
            self.size.width as usize >> usize::from(index > 0)
        }

        fn picture(&self) -> Picture<'_> {
            let plane = |index: usize| Plane {
                data: &self.planes[index],
                stride: self.stride(index),
            };
            Picture {
                planes: [plane(0), plane(1), plane(2)],
                size: self.size,
            }
        }

        fn surface(&mut self) -> Surface<'_> {
            let size = self.size;
            let width = size.width as usize;
            let [y, u, v] = &mut self.planes;
            Surface {
                planes: [
                    PlaneMut {
                        data: y,
                        stride: width,
                    },
                    PlaneMut {
                        data: u,
                        stride: width / 2,
                    },
                    PlaneMut {
                        data: v,
                        stride: width / 2,
                    },
                ],
                size,
            }
        }

        fn at(&self, x: usize, y: usize) -> Yuv {
            let width = self.size.width as usize;
            let chroma = (y / 2) * (width / 2) + x / 2;
            Yuv([
                self.planes[0][y * width + x],
                self.planes[1][chroma],
                self.planes[2][chroma],
            ])
        }
    }

    const RED: Yuv = Yuv([81, 90, 240]);
    const GROUND: Yuv = Yuv([16, 128, 128]);

    #[test]
    fn pictures_are_told_apart_where_something_is_to_be_seen() {
        let grey = Yuv([50, 60, 70]);
        let one = Owned::new(64, 32, grey);
        let mut other = Owned::new(64, 32, grey);
        let alike = |other: &Owned, tolerance| one.picture().is_like(&other.picture(), tolerance);
        assert!(alike(&other, 0));
        for plane in 0..3 {
            let last = other.planes[plane].len() - 1;
            other.planes[plane][last] += 1;
            assert!(!alike(&other, 0) && alike(&other, 1), "plane {plane}");
            // A dot in a corner, twelve pixels wide and one high.
            let dot = last + 1 - 4..=last;
            other.planes[plane][dot.clone()].fill(250);
            assert!(!alike(&other, 2), "plane {plane}");
            other.planes[plane][dot].fill(grey.0[plane]);
        }
        // A little everywhere, such as noise.
        for (n, sample) in other.planes[0].iter_mut().enumerate() {
            *sample += [0, 1, 2, 1][n % 4];
        }
        assert!(!alike(&other, 0) && alike(&other, 2));
        assert!(!alike(&Owned::new(66, 32, grey), 2));
    }

    #[test]
    fn what_lies_behind_a_row_is_no_part_of_a_picture() {
        let one = Owned::new(8, 4, Yuv([50, 60, 70]));
        let mut wide = Owned::new(10, 4, Yuv([50, 60, 70]));
        wide.planes[0][9] = 0;
        let planes = [0, 1, 2].map(|n| Plane {
            data: &wide.planes[n],
            stride: wide.stride(n),
        });
        let size = one.size;
        assert!(one.picture().is_like(&Picture { planes, size }, 0));
    }

    #[test]
    fn colours_follow_bt601() {
        assert_eq!(Yuv::from_rgb([255, 0, 0]), RED);
        assert_eq!(Yuv::from_rgb([255, 255, 255]), Yuv([235, 128, 128]));
        assert_eq!(Yuv::from_rgb([0, 0, 0]), GROUND);
    }

    #[test]
    fn a_copy_stands_exactly_in_its_place_and_is_cut_at_the_edge() {
        let source = Owned::new(8, 4, RED);
        for (x, y, inside, outside) in [(2, 2, (9, 5), (10, 5)), (12, 6, (15, 7), (11, 7))] {
            let mut canvas = Owned::new(16, 8, GROUND);
            canvas.surface().copy(&source.picture(), x, y);
            assert_eq!(canvas.at(inside.0, inside.1), RED);
            assert_eq!(canvas.at(outside.0, outside.1), GROUND);
            assert_eq!(canvas.at(x as usize, y as usize), RED);
        }
    }

    #[test]
    fn scaling_fills_the_rectangle_and_nothing_else() {
        let source = Owned::new(4, 4, RED);
        let mut canvas = Owned::new(16, 16, GROUND);
        let rect = Rect {
            x: 4,
            y: 4,
            w: 8,
            h: 10,
        };
        canvas.surface().scale(&source.picture(), rect);
        for y in 0..16 {
            for x in 0..16 {
                let inside = (4..12).contains(&x) && (4..14).contains(&y);
                assert_eq!(canvas.at(x, y) == RED, inside, "{x},{y}");
            }
        }
    }

    #[test]
    fn masks_are_trimmed_and_scaled() {
        let mut plane = vec![16u8; 10 * 4];
        plane[13] = 235;
        plane[25] = 235;
        let size = Size {
            width: 10,
            height: 4,
        };
        let mask = Mask::trimmed(
            Plane {
                data: &plane,
                stride: 10,
            },
            size,
        );
        assert_eq!((mask.width, mask.height), (3, 4));
        assert_eq!(mask.row(1), [255, 0, 0]);
        let half = mask.scaled(2, 100);
        assert_eq!((half.width, half.height), (1, 2));
        assert_eq!(mask.scaled(8, 2).width, 2);
        assert_eq!(
            Mask::trimmed(
                Plane {
                    data: &[16; 4],
                    stride: 2
                },
                Size {
                    width: 2,
                    height: 2
                }
            ),
            Mask::default()
        );
    }
}
