//! Colours and tones by which a test tells participants apart.

/// How many participants can be told apart at most.
pub const PEOPLE: usize = 25;

/// 25 colours, the first ones furthest apart. Any two differ by at least 37 (mean of the three
/// channels' absolute differences), each from black by at least 48, and each from the backgrounds
/// of avatars by at least 25.
///
/// They are saturated enough that taking BT.601 samples for BT.709 ones, or the other way round,
/// moves each by at least 8, so that a wrong matrix is noticed.
const COLORS: [[u8; 3]; PEOPLE] = [
    [208, 48, 208],
    [0, 240, 0],
    [96, 224, 240],
    [240, 0, 0],
    [240, 240, 16],
    [16, 32, 240],
    [16, 160, 144],
    [240, 112, 80],
    [144, 240, 128],
    [96, 16, 160],
    [240, 128, 240],
    [144, 16, 32],
    [0, 240, 192],
    [64, 176, 0],
    [16, 128, 48],
    [176, 80, 144],
    [240, 48, 128],
    [64, 240, 48],
    [96, 208, 96],
    [208, 32, 64],
    [32, 192, 224],
    [128, 48, 240],
    [224, 80, 16],
    [144, 224, 32],
    [0, 224, 96],
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
    use crate::bots::observe::probe::picture::{Matrix, rgb_to_yuv, yuv_to_rgb};

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
    fn the_wrong_matrix_is_seen() {
        use Matrix::{Bt601, Bt709};
        for c in colors(PEOPLE) {
            let seen = |to, from| distance(c, yuv_to_rgb(rgb_to_yuv(c, to), from));
            for right in [Bt601, Bt709] {
                assert!(seen(right, right) < 2.0, "{c:?}");
            }
            for (to, from) in [(Bt601, Bt709), (Bt709, Bt601)] {
                assert!(seen(to, from) >= 8.0, "{c:?} moves by {}", seen(to, from));
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
