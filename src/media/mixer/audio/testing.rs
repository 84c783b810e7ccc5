//! Recorded words, and what GStreamer makes of packets, for tests of the mix.
#![allow(clippy::unwrap_used)]

use gst::prelude::*;

use super::mix::{FRAME, Frame};

/// So many blocks of somebody who speaks.
pub(crate) fn speech(blocks: usize) -> Vec<Frame> {
    gst::init().unwrap();
    static VOICE: &[u8] = include_bytes!("../../../../assets/media/voice-1.opus");
    let voice = gst::Buffer::from_slice(VOICE);
    let launch = "appsrc name=in ! oggdemux ! opusdec";
    let samples = samples(launch, [voice.into()]);
    let blocks = samples.chunks_exact(FRAME).take(blocks);
    blocks.map(|block| block.try_into().unwrap()).collect()
}

/// What an appsrc is given.
pub(crate) enum Item {
    Buffer(gst::Buffer),
    Event(gst::Event),
}

impl From<gst::Buffer> for Item {
    fn from(buffer: gst::Buffer) -> Self {
        Self::Buffer(buffer)
    }
}

/// What comes out of a decoder that is given `items`, mono, 48 kHz.
pub(crate) fn samples(launch: &str, items: impl IntoIterator<Item = Item>) -> Vec<f32> {
    let launch = format!(
        "{launch} ! audioconvert ! audioresample ! \
         audio/x-raw,format=F32LE,rate=48000,channels=1"
    );
    let mut samples = Vec::new();
    for sample in decoded(&launch, items) {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let values = map.chunks_exact(4);
        samples.extend(values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    }
    samples
}

/// What comes out of a pipeline whose appsrc `in` is given `items`.
fn decoded(launch: &str, items: impl IntoIterator<Item = Item>) -> Vec<gst::Sample> {
    let pipeline = gst::parse::launch(&format!("{launch} ! appsink name=out sync=false")).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let input = pipeline.by_name("in").unwrap();
    let input = input.downcast::<gst_app::AppSrc>().unwrap();
    let output = pipeline.by_name("out").unwrap();
    let output = output.downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for item in items {
        match item {
            Item::Buffer(buffer) => assert!(input.push_buffer(buffer).is_ok()),
            Item::Event(event) => assert!(input.send_event(event)),
        }
    }
    input.end_of_stream().unwrap();
    let mut samples = Vec::new();
    while let Ok(sample) = output.pull_sample() {
        samples.push(sample);
    }
    pipeline.set_state(gst::State::Null).unwrap();
    samples
}
