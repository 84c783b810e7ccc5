//! What comes from a peer. webrtcbin negotiates, connects and agrees on keys; packets of media are taken
//! as libnice reads them: opened (SRTP), told apart by stream, put in order and on the common clock, and
//! handed to taps, all on the thread that receives. What their sender has to hear of that is written
//! here, too.
//!
//! Threads: packets come on the thread that receives. Reports, and what has waited too long for a
//! missing packet, are the matter of the thread `reports`. Both under one lock, which is held while a
//! packet is handed on, so that packets stay in their order. Whoever takes one may ask for a keyframe,
//! which does not need the lock.

mod stream;
mod streams;
mod to_sender;
mod uplinks;
mod wire;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::BytesMut;
use gst::prelude::*;
use parking_lot::Mutex;

use self::stream::{Arrived, Output, Stream};
use self::streams::{Repeats, Streams};
use self::to_sender::{Limit, ToSender};
use self::uplinks::{Belongs, Uplink, Uplinks};
use super::egress::Egress;
use super::event::{Loss, OnPeerEvent, PeerError, PeerEvent};
use super::reports::{self, Hurry, Next, Reporter};
use super::transcode;
use super::webrtcbin::internals;
use crate::codec::LegacyCodec;
use crate::media::bwe::receive_log::ReceiveLog;
use crate::media::bwe::rtcp;
use crate::media::gst::pipeline::now;
use crate::media::rtp::compound::is_rtcp;
use crate::media::rtp::extensions::{AUDIO_LEVEL, TRANSPORT_WIDE_CC};
use crate::media::rtp::header::RtpHeader;
use crate::media::rtp::header_extension::element;
use crate::media::rtp::session_gate::Admitted;
use crate::media::rtp::srtp::opener::Opener;
use crate::media::sdp::line::Line;
use crate::media::sdp::normalise::{Offer, parameter};
use crate::media::stream::audio_level::AudioLevel;
use crate::media::stream::tap::Tap;
use crate::protocol::stats::RepairStats;

/// Time between two reports of what has come: as often as browsers report.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two feedbacks of when packets arrived: as often as browsers send it.
const ARRIVALS_INTERVAL: Duration = Duration::from_millis(100);
/// Format parameter with the parameter sets of H.264 (RFC 6184 section 8.1), for those who send none
/// in the stream.
const PARAMETER_SETS: &str = "sprop-parameter-sets";

/// What comes from one peer. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Ingress(Arc<Inner>);

struct Inner {
    /// The pipeline of the peer.
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    to_sender: ToSender,
    on_event: OnPeerEvent,
    uplinks: Uplinks,
    /// Ids of the header extension with the transport-wide number.
    numbered: Vec<u8>,
    egress: Egress,
    /// Most SSRCs that something may come from.
    limit: usize,
    /// What makes Opus of the sound of an uplink, by its place. It outlives the stream that it was
    /// begun for: another one goes on with it.
    converters: Mutex<BTreeMap<usize, (Tap, gst_app::AppSrc)>>,
    /// `None` before there are keys. Used on the thread that receives.
    opener: Mutex<Option<Opener>>,
    state: Mutex<State>,
    hurry: OnceLock<Hurry>,
}

struct State {
    streams: Streams,
    arrivals: ReceiveLog,
    limit: Option<Limit>,
    /// The beats of the last report, and of the last feedback of arrivals.
    reported: Duration,
    told: Duration,
}

impl std::fmt::Debug for Ingress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingress").finish_non_exhaustive()
    }
}

impl Ingress {
    /// What comes by the uplinks among `lines`, which are those of `offer`, in `limit` streams at most.
    pub(crate) fn new(
        pipeline: &gst::Pipeline,
        egress: &Egress,
        (offer, lines): (&Offer, &[Line]),
        limit: u32,
        on_event: &OnPeerEvent,
    ) -> Self {
        let uplinks = lines.iter().filter(|line| line.role.is_uplink());
        let numbered = uplinks.filter_map(|line| line.extension(TRANSPORT_WIDE_CC));
        let mut numbered: Vec<u8> = numbered.collect();
        numbered.sort_unstable();
        numbered.dedup();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let ingress = Self(Arc::new(Inner {
            egress: egress.clone(),
            // Those of reports as well.
            limit: limit.saturating_mul(2),
            converters: Mutex::default(),
            opener: Mutex::new(None),
            pipeline: pipeline.downgrade(),
            to_sender: ToSender::new(egress, lines),
            on_event: Arc::clone(on_event),
            uplinks: Uplinks::of(offer, lines),
            numbered,
            state: Mutex::new(State {
                streams: Streams::new(limit),
                arrivals: ReceiveLog::default(),
                limit: None,
                reported: Duration::ZERO,
                told: Duration::ZERO,
            }),
            hurry: OnceLock::new(),
        }));
        let inner = Arc::downgrade(&ingress.0);
        egress.on_admitted(move |admitted| {
            if let Some(inner) = inner.upgrade() {
                inner.on_rtcp(admitted);
            }
        });
        let reporter: Weak<dyn Reporter> = Arc::<Inner>::downgrade(&ingress.0);
        let _ = ingress.0.hurry.set(reports::add(reporter));
        ingress
    }

    /// Takes what comes from now on. To be called once the remote description was set, which makes the
    /// elements that read.
    pub(crate) fn open(&self, webrtc: &gst::Element) {
        let Some(keys) = internals::RemoteKeys::of(webrtc) else {
            return;
        };
        for pad in internals::ways_in(webrtc) {
            let (inner, keys) = (Arc::downgrade(&self.0), keys.clone());
            wire::take_media(&pad, move |packet| {
                if let Some(inner) = inner.upgrade() {
                    inner.open(packet, &keys);
                }
            });
        }
    }

    /// Has the sender send pictures, in the streams of these SSRCs, with `bitrate` bit/s at most, by
    /// REMB: at once, and with every report. Does nothing for a sender that does not take it.
    pub(crate) fn limit(&self, bitrate: u32, ssrcs: Vec<u32>) {
        let limit = self.0.to_sender.limit(bitrate, ssrcs);
        let mut state = self.0.state.lock();
        if state.limit != limit {
            state.limit.clone_from(&limit);
            drop(state);
            self.0.to_sender.report(&[], limit.as_ref());
        }
    }

    /// What was lost, asked for and recovered so far.
    pub(crate) fn count(&self, stats: &mut RepairStats) {
        let (lost, recovered) = self.0.state.lock().streams.counts();
        stats.lost += lost;
        stats.recovered += recovered;
        stats.asked += self.0.to_sender.asked();
    }
}

impl Inner {
    /// Opens a packet as it came, and hands on what is in it.
    fn open(&self, packet: &gst::BufferRef, keys: &internals::RemoteKeys) {
        let now = wire::arrival(packet, now());
        let Ok(sealed) = packet.map_readable() else {
            return;
        };
        let is_rtcp = sealed.get(1).is_some_and(|second| is_rtcp(*second));
        let opened = {
            let mut opener = self.opener.lock();
            if opener.is_none() {
                // Nothing is sealed before there are keys.
                let made = keys.get().and_then(|keys| Opener::new(keys, self.limit));
                *opener = made.ok();
            }
            opener.as_mut().and_then(|opener| match is_rtcp {
                true => opener.open_rtcp(now, &sealed),
                false => opener.open_rtp(now, &sealed),
            })
        };
        match opened {
            Some(compound) if is_rtcp => self.egress.receive_rtcp(&compound),
            Some(packet) => self.take(now, packet),
            None => {}
        }
    }

    /// Takes a packet of RTP that came at `now`.
    fn take(&self, now: Duration, bytes: BytesMut) {
        let Some((header, payload)) = RtpHeader::parse(&bytes) else {
            return;
        };
        let ssrc = header.ssrc;
        let state = &mut *self.state.lock();
        if let Some(number) = self.number(&bytes) {
            state.arrivals.record(now, number);
        }
        let streams = &mut state.streams;
        let is_known = streams.media(ssrc).is_some() || streams.repeats(ssrc).is_some();
        let is_admitted = match is_known {
            true => self.egress.admits_stream(now, ssrc),
            false => self.begin(streams, now, &header, &bytes),
        };
        if !is_admitted {
            return;
        }
        if streams.repeats(ssrc).is_some() {
            self.take_again(streams, now, &header, (&bytes, payload));
            return;
        }
        if let Some(stream) = streams.media(ssrc) {
            let packet = gst::Buffer::from_mut_slice(bytes);
            stream.take(now, Arrived { header, packet });
            self.to_sender.ask(ssrc, &stream.ask_for(now));
            self.hurry_for(stream);
        }
    }

    /// Takes a packet that is sent again, as the one that it was: its payload begins with its number
    /// (RFC 4588 section 4).
    fn take_again(
        &self,
        streams: &mut Streams,
        now: Duration,
        header: &RtpHeader,
        (packet, payload): (&[u8], Range<usize>),
    ) {
        if let Some(repeats) = streams.repeats(header.ssrc) {
            repeats.last = now;
        }
        let parts = (packet.get(..payload.start), packet.get(payload));
        let (Some(head), Some([high, low, payload @ ..])) = parts else {
            return;
        };
        let seq = u16::from_be_bytes([*high, *low]);
        // What has no payload is sent to try the way out.
        let stream = streams.original(header.ssrc, seq);
        let Some(stream) = stream.filter(|_| !payload.is_empty()) else {
            return;
        };
        let header = RtpHeader {
            ssrc: stream.ssrc,
            payload_type: stream.payload_type,
            seq,
            ..*header
        };
        let packet = gst::Buffer::from_mut_slice(header.in_place_of(head, payload));
        stream.take_again(now, Arrived { header, packet });
        self.hurry_for(stream);
    }

    /// Has it looked at soon if something is missing of a stream.
    fn hurry_for(&self, stream: &Stream) {
        if stream.waits()
            && let Some(hurry) = self.hurry.get()
        {
            hurry.up();
        }
    }

    /// The transport-wide number of a packet.
    fn number(&self, packet: &[u8]) -> Option<u16> {
        let mut ids = self.numbered.iter();
        let number = ids.find_map(|id| element(packet, *id))?;
        Some(u16::from_be_bytes(number.try_into().ok()?))
    }

    /// Begins a stream with its first packet. Returns whether it is one of an uplink.
    fn begin(
        &self,
        streams: &mut Streams,
        now: Duration,
        header: &RtpHeader,
        packet: &[u8],
    ) -> bool {
        let Some(belongs) = self.uplinks.belongs(header, packet) else {
            return false;
        };
        if !streams.has_place(now) || !self.egress.admits_stream(now, header.ssrc) {
            return false;
        }
        match belongs {
            Belongs::Media { uplink, encoding } => {
                self.begin_media(streams, header.ssrc, (uplink, encoding))
            }
            Belongs::Rtx {
                uplink,
                of,
                encoding,
            } => {
                let repeats = Repeats {
                    uplink,
                    encoding,
                    of,
                    last: now,
                };
                streams.add_repeats(header.ssrc, repeats);
                true
            }
        }
    }

    fn begin_media(&self, streams: &mut Streams, ssrc: u32, place: (usize, usize)) -> bool {
        let Some(uplink) = self.uplinks.all.get(place.0) else {
            return false;
        };
        match self.output(ssrc, (place.0, uplink)) {
            Ok((tap, output)) => {
                streams.add(Stream::new(ssrc, place, &uplink.line, output));
                (self.on_event)(PeerEvent::Uplink(uplink.line.role, place.1, tap));
                true
            }
            Err(error) => {
                (self.on_event)(PeerEvent::Lost(Loss::Pipeline(error.to_string())));
                false
            }
        }
    }

    /// The tap of a new stream of an uplink, and what its packets are handed to.
    fn output(
        &self,
        ssrc: u32,
        (place, uplink): (usize, &Uplink),
    ) -> Result<(Tap, Output), PeerError> {
        let line = &uplink.line;
        if let Some(codec) = line.legacy {
            return self.converter(place, codec, line);
        }
        let level = || {
            let said = line.extension(AUDIO_LEVEL);
            said.map_or_else(AudioLevel::unsaid, AudioLevel::new)
        };
        let request = self
            .to_sender
            .keyframe_requests(ssrc, uplink.codec.as_ref());
        let (tap, input) = Tap::of_uplink(
            (ssrc, line.format),
            caps(uplink),
            Arc::clone(&uplink.keyframes),
            request,
            line.role.is_audio().then(level),
        );
        Ok((tap, Output::Tap(input)))
    }

    /// What makes Opus of the sound of an uplink.
    fn converter(
        &self,
        place: usize,
        codec: LegacyCodec,
        line: &Line,
    ) -> Result<(Tap, Output), PeerError> {
        let mut converters = self.converters.lock();
        if let Some((tap, appsrc)) = converters.get(&place) {
            return Ok((tap.clone(), Output::Converter(appsrc.clone())));
        }
        let gone = || PeerError::refused("uplink", "the peer is gone");
        let pipeline = self.pipeline.upgrade().ok_or_else(gone)?;
        let (appsrc, sink) = transcode::to_opus(&pipeline, codec, &line.caps())?;
        let level = Some(AudioLevel::unsaid());
        let tap = Tap::new(&sink, line.format, Duration::ZERO, level);
        converters.insert(place, (tap.clone(), appsrc.clone()));
        Ok((tap, Output::Converter(appsrc)))
    }

    /// Takes what the gate has let through of RTCP.
    fn on_rtcp(&self, admitted: &Admitted<'_>) {
        let reports = rtcp::sender_infos(&admitted.compound);
        self.state.lock().streams.on_sender_reports(now(), reports);
    }
}

/// Caps of the packets of an uplink.
fn caps(uplink: &Uplink) -> gst::Caps {
    let mut caps = uplink.line.caps();
    let codec = uplink.codec.as_ref();
    let sets = codec.and_then(|codec| parameter(&codec.parameters, PARAMETER_SETS));
    if let Some(sets) = sets {
        caps.make_mut().set(PARAMETER_SETS, sets);
    }
    caps
}

impl Reporter for Inner {
    fn report(&self, beat: Duration) -> Next {
        let now = now();
        let state = &mut *self.state.lock();
        for stream in state.streams.all() {
            stream.expire(now);
            self.to_sender.ask(stream.ssrc, &stream.ask_for(now));
        }
        if beat >= state.told + ARRIVALS_INTERVAL {
            state.told = beat;
            let first = state.streams.all().next().map(|stream| stream.ssrc);
            let of = first.unwrap_or_default();
            while let Some(fci) = state.arrivals.feedback() {
                self.to_sender.tell_arrivals(of, &fci);
            }
        }
        if beat >= state.reported + REPORT_INTERVAL {
            state.reported = beat;
            let blocks = state.streams.all().filter_map(|stream| stream.report(now));
            let blocks: Vec<[u8; 24]> = blocks.collect();
            self.to_sender.report(&blocks, state.limit.as_ref());
        }
        match state.streams.all().any(|stream| stream.waits()) {
            true => Next::Soon,
            false => Next::Beat,
        }
    }
}

#[cfg(test)]
mod tests;
