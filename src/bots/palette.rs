//! Colours and tones by which a test tells participants apart.

/// Most participants that can be told apart.
pub const PEOPLE: usize = 25;

/// 25 colours, the first ones furthest apart. Any two differ by at least 37 (mean of the three
/// channels' absolute differences), and each from black by at least 48.
///
/// They are unsaturated enough that taking BT.601 samples for BT.709 ones, or the other way
/// round, moves none by more than 6: a server may convert the matrix or leave it alone, and a
/// receiver may assume either.
const COLORS: [[u8; 3]; PEOPLE] = [
    [0, 64, 176],
    [240, 224, 80],
    [112, 192, 240],
    [96, 128, 64],
    [208, 128, 176],
    [160, 64, 0],
    [224, 240, 224],
    [64, 32, 96],
    [128, 80, 144],
    [144, 192, 112],
    [192, 160, 32],
    [32, 112, 240],
    [64, 144, 160],
    [16, 80, 64],
    [64, 96, 0],
    [144, 112, 224],
    [176, 96, 80],
    [16, 0, 128],
    [80, 64, 208],
    [96, 16, 32],
    [128, 144, 0],
    [160, 176, 192],
    [176, 240, 160],
    [224, 144, 96],
    [240, 192, 160],
];

/// The first `n` colours of the palette, 8-bit R'G'B'; `n` is at most [`PEOPLE`].
pub fn colors(n: usize) -> Vec<[u8; 3]> {
    COLORS.iter().copied().take(n).collect()
}

/// The colour of the `i`-th person, starting over after [`PEOPLE`].
pub fn color(i: usize) -> [u8; 3] {
    COLORS[i % PEOPLE]
}

/// The tone of the `i`-th person in Hz, starting over after [`PEOPLE`].
///
/// 400, 550, ... 4000 Hz: all multiples of 50 Hz, so any two are orthogonal over 960 samples at
/// 48 kHz, and no tone is another's second or third harmonic.
pub fn tone(i: usize) -> f64 {
    400.0 + 150.0 * (i % PEOPLE) as f64
}

/// The first `n` tones in Hz; `n` is at most [`PEOPLE`].
pub fn tones(n: usize) -> Vec<f64> {
    (0..n.min(PEOPLE)).map(tone).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bots::probe::picture::{Matrix, rgb_to_yuv, yuv_to_rgb};

    fn distance(a: [u8; 3], b: [u8; 3]) -> f64 {
        let sum: u32 = (0..3).map(|i| u32::from(a[i].abs_diff(b[i]))).sum();
        f64::from(sum) / 3.0
    }

    #[test]
    fn colors_are_apart() {
        let all = colors(PEOPLE);
        assert_eq!(all.len(), PEOPLE);
        for (i, a) in all.iter().enumerate() {
            assert!(distance(*a, [0; 3]) >= 48.0, "{a:?} is near black");
            for b in &all[i + 1..] {
                assert!(distance(*a, *b) > 37.0, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn colors_survive_the_wrong_matrix() {
        for c in colors(PEOPLE) {
            for (to, from) in [
                (Matrix::Bt601, Matrix::Bt601),
                (Matrix::Bt601, Matrix::Bt709),
                (Matrix::Bt709, Matrix::Bt601),
            ] {
                let back = yuv_to_rgb(rgb_to_yuv(c, to), from);
                let bound = if to == from { 2.0 } else { 6.5 };
                assert!(
                    distance(c, back) < bound,
                    "{c:?} became {back:?}, {to:?} {from:?}"
                );
            }
        }
    }

    #[test]
    fn tones_are_orthogonal_and_no_harmonics() {
        let all = tones(PEOPLE);
        assert_eq!((all[0], all[PEOPLE - 1]), (400.0, 4000.0));
        for f in &all {
            assert_eq!(f % 50.0, 0.0);
            assert!(!all.contains(&(2.0 * f)) && !all.contains(&(3.0 * f)));
        }
    }
}
