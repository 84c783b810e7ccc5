use super::*;

const MS: u64 = 1_000_000;
/// A packet of 20 ms.
const PACKET: u32 = 960;

/// When each of `n` packets, 20 ms each, is said to have come that came so many ms after its time.
fn said(smoother: &mut ArrivalSmoother, first: u64, n: u64, late: impl Fn(u64) -> u64) -> Vec<u64> {
    let say = |k| {
        let taken = first + 20 * k;
        let timestamp = (u32::MAX - 4_000).wrapping_add((taken * 48) as u32);
        let came = gst::ClockTime::from_mseconds(taken + late(k));
        smoother.smoothed(timestamp, came).nseconds() / MS - taken
    };
    (0..n).map(say).collect()
}

#[test]
fn packets_of_bursts_are_said_to_have_come_evenly() {
    let mut smoother = ArrivalSmoother::default();
    // The last of six comes at once, the first has waited for it; and timestamps wrap.
    let said = said(&mut smoother, 1_000, 60, |k| 7 + 20 * (5 - k % 6));
    assert_eq!(said[0], 107, "of the first nothing is known");
    assert!(said[5..].iter().all(|late| *late == 7), "{said:?}");
}

#[test]
fn packets_that_come_evenly_are_not_touched() {
    let mut smoother = ArrivalSmoother::default();
    let said = said(&mut smoother, 1_000, 500, |_| 30);
    assert!(said.iter().all(|late| *late == 30), "{said:?}");
}

#[test]
fn a_way_that_has_become_longer_is_believed_after_some_seconds() {
    let mut smoother = ArrivalSmoother::default();
    said(&mut smoother, 1_000, 200, |_| 10);
    let longer = said(&mut smoother, 5_000, 250, |_| 90);
    assert!(longer[..100].iter().all(|late| *late == 10), "{longer:?}");
    assert!(longer[200..].iter().all(|late| *late == 90), "{longer:?}");
    let shorter = said(&mut smoother, 10_000, 10, |_| 20);
    assert!(shorter.iter().all(|late| *late == 20), "{shorter:?}");
}

#[test]
fn a_sender_that_paused_its_clock_begins_anew() {
    let mut smoother = ArrivalSmoother::default();
    said(&mut smoother, 1_000, 50, |_| 10);
    let paused = said(&mut smoother, 2_000, 50, |_| 5_000);
    assert!(paused.iter().all(|late| *late == 5_000), "{paused:?}");
}

#[test]
fn any_times_are_taken() {
    let mut smoother = ArrivalSmoother::default();
    let edges = [0, 1, 1 << 31, u32::MAX, 0x7fff_ffff];
    let times = [0, 1, u64::MAX / 2, u64::MAX - 1];
    for timestamp in edges.into_iter().cycle().take(1_000) {
        for time in times {
            let came = gst::ClockTime::from_nseconds(time);
            assert!(smoother.smoothed(timestamp, came) <= came);
        }
    }
}

/// How far apart the times are of packets that left a jitterbuffer, ms, for bursts of six packets.
fn steps(prepare: impl Fn(&gst::Element)) -> Vec<u64> {
    gst::init().expect("gst");
    let caps = "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload=97";
    let launch = format!(
        "appsrc name=in format=time is-live=true caps={caps} \
         ! rtpjitterbuffer name=buffer latency=40 ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&launch).expect("a pipeline");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let element = |name| pipeline.by_name(name).expect("it is there");
    let source = element("in").downcast::<gst_app::AppSrc>().expect("appsrc");
    let sink = element("out")
        .downcast::<gst_app::AppSink>()
        .expect("appsink");
    prepare(&element("buffer"));
    pipeline.set_state(gst::State::Playing).expect("it starts");
    const PACKETS: u32 = 300;
    for k in 0..PACKETS {
        let mut bytes = vec![0x80, 97, 0, 0];
        bytes[2..].copy_from_slice(&(k as u16).to_be_bytes());
        bytes.extend((k * PACKET).to_be_bytes());
        bytes.extend([0, 0, 0, 1, 0xfc]);
        let mut packet = gst::Buffer::from_mut_slice(bytes);
        let came = u64::from(k / 6 * 120 + 100);
        let header = packet.get_mut().expect("its only owner");
        header.set_dts(gst::ClockTime::from_mseconds(came));
        source.push_buffer(packet).expect("it runs");
    }
    let wait = gst::ClockTime::from_seconds(10);
    let next = |_| sink.try_pull_sample(wait)?.buffer()?.pts();
    let times: Vec<_> = (0..PACKETS).map_while(next).collect();
    pipeline.set_state(gst::State::Null).expect("it ends");
    assert_eq!(times.len(), PACKETS as usize);
    let apart = |pair: &[gst::ClockTime]| (pair[1] - pair[0]).mseconds();
    times.windows(2).map(apart).collect()
}

#[test]
fn a_jitterbuffer_keeps_its_times_through_bursts() {
    let steps = steps(smooth);
    // Of the first two seconds they are approached slowly.
    let settled = &steps[100..];
    assert!(
        settled.iter().all(|ms| (19..=21).contains(ms)),
        "{settled:?}"
    );
}

/// What this is for: should it fail some day, all of this can go.
#[test]
fn a_jitterbuffer_by_itself_does_not() {
    let steps = steps(|_| {});
    assert!(steps[100..].iter().any(|ms| *ms > 50), "{steps:?}");
}
