//! Readings of what bots see and hear: when a clap begins, and how similar a tile is to its
//! original.

use crate::bots::observe::probe::Picture;
use crate::bots::observe::probe::timecode::TimeCode;
use crate::bots::observe::probe::tone::level;
use crate::bots::source::live::BACKGROUND;
use crate::layout::Rect;

/// Frequency of a clap, Hz.
const CLAP_HZ: f64 = 1000.0;
/// Level of the clap's tone from which on it counts as heard, dBFS.
const HEARD_DB: f64 = -40.0;
/// Samples that are looked at together: 10 ms.
const WINDOW: usize = 480;
/// Windows that have to be quiet before the start of a clap counts: half a second.
const STILL: u32 = 50;

/// Notices the start of a clap.
#[derive(Debug, Default)]
pub(super) struct Onset {
    still: u32,
}

impl Onset {
    /// Whether a clap starts in these samples: mono, 48 kHz.
    pub(super) fn begins(&mut self, samples: &[f32]) -> bool {
        let mut found = false;
        for window in samples.chunks_exact(WINDOW) {
            if level(window, CLAP_HZ) < HEARD_DB {
                self.still = self.still.saturating_add(1);
                continue;
            }
            found |= self.still >= STILL;
            self.still = 0;
        }
        found
    }
}

/// How similar the time code in `tile` is to what was drawn: structural similarity (SSIM) of luma,
/// the mean over blocks of 8x8; 1 is identical. `None` if no code can be read. Only the code and
/// its border count, because there may be a name or a frame around it.
pub(super) fn likeness(picture: &Picture, tile: Rect) -> Option<f64> {
    let code = TimeCode::read(picture, tile)?;
    let mut drawn = Picture::solid(tile.w, tile.h, BACKGROUND);
    code.draw(&mut drawn);
    let (left, top) = (tile.w / 20, tile.h / 4);
    let (mut sum, mut count) = (0.0, 0u32);
    for y in (top..tile.h - top - 8).step_by(4) {
        for x in (left..tile.w - left - 8).step_by(4) {
            let block = |p: &Picture, ox: u32, oy: u32| -> Vec<f64> {
                let at = |i: u32| f64::from(p.luma(ox + x + i % 8, oy + y + i / 8));
                (0..64).map(at).collect()
            };
            sum += ssim(&block(&drawn, 0, 0), &block(picture, tile.x, tile.y));
            count += 1;
        }
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// SSIM of one block: Wang et al., "Image Quality Assessment", 2004, equation 13.
fn ssim(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let covariance = |v: &[f64], mv: f64, w: &[f64], mw: f64| {
        let products = v.iter().zip(w).map(|(x, y)| (x - mv) * (y - mw));
        products.sum::<f64>() / n
    };
    let (va, vb) = (covariance(a, ma, a, ma), covariance(b, mb, b, mb));
    let (c1, c2) = (6.5025, 58.5225);
    let both = covariance(a, ma, b, mb);
    (2.0 * ma * mb + c1) * (2.0 * both + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_drawn_is_like_itself_and_less_like_when_washed_out() {
        let mut picture = Picture::solid(320, 180, BACKGROUND);
        TimeCode::at(Duration::from_millis(123_456)).draw(&mut picture);
        let same = likeness(&picture, picture.bounds()).unwrap();
        assert!(same > 0.999, "{same}");
        let third = Rect {
            x: 96,
            y: 0,
            w: 40,
            h: 180,
        };
        for y in third.y..third.y + third.h {
            for x in third.x..third.x + third.w {
                let grey = picture.luma(x, y) / 4 + 96;
                picture.fill_luma(Rect { x, y, w: 1, h: 1 }, grey);
            }
        }
        let washed = likeness(&picture, picture.bounds());
        assert!(washed.is_none_or(|washed| washed < 0.98), "{washed:?}");
    }

    #[test]
    fn a_tone_begins_once() {
        let tone: Vec<f32> = (0..9600)
            .map(|i| 0.2 * (i as f32 * std::f32::consts::TAU * 1000.0 / 48000.0).sin())
            .collect();
        let mut onset = Onset::default();
        assert!(!onset.begins(&tone), "it may have begun before");
        assert!(!onset.begins(&vec![0.0; 28_800]));
        assert!(onset.begins(&tone));
        assert!(!onset.begins(&tone));
    }
}
