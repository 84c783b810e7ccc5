use super::*;
use crate::layout::{Rect, Size};

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
