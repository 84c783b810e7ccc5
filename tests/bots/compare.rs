//! What `tessera compare` counts and reads is what there is.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use gst::prelude::*;
use tessera::bots::clock;
use tessera::bots::observe::probe::timecode::TimeCode;
use tessera::bots::observe::probe::{Picture, Spread};
use tessera::compare::{Case, measure};
use tessera::layout::Size;
use tessera::topology::Topology;

/// In small pictures: what is counted are paths. Each topology has a server of its own, so that two
/// can be run at once.
async fn counts_as_calculated(participants: usize) {
    gst::init().unwrap();
    for two in Topology::ALL.chunks(2) {
        join_all(two.iter().map(|one| counts_in(*one, participants))).await;
    }
}

async fn counts_in(topology: Topology, participants: usize) {
    let case = Case {
        topology,
        participants,
        length: Duration::from_secs(1),
        size: Size {
            width: 160,
            height: 90,
        },
        fps: 10,
    };
    let program = Path::new(env!("CARGO_BIN_EXE_tessera"));
    let row = measure::run(program, case, |_| {}).await.unwrap();
    let measured = (row.paths.measured.outside, row.paths.measured.inside);
    let n = participants as u64;
    // Written out once more, so that this is no comparison of the arithmetic with itself.
    let expected = match topology {
        Topology::P2p => (n * (n - 1), 0),
        Topology::Turn => (2 * n * (n - 1), 0),
        Topology::Sfu => (n * n, 0),
        Topology::TurnSfu => (n * n, n * n),
        Topology::Mcu => (2 * n, 0),
        Topology::TurnMcu => (2 * n, 2 * n),
    };
    assert_eq!(measured, expected, "{topology:?} with {participants}");
    if participants == 4 {
        let four = match topology {
            Topology::P2p => (12, 0),
            Topology::Turn => (24, 0),
            Topology::Sfu => (16, 0),
            Topology::TurnSfu => (16, 16),
            Topology::Mcu => (8, 0),
            Topology::TurnMcu => (8, 8),
        };
        assert_eq!(measured, four, "{topology:?}");
    }
    assert!(row.per_person.down_bps > 0.0, "{row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people() {
    counts_as_calculated(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_people() {
    counts_as_calculated(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_people() {
    counts_as_calculated(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn six_people() {
    counts_as_calculated(6).await;
}

/// Frames with a time code through a loopback that holds each of them back for 100 ms.
#[test]
fn a_loopback_of_100_ms_reads_100_ms() {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(
        "appsrc name=in is-live=true format=time \
         caps=video/x-raw,format=GRAY8,width=320,height=180,framerate=25/1 \
         ! queue ! appsink name=out sync=true processing-deadline=0 ts-offset=100000000",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let input = pipeline.by_name("in").unwrap();
    let input = input.downcast::<gst_app::AppSrc>().unwrap();
    let output = pipeline.by_name("out").unwrap();
    let output = output.downcast::<gst_app::AppSink>().unwrap();
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    pipeline.set_start_time(gst::ClockTime::NONE);
    pipeline.set_base_time(gst::ClockTime::ZERO);
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut ages = Vec::new();
    for _ in 0..30 {
        let now = clock::now();
        let mut drawn = Picture::solid(320, 180, [90; 3]);
        TimeCode::at(now).draw(&mut drawn);
        let mut buffer = gst::Buffer::from_slice(drawn.planes()[0].to_vec());
        let pts = gst::ClockTime::try_from(now).unwrap();
        buffer.get_mut().unwrap().set_pts(pts);
        input.push_buffer(buffer).unwrap();
        let sample = output.pull_sample().unwrap();
        let arrival = clock::now();
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let grey = vec![128; 160 * 90];
        let planes = [(&map[..], 320), (&grey[..], 160), (&grey[..], 160)];
        let seen = Picture::from_planes(320, 180, planes, arrival, 1).unwrap();
        let code = TimeCode::read(&seen, seen.bounds()).unwrap();
        ages.push(code.age(arrival));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let read = Spread::of(ages).unwrap();
    assert!((95.0..=105.0).contains(&read.p50), "{read}");
}
