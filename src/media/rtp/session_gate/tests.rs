//! Tests of [`super`].

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::from_secs(50);
/// What this side sends, and whom RTP has come from.
const OWN: u32 = 0x0a00_0001;
const STREAM: u32 = 0x0b00_0001;
const LIMIT: usize = 4;
const NOTHING: [u8; 0] = [];

fn gate() -> SessionGate {
    let mut gate = SessionGate::new(LIMIT);
    gate.sends(OWN);
    assert!(gate.admits_stream(NOW, STREAM));
    gate
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn packet(kind: u8, count: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    write(&mut packet, kind, count, body);
    packet
}

fn block(of: u32) -> Vec<u8> {
    words(&[of, 1, 2, 3, 4, 5])
}

fn report(from: u32, about: &[u32]) -> Vec<u8> {
    let blocks: Vec<u8> = about.iter().flat_map(|of| block(*of)).collect();
    let count = u8::try_from(about.len()).expect("few");
    packet(RECEIVER_REPORT, count, &[words(&[from]), blocks].concat())
}

fn feedback(kind: u8, format: u8, about: u32, list: &[u8]) -> Vec<u8> {
    packet(
        kind,
        format,
        &[words(&[STREAM, about]), list.to_vec()].concat(),
    )
}

/// What is left of a compound packet for the session.
fn left(gate: &mut SessionGate, compound: &[u8]) -> Vec<u8> {
    gate.admit(NOW, compound).compound
}

#[test]
fn what_a_browser_sends_passes_as_it_is() {
    let name = sdes::chunk(STREAM, b"name");
    let compound = [
        packet(
            SENDER_REPORT,
            1,
            &[words(&[STREAM, 1, 2, 3, 4, 5]), block(OWN)].concat(),
        ),
        packet(SOURCE_DESCRIPTION, 1, &name),
        report(1, &[OWN]),
        feedback(
            TRANSPORT_FEEDBACK,
            GENERIC_NACK,
            OWN,
            &words(&[0x0007_8001]),
        ),
        feedback(PAYLOAD_FEEDBACK, PICTURE_LOSS, OWN, &[]),
        feedback(PAYLOAD_FEEDBACK, FULL_INTRA, 0, &words(&[OWN, 0x0100_0000])),
        packet(BYE, 1, &words(&[STREAM])),
    ]
    .concat();
    assert_eq!(left(&mut gate(), &compound), compound);
}

#[test]
fn transport_wide_feedback_is_taken_out() {
    let fci = words(&[0x0001_0002, 0, 0x2002_0000]);
    let feedback = feedback(TRANSPORT_FEEDBACK, TRANSPORT_WIDE, 9, &fci);
    let report = report(STREAM, &[OWN]);
    let compound = [&report[..], &feedback, &feedback].concat();
    let mut gate = gate();
    let admitted = gate.admit(NOW, &compound);
    assert_eq!(admitted.compound, report);
    assert_eq!(admitted.transport_wide, [&fci[..], &fci]);
}

#[test]
fn transport_wide_feedback_tells_of_so_many_packets_a_second() {
    let fci = words(&[0x0000_1000, 0, 0x3000_0000]);
    let feedback = feedback(TRANSPORT_FEEDBACK, TRANSPORT_WIDE, 9, &fci);
    let compound = feedback.repeat(20);
    let mut gate = gate();
    let read = gate.admit(NOW, &compound).transport_wide.len();
    let most = usize::try_from(AT_ONCE * TOLD_PER_SECOND / 0x1000);
    assert_eq!(Ok(read), most);
    let later = gate.admit(NOW + Duration::from_secs(1), &compound);
    assert!((1..=most.expect("few")).contains(&later.transport_wide.len()));
}

#[test]
fn blocks_and_feedback_about_strangers_are_left_out() {
    let mut gate = gate();
    let compound = report(STREAM, &[9, OWN, 10]);
    assert_eq!(left(&mut gate, &compound), report(STREAM, &[OWN]));
    for other in [
        feedback(TRANSPORT_FEEDBACK, GENERIC_NACK, 9, &words(&[0x0007_0000])),
        feedback(PAYLOAD_FEEDBACK, PICTURE_LOSS, 9, &[]),
        feedback(PAYLOAD_FEEDBACK, FULL_INTRA, OWN, &words(&[9, 0])),
        packet(SOURCE_DESCRIPTION, 1, &sdes::chunk(9, b"name")),
        packet(BYE, 1, &words(&[9])),
    ] {
        assert_eq!(left(&mut gate, &other), NOTHING, "{other:?}");
    }
}

#[test]
fn the_first_to_report_are_heard_and_no_more() {
    let mut gate = gate();
    let heard = (100..200).filter(|from| !left(&mut gate, &report(*from, &[])).is_empty());
    assert_eq!(heard.count(), LIMIT);
    assert_ne!(left(&mut gate, &report(100, &[])), NOTHING, "as before");
    assert_ne!(left(&mut gate, &report(STREAM, &[])), NOTHING);
}

#[test]
fn the_first_streams_pass_and_no_more() {
    let mut gate = gate();
    let passed = (100..200)
        .filter(|ssrc| gate.admits_stream(NOW, *ssrc))
        .count();
    assert_eq!(passed, LIMIT - 1, "and the one before");
    assert!(gate.admits_stream(NOW, STREAM) && gate.admits_stream(NOW, 100));
    assert!(!gate.admits_stream(NOW, 200) && !gate.admits_stream(NOW, OWN));
}

/// A sender that begins anew with another SSRC every now and then, for hours.
#[test]
fn who_is_silent_for_long_makes_place() {
    let mut gate = gate();
    let mut now = NOW;
    for ssrc in 100..200 {
        now += FORGOTTEN / 2;
        assert!(gate.admits_stream(now, ssrc), "{ssrc}");
        assert_ne!(gate.admit(now, &report(ssrc, &[OWN])).compound, NOTHING);
    }
    let burst = (200..300).filter(|ssrc| gate.admits_stream(now, *ssrc));
    assert!(burst.count() < LIMIT);
}

#[test]
fn a_stream_that_reported_first_takes_no_place_of_a_reporter() {
    let mut gate = gate();
    for from in 100..100 + LIMIT as u32 {
        assert_ne!(left(&mut gate, &report(from, &[])), NOTHING);
    }
    assert!(gate.admits_stream(NOW, 100));
    assert_ne!(left(&mut gate, &report(300, &[])), NOTHING);
}

#[test]
fn names_are_passed_on_and_no_other_items() {
    let mut gate = gate();
    // A private item whose prefix is longer than the item, as rtpsession must not read it.
    let private = [&[8, 3, 200, b'x', b'y'][..], &[1, 2, b'o', b'k', 0, 0, 0]].concat();
    let chunk = [words(&[STREAM]), private].concat();
    let compound = packet(SOURCE_DESCRIPTION, 1, &chunk);
    let expected = packet(SOURCE_DESCRIPTION, 1, &sdes::chunk(STREAM, b"ok"));
    assert_eq!(left(&mut gate, &compound), expected);
    // An item that is longer than the packet.
    let cut = [words(&[STREAM]), vec![1, 200, b'x', 0]].concat();
    assert_eq!(
        left(&mut gate, &packet(SOURCE_DESCRIPTION, 1, &cut)),
        NOTHING
    );
}

#[test]
fn what_the_session_makes_no_use_of_is_left_out() {
    let mut gate = gate();
    let own = words(&[STREAM, OWN]);
    for (kind, count) in [
        (204, 0),
        (207, 0),
        (208, 0),
        (192, 0),
        (206, 15),
        (205, 5),
        (206, 3),
    ] {
        assert_eq!(
            left(&mut gate, &packet(kind, count, &own)),
            NOTHING,
            "{kind} {count}"
        );
    }
}

#[test]
fn receivers_without_an_ssrc_of_their_own_are_heard() {
    let mut gate = gate();
    assert_eq!(
        left(&mut gate, &report(OWN, &[OWN])),
        report(!OWN, &[OWN]),
        "as libdatachannel reports"
    );
    for (kind, format, list) in [
        (PAYLOAD_FEEDBACK, PICTURE_LOSS, vec![]),
        (PAYLOAD_FEEDBACK, FULL_INTRA, words(&[OWN, 7])),
        (TRANSPORT_FEEDBACK, GENERIC_NACK, words(&[7])),
    ] {
        let from = |ssrc: u32| {
            let body = [words(&[ssrc, OWN]), list.clone()].concat();
            packet(kind, format, &body)
        };
        assert_eq!(left(&mut gate, &from(OWN)), from(!OWN), "{kind} {format}");
    }
    // Nor may it come to be one that this side sends.
    gate.sends(!OWN);
    assert_eq!(left(&mut gate, &report(OWN, &[OWN])), NOTHING);
}

#[test]
fn what_is_malformed_is_left_out() {
    let mut gate = gate();
    let good = report(STREAM, &[OWN]);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    for bad in [
        Vec::new(),
        with(|packet| packet.truncate(31)),
        with(|packet| packet.push(0)),
        with(|packet| packet[0] = 0x41),
        with(|packet| packet[0] |= 0x20),
        with(|packet| packet[0] += 1),
        [&good[..], &[0x80, 201, 0xff, 0xff]].concat(),
        [with(|packet| packet[0] |= 0x20), good.clone()].concat(),
    ] {
        assert_eq!(left(&mut gate, &bad), NOTHING, "{bad:?}");
    }
    let padded = [&[0xa1, 201, 0, 8], &good[4..], &[0, 0, 0, 4]].concat();
    assert_eq!(left(&mut gate, &padded), good);
}

#[test]
fn keyframe_requests_of_half_an_entry_are_left_out() {
    // rtpsession would read eight bytes of it.
    let list = words(&[OWN, 0, OWN]);
    let compound = feedback(PAYLOAD_FEEDBACK, FULL_INTRA, 0, &list);
    assert_eq!(left(&mut gate(), &compound), NOTHING);
}

#[test]
fn so_many_packets_and_entries_a_second_pass() {
    let count = |gate: &mut SessionGate, at: Duration, compound: &[u8], per_packet: usize| {
        let pushed = (0..10_000).map(|_| gate.admit(at, compound).compound.len());
        pushed.sum::<usize>() / per_packet
    };
    let empty = report(STREAM, &[]);
    let mut one = gate();
    let second = Duration::from_secs(1);
    assert_eq!(count(&mut one, NOW, &empty, empty.len()), 2_000);
    assert_eq!(count(&mut one, NOW + second, &empty, empty.len()), 1_000);
    // Each names 17 missing packets in four bytes.
    let request = words(&[0x0007_ffff]);
    let request = feedback(TRANSPORT_FEEDBACK, GENERIC_NACK, OWN, &request);
    let mut two = gate();
    let most = (AT_ONCE * ENTRIES_PER_SECOND / 17) as usize;
    assert_eq!(count(&mut two, NOW, &request, request.len()), most);
}

/// What a compound packet says, piece by piece: kind, count where it is a format, who, and what.
fn pieces(compound: &[u8]) -> BTreeSet<(u8, u8, u32, Vec<u8>)> {
    let mut all = BTreeSet::new();
    for Packet { kind, count, body } in packets(compound).unwrap_or_default() {
        let of = |n: usize| match body.get(4 * n..).and_then(ssrc).unwrap_or_default() {
            // What comes from there goes under another name.
            of if of == !OWN => OWN,
            of => of,
        };
        let mut add = |count: u8, of: u32, what: &[u8]| {
            all.insert((kind, count, of, what.to_vec()));
        };
        let chunks = |from: usize, size: usize| body.get(from..).unwrap_or_default().chunks(size);
        match (kind, count) {
            (SENDER_REPORT, _) => {
                add(0, of(0), body.get(4..24).unwrap_or_default());
                chunks(24, BLOCK).for_each(|block| add(0, of(0), block));
            }
            (RECEIVER_REPORT, _) => {
                add(0, of(0), &[]);
                chunks(4, BLOCK).for_each(|block| add(0, of(0), block));
            }
            (SOURCE_DESCRIPTION, _) => {
                for (of, name) in sdes::names(body, count).unwrap_or_default() {
                    add(0, of, name);
                }
            }
            (BYE, _) => chunks(0, 4).for_each(|of| add(0, 0, of)),
            (PAYLOAD_FEEDBACK, FULL_INTRA) => {
                chunks(8, 8).for_each(|entry| add(count, of(0), entry));
            }
            (PAYLOAD_FEEDBACK, PICTURE_LOSS) => add(count, of(1), &[]),
            _ => chunks(8, 4).for_each(|entry| add(count, of(1), entry)),
        }
    }
    all
}

fn any_ssrc() -> impl Strategy<Value = u32> {
    prop_oneof![Just(OWN), Just(STREAM), 1u32..12, any::<u32>()]
}

/// Packets that are nearly as they should be.
fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![200u8..208, any::<u8>()];
    let count = prop_oneof![0u8..6, Just(15), 0u8..32];
    let word = prop_oneof![any_ssrc(), any::<u32>()];
    (kind, count, prop::collection::vec(word, 0..20))
        .prop_map(|(kind, count, body)| packet(kind, count, &words(&body)))
}

proptest! {
    #[test]
    fn what_passes_is_whole_and_part_of_what_came(
        sent in prop::collection::vec(any_packet(), 0..6),
        cut in 0usize..4,
    ) {
        let mut compound = sent.concat();
        compound.truncate(compound.len().saturating_sub(cut));
        let mut gate = gate();
        let kept = left(&mut gate, &compound);
        prop_assert!(kept.len() <= compound.len());
        prop_assert!(kept.is_empty() || packets(&kept).is_some());
        prop_assert!(pieces(&kept).is_subset(&pieces(&compound)));
        let again = gate.admit(NOW + Duration::from_secs(60), &kept);
        prop_assert_eq!(again.compound, kept, "what has passed passes");
    }

    #[test]
    fn no_bytes_panic(compound in prop::collection::vec(any::<u8>(), 0..200)) {
        let kept = left(&mut gate(), &compound);
        prop_assert!(kept.is_empty() || packets(&kept).is_some());
    }

    #[test]
    fn however_many_there_are_few_are_known(ssrcs in prop::collection::vec(any::<u32>(), 0..100)) {
        let mut gate = gate();
        for ssrc in ssrcs {
            let _ = left(&mut gate, &report(ssrc, &[OWN]));
            let _ = gate.admits_stream(NOW, ssrc.wrapping_add(1));
        }
        prop_assert!(gate.streams.len() <= LIMIT && gate.reporters.len() <= LIMIT);
    }
}
