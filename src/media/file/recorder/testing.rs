//! What tests of recordings write and read with.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use gst::prelude::*;
use gst_rtp::prelude::*;

use super::packets::SILENCE;
use super::timeline::FRAME;

/// A pipeline that is stopped when it goes.
pub(crate) struct TestPipeline(gst::Pipeline);

impl TestPipeline {
    pub(crate) fn new(description: &str) -> Self {
        gst::init().unwrap();
        let pipeline = gst::parse::launch(description).unwrap();
        Self(pipeline.downcast().unwrap())
    }

    pub(crate) fn start(&self) {
        self.0.set_state(gst::State::Playing).unwrap();
    }

    pub(crate) fn part<T: IsA<gst::Element>>(&self, name: &str) -> T {
        self.0.by_name(name).unwrap().downcast().unwrap()
    }

    /// All that comes out of its sink `out`.
    pub(crate) fn samples(&self) -> Vec<gst::Sample> {
        self.start();
        let sink: gst_app::AppSink = self.part("out");
        // What fails does not end.
        let wait = gst::ClockTime::from_seconds(10);
        std::iter::from_fn(|| sink.try_pull_sample(wait)).collect()
    }
}

impl Drop for TestPipeline {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Frames of a stream, and frames between keyframes.
pub(crate) const FRAMES: usize = 100;
pub(crate) const GROUP: usize = 25;

/// The packets of a picture, frame by frame, with their caps.
pub(crate) fn picture(encoder: &str) -> (gst::Caps, Vec<Vec<gst::Buffer>>) {
    let size = "video/x-raw,format=I420,width=160,height=120,framerate=25/1";
    let description = format!(
        "videotestsrc pattern=snow num-buffers={FRAMES} ! {size} ! {encoder} mtu=400 \
         ! appsink name=out sync=false"
    );
    let samples = TestPipeline::new(&description).samples();
    let caps = samples[0].caps_owned().unwrap();
    let mut frames: Vec<Vec<gst::Buffer>> = Vec::new();
    for sample in samples {
        let lists = sample.buffer_list_owned();
        let packets = lists.iter().flat_map(|list| list.iter_owned());
        for packet in packets.chain(sample.buffer_owned()) {
            match frames.last_mut() {
                Some(frame) if frame[0].pts() == packet.pts() => frame.push(packet),
                _ => frames.push(vec![packet]),
            }
        }
    }
    assert_eq!(frames.len(), FRAMES);
    (caps, frames)
}

/// The `n`-th packet of a stream of sound whose first one came at `first`.
pub(crate) fn silence(first: Duration, n: u16) -> gst::Buffer {
    opus(first, n, &SILENCE)
}

/// Opus packets of 20 ms of a sound.
pub(crate) fn sound(description: &str) -> Vec<Vec<u8>> {
    let description = format!(
        "{description} ! audio/x-raw,rate=48000,channels=1 ! opusenc frame-size=20 bitrate=96000 \
         ! appsink name=out sync=false"
    );
    let samples = TestPipeline::new(&description).samples();
    let bytes = |sample: &gst::Sample| sample.buffer().unwrap().map_readable().unwrap().to_vec();
    samples.iter().map(bytes).collect()
}

/// The `n`-th packet, with this content, of a stream of sound whose first one came at `first`.
pub(crate) fn opus(first: Duration, n: u16, content: &[u8]) -> gst::Buffer {
    let length = u32::try_from(content.len()).unwrap();
    let mut packet = gst::Buffer::new_rtp_with_sizes(length, 0, 0).unwrap();
    let writable = packet.get_mut().unwrap();
    writable.set_pts(gst::ClockTime::try_from(first + FRAME * u32::from(n)).unwrap());
    let mut rtp = gst_rtp::RTPBuffer::from_buffer_writable(writable).unwrap();
    rtp.set_seq(n);
    rtp.set_timestamp(u32::from(n) * 960);
    rtp.payload_mut().unwrap().copy_from_slice(content);
    drop(rtp);
    packet
}
