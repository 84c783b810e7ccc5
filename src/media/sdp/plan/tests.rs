use super::*;
use crate::id::Rid;
use crate::media::bwe::fec::Fec;
use crate::media::rtp::extensions::{MID, REPAIRED_RID, RID};

const VIDEO: [VideoCodec; 3] = [VideoCodec::H264, VideoCodec::Vp8, VideoCodec::Vp9];
const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
const TRANSPORT: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
    a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
    10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\na=setup:actpass\r\na=rtcp-mux\r\n";
const OPUS: &str = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";
const CODECS: &str = "a=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\n\
    a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n\
    a=rtpmap:103 H264/90000\r\n\
    a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
    a=rtpmap:104 H264/90000\r\n\
    a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
    a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\n\
    a=rtpmap:100 VP9/90000\r\na=fmtp:100 profile-id=2\r\n";

fn audio(mid: &str, direction: &str) -> String {
    format!(
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n\
         a={direction}\r\n{TRANSPORT}{OPUS}"
    )
}

fn video(mid: &str, direction: &str) -> String {
    format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 96 102 103 104 98 100\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n\
         a={direction}\r\n{TRANSPORT}{CODECS}"
    )
}

fn offer(lines: &[String]) -> String {
    let mids: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split("a=mid:").nth(1)?.split("\r\n").next())
        .collect();
    format!(
        "{HEAD}a=group:BUNDLE {}\r\n{}",
        mids.join(" "),
        lines.concat()
    )
}

fn parse(text: &str) -> Result<Offer, OfferError> {
    Offer::parse(text, 32)
}

fn named(roles: &[(&str, Role)]) -> Vec<(Mid, Role)> {
    roles
        .iter()
        .map(|(mid, role)| (Mid((*mid).to_owned()), *role))
        .collect()
}

#[test]
fn sound_is_protected_for_those_who_say_that_they_make_use_of_it() {
    let fec = |line: String| {
        let offer = parse(&offer(&[line])).expect("a good offer");
        let plan = plan(&offer, &RoleSource::Play, &VIDEO).expect("a plan");
        plan[0].fec
    };
    let sound = audio("0", "recvonly");
    assert_eq!(fec(sound.clone()), Fec::On);
    for says in ["useinbandfec=0", "stereo=1"] {
        let other = sound.replace("useinbandfec=1", says);
        assert_eq!(fec(other), Fec::Off, "{says}");
    }
    assert_eq!(fec(video("0", "recvonly")), Fec::Off);
}

/// Browsers repeat what they say only to those who say that they make use of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_of_sound_both_ways_that_fec_is_used() {
    gst::init().expect("GStreamer");
    use crate::media::peer::{Peer, Transport};
    let offer = parse(&offer(&[audio("0", "sendonly"), audio("1", "recvonly")]));
    let roles = named(&[("0", Role::Mic), ("1", Role::MixAudio)]);
    let offer = offer.expect("a good offer");
    let plan = plan(&offer, &RoleSource::Named(&roles), &VIDEO);
    let transport = Transport {
        media_ips: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        ..Transport::default()
    };
    let ignore = std::sync::Arc::new(|_| {});
    let plan = plan.expect("a plan");
    let answer = Peer::answer("answer".to_owned(), &offer, plan, &transport, ignore);
    let (_peer, answer) = answer.await.expect("an answer");
    let said = answer
        .matches("a=fmtp:111 minptime=10;useinbandfec=1")
        .count();
    assert_eq!(said, 2, "{answer}");
}

#[test]
fn each_m_line_gets_the_codec_its_role_likes_best() {
    let text = offer(&[
        audio("0", "sendonly"),
        video("1", "sendonly"),
        audio("2", "recvonly"),
        video("3", "recvonly"),
    ]);
    let roles = named(&[
        ("0", Role::Mic),
        ("1", Role::Camera),
        ("2", Role::MixAudio),
        ("3", Role::MixVideo),
    ]);
    let offer = parse(&text).expect("a good offer");
    let lines = plan(&offer, &RoleSource::Named(&roles), &VIDEO).expect("a plan");
    let chosen: Vec<_> = lines
        .iter()
        .map(|line| (line.format, line.payload_type))
        .collect();
    assert_eq!(
        chosen,
        [
            (Codec::Opus, 111),
            (Codec::Vp8, 96),
            (Codec::Opus, 111),
            (Codec::H264, 104),
        ],
        "constrained baseline in packetization mode 1 for the mix, VP8 upwards"
    );
    let lines = plan(&offer, &RoleSource::Named(&roles), &[VideoCodec::Vp8]).expect("a plan");
    assert_eq!(lines[3].format, Codec::Vp8, "H.264 turned off");
}

#[test]
fn whip_and_whep_take_their_roles_from_the_kind() {
    let publish = parse(&offer(&[audio("a", "sendonly"), video("v", "sendonly")])).expect("ok");
    let lines = plan(&publish, &RoleSource::Publish, &VIDEO).expect("a plan");
    assert_eq!([lines[0].role, lines[1].role], [Role::Mic, Role::Camera]);
    let wrong = plan(&publish, &RoleSource::Play, &VIDEO);
    assert!(matches!(wrong, Err(OfferError::Roles(_))), "{wrong:?}");
}

#[test]
fn too_many_m_lines_and_strange_codecs_are_named() {
    let many: Vec<String> = (0..40).map(|n| audio(&n.to_string(), "recvonly")).collect();
    let outcome = parse(&offer(&many)).map(drop);
    assert_eq!(
        outcome,
        Err(OfferError::TooManyMlines { got: 40, limit: 32 })
    );
    let strange = offer(&[audio("0", "sendonly").replace("opus", "SPEEX")]);
    let strange = parse(&strange).expect("parses");
    let outcome = plan(&strange, &RoleSource::Publish, &VIDEO);
    assert!(
        matches!(outcome, Err(OfferError::Codec { .. })),
        "{outcome:?}"
    );
}

#[test]
fn old_codecs_of_sound_are_taken_where_there_is_no_opus() {
    use crate::codec::LegacyCodec;
    let chosen = |formats: &str, maps: &str| {
        let line = audio("0", "sendonly").replace("SAVPF 111", &format!("SAVPF {formats}"));
        let offer = parse(&offer(&[line + maps])).expect("an offer");
        let lines = plan(&offer, &RoleSource::Publish, &VIDEO).expect("a plan");
        (lines[0].format, lines[0].legacy, lines[0].payload_type)
    };
    let g722 = "a=rtpmap:9 G722/8000\r\n";
    assert_eq!(chosen("8 0 9 111", g722), (Codec::Opus, None, 111));
    assert_eq!(
        chosen("8 0 9", g722),
        (Codec::Opus, Some(LegacyCodec::G722), 9)
    );
    assert_eq!(chosen("8 0", ""), (Codec::Opus, Some(LegacyCodec::Pcmu), 0));
    assert_eq!(chosen("8", ""), (Codec::Opus, Some(LegacyCodec::Pcma), 8));
}

#[test]
fn roles_must_match_m_lines() {
    let text = offer(&[audio("0", "sendonly"), audio("1", "recvonly")]);
    let offer = parse(&text).expect("ok");
    for roles in [
        named(&[("0", Role::Mic)]),
        named(&[("0", Role::Mic), ("2", Role::MixAudio)]),
        named(&[("0", Role::Camera), ("1", Role::MixAudio)]),
        named(&[("0", Role::MixAudio), ("1", Role::Mic)]),
        named(&[("0", Role::Mic), ("1", Role::Mic)]),
    ] {
        let outcome = plan(&offer, &RoleSource::Named(&roles), &VIDEO);
        assert!(
            matches!(outcome, Err(OfferError::Roles(_))),
            "{roles:?}: {outcome:?}"
        );
    }
}

#[test]
fn a_camera_in_several_encodings_is_taken_where_its_packets_can_name_them() {
    let extmap =
        |id, name: &str| format!("a=extmap:{id} urn:ietf:params:rtp-hdrext:sdes:{name}\r\n");
    let naming = extmap(4, "mid") + &extmap(10, "rtp-stream-id");
    let repaired = extmap(11, "repaired-rtp-stream-id");
    let simulcast = "a=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n";
    let planned = |camera: String| {
        let text = offer(&[audio("0", "sendonly"), camera]);
        let offer = parse(&text).expect("a good offer");
        let lines = plan(&offer, &RoleSource::Publish, &VIDEO).expect("a plan");
        lines[1].clone()
    };
    let names = |line: &Line| line.rids.iter().map(Rid::to_string).collect::<Vec<_>>();
    let good = planned(video("1", "sendonly") + &naming + &repaired + simulcast);
    assert_eq!(names(&good), ["q", "f"]);
    assert_eq!(good.extension(RID), Some(10));
    assert_eq!(good.extension(REPAIRED_RID), Some(11));
    for camera in [
        video("1", "sendonly") + &naming + simulcast,
        video("1", "sendonly") + &naming + &repaired,
        video("1", "sendonly") + &naming + &repaired + "a=rid:q send\r\na=simulcast:send q\r\n",
        video("1", "sendonly") + &naming + &repaired + simulcast + "a=rid:f send\r\n",
    ] {
        let one = planned(camera);
        assert_eq!(names(&one), [""; 0]);
        assert_eq!(one.extension(MID), Some(4));
        assert_eq!(
            (one.extension(RID), one.extension(REPAIRED_RID)),
            (None, None)
        );
    }
}

#[test]
fn who_publishes_over_http_is_told_by_remb_where_the_offer_takes_that() {
    let told = |feedback: &str, source: &RoleSource<'_>| {
        let camera = video("1", "sendonly") + feedback;
        let offer = parse(&offer(&[audio("0", "sendonly"), camera])).expect("a good offer");
        let lines = plan(&offer, source, &VIDEO).expect("a plan");
        lines
            .iter()
            .map(|line| line.bitrate_control)
            .collect::<Vec<_>>()
    };
    let remb = "a=rtcp-fb:96 nack\r\na=rtcp-fb:96 goog-remb\r\n";
    let by_remb = [BitrateControl::Signalling, BitrateControl::Remb];
    assert_eq!(told(remb, &RoleSource::Publish), by_remb);
    assert_eq!(
        told("a=rtcp-fb:* goog-remb\r\n", &RoleSource::Publish),
        by_remb
    );
    let elsewhere = [BitrateControl::Signalling; 2];
    // Of a codec that is not the one answered with.
    let other = "a=rtcp-fb:98 goog-remb\r\na=rtcp-fb:96 transport-cc\r\n";
    assert_eq!(told(other, &RoleSource::Publish), elsewhere);
    // Participants with signalling are told by that.
    let roles = named(&[("0", Role::Mic), ("1", Role::Camera)]);
    assert_eq!(told(remb, &RoleSource::Named(&roles)), elsewhere);
}
