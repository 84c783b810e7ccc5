//! Tests of [`super`].
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const OPENH264: &str = "openh264enc name=encoder";
const X264: &str = "x264enc name=encoder tune=zerolatency byte-stream=true";

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
        sign(&pipeline.by_name("encoder").unwrap());
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
    let (right, _) = encoded(X264, "width=640,height=360,colorimetry=bt601", Signed::No);
    assert_eq!(with_bt601(&right), None);
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

proptest! {
    #[test]
    fn escaping_can_be_taken_back(payload in prop::collection::vec(0u8..5, 0..40)) {
        let hidden = escaped(&payload);
        prop_assert!(!hidden.windows(3).any(|w| w[0] == 0 && w[1] == 0 && w[2] < 3));
        prop_assert_eq!(unescaped(&hidden), payload);
    }

    #[test]
    fn whatever_comes_is_signed_at_most_once(body in prop::collection::vec(any::<u8>(), 0..60)) {
        for start in [&[0, 0, 0, 1, 0x67, 66, 0xc0, 31][..], &[0, 0, 1, 0x67], &[]] {
            let unit = [start, &body].concat();
            if let Some(signed) = with_bt601(&unit) {
                prop_assert_eq!(with_bt601(&signed), None);
            }
        }
    }
}
