//! Tests of [`super`].

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::media::rtp::payload::demand::ONLY;

/// 1920x1080, of 1920x1088 that are coded.
const FULL_HD: [u8; 26] = [
    0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00,
    0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
];
const CODED: u32 = 1_920 * 1_088;
/// The first slice of a picture, and one that goes on with it.
const SLICES: [[u8; 2]; 2] = [[0x41, 0x9a], [0x41, 0x1a]];

/// Pictures and sizes.
type Said = (Vec<u8>, Vec<(u8, u32)>);

fn read(format: Codec, payload: &[u8]) -> Option<Said> {
    let demand = DemandReader::new(format).read(payload)?;
    Some((demand.pictures, demand.areas))
}

fn begins(layer: u8, area: Option<u32>) -> Option<Said> {
    let areas = area.map(|area| (layer, area));
    Some((vec![layer], areas.into_iter().collect()))
}

fn nothing() -> Option<Said> {
    Some((Vec::new(), Vec::new()))
}

#[test]
fn vp8_says_where_pictures_begin_and_how_large_they_are() {
    let vp8 = |payload: &[u8]| read(Codec::Vp8, payload);
    let keyframe = [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f];
    assert_eq!(vp8(&keyframe), begins(ONLY, Some(16_383 * 16_383)));
    assert_eq!(vp8(&keyframe[..10]), None, "its size is in another packet");
    assert_eq!(vp8(&[0x10, 0x01]), begins(ONLY, None));
    assert_eq!(vp8(&[0x00, 0x00]), nothing(), "in the middle of one");
    assert_eq!(vp8(&[0x10]), nothing());
}

#[test]
fn h264_says_it_in_parameter_sets_however_they_come() {
    let h264 = |payload: &[u8]| read(Codec::H264, payload);
    let set = Some((Vec::new(), vec![(0, CODED)]));
    assert_eq!(h264(&FULL_HD), set);
    assert_eq!(h264(&FULL_HD[..6]), None, "cut short");
    let size = FULL_HD.len() as u8;
    let aggregate = |size: u8| [&[0x78, 0, 2, 0x68, 0xce, 0, size][..], &FULL_HD].concat();
    assert_eq!(h264(&aggregate(size)), set);
    assert_eq!(h264(&aggregate(200)), set, "as long as there is something");
    let fragment = [&[0x7c, 0x80 | 7][..], &FULL_HD[1..]].concat();
    assert_eq!(h264(&fragment), None, "nobody fragments one");
    let behind = [&SLICES[0][..], &[0, 0, 0, 1], &FULL_HD].concat();
    assert_eq!(h264(&behind), Some((vec![ONLY], vec![(0, CODED)])));
    let subset = [&[0x6f][..], &FULL_HD[1..]].concat();
    assert_eq!(h264(&subset), None);
}

#[test]
fn h264_begins_a_picture_with_its_first_slice() {
    let h264 = |payload: &[u8]| read(Codec::H264, payload);
    assert_eq!(h264(&SLICES[0]), begins(ONLY, None));
    assert_eq!(h264(&SLICES[1]), nothing());
    assert_eq!(h264(&[0x7c, 0x85, 0x88]), begins(ONLY, None));
    assert_eq!(h264(&[0x7c, 0x05, 0x88]), nothing(), "the middle of one");
    let many = [&[0x78][..], &[0, 2, 0x41, 0x9a].repeat(300)].concat();
    assert_eq!(h264(&many).map(|(pictures, _)| pictures.len()), Some(300));
}

#[test]
fn a_parameter_set_across_fragments_is_not_overlooked() {
    for cut in 0..5 {
        let mut reader = DemandReader::new(Codec::H264);
        let hidden = [&[0x9a, 0, 0, 1][..], &FULL_HD].concat();
        let (first, second) = hidden.split_at(cut);
        let first = [&[0x7c, 0x81][..], first].concat();
        let second = [&[0x7c, 0x41][..], second].concat();
        let demands = [reader.read(&first), reader.read(&second)];
        let is_seen = demands.iter().any(|demand| {
            let areas = demand.as_ref().map(|demand| &demand.areas[..]);
            areas.is_none_or(|areas| !areas.is_empty())
        });
        assert!(is_seen, "{cut}: {demands:?}");
    }
}

#[test]
fn what_a_description_says_of_h264_is_read() {
    assert_eq!(described(&FULL_HD), Some(vec![CODED]));
    assert_eq!(described(&[0x68, 0xce]), Some(Vec::new()));
    assert_eq!(described(&FULL_HD[..6]), None);
}

/// A field and how many bits it has.
fn packed(fields: &[(u32, u32)]) -> Vec<u8> {
    let bits: Vec<u8> = fields
        .iter()
        .flat_map(|(value, count)| (0..*count).rev().map(move |n| (value >> n & 1) as u8))
        .collect();
    let byte = |bits: &[u8]| (0..8).fold(0, |byte, n| byte << 1 | bits.get(n).unwrap_or(&0));
    bits.chunks(8).map(byte).collect()
}

const SYNC: (u32, u32) = (0x49_8342, 24);
/// 16384x16384.
const HUGE: [(u32, u32); 2] = [(16_383, 16), (16_383, 16)];
const HUGE_AREA: u32 = 16_384 * 16_384;

#[test]
fn vp9_says_the_size_of_keyframes_in_every_profile() {
    let profiles: [(u32, &[(u32, u32)]); 4] = [
        (0b00, &[(1, 4)]),
        (0b10, &[(1, 4), (0, 3)]),
        (0b01, &[(0, 1), (1, 4)]),
        (0b10, &[(7, 3), (0, 1)]),
    ];
    for (profile, colors) in profiles {
        let head = [(2, 2), (profile, 2), (0, 1), (0, 1), (1, 1), (0, 1), SYNC];
        let frame = packed(&[&head[..], colors, &HUGE].concat());
        let payload = [&[0x08][..], &frame].concat();
        let said = read(Codec::Vp9, &payload);
        assert_eq!(said, begins(0, Some(HUGE_AREA)), "{profile}");
        let cut = &payload[..payload.len() - 2];
        assert_eq!(read(Codec::Vp9, cut), None, "{profile}");
    }
}

#[test]
fn vp9_says_the_size_of_other_frames_where_it_changes() {
    let inter = [
        (2, 2),
        (0, 2),
        (0, 1),
        (1, 1),
        (1, 1),
        (0, 1),
        (0, 2),
        (0, 8 + 12),
    ];
    let payload = |fields: &[(u32, u32)]| [&[0x48][..], &packed(fields)].concat();
    let vp9 = |fields: &[&[(u32, u32)]]| read(Codec::Vp9, &payload(&fields.concat()));
    assert_eq!(vp9(&[&inter, &[(0b01, 2)], &[(0, 8)]]), begins(0, None));
    assert_eq!(vp9(&[&inter, &[(0, 3)], &HUGE]), begins(0, Some(HUGE_AREA)));
    let intra_only = [
        (2, 2),
        (0, 2),
        (0, 1),
        (1, 1),
        (0, 1),
        (0, 1),
        (1, 1),
        (0, 2),
        SYNC,
        (0, 8),
    ];
    assert_eq!(vp9(&[&intra_only, &HUGE]), begins(0, Some(HUGE_AREA)));
    assert_eq!(
        vp9(&[&[(2, 2), (0, 2), (1, 1), (0, 3)]]),
        begins(0, None),
        "shown again"
    );
    assert_eq!(vp9(&[&[(1, 2), (0, 30)]]), None, "no frame");
}

#[test]
fn vp9_is_not_believed_what_it_says_outside_of_frames() {
    let frame = [(2, 2), (0, 2), (0, 1), (0, 1), (1, 1), (0, 1), SYNC, (1, 4)];
    let frame = packed(&[&frame[..], &HUGE].concat());
    // Two layers and two pictures, one with a difference, in a scalability structure.
    let structure = [0x38, 1, 0x40, 0, 0xb4, 2, 0x80, 1, 0x68, 2, 0x00, 0x04, 9];
    let lying = [&[0x2a, 0x02, 0x00][..], &structure, &frame].concat();
    assert_eq!(read(Codec::Vp9, &lying), begins(1, Some(HUGE_AREA)));
    // A fourth difference is a frame to a depayloader.
    let differences = [&[0x58, 3, 3, 3][..], &frame].concat();
    assert_eq!(read(Codec::Vp9, &differences), begins(0, Some(HUGE_AREA)));
    assert_eq!(
        read(Codec::Vp9, &[0x00, 0, 0]),
        nothing(),
        "in the middle of one"
    );
}

#[test]
fn opus_says_how_long_it_sounds() {
    let said: [(&[u8], u32); 11] = [
        (&[0x00], 10),
        (&[0x18], 60),
        (&[0x19], 120),
        (&[0x60], 10),
        (&[0x68], 20),
        (&[0xf8], 20),
        (&[0xfa], 40),
        (&[0xfb, 0x83], 60),
        (&[0xfb, 0x3f], 120),
        (&[0xfb], 120),
        (&[], 0),
    ];
    for (packet, ms) in said {
        assert_eq!(samples(packet), 48 * ms, "{packet:?}");
    }
    assert_eq!(samples(&[0xe0]), 120);
}

proptest! {
    #[test]
    fn no_payloads_panic(payloads in vec(vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..40), 1..4)) {
        for format in [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Opus] {
            let mut reader = DemandReader::new(format);
            for payload in &payloads {
                let _ = reader.read(payload);
                prop_assert!(samples(payload) <= 5_760);
            }
        }
    }

    /// Whatever stands around it, and however it is cut into fragments.
    #[test]
    fn a_start_code_hides_no_parameter_set(
        around in vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..12),
        cut in 0usize..40,
    ) {
        let hidden = [&around[..], &[0, 0, 1], &FULL_HD].concat();
        let single = [&[0x41][..], &hidden].concat();
        let sees = |demand: Option<Demand>| {
            demand.is_none_or(|demand| demand.areas.contains(&(0, CODED)))
        };
        prop_assert!(sees(DemandReader::new(Codec::H264).read(&single)));
        let (first, second) = hidden.split_at(cut.min(hidden.len()));
        let mut reader = DemandReader::new(Codec::H264);
        let first = reader.read(&[&[0x7c, 0x81][..], first].concat());
        let second = reader.read(&[&[0x7c, 0x41][..], second].concat());
        prop_assert!(sees(first) || sees(second));
    }
}
