//! Offers drawn from a grammar of what is legal, each thing said in one of the ways that clients say
//! it, and what has to be read of them whatever way was drawn.

use proptest::prelude::*;

use super::super::media::PROFILES;
use super::*;
use crate::media::sdp::draw::draw;

const DIGEST: &str = "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
                      10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";

/// Where something that holds for all m-lines is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Session,
    EachLine,
    TaggedLine,
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place::Session),
        Just(Place::EachLine),
        Just(Place::TaggedLine)
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawn {
    Audio,
    Video,
    Stopped,
    Application,
}

#[derive(Debug, Clone)]
struct DrawnLine {
    kind: Drawn,
    mid: String,
    direction: Option<Direction>,
    profile: &'static str,
    h264: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct DrawnOffer {
    lines: Vec<DrawnLine>,
    credentials: Place,
    certificate: Place,
    setup: Place,
    session_direction: Option<Direction>,
    weak_fingerprint_first: bool,
    absent_mid: bool,
    other_group_first: bool,
    line_end: &'static str,
}

fn direction() -> impl Strategy<Value = Option<Direction>> {
    proptest::option::of(prop_oneof![
        Just(Direction::Sends),
        Just(Direction::Receives),
        Just(Direction::Both)
    ])
}

prop_compose! {
    fn drawn_line()(
        kind in prop_oneof![
            4 => Just(Drawn::Audio),
            4 => Just(Drawn::Video),
            1 => Just(Drawn::Stopped),
            1 => Just(Drawn::Application),
        ],
        mid in "[a-zA-Z0-9!#$%&'*+.^_`{|}~-]{1,40}",
        direction in direction(),
        profile in proptest::sample::select(&PROFILES[..]),
        h264 in proptest::option::of(proptest::sample::select(vec![
            "",
            "packetization-mode=0",
            "profile-level-id=42e01f; packetization-mode=1",
        ])),
    ) -> DrawnLine {
        DrawnLine { kind, mid, direction, profile, h264 }
    }
}

prop_compose! {
    fn drawn_offer()(
        lines in proptest::collection::vec(drawn_line(), 1..8),
        credentials in place(),
        certificate in place(),
        setup in place(),
        session_direction in direction(),
        (weak_fingerprint_first, absent_mid, other_group_first) in any::<(bool, bool, bool)>(),
        line_end in proptest::sample::select(vec!["\r\n", "\n", " \r\n", "\r\n\r\n"]),
    ) -> DrawnOffer {
        let mut lines = lines;
        for (index, line) in lines.iter_mut().enumerate() {
            line.mid.push_str(&index.to_string());
        }
        DrawnOffer {
            lines, credentials, certificate, setup, session_direction,
            weak_fingerprint_first, absent_mid, other_group_first, line_end,
        }
    }
}

impl DrawnOffer {
    fn in_use(&self) -> impl Iterator<Item = &DrawnLine> {
        let media = |line: &&DrawnLine| matches!(line.kind, Drawn::Audio | Drawn::Video);
        self.lines.iter().filter(media)
    }

    fn text(&self) -> String {
        let mut lines: Vec<String> = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
            .map(str::to_owned)
            .into();
        let used: Vec<&str> = self
            .lines
            .iter()
            .filter(|line| line.kind != Drawn::Stopped)
            .map(|line| line.mid.as_str())
            .collect();
        if self.other_group_first {
            lines.push(format!("a=group:LS {}", used.join(" ")));
        }
        let absent = if self.absent_mid {
            " not-there not-there"
        } else {
            ""
        };
        lines.push(format!("a=group:BUNDLE {}{absent}", used.join(" ")));
        if let Some(direction) = self.session_direction {
            lines.push(format!("a={}", direction.name()));
        }
        lines.extend(self.transport(Place::Session));
        let mut tagged = true;
        for line in &self.lines {
            self.push_line(&mut lines, line, tagged);
            tagged &= line.kind == Drawn::Stopped;
        }
        lines.join(self.line_end) + self.line_end
    }

    fn transport(&self, place: Place) -> Vec<String> {
        let mut said = Vec::new();
        if self.credentials == place {
            said.push("a=ice-ufrag:Qm3k".to_owned());
            said.push("a=ice-pwd:vR7tYc2LwXq9Zb4NsHd8Kf1P".to_owned());
        }
        if self.certificate == place {
            if self.weak_fingerprint_first {
                said.push(format!("a=fingerprint:sha-1 {}", &DIGEST[..59]));
            }
            said.push(format!("a=fingerprint:sha-256 {DIGEST}"));
        }
        if self.setup == place {
            said.push("a=setup:actpass".to_owned());
        }
        said
    }

    fn push_line(&self, lines: &mut Vec<String>, line: &DrawnLine, tagged: bool) {
        let (kind, port, profile, formats) = match line.kind {
            Drawn::Audio => ("audio", 9, line.profile, "0 111"),
            Drawn::Video => ("video", 9, line.profile, "96 97 102"),
            Drawn::Stopped => ("video", 0, line.profile, "96"),
            Drawn::Application => ("application", 9, "UDP/DTLS/SCTP", "webrtc-datachannel"),
        };
        // Only the tagged line, and those that describe themselves, need a port of their own.
        let bare = !tagged && self.credentials == Place::TaggedLine && kind != "application";
        let port = if bare { 0 } else { port };
        lines.push(format!("m={kind} {port} {profile} {formats}"));
        lines.push(format!("a=mid:{}", line.mid));
        if bare && line.kind != Drawn::Stopped {
            lines.push("a=bundle-only".to_owned());
        }
        lines.extend(self.transport(Place::EachLine));
        if tagged && line.kind != Drawn::Stopped {
            lines.extend(self.transport(Place::TaggedLine));
        }
        lines.push("a=rtcp-mux".to_owned());
        lines.extend(
            line.direction
                .map(|direction| format!("a={}", direction.name())),
        );
        lines.extend(match line.kind {
            Drawn::Audio => vec!["a=rtpmap:111 opus/48000/2".to_owned()],
            Drawn::Video => vec![
                "a=rtpmap:96 VP8/90000".to_owned(),
                "a=rtpmap:97 rtx/90000".to_owned(),
                "a=fmtp:97 apt=96".to_owned(),
                "a=rtcp-fb:* nack pli".to_owned(),
            ],
            _ => Vec::new(),
        });
        // One meaning for 102 in the whole transport.
        let h264 = self.lines.iter().find_map(|line| line.h264);
        if let (Drawn::Video, Some(parameters)) = (line.kind, h264) {
            lines.push("a=rtpmap:102 H264/90000".to_owned());
            lines.push(format!("a=fmtp:102 {parameters}"));
        }
    }
}

fn check(drawn: &DrawnOffer) -> Result<(), TestCaseError> {
    let text = drawn.text();
    let used: Vec<&DrawnLine> = drawn.in_use().collect();
    let offer = match parse(&text) {
        Ok(offer) => offer,
        Err(_) if used.is_empty() => return Ok(()),
        Err(error) => return Err(TestCaseError::fail(format!("{error}\n{text}"))),
    };
    let mids: Vec<&str> = offer.lines.iter().map(|line| line.mid.0.as_str()).collect();
    let expected: Vec<&str> = used.iter().map(|line| line.mid.as_str()).collect();
    prop_assert_eq!(mids, expected);
    prop_assert_eq!(offer.client_lines.len(), drawn.lines.len());
    prop_assert_eq!(&offer.transport.fingerprint.hash, "sha-256");
    for (line, drawn_line) in offer.lines.iter().zip(&used) {
        let direction = drawn_line.direction.or(drawn.session_direction);
        prop_assert_eq!(line.direction, direction.unwrap_or(Direction::Both));
        let codec = line
            .codecs
            .iter()
            .find(|c| [111, 96].contains(&c.payload_type));
        prop_assert!(codec.is_some(), "{}", text);
    }
    check_canonical(&offer)
}

/// What webrtcbin is given means the same again, and GStreamer can read it.
fn check_canonical(offer: &Offer) -> Result<(), TestCaseError> {
    let roles: Vec<(Mid, Role)> = offer
        .lines
        .iter()
        .map(|line| {
            let role = match line.kind {
                Kind::Audio => Role::ForwardAudio,
                Kind::Video => Role::ForwardVideo,
            };
            (line.mid.clone(), role)
        })
        .collect();
    let receiving = Offer {
        lines: offer
            .lines
            .iter()
            .map(|line| OfferedLine {
                direction: Direction::Receives,
                ..line.clone()
            })
            .collect(),
        ..offer.clone()
    };
    let lines = plan(&receiving, &RoleSource::Named(&roles), &VIDEO);
    let lines = lines.map_err(|error| TestCaseError::fail(error.to_string()))?;
    let canonical = receiving.canonical(&lines, &receiving.transport.candidates);
    let again = parse(&canonical).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&again.transport, &receiving.transport);
    prop_assert_eq!(
        again.canonical(&lines, &again.transport.candidates),
        canonical.clone()
    );
    let read = gst_sdp::SDPMessage::parse_buffer(canonical.as_bytes());
    prop_assert!(read.is_ok_and(|sdp| sdp.medias_len() as usize == lines.len()));
    Ok(())
}

#[test]
fn fuzz_every_way_to_say_an_offer_means_the_same() {
    gst::init().expect("gst");
    draw(drawn_offer(), |drawn| check(&drawn));
}

/// Lines of a legal offer, left out, said twice and cut: whatever comes of it, it is an offer or a
/// refusal, and an offer is one that GStreamer reads.
#[test]
fn fuzz_damaged_offers_are_refused_or_read() {
    gst::init().expect("gst");
    let damage = proptest::collection::vec((any::<prop::sample::Index>(), 0..4u8), 1..6);
    draw((drawn_offer(), damage), |(drawn, damage)| {
        let mut lines: Vec<String> = drawn.text().lines().map(str::to_owned).collect();
        for (place, kind) in damage {
            let index = place.index(lines.len());
            match kind {
                0 => drop(lines.remove(index)),
                1 => lines.insert(index, lines[index].clone()),
                2 => {
                    let middle = lines[index].len() / 2;
                    lines[index].truncate(middle);
                }
                _ => lines.swap(index, 0),
            }
            if lines.is_empty() {
                break;
            }
        }
        match parse(&lines.join("\r\n")) {
            Ok(offer) => check_readable(&offer),
            Err(error) => {
                prop_assert!(!error.to_string().is_empty());
                Ok(())
            }
        }
    });
}

/// Whether what webrtcbin would be given of a damaged offer is SDP with a line for each of its.
fn check_readable(offer: &Offer) -> Result<(), TestCaseError> {
    if let Ok(lines) = plan(offer, &RoleSource::Publish, &VIDEO) {
        let canonical = offer.canonical(&lines, &offer.transport.candidates);
        let read = gst_sdp::SDPMessage::parse_buffer(canonical.as_bytes());
        prop_assert!(read.is_ok_and(|sdp| sdp.medias_len() as usize == lines.len()));
    }
    Ok(())
}
