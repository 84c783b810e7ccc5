//! Tests of [`super`].
#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::*;
use crate::id::{ParticipantId, Role};
use crate::media::mixer::video::picture::Yuv;

const RGB: [u8; 3] = [208, 48, 208];

/// A sender of one colour, up to where its RTP leaves the peer.
struct Sender {
    pipeline: gst::Pipeline,
    tap: Tap,
}

impl Sender {
    fn start(format: Codec, raw: &str, encoder: &str) -> Self {
        gst::init().unwrap();
        let [r, g, b] = RGB;
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc is-live=true pattern=solid-color \
             foreground-color=0xff{r:02x}{g:02x}{b:02x} ! \
             video/x-raw,format=I420,framerate=15/1,{raw} ! {encoder} ! appsink name=out"
        ));
        let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
        let sink = pipeline.by_name("out").unwrap();
        let sink = sink.downcast::<gst_app::AppSink>().unwrap();
        let tap = Tap::new(&sink, format, Duration::from_millis(100), None);
        Self { pipeline, tap }
    }

    /// The samples in the middle of what comes out of an ingest.
    fn ingested(&self) -> [u8; 3] {
        let source = SourceId {
            participant: ParticipantId::new(1),
            role: Role::Camera,
        };
        let failed = |text| panic!("{text}");
        let ingest = Ingest::start(
            &Templates::default(),
            source,
            &self.tap,
            Fit::Contain,
            failed,
        );
        let ingest = ingest.unwrap();
        let (width, height) = (320, 180);
        ingest.set_tile(Size { width, height });
        self.pipeline.set_state(gst::State::Playing).unwrap();
        let patience = gst::ClockTime::from_seconds(10);
        let sample = ingest.sink().try_pull_sample(patience).unwrap();
        let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        assert_eq!((info.width(), info.height()), (width, height));
        assert_eq!(info.colorimetry(), colorimetry::canvas());
        let map = sample.buffer().unwrap().map_readable().unwrap();
        [0, 1, 2].map(|plane| {
            let half = if plane == 0 { 2 } else { 4 };
            let row = info.stride()[plane] as usize * (height as usize / half);
            map[info.offset()[plane] + row + width as usize / half]
        })
    }
}

/// Leaves one byte of the payload of every packet but those that begin a fragmented unit, for the
/// first `frames` frames.
fn cut_off(payloader: &gst::Element, frames: u32) {
    let left = AtomicU32::new(frames);
    let pad = payloader.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER_LIST, move |_, info| {
        let Some(gst::PadProbeData::BufferList(list)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        *list = list.iter().map(|b| shortened(&b.to_owned())).collect();
        match left.fetch_sub(1, Ordering::Relaxed) {
            1 => gst::PadProbeReturn::Remove,
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

fn shortened(packet: &gst::Buffer) -> gst::Buffer {
    let whole = packet.map_readable().unwrap().to_vec();
    let begins_unit = whole[12] & 0x1f == 28 && whole[13] & 0x80 != 0;
    if begins_unit {
        return packet.clone();
    }
    let mut short = gst::Buffer::from_mut_slice(whole[..13].to_vec());
    let kept = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    packet
        .copy_into(short.get_mut().unwrap(), kept, ..)
        .unwrap();
    short
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Whatever a stream's matrix is and whether it is said, where GStreamer would guess BT.601 and
/// where it would guess BT.709.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_any_matrix_is_bt601_on_the_canvas() {
    let x264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! \
                rtph264pay config-interval=-1 pt=96";
    let silent = "openh264enc gop-size=15 ! rtph264pay config-interval=-1 pt=96";
    let vp8 = "vp8enc deadline=1 max-quantizer=10 keyframe-max-dist=15 ! rtpvp8pay pt=96";
    let Yuv(expected) = Yuv::from_rgb(RGB);
    for size in ["width=1280,height=720", "width=640,height=360"] {
        for (format, matrix, encoder) in [
            (Codec::H264, "bt709", x264),
            (Codec::H264, "bt601", x264),
            (Codec::H264, "bt601", silent),
            (Codec::Vp8, "bt601", vp8),
        ] {
            let raw = format!("{size},colorimetry={matrix}");
            let sender = Sender::start(format, &raw, encoder);
            let seen = sender.ingested();
            for (value, wanted) in seen.into_iter().zip(expected) {
                let what = format!("{raw} ! {encoder}: {seen:?} for {expected:?}");
                assert!(value.abs_diff(wanted) <= 3, "{what}");
            }
        }
    }
}

/// rtph264depay does not survive a fragment that ends with its first byte.
#[tokio::test(flavor = "multi_thread")]
async fn fragments_that_end_too_soon_cost_their_sender_the_picture_for_a_while() {
    let encoder = "openh264enc gop-size=15 qp-max=4 rate-control=off ! \
                   rtph264pay name=pay mtu=100 config-interval=-1 pt=96";
    let raw = "width=640,height=360,colorimetry=bt601";
    let sender = Sender::start(Codec::H264, raw, encoder);
    cut_off(&sender.pipeline.by_name("pay").unwrap(), 20);
    let seen = sender.ingested();
    let Yuv(expected) = Yuv::from_rgb(RGB);
    for (value, wanted) in seen.into_iter().zip(expected) {
        assert!(value.abs_diff(wanted) <= 3, "{seen:?} for {expected:?}");
    }
}
