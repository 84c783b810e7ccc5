//! Sound of a peer that has no Opus: G.711 and G.722 are made Opus of as they come, and made of Opus
//! as they go. Everything behind the peer then knows one codec of sound. It costs an encoder for each
//! such peer, some hundredth of a core.

use std::sync::Arc;

use gst::prelude::*;

use super::egress::StreamParams;
use super::event::PeerError;
use crate::codec::{Codec, LegacyCodec};
use crate::media::stream::outgoing::{Outgoing, Outlet};
use crate::media::stream::slot::TRANSCODED;

/// Name of the appsrc and of the appsink in a bin.
const IN: &str = "in";
const OUT: &str = "out";
/// Sound that waits at most to be converted, ns.
const MAX_QUEUE_NS: u64 = 500_000_000;

/// Depayloader, decoder, encoder and payloader of a codec.
fn elements(codec: LegacyCodec) -> [&'static str; 4] {
    match codec {
        LegacyCodec::G722 => ["rtpg722depay", "avdec_g722", "avenc_g722", "rtpg722pay"],
        LegacyCodec::Pcmu => ["rtppcmudepay", "mulawdec", "mulawenc", "rtppcmupay"],
        LegacyCodec::Pcma => ["rtppcmadepay", "alawdec", "alawenc", "rtppcmapay"],
    }
}

/// Makes Opus of `codec`: what takes its RTP, of these caps, and what Opus in RTP comes out of. The
/// elements are added to `pipeline`.
///
/// # Errors
/// [`PeerError`] when an element is missing.
pub(super) fn to_opus(
    pipeline: &gst::Pipeline,
    codec: LegacyCodec,
    caps: &gst::Caps,
) -> Result<(gst_app::AppSrc, gst_app::AppSink), PeerError> {
    let [depayloader, decoder, ..] = elements(codec);
    let bin = parse(&format!(
        "appsrc name={IN} format=time is-live=true min-latency=0 max-time={MAX_QUEUE_NS} \
         leaky-type=downstream ! \
         {depayloader} ! {decoder} ! audioconvert ! audioresample ! \
         audio/x-raw,rate=48000,channels=1 ! \
         opusenc audio-type=voice bitrate=32000 complexity=5 perfect-timestamp=true ! \
         rtpopuspay ! appsink name={OUT} sync=false async=false enable-last-sample=false"
    ))?;
    let (source, sink) = ends(&bin)?;
    source.set_caps(Some(caps));
    start(pipeline, &bin)?;
    Ok((source, sink))
}

/// The way of Opus in RTP to `outlet`, which takes the packets of `codec` that are made of it. The
/// elements are added to `pipeline`.
///
/// # Errors
/// [`PeerError`] when an element is missing.
pub(super) fn from_opus(
    pipeline: &gst::Pipeline,
    codec: LegacyCodec,
    params: StreamParams,
    outlet: Arc<dyn Outlet>,
) -> Result<Arc<dyn Outlet>, PeerError> {
    let [_, _, encoder, payloader] = elements(codec);
    let StreamParams {
        payload_type, ssrc, ..
    } = params;
    let bin = parse(&format!(
        "appsrc name={IN} format=time is-live=true min-latency=0 max-time={MAX_QUEUE_NS} \
         leaky-type=downstream caps=application/x-rtp,media=audio,encoding-name=OPUS,\
         payload={TRANSCODED},\
         clock-rate=48000 ! rtpopusdepay ! opusdec plc=true ! audioconvert ! audioresample ! \
         {encoder} ! {payloader} pt={payload_type} ssrc={ssrc} min-ptime=20000000 \
         max-ptime=20000000 ! appsink name={OUT} sync=false async=false"
    ))?;
    let (source, sink) = ends(&bin)?;
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let packet = sample.buffer_owned();
        let packet = packet.and_then(|packet| Outgoing::of_packet(&packet, Codec::Opus));
        outlet.send(packet.into_iter().collect());
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
    start(pipeline, &bin)?;
    Ok(Arc::new(Transcoder(source)))
}

/// Takes Opus in RTP.
struct Transcoder(gst_app::AppSrc);

impl Outlet for Transcoder {
    fn send(&self, packets: Vec<Outgoing>) {
        for packet in packets {
            let mut bytes = Vec::with_capacity(packet.size());
            if packet.write(None, &mut bytes) {
                let mut buffer = gst::Buffer::from_mut_slice(bytes);
                if let Some(buffer) = buffer.get_mut() {
                    buffer.set_pts(gst::ClockTime::try_from(packet.media_time).ok());
                }
                // A full or flushing source loses packets.
                let _ = self.0.push_buffer(buffer);
            }
        }
    }
}

/// The ends of a bin.
fn ends(bin: &gst::Bin) -> Result<(gst_app::AppSrc, gst_app::AppSink), PeerError> {
    let source = bin.by_name(IN).and_downcast::<gst_app::AppSrc>();
    let sink = bin.by_name(OUT).and_downcast::<gst_app::AppSink>();
    let missing = || PeerError::refused("transcode", "no appsrc or appsink");
    source.zip(sink).ok_or_else(missing)
}

fn start(pipeline: &gst::Pipeline, bin: &gst::Bin) -> Result<(), PeerError> {
    let refused = |error: gst::glib::BoolError| PeerError::refused("transcode", error);
    pipeline.add(bin).map_err(refused)?;
    bin.sync_state_with_parent().map_err(refused)
}

fn parse(description: &str) -> Result<gst::Bin, PeerError> {
    gst::parse::bin_from_description(description, true)
        .map_err(|error| PeerError::refused("transcode", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Outlet for Nowhere {
        fn send(&self, _: Vec<Outgoing>) {}
    }

    #[test]
    fn every_element_is_there() {
        gst::init().expect("GStreamer");
        for codec in [LegacyCodec::G722, LegacyCodec::Pcmu, LegacyCodec::Pcma] {
            let caps = gst::Caps::new_empty_simple("application/x-rtp");
            to_opus(&gst::Pipeline::new(), codec, &caps).expect("what comes");
            let params = StreamParams {
                ssrc: 7,
                payload_type: 0,
                clock_rate: 8_000,
                numbered: None,
                line: 0,
                repaired: false,
            };
            let pipeline = gst::Pipeline::new();
            from_opus(&pipeline, codec, params, Arc::new(Nowhere)).expect("what goes");
        }
    }
}
