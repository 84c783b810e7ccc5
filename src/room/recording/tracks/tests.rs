use gst::prelude::*;

use super::*;
use crate::admission::{Means, RESERVE};
use crate::archive::events::VERSION;
use crate::codec::Codec;
use crate::id::{ParticipantId, Role, RoomId};
use crate::layout::{Fit, Size};

fn descriptors(free: u64) -> Means {
    Means {
        descriptors: Some(free),
        ..Means::default()
    }
}

fn beginning() -> Event {
    Event::Begin {
        version: VERSION,
        room: RoomId::new("r1").expect("an id"),
        started: "2026-11-21T10:15:00Z".to_owned(),
        canvas: Size {
            width: 640,
            height: 360,
        },
        fps: 30,
        fit: Fit::Contain,
    }
}

/// Who comes while the server has nothing left is recorded once it has, and the recording goes on.
#[tokio::test]
async fn a_track_waits_until_there_are_means_for_its_file() {
    gst::init().expect("GStreamer");
    let folder = tempfile::tempdir().expect("a folder");
    let admission = Admission::given(None);
    admission.observe_means(descriptors(RESERVE.descriptors));
    let zero = Duration::ZERO;
    let event_log = folder.path().join("events.jsonl");
    let event_log = EventLogWriter::begin(event_log, zero, beginning()).await;
    let log = (event_log.expect("a file"), zero);
    let parts = (Arc::default(), admission.clone());
    let (news, inbox) = mpsc::unbounded_channel();
    let mut recording = TrackRecording::new(folder.path().to_owned(), parts, log, news);

    let sink = gst_app::AppSink::builder().build();
    let tap = Tap::new(&sink, Codec::Opus, Duration::from_millis(100), None);
    let source = SourceId {
        participant: ParticipantId::new(1),
        role: Role::Mic,
    };
    let feed = Some((tap, Tracked::Live));
    recording.track(zero, source, feed).await.expect("it waits");
    recording.look(zero).await.expect("it waits");
    assert!(recording.running.is_empty() && recording.waiting.len() == 1);
    let free = RESERVE.descriptors + Demand::TRACK.descriptors;
    admission.observe_means(descriptors(free));
    recording.look(zero).await.expect("it begins");
    assert!(recording.running.contains_key(&source) && recording.waiting.is_empty());
    // Who has gone waits for nothing.
    admission.observe_means(descriptors(RESERVE.descriptors));
    let restarted = recording.restart(source).await;
    restarted.expect("it waits again");
    assert_eq!(recording.waiting.len(), 1);
    recording.track(zero, source, None).await.expect("it ends");
    assert!(recording.waiting.is_empty());
    recording.finish(zero, inbox).await.expect("an end");
    let _ = sink.set_state(gst::State::Null);
}
