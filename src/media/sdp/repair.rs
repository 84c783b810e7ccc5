//! What a description says of the streams that its side sends: their canonical name, and which
//! streams repeat the lost packets of which (RTX, RFC 4588; RFC 5576 section 4.2). Pure.

use super::text::{Attributes, Description};

/// The canonical name of the streams of an m-line (`a=ssrc:... cname:...`).
pub(crate) fn cname<'a>(line: &Attributes<'a>) -> Option<&'a str> {
    line.values("ssrc").find_map(|value| {
        let (_, attribute) = value.split_once(' ')?;
        attribute.strip_prefix("cname:")
    })
}

/// The SSRC of the stream that repeats the packets of `ssrc` (`a=ssrc-group:FID`).
pub(crate) fn rtx_ssrc(line: &Attributes<'_>, ssrc: u32) -> Option<u32> {
    line.values("ssrc-group").find_map(|value| {
        let mut words = value.split_ascii_whitespace();
        let is_fid = words.next() == Some("FID");
        let of = words.next()?.parse::<u32>().ok()?;
        let rtx = words.next()?.parse().ok()?;
        (is_fid && of == ssrc).then_some(rtx)
    })
}

/// The payload type under which packets of `payload_type` are sent again (`a=fmtp:... apt=...`).
pub(crate) fn rtx_payload_type(line: &Attributes<'_>, payload_type: u8) -> Option<u8> {
    let repeats = |parameters: &str| {
        let mut parameters = parameters.split(';').map(str::trim);
        parameters.any(|p| p.strip_prefix("apt=") == Some(payload_type.to_string().as_str()))
    };
    let is_rtx = |of: &str| {
        line.values("rtpmap").any(|value| {
            let (number, codec) = value.split_once(' ').unwrap_or((value, ""));
            number == of && codec.trim_start().to_ascii_lowercase().starts_with("rtx/")
        })
    };
    line.values("fmtp").find_map(|value| {
        let (number, parameters) = value.split_once(' ')?;
        let is_it = repeats(parameters) && is_rtx(number);
        is_it.then(|| number.parse().ok())?
    })
}

/// The attributes of the m-lines of a description, each by its place.
pub(crate) fn lines(description: &str) -> Vec<Attributes<'_>> {
    let parsed = Description::parse(description).ok();
    let media = parsed.map(|parsed| parsed.media).unwrap_or_default();
    media.into_iter().map(|line| line.attributes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_that_repeats_another_is_found() {
        let description = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 98\r\n\
            a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
            a=rtpmap:98 H264/90000\r\na=fmtp:98 apt=98;packetization-mode=1\r\n\
            a=ssrc-group:FID 7 8\r\na=ssrc:7 msid:a b\r\na=ssrc:7 cname:c d\r\n";
        let lines = lines(description);
        let [line] = &lines[..] else {
            panic!("one m-line: {lines:?}");
        };
        assert_eq!(cname(line), Some("c d"));
        assert_eq!((rtx_ssrc(line, 7), rtx_ssrc(line, 8)), (Some(8), None));
        assert_eq!(rtx_payload_type(line, 96), Some(97));
        assert_eq!(rtx_payload_type(line, 98), None, "no RTX");
        assert!(super::lines("nothing").is_empty());
    }
}
