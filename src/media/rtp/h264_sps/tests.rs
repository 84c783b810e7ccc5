//! Tests of [`super`].

use proptest::prelude::*;

use super::*;

const PEAK: PeakRates = PeakRates {
    fps: 30,
    bitrate: 1_500_000,
};

/// [`patched_unit`] of a stream of 30 frames a second.
fn with_bt601(unit: &[u8]) -> Option<Vec<u8>> {
    patched_unit(unit, PEAK)
}

#[test]
fn the_level_is_the_least_that_allows_it() {
    let level = |width: u32, height: u32, fps, bitrate| {
        let macroblocks = width.div_ceil(16) * height.div_ceil(16);
        PeakRates { fps, bitrate }.level(macroblocks)
    };
    assert_eq!(level(320, 180, 15, 110_000), 31);
    assert_eq!(level(1280, 720, 30, 1_500_000), 31);
    assert_eq!(level(1280, 720, 60, 1_500_000), 32);
    assert_eq!(level(1280, 720, 30, 18_000_000), 32);
    assert_eq!(level(1920, 1080, 30, 4_000_000), 40);
    assert_eq!(level(1920, 1080, 30, 40_000_000), 41);
    assert_eq!(level(3840, 2160, 30, 20_000_000), 51);
    assert_eq!(
        PeakRates {
            fps: u32::MAX,
            bitrate: u32::MAX
        }
        .level(u32::MAX),
        52
    );
}

proptest! {
    #[test]
    fn escaping_can_be_taken_back(payload in prop::collection::vec(0u8..5, 0..40)) {
        let hidden = escaped(&payload);
        prop_assert!(!hidden.windows(3).any(|w| w[0] == 0 && w[1] == 0 && w[2] < 3));
        prop_assert_eq!(unescaped(&hidden), payload);
    }

    #[test]
    fn whatever_comes_is_signed_at_most_once(body in prop::collection::vec(any::<u8>(), 0..60)) {
        for start in [&[0, 0, 0, 1, 0x67, 66, 0xc0, 31][..], &[0, 0, 1, 0x67], &[]] {
            let unit = [start, &body].concat();
            if let Some(signed) = with_bt601(&unit) {
                prop_assert_eq!(with_bt601(&signed), None);
            }
        }
    }
}
