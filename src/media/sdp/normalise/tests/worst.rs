//! Offers as long as a message can be, in the shapes that cost the most to read.

use std::time::{Duration, Instant};

use super::*;

/// Length of the offers, bytes.
const LENGTH: usize = 250_000;
/// A hundred times what the slowest of them takes in a build without optimisation.
const PATIENCE: Duration = Duration::from_secs(2);

/// `line` as often as fits in `bytes`, each with another number in place of `#`.
fn numbered(line: &str, bytes: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        text.push_str(&line.replace('#', &number.to_string()));
    }
    text
}

/// The usual offer, with `more` behind its session, its sound and its picture.
fn with(more: [&str; 3]) -> String {
    let (session, audio, video) = sections(USUAL);
    let [of_session, of_audio, of_video] = more;
    format!("{session}{of_session}{audio}{of_audio}{video}{of_video}")
}

/// As many m-lines as are taken, each with as many lines of `line` as fit in its share.
fn many_m_lines(line: &str) -> String {
    let (session, _, video) = sections(USUAL);
    let mids: Vec<String> = (0..32).map(|n| n.to_string()).collect();
    let mut text = changed(
        &session,
        "BUNDLE 0 1",
        &format!("BUNDLE {}", mids.join(" ")),
    );
    for mid in &mids {
        text.push_str(&changed(&video, "a=mid:1", &format!("a=mid:{mid}")));
        text.push_str(&numbered(line, LENGTH / 40));
    }
    text
}

fn shapes() -> Vec<(&'static str, String)> {
    let types = numbered(" #", LENGTH);
    let all_types: String = (0..128).map(|n| format!(" {n}")).collect();
    let full = |line: &str| {
        let text = with(["", "", &numbered(line, LENGTH / 32)]);
        changed(&text, "SAVPF 102", &format!("SAVPF 102{all_types}"))
    };
    let half = numbered("a=rtpmap:102 H264/90000\r\n", LENGTH / 2);
    let half = with(["", "", &half]);
    vec![
        (
            "payload types and attributes",
            changed(
                &half,
                "SAVPF 102",
                &format!("SAVPF 102{}", &types[..LENGTH / 2]),
            ),
        ),
        ("attributes", with([&numbered("a=x#\r\n", LENGTH), "", ""])),
        (
            "groups",
            with([&numbered("a=group:BUNDLE #\r\n", LENGTH), "", ""]),
        ),
        (
            "a long group",
            changed(USUAL, "BUNDLE 0 1", &format!("BUNDLE 0 1{types}")),
        ),
        (
            "m-lines",
            with(["", "", &numbered("m=video 9 x 0\r\n", LENGTH)]),
        ),
        ("empty lines", with(["", "", &"\n".repeat(LENGTH)])),
        ("feedback of all types", full("a=rtcp-fb:* nack\r\n")),
        ("mappings of all types", full("a=rtpmap:# H264/90000\r\n")),
        (
            "parameters of all types",
            full("a=fmtp:# x=1;y=2;apt=3\r\n"),
        ),
        (
            "long parameters",
            changed(USUAL, "minptime=10;", &"minptime=;".repeat(LENGTH / 10)),
        ),
        ("extensions", many_m_lines("a=extmap:# urn:x\r\n")),
        ("ssrcs", many_m_lines("a=ssrc:# cname:x\r\n")),
        ("encodings", many_m_lines("a=rid:# send\r\n")),
        ("fingerprints", many_m_lines("a=fingerprint:x #\r\n")),
        ("candidates", many_m_lines("a=candidate:#\r\n")),
    ]
}

#[test]
fn the_worst_shapes_are_read_or_refused_at_once() {
    for (name, text) in shapes() {
        assert!(text.len() > LENGTH / 40, "{name}: {}", text.len());
        let began = Instant::now();
        let offer = parse(&text);
        if let Ok(offer) = &offer {
            let _ = plan(offer, &RoleSource::Publish, &VIDEO);
        }
        let took = began.elapsed();
        assert!(took < PATIENCE, "{name}: {took:?}, {:?}", offer.is_ok());
    }
}

#[test]
fn payload_types_by_the_thousand_are_refused_by_their_number() {
    let types = numbered(" #", 200_000);
    let text = changed(USUAL, "SAVPF 102", &format!("SAVPF 102{types}"));
    let Err(OfferError::Malformed(words)) = parse(&text) else {
        panic!("it is taken");
    };
    assert!(words.contains("bytes"), "{words}");
    let some = changed(USUAL, "SAVPF 102", &format!("SAVPF{}", " 102".repeat(129)));
    let Err(OfferError::Malformed(words)) = parse(&some) else {
        panic!("it is taken");
    };
    assert!(words.contains("payload types"), "{words}");
}
