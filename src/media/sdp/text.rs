//! A session description as its lines (RFC 8866): what is said of the session, and of each m-line.
//! Nothing is judged here but the form; one pass, no copies.
//!
//! Real clients end lines with spaces, with `\n` alone, and with empty lines at the end. All that is
//! read as if it were not there. So is an attribute with a control character, which could be the end
//! of a line to somebody who reads after us; in an m-line it is refused.

/// Why a text is not read as SDP. The text is for the client.
pub(crate) type BadText = String;

/// Attributes of a session or of an m-line, in their order: name and value, which is empty where
/// there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Attributes<'a> {
    /// All values of the attributes with that name, in their order.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let with_name = self.0.iter().filter(move |(known, _)| *known == name);
        with_name.map(|(_, value)| *value)
    }

    /// The value of the first attribute with that name, empty if it has none.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// Whether there is an attribute with that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
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
    /// [`BadText`], which names the first line that is not SDP.
    pub(crate) fn parse(text: &'a str) -> Result<Self, BadText> {
        let mut description = Self {
            session: Attributes::default(),
            media: Vec::new(),
        };
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
        let is_odd = line.contains(|c: char| c.is_control() && c != '\t');
        match line.split_once('=') {
            Some(("a", _)) if is_odd => {}
            _ if is_odd => return Err(format!("its line {number} has a control character")),
            Some(("m", value)) => {
                let media = media(value).ok_or_else(|| {
                    format!("its line {number} is no m-line: kind, port, protocol, payload types")
                })?;
                self.media.push(media);
            }
            Some(("a", value)) => {
                let (name, value) = value.split_once(':').unwrap_or((value, ""));
                let attributes = match self.media.last_mut() {
                    Some(media) => &mut media.attributes,
                    None => &mut self.session,
                };
                attributes.0.push((name.trim(), value.trim()));
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
    let formats: Vec<&str> = words.collect();
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
