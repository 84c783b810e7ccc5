//! From a pad that webrtcbin adds to the uplink whose packets it carries.
//!
//! webrtcbin 1.22 assigns streams to m-lines only by the SSRCs that an offer announces: it takes a
//! stream of any other SSRC for one of the first m-line. Many senders announce none. So the first
//! packet of a pad decides, by what RFC 9143 section 9.2 says ([`crate::media::rtp::demux`]), and
//! which encoding of the m-line it is of, it says itself (RFC 8852).

use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;

use super::event::{Loss, OnPeerEvent, PeerError, PeerEvent};
use super::nack::set_loss_handling;
use super::transcode;
use crate::id::Role;
use crate::media::gst::pipeline::Pipeline;
use crate::media::rtp::demux::{Clues, DemuxLine, line_of};
use crate::media::rtp::extensions::{AUDIO_LEVEL, MID, RID};
use crate::media::rtp::header_extension::element;
use crate::media::sdp::line::Line;
use crate::media::sdp::normalise::Offer;
use crate::media::stream::audio_level::AudioLevel;
use crate::media::stream::keyframes::{KeyframeOrigin, KeyframeThrottle};
use crate::media::stream::tap::Tap;

/// A sender is asked for a keyframe at most this often.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);

/// The uplinks of a peer.
struct Uplinks {
    /// Each with the keyframe requests that its encodings share.
    lines: Vec<(Line, Arc<KeyframeThrottle>)>,
    /// In the same order.
    demux: Vec<DemuxLine>,
}

impl Uplinks {
    /// The uplinks among `lines`, which are the lines of `offer`.
    fn of(offer: &Offer, lines: &[Line]) -> Self {
        let all = lines.iter().zip(&offer.lines);
        let (lines, demux) = all
            .filter(|(line, _)| line.role.is_uplink())
            .map(|(line, offered)| {
                let demux = DemuxLine {
                    mid: line.mid.0.clone(),
                    mid_extension: line.extension(MID),
                    ssrcs: offered.ssrcs.clone(),
                    payload_type: line.payload_type,
                };
                ((line.clone(), throttle(line)), demux)
            })
            .unzip();
        Self { lines, demux }
    }

    /// The uplink that a packet belongs to, and the place of its encoding; `None` for a packet of
    /// none of them.
    fn of_packet(&self, packet: &[u8]) -> Option<(&Line, &Arc<KeyframeThrottle>, usize)> {
        let &[_, second, _, _, _, _, _, _, a, b, c, d, ..] = packet else {
            return None;
        };
        let clues = Clues {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            payload_type: second & 0x7f,
            packet,
        };
        let (line, keyframes) = self.lines.get(line_of(&self.demux, clues)?)?;
        Some((line, keyframes, encoding(packet, line)?))
    }
}

/// What limits the keyframe requests to the sender of an m-line.
fn throttle(line: &Line) -> Arc<KeyframeThrottle> {
    let maker = match line.rids.len() {
        0 | 1 => KeyframeOrigin::Sender,
        _ => KeyframeOrigin::SimulcastSender,
    };
    Arc::new(KeyframeThrottle::new(maker, KEYFRAME_INTERVAL))
}

/// Turns every pad that webrtcbin adds for an uplink into a tap, as soon as its first packet is
/// there. `lines` are those of `offer`.
pub(crate) fn take_uplinks(
    pipeline: &Pipeline,
    webrtc: &gst::Element,
    offer: &Offer,
    lines: &[Line],
    on_event: &OnPeerEvent,
) {
    let pipeline = pipeline.gst().downgrade();
    let uplinks = Arc::new(Uplinks::of(offer, lines));
    let on_event = Arc::clone(on_event);
    webrtc.connect_pad_added(move |_, pad| {
        if pad.direction() != gst::PadDirection::Src {
            return;
        }
        let pipeline = pipeline.clone();
        let uplinks = Arc::clone(&uplinks);
        let on_event = Arc::clone(&on_event);
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        // Probes run before a pad looks for its peer, so what is linked here gets this packet.
        pad.add_probe(kinds, move |pad, info| {
            let (Some(pipeline), Some(packet)) = (pipeline.upgrade(), first_packet(info)) else {
                return gst::PadProbeReturn::Remove;
            };
            match take_uplink(&pipeline, pad, &packet, &uplinks) {
                Ok(Some((role, n, tap))) => on_event(PeerEvent::Uplink(role, n, tap)),
                Ok(None) => {}
                Err(error) => on_event(PeerEvent::Lost(Loss::Pipeline(error.to_string()))),
            }
            gst::PadProbeReturn::Remove
        });
    });
}

fn first_packet(info: &gst::PadProbeInfo<'_>) -> Option<gst::Buffer> {
    match &info.data {
        Some(gst::PadProbeData::Buffer(buffer)) => Some(buffer.clone()),
        Some(gst::PadProbeData::BufferList(list)) => list.get_owned(0),
        _ => None,
    }
}

fn take_uplink(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    packet: &gst::BufferRef,
    uplinks: &Uplinks,
) -> Result<Option<(Role, usize, Tap)>, PeerError> {
    let packet = packet.map_readable();
    let uplink = packet
        .as_ref()
        .ok()
        .and_then(|packet| uplinks.of_packet(packet));
    let Some((line, keyframes, n)) = uplink.filter(|(line, ..)| carries(pad, line)) else {
        discard(pipeline, pad)?;
        return Ok(None);
    };
    let (last, sink) = match line.legacy {
        None => {
            let sink = gst_app::AppSink::builder().sync(false).build();
            sink.set_property("async", false);
            (sink.clone().upcast::<gst::Element>(), sink)
        }
        Some(codec) => {
            let (bin, sink) = transcode::to_opus(codec)?;
            (bin.upcast(), sink)
        }
    };
    sink.set_property("enable-last-sample", false);
    let said = line
        .extension(AUDIO_LEVEL)
        .filter(|_| line.legacy.is_none());
    let speech = match line.role {
        Role::Mic => Some(said.map_or_else(AudioLevel::unsaid, AudioLevel::new)),
        _ => None,
    };
    let tap = Tap::sharing(&sink, line.format, Arc::clone(keyframes), speech);
    link(pipeline, pad, &last)?;
    set_loss_handling(pad, line.role.is_audio());
    Ok(Some((line.role, n, tap)))
}

/// The encoding that a packet says it belongs to, by its place among those of its m-line that were
/// accepted; `None` for one that was not. A packet that says nothing belongs to the first.
fn encoding(packet: &[u8], line: &Line) -> Option<usize> {
    let Some(rid) = line.extension(RID).and_then(|id| element(packet, id)) else {
        return Some(0);
    };
    line.rids.iter().position(|r| r.as_str().as_bytes() == rid)
}

/// Whether the codec of a pad is the one that its m-line was negotiated with.
fn carries(pad: &gst::Pad, line: &Line) -> bool {
    let caps = pad.current_caps();
    let encoding = caps
        .as_ref()
        .and_then(|caps| caps.structure(0)?.get::<&str>("encoding-name").ok());
    encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case(line.encoding_name()))
}

/// Links a pad that belongs to no m-line to a fakesink, so that its thread does not end in an
/// error.
fn discard(pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), PeerError> {
    tracing::debug!(pad = %pad.name(), "packets of no m-line");
    let sink = gst::ElementFactory::make("fakesink")
        .property("async", false)
        .property("sync", false)
        .property("enable-last-sample", false)
        .build()
        .map_err(|error| PeerError::refused("uplink", error))?;
    link(pipeline, pad, &sink)
}

fn link(pipeline: &gst::Pipeline, pad: &gst::Pad, sink: &gst::Element) -> Result<(), PeerError> {
    pipeline
        .add(sink)
        .map_err(|error| PeerError::refused("uplink", error))?;
    sink.sync_state_with_parent()
        .map_err(|error| PeerError::refused("uplink", error))?;
    let target = sink
        .static_pad("sink")
        .ok_or_else(|| PeerError::refused("uplink", "a sink has no pad"))?;
    pad.link(&target)
        .map(drop)
        .map_err(|error| PeerError::refused("uplink", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::id::{Mid, Rid};
    use crate::media::sdp::line::BitrateControl;

    fn line(mid: &str, extension: u8) -> Line {
        Line {
            mid: Mid(mid.to_owned()),
            role: Role::Camera,
            format: Codec::Vp8,
            payload_type: 96,
            extensions: vec![(extension, MID)],
            rids: Vec::new(),
            legacy: None,
            bitrate_control: BitrateControl::Signalling,
            fec: Default::default(),
        }
    }

    /// A packet with one header extension.
    fn packet(extension: u8, value: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 1];
        packet.push(extension << 4 | (value.len() as u8 - 1));
        packet.extend(value);
        packet.resize(20, 0);
        packet
    }

    #[test]
    fn a_packet_names_its_encoding() {
        let rids = ["q", "qq"].map(|rid| Rid::new(rid).expect("a rid"));
        let several = Line {
            extensions: vec![(4, MID), (5, RID)],
            rids: rids.to_vec(),
            ..line("cam", 4)
        };
        assert_eq!(encoding(&packet(5, b"q"), &several), Some(0));
        assert_eq!(encoding(&packet(5, b"qq"), &several), Some(1));
        assert_eq!(encoding(&packet(5, b"f"), &several), None, "not taken");
        assert_eq!(encoding(&packet(4, b"cam"), &several), Some(0));
        assert_eq!(encoding(&packet(5, b"f"), &line("cam", 4)), Some(0));
    }
}
