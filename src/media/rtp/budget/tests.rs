//! Tests of [`super`].

use proptest::prelude::*;

use super::*;

const BEGIN: Duration = Duration::from_secs(1_000);
const SIZE: Result<(), Over> = Err(Over::Size);
const RATE: Result<(), Over> = Err(Over::Rate);

/// The first packet of a keyframe of VP8.
fn keyframe(width: u16, height: u16) -> Vec<u8> {
    let [a, b] = width.to_le_bytes();
    let [c, d] = height.to_le_bytes();
    vec![0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, a, b, c, d]
}

/// The first packet of another picture of VP8, and one that goes on with any.
const DELTA: &[u8] = &[0x10, 0x01];
const REST: &[u8] = &[0x00, 0x55];

/// A sequence parameter set of H.264, of so many macroblocks to the right and down.
fn parameter_set(columns: u32, rows: u32) -> Vec<u8> {
    let mut bits = String::new();
    let mut code = |value: u32| {
        let length = (value + 1).ilog2() as usize;
        bits += &format!("{}{:b}", "0".repeat(length), value + 1);
    };
    [0, 0, 2, 0].into_iter().for_each(&mut code);
    bits += "0";
    let mut code = |value: u32| {
        let length = (value + 1).ilog2() as usize;
        bits += &format!("{}{:b}", "0".repeat(length), value + 1);
    };
    [columns - 1, rows - 1].into_iter().for_each(&mut code);
    // Frames alone, inference, no cropping, nothing of usability, the end.
    bits += "11001";
    let byte = |bits: &[u8]| {
        (0..8).fold(0u8, |byte, n| {
            byte << 1 | bits.get(n).map_or(0, |bit| bit - b'0')
        })
    };
    let body = bits.as_bytes().chunks(8).map(byte);
    [0x67, 66, 0xc0, 31].into_iter().chain(body).collect()
}

fn passed(budget: &mut DecodeBudget, payloads: &[&[u8]]) -> Vec<Result<(), Over>> {
    let all = payloads.iter();
    all.map(|payload| budget.spend(BEGIN, payload)).collect()
}

#[test]
fn pictures_that_are_too_large_and_what_depends_on_them_are_left_out() {
    let mut budget = DecodeBudget::new(Codec::Vp8);
    let (huge, large) = (keyframe(16_383, 16_383), keyframe(4_096, 2_304));
    let verdicts = passed(
        &mut budget,
        &[
            &large,
            REST,
            DELTA,
            &huge,
            REST,
            DELTA,
            &huge[..8],
            DELTA,
            &large,
            DELTA,
        ],
    );
    let expected = [
        [Ok(()); 3].to_vec(),
        [SIZE; 5].to_vec(),
        [Ok(()); 2].to_vec(),
    ];
    assert_eq!(verdicts, expected.concat());
}

#[test]
fn pictures_of_h264_wait_for_parameter_sets_within_bounds() {
    let mut budget = DecodeBudget::new(Codec::H264);
    let (huge, small) = (parameter_set(1_000, 1_000), parameter_set(80, 45));
    let (idr, delta): (&[u8], &[u8]) = (&[0x65, 0x88], &[0x41, 0x9a]);
    let recovery: &[u8] = &[0x06, 0x06, 0x01, 0xc4, 0x80];
    let verdicts = passed(
        &mut budget,
        &[
            &small, idr, delta, &huge, idr, delta, recovery, idr, &small, idr, delta,
        ],
    );
    let expected = [
        [Ok(()); 3].to_vec(),
        [SIZE; 5].to_vec(),
        [Ok(()); 3].to_vec(),
    ];
    assert_eq!(verdicts, expected.concat());
}

/// How many of the pictures that come so many a second for so many seconds pass. Each `group`
/// begins with a keyframe.
fn of_pictures(width: u16, height: u16, a_second: u64, seconds: u64, group: u64) -> u64 {
    let mut budget = DecodeBudget::new(Codec::Vp8);
    let keyframe = keyframe(width, height);
    let count = (0..a_second * seconds).filter(|n| {
        let at = BEGIN + Duration::from_secs(1) * u32::try_from(*n).expect("few") / a_second as u32;
        let payload = if n % group == 0 { &keyframe } else { DELTA };
        budget.spend(at, payload).is_ok()
    });
    count.count() as u64
}

#[test]
fn what_cameras_send_is_all_decoded() {
    for (width, height, a_second) in [(1_280, 720, 60), (1_920, 1_080, 60), (3_840, 2_160, 30)] {
        let all = a_second * 60;
        let passed = of_pictures(width, height, a_second, 60, 300);
        assert_eq!(passed, all, "{width}x{height}");
    }
}

#[test]
fn of_too_many_pictures_a_share_is_decoded() {
    let bound = |a_second: u64| a_second * u64::from(10 + AT_ONCE) + 1;
    let a_second = u64::from(MAX_PICTURES_PER_SECOND);
    for group in [1, 50] {
        let passed = of_pictures(64, 64, 1_000, 10, group);
        assert!((a_second..=bound(a_second)).contains(&passed), "{passed}");
    }
    let passed = of_pictures(4_096, 2_304, 200, 10, 1);
    assert!((300..=bound(30)).contains(&passed), "{passed}");
}

#[test]
fn what_came_since_a_keyframe_is_decoded_at_once() {
    let mut budget = DecodeBudget::new(Codec::Vp8);
    let keyframe = keyframe(1_280, 720);
    assert_eq!(budget.spend(BEGIN, &keyframe), Ok(()));
    let backlog = (0..12 * 30).all(|_| budget.spend(BEGIN, DELTA).is_ok());
    assert!(backlog, "twelve seconds");
}

#[test]
fn pictures_over_the_rate_are_left_out_up_to_the_next_keyframe() {
    let mut budget = DecodeBudget::new(Codec::Vp8);
    let keyframe = keyframe(64, 64);
    while budget.spend(BEGIN, &keyframe).is_ok() {}
    let later = BEGIN + Duration::from_secs(1);
    assert_eq!(budget.spend(later, DELTA), RATE);
    assert_eq!(budget.spend(later, REST), RATE);
    assert_eq!(budget.spend(later, &keyframe), Ok(()));
    assert_eq!(budget.spend(later, DELTA), Ok(()));
}

#[test]
fn h264_whose_size_is_not_known_is_counted_as_the_largest() {
    let mut budget = DecodeBudget::new(Codec::H264);
    let passed = (0..10_000).filter(|_| budget.spend(BEGIN, &[0x65, 0x88]).is_ok());
    assert_eq!(passed.count(), (30 * AT_ONCE) as usize);
}

#[test]
fn layers_are_counted_by_their_own_sizes() {
    let mut budget = DecodeBudget::new(Codec::Vp9);
    budget.areas.extend([(0, 100), (1, 400)]);
    assert_eq!([0, 1, 2].map(|layer| budget.area(layer)), [100, 400, 400]);
}

/// How many packets of sound of this first byte pass, so many a second for ten seconds.
fn of_sound(first: u8, a_second: u32) -> usize {
    let mut budget = DecodeBudget::new(Codec::Opus);
    let count = (0..a_second * 10).filter(|n| {
        let at = BEGIN + Duration::from_secs(1) * *n / a_second;
        budget.spend(at, &[first, 0, 0]).is_ok()
    });
    count.count()
}

#[test]
fn sound_is_decoded_as_long_as_it_is_no_more_than_twice_what_there_is_time_for() {
    let (of_20_ms, of_120_ms, of_2_5_ms) = (0xf8, 0x19, 0xe0);
    assert_eq!(of_sound(of_20_ms, 50), 500);
    assert_eq!(of_sound(of_2_5_ms, 400), 4_000);
    assert_eq!(of_sound(of_120_ms, 8), 80);
    let most = (10 + AT_ONCE) * MAX_SAMPLES_PER_SECOND / 5_760;
    let passed = of_sound(of_120_ms, 3_000);
    assert!((100..=most as usize + 1).contains(&passed), "{passed}");
    let most = (10 + AT_ONCE) * MAX_SOUND_PACKETS_PER_SECOND;
    let passed = of_sound(of_2_5_ms, 3_000);
    assert!((4_000..=most as usize + 1).contains(&passed), "{passed}");
}

#[test]
fn what_is_made_up_for_lost_sound_counts() {
    let mut budget = DecodeBudget::new(Codec::Opus);
    let made_up = (0..10_000)
        .filter(|_| budget.conceals(BEGIN, 5_760))
        .count();
    assert_eq!(made_up, (AT_ONCE * MAX_SAMPLES_PER_SECOND / 5_760) as usize);
    assert_eq!(budget.spend(BEGIN, &[0x19]), RATE);
}

proptest! {
    #[test]
    fn no_payloads_panic(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
    ) {
        for format in [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Opus] {
            let mut budget = DecodeBudget::new(format);
            for payload in &payloads {
                let _ = budget.spend(BEGIN, payload);
            }
            prop_assert!(budget.areas.values().all(|area| *area <= MAX_PICTURE));
        }
    }
}

/// What a decoder has made a picture of that was hidden costs its sender some seconds, and no more.
#[test]
fn a_picture_that_was_hidden_shuts_for_a_while() {
    let mut budget = DecodeBudget::new(Codec::Vp8);
    let small = keyframe(320, 180);
    assert_eq!(budget.spend(BEGIN, &small), Ok(()));
    budget.shut(BEGIN);
    let shortly_before = BEGIN + HIDDEN_HOLD_OFF - Duration::from_millis(1);
    for at in [BEGIN, shortly_before] {
        assert_eq!(budget.spend(at, &small), Err(Over::Size));
    }
    let after = BEGIN + HIDDEN_HOLD_OFF;
    assert_eq!(budget.spend(after, DELTA), Err(Over::Size));
    assert_eq!(budget.spend(after, &small), Ok(()));
    assert_eq!(budget.spend(after, DELTA), Ok(()));
}
