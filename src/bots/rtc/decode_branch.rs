//! What follows a receiving pad of webrtcbin: a counter, and a decoder where one is asked for.
//!
//! webrtcbin has no pad for an m-line until something comes in on it, so an m-line on which nothing
//! ever arrives costs nothing.

use std::sync::Arc;

use gst::prelude::*;

use super::codec::{codec_of, decoder};
use super::nack::set_loss_handling;
use super::receive::Incoming;
use crate::bots::config::AudioLossRecovery;
use crate::bots::error::BotError;
use crate::codec::Codec;
use crate::media::gst::event::force_key_unit;

/// Links a receiving pad of webrtcbin to what its m-line needs. Runs on a streaming thread. Errors
/// leave the pad unlinked.
pub(crate) fn attach(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    incoming: &Arc<Incoming>,
) -> Result<(), BotError> {
    let failed = |e: &dyn std::fmt::Display| BotError::Media(format!("receive branch: {e}"));
    let codec = codec_of(pad).ok_or_else(|| failed(&"an unknown codec"))?;
    set_loss_handling(pad, incoming.role().is_audio());
    if incoming.decodes_audio() {
        conceal(pad);
    }
    count(pad, incoming, codec);
    let launch = if incoming.decodes_audio() {
        format!(
            "{} name=decoder ! audioconvert ! audioresample ! \
             audio/x-raw,format=F32LE,layout=interleaved,rate=48000,channels=1 ! \
             appsink name=out sync=false async=false",
            decoder(codec)
        )
    } else if incoming.decodes_video() {
        format!(
            "{} ! videoconvert ! video/x-raw,format=I420 ! \
             appsink name=out sync=false async=false max-buffers=4 drop=true",
            decoder(codec)
        )
    } else {
        "fakesink sync=false async=false".to_owned()
    };
    let branch = gst::parse::bin_from_description(&launch, true).map_err(|e| failed(&e))?;
    if let (AudioLossRecovery::InbandFec, Some(decoder)) =
        (incoming.audio_loss_recovery(), branch.by_name("decoder"))
    {
        decoder.set_property("use-inband-fec", true);
    }
    let sink = branch.by_name("out");
    if let Some(sink) = sink.and_then(|sink| sink.downcast::<gst_app::AppSink>().ok()) {
        take(&sink, incoming, codec);
    }
    pipeline.add(&branch).map_err(|e| failed(&e))?;
    branch.sync_state_with_parent().map_err(|e| failed(&e))?;
    let sink = branch
        .static_pad("sink")
        .ok_or_else(|| failed(&"it has no pad"))?;
    pad.link(&sink).map(|_| ()).map_err(|e| failed(&e))
}

/// Hands what an appsink receives to the m-line.
fn take(sink: &gst_app::AppSink, incoming: &Arc<Incoming>, codec: Codec) {
    let weak = Arc::downgrade(incoming);
    let audio = incoming.role().is_audio();
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        if let Some(incoming) = weak.upgrade() {
            // A frame of no use is the sender's doing and shows in the figures.
            let _ = if audio {
                incoming.take_sound(&sample, sink.base_time())
            } else {
                incoming.take_picture(&sample, codec)
            };
        }
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
}

/// Makes the audio decoder conceal lost packets, as a browser does. webrtcbin puts an FEC decoder
/// into every stream, which marks each lost packet as one that may have carried FEC only; for those
/// the decoder conceals nothing. This removes the mark.
fn conceal(pad: &gst::Pad) {
    const DOUBT: &str = "might-have-been-fec";
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && event.type_() == gst::EventType::CustomDownstream
            && let Some(structure) = event.structure()
            && structure.has_field(DOUBT)
        {
            let mut certain = structure.to_owned();
            certain.remove_field(DOUBT);
            *event = gst::event::CustomDownstream::new(certain);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Counts the packets that leave a pad, and asks for a keyframe where the decoder behind it makes
/// nothing of them.
fn count(pad: &gst::Pad, incoming: &Arc<Incoming>, codec: Codec) {
    let weak = Arc::downgrade(incoming);
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(kinds, move |pad, info| {
        if let Some(incoming) = weak.upgrade() {
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => incoming.packet(buffer, codec),
                Some(gst::PadProbeData::BufferList(list)) => {
                    list.iter()
                        .for_each(|buffer| incoming.packet(buffer, codec));
                }
                _ => {}
            }
            if incoming.wants_keyframe() {
                pad.send_event(force_key_unit());
            }
        }
        gst::PadProbeReturn::Ok
    });
}
