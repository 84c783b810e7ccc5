//! Tests of [`super`].

use super::*;

const SLOT: SlotParams = SlotParams {
    ssrc: 7,
    payload_type: 96,
    clock_rate: 90_000,
    first_seq: 65_534,
    first_timestamp: 1_000,
    entry: Entry::Keyframe,
};

fn packet(ssrc: u32, seq: u16, timestamp: u32) -> RtpHeader {
    RtpHeader {
        payload_type: 100,
        seq,
        timestamp,
        marker: false,
        ssrc,
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn sent(verdict: Verdict) -> (u16, u32) {
    match verdict {
        Verdict::Forward(h) => {
            assert_eq!((h.ssrc, h.payload_type), (7, 96));
            (h.seq, h.timestamp)
        }
        Verdict::Drop(reason) => panic!("dropped: {reason:?}"),
    }
}

#[test]
fn a_source_takes_over_at_its_keyframe() {
    let mut r = Rewriter::new(SLOT);
    assert_eq!(
        r.rewrite(ms(0), &packet(1, 9, 50), false),
        Verdict::Drop(DropReason::AwaitingKeyframe)
    );
    assert_eq!(
        sent(r.rewrite(ms(10), &packet(1, 10, 100), true)),
        (65_534, 1_000)
    );
    assert_eq!(
        sent(r.rewrite(ms(43), &packet(1, 12, 3_100), false)),
        (0, 4_000)
    );
    assert_eq!(
        sent(r.rewrite(ms(44), &packet(1, 11, 3_100), false)),
        (65_535, 4_000)
    );
    assert_eq!(
        r.rewrite(ms(45), &packet(1, 9, 50), false),
        Verdict::Drop(DropReason::BeforeEntry)
    );
    r.switch();
    assert!(r.is_waiting());
    assert_eq!(
        r.rewrite(ms(50), &packet(1, 13, 6_100), true),
        Verdict::Drop(DropReason::OtherSource)
    );
    // 100 ms after the newest frame: 9000 units.
    assert_eq!(
        sent(r.rewrite(ms(143), &packet(2, 500, 77), true)),
        (1, 13_000)
    );
    assert!(!r.is_waiting());
    assert_eq!(
        r.rewrite(ms(150), &packet(1, 14, 9_100), true),
        Verdict::Drop(DropReason::OtherSource)
    );
}

#[test]
fn going_back_to_a_source_by_name() {
    let mut r = Rewriter::new(SLOT);
    r.rewrite(ms(0), &packet(1, 10, 100), true);
    r.switch_to(2);
    assert_eq!(
        r.rewrite(ms(5), &packet(3, 1, 1), true),
        Verdict::Drop(DropReason::OtherSource)
    );
    r.rewrite(ms(10), &packet(2, 70, 100), true);
    r.switch_to(1);
    assert_eq!(sent(r.rewrite(ms(20), &packet(1, 11, 100), true)).0, 0);
    r.switch_to(1);
    assert_eq!(
        r.rewrite(ms(30), &packet(1, 12, 100), false),
        Verdict::Drop(DropReason::AwaitingKeyframe)
    );
    assert_eq!(sent(r.rewrite(ms(40), &packet(1, 90, 100), true)).0, 1);
}

#[test]
fn a_source_that_kept_its_ssrc_is_let_in_after_a_while() {
    let mut r = Rewriter::new(SLOT);
    r.rewrite(ms(0), &packet(1, 10, 100), true);
    r.switch();
    for at in [1, 500, 1_000] {
        assert_eq!(
            r.rewrite(ms(at), &packet(1, 11, 100), true),
            Verdict::Drop(DropReason::OtherSource)
        );
    }
    assert_eq!(
        sent(r.rewrite(ms(1_001), &packet(1, 11, 100), true)).0,
        65_535
    );
}

#[test]
fn a_source_that_is_expected_again_takes_over_while_the_other_goes_on() {
    let mut r = Rewriter::new(SLOT);
    r.rewrite(ms(0), &packet(1, 10, 100), true);
    r.rewrite(ms(5), &packet(2, 70, 100), true);
    let straggler = Verdict::Drop(DropReason::OtherSource);
    assert_eq!(r.rewrite(ms(10), &packet(1, 11, 100), true), straggler);
    r.expect(1);
    assert_eq!(
        r.rewrite(ms(20), &packet(1, 12, 100), false),
        Verdict::Drop(DropReason::AwaitingKeyframe)
    );
    assert_eq!(sent(r.rewrite(ms(25), &packet(2, 71, 200), false)).0, 0);
    assert_eq!(sent(r.rewrite(ms(30), &packet(1, 13, 100), true)).0, 1);
    assert_eq!(r.rewrite(ms(35), &packet(2, 72, 300), true), straggler);
}

#[test]
fn sound_starts_at_once_and_marks_the_start() {
    let mut r = Rewriter::new(SlotParams {
        entry: Entry::AnyPacket,
        clock_rate: 48_000,
        ..SLOT
    });
    r.rewrite(ms(0), &packet(1, 10, 100), false);
    // Sooner than a frame lasts: still a whole frame later.
    match r.rewrite(ms(1), &packet(2, 3, 5), false) {
        Verdict::Forward(h) => assert_eq!((h.timestamp, h.marker), (1_960, true)),
        Verdict::Drop(reason) => panic!("dropped: {reason:?}"),
    }
}

#[test]
fn vp8_numbers_go_on() {
    let numbers = |id, tl0, key| Vp8Numbers {
        picture_id: Some(PictureId::Long(id)),
        tl0_pic_idx: Some(tl0),
        key_idx: Some(key),
    };
    let vp8 = |id: u16, tl0: u8, key: u8| {
        let [high, low] = (id | 0x8000).to_be_bytes();
        Vp8Descriptor::parse(&[0x90, 0xf0, high, low, tl0, key]).expect("complete")
    };
    let mut r = Rewriter::new(SLOT);
    r.rewrite(ms(0), &packet(1, 10, 100), true);
    assert_eq!(
        r.rewrite_vp8(&vp8(32_766, 255, 31)),
        numbers(32_766, 255, 31)
    );
    assert_eq!(r.rewrite_vp8(&vp8(0, 1, 0)), numbers(0, 1, 0));
    assert_eq!(r.rewrite_vp8(&vp8(32_767, 0, 31)), numbers(32_767, 0, 31));
    r.switch();
    r.rewrite(ms(50), &packet(2, 10, 100), true);
    assert_eq!(r.rewrite_vp8(&vp8(500, 77, 9)), numbers(1, 2, 1));
    assert_eq!(r.rewrite_vp8(&vp8(503, 78, 9)), numbers(4, 3, 1));
}
