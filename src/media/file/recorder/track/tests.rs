use std::path::PathBuf;
use std::sync::mpsc;

use super::*;
use crate::codec::Contents;
use crate::media::file::recorder::testing::{FRAMES, GROUP, TestPipeline, picture, silence};
use crate::media::file::remux::remux;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_file_begins_with_what_opens_it_and_says_when_that_was() {
    let mut line = TrackTimeline::new(ms(1000), 90_000);
    assert_eq!(line.place(ms(990), 0, true), None, "before the recording");
    assert_eq!(line.place(ms(1010), 1, false), None, "no keyframe yet");
    assert!(!line.has_begun());
    assert_eq!(line.place(ms(1250), 2, true), Some(Placed::First(ms(250))));
    assert_eq!(
        line.place(ms(1250), 2, false),
        Some(Placed::At(ms(0))),
        "the same frame"
    );
    assert_eq!(line.place(ms(1283), 3, false), Some(Placed::At(ms(33))));
    assert_eq!(
        line.place(ms(1280), 4, false),
        Some(Placed::At(ms(34))),
        "never back"
    );
}

#[test]
fn what_is_missing_is_a_gap_and_ends_with_a_keyframe() {
    let mut line = TrackTimeline::new(ms(0), 90_000);
    assert_eq!(line.place(ms(100), 0, true), Some(Placed::First(ms(100))));
    line.broken();
    assert_eq!(line.place(ms(5000), 1, false), None);
    assert_eq!(line.place(ms(5100), 2, true), Some(Placed::At(ms(5000))));
    assert_eq!(line.place(ms(5133), 3, false), Some(Placed::At(ms(5033))));
}

/// When the first packet of each stream here came.
const FIRST: Duration = Duration::from_secs(7);
/// How long a stream may take to pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes packets to a file as a tap delivers them, and returns when it begins.
async fn record(
    format: Codec,
    caps: &gst::Caps,
    packets: Vec<gst::Buffer>,
    path: &Path,
) -> Duration {
    let uplink = TestPipeline::new("appsrc name=in format=time ! appsink name=out sync=false");
    let source: gst_app::AppSrc = uplink.part("in");
    source.set_caps(Some(caps));
    let tap = Tap::new(&uplink.part("out"), format, ms(500), None);
    let (begin, began) = mpsc::channel();
    let begins = move |at| begin.send(at).unwrap();
    let templates = Templates::default();
    let writer = TrackWriter::start(&templates, &tap, path, ms(0), begins, |text| {
        panic!("{text}")
    });
    let mut writer = writer.unwrap();
    writer.resume(Backlog::None);
    // Told after the writer, which was there before.
    let (pass, passed) = mpsc::channel();
    let _link = tap.connect(Box::new(move |packets, _| {
        packets.iter().for_each(|_| pass.send(()).unwrap());
    }));
    uplink.start();
    let count = packets.len();
    for packet in packets {
        source.push_buffer(packet).unwrap();
    }
    for _ in 0..count {
        passed.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), TrackEnd::Written);
    began.try_recv().unwrap()
}

/// The times of what is in a file.
fn times(path: &Path) -> Vec<Duration> {
    let path = path.display();
    let file = format!("filesrc location={path} ! matroskademux ! appsink name=out sync=false");
    let at = |sample: &gst::Sample| sample.buffer().unwrap().pts().unwrap().into();
    TestPipeline::new(&file).samples().iter().map(at).collect()
}

/// The times of what is in a file, and in what is made of it where it was cut short.
async fn all_times(path: &Path, contents: Contents) -> Vec<Duration> {
    let copy: PathBuf = path.with_extension("copy");
    remux(&Templates::default(), contents, path, &copy)
        .await
        .unwrap();
    let times = times(path);
    assert_eq!(
        self::times(&copy),
        times,
        "a mended file has the same times"
    );
    times
}

/// Sound that is lost, or was muted, is missing where it was, and moves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn lost_sound_moves_no_other() {
    gst::init().unwrap();
    let came = |n: &u16| !(30..33).contains(n) && !(50..90).contains(n) && *n != 120;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mic.webm");
    let packets = (0..200).filter(came).map(|n| silence(FIRST, n)).collect();
    let caps = gst::Caps::new_empty_simple("application/x-rtp");
    let begins = record(Codec::Opus, &caps, packets, &path).await;
    assert_eq!(begins, FIRST);
    let expected: Vec<Duration> = (0..200)
        .filter(came)
        .map(|n: u16| ms(20 * u64::from(n)))
        .collect();
    assert_eq!(all_times(&path, Contents::Voice).await, expected);
}

/// A frame that lacks a packet is missing with all that depend on it, and no other is, or is moved.
async fn check_losses(format: Codec, encoder: &str, contents: Contents) {
    let (caps, mut frames) = picture(encoder);
    let first = frames[0][0].pts().unwrap();
    let time = |frame: &[gst::Buffer]| Duration::from(frame[0].pts().unwrap() - first);
    let all: Vec<Duration> = frames.iter().map(|frame| time(frame)).collect();
    // A packet in the middle of a frame, the first of one, the last of one, and a whole frame.
    let middle = frames[10].len() / 2;
    assert!(middle > 0, "frames of several packets");
    frames[10].remove(middle);
    frames[GROUP + 5].remove(0);
    frames[2 * GROUP + 7].pop();
    frames[3 * GROUP + 9].clear();
    let lost = [10, GROUP + 5, 2 * GROUP + 7, 3 * GROUP + 9];
    let kept = |n: &usize| {
        lost.iter()
            .all(|lost| n / GROUP != lost / GROUP || n < lost)
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("camera.mkv");
    let packets = frames.into_iter().flatten().collect();
    record(format, &caps, packets, &path).await;
    let expected: Vec<u128> = (0..FRAMES)
        .filter(kept)
        .map(|n| all[n].as_millis())
        .collect();
    let times = all_times(&path, contents).await;
    let times: Vec<u128> = times.iter().map(Duration::as_millis).collect();
    assert_eq!(times, expected, "{format:?}");
}

/// A file of one picture has a duration, and so can be read.
#[tokio::test(flavor = "multi_thread")]
async fn one_picture_is_a_file() {
    const DURATION: &[u8] = &[0x44, 0x89, 0x88];
    let (caps, mut frames) = picture("vp8enc deadline=1 cpu-used=8 ! rtpvp8pay");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("camera.webm");
    record(Codec::Vp8, &caps, frames.swap_remove(0), &path).await;
    assert_eq!(all_times(&path, Contents::Picture).await, [ms(0)]);
    for path in [&path, &path.with_extension("copy")] {
        let bytes = std::fs::read(path).unwrap();
        let found = bytes.windows(DURATION.len()).any(|part| part == DURATION);
        assert!(found, "{} lasts for no time", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_vp8_moves_no_other() {
    let encoder = format!(
        "vp8enc deadline=1 cpu-used=8 keyframe-max-dist={GROUP} \
         ! rtpvp8pay picture-id-mode=15-bit"
    );
    check_losses(Codec::Vp8, &encoder, Contents::Picture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_vp9_moves_no_other() {
    let encoder = format!(
        "vp9enc deadline=1 cpu-used=8 keyframe-max-dist={GROUP} lag-in-frames=0 \
         ! rtpvp9pay picture-id-mode=15-bit"
    );
    check_losses(Codec::Vp9, &encoder, Contents::Picture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_h264_moves_no_other() {
    let encoder = format!(
        "openh264enc gop-size={GROUP} complexity=low scene-change-detection=false \
         ! h264parse config-interval=-1 ! rtph264pay aggregate-mode=zero-latency config-interval=-1"
    );
    check_losses(Codec::H264, &encoder, Contents::Picture).await;
}

/// Where times go back, as when a sender first says how its streams lie to one another, every
/// picture is in the file and has a time of its own.
#[tokio::test(flavor = "multi_thread")]
async fn times_that_go_back_lose_no_picture() {
    let (caps, mut frames) = picture("vp8enc deadline=1 cpu-used=8 ! rtpvp8pay");
    for packet in frames.iter_mut().skip(FRAMES / 2).flatten() {
        let back = packet.pts().unwrap() - gst::ClockTime::from_mseconds(100);
        packet.make_mut().set_pts(back);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("camera.webm");
    let packets = frames.into_iter().flatten().collect();
    record(Codec::Vp8, &caps, packets, &path).await;
    let times = all_times(&path, Contents::Picture).await;
    assert_eq!(times.len(), FRAMES);
    assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
    assert_eq!(times[FRAMES - 1], ms(40 * (FRAMES as u64 - 1) - 100));
}
