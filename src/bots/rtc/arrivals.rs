//! Arrival-time smoothing: packets of sound get the arrival time that they would have had without
//! queueing on the way.
//!
//! A jitterbuffer that waits for 40 ms takes a packet that is later than that for the first one
//! after a restart (rtpjitterbuffer, `rtp_jitter_buffer_calculate_pts`), and has its times begin
//! anew with it. Sound over a radio link comes in bursts, and the first packet of each would do
//! that: times would jump to and fro by the length of a burst.

use std::ops::ControlFlow;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::media::rtp::media_clock::MediaClock;

/// Timestamp units a second of Opus, Hz (RFC 7587 section 4.1).
const CLOCK_RATE: u32 = 48_000;

/// Smooths the arrival times of the packets that `jitterbuffer`, of a stream of Opus, gets from now
/// on.
pub(crate) fn smooth(jitterbuffer: &gst::Element) {
    let Some(sink) = jitterbuffer.static_pad("sink") else {
        return;
    };
    let clock = Mutex::new(MediaClock::new(CLOCK_RATE));
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    sink.add_probe(kinds, move |_, info| {
        let mut clock = clock.lock();
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => rewrite(&mut clock, packet.make_mut()),
            Some(gst::PadProbeData::BufferList(list)) => {
                list.make_mut().foreach_mut(|mut packet, _| {
                    rewrite(&mut clock, packet.make_mut());
                    ControlFlow::Continue(Some(packet))
                });
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn rewrite(clock: &mut MediaClock, packet: &mut gst::BufferRef) {
    // Packets from sockets have one of both.
    let (Some(came), Some(timestamp)) = (packet.dts_or_pts(), timestamp(packet)) else {
        return;
    };
    let smoothed = clock.time(timestamp, Duration::from(came));
    packet.set_dts(gst::ClockTime::try_from(smoothed).ok());
}

/// The RTP timestamp of a packet (RFC 3550 section 5.1).
fn timestamp(packet: &gst::BufferRef) -> Option<u32> {
    let mut header = [0; 8];
    packet.copy_to_slice(0, &mut header).ok()?;
    let [.., a, b, c, d] = header;
    Some(u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Timestamp units of 20 ms.
    const PACKET: u32 = 960;

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
}
