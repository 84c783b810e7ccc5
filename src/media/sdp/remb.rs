//! What an answer says of REMB (draft-alvestrand-rmcat-remb-03), by which senders without signalling
//! for it are told how much to send at most; pure.

use super::line::{BitrateControl, Line};
use super::simulcast;

/// An answer that announces REMB for the m-lines that get it; webrtcbin 1.22 does not take it over
/// from the offer.
pub(crate) fn with_feedback(answer: &str, lines: &[Line]) -> String {
    simulcast::with_attributes(answer, lines, |line| {
        let attribute = format!("a=rtcp-fb:{} goog-remb", line.payload_type);
        let wanted = line.bitrate_control == BitrateControl::Remb
            && !answer.lines().any(|said| said == attribute);
        wanted.then_some(attribute).into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::id::{Mid, Role};

    #[test]
    fn an_answer_says_once_of_which_payload_it_comes() {
        let line = |told| Line {
            mid: Mid("1".to_owned()),
            role: Role::Camera,
            format: Codec::Vp8,
            payload_type: 96,
            extensions: Vec::new(),
            rids: Vec::new(),
            legacy: None,
            bitrate_control: told,
            fec: Default::default(),
        };
        let answer = "v=0\r\nm=video 9\r\na=mid:1\r\n";
        let told = with_feedback(answer, &[line(BitrateControl::Remb)]);
        assert_eq!(told, format!("{answer}a=rtcp-fb:96 goog-remb\r\n"));
        assert_eq!(with_feedback(&told, &[line(BitrateControl::Remb)]), told);
        assert_eq!(
            with_feedback(answer, &[line(BitrateControl::Signalling)]),
            answer
        );
    }
}
