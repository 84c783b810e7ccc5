//! From a pad that webrtcbin adds to the uplink whose packets it carries.
//!
//! webrtcbin 1.22 assigns streams to m-lines only by the SSRCs that an offer announces: it takes a
//! stream of any other SSRC for one of the first m-line. A sender whose encodings have names
//! (`a=rid`, RFC 8851) announces none. So what a packet itself says of its m-line (RFC 9143 section
//! 9.2) and of its encoding (RFC 8852) comes first, and the first packet of a pad decides.

use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;

use super::event::{Loss, OnPeerEvent, PeerError, PeerEvent};
use super::nack::set_loss_handling;
use super::webrtcbin;
use crate::id::Role;
use crate::media::gst::pipeline::Pipeline;
use crate::media::rtp::extensions::{AUDIO_LEVEL, MID, RID};
use crate::media::sdp::line::Line;
use crate::media::stream::audio_level::AudioLevel;
use crate::media::stream::keyframes::{KeyframeOrigin, KeyframeThrottle};
use crate::media::stream::tap::Tap;

/// A sender is asked for a keyframe at most this often.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);

/// An m-line, and the keyframe requests that its encodings share.
type Uplink = (Line, Arc<KeyframeThrottle>);

/// Turns every pad that webrtcbin adds for an uplink into a tap, as soon as its first packet is
/// there.
pub(crate) fn take_uplinks(
    pipeline: &Pipeline,
    webrtc: &gst::Element,
    lines: &[Line],
    on_event: &OnPeerEvent,
) {
    let pipeline = pipeline.gst().downgrade();
    let gate = |line: &Line| {
        let maker = match line.rids.len() {
            0 | 1 => KeyframeOrigin::Sender,
            _ => KeyframeOrigin::SimulcastSender,
        };
        Arc::new(KeyframeThrottle::new(maker, KEYFRAME_INTERVAL))
    };
    let lines: Arc<[Uplink]> = lines
        .iter()
        .map(|line| (line.clone(), gate(line)))
        .collect();
    let on_event = Arc::clone(on_event);
    webrtc.connect_pad_added(move |_, pad| {
        if pad.direction() != gst::PadDirection::Src {
            return;
        }
        let pipeline = pipeline.clone();
        let lines = Arc::clone(&lines);
        let on_event = Arc::clone(&on_event);
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        // Probes run before a pad looks for its peer, so what is linked here gets this packet.
        pad.add_probe(kinds, move |pad, info| {
            let (Some(pipeline), Some(packet)) = (pipeline.upgrade(), first_packet(info)) else {
                return gst::PadProbeReturn::Remove;
            };
            match take_uplink(&pipeline, pad, &packet, &lines) {
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
    lines: &[Uplink],
) -> Result<Option<(Role, usize, Tap)>, PeerError> {
    let uplink = named(packet, lines).or_else(|| announced(pad, lines));
    let taken = uplink
        .filter(|(line, _)| carries(pad, line))
        .and_then(|uplink| Some((uplink, encoding(packet, &uplink.0)?)));
    let Some(((line, keyframes), n)) = taken else {
        discard(pipeline, pad)?;
        return Ok(None);
    };
    let sink = gst_app::AppSink::builder().sync(false).build();
    sink.set_property("async", false);
    sink.set_property("enable-last-sample", false);
    let speech = line.extension(AUDIO_LEVEL).map(AudioLevel::new);
    let tap = Tap::sharing(&sink, line.format, Arc::clone(keyframes), speech);
    link(pipeline, pad, sink.upcast_ref())?;
    set_loss_handling(pad, line.role.is_audio());
    Ok(Some((line.role, n, tap)))
}

/// The m-line that a packet says it belongs to.
fn named<'a>(packet: &gst::BufferRef, lines: &'a [Uplink]) -> Option<&'a Uplink> {
    let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet).ok()?;
    lines.iter().find(|(line, _)| {
        let mid = line
            .extension(MID)
            .and_then(|id| rtp.extension_onebyte_header(id, 0));
        mid.is_some_and(|mid| mid == line.mid.0.as_bytes())
    })
}

/// The encoding that a packet says it belongs to, by its place among those of its m-line that were
/// accepted; `None` for one that was not. A packet that says nothing belongs to the first.
fn encoding(packet: &gst::BufferRef, line: &Line) -> Option<usize> {
    let Some(id) = line.extension(RID) else {
        return Some(0);
    };
    let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet).ok()?;
    match rtp.extension_onebyte_header(id, 0) {
        Some(rid) => line.rids.iter().position(|r| r.as_str().as_bytes() == rid),
        None => Some(0),
    }
}

/// The m-line that webrtcbin assigns a pad to, by its SSRC.
fn announced<'a>(pad: &gst::Pad, lines: &'a [Uplink]) -> Option<&'a Uplink> {
    lines.get(webrtcbin::mline_index(pad) as usize)
}

/// Whether the codec of a pad is the one that its m-line was negotiated with.
fn carries(pad: &gst::Pad, line: &Line) -> bool {
    let caps = pad.current_caps();
    let encoding = caps
        .as_ref()
        .and_then(|caps| caps.structure(0)?.get::<&str>("encoding-name").ok());
    let fits = |encoding: &str| encoding.eq_ignore_ascii_case(line.format.encoding_name());
    line.role.is_uplink() && encoding.is_none_or(fits)
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
    use gst_rtp::prelude::RTPBufferExt;

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
            bitrate_control: BitrateControl::Signalling,
            fec: Default::default(),
        }
    }

    fn uplink(mid: &str, extension: u8) -> Uplink {
        let gate = KeyframeThrottle::new(KeyframeOrigin::Sender, KEYFRAME_INTERVAL);
        (line(mid, extension), Arc::new(gate))
    }

    /// A packet with one header extension.
    fn packet(extension: u8, value: &[u8]) -> gst::Buffer {
        gst::init().expect("gst");
        let mut buffer = gst::Buffer::new_rtp_with_sizes(4, 0, 0).expect("a packet");
        let writable = buffer.get_mut().expect("ours");
        let mut rtp = gst_rtp::RTPBuffer::from_buffer_writable(writable).expect("RTP");
        rtp.add_extension_onebyte_header(extension, value)
            .expect("room for it");
        drop(rtp);
        buffer
    }

    #[test]
    fn a_packet_names_its_m_line() {
        let lines = [uplink("0", 4), uplink("10", 4), uplink("cam", 4)];
        let of = |packet: &gst::Buffer| named(packet, &lines).map(|(line, _)| line.mid.0.as_str());
        assert_eq!(of(&packet(4, b"0")), Some("0"));
        assert_eq!(of(&packet(4, b"10")), Some("10"));
        assert_eq!(of(&packet(4, b"cam")), Some("cam"));
        assert_eq!(of(&packet(4, b"1")), None, "not the beginning of a name");
        assert_eq!(of(&packet(5, b"0")), None, "another extension");
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
