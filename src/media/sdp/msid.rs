//! Which m-lines of an answer are of one stream (`a=msid`, RFC 8830); pure.
//!
//! A browser plays in sync what is of one stream, and where that has several pictures only one of them.
//! So the mix is a stream, and each pair of forward slots is one.

use super::line::Line;
use super::simulcast;
use crate::id::{Mid, Role};

/// What comes before stream and track in the attribute of an SSRC (RFC 5576), as webrtcbin and browsers
/// write it.
const OF_SSRC: &str = " msid:";

/// The answer with streams and tracks of `lines`, in place of those that webrtcbin gives them: to it all of
/// them are one stream.
pub(crate) fn with_streams(answer: &str, lines: &[Line]) -> String {
    let streams = streams(lines);
    let told = |line: &Line| {
        let stream = streams.iter().find(|(mid, _)| *mid == line.mid);
        stream.map(|(_, id)| format!("a=msid:{id}"))
    };
    let is_told = |text: &&str| {
        text.starts_with("a=msid:") || (text.starts_with("a=ssrc:") && text.contains(OF_SSRC))
    };
    let rest: Vec<&str> = answer.lines().filter(|text| !is_told(text)).collect();
    simulcast::with_attributes(&rest.join("\r\n"), lines, |line| {
        told(line).into_iter().collect()
    })
}

/// Stream and track of each line that something is sent by.
fn streams(lines: &[Line]) -> Vec<(Mid, String)> {
    let place = |line: &Line| {
        let before = lines.iter().take_while(|other| other.mid != line.mid);
        before.filter(|other| other.role == line.role).count()
    };
    let id = |line: &Line| match line.role {
        Role::MixAudio => Some("mix mix-audio".to_owned()),
        Role::MixVideo => Some("mix mix-video".to_owned()),
        Role::ForwardAudio => Some(format!("forward-{0} forward-audio-{0}", place(line))),
        Role::ForwardVideo => Some(format!("forward-{0} forward-video-{0}", place(line))),
        Role::Mic | Role::Camera | Role::Screen => None,
    };
    let ids = lines.iter();
    ids.filter_map(|line| Some((line.mid.clone(), id(line)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::media::sdp::line::BitrateControl;

    fn line(mid: &str, role: Role) -> Line {
        Line {
            mid: Mid(mid.to_owned()),
            role,
            format: Codec::Vp8,
            payload_type: 96,
            extensions: Vec::new(),
            rids: Vec::new(),
            legacy: None,
            bitrate_control: BitrateControl::Signalling,
            fec: Default::default(),
        }
    }

    #[test]
    fn the_mix_is_a_stream_and_each_pair_of_forward_slots_is() {
        let roles = [
            ("a", Role::Camera, None),
            ("b", Role::MixAudio, Some("mix mix-audio")),
            ("c", Role::ForwardAudio, Some("forward-0 forward-audio-0")),
            ("d", Role::ForwardAudio, Some("forward-1 forward-audio-1")),
            ("e", Role::MixVideo, Some("mix mix-video")),
            ("f", Role::ForwardVideo, Some("forward-0 forward-video-0")),
            ("g", Role::ForwardVideo, Some("forward-1 forward-video-1")),
        ];
        let lines: Vec<Line> = roles
            .iter()
            .map(|(mid, role, _)| line(mid, *role))
            .collect();
        let section = |mid: &&str, more: &str| {
            format!("m=video 9\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=ssrc:7 cname:x\r\n{more}")
        };
        let answer: String = roles
            .iter()
            .map(|(mid, ..)| section(mid, "a=ssrc:7 msid:user track\r\na=msid:user track\r\n"))
            .collect();
        let expected = roles.iter().map(|(mid, _, id)| {
            let told = id.map(|id| format!("a=msid:{id}\r\n"));
            section(mid, &told.unwrap_or_default())
        });
        let expected: String = expected.collect();
        let told = with_streams(&format!("v=0\r\n{answer}"), &lines);
        assert_eq!(told, format!("v=0\r\n{expected}"));
        assert_eq!(with_streams(&told, &lines), told);
    }
}
