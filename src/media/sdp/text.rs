//! A session description as its lines (RFC 8866): what is said of the session, and of each m-line.
//! Nothing is judged here but the form and the size; one pass, no copies. Attributes are kept by
//! name, so that asking for one does not read the others.
//!
//! Real clients end lines with spaces, with `\n` alone, and with empty lines at the end. All that is
//! read as if it were not there. So is an attribute with a control character, which could be the end
//! of a line to somebody who reads after us; in an m-line it is refused.

use std::collections::BTreeMap;

/// Longest description that is read, in bytes. A browser's with 32 m-lines has some 100,000.
const MAX_BYTES: usize = 256 * 1024;
/// Largest number of lines of a description. A browser's with 32 m-lines has some 3,000.
const MAX_LINES: usize = 8192;
/// Longest line, in bytes: a group that names 64 m-lines by the longest names.
const MAX_LINE_BYTES: usize = 16 * 1024;
/// Largest number of payload types of an m-line: as many as there are (RFC 3550 section 5.1).
const MAX_FORMATS: usize = 128;
/// Largest number of attributes of an m-line, and of the session. Browsers write about 100.
const MAX_ATTRIBUTES: usize = 1024;

/// Why a text is not read as SDP. The text is for the client.
pub(crate) type BadText = String;

/// Attributes of a session or of an m-line: the values of each name in their order, empty where
/// there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes<'a> {
    by_name: BTreeMap<&'a str, Vec<&'a str>>,
    count: usize,
}

impl<'a> Attributes<'a> {
    /// All values of the attributes with that name, in their order.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.by_name.get(name).into_iter().flatten().copied()
    }

    /// The value of the first attribute with that name, empty if it has none.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// Whether there is an attribute with that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    fn add(&mut self, name: &'a str, value: &'a str) -> Result<(), BadText> {
        self.count += 1;
        if self.count > MAX_ATTRIBUTES {
            return Err(format!(
                "an m-line, or the session, has more than {MAX_ATTRIBUTES} attributes"
            ));
        }
        self.by_name.entry(name).or_default().push(value);
        Ok(())
    }
}

/// An m-line with what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Media<'a> {
    /// `audio`, `video`, `application` or any other.
    pub(crate) kind: &'a str,
    /// UDP port; 0 for an m-line that is not used, or that is only bundled.
    pub(crate) port: u16,
    /// Transport and profile, such as `UDP/TLS/RTP/SAVPF`.
    pub(crate) protocol: &'a str,
    /// Payload types, as they are written.
    pub(crate) formats: Vec<&'a str>,
    pub(crate) attributes: Attributes<'a>,
}

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description<'a> {
    pub(crate) session: Attributes<'a>,
    pub(crate) media: Vec<Media<'a>>,
}

impl<'a> Description<'a> {
    /// Reads a description.
    ///
    /// # Errors
    /// [`BadText`], which names the first line that is not SDP, or the bound that it exceeds.
    pub(crate) fn parse(text: &'a str) -> Result<Self, BadText> {
        if text.len() > MAX_BYTES {
            return Err(format!("it is longer than {MAX_BYTES} bytes"));
        }
        let mut description = Self {
            session: Attributes::default(),
            media: Vec::new(),
        };
        if text.lines().nth(MAX_LINES).is_some() {
            return Err(format!("it has more than {MAX_LINES} lines"));
        }
        let lines = text.lines().map(str::trim_end);
        let numbered = (1..).zip(lines).filter(|(_, line)| !line.is_empty());
        for (index, (number, line)) in numbered.enumerate() {
            if index == 0 && line != "v=0" {
                return Err("it does not start with v=0".to_owned());
            }
            description.take(number, line)?;
        }
        Ok(description)
    }

    fn take(&mut self, number: usize, line: &'a str) -> Result<(), BadText> {
        if line.len() > MAX_LINE_BYTES {
            return Err(format!(
                "its line {number} is longer than {MAX_LINE_BYTES} bytes"
            ));
        }
        let is_odd = line.contains(|c: char| c.is_control() && c != '\t');
        match line.split_once('=') {
            Some(("a", _)) if is_odd => {}
            _ if is_odd => return Err(format!("its line {number} has a control character")),
            Some(("m", value)) => {
                let media = media(value).ok_or_else(|| {
                    format!("its line {number} is no m-line: kind, port, protocol, payload types")
                })?;
                if media.formats.len() > MAX_FORMATS {
                    return Err(format!(
                        "its line {number} has more than {MAX_FORMATS} payload types"
                    ));
                }
                self.media.push(media);
            }
            Some(("a", value)) => {
                let (name, value) = value.split_once(':').unwrap_or((value, ""));
                let attributes = match self.media.last_mut() {
                    Some(media) => &mut media.attributes,
                    None => &mut self.session,
                };
                attributes.add(name.trim(), value.trim())?;
            }
            // Versions, names, times and addresses decide nothing where ICE does.
            Some((kind, _)) if kind.len() == 1 => {}
            _ => return Err(format!("its line {number} is not of the form x=value")),
        }
        Ok(())
    }
}

/// Reads what follows `m=`. A number of ports (`9/2`) is left out.
fn media(value: &str) -> Option<Media<'_>> {
    let mut words = value.split_ascii_whitespace();
    let (kind, port, protocol) = (words.next()?, words.next()?, words.next()?);
    let formats: Vec<&str> = words.take(MAX_FORMATS + 1).collect();
    let port = port.split('/').next()?.parse().ok()?;
    (!formats.is_empty()).then_some(Media {
        kind,
        port,
        protocol,
        formats,
        attributes: Attributes::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_belong_to_the_m_line_before_them() {
        let text = "v=0\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n\r\na=ice-lite \r\n\
                    m=audio 9/2 UDP/TLS/RTP/SAVPF 111  0\r\na=mid:0 \t\r\na=x:1:2\r\na=x\r\n\n";
        let description = Description::parse(text).expect("SDP");
        assert!(description.session.has("ice-lite"));
        let [media] = &description.media[..] else {
            panic!("one m-line: {description:?}");
        };
        assert_eq!(
            (media.kind, media.port, media.protocol),
            ("audio", 9, "UDP/TLS/RTP/SAVPF")
        );
        assert_eq!(media.formats, ["111", "0"]);
        assert_eq!(media.attributes.value("mid"), Some("0"));
        let values: Vec<_> = media.attributes.values("x").collect();
        assert_eq!(values, ["1:2", ""]);
        assert!(!media.attributes.has("ice-lite"));
    }

    #[test]
    fn more_than_anybody_says_is_refused_by_its_bound() {
        let lines = |line: &str, count| format!("v=0\r\n{}", line.repeat(count));
        let types = |count: usize| format!("v=0\r\nm=audio 9 x{}\r\n", " 0".repeat(count));
        for (most, one_more, says) in [
            (types(MAX_FORMATS), types(MAX_FORMATS + 1), "payload types"),
            (
                lines("a=x\n", MAX_ATTRIBUTES),
                lines("a=x\n", MAX_ATTRIBUTES + 1),
                "attributes",
            ),
            (
                lines("b=AS:1\n", MAX_LINES - 1),
                lines("b=AS:1\n", MAX_LINES),
                "lines",
            ),
            (
                lines(&format!("a={}", "x".repeat(MAX_LINE_BYTES - 2)), 1),
                lines(&format!("a={}", "x".repeat(MAX_LINE_BYTES - 1)), 1),
                "line 2",
            ),
        ] {
            assert!(Description::parse(&most).is_ok(), "{says}");
            let error = Description::parse(&one_more).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
        let long = lines(&format!("a={}\n", "x".repeat(999)), MAX_BYTES / 1000);
        let error = Description::parse(&long).expect_err("too long");
        assert!(error.contains("bytes"), "{error}");
    }

    #[test]
    fn what_is_no_sdp_is_named_by_its_line() {
        for (text, says) in [
            ("s=-\r\n", "v=0"),
            ("v=0\r\nhello\r\n", "line 2"),
            ("v=0\r\n\r\nab=c\r\n", "line 3"),
            ("v=0\r\nm=audio 9 RTP/SAVPF\r\n", "line 2"),
            ("v=0\r\nm=audio x RTP/SAVPF 0\r\n", "line 2"),
            ("v=0\r\nm=audio 9 x 0\rm=video 9 x 0\r\n", "control"),
        ] {
            let error = Description::parse(text).expect_err(text);
            assert!(error.contains(says), "{text:?}: {error}");
        }
        assert_eq!(Description::parse("").map(|d| d.media.len()), Ok(0));
        let odd = Description::parse("v=0\r\na=mid:0\rm=video 9 x 0\r\na=x\r\n").expect("SDP");
        assert!(!odd.session.has("mid") && odd.session.has("x") && odd.media.is_empty());
    }
}
