//! Tests of [`super`].
#![allow(clippy::unwrap_used)]

use super::*;
use crate::media::rtp::h264_sps::{SPS, heads};

const OPENH264: &str = "openh264enc name=encoder";
const X264: &str = "x264enc name=encoder tune=zerolatency byte-stream=true";

const PEAK: PeakRates = PeakRates {
    fps: 30,
    bitrate: 1_500_000,
};

/// [`patched_unit`] of a stream of 30 frames a second.
fn with_bt601(unit: &[u8]) -> Option<Vec<u8>> {
    patched_unit(unit, PEAK)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signed {
    Yes,
    No,
}

/// The first access unit of a stream of such frames, and the colorimetry that is read in it.
fn encoded(encoder: &str, raw: &str, signed: Signed) -> (Vec<u8>, Option<String>) {
    let pipeline = pipeline(&format!(
        "videotestsrc num-buffers=2 ! video/x-raw,format=I420,framerate=30/1,{raw} ! {encoder} ! \
         video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au ! \
         appsink name=out sync=false wait-on-eos=false"
    ));
    if signed == Signed::Yes {
        patch(&pipeline.by_name("encoder").unwrap(), PEAK);
    }
    let unit = first(&pipeline).0;
    let said = read(&unit);
    (unit, said)
}

/// The colorimetry that a parser finds in an access unit, and only there: the caps are fresh.
fn read(unit: &[u8]) -> Option<String> {
    let pipeline = pipeline(
        "appsrc name=in caps=video/x-h264,stream-format=byte-stream,alignment=au ! h264parse ! \
         appsink name=out sync=false wait-on-eos=false",
    );
    let source = pipeline.by_name("in").unwrap();
    let source = source.downcast::<gst_app::AppSrc>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let buffer = gst::Buffer::from_slice(unit.to_vec());
    source.push_buffer(buffer).unwrap();
    source.end_of_stream().unwrap();
    let caps = first(&pipeline).1;
    caps.structure(0).unwrap().get("colorimetry").ok()
}

fn pipeline(launch: &str) -> gst::Pipeline {
    gst::init().unwrap();
    gst::parse::launch(launch).unwrap().downcast().unwrap()
}

/// Runs until the first sample is there.
fn first(pipeline: &gst::Pipeline) -> (Vec<u8>, gst::Caps) {
    let sink = pipeline.by_name("out").unwrap();
    let sink = sink.downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let sample = sink.pull_sample().unwrap();
    let data = sample.buffer().unwrap().map_readable().unwrap().to_vec();
    pipeline.set_state(gst::State::Null).unwrap();
    (data, sample.caps_owned().unwrap())
}

#[test]
fn a_silent_encoders_stream_says_bt601() {
    for raw in ["width=1280,height=720", "width=322,height=182"] {
        let (silent, said) = encoded(OPENH264, raw, Signed::No);
        assert_eq!(said, None, "the encoder says it by itself");
        let (signed, said) = encoded(OPENH264, raw, Signed::Yes);
        assert_eq!(said.as_deref(), Some("bt601"));
        assert!(with_bt601(&silent).as_deref() == Some(&signed[..]));
        assert_eq!(with_bt601(&signed), None, "it is said once");
    }
}

#[test]
fn what_an_encoder_says_is_replaced_where_it_is_wrong_and_kept_where_right() {
    let frames = "width=640,height=360,colorimetry=bt709";
    assert_eq!(
        encoded(X264, frames, Signed::No).1.as_deref(),
        Some("bt709")
    );
    assert_eq!(
        encoded(X264, frames, Signed::Yes).1.as_deref(),
        Some("bt601")
    );
    let right = format!("{X264} option-string=level=31");
    let (right, _) = encoded(&right, "width=640,height=360,colorimetry=bt601", Signed::No);
    assert!(with_bt601(&right).is_none());
}

#[test]
fn what_follows_the_parameter_set_is_untouched() {
    let (silent, _) = encoded(OPENH264, "width=1280,height=720", Signed::No);
    let signed = with_bt601(&silent).unwrap();
    let behind = |unit: &[u8]| {
        let mut heads = heads(unit).into_iter();
        let sps = heads.find(|nal| unit[nal.start] & 0x1f == SPS).unwrap();
        unit[sps.end..].to_vec()
    };
    assert!(behind(&silent) == behind(&signed));
    assert!(signed.len() <= silent.len() + 8);
}

/// openh264 says another level once it is told another bitrate.
#[test]
fn an_encoders_parameter_sets_stay_as_they_are() {
    let pipeline = pipeline(
        "videotestsrc ! video/x-raw,format=I420,width=640,height=360,framerate=30/1 ! \
         openh264enc name=encoder rate-control=bitrate bitrate=250000 gop-size=5 ! \
         video/x-h264,stream-format=byte-stream,alignment=au ! \
         appsink name=out sync=false max-buffers=1",
    );
    let encoder = pipeline.by_name("encoder").unwrap();
    let (sender, by_itself) = std::sync::mpsc::channel();
    let parameter_set = |unit: &[u8]| {
        let sets = heads(unit).into_iter().map(|nal| unit[nal].to_vec());
        sets.into_iter().find(|nal| nal[0] & 0x1f == SPS)
    };
    encoder
        .static_pad("src")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer() {
                let unit = buffer.map_readable().unwrap();
                let _ = sender.send(parameter_set(&unit));
            }
            gst::PadProbeReturn::Ok
        });
    patch(&encoder, PEAK);
    let sink = pipeline.by_name("out").unwrap();
    let sink = sink.downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut signed = Vec::new();
    for n in 0..20 {
        if n == 5 {
            encoder.set_property("bitrate", 1_500_000u32);
        }
        let unit = sink.pull_sample().unwrap();
        let unit = unit.buffer().unwrap().map_readable().unwrap();
        signed.extend(parameter_set(&unit));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let mut by_itself: Vec<_> = by_itself.try_iter().flatten().collect();
    by_itself.dedup();
    assert!(by_itself.len() > 1, "{by_itself:?}: it would do without");
    assert!(signed.len() >= 3);
    signed.dedup();
    assert_eq!(signed.len(), 1, "{signed:?}");
    assert_eq!(signed[0][3], 31);
}
