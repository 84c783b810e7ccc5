//! Tests of [`super`].
#![allow(clippy::unwrap_used)]

use std::sync::mpsc::{self, Receiver};

use super::*;
use crate::layout::Size;
use crate::media::mixer::video::encoder_input::EncoderInput;
use crate::media::stream::tap::Subscription;

/// What comes out of a pipeline whose appsrc `in` is given `items`.
fn decoded(launch: &str, items: impl IntoIterator<Item = gst::Buffer>) -> Vec<gst::Sample> {
    let pipeline = gst::parse::launch(&format!("{launch} ! appsink name=out sync=false")).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let input = pipeline.by_name("in").unwrap();
    let input = input.downcast::<gst_app::AppSrc>().unwrap();
    let output = pipeline.by_name("out").unwrap();
    let output = output.downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for item in items {
        assert!(input.push_buffer(item).is_ok());
    }
    input.end_of_stream().unwrap();
    let mut samples = Vec::new();
    while let Ok(sample) = output.pull_sample() {
        samples.push(sample);
    }
    pipeline.set_state(gst::State::Null).unwrap();
    samples
}

/// The packets of a rendition, as long as the link is there.
fn listen(rendition: &Rendition) -> (Receiver<gst::Buffer>, Subscription) {
    let (told, packets) = mpsc::channel();
    let link = rendition.tap().connect(Box::new(move |list, _| {
        list.iter().for_each(|packet| {
            let _ = told.send(packet.clone());
        });
    }));
    (packets, link)
}

/// Every `step`th picture of the film, as a canvas hands them to encoders of stills.
fn film(step: usize) -> (gst::Caps, Vec<gst::Buffer>) {
    static FILM: &[u8] = include_bytes!("../../../../assets/media/bigbuckbunny.mp4");
    let launch = "appsrc name=in ! qtdemux ! h264parse ! decodebin ! videoconvert ! \
                  video/x-raw,format=I420";
    let samples = decoded(launch, [gst::Buffer::from_slice(FILM)]);
    let mut caps = samples[0].caps_owned().unwrap();
    let fps = gst::Fraction::new(1, 1);
    caps.make_mut().set("framerate", fps);
    let frames = samples.iter().step_by(step);
    (caps, frames.map(|s| s.buffer_owned().unwrap()).collect())
}

/// Bytes of the packets of each still that is made of `frames`, five seconds apart.
fn stills(encoder: Encoder, bitrate: u32, caps: &gst::Caps, frames: &[gst::Buffer]) -> Vec<usize> {
    let templates = Templates::load(None).unwrap();
    let rung = RungSpec {
        size: Size {
            width: 320,
            height: 180,
        },
        pace: Pace::Still(Duration::from_secs(5)),
        least: bitrate,
        most: bitrate,
    };
    let failed = |why| panic!("{why}");
    let rendition = Rendition::pictures(&templates, encoder, &rung, caps, failed).unwrap();
    let (packets, _link) = listen(&rendition);
    let mut sizes = Vec::new();
    let mut encoder_input = EncoderInput::new(Box::new(rendition.input().clone()), rung.pace);
    for (n, frame) in (1..).zip(frames) {
        let at = gst::ClockTime::from_seconds(5) * n;
        encoder_input.offer(frame, at, gst::ClockTime::SECOND / 30);
        sizes.push(0);
        loop {
            let packet = packets.recv_timeout(Duration::from_secs(20)).unwrap();
            *sizes.last_mut().unwrap() += packet.size();
            let rtp = gst_rtp::RTPBuffer::from_buffer_readable(&packet).unwrap();
            if rtp.is_marker() {
                break;
            }
        }
    }
    sizes
}

#[tokio::test(flavor = "multi_thread")]
async fn no_still_takes_more_than_its_share() {
    gst::init().unwrap();
    let (caps, frames) = film(20);
    let all = [
        (Encoder::OpenH264, "openh264enc"),
        (Encoder::X264, "x264enc"),
        (Encoder::Vp8, "vp8enc"),
    ];
    // x264 is not among the packages that Tessera needs.
    let there_are = |(_, name): &(Encoder, &str)| gst::ElementFactory::find(name).is_some();
    for (encoder, name) in all.into_iter().filter(there_are) {
        for bitrate in [8_000, 12_000, 24_000] {
            let sizes = stills(encoder, bitrate, &caps, &frames);
            println!("{name} at {bitrate} bit/s: {sizes:?}");
            let share = bitrate as usize * 5 / 8;
            let most = sizes.iter().max().unwrap();
            assert!(*most < share * 5 / 4, "{name}: {most} of {share} bytes");
        }
    }
}
