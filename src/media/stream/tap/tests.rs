//! Tests of [`super`].

use super::*;

#[test]
#[allow(clippy::unwrap_used)]
fn a_frame_is_delivered_at_once_and_counted_by_packets() {
    gst::init().unwrap();
    let pipeline = gst::parse::launch("appsrc name=in format=time ! appsink name=out").unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("in").unwrap();
    let source = source.downcast::<gst_app::AppSrc>().unwrap();
    source.set_caps(Some(&gst::Caps::new_empty_simple("application/x-rtp")));
    let sink = pipeline.by_name("out").unwrap();
    let sink = sink.downcast::<gst_app::AppSink>().unwrap();
    let tap = Tap::new(&sink, Codec::H264, Duration::from_millis(500), None);
    let (sender, delivered) = std::sync::mpsc::channel();
    let _link = tap.connect(Box::new(move |packets, _| {
        let sizes: Vec<usize> = packets.iter().map(|packet| packet.size()).collect();
        sender.send(sizes).unwrap();
    }));
    pipeline.set_state(gst::State::Playing).unwrap();
    let packet = |size| gst::Buffer::from_mut_slice(vec![0x80; size]);
    let frame: gst::BufferList = [20, 30].map(packet).into_iter().collect();
    source.push_buffer_list(frame).unwrap();
    source.push_buffer(packet(40)).unwrap();
    let wait = Duration::from_secs(10);
    assert_eq!(delivered.recv_timeout(wait), Ok(vec![20, 30]));
    assert_eq!(delivered.recv_timeout(wait), Ok(vec![40]));
    let counters = tap.counters();
    assert_eq!((counters.packets, counters.bytes), (3, 90));
    pipeline.set_state(gst::State::Null).unwrap();
}
