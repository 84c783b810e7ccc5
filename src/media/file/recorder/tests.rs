use std::sync::mpsc;

use super::testing::{FRAMES, TestPipeline, picture, silence};
use super::*;
use crate::media::gst::plugins;

/// How long a stream may take to pass.
const PATIENCE: Duration = Duration::from_secs(30);

const H264: &str = "openh264enc complexity=low ! h264parse \
                    ! rtph264pay aggregate-mode=zero-latency config-interval=-1";
const VP8: &str = "vp8enc deadline=1 cpu-used=8 ! rtpvp8pay";

/// A tap that is about to deliver such packets.
struct Source {
    encoder: TestPipeline,
    tap: Tap,
}

impl Source {
    fn new(format: Codec, caps: &gst::Caps) -> Self {
        let encoder = TestPipeline::new("appsrc name=in format=time ! appsink name=out sync=false");
        encoder.part::<gst_app::AppSrc>("in").set_caps(Some(caps));
        let interval = Duration::from_millis(500);
        let tap = Tap::new(&encoder.part("out"), format, interval, None);
        Self { encoder, tap }
    }

    /// Delivers them to whoever is connected now.
    fn deliver(self, packets: Vec<gst::Buffer>) {
        let (pass, passed) = mpsc::channel();
        let _link = self.tap.connect(Box::new(move |packets, _| {
            packets.iter().for_each(|_| pass.send(()).unwrap());
        }));
        self.encoder.start();
        let count = packets.len();
        let source: gst_app::AppSrc = self.encoder.part("in");
        for packet in packets {
            source.push_buffer(packet).unwrap();
        }
        for _ in 0..count {
            passed.recv_timeout(PATIENCE).unwrap();
        }
    }
}

fn begin(container: Container, path: &Path) -> Recorder {
    gst::init().unwrap();
    let templates = Templates::default();
    Recorder::start(&templates, container, path, |text| panic!("{text}")).unwrap()
}

/// So many pictures of a file can be decoded; one more than are seen, for avdec_h264 withholds one.
fn check_pictures(container: Container, path: &Path, count: usize) {
    let reader = match container {
        Container::Mp4 => format!("qtdemux ! h264parse ! {}", plugins::h264_decoder().unwrap()),
        _ => "matroskademux ! vp8dec".to_owned(),
    };
    let path = path.display();
    let file = format!("filesrc location={path} ! {reader} ! appsink name=out sync=false");
    let seen = TestPipeline::new(&file).samples().len();
    assert!((count - 1..=count).contains(&seen), "{seen} of {count}");
}

/// Two encoders whose streams come one after the other say something else of them.
async fn check_change(container: Container, encoders: [&str; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mix");
    let mut recorder = begin(container, &path);
    let format = Codec::from(container.codec().unwrap());
    let mut said = Vec::new();
    for (n, encoder) in encoders.into_iter().enumerate() {
        let (caps, frames) = picture(encoder);
        let later = gst::ClockTime::from_seconds(n as u64 * 4);
        let later = |mut packet: gst::Buffer| {
            let pts = packet.pts().map(|pts| pts + later);
            packet.make_mut().set_pts(pts);
            packet
        };
        let packets = frames.into_iter().flatten().map(later).collect();
        let source = Source::new(format, &caps);
        recorder.feed_picture(&source.tap);
        source.deliver(packets);
        said.push(caps);
    }
    assert_ne!(said[0], said[1]);
    let caps = gst::Caps::new_empty_simple("application/x-rtp");
    let source = Source::new(Codec::Opus, &caps);
    recorder.feed_sound(&source.tap);
    let packets = (0..400).map(|n| silence(Duration::ZERO, n)).collect();
    source.deliver(packets);
    assert_eq!(recorder.length().as_millis(), 7_960);
    recorder.finish().await.unwrap();
    check_pictures(container, &path, 2 * FRAMES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_stays_whole_when_its_picture_changes_its_size() {
    let sized = |encoder: &str| {
        let size = "videoscale ! video/x-raw,width=320,height=240";
        [encoder.to_owned(), format!("{size} ! {encoder}")]
    };
    let encoders = sized(H264);
    check_change(Container::Mp4, [&encoders[0], &encoders[1]]).await;
    let encoders = sized(VP8);
    check_change(Container::Webm, [&encoders[0], &encoders[1]]).await;
}

/// One that ends before any sound has come.
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_without_sound_can_be_read() {
    for (container, encoder) in [(Container::Mp4, H264), (Container::Webm, VP8)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mix");
        let mut recorder = begin(container, &path);
        let (caps, frames) = picture(encoder);
        let source = Source::new(Codec::from(container.codec().unwrap()), &caps);
        recorder.feed_picture(&source.tap);
        source.deliver(frames.into_iter().flatten().collect());
        recorder.finish().await.unwrap();
        check_pictures(container, &path, FRAMES);
    }
}
