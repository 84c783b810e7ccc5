//! webrtcbin's answer to a canonical offer, as the answer to what the client offered: its m-lines in
//! its order, by its mids, with its profiles. Pure.

use super::line::Line;
use super::normalise::{ClientLine, Fate, Offer, OfferedCodec};
use crate::codec::Codec;
use crate::media::sdp::normalise::parameter;

/// Profile and level of a payload type that does not name them, as the answer names them: Baseline,
/// which they then are (RFC 6184 section 8.1), at the level that 720p needs. The lower of both
/// levels holds.
const UNNAMED_PROFILE: &str = "42001f";

impl Offer {
    /// Turns `answer`, with a section for each of our lines, into the answer for the client. `plan`
    /// has the codecs that were chosen. `None` if a section is missing, or refused: what can be refused
    /// has been before.
    pub(crate) fn answer(&self, answer: &str, plan: &[Line]) -> Option<String> {
        let mut sections: Vec<Vec<&str>> = vec![Vec::new()];
        for line in answer.lines() {
            if line.starts_with("m=") {
                sections.push(Vec::new());
            }
            sections.last_mut()?.push(line);
        }
        let (session, sections) = sections.split_first()?;
        let mut out: Vec<String> = Vec::new();
        let is_group = |line: &&&str| line.starts_with("a=group:");
        out.extend(
            session
                .iter()
                .filter(|line| !is_group(line))
                .map(|l| (*l).to_owned()),
        );
        if let Some(mids) = &self.bundle {
            out.push(format!("a=group:BUNDLE {}", mids.join(" ")));
        }
        for line in &self.client_lines {
            match line.fate {
                Fate::Taken(n) => {
                    let codec = self.codec(n, plan.get(n)?)?;
                    let section = sections.get(n).filter(|section| !is_refused(section))?;
                    out.extend(taken(line, section, codec));
                }
                Fate::Stopped | Fate::Foreign => out.extend(refused(line)),
            }
        }
        out.push(String::new());
        Some(out.join("\r\n"))
    }

    fn codec(&self, line: usize, planned: &Line) -> Option<&OfferedCodec> {
        let mut codecs = self.lines.get(line)?.codecs.iter();
        codecs.find(|codec| codec.payload_type == planned.payload_type)
    }
}

/// Whether a section of an answer refuses its m-line (port 0).
fn is_refused(section: &[&str]) -> bool {
    section.first().and_then(|line| line.split(' ').nth(1)) == Some("0")
}

/// A section of webrtcbin's answer with what is the client's of it.
fn taken(line: &ClientLine, section: &[&str], codec: &OfferedCodec) -> Vec<String> {
    let format = format!("a=fmtp:{} ", codec.payload_type);
    let h264 = (codec.format == Codec::H264).then(|| h264_parameters(&codec.parameters));
    let mut out = Vec::with_capacity(section.len() + 1);
    for text in section {
        if let Some(words) = text.strip_prefix("m=") {
            out.push(with_profile(words, &line.protocol));
        } else if text.starts_with("a=mid:") {
            out.extend(line.mid.as_ref().map(|mid| format!("a=mid:{mid}")));
        } else if !(h264.is_some() && text.starts_with(&format)) {
            out.push((*text).to_owned());
        }
    }
    out.extend(h264.map(|parameters| format!("{format}{parameters}")));
    out
}

/// An m-line, without its `m=`, with the profile that the offer has for it (RFC 8829 section 5.1.2).
fn with_profile(words: &str, profile: &str) -> String {
    let mut words: Vec<&str> = words.split(' ').collect();
    if let Some(own) = words.get_mut(2) {
        *own = profile;
    }
    format!("m={}", words.join(" "))
}

/// The format parameters of H.264 in an answer. The profile and the packetization mode have to be
/// those of the offer (RFC 6184 section 8.2.2); without a profile the answer would mean Baseline at
/// level 1, 128x96 pixels at 30 frames a second.
fn h264_parameters(offered: &str) -> String {
    let or = |name: &str, default: &str| parameter(offered, name).unwrap_or(default.to_owned());
    format!(
        "level-asymmetry-allowed={};packetization-mode={};profile-level-id={}",
        or("level-asymmetry-allowed", "0"),
        or("packetization-mode", "0"),
        or("profile-level-id", UNNAMED_PROFILE),
    )
}

/// The answer to an m-line that is not used (RFC 3264 section 6).
fn refused(line: &ClientLine) -> Vec<String> {
    let first = format!("m={} 0 {} {}", line.kind, line.protocol, line.formats);
    let mut out = vec![first, "c=IN IP4 0.0.0.0".to_owned()];
    out.extend(line.mid.as_ref().map(|mid| format!("a=mid:{mid}")));
    out.push("a=inactive".to_owned());
    out
}
