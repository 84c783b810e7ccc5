//! A checked offer, written for webrtcbin: the one form of each thing, and nothing that it does not
//! need. Pure.
//!
//! Each m-line lists one codec and its retransmissions, so that there is nothing left to choose;
//! simulcast attributes stand in the answer alone ([`super::simulcast`]).

use super::line::Line;
use super::normalise::{Offer, OfferedCodec, OfferedLine};
use crate::codec::Codec;

impl Offer {
    /// The offer for webrtcbin, with the codecs of `plan`, which has a line for each of ours, and the
    /// candidates `candidates` (values of `a=candidate`), which are those of the offer as far as they
    /// may pass ([`super::candidate`]).
    pub(crate) fn canonical(&self, plan: &[Line], candidates: &[String]) -> String {
        let mids: Vec<&str> = self.lines.iter().map(|line| line.mid.0.as_str()).collect();
        let mut text = Text::default();
        text.line("v=0");
        text.line("o=- 1 1 IN IP4 0.0.0.0");
        text.line("s=-");
        text.line("t=0 0");
        text.line(&format!("a=group:BUNDLE {}", mids.join(" ")));
        if self.transport.is_lite {
            text.attribute("ice-lite", "");
        }
        for (index, (line, planned)) in self.lines.iter().zip(plan).enumerate() {
            let codec = line
                .codecs
                .iter()
                .find(|c| c.payload_type == planned.payload_type);
            if let Some(codec) = codec {
                self.write_line(&mut text, line, codec);
            }
            if index == 0 {
                for candidate in candidates {
                    text.attribute("candidate", candidate);
                }
            }
        }
        text.0
    }

    fn write_line(&self, text: &mut Text, line: &OfferedLine, codec: &OfferedCodec) {
        let number = codec.payload_type;
        let rtx = codec.rtx.map(|rtx| format!(" {rtx}")).unwrap_or_default();
        text.line(&format!(
            "m={} 9 UDP/TLS/RTP/SAVPF {number}{rtx}",
            line.kind.name()
        ));
        text.line("c=IN IP4 0.0.0.0");
        text.attribute("mid", &line.mid.0);
        let transport = &self.transport;
        text.attribute("ice-ufrag", &transport.ufrag);
        text.attribute("ice-pwd", &transport.pwd);
        let fingerprint = &transport.fingerprint;
        let digest = fingerprint.digest.to_ascii_uppercase();
        text.attribute("fingerprint", &format!("{} {digest}", fingerprint.hash));
        text.attribute("setup", &transport.setup);
        text.attribute("rtcp-mux", "");
        if line.takes_reduced_size {
            text.attribute("rtcp-rsize", "");
        }
        text.attribute(line.direction.name(), "");
        for (id, uri) in &line.extensions {
            text.attribute("extmap", &format!("{id} {uri}"));
        }
        write_codec(text, codec);
        for (ssrc, rtx) in &line.rtx_ssrcs {
            text.attribute("ssrc-group", &format!("FID {ssrc} {rtx}"));
        }
        for ssrc in &line.ssrcs {
            text.attribute("ssrc", &format!("{ssrc} cname:-"));
        }
    }
}

fn write_codec(text: &mut Text, codec: &OfferedCodec) {
    let number = codec.payload_type;
    text.attribute("rtpmap", &format!("{number} {}", mapping(codec)));
    if !codec.parameters.is_empty() {
        text.attribute("fmtp", &format!("{number} {}", codec.parameters));
    }
    for what in &codec.feedback {
        text.attribute("rtcp-fb", &format!("{number} {what}"));
    }
    if let Some(rtx) = codec.rtx {
        let clock_rate = codec.format.clock_rate();
        text.attribute("rtpmap", &format!("{rtx} rtx/{clock_rate}"));
        text.attribute("fmtp", &format!("{rtx} apt={number}"));
    }
}

/// What `a=rtpmap` says of a codec.
fn mapping(codec: &OfferedCodec) -> String {
    let own = (codec.format.encoding_name(), codec.format.clock_rate());
    let (name, rate) = codec
        .legacy
        .map_or(own, |legacy| (legacy.encoding_name(), legacy.clock_rate()));
    match codec.legacy {
        // Opus always says two channels (RFC 7587 section 7).
        None if codec.format == Codec::Opus => format!("{name}/{rate}/2"),
        _ => format!("{name}/{rate}"),
    }
}

/// Text of a description, line by line.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push_str("\r\n");
    }

    /// An attribute. One without a value is its name alone.
    fn attribute(&mut self, name: &str, value: &str) {
        match value {
            "" => self.line(&format!("a={name}")),
            value => self.line(&format!("a={name}:{value}")),
        }
    }
}
