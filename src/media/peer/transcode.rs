//! Sound of a peer that has no Opus: G.711 and G.722 are made Opus of as they come, and made of Opus
//! as they go. Everything behind the peer then knows one codec of sound. It costs an encoder for each
//! such peer, some hundredth of a core.

use gst::prelude::*;

use super::event::PeerError;
use crate::codec::LegacyCodec;

/// Name of the appsink in [`to_opus`].
const OUT: &str = "out";

/// Depayloader, decoder, encoder and payloader of a codec.
fn elements(codec: LegacyCodec) -> [&'static str; 4] {
    match codec {
        LegacyCodec::G722 => ["rtpg722depay", "avdec_g722", "avenc_g722", "rtpg722pay"],
        LegacyCodec::Pcmu => ["rtppcmudepay", "mulawdec", "mulawenc", "rtppcmupay"],
        LegacyCodec::Pcma => ["rtppcmadepay", "alawdec", "alawenc", "rtppcmapay"],
    }
}

/// A bin that takes RTP of `codec` and ends in an appsink of Opus in RTP, for a tap.
///
/// # Errors
/// [`PeerError`] when an element is missing.
pub(super) fn to_opus(codec: LegacyCodec) -> Result<(gst::Bin, gst_app::AppSink), PeerError> {
    let [depayloader, decoder, ..] = elements(codec);
    let bin = parse(&format!(
        "{depayloader} ! {decoder} ! audioconvert ! audioresample ! \
         audio/x-raw,rate=48000,channels=1 ! \
         opusenc audio-type=voice bitrate=32000 complexity=5 perfect-timestamp=true ! \
         rtpopuspay ! appsink name={OUT} sync=false async=false"
    ))?;
    let sink = bin.by_name(OUT).and_downcast::<gst_app::AppSink>();
    let sink = sink.ok_or_else(|| PeerError::refused("transcode", "no appsink"))?;
    Ok((bin, sink))
}

/// A bin that takes Opus in RTP and gives `codec` in RTP, with this payload type and SSRC.
///
/// # Errors
/// [`PeerError`] when an element is missing.
pub(super) fn from_opus(
    codec: LegacyCodec,
    payload_type: u8,
    ssrc: u32,
) -> Result<gst::Bin, PeerError> {
    let [_, _, encoder, payloader] = elements(codec);
    parse(&format!(
        "rtpopusdepay ! opusdec plc=true ! audioconvert ! audioresample ! {encoder} ! \
         {payloader} pt={payload_type} ssrc={ssrc} min-ptime=20000000 max-ptime=20000000"
    ))
}

fn parse(description: &str) -> Result<gst::Bin, PeerError> {
    gst::parse::bin_from_description(description, true)
        .map_err(|error| PeerError::refused("transcode", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_there() {
        gst::init().expect("GStreamer");
        for codec in [LegacyCodec::G722, LegacyCodec::Pcmu, LegacyCodec::Pcma] {
            to_opus(codec).expect("what comes");
            from_opus(codec, 0, 7).expect("what goes");
        }
    }
}
