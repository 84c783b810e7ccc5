//! Tests of [`super`].

use proptest::collection::vec;
use proptest::prelude::*;

use super::vp8::{Field, PictureId, Vp8Descriptor, Vp8Numbers};
use super::vp9::SuperframeIndex;
use super::*;

const FORMATS: [Codec; 4] = [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Opus];

fn vp8(payload: &[u8]) -> bool {
    starts_keyframe(Codec::Vp8, payload)
}

fn h264(payload: &[u8]) -> bool {
    starts_keyframe(Codec::H264, payload)
}

fn vp9(payload: &[u8]) -> bool {
    starts_keyframe(Codec::Vp9, payload)
}

#[test]
fn a_vp8_keyframe_says_its_size() {
    let size = |payload: &[u8]| keyframe_size(Codec::Vp8, payload);
    // 640 by 360, scaled by 5/4 upwards, which nobody does.
    let frame = [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x41];
    assert_eq!(size(&frame), Some((640, 360)));
    assert_eq!(size(&frame[..10]), None, "cut short");
    let mut delta = frame;
    delta[1] |= 1;
    assert_eq!(size(&delta), None, "not a keyframe");
    let mut strange = frame;
    strange[4] = 0;
    assert_eq!(size(&strange), None, "no start code");
    assert_eq!(keyframe_size(Codec::H264, &frame), None);
}

#[test]
fn vp8_without_extension() {
    assert!(vp8(&[0x10, 0x00]));
    assert!(!vp8(&[0x10, 0x01]), "a delta frame");
    assert!(!vp8(&[0x00, 0x00]), "in the middle of a partition");
    assert!(!vp8(&[0x11, 0x00]), "another partition");
    assert!(!vp8(&[0x10]), "nothing after the descriptor");
}

#[test]
fn vp8_with_every_extension() {
    let payload = [0x90, 0xf0, 0x92, 0x34, 0x56, 0xb7, 0x00];
    let d = Vp8Descriptor::parse(&payload).expect("complete");
    assert_eq!(
        d.picture_id,
        Some(Field {
            offset: 2,
            value: PictureId::Long(0x1234)
        })
    );
    assert_eq!(
        d.tl0_pic_idx,
        Some(Field {
            offset: 4,
            value: 0x56
        })
    );
    assert_eq!(d.temporal_layer, Some(2));
    assert_eq!(
        d.key_idx,
        Some(Field {
            offset: 5,
            value: 0x17
        })
    );
    assert_eq!(d.len, 6);
    assert!(vp8(&payload));
    for cut in 0..payload.len() {
        assert!(!vp8(&payload[..cut]));
    }
}

#[test]
fn vp8_short_picture_id_and_a_key_index_alone() {
    let d = Vp8Descriptor::parse(&[0x80, 0x90, 0x7f, 0xe3]).expect("complete");
    assert_eq!(d.picture_id.map(|f| f.value), Some(PictureId::Short(127)));
    assert_eq!(d.temporal_layer, None);
    assert_eq!(
        d.key_idx,
        Some(Field {
            offset: 3,
            value: 3
        })
    );
    let temporal_only = Vp8Descriptor::parse(&[0x80, 0x20, 0xc5]).expect("complete");
    assert_eq!(temporal_only.temporal_layer, Some(3));
    assert_eq!(temporal_only.key_idx, None);
    assert_eq!(temporal_only.len, 3);
}

#[test]
fn h264_single_units() {
    assert!(h264(&[0x67, 0x42]), "SPS");
    assert!(h264(&[0x65, 0x88]), "first slice of an IDR picture");
    assert!(!h264(&[0x65, 0x01]), "a later slice of it");
    assert!(!h264(&[0x68, 0xce]), "PPS");
    assert!(!h264(&[0x41, 0x9a]), "another slice");
    assert!(!h264(&[]));
}

#[test]
fn h264_aggregates_and_fragments() {
    let aud_sps = [0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x67, 0x42];
    assert!(h264(&aud_sps));
    assert!(!h264(&aud_sps[..8]), "the SPS is cut");
    assert!(!h264(&[0x78, 0, 2, 0x09, 0xf0, 0, 1, 0x41]));
    assert!(!h264(&[0x78, 0, 0, 0, 0]), "empty units");
    assert!(h264(&[0x7c, 0x85, 0x88]), "FU-A, start of an IDR slice");
    assert!(!h264(&[0x7c, 0x05, 0x88]), "FU-A, middle");
    assert!(!h264(&[0x7c, 0x45, 0x88]), "FU-A, end");
    assert!(!h264(&[0x7c, 0x81, 0x88]), "FU-A, another slice");
}

#[test]
fn vp9_start_of_a_key_picture() {
    assert!(vp9(&[0x08]));
    assert!(!vp9(&[0x48]), "inter-predicted");
    assert!(!vp9(&[0x04]), "not the start of the frame");
    assert!(vp9(&[0xa8, 0x81, 0x00, 0x10, 0x00]), "layer 0");
    assert!(!vp9(&[0xa8, 0x81, 0x00, 0x12, 0x00]), "layer 1");
    assert!(vp9(&[0xa8, 0x01, 0x10, 0x00]), "layer 0, short picture id");
    assert!(!vp9(&[0xa8, 0x01, 0x12, 0x00]), "layer 1, short picture id");
    assert!(!vp9(&[0xa8, 0x81, 0x00]), "cut");
}

#[test]
fn opus_starts_anywhere() {
    assert!(starts_keyframe(Codec::Opus, &[0xfc]));
    assert!(!starts_keyframe(Codec::Opus, &[]));
}

/// A descriptor as a sender would write it.
fn written(id: Option<PictureId>, tl0: Option<u8>, tid: Option<u8>, key: Option<u8>) -> Vec<u8> {
    let bit = |on: bool, bit: u8| if on { bit } else { 0 };
    let mut bytes = vec![
        0x90,
        bit(id.is_some(), 0x80)
            | bit(tl0.is_some(), 0x40)
            | bit(tid.is_some(), 0x20)
            | bit(key.is_some(), 0x10),
    ];
    match id {
        Some(PictureId::Short(id)) => bytes.push(id),
        Some(PictureId::Long(id)) => bytes.extend((id | 0x8000).to_be_bytes()),
        None => {}
    }
    bytes.extend(tl0);
    if tid.is_some() || key.is_some() {
        bytes.push(tid.unwrap_or(0) << 6 | 0x20 | key.unwrap_or(0));
    }
    bytes
}

fn picture_id() -> impl Strategy<Value = PictureId> {
    prop_oneof![
        (0u8..128).prop_map(PictureId::Short),
        (0u16..0x8000).prop_map(PictureId::Long)
    ]
}

fn same_width(id: PictureId, n: u16) -> PictureId {
    match id {
        PictureId::Short(_) => PictureId::Short((n & 0x7f) as u8),
        PictureId::Long(_) => PictureId::Long(n & 0x7fff),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(payload in vec(any::<u8>(), 0..64)) {
        for format in FORMATS {
            starts_keyframe(format, &payload);
        }
        if let Some(d) = Vp8Descriptor::parse(&payload) {
            prop_assert!(d.len <= payload.len());
            let mut copy = payload.clone();
            let same = Vp8Numbers {
                picture_id: d.picture_id.map(|f| f.value),
                tl0_pic_idx: d.tl0_pic_idx.map(|f| f.value),
                key_idx: d.key_idx.map(|f| f.value),
            };
            d.write(&mut copy, &same);
            prop_assert_eq!(copy, payload);
        }
    }

    #[test]
    fn aggregates_of_any_bytes_are_survived(tail in vec(any::<u8>(), 0..64)) {
        let mut payload = vec![0x78];
        payload.extend(tail);
        h264(&payload);
    }

    #[test]
    fn numbers_are_replaced_and_nothing_else(
        id in proptest::option::of(picture_id()),
        tl0 in proptest::option::of(any::<u8>()),
        tid in proptest::option::of(0u8..4),
        key in proptest::option::of(0u8..32),
        n in any::<u16>(),
        body in vec(any::<u8>(), 0..8),
    ) {
        let mut payload = written(id, tl0, tid, key);
        payload.extend(&body);
        let d = Vp8Descriptor::parse(&payload).expect("complete");
        let numbers = Vp8Numbers {
            picture_id: id.map(|id| same_width(id, n)),
            tl0_pic_idx: tl0.map(|old| old.wrapping_add(n as u8)),
            key_idx: key.map(|old| old.wrapping_add(n as u8) & 0x1f),
        };
        d.write(&mut payload, &numbers);
        let mut expected = written(numbers.picture_id, numbers.tl0_pic_idx, tid, numbers.key_idx);
        expected.extend(&body);
        prop_assert_eq!(payload, expected);
    }
}

#[test]
fn keyframes_are_known_by_their_first_packet() {
    let starts = |codec, payload: &[u8]| starts_keyframe(codec, payload);
    // X with a 15-bit picture id, then the frame header.
    assert!(starts(Codec::Vp8, &[0x90, 0x80, 0x81, 0x02, 0x10]));
    assert!(!starts(Codec::Vp8, &[0x90, 0x80, 0x81, 0x02, 0x11]));
    assert!(
        !starts(Codec::Vp8, &[0x80, 0x80, 0x81, 0x02, 0x10]),
        "no start"
    );
    assert!(starts(Codec::Vp8, &[0x10, 0x10]));
    assert!(!starts(Codec::Vp8, &[0x90, 0x80]));
    assert!(starts(Codec::H264, &[0x67, 0x42]));
    assert!(starts(Codec::H264, &[0x78, 0, 2, 0x67, 0x42]));
    assert!(starts(Codec::H264, &[0x7c, 0x85, 0x88]));
    assert!(!starts(Codec::H264, &[0x7c, 0x05]), "the middle of one");
    assert!(!starts(Codec::H264, &[0x41, 0x9a]));
    assert!(starts(Codec::Vp9, &[0x88, 0x00]) && !starts(Codec::Vp9, &[0xc8, 0x00]));
}

#[test]
fn an_h264_parameter_set_says_the_size() {
    let hd = [
        0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x6a, 0x02, 0x02, 0x02,
        0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x1e, 0x07, 0x8c, 0x18, 0xcb,
    ];
    let full_hd_cropped = [
        0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03,
        0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
    ];
    let size = |payload: &[u8]| keyframe_size(Codec::H264, payload);
    assert_eq!(size(&hd), Some((1280, 720)));
    assert_eq!(size(&full_hd_cropped), Some((1920, 1080)));
    let aggregate = [&[0x78, 0, hd.len() as u8][..], &hd, &[0, 2, 0x68, 0xce]].concat();
    assert_eq!(size(&aggregate), Some((1280, 720)));
    assert_eq!(size(&hd[..6]), None, "cut short");
    assert_eq!(size(&[0x65, 0x88]), None, "a slice");
}

#[test]
fn a_vp9_keyframe_says_its_size() {
    let size = |payload: &[u8]| keyframe_size(Codec::Vp9, payload);
    let frame = [0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf0, 0x16, 0x70];
    let plain = [&[0x08][..], &frame].concat();
    assert_eq!(size(&plain), Some((640, 360)));
    assert_eq!(size(&plain[..9]), None, "cut short");
    let delta = [&[0x48][..], &frame].concat();
    assert_eq!(size(&delta), None, "not a keyframe");
    // Two layers, 320x180 and 640x360, in a scalability structure.
    let structure = [0x30, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68];
    let layered = [&[0x0a | 0x20, 0x00, 0x00][..], &structure, &frame].concat();
    assert_eq!(size(&layered), Some((640, 360)));
}

#[test]
fn a_vp9_layer_that_does_not_say_what_it_depends_on_is_found() {
    use super::vp9::undeclared_dependency;
    // Picture id, inter-predicted, layers, begins a frame; layer 1.
    let layer = |depends: u8| [0x80 | 0x40 | 0x20 | 0x08, 5, 1 << 1 | depends, 0, 1, 2];
    assert_eq!(undeclared_dependency(&layer(0)), Some(2));
    assert_eq!(undeclared_dependency(&layer(1)), None);
    assert_eq!(undeclared_dependency(&[0x28, 0, 0, 1]), None, "the lowest");
    assert_eq!(
        undeclared_dependency(&[0x20, 2, 0, 1]),
        None,
        "in the middle of it"
    );
}

#[test]
fn layers_of_vp9_become_one_picture() {
    // Picture id, layers, bits as given; three bytes of descriptor behind the flags.
    let packet = |flags: u8, layer: u8, frame: &[u8]| {
        let head = [0x80 | 0x20 | flags, 5, layer << 1 | u8::from(layer > 0), 0];
        [&head[..], frame].concat()
    };
    const BEGIN: u8 = 0x08;
    let mut index = SuperframeIndex::default();
    let long = [7; 300];
    assert_eq!(index.after(1, &packet(BEGIN, 0, &[1; 5]), false), None);
    assert_eq!(index.after(2, &packet(BEGIN, 1, &long), false), None);
    assert_eq!(index.after(3, &packet(0, 1, &long), false), None, "goes on");
    let end = index.after(4, &packet(BEGIN, 2, &[1; 9]), true);
    // Three frames, two bytes a size.
    assert_eq!(end, Some(vec![0xca, 5, 0, 0x58, 0x02, 9, 0, 0xca]));

    // A structure is no part of the frame: one layer, its size, and one picture in its group.
    let structure = [0x18, 2, 0x80, 1, 0x68, 1, 0b100, 1];
    let first = packet(BEGIN | 0x02, 0, &[&structure[..], &[1; 4]].concat());
    assert_eq!(index.after(5, &first, false), None);
    let end = index.after(6, &packet(BEGIN, 1, &[1; 6]), true);
    assert_eq!(end, Some(vec![0xc1, 4, 6, 0xc1]));

    assert_eq!(
        index.after(7, &packet(BEGIN, 0, &[1]), true),
        None,
        "one layer"
    );
    assert_eq!(index.after(8, &packet(BEGIN, 0, &[1]), false), None);
    let behind_loss = index.after(10, &packet(BEGIN, 2, &[1]), true);
    assert_eq!(behind_loss, None, "its middle is lost");
}

proptest! {
    #[test]
    fn no_payload_panics(payload in vec(any::<u8>(), 0..60)) {
        for format in FORMATS {
            starts_keyframe(format, &payload);
            keyframe_size(format, &payload);
        }
        super::vp9::undeclared_dependency(&payload);
        SuperframeIndex::default().after(0, &payload, true);
    }
}
