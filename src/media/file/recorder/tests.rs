use std::sync::mpsc;

use super::testing::{FRAMES, TestPipeline, opus, picture, silence, sound};
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

fn begin(format: impl Into<MixFormat>, path: &Path) -> Recorder {
    gst::init().unwrap();
    let templates = Templates::default();
    Recorder::start(&templates, format.into(), path, |text| panic!("{text}")).unwrap()
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
    assert_eq!(recorder.length(), FRAME * 400 - SOUND_AGE);
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

/// The times in a file, ms, at which it begins to sound.
fn onsets(path: &Path) -> Vec<f64> {
    let path = path.display();
    let reader = format!(
        "filesrc location={path} ! qtdemux name=demux demux.audio_0 ! decodebin ! audioconvert \
         ! audio/x-raw,format=F32LE ! appsink name=out sync=false"
    );
    let mut onsets: Vec<f64> = Vec::new();
    for sample in TestPipeline::new(&reader).samples() {
        let buffer = sample.buffer().unwrap();
        let begins = buffer.pts().unwrap().useconds() as f64 / 1000.0;
        let bytes = buffer.map_readable().unwrap();
        for (n, sample) in bytes.chunks_exact(4).enumerate() {
            let at = begins + n as f64 / 48.0;
            let loud = f32::from_le_bytes(sample.try_into().unwrap()).abs() > 0.1;
            // Each tick sounds for 10 ms, and they are a second apart.
            if loud && onsets.last().is_none_or(|last| at - last > 500.0) {
                onsets.push(at);
            }
        }
    }
    onsets
}

/// AAC adds no delay against the picture: what is heard has the same times as in the Opus that it
/// was made of, from the beginning of the file to its end, after a pause, too.
#[tokio::test(flavor = "multi_thread")]
async fn aac_is_in_step_with_what_it_is_made_of() {
    gst::init().unwrap();
    let packets = sound("audiotestsrc wave=ticks num-buffers=240 samplesperbuffer=960");
    let mut heard: Vec<Vec<f64>> = Vec::new();
    for codec in [SoundCodec::Opus, SoundCodec::Aac] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mix");
        let mut recorder = begin(MixFormat::new(Container::Mp4, codec).unwrap(), &path);
        let (caps, frames) = picture(H264);
        let source = Source::new(Codec::H264, &caps);
        recorder.feed_picture(&source.tap);
        source.deliver(frames.into_iter().flatten().collect());
        let caps = gst::Caps::new_empty_simple("application/x-rtp");
        let source = Source::new(Codec::Opus, &caps);
        recorder.feed_sound(&source.tap);
        // Half a second between the ticks is not sent, and a packet is late by 4 ms from then on.
        let sent = (0..240).filter(|n| !(115..140).contains(n));
        let sent = sent.map(|n| {
            let late = Duration::from_millis(if n < 140 { 0 } else { 4 });
            opus(late, n, &packets[usize::from(n)])
        });
        source.deliver(sent.collect());
        recorder.finish().await.unwrap();
        // AAC fades in.
        let onsets = onsets(&path).into_iter().filter(|at| *at > 500.0);
        heard.push(onsets.collect());
    }
    assert_eq!(heard[0].len(), 4, "{heard:?}");
    assert_eq!(heard[0].len(), heard[1].len(), "{heard:?}");
    for (opus, aac) in heard[0].iter().zip(&heard[1]) {
        assert!((opus - aac).abs() < 6.0, "{heard:?}");
    }
}
