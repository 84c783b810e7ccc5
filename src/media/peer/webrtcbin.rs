//! What webrtcbin makes inside itself and has no property for, set as it is made.

use gst::prelude::*;

/// Has the elements that `webrtc` makes from now on do what rooms need of them.
pub(crate) fn install(webrtc: &gst::Element) {
    let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else {
        return;
    };
    bin.connect_deep_element_added(|_, _, element| {
        let Some(factory) = element.factory() else {
            return;
        };
        match factory.name().as_str() {
            "rtpjitterbuffer" => calm_jitterbuffer(element),
            "rtpsession" => hurry_feedback(element),
            "rtpulpfecenc" => pass_lists(element),
            _ => {}
        }
    });
}

/// `rtx-next-seqnum` asks for packets that are only guessed to be late, among them ones that
/// were never sent; where frames come unevenly that is a flood of NACKs.
fn calm_jitterbuffer(element: &gst::Element) {
    element.set_property("faststart-min-packets", 1u32);
    element.set_property("rtx-next-seqnum", false);
}

/// RTCP may take this much, bit/s: more than it ever does.
const RTCP_BANDWIDTH: f64 = 8_000_000.0;

/// On average between two regular reports: as often as browsers report. Until a stream's first
/// sender report nobody knows how it lies to the others.
const REPORTS: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// How often it is told when packets arrived. Else that is once a frame of video, which is 20 kbit/s
/// at 30 frames a second and too seldom where they are lost.
const ARRIVALS: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// Has feedback go out when it is due. A session sends what has come up early (RFC 4585 section
/// 3.5) only once its share of the bandwidth allows, which is a twentieth of what it thinks the
/// bandwidth to be, and between two people easily two seconds: longer than a lost packet can be
/// waited for, so that four of five were never asked for.
fn hurry_feedback(session: &gst::Element) {
    let inner = session.property::<gst::glib::Object>("internal-session");
    inner.set_property("twcc-feedback-interval", ARRIVALS.nseconds());
    session.set_property("rtcp-fraction", RTCP_BANDWIDTH);
    session.set_property("rtcp-min-interval", REPORTS.nseconds());
}

/// Leads lists of packets around the encoders of ULPFEC and RED, which every sender of webrtcbin
/// has and which do nothing where no FEC is negotiated: they would take a list apart, and each
/// packet go out with a system call of its own.
fn pass_lists(fec: &gst::Element) {
    let Some(sink) = fec.static_pad("sink") else {
        return;
    };
    sink.add_probe(gst::PadProbeType::BUFFER_LIST, |sink, info| {
        let Some(after) = behind_idle_encoders(sink) else {
            return gst::PadProbeReturn::Ok;
        };
        if let Some(gst::PadProbeData::BufferList(list)) = info.data.take() {
            info.flow_res = after.push_list(list);
        }
        // Handled and not Drop: after Drop, GStreamer 1.22.0 releases the list once more.
        gst::PadProbeReturn::Handled
    });
}

/// The way out of the RED encoder behind the FEC encoder of `sink`, if neither has anything to do.
fn behind_idle_encoders(sink: &gst::Pad) -> Option<gst::Pad> {
    /// rtpulpfecenc's payload type when it is off.
    const NO_FEC: u32 = 255;
    let fec = sink.parent_element()?;
    let red = fec.static_pad("src")?.peer()?.parent_element()?;
    let idle = fec.property::<u32>("pt") == NO_FEC
        && red.factory().is_some_and(|f| f.name() == "rtpredenc")
        && !red.property::<bool>("allow-no-red-blocks")
        && red.property::<u32>("distance") == 0;
    idle.then(|| red.static_pad("src")).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Sizes of what leaves the encoders of a frame of three packets: of the list, if it is one,
    /// or of its first packet.
    fn sizes_behind_encoders(set_up: impl Fn(&gst::Element, &gst::Element)) -> Vec<usize> {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        install(pipeline.upcast_ref());
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", "video")
            .field("clock-rate", 90_000i32)
            .field("encoding-name", "H264")
            .build();
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .build();
        let make = |name| gst::ElementFactory::make(name).build().unwrap();
        let (fec, red) = (make("rtpulpfecenc"), make("rtpredenc"));
        set_up(&fec, &red);
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .buffer_list(true)
            .build();
        let elements: [&gst::Element; 4] = [source.upcast_ref(), &fec, &red, sink.upcast_ref()];
        pipeline.add_many(elements).unwrap();
        gst::Element::link_many(elements).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();

        let packet = |size| gst::Buffer::from_mut_slice(vec![0x80; size]);
        let frame: gst::BufferList = [20, 30, 40].map(packet).into_iter().collect();
        source.push_buffer_list(frame).unwrap();
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(10));
        let sample = sample.unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        match sample.buffer_list() {
            Some(list) => list.iter().map(gst::BufferRef::size).collect(),
            None => vec![sample.buffer().unwrap().size()],
        }
    }

    #[test]
    fn a_frame_passes_idle_encoders_whole() {
        let sizes = sizes_behind_encoders(|_, red| {
            // As webrtcbin has them where no FEC is negotiated.
            red.set_property("allow-no-red-blocks", false);
        });
        assert_eq!(sizes, [20, 30, 40]);
    }

    #[test]
    fn encoders_at_work_are_not_passed() {
        // RED puts a byte of its own before the payload.
        let sizes = sizes_behind_encoders(|_, red| red.set_property("pt", 100i32));
        assert_eq!(sizes, [21]);
    }
}
