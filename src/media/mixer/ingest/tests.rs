//! Tests of [`super`].
#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::*;
use crate::id::{ParticipantId, Role};
use crate::media::gst::event::force_key_unit;
use crate::media::mixer::video::picture::Yuv;
use crate::media::rtp::budget::HIDDEN_HOLD_OFF;
use crate::media::rtp::extensions::COLOR_SPACE;
use crate::media::stream::keyframes::{KeyframeOrigin, KeyframeThrottle};

const RGB: [u8; 3] = [208, 48, 208];
/// Longer than any picture takes on a busy machine; only a hang reaches it.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);
const TILE: Size = Size {
    width: 320,
    height: 180,
};

/// The tap of what comes out of a sender's pipeline.
fn uplink(sink: &gst_app::AppSink, format: Codec, keyframes: Arc<KeyframeThrottle>) -> Tap {
    let caps = gst::Caps::builder("application/x-rtp")
        .field("media", "video")
        .field("encoding-name", format.encoding_name())
        .field("clock-rate", 90_000)
        .field("payload", 96)
        .field("extmap-1", COLOR_SPACE)
        .build();
    let asked = sink.static_pad("sink").unwrap();
    let request = move || {
        asked.push_event(force_key_unit());
    };
    let (tap, input) = Tap::of_uplink((0, format), caps, keyframes, Box::new(request), None);
    sink.set_property("sync", false);
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let packet = sink.pull_sample().unwrap().buffer_owned().unwrap();
        input.push(&[packet]);
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
    tap
}

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
        let keyframes = KeyframeThrottle::new(KeyframeOrigin::Sender, Duration::from_millis(100));
        let tap = uplink(&sink, format, Arc::new(keyframes));
        Self { pipeline, tap }
    }

    /// The samples in the middle of what comes out of an ingest.
    fn ingested(&self) -> [u8; 3] {
        next_picture(&self.decoded(), 2)
    }

    /// An ingest of what is sent from now on, and of what the tap has kept.
    fn decoded(&self) -> Ingest {
        let ingest = ingest(&self.tap, Role::Camera);
        ingest.set_tile(TILE);
        self.pipeline.set_state(gst::State::Playing).unwrap();
        ingest
    }

    /// Keeps keyframe requests from the encoder.
    fn ignore_requests(&self) {
        let sink = self.pipeline.by_name("out").unwrap();
        let pad = sink.static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, |_, _| {
            gst::PadProbeReturn::Handled
        });
    }

    /// Lets the sender run until so many packets have come.
    async fn run_for(&self, packets: u64) {
        self.pipeline.set_state(gst::State::Playing).unwrap();
        let (come, all_here) = tokio::sync::oneshot::channel();
        let (mut come, mut seen) = (Some(come), 0);
        let _link = self.tap.connect(Box::new(move |list, _| {
            seen += list.len() as u64;
            if seen >= packets {
                come.take().map(|come| come.send(()));
            }
        }));
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, all_here)
            .await
            .unwrap()
            .unwrap();
    }
}

/// The samples of the next picture, at one over `part` of its width and height.
fn next_picture(ingest: &Ingest, part: usize) -> [u8; 3] {
    let sample = ingest.sink().try_pull_sample(PATIENCE).unwrap();
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    assert_eq!((info.width(), info.height()), (TILE.width, TILE.height));
    assert_eq!(info.colorimetry(), colorimetry::canvas());
    let map = sample.buffer().unwrap().map_readable().unwrap();
    [0, 1, 2].map(|plane| {
        let part = if plane == 0 { part } else { 2 * part };
        let row = info.stride()[plane] as usize * (TILE.height as usize / part);
        map[info.offset()[plane] + row + TILE.width as usize / part]
    })
}

fn ingest(tap: &Tap, role: Role) -> Ingest {
    let source = SourceId {
        participant: ParticipantId::new(1),
        role,
    };
    let failed = |text| panic!("{text}");
    let ingest = Ingest::start(&Templates::default(), source, tap, Fit::Contain, failed);
    ingest.unwrap()
}

fn assert_colour(seen: [u8; 3], what: &str) {
    assert!(is_colour(seen), "{what}: {seen:?}");
}

fn is_colour(seen: [u8; 3]) -> bool {
    let Yuv(expected) = Yuv::from_rgb(RGB);
    let mut samples = seen.into_iter().zip(expected);
    samples.all(|(value, wanted)| value.abs_diff(wanted) <= 3)
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
    for size in ["width=1280,height=720", "width=640,height=360"] {
        for (format, matrix, encoder) in [
            (Codec::H264, "bt709", x264),
            (Codec::H264, "bt601", x264),
            (Codec::H264, "bt601", silent),
            (Codec::Vp8, "bt601", vp8),
        ] {
            let raw = format!("{size},colorimetry={matrix}");
            let sender = Sender::start(format, &raw, encoder);
            assert_colour(sender.ingested(), &format!("{raw} ! {encoder}"));
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
    assert_colour(sender.ingested(), "after them");
}

/// One keyframe at the start, and no other however often one is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn who_begins_late_has_a_picture_without_another_keyframe() {
    for (format, encoder) in [
        (
            Codec::Vp8,
            "vp8enc deadline=1 max-quantizer=10 keyframe-max-dist=9999 ! rtpvp8pay pt=96",
        ),
        (
            Codec::H264,
            "openh264enc gop-size=9999 qp-max=4 rate-control=off ! \
             rtph264pay config-interval=-1 pt=96",
        ),
    ] {
        let raw = "width=640,height=360,colorimetry=bt601";
        let sender = Sender::start(format, raw, encoder);
        sender.ignore_requests();
        sender.run_for(20).await;
        assert_colour(sender.ingested(), encoder);
    }
}

/// A sender that refreshes its pictures bit by bit: a keyframe at the start, then recovery points.
#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_begins_at_a_recovery_point() {
    let encoder = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 \
                   intra-refresh=true byte-stream=true quantizer=1 pass=quant ! \
                   rtph264pay config-interval=-1 pt=96";
    let sender = Sender::start(
        Codec::H264,
        "width=640,height=360,colorimetry=bt601",
        encoder,
    );
    sender.ignore_requests();
    sender.run_for(100).await;
    let ingest = sender.decoded();
    // Every part of the picture has been refreshed after some fifteen pictures.
    let whole = (0..60).any(|_| is_colour(next_picture(&ingest, 2)));
    assert!(whole, "a picture comes, but never whole");
}

/// Packets of padding alone between the frames, each with a number of its own.
#[tokio::test(flavor = "multi_thread")]
async fn padding_between_frames_is_not_noticed() {
    let encoder = "openh264enc gop-size=9999 qp-max=4 rate-control=off ! \
                   rtph264pay name=pay config-interval=-1 pt=96 aggregate-mode=none";
    let sender = Sender::start(
        Codec::H264,
        "width=640,height=360,colorimetry=bt601",
        encoder,
    );
    sender.ignore_requests();
    pad_between_frames(&sender.pipeline.by_name("pay").unwrap());
    let ingest = sender.decoded();
    for picture in 0..15 {
        let next = ingest.sink().try_pull_sample(PATIENCE);
        assert!(next.is_some(), "picture {picture}");
    }
}

/// Puts a packet of padding behind each list of packets, and numbers all of them anew.
fn pad_between_frames(payloader: &gst::Element) {
    let number = std::sync::atomic::AtomicU16::new(0);
    let pad = payloader.static_pad("src").unwrap();
    let kinds = gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::BUFFER;
    pad.add_probe(kinds, move |pad, info| {
        let numbered = |packet: &gst::BufferRef, payload: bool| {
            let mut bytes = packet.map_readable().unwrap().to_vec();
            if !payload {
                // The header, and four bytes of padding that say so themselves.
                bytes.truncate(12);
                bytes[0] |= 0x20;
                bytes[1] &= 0x7f;
                bytes.extend([0, 0, 0, 4]);
            }
            let next = number.fetch_add(1, Ordering::Relaxed);
            bytes[2..4].copy_from_slice(&next.to_be_bytes());
            let mut new = gst::Buffer::from_mut_slice(bytes);
            let kept = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
            packet.copy_into(new.get_mut().unwrap(), kept, ..).unwrap();
            new
        };
        match &mut info.data {
            Some(gst::PadProbeData::BufferList(list)) => {
                let mut all: Vec<_> = list.iter().map(|packet| numbered(packet, true)).collect();
                all.extend(list.get(0).map(|packet| numbered(packet, false)));
                *list = all.into_iter().collect();
            }
            Some(gst::PadProbeData::Buffer(packet)) => *packet = numbered(packet, true),
            _ => panic!("{} has something else", pad.name()),
        }
        gst::PadProbeReturn::Ok
    });
}

/// A picture of 720x576 with pixels that are wider than high is one of 16:9, and fills the tile.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_fitted_by_the_shape_that_it_is_shown_in() {
    let encoder = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! \
                   rtph264pay config-interval=-1 pt=96";
    let raw = "width=720,height=576,pixel-aspect-ratio=64/45,colorimetry=bt601";
    let sender = Sender::start(Codec::H264, raw, encoder);
    assert_colour(next_picture(&sender.decoded(), 20), "near a corner");
}

/// A decoder that has made a picture that is too large, of a frame that stood behind another one, is
/// given nothing for a while, and then the sender's pictures again.
#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_opens_again_after_a_picture_that_is_too_large() {
    let encoder = "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=15 ! rtpvp8pay pt=96";
    let sender = Sender::start(Codec::Vp8, "width=320,height=180", encoder);
    let ingest = sender.decoded();
    assert_colour(next_picture(&ingest, 2), "before");
    let huge = Size {
        width: 16_384,
        height: 16_384,
    };
    let scaler = &ingest.scaler;
    scaler.source.store(pack(huge), Ordering::Release);
    let begin = running_time();
    let mut last = begin;
    // What is in the pipeline still comes out of it.
    while last < begin + gst::ClockTime::try_from(HIDDEN_HOLD_OFF).unwrap() {
        let sample = ingest.sink().try_pull_sample(PATIENCE).expect("a picture");
        let now = running_time();
        let was_shut = now.saturating_sub(last) > gst::ClockTime::from_seconds(3);
        last = now;
        if was_shut {
            assert!(sample.buffer().is_some());
            return;
        }
    }
    panic!("pictures went on all the time");
}
