//! What a remix that fails, or that somebody ends, leaves behind: nothing.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tessera::archive::events::{EVENTS, Event, EventLog, VERSION};
use tessera::id::{ParticipantId, RoomId};
use tessera::layout::{Fit, Size};
use tessera::media::gst::template::Templates;
use tessera::remix::{self, RemixError, RemixOptions};
use tokio::process::Command;
use tokio::time::timeout;

use crate::common::disk::Disk;
use crate::common::recorded::folder;
use crate::common::server::PATIENCE;

/// A recording of somebody without a camera that is as long as this.
fn write_events(folder: &Path, length: Duration) {
    let mut log = EventLog::open(&folder.join(EVENTS)).expect("a folder");
    let begin = Event::Begin {
        version: VERSION,
        room: RoomId::new("remix").expect("an id"),
        started: "2026-11-21T10:15:00.120Z".to_owned(),
        canvas: Size {
            width: 1280,
            height: 720,
        },
        fps: 30,
        fit: Fit::Cover,
    };
    let join = Event::Join {
        participant: ParticipantId::new(1),
        name: "Ann".to_owned(),
        viewer: false,
    };
    for (at, event) in [
        (Duration::ZERO, begin),
        (Duration::ZERO, join),
        (length, Event::End),
    ] {
        log.write(at, event).expect("written");
    }
}

fn options(folder: &Path, output: &Path) -> RemixOptions {
    RemixOptions {
        folder: folder.to_owned(),
        output: output.to_owned(),
        force: false,
        layout: None,
        size: None,
        fps: None,
        video_bitrate: None,
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("an entry").file_name();
        name.to_string_lossy().into_owned()
    };
    entries.map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_keeps_nothing_of_a_remix() {
    gst::init().expect("GStreamer");
    let (events, disk) = (folder(), Disk::new("16k"));
    write_events(events.path(), Duration::from_secs(20));
    for name in ["remix.mp4", "remix.webm"] {
        let options = options(events.path(), &disk.path().join(name));
        let made = remix::run(options, Arc::new(Templates::default()), |_, _| {}).await;
        assert!(matches!(made, Err(RemixError::Writing(_))), "{made:?}");
        assert_eq!(files(disk.path()), [""; 0], "after {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_get_its_name_is_removed() {
    gst::init().expect("GStreamer");
    let (events, place) = (folder(), folder());
    write_events(events.path(), Duration::from_secs(1));
    let output = place.path().join("remix.mp4");
    std::fs::create_dir(&output).expect("a folder of that name");
    let options = options(events.path(), &output);
    let made = remix::run(options, Arc::new(Templates::default()), |_, _| {}).await;
    assert!(matches!(made, Err(RemixError::Disk(..))), "{made:?}");
    assert_eq!(files(place.path()), ["remix.mp4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_written_to_is_named_with_the_reason() {
    gst::init().expect("GStreamer");
    let events = folder();
    write_events(events.path(), Duration::from_secs(1));
    let options = options(events.path(), Path::new("/nonexistent/x.mp4"));
    let made = remix::run(options, Arc::new(Templates::default()), |_, _| {}).await;
    let error = made.expect_err("no such folder").to_string();
    assert_eq!(
        error,
        "cannot write /nonexistent/x.mp4: No such file or directory (os error 2)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_replaced_only_by_force() {
    gst::init().expect("GStreamer");
    let (events, place) = (folder(), folder());
    write_events(events.path(), Duration::from_secs(1));
    let output = place.path().join("remix.webm");
    std::fs::write(&output, "a film of years").expect("written");
    let mut options = options(events.path(), &output);
    let made = remix::run(options.clone(), Arc::new(Templates::default()), |_, _| {});
    let error = made.await.expect_err("it is there");
    assert!(matches!(error, RemixError::Exists(_)), "{error}");
    assert!(error.to_string().contains("--force"), "{error}");
    assert_eq!(std::fs::read(&output).expect("there"), b"a film of years");
    assert_eq!(files(place.path()), ["remix.webm"]);
    options.force = true;
    let made = remix::run(options, Arc::new(Templates::default()), |_, _| {}).await;
    made.expect("a film");
    assert!(std::fs::metadata(&output).expect("there").len() > 1_000);
    assert_eq!(files(place.path()), ["remix.webm"]);
}

/// Ctrl-C ends it soon, whatever was still to be done.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_interrupted_leaves_nothing() {
    let (events, place) = (folder(), folder());
    write_events(events.path(), Duration::from_secs(4 * 3600));
    let mut remix = Command::new(env!("CARGO_BIN_EXE_tessera"))
        .arg("remix")
        .arg(events.path())
        .arg("-o")
        .arg(place.path().join("remix.mp4"))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let began = async {
        while files(place.path()).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, began).await.expect("it begins a file");
    assert_eq!(files(place.path()), ["remix.mp4.part"]);
    let pid = remix.id().expect("it runs");
    let pid = Pid::from_raw(i32::try_from(pid).expect("small")).expect("not zero");
    kill_process(pid, Signal::INT).expect("it is told to end");
    let status = timeout(PATIENCE, remix.wait()).await.expect("it ends");
    assert_eq!(status.expect("a status").code(), Some(1));
    assert_eq!(files(place.path()), [""; 0]);
}
