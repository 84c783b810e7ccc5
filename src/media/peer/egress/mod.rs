//! What leaves a peer. webrtcbin negotiates, connects and agrees on keys; packets of media do not
//! go through it. They are written, numbered, sealed (SRTP) and handed to libnice here, on the
//! thread that has them; so are the reports of their streams, and what a receiver asks for again.
//!
//! Of webrtcbin's own way out (`rtpsession`, `srtpenc`) only that session's reports of what *comes* make
//! use, and those of bots alone: a server's peer has its session rest. No SSRC is sealed both here and there: two packets under one keystream give both away. What
//! would be sealed there in the name of a stream of ours is dropped and counted ([`guard`]).
//!
//! Threads: packets come on streaming threads, requests on the one that receives RTCP, reports are
//! sent by one thread for all peers. All under one short lock, which is not held while libnice
//! sends.

mod guard;
mod stream;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime};

use gst::prelude::*;
use parking_lot::Mutex;

use self::stream::Stream;
pub(crate) use self::stream::{StreamHooks, StreamParams};
use super::event::PeerError;
use super::inbound_gate;
use super::link_monitor::LinkMonitor;
use super::reports::{self, Next, Reporter};
use super::webrtcbin;
use super::webrtcbin::internals::{self, on_element_added};
use crate::media::bwe::rtcp;
use crate::media::gst::pipeline::now;
use crate::media::rtp::session_gate::{Admitted, SessionGate};
use crate::media::rtp::srtp::Sealer;
use crate::media::sdp::repair;
use crate::media::stream::outgoing::{Outgoing, Outlet, Rtx};
use crate::media::stream::rtx_budget::RtxBudget;
use crate::protocol::stats::RepairStats;

/// What leaves one peer. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Egress(Arc<Inner>);

/// What leaves a peer, as long as that is there.
#[derive(Clone)]
pub(crate) struct WeakEgress(Weak<Inner>);

/// Called with what the gate has let through of RTCP, on the thread that receives. Must not block.
type OnAdmitted = Box<dyn Fn(&Admitted<'_>) + Send + Sync>;

struct Inner {
    /// Of the link to the peer; bots do not monitor theirs.
    monitor: Option<LinkMonitor>,
    /// Whoever else reads what is admitted.
    on_admitted: OnceLock<OnAdmitted>,
    gate: Arc<Mutex<SessionGate>>,
    state: Mutex<State>,
    /// Requests for packets, and packets that were sent again for them.
    asked: AtomicU64,
    resent: AtomicU64,
}

struct State {
    transport: Transport,
    streams: Vec<Stream>,
    /// Canonical name of all streams.
    cname: String,
    budget: RtxBudget,
    /// Where packets are written before they are sealed.
    packet: Vec<u8>,
}

/// How packets leave.
enum Transport {
    /// There are no keys yet. Packets are dropped.
    Waiting,
    /// Sealed by this, into this pad of libnice's sink.
    Open(Sealer, gst::Pad),
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

/// The way out of one stream.
struct StreamOutlet {
    egress: Arc<Inner>,
    /// The place of the stream.
    index: usize,
}

impl Outlet for StreamOutlet {
    fn send(&self, packets: Vec<Outgoing>) {
        self.egress.send(self.index, packets);
    }
}

impl Egress {
    /// What leaves `webrtc`, which may receive `streams` SSRCs, and whose link is monitored by `monitor`.
    /// To be called before m-lines are added.
    pub(crate) fn install(
        webrtc: &gst::Element,
        streams: u32,
        monitor: Option<LinkMonitor>,
    ) -> Self {
        let limit = usize::try_from(streams).unwrap_or(usize::MAX);
        let egress = Self(Arc::new(Inner {
            monitor,
            on_admitted: OnceLock::new(),
            gate: Arc::new(Mutex::new(SessionGate::new(limit))),
            state: Mutex::new(State {
                transport: Transport::Waiting,
                streams: Vec::new(),
                // Until a description says another.
                cname: format!("{:016x}", rand::random::<u64>()),
                budget: RtxBudget::default(),
                packet: Vec::new(),
            }),
            asked: AtomicU64::new(0),
            resent: AtomicU64::new(0),
        }));
        let (gate, inner) = (Arc::clone(&egress.0.gate), Arc::downgrade(&egress.0));
        on_element_added(webrtc, move |element, name| match name {
            "rtpsession" => {
                guard::rtcp(element, Arc::clone(&gate));
                let inner = Weak::clone(&inner);
                inbound_gate::guard_rtcp(element, Arc::clone(&gate), move |admitted| {
                    if let Some(inner) = inner.upgrade() {
                        inner.on_rtcp(admitted);
                    }
                });
            }
            "srtpenc" => guard::rtp(element),
            _ => {}
        });
        egress
    }

    /// Whether RTP of an SSRC may come at `now`: of as many as may be received.
    pub(crate) fn admits_stream(&self, now: Duration, ssrc: u32) -> bool {
        let is_admitted = self.0.gate.lock().admits_stream(now, ssrc);
        if !is_admitted {
            inbound_gate::count_refused();
        }
        is_admitted
    }

    /// Takes a compound packet of RTCP that has come, past webrtcbin.
    pub(crate) fn receive_rtcp(&self, compound: &[u8]) {
        let admitted = self.0.gate.lock().admit(now(), compound);
        if admitted.is_empty() {
            inbound_gate::count_refused();
        }
        self.0.on_rtcp(&admitted);
    }

    /// Has `f` called with what is admitted of RTCP, too. The first call counts.
    pub(crate) fn on_admitted(&self, f: impl Fn(&Admitted<'_>) + Send + Sync + 'static) {
        let _ = self.0.on_admitted.set(Box::new(f));
    }

    /// An SSRC for reports of what is received.
    pub(crate) fn add_reporter(&self) -> u32 {
        let ssrc = rand::random_range(1..=u32::MAX);
        self.0.gate.lock().sends(ssrc);
        ssrc
    }

    /// Sends what `write` makes, a compound packet of RTCP with this canonical name, if packets leave.
    pub(crate) fn send_rtcp(&self, write: impl FnOnce(&str) -> Vec<u8>) {
        let sealed = {
            let state = &mut *self.0.state.lock();
            let Transport::Open(sealer, sink) = &mut state.transport else {
                return;
            };
            let sealed = sealer.seal_rtcp(&write(&state.cname));
            let sealed = sealed.map(gst::Buffer::from_mut_slice);
            Sealed(sink.clone(), sealed.into_iter().collect())
        };
        sealed.leave();
    }

    /// The same, without keeping it.
    pub(crate) fn downgrade(&self) -> WeakEgress {
        WeakEgress(Arc::downgrade(&self.0))
    }

    /// Adds a stream, and returns its way out.
    pub(crate) fn add(&self, params: StreamParams) -> Arc<dyn Outlet> {
        self.0.gate.lock().sends(params.ssrc);
        let streams = &mut self.0.state.lock().streams;
        streams.push(Stream::new(params));
        Arc::new(StreamOutlet {
            egress: Arc::clone(&self.0),
            index: streams.len() - 1,
        })
    }

    /// Calls these for the stream of that SSRC from now on.
    pub(crate) fn hook(&self, ssrc: u32, hooks: StreamHooks) {
        let streams = &mut self.0.state.lock().streams;
        if let Some(stream) = streams.iter_mut().find(|stream| stream.params.ssrc == ssrc) {
            stream.hooks = Some(Arc::new(hooks));
        }
    }

    /// Lets packets out. To be called when `webrtc` is connected. Its keys are taken the first time; a
    /// connection that was away for a while has the same ones.
    ///
    /// # Errors
    /// [`PeerError`] when `webrtc` has no keys that can be used.
    pub(crate) fn open(&self, webrtc: &gst::Element) -> Result<(), PeerError> {
        if self.0.state.lock().is_open() {
            return Ok(());
        }
        let refused = |reason: &dyn std::fmt::Display| PeerError::refused("srtp", reason);
        let keys = internals::srtp_keys(webrtc).map_err(|error| refused(&error))?;
        let sealer = Sealer::new(keys).map_err(|error| refused(&error))?;
        let sink = internals::way_out(webrtc).ok_or_else(|| refused(&"no way out"))?;
        let said = |side| webrtcbin::description(webrtc, side).unwrap_or_default();
        let (local, remote) = (said("local-description"), said("remote-description"));
        {
            let state = &mut *self.0.state.lock();
            // Its states are told one after the other, so nobody else has opened it meanwhile.
            if state.is_open() {
                return Ok(());
            }
            state.transport = Transport::Open(sealer, sink);
            state.describe(&local, &remote, &self.0.gate);
        }
        let reporter: Weak<dyn Reporter> = Arc::<Inner>::downgrade(&self.0);
        reports::add(reporter);
        Ok(())
    }

    /// Requests for packets that came, and packets that were sent again for them.
    pub(crate) fn count(&self, stats: &mut RepairStats) {
        stats.asked_of_us += self.0.asked.load(Ordering::Relaxed);
        stats.resent += self.0.resent.load(Ordering::Relaxed);
    }

    /// Sends the newest packets of a stream again at once, as many as make up `bytes`: a packet train.
    pub(crate) fn send_train(&self, ssrc: u32, bytes: usize) {
        self.0.send_again(ssrc, |_, stream| {
            stream
                .sent
                .newest(bytes)
                .map(|packet| packet.header.seq)
                .collect()
        });
    }
}

impl WeakEgress {
    /// The same, if it is still there.
    pub(crate) fn upgrade(&self) -> Option<Egress> {
        self.0.upgrade().map(Egress)
    }
}

impl State {
    /// Takes over what the descriptions of both sides say of the streams.
    fn describe(&mut self, local: &str, remote: &str, gate: &Mutex<SessionGate>) {
        let (local, remote) = (repair::lines(local), repair::lines(remote));
        if let Some(cname) = local.iter().find_map(repair::cname) {
            cname.clone_into(&mut self.cname);
        }
        for stream in &mut self.streams {
            let params = stream.params;
            let rtx = || {
                let (ours, theirs) = (local.get(params.line)?, remote.get(params.line)?);
                let ssrc = repair::rtx_ssrc(ours, params.ssrc)?;
                let payload_type = repair::rtx_payload_type(ours, params.payload_type)?;
                let agreed = repair::rtx_payload_type(theirs, params.payload_type);
                (agreed == Some(payload_type)).then_some(Rtx { ssrc, payload_type })
            };
            if let Some(rtx) = rtx() {
                gate.lock().sends(rtx.ssrc);
                stream.repeat_in(rtx);
            }
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.transport, Transport::Open(..))
    }

    fn stream_of(&mut self, ssrc: u32) -> Option<&mut Stream> {
        self.streams
            .iter_mut()
            .find(|stream| stream.params.ssrc == ssrc)
    }
}

/// Packets that are sealed, and the pad that takes them.
struct Sealed(gst::Pad, Vec<gst::Buffer>);

impl Sealed {
    /// Hands the packets to libnice, with one call. What becomes of them is the peer's own trouble.
    fn leave(self) {
        let Self(sink, mut packets) = self;
        if packets.len() > 1 {
            let _ = sink.chain_list(packets.into_iter().collect::<gst::BufferList>());
        } else if let Some(packet) = packets.pop() {
            let _ = sink.chain(packet);
        }
    }
}

impl Inner {
    fn send(&self, index: usize, packets: Vec<Outgoing>) {
        if let Some(sealed) = self.seal(index, packets) {
            sealed.leave();
        }
    }

    fn seal(&self, index: usize, packets: Vec<Outgoing>) -> Option<Sealed> {
        let now = now();
        let state = &mut *self.state.lock();
        let Transport::Open(sealer, sink) = &mut state.transport else {
            return None;
        };
        let stream = state.streams.get_mut(index)?;
        let extension = stream.params.numbered;
        let mut sealed = Vec::with_capacity(packets.len());
        for packet in packets {
            state.packet.clear();
            if packet.write(extension, &mut state.packet) {
                sealed.extend(self.seal_one(now, sealer, extension, &mut state.packet));
                stream.record(now, packet);
            }
        }
        Some(Sealed(sink.clone(), sealed))
    }

    /// Numbers and seals a packet.
    fn seal_one(
        &self,
        now: Duration,
        sealer: &mut Sealer,
        extension: Option<u8>,
        packet: &mut [u8],
    ) -> Option<gst::Buffer> {
        if let Some(monitor) = &self.monitor {
            monitor.record_sent(now, extension, packet);
        }
        sealer.seal_rtp(packet).map(gst::Buffer::from_mut_slice)
    }

    /// Sends packets of a stream again, those of the numbers that `choose` names. Returns how many it
    /// were.
    fn send_again(
        &self,
        ssrc: u32,
        choose: impl FnOnce(&mut RtxBudget, &mut Stream) -> Vec<u16>,
    ) -> usize {
        let again = || {
            let now = now();
            let state = &mut *self.state.lock();
            let State {
                transport: Transport::Open(sealer, sink),
                streams,
                budget,
                packet,
                ..
            } = state
            else {
                return None;
            };
            let stream = streams
                .iter_mut()
                .find(|stream| stream.params.ssrc == ssrc)?;
            let mut sealed = Vec::new();
            for seq in choose(budget, stream) {
                packet.clear();
                if stream.write_again(seq, packet) {
                    let extension = stream.params.numbered;
                    sealed.extend(self.seal_one(now, sealer, extension, packet));
                }
            }
            Some(Sealed(sink.clone(), sealed))
        };
        let Some(sealed) = again() else {
            return 0;
        };
        let count = sealed.1.len();
        sealed.leave();
        count
    }

    /// Takes what the gate has let through.
    fn on_rtcp(&self, admitted: &Admitted<'_>) {
        if let Some(monitor) = &self.monitor {
            monitor.on_rtcp(now(), admitted);
        }
        for (ssrc, fci) in rtcp::nacks(&admitted.compound) {
            self.on_nack(ssrc, rtcp::nacked(fci).collect());
        }
        for ssrc in rtcp::keyframe_requests(&admitted.compound) {
            if let Some(hooks) = self.hooks(ssrc) {
                (hooks.request_keyframe)();
            }
        }
        if let Some(on_admitted) = self.on_admitted.get() {
            on_admitted(admitted);
        }
    }

    /// What to call for a stream. Nothing of it may be called under the lock: slots send under locks of
    /// their own.
    fn hooks(&self, ssrc: u32) -> Option<Arc<StreamHooks>> {
        self.state.lock().stream_of(ssrc)?.hooks.clone()
    }

    /// The receiver misses packets of a stream.
    fn on_nack(&self, ssrc: u32, missing: Vec<u16>) {
        let asked = u64::try_from(missing.len()).unwrap_or_default();
        self.asked.fetch_add(asked, Ordering::Relaxed);
        let is_paced = self.hooks(ssrc).is_some_and(|hooks| (hooks.is_paced)());
        let link = self.monitor.as_ref().and_then(LinkMonitor::last_estimate);
        let is_limited = self.monitor.is_some();
        let now = now();
        let resent = self.send_again(ssrc, |budget, stream| {
            let mut wanted = missing;
            wanted.retain(|seq| {
                let is_past = is_paced && stream.sent.is_before_keyframe(*seq);
                let size = stream.sent.get(*seq).map(Outgoing::size);
                let size = size.filter(|_| !is_past);
                size.is_some_and(|size| !is_limited || budget.take(now, link.as_ref(), size))
            });
            wanted
        });
        let resent = u64::try_from(resent).unwrap_or_default();
        self.resent.fetch_add(resent, Ordering::Relaxed);
    }
}

impl Reporter for Inner {
    fn report(&self, beat: Duration) -> Next {
        let now = now();
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let sealed = {
            let state = &mut *self.state.lock();
            let Transport::Open(sealer, sink) = &mut state.transport else {
                return Next::Beat;
            };
            let wall = wall.unwrap_or_default();
            let due = state.streams.iter_mut();
            let due = due.filter_map(|stream| stream.report(beat, now, wall));
            let compounds = due.map(|report| report.compound(&state.cname));
            let sealed = compounds.filter_map(|compound| sealer.seal_rtcp(&compound));
            let sealed = sealed.map(gst::Buffer::from_mut_slice).collect();
            Sealed(sink.clone(), sealed)
        };
        sealed.leave();
        Next::Beat
    }
}

#[cfg(test)]
mod tests;
