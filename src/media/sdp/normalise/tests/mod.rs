use super::*;
use crate::codec::Codec;
use crate::id::{Mid, Role};
use crate::media::sdp::plan::{RoleSource, plan};

mod grammar;
mod worst;

const VIDEO: [crate::codec::VideoCodec; 2] = [
    crate::codec::VideoCodec::H264,
    crate::codec::VideoCodec::Vp8,
];

/// Two m-lines as most clients write them, sound first, and one that was stopped.
const USUAL: &str = include_str!("../../../../../tests/data/offers/f12-stopped-line.sdp");

fn parse(text: &str) -> Result<Offer, OfferError> {
    Offer::parse(text, 32)
}

/// The offer of `text` with a change that has to be possible.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is not in the offer");
    text.replace(from, to)
}

/// The refusal of a text in which each of `changes` is made.
fn refusal(changes: &[(&str, &str)]) -> String {
    let text = changes.iter().fold(USUAL.to_owned(), |text, (from, to)| {
        changed(&text, from, to)
    });
    match parse(&text) {
        Err(OfferError::Malformed(words)) => words,
        other => panic!("{changes:?}: {other:?}"),
    }
}

#[test]
fn what_a_connection_needs_and_lacks_is_named() {
    for (changes, words) in [
        (&[("a=mid:1", "a=mid:0")][..], "same a=mid:0"),
        (
            &[("a=mid:1", "a=mid:a,b")],
            "characters that a name cannot have",
        ),
        (&[("a=group:BUNDLE 0 1\r\n", "")], "share one transport"),
        (
            &[("a=group:BUNDLE 0 1", "a=group:BUNDLE 0")],
            "share one transport",
        ),
        (
            &[("a=group:BUNDLE 0 1", "a=group:LS 0 1")],
            "share one transport",
        ),
        (&[("a=mid:1\r\n", "")], "no a=mid"),
        (&[("a=ice-ufrag:Qm3k\r\n", "")], "a=ice-ufrag"),
        (
            &[("a=ice-pwd:vR7tYc2LwXq9Zb4NsHd8Kf1P\r\n", "")],
            "a=ice-pwd",
        ),
        (&[("a=ice-ufrag:Qm3k", "a=ice-ufrag:Qm 3k")], "a=ice-ufrag"),
        (&[("a=setup:actpass\r\n", "")], "a=setup"),
        (&[("a=setup:actpass", "a=setup:holdconn")], "a=setup"),
        (&[("a=rtcp-mux\r\n", "")], "a=rtcp-mux"),
        (
            &[("a=fingerprint:sha-256", "a=fingerprint:sha-1")],
            "sha-256, sha-384 or sha-512",
        ),
        (&[("03:0A:11", "03:0A")], "32 bytes"),
        (
            &[("m=audio 9", "m=audio 0"), ("m=video 9", "m=video 0")],
            "in use",
        ),
        (&[("UDP/TLS/RTP/SAVPF", "RTP/AVPX")], "RTP/AVPX"),
    ] {
        let said = refusal(changes);
        assert!(said.contains(words), "{changes:?}: {said}");
    }
    for text in ["", "v=0\r\ns=-\r\n"] {
        assert!(
            matches!(parse(text), Err(OfferError::Malformed(_))),
            "{text:?}"
        );
    }
}

#[test]
fn two_certificates_of_one_hash_are_refused() {
    let two = USUAL.replacen("03:0A:11", "04:0A:11", 1);
    let refused = parse(&two).expect_err("two certificates");
    assert!(
        refused
            .to_string()
            .contains("different fingerprints by sha-256")
    );
}

#[test]
fn the_strongest_fingerprint_is_used_wherever_it_stands() {
    let strong = format!("a=fingerprint:SHA-512 {}", ["ab"; 64].join(":"));
    let text = changed(
        USUAL,
        "a=setup:actpass\r\n",
        &format!("a=setup:actpass\r\n{strong}\r\n"),
    );
    let fingerprint = parse(&text).expect("an offer").transport.fingerprint;
    assert_eq!(fingerprint.hash, "sha-512");
}

/// RFC 9725 prints such an offer: the second m-line has port 0 and no transport of its own.
#[test]
fn bundled_lines_inherit_the_transport_of_the_tagged_one() {
    let (session, audio, video) = sections(USUAL);
    let bare: String = video
        .split_inclusive("\r\n")
        .filter(|line| {
            let transport = ["a=ice", "a=fingerprint", "a=setup", "a=rtcp-mux"];
            !transport.iter().any(|name| line.starts_with(name))
        })
        .collect();
    let bare = changed(&bare, "m=video 9", "m=video 0") + "a=bundle-only\r\n";
    for text in [
        format!("{session}{audio}{bare}"),
        format!("{session}{bare}{audio}").replace("BUNDLE 0 1", "BUNDLE 1 0"),
    ] {
        let offer = parse(&text).expect("an offer");
        assert_eq!(offer.lines.len(), 2);
        assert_eq!(offer.transport.ufrag, "Qm3k");
    }
}

#[test]
fn what_the_session_says_holds_for_all_m_lines() {
    let transport = "a=ice-ufrag:Qm3k\r\na=setup:actpass\r\na=sendonly\r\n\
                     a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
    let moved = changed(USUAL, "a=ice-ufrag:Qm3k\r\na=", "a=");
    let moved = changed(
        &changed(&moved, "a=setup:actpass\r\n", ""),
        "a=sendonly\r\n",
        "",
    );
    let text = changed(&moved, "t=0 0\r\n", &format!("t=0 0\r\n{transport}"));
    let offer = parse(&text).expect("an offer");
    for line in &offer.lines {
        assert_eq!(line.direction, Direction::Sends);
        assert_eq!(line.extensions.len(), 1);
    }
}

#[test]
fn one_payload_type_may_be_said_twice_but_not_mean_two_things() {
    let h264 = |mode: &str| format!("packetization-mode={mode};profile-level-id=42e01f");
    let (session, audio, video) = sections(USUAL);
    let twice = changed(&video, "a=mid:1", "a=mid:3");
    let session = changed(&session, "BUNDLE 0 1", "BUNDLE 0 1 3");
    let same = format!("{session}{audio}{video}{twice}");
    assert!(parse(&same).is_ok(), "{:?}", parse(&same));
    let other = changed(&twice, &h264("1"), &h264("0"));
    let refused = parse(&format!("{session}{audio}{video}{other}")).expect_err("two meanings");
    assert!(
        refused.to_string().contains("payload type 102"),
        "{refused}"
    );
    let wishes = changed(&audio, "minptime=10;", "minptime=10;stereo=1;").replace("mid:0", "mid:3");
    let offer = parse(&format!("{session}{audio}{video}{wishes}"));
    assert!(offer.is_ok(), "wishes of a receiver: {offer:?}");
}

#[test]
fn retransmissions_go_with_their_codec_whatever_stands_first() {
    let text = changed(USUAL, "SAVPF 102", "SAVPF 97 99 102 96")
        + "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
           a=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=102\r\n";
    let (session, audio, _) = sections(USUAL);
    let video = &text[text.rfind("m=video").expect("a line")..];
    let video = video
        .replacen("m=video 0", "m=video 9", 1)
        .replace("mid:2", "mid:1");
    let video = video.replace("a=inactive", "a=sendonly");
    let offer = parse(&format!("{session}{audio}{video}")).expect("an offer");
    let codecs = &offer.lines[1].codecs;
    let pairs: Vec<_> = codecs.iter().map(|c| (c.payload_type, c.rtx)).collect();
    assert_eq!(pairs, [(102, Some(99)), (96, Some(97))]);
    let plan = plan(&offer, &RoleSource::Publish, &VIDEO).expect("a plan");
    assert!(
        offer
            .canonical(&plan, &[])
            .contains("m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n")
    );
}

#[test]
fn h264_is_received_in_any_mode_and_sent_in_one_alone() {
    for text in [
        include_str!("../../../../../tests/data/offers/f09-h264-mode0.sdp"),
        include_str!("../../../../../tests/data/offers/f09-h264-no-fmtp.sdp"),
    ] {
        let lines = plan(
            &parse(text).expect("an offer"),
            &RoleSource::Publish,
            &VIDEO,
        );
        assert_eq!(lines.expect("a plan")[1].format, Codec::H264);
        let play = parse(&text.replace("sendonly", "recvonly")).expect("an offer");
        let refused = plan(&play, &RoleSource::Play, &VIDEO).expect_err("cannot be sent");
        assert!(
            refused.to_string().contains("packetization-mode"),
            "{refused}"
        );
    }
}

#[test]
fn an_answer_has_the_m_lines_of_the_offer() {
    let text = USUAL.to_owned()
        + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data\r\n\
           a=setup:actpass\r\na=sctp-port:5000\r\n";
    let offer = parse(&text.replace("SAVPF", "SAVP")).expect("an offer");
    let roles = [
        (Mid("0".into()), Role::Mic),
        (Mid("1".into()), Role::Camera),
    ];
    let lines = plan(&offer, &RoleSource::Named(&roles), &VIDEO).expect("a plan");
    let made = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=recvonly\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 102\r\na=mid:1\r\na=fmtp:102 packetization-mode=1\r\n";
    let answer = offer.answer(made, &lines).expect("whole");
    let expected = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVP 111\r\na=mid:0\r\na=recvonly\r\n\
        m=video 9 UDP/TLS/RTP/SAVP 102\r\na=mid:1\r\n\
        a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
        m=video 0 UDP/TLS/RTP/SAVP 102\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=inactive\r\n\
        m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\n\
        a=inactive\r\n";
    assert_eq!(answer, expected);
    assert_eq!(
        offer.answer("v=0\r\nm=audio 9 x 111\r\n", &lines),
        None,
        "half of it"
    );
    let whip = plan(&offer, &RoleSource::Publish, &VIDEO).expect_err("a data channel");
    assert!(
        whip.to_string().contains("neither audio nor video"),
        "{whip}"
    );
}

#[test]
fn a_single_line_needs_neither_a_group_nor_a_name() {
    let text = include_str!("../../../../../tests/data/offers/f03-video-only-no-bundle.sdp");
    let offer = parse(&changed(text, "a=mid:video0\r\n", "")).expect("an offer");
    let lines = plan(&offer, &RoleSource::Publish, &VIDEO).expect("a plan");
    let made = "v=0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\na=mid:0\r\n";
    let answer = offer.answer(made, &lines).expect("whole");
    assert!(
        !answer.contains("BUNDLE") && !answer.contains("a=mid"),
        "{answer}"
    );
}

/// Session, first and second m-line of a description.
fn sections(text: &str) -> (String, String, String) {
    let starts: Vec<usize> = text.match_indices("m=").map(|(at, _)| at).collect();
    let end = starts.get(2).copied().unwrap_or(text.len());
    (
        text[..starts[0]].to_owned(),
        text[starts[0]..starts[1]].to_owned(),
        text[starts[1]..end].to_owned(),
    )
}

/// Each of these would be a hundred times as much if what is said often were kept as often.
#[test]
fn what_is_said_a_hundred_times_is_kept_once() {
    let (session, audio, video) = sections(USUAL);
    let group = changed(
        &session,
        "BUNDLE 0 1",
        &format!("BUNDLE{}", " 0 1".repeat(3_000)),
    );
    let prints = "a=fingerprint:x\r\n".repeat(800);
    let offer = parse(&format!("{group}{audio}{prints}{video}")).expect("an offer");
    assert_eq!(offer.bundle, Some(vec!["0".to_owned(), "1".to_owned()]));
    let feedback = "a=rtcp-fb:* nack\r\na=rtcp-fb:* x\r\n".repeat(400);
    let offer = parse(&format!("{session}{audio}{video}{feedback}")).expect("an offer");
    assert_eq!(offer.lines[1].codecs[0].feedback, ["nack"]);
    let long = changed(&video, "a=mid:1", &format!("a=mid:{}", "1".repeat(256)));
    assert!(parse(&format!("{session}{audio}{long}")).is_err());
}

/// GStreamer makes attributes of some format parameters.
#[test]
fn webrtcbin_is_given_no_parameter_but_those_it_knows() {
    let odd = "a-sendonly=1;extmap-5=urn:x;useinbandfec=1;minptime=1 0";
    let text = changed(USUAL, "minptime=10;useinbandfec=1", odd);
    let offer = parse(&text).expect("an offer");
    assert_eq!(offer.lines[0].codecs[0].parameters, "useinbandfec=1");
}

#[test]
fn a_codec_at_another_clock_rate_is_another_codec() {
    let (session, audio, video) = sections(USUAL);
    for mapping in ["opus/44100/2", "opus", "opus/x"] {
        let audio = changed(&audio, "opus/48000/2", mapping);
        let offer = parse(&format!("{session}{audio}{video}")).expect("an offer");
        assert!(offer.lines[0].codecs.is_empty(), "{mapping}");
    }
}

#[test]
fn the_answer_keeps_the_order_of_the_group() {
    let text = changed(USUAL, "BUNDLE 0 1", "BUNDLE 1 0");
    let offer = parse(&text).expect("an offer");
    assert_eq!(offer.bundle, Some(vec!["1".to_owned(), "0".to_owned()]));
}

#[test]
fn an_m_line_says_more_of_its_certificate_than_the_session() {
    let stale = format!(
        "t=0 0\r\na=fingerprint:sha-512 {}\r\n",
        ["ab"; 64].join(":")
    );
    let offer = parse(&changed(USUAL, "t=0 0\r\n", &stale)).expect("an offer");
    assert_eq!(offer.transport.fingerprint.hash, "sha-256");
}
