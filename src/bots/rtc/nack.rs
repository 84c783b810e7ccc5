//! Lost packets of what a bot receives (NACK, RFC 4585; RTX, RFC 4588): whether they are asked for
//! again, how long they are waited for, and the counters of the elements inside webrtcbin that do so.

use std::sync::Arc;

use gst::glib;
use gst::prelude::*;
use parking_lot::Mutex;

use super::arrivals;
use crate::media::peer::webrtcbin::internals::{factory_name, on_element_added};
use crate::protocol::stats::RepairStats;

/// Reads the counters inside one webrtcbin. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct NackMonitor {
    elements: Arc<Mutex<Vec<glib::WeakRef<gst::Element>>>>,
}

impl NackMonitor {
    /// Monitors the elements that `webrtc` makes inside itself from now on.
    pub(crate) fn watch(webrtc: &gst::Element) -> Self {
        let monitor = Self {
            elements: Arc::default(),
        };
        let elements = Arc::clone(&monitor.elements);
        on_element_added(webrtc, move |element, _| {
            if Kind::of(element).is_some() {
                let mut elements = elements.lock();
                elements.retain(|element| element.upgrade().is_some());
                elements.push(element.downgrade());
            }
        });
        monitor
    }

    /// Sums up the counters of all elements.
    pub(crate) fn counters(&self) -> RepairStats {
        let mut sum = RepairStats::default();
        for element in self.elements() {
            if let Some(kind) = Kind::of(&element) {
                kind.add(&element, &mut sum);
            }
        }
        sum
    }

    /// The elements that count. The list is not locked while they are used, for they take locks of
    /// their own.
    fn elements(&self) -> Vec<gst::Element> {
        self.elements
            .lock()
            .iter()
            .filter_map(|e| e.upgrade())
            .collect()
    }
}

/// An element inside webrtcbin that counts.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Session,
    Receiver,
    Jitterbuffer,
}

impl Kind {
    fn of(element: &gst::Element) -> Option<Self> {
        match factory_name(element)?.as_str() {
            "rtpsession" => Some(Self::Session),
            "rtprtxreceive" => Some(Self::Receiver),
            "rtpjitterbuffer" => Some(Self::Jitterbuffer),
            _ => None,
        }
    }

    fn add(self, element: &gst::Element, sum: &mut RepairStats) {
        let stats = || element.property::<gst::Structure>("stats");
        let property = |name| u64::from(element.property::<u32>(name));
        match self {
            Self::Session => {
                let asked = stats().get::<u32>("sent-nack-count");
                sum.asked += asked.map_or(0, u64::from);
            }
            Self::Receiver => sum.recovered += property("num-rtx-assoc-packets"),
            Self::Jitterbuffer => sum.lost += stats().get::<u64>("num-lost").unwrap_or(0),
        }
    }
}

/// How long a jitterbuffer waits for a missing packet of sound, ms. It may have been overtaken; it
/// is not sent again, and those that follow must not become too late to be played.
const SOUND_JITTERBUFFER_MS: u32 = 40;

/// Sets up the jitterbuffer behind a pad: lost packets of pictures are asked for again, those of
/// sound are not. webrtcbin (1.22 to 1.28) means to do so, but gives each new jitterbuffer the
/// setting of every m-line in turn: the last SSRC that it has learned decides, and that can be one
/// of this side. For sound it also waits for [`SOUND_JITTERBUFFER_MS`] only, and smooths arrival
/// times ([`arrivals`]).
pub(crate) fn set_loss_handling(pad: &gst::Pad, sound: bool) {
    if let Some(jitterbuffer) = jitterbuffer(pad) {
        jitterbuffer.set_property("do-retransmission", !sound);
        if sound {
            jitterbuffer.set_property("latency", SOUND_JITTERBUFFER_MS);
            arrivals::smooth(&jitterbuffer);
        }
    }
}

/// Elements between a jitterbuffer and the pad of its stream: one that tells payload types apart,
/// and one for FEC, whether it was negotiated or not.
const ELEMENTS_BEHIND_JITTERBUFFER: usize = 2;

/// The jitterbuffer whose packets leave through a pad.
fn jitterbuffer(pad: &gst::Pad) -> Option<gst::Element> {
    let mut pad = pad.clone();
    while let Some(ghost) = pad.downcast_ref::<gst::GhostPad>() {
        pad = ghost.target()?;
    }
    let before = |element: &gst::Element| element.static_pad("sink")?.peer()?.parent_element();
    let chain = std::iter::successors(pad.parent_element(), before);
    let mut near = chain.take(1 + ELEMENTS_BEHIND_JITTERBUFFER);
    near.find(|element| element.has_property("do-retransmission"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The jitterbuffer is found behind ghost pads and what webrtcbin (1.22) has before them.
    #[test]
    fn what_a_pad_carries_decides_whether_losses_are_asked_for() {
        gst::init().expect("gst");
        let pipeline = gst::parse::launch(
            "audiotestsrc num-buffers=50 ! opusenc ! rtpopuspay pt=97 \
             ! rtpjitterbuffer name=buffer ! rtpptdemux name=demux",
        )
        .expect("a pipeline")
        .downcast::<gst::Pipeline>()
        .expect("a pipeline");
        let buffer = pipeline.by_name("buffer").expect("it is there");
        let demux = pipeline.by_name("demux").expect("it is there");
        let (found, pads) = std::sync::mpsc::channel();
        demux.connect_pad_added(move |demux, pad| {
            let fec = gst::ElementFactory::make("rtpulpfecdec")
                .build()
                .expect("an element of webrtcbin");
            demux
                .parent()
                .and_downcast::<gst::Bin>()
                .expect("a pipeline")
                .add(&fec)
                .expect("a new element");
            let (sink, source) = (fec.static_pad("sink"), fec.static_pad("src"));
            pad.link(&sink.expect("a pad")).expect("it fits");
            let inner = gst::GhostPad::with_target(&source.expect("a pad")).expect("a ghost");
            let outer = gst::GhostPad::with_target(&inner).expect("a ghost");
            let _ = found.send((inner, outer));
        });
        pipeline.set_state(gst::State::Playing).expect("it starts");
        let (_inner, pad) = pads
            .recv_timeout(std::time::Duration::from_secs(20))
            .expect("a pad");
        let asks = || buffer.property::<bool>("do-retransmission");
        set_loss_handling(pad.upcast_ref(), false);
        assert!(asks());
        set_loss_handling(pad.upcast_ref(), true);
        assert!(!asks());
        pipeline.set_state(gst::State::Null).expect("it ends");
    }
}
