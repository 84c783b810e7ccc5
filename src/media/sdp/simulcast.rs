//! A camera in several encodings at once: `a=rid` (RFC 8851) and `a=simulcast` (RFC 8853) in the
//! offer, and what the answer says of them.
//!
//! webrtcbin (1.22 to 1.28) knows neither attribute. They are no part of the offer that it is given,
//! and what the answer has to say is put into its text.

use thiserror::Error;

use super::line::Line;
use super::text::Attributes;
use crate::id::Rid;
use crate::media::rtp::extensions::{MID, REPAIRED_RID, RID};

/// Most encodings taken of one camera: as many as browsers send. Each costs threads.
const MAX_ENCODINGS: usize = 3;

/// Why the encodings of an m-line are not taken. The sender then sends the first
/// alone (RFC 8853 section 5.3.2).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SimulcastError {
    #[error("{0} encodings, at most {MAX_ENCODINGS} are taken")]
    TooMany(usize),
    #[error("an encoding's name is not 1 to 16 letters and digits")]
    BadName,
    #[error("two encodings have one name")]
    Twice,
    #[error("a=simulcast names an encoding that has no a=rid")]
    Unknown,
    #[error("a=simulcast is not understood")]
    Malformed,
    #[error("no header extensions for sdes:mid, rtp-stream-id and repaired-rtp-stream-id")]
    NoExtensions,
}

/// The encodings that an m-line is offered in, in the order of `a=simulcast`; none where there is
/// only one, with a name or without.
///
/// # Errors
/// [`SimulcastError`]: several are offered and cannot be taken.
pub(crate) fn offered(
    attributes: &Attributes<'_>,
    extensions: &[(u8, &'static str)],
) -> Result<Vec<Rid>, SimulcastError> {
    let Some(value) = attributes.value("simulcast") else {
        return Ok(Vec::new());
    };
    let rids = parse(value, attributes.values("rid"))?;
    let named = |uri: &str| extensions.iter().any(|(_, known)| *known == uri);
    match rids.len() {
        0 | 1 => Ok(Vec::new()),
        _ if [MID, RID, REPAIRED_RID].into_iter().all(named) => Ok(rids),
        _ => Err(SimulcastError::NoExtensions),
    }
}

/// The rids of `a=simulcast:<value>`. Each must be sent by one of the `a=rid:<described>`.
fn parse<'a>(
    value: &str,
    described: impl Iterator<Item = &'a str>,
) -> Result<Vec<Rid>, SimulcastError> {
    let mut words = value.split_ascii_whitespace();
    let list = loop {
        match (words.next(), words.next()) {
            (Some("send"), Some(list)) => break list,
            (Some("recv"), Some(_)) => {}
            (None, _) => return Ok(Vec::new()),
            _ => return Err(SimulcastError::Malformed),
        }
    };
    let streams: Vec<&str> = list.split(';').collect();
    if streams.len() > MAX_ENCODINGS {
        return Err(SimulcastError::TooMany(streams.len()));
    }
    let described: Vec<&str> = described
        .filter_map(|rid| {
            let mut words = rid.split_ascii_whitespace();
            let name = words.next()?;
            (words.next() == Some("send")).then_some(name)
        })
        .collect();
    let mut rids: Vec<Rid> = Vec::with_capacity(streams.len());
    for stream in streams {
        // Alternatives of one stream: its sender likes the first best. `~` is paused for now.
        let name = stream.split(',').next().unwrap_or_default();
        let name = name.strip_prefix('~').unwrap_or(name);
        let rid = Rid::new(name).map_err(|_| SimulcastError::BadName)?;
        if rids.contains(&rid) {
            return Err(SimulcastError::Twice);
        }
        match described.iter().filter(|known| **known == name).count() {
            0 => return Err(SimulcastError::Unknown),
            1 => rids.push(rid),
            _ => return Err(SimulcastError::Twice),
        }
    }
    Ok(rids)
}

/// The header extensions that a line uses. Those that name encodings are used only where
/// there are several, and then both: the second names them in what is sent again.
pub(crate) fn used(extensions: &[(u8, &'static str)], rids: &[Rid]) -> Vec<(u8, &'static str)> {
    let naming = |uri: &str| uri == RID || uri == REPAIRED_RID;
    extensions
        .iter()
        .filter(|(_, uri)| !rids.is_empty() || !naming(uri))
        .copied()
        .collect()
}

/// `answer` with the encodings that are taken, at the end of their m-lines. `lines` are those of
/// the answer, in its order.
pub(crate) fn with_rids(answer: &str, lines: &[Line]) -> String {
    with_attributes(answer, lines, attributes_of)
}

/// `answer` with what `attributes_of` adds to each of its m-lines. `lines` are those of
/// the answer, in its order.
pub(crate) fn with_attributes(
    answer: &str,
    lines: &[Line],
    attributes_of: impl Fn(&Line) -> Vec<String>,
) -> String {
    let mut out = Vec::new();
    let mut attributes: Vec<String> = Vec::new();
    let mut of_lines = lines.iter();
    for line in answer.lines() {
        if line.starts_with("m=") {
            out.append(&mut attributes);
            attributes = of_lines.next().map(&attributes_of).unwrap_or_default();
        }
        out.push(line.to_owned());
    }
    out.append(&mut attributes);
    out.push(String::new());
    out.join("\r\n")
}

/// `a=rid` and `a=simulcast` of a line in an answer.
fn attributes_of(line: &Line) -> Vec<String> {
    if line.rids.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = line.rids.iter().map(Rid::as_str).collect();
    let described = names.iter().map(|name| format!("a=rid:{name} recv"));
    let taken = format!("a=simulcast:recv {}", names.join(";"));
    described.chain([taken]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Codec;
    use crate::id::{Mid, Role};
    use crate::media::bwe::fec::Fec;
    use crate::media::sdp::line::BitrateControl;

    fn names(value: &str, described: &[&str]) -> Result<Vec<String>, SimulcastError> {
        let rids = parse(value, described.iter().copied())?;
        Ok(rids.into_iter().map(String::from).collect())
    }

    const QHF: [&str; 3] = ["q send", "h send", "f send"];

    #[test]
    fn what_browsers_offer_is_taken_in_its_order() {
        assert_eq!(
            names("send q;h;f", &QHF).expect("understood"),
            ["q", "h", "f"]
        );
        assert_eq!(names("send f;~q", &QHF).expect("understood"), ["f", "q"]);
        assert_eq!(
            names("recv x send h;q,f", &QHF).expect("understood"),
            ["h", "q"]
        );
        assert_eq!(names("recv x", &QHF).expect("understood"), [""; 0]);
        let limited = ["lo send pt=96;max-width=320", "hi send"];
        assert_eq!(
            names("send lo;hi", &limited).expect("understood"),
            ["lo", "hi"]
        );
    }

    #[test]
    fn what_is_not_understood_is_not_taken() {
        use SimulcastError::*;
        let many: Vec<String> = (0..40).map(|n| format!("r{n}")).collect();
        let long = "x".repeat(1000);
        for (value, described, error) in [
            (format!("send {}", many.join(";")), &QHF[..], TooMany(40)),
            ("send q;q".into(), &QHF, Twice),
            ("send q;h".into(), &["q send", "q send", "h send"], Twice),
            (format!("send q;{long}"), &QHF, BadName),
            ("send q;".into(), &QHF, BadName),
            ("send q;\u{e4}".into(), &QHF, BadName),
            ("send q;x".into(), &QHF, Unknown),
            ("send q;h".into(), &["q send", "h recv"], Unknown),
            ("q;h".into(), &QHF, Malformed),
            ("send".into(), &QHF, Malformed),
        ] {
            assert_eq!(names(&value, described), Err(error), "{value}");
        }
    }

    fn line(mid: &str, rids: &[&str]) -> Line {
        Line {
            mid: Mid(mid.to_owned()),
            role: Role::Camera,
            format: Codec::Vp8,
            payload_type: 96,
            extensions: Vec::new(),
            rids: rids
                .iter()
                .map(|rid| Rid::new(*rid).expect("a rid"))
                .collect(),
            legacy: None,
            bitrate_control: BitrateControl::Signalling,
            fec: Fec::Off,
        }
    }

    #[test]
    fn the_answer_takes_them_where_they_were_offered() {
        let answer =
            "v=0\r\nm=audio 9\r\na=mid:0\r\nm=video 9\r\na=mid:1\r\nm=video 9\r\na=mid:2\r\n";
        let lines = [line("0", &[]), line("1", &["q", "f"]), line("2", &[])];
        assert_eq!(
            with_rids(answer, &lines),
            "v=0\r\nm=audio 9\r\na=mid:0\r\nm=video 9\r\na=mid:1\r\na=rid:q recv\r\n\
             a=rid:f recv\r\na=simulcast:recv q;f\r\nm=video 9\r\na=mid:2\r\n"
        );
        assert_eq!(with_rids(answer, &[line("0", &[])]), answer);
        let last = [line("0", &[]), line("1", &[]), line("2", &["q", "f"])];
        assert!(
            with_rids(answer, &last)
                .ends_with("a=mid:2\r\na=rid:q recv\r\na=rid:f recv\r\na=simulcast:recv q;f\r\n")
        );
    }

    #[test]
    fn both_extensions_that_name_encodings_are_used_or_neither() {
        let all = [(1, RID), (2, MID), (3, REPAIRED_RID)];
        let rid = |name| Rid::new(name).expect("a rid");
        assert_eq!(used(&all, &[rid("q"), rid("f")]), all);
        assert_eq!(used(&all, &[]), all[1..2]);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_few_distinct_names_are_taken(
            value in "(send|recv| |;|,|~|[a-z]{1,18}){0,12}",
            described in proptest::collection::vec("[a-z]{1,18} ?(send|recv)?", 0..6),
        ) {
            let described = described.iter().map(String::as_str);
            if let Ok(rids) = parse(&value, described) {
                let distinct: std::collections::BTreeSet<_> = rids.iter().collect();
                prop_assert!(rids.len() <= MAX_ENCODINGS && distinct.len() == rids.len());
            }
        }
    }
}
