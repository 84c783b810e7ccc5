//! Mutations of what real clients send.

use proptest::prelude::*;

use super::damage::{Damage, KINDS};
use crate::media::sdp::draw::draw;

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let one = (0..KINDS, any::<[usize; 2]>(), any::<u8>());
    let damage = one.prop_map(|(kind, at, byte)| Damage { kind, at, byte });
    prop::collection::vec(damage, 0..12)
}

/// A seed with each damage in turn.
fn damaged(seed: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for damage in damages {
        damage.apply(&mut bytes);
    }
    bytes
}

fn fuzz(seeds: Vec<Vec<u8>>, read: fn(&[u8])) {
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| read(seed));
    let seed = prop::sample::select(seeds);
    draw((seed, damages()), |(seed, damages)| {
        read(&damaged(&seed, &damages));
        Ok(())
    });
}

#[test]
fn fuzz_offers() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/offers");
    let files = std::fs::read_dir(folder).expect("a folder");
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        std::fs::read(file.expect("an entry").path()).expect("an offer")
    };
    fuzz(files.map(read).collect(), super::sdp);
}

/// A packet with both forms of header extensions in front of a payload.
fn packet(extension: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = [0x90, 0xe0, 0, 7, 0, 0, 9, 9, 1, 2, 3, 4];
    [&header, extension, payload].concat()
}

#[test]
fn fuzz_rtp() {
    let one_byte = [0xbe, 0xde, 0, 2, 0x10, 0x85, 0x22, 1, 2, 3, 0, 0];
    let two_bytes = [0x10, 0, 0, 2, 1, 1, 0x85, 2, 2, 7, 7, 0];
    let vp8_key = [
        0x90, 0x80, 0x12, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00,
    ];
    let vp9_key = [
        0x8a, 0x81, 0x02, 0x18, 0x02, 0x80, 0x01, 0x68, 0x82, 0x49, 0x83,
    ];
    let h264_sets = [
        0x78, 0, 8, 0x67, 0x42, 0xe0, 0x1f, 0xda, 0x02, 0x80, 0xf6, 0, 4, 0x68, 0xce, 0x06, 0xe2,
    ];
    let h264_part = [0x7c, 0x85, 0x88, 0x84, 0, 0x33, 0xff];
    let annex_b = [
        0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0xda, 0x02, 0x80, 0xf6, 0x80, 0, 0, 1, 0x68, 0xce, 0x06,
    ];
    let payloads: [&[u8]; 5] = [&vp8_key, &vp9_key, &h264_sets, &h264_part, &annex_b];
    let mut seeds: Vec<Vec<u8>> = payloads.map(<[u8]>::to_vec).into();
    for extension in [one_byte, two_bytes] {
        seeds.extend(payloads.map(|payload| packet(&extension, payload)));
    }
    fuzz(seeds, super::rtp);
}

#[test]
fn fuzz_rtcp() {
    let receiver_report = [
        &[0x81, 201, 0, 7, 0, 0, 0, 1][..],
        &[
            0, 0, 0, 2, 25, 0, 0, 3, 0, 1, 0x10, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0,
        ],
    ]
    .concat();
    let sender_report = [&[0x80, 200, 0, 6, 0, 0, 0, 1][..], &[7; 20]].concat();
    let bye = [0x81, 203, 0, 1, 0, 0, 0, 1];
    let nack = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 5, 0xff, 0xff];
    // Packets 1 to 7, in the form of a run and of a list of symbols, with deltas of both sizes.
    let run = [0, 1, 0, 7, 0, 0, 4, 1, 0x20, 7, 4, 4, 4, 4, 4, 4, 4];
    let list = [0, 1, 0, 7, 0, 0, 4, 2, 0xd9, 0x55, 4, 0, 4, 4, 4, 4, 4, 4];
    let many = [
        0, 1, 0xff, 0xff, 0, 0, 4, 3, 0x1f, 0xff, 0x3f, 0xff, 0x5f, 0xff,
    ];
    let compound = [&receiver_report[..], &nack, &bye].concat();
    let twcc = [&[0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2][..], &run].concat();
    let seeds = vec![
        compound,
        [&sender_report[..], &bye].concat(),
        twcc,
        nack[12..].to_vec(),
        run.to_vec(),
        list.to_vec(),
        many.to_vec(),
    ];
    fuzz(seeds, super::rtcp);
}

#[test]
fn fuzz_messages() {
    let examples = include_str!("../../../docs/PROTOCOL.md").split("```");
    let blocks = examples.skip(1).step_by(2);
    let bodies = blocks.filter_map(|block| block.split_once('\n'));
    let seeds = bodies
        .filter(|(kind, _)| kind.starts_with("json"))
        .flat_map(|(_, body)| [body.as_bytes().to_vec()].into_iter().chain(lines(body)));
    fuzz(seeds.collect(), super::protocol);
}

/// Each line of a block, for those that have a message a line.
fn lines(body: &str) -> impl Iterator<Item = Vec<u8>> {
    body.lines().map(|line| line.as_bytes().to_vec())
}
