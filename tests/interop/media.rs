//! Coded pictures of one colour and coded tones, made and looked at with GStreamer, for clients
//! that bring no codecs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use gst::prelude::*;
use gst_video::prelude::*;
use tessera::bots::observe::palette;
use tessera::bots::observe::probe::Picture;
use tessera::codec::VideoCodec;

/// Pictures a second of [`color`].
pub(crate) const FPS: u64 = 15;

/// How long each packet of [`tone`] sounds.
pub(crate) const PACKET: Duration = Duration::from_millis(20);

/// Coded pictures, or packets of sound.
pub(crate) type Units = Vec<Vec<u8>>;

/// Two seconds of the colour of the `person`-th of the palette, in 640x360. Each second begins with
/// a keyframe, so that it can be sent over and over to anybody.
///
/// The quantiser is held low, because a coarse one misses a flat colour and never corrects that.
pub(crate) fn color(codec: VideoCodec, person: usize) -> Units {
    let [r, g, b] = palette::color(person);
    let argb = u32::from_be_bytes([0xff, r, g, b]);
    let encoder = match codec {
        VideoCodec::Vp8 => {
            "vp8enc deadline=1 cpu-used=8 target-bitrate=400000 max-quantizer=20 \
             lag-in-frames=0 keyframe-max-dist=15"
        }
        VideoCodec::H264 => {
            "openh264enc bitrate=400000 max-bitrate=800000 rate-control=bitrate gop-size=15 \
             enable-frame-skip=false ! \
             h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au"
        }
        VideoCodec::Vp9 => panic!("no client here sends VP9"),
    };
    run(
        &format!(
            "videotestsrc num-buffers={} pattern=solid-color foreground-color={argb} ! \
             video/x-raw,format=I420,width=640,height=360,framerate={FPS}/1,colorimetry=bt601 ! \
             {encoder} ! appsink name=out sync=false",
            2 * FPS
        ),
        &[],
        bytes,
    )
}

/// Two seconds of the tone of the `person`-th of the palette at -24 dBFS, in packets of 20 ms.
pub(crate) fn tone(person: usize) -> Units {
    let hz = palette::tone(person);
    run(
        &format!(
            "audiotestsrc num-buffers=100 samplesperbuffer=960 freq={hz} volume=0.063 ! \
             audio/x-raw,rate=48000,channels=1 ! opusenc bitrate=64000 ! \
             appsink name=out sync=false"
        ),
        &[],
        bytes,
    )
}

/// The pictures in coded ones.
pub(crate) fn pictures(codec: VideoCodec, coded: &[Vec<u8>]) -> Vec<Picture> {
    let decoder = match codec {
        VideoCodec::Vp8 => "caps=video/x-vp8 ! vp8dec",
        VideoCodec::H264 => "caps=video/x-h264,stream-format=byte-stream ! h264parse ! avdec_h264",
        VideoCodec::Vp9 => panic!("the mix is no VP9"),
    };
    run(
        &format!(
            "appsrc name=in format=time {decoder} ! video/x-raw,format=I420 ! \
             appsink name=out sync=false"
        ),
        coded,
        picture,
    )
}

/// The sound in Opus packets: mono, 48 kHz, full scale 1.0.
pub(crate) fn sound(coded: &[Vec<u8>]) -> Vec<f32> {
    let launch = "appsrc name=in format=time \
         caps=audio/x-opus,channel-mapping-family=0,channels=2,rate=48000 ! \
         opusdec ! audioconvert ! \
         audio/x-raw,format=F32LE,channels=1,rate=48000 ! appsink name=out sync=false";
    let bytes: Vec<u8> = run(launch, coded, bytes).concat();
    samples(&bytes)
}

/// Samples as they stand in memory.
pub(crate) fn samples(bytes: &[u8]) -> Vec<f32> {
    let samples = bytes.as_chunks().0.iter();
    samples.map(|sample| f32::from_le_bytes(*sample)).collect()
}

/// Puts `input` into `appsrc name=in`, if there is any, and gives what comes out of
/// `appsink name=out`, up to the end.
fn run<T>(launch: &str, input: &[Vec<u8>], take: fn(&gst::Sample) -> T) -> Vec<T> {
    gst::init().expect("GStreamer");
    let pipeline = gst::parse::launch(launch).expect("the pipeline");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let sink = pipeline.by_name("out").expect("a sink");
    let sink = sink.downcast::<gst_app::AppSink>().expect("an appsink");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    if let Some(source) = pipeline.by_name("in") {
        let source = source.downcast::<gst_app::AppSrc>().expect("an appsrc");
        source.set_max_bytes(0);
        for unit in input {
            let buffer = gst::Buffer::from_slice(unit.clone());
            source.push_buffer(buffer).expect("it is taken");
        }
        source.end_of_stream().expect("it ends");
    }
    let mut out = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        out.push(take(&sample));
    }
    let errors = pipeline.bus().expect("a bus");
    let error = errors.pop_filtered(&[gst::MessageType::Error]);
    assert!(error.is_none(), "{launch}: {error:?}");
    pipeline.set_state(gst::State::Null).expect("it stops");
    out
}

fn bytes(sample: &gst::Sample) -> Vec<u8> {
    let buffer = sample.buffer().expect("a buffer");
    let map = buffer.map_readable().expect("memory");
    map.as_slice().to_vec()
}

fn picture(sample: &gst::Sample) -> Picture {
    let info = gst_video::VideoInfo::from_caps(sample.caps().expect("caps")).expect("video");
    let buffer = sample.buffer().expect("a buffer");
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info);
    let frame = frame.expect("memory");
    let plane = |i: usize| {
        let stride = usize::try_from(frame.plane_stride()[i]).expect("from top to bottom");
        let data = frame.plane_data(u32::try_from(i).expect("three planes"));
        (data.expect("a plane"), stride)
    };
    let planes = [plane(0), plane(1), plane(2)];
    let (width, height) = (frame.width(), frame.height());
    Picture::from_planes(width, height, planes, Duration::ZERO, 0).expect("whole planes")
}

/// Writes units to a file, each behind its length in four bytes, the most significant first.
pub(crate) fn write(path: &Path, units: &[Vec<u8>]) {
    let framed = units.iter().flat_map(|unit| {
        let length = u32::try_from(unit.len()).expect("small");
        [length.to_be_bytes().to_vec(), unit.clone()].concat()
    });
    fs::write(path, framed.collect::<Vec<_>>()).expect("it is written");
}

/// Reads what [`write`] or a script has written.
pub(crate) fn read(path: &Path) -> Units {
    let file = fs::read(path).expect("it is there");
    let mut rest = file.as_slice();
    let mut units = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let (unit, behind) = behind.split_at_checked(length).expect("a whole unit");
        units.push(unit.to_vec());
        rest = behind;
    }
    units
}

/// What is made is what is looked for, so that a fault of a client is one of the client.
#[test]
fn what_is_made_is_seen_and_heard() {
    use crate::common::look::{COLOR_ERROR, assert_tones};
    for codec in [VideoCodec::Vp8, VideoCodec::H264] {
        let seen = pictures(codec, &color(codec, 1));
        assert_eq!(seen.len() as u64, 2 * FPS);
        for picture in &seen {
            let error = tessera::bots::observe::probe::color::error(
                picture,
                picture.bounds(),
                palette::color(1),
            );
            let error = error.expect("within the picture");
            assert!(error < COLOR_ERROR, "{codec:?} is off by {error:.1}");
        }
    }
    let heard = sound(&tone(1));
    assert_tones(&heard, &[palette::tone(1)], &[palette::tone(0)]);
}
