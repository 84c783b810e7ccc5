//! The gate before webrtcbin's `rtpsession`, where that reads RTCP: what of it the session is given
//! ([`crate::media::rtp::session_gate`] has the rules).
//!
//! Threads: all of it runs on the thread that receives, under one short lock.

use std::sync::Arc;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::media::gst::buffer::with_bytes;
use crate::media::gst::pipeline::now;
use crate::media::rtp::session_gate::{Admitted, SessionGate};

/// The metric of what the gate keeps out.
const REFUSED: &str = "tessera_refused_packets_total";

/// Counts a packet that is kept out.
pub(crate) fn count_refused() {
    metrics::counter!(REFUSED).increment(1);
}

/// Lets no RTCP into `session` that `gate` does not admit. `on_rtcp` is called with what is let through
/// of each packet, before the session gets it.
pub(crate) fn guard_rtcp(
    session: &gst::Element,
    gate: Arc<Mutex<SessionGate>>,
    on_rtcp: impl Fn(&Admitted<'_>) + Clone + Send + Sync + 'static,
) {
    session.connect_pad_added(move |_, pad| {
        if pad.name() == "recv_rtcp_sink" {
            guard_rtcp_pad(pad, Arc::clone(&gate), on_rtcp.clone());
        }
    });
}

fn guard_rtcp_pad(
    pad: &gst::Pad,
    gate: Arc<Mutex<SessionGate>>,
    on_rtcp: impl Fn(&Admitted<'_>) + Send + Sync + 'static,
) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(packet)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        match kept_of_rtcp(packet, &gate, &on_rtcp) {
            Kept::Part(compound) => {
                *packet = with_bytes(packet, compound);
                gst::PadProbeReturn::Ok
            }
            Kept::ReadHere => taken(info),
            Kept::Nothing => refused(info),
        }
    });
}

/// What is kept of a compound packet.
enum Kept {
    /// This is for the session.
    Part(Vec<u8>),
    /// What it says was for this side of the gate.
    ReadHere,
    Nothing,
}

fn kept_of_rtcp(
    packet: &gst::BufferRef,
    gate: &Mutex<SessionGate>,
    on_rtcp: &impl Fn(&Admitted<'_>),
) -> Kept {
    let Ok(bytes) = packet.map_readable() else {
        return Kept::Nothing;
    };
    let admitted = gate.lock().admit(now(), &bytes);
    on_rtcp(&admitted);
    match admitted.compound.is_empty() {
        false => Kept::Part(admitted.compound),
        true if admitted.is_empty() => Kept::Nothing,
        true => Kept::ReadHere,
    }
}

fn refused(info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
    count_refused();
    taken(info)
}

fn taken(info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
    info.data = None;
    // Handled and not Drop: after Drop, GStreamer 1.22.0 releases once more what is gone.
    gst::PadProbeReturn::Handled
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::media::gst::testing::pad_into;

    /// An rtpsession behind a gate, and the pads that lead to it.
    struct Session {
        element: gst::Element,
        internal: gst::glib::Object,
        rtcp: gst::Pad,
        /// How many packets transport-wide feedback has told the listener of.
        told: Arc<AtomicUsize>,
    }

    const REPORTERS: u32 = 10;
    const OWN: u32 = 0x0a0a_0a0a;

    impl Session {
        fn start() -> Self {
            gst::init().expect("GStreamer");
            let element = gst::ElementFactory::make("rtpsession").build();
            let element = element.expect("an element of webrtcbin");
            let told = Arc::new(AtomicUsize::new(0));
            let listener = Arc::clone(&told);
            let mut gate = SessionGate::new(REPORTERS as usize);
            gate.sends(OWN);
            let gate = Arc::new(Mutex::new(gate));
            guard_rtcp(&element, gate, move |admitted| {
                listener.fetch_add(admitted.transport_wide.len(), Ordering::Relaxed);
            });
            let internal = element.property("internal-session");
            let rtcp = source(&element, "recv_rtcp_sink", "application/x-rtcp");
            let sent = source(&element, "send_rtp_sink", "application/x-rtp");
            let caps = gst::Caps::builder("application/x-rtp")
                .field("ssrc", OWN)
                .field("clock-rate", 90_000i32)
                .build();
            let _ = sent.push_event(gst::event::Caps::new(&caps));
            element.set_state(gst::State::Playing).expect("it starts");
            Self {
                element,
                internal,
                rtcp,
                told,
            }
        }

        fn sources(&self) -> u32 {
            self.internal.property("num-sources")
        }
    }

    impl Drop for Session {
        fn drop(&mut self) {
            let _ = self.element.set_state(gst::State::Null);
        }
    }

    fn source(element: &gst::Element, name: &str, kind: &str) -> gst::Pad {
        let sink = element.request_pad_simple(name).expect("a pad");
        pad_into(&sink, kind)
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn a_session_hears_of_few_sources_however_many_there_are() {
        let session = Session::start();
        let before = session.sources();
        for ssrc in 1..=8_000 {
            let report = words(&[0x80c9_0001, 50_000 + ssrc]);
            let _ = session.rtcp.push(gst::Buffer::from_slice(report));
        }
        let sources = session.sources() - before;
        // One may be its own, for reports.
        assert!((REPORTERS..=REPORTERS + 1).contains(&sources), "{sources}");
    }

    #[test]
    fn transport_wide_feedback_does_not_reach_the_session() {
        let session = Session::start();
        let reached = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reached);
        session
            .internal
            .connect("on-feedback-rtcp", false, move |_| {
                count.fetch_add(1, Ordering::Relaxed);
                None
            });
        let feedback = words(&[0x8fcd_0005, 7, OWN, 1, 0, 0x2001_0000]);
        let request = words(&[0x81ce_0002, 7, OWN]);
        for packet in [
            &feedback,
            &request,
            &[feedback.clone(), request.clone()].concat(),
        ] {
            let _ = session.rtcp.push(gst::Buffer::from_slice(packet.clone()));
        }
        assert_eq!(session.told.load(Ordering::Relaxed), 2);
        assert_eq!(
            reached.load(Ordering::Relaxed),
            2,
            "requests for keyframes do"
        );
    }
}
