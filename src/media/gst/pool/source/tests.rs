//! Tests of [`super`].
#![allow(clippy::unwrap_used)]

use super::*;

/// Longer than anything takes on a busy machine.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

fn caps(name: &str) -> gst::Caps {
    gst::Caps::new_empty_simple(name)
}

/// A buffer of so many bytes for that time.
fn buffer(ms: u64, size: usize) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(size).unwrap();
    let header = buffer.get_mut().unwrap();
    header.set_pts(gst::ClockTime::from_mseconds(ms));
    buffer
}

/// Times, ms, of what waits in a queue, and its caps.
fn waiting(queue: &Queue) -> Vec<(u64, Option<String>)> {
    let name = |caps: &gst::Caps| caps.structure(0).unwrap().name().to_string();
    let items = queue.items.iter();
    items
        .map(|item| {
            let pts = item.buffer.pts().unwrap().mseconds();
            (pts, item.caps.as_ref().map(name))
        })
        .collect()
}

fn open(limits: Limits) -> Queue {
    gst::init().unwrap();
    Queue {
        flow: Flow::Open,
        limits,
        ..Queue::default()
    }
}

#[test]
fn beyond_a_limit_the_oldest_goes_and_its_caps_stay() {
    let by = [
        Limits {
            buffers: 2,
            ..Limits::NONE
        },
        Limits {
            bytes: 20,
            ..Limits::NONE
        },
        Limits {
            time: gst::ClockTime::from_mseconds(10),
            ..Limits::NONE
        },
    ];
    for limits in by {
        let mut queue = open(limits);
        queue.caps = Some(caps("a/a"));
        for ms in [0, 10, 20, 30] {
            assert!(queue.push(buffer(ms, 10), Hold::Never));
        }
        let a = Some("a/a".to_owned());
        assert_eq!(waiting(&queue), [(20, a.clone()), (30, None)], "{limits:?}");
        assert_eq!(queue.bytes, 20);
        queue.caps = Some(caps("b/b"));
        queue.push(buffer(40, 10), Hold::Never);
        let b = Some("b/b".to_owned());
        assert_eq!(waiting(&queue), [(30, a), (40, b.clone())], "{limits:?}");
        queue.push(buffer(50, 10), Hold::Never);
        assert_eq!(waiting(&queue), [(40, b), (50, None)], "{limits:?}");
    }
    let mut queue = open(Limits {
        bytes: 20,
        ..Limits::NONE
    });
    queue.push(buffer(0, 1_000), Hold::Never);
    assert_eq!(queue.items.len(), 1, "one is never too much");
}

#[test]
fn the_packets_of_a_picture_go_on_with_its_last_or_with_the_next_picture() {
    let mut queue = open(Limits::NONE);
    assert!(!queue.push(buffer(0, 10), Hold::UntilNext));
    assert!(!queue.push(buffer(0, 10), Hold::UntilNext));
    assert!(queue.push(buffer(0, 10), Hold::Never));
    queue.items.clear();
    assert!(!queue.push(buffer(33, 10), Hold::UntilNext));
    assert!(
        queue.push(buffer(66, 10), Hold::UntilNext),
        "its last was lost"
    );
    queue.items.clear();
    let held = (1..MAX_HELD).map(|_| queue.push(buffer(99, 10), Hold::UntilNext));
    assert!(!held.collect::<Vec<_>>().contains(&true));
    assert!(queue.push(buffer(99, 10), Hold::UntilNext), "it has no end");
}

/// A pipeline that begins with a source, and what comes out of it.
fn pipeline(rest: &str) -> (gst::Pipeline, PoolSrc, gst_app::AppSink) {
    gst::init().unwrap();
    register();
    let launch = format!("poolsrc name=in ! {rest} ! appsink name=out sync=false async=false");
    let pipeline = gst::parse::launch(&launch).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let input = pipeline.by_name("in").unwrap().downcast().unwrap();
    let output = pipeline.by_name("out").unwrap().downcast().unwrap();
    (pipeline, input, output)
}

#[test]
fn buffers_come_out_in_order_with_the_caps_that_they_were_pushed_with() {
    let (pipeline, input, output) = pipeline("identity");
    input.set_caps(&caps("a/a"));
    input.push(buffer(1_000, 10), Hold::Never);
    pipeline.set_state(gst::State::Playing).unwrap();
    for ms in 0..500 {
        if ms == 250 {
            input.set_caps(&caps("b/b"));
        }
        input.push(buffer(ms, 10), Hold::Never);
    }
    for ms in 0..500 {
        let sample = output.try_pull_sample(PATIENCE).unwrap();
        let pts = sample.buffer().unwrap().pts().unwrap();
        assert_eq!(pts.mseconds(), ms, "what was pushed before it ran is gone");
        let name = if ms < 250 { "a/a" } else { "b/b" };
        assert!(sample.caps().unwrap().is_strictly_equal(&caps(name)));
    }
    let mut latency = gst::query::Latency::new();
    let sink = output.static_pad("sink").unwrap();
    assert!(sink.peer_query(&mut latency));
    assert!(latency.result().0, "it is live");
    pipeline.set_state(gst::State::Null).unwrap();
    input.push(buffer(0, 10), Hold::Never);
    assert_eq!(input.waiting(), gst::ClockTime::ZERO);
}

#[test]
fn what_cannot_go_on_is_an_error_of_the_pipeline() {
    let (pipeline, input, _output) = pipeline("capsfilter caps=b/b");
    let bus = pipeline.bus().unwrap();
    input.set_caps(&caps("a/a"));
    pipeline.set_state(gst::State::Playing).unwrap();
    input.push(buffer(0, 10), Hold::Never);
    let kinds = [gst::MessageType::Error];
    assert!(bus.timed_pop_filtered(PATIENCE, &kinds).is_some());
    // Nothing is kept any more.
    for ms in 0..10 {
        input.push(buffer(ms, 10), Hold::UntilNext);
    }
    assert!(input.imp().queue.lock().items.is_empty());
    pipeline.set_state(gst::State::Null).unwrap();
}

/// What each thread of the pool has to do at least twice over, 5 ms at a time.
fn slow_ones() -> Vec<(gst::Pipeline, PoolSrc, gst_app::AppSink)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let slow = |_| {
        let slow = pipeline("identity sleep-time=5000");
        slow.1.set_caps(&caps("a/a"));
        slow.0.set_state(gst::State::Playing).unwrap();
        slow
    };
    (0..2 * threads).map(slow).collect()
}

#[test]
fn nobody_waits_until_those_who_are_slow_have_done_all_of_theirs() {
    gst::init().unwrap();
    let slow = slow_ones();
    for (_, input, _) in &slow {
        (0..400).for_each(|ms| input.push(buffer(ms, 10), Hold::Never));
    }
    let (pipeline, input, output) = pipeline("identity");
    input.set_caps(&caps("a/a"));
    pipeline.set_state(gst::State::Playing).unwrap();
    for ms in 0..20 {
        input.push(buffer(ms, 10), Hold::Never);
        let sample = output.try_pull_sample(PATIENCE).unwrap();
        assert_eq!(sample.buffer().unwrap().pts().unwrap().mseconds(), ms);
    }
    // Each of them has two seconds to do, and had a turn between two of ours.
    for (pipeline, input, output) in slow {
        assert!(input.waiting() > gst::ClockTime::ZERO);
        assert!(output.try_pull_sample(PATIENCE).is_some());
        pipeline.set_state(gst::State::Null).unwrap();
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn who_is_too_slow_loses_their_own_and_has_the_newest() {
    gst::init().unwrap();
    let slow = slow_ones();
    for (_, input, _) in &slow {
        input.limit(Limits {
            buffers: 2,
            ..Limits::NONE
        });
        (0..400).for_each(|ms| input.push(buffer(ms, 10), Hold::Never));
    }
    for (pipeline, _, output) in slow {
        let mut came = Vec::new();
        while came.last() != Some(&399) {
            let sample = output.try_pull_sample(PATIENCE).unwrap();
            came.push(sample.buffer().unwrap().pts().unwrap().mseconds());
        }
        assert!(came.is_sorted() && came.len() < 400, "{came:?}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
