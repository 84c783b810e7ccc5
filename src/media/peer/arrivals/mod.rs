//! Arrival-time smoothing: packets of sound get the arrival time that they would have had without
//! queueing on the way.
//!
//! A jitterbuffer that waits for 40 ms takes a packet that is later than that for the first one
//! after a restart (rtpjitterbuffer, `rtp_jitter_buffer_calculate_pts`), and has its times begin
//! anew with it. Sound over a radio link comes in bursts, and the first packet of each would do
//! that: times would jump to and fro by the length of a burst, and so would the picture that is
//! synchronised with them. The playout buffer evens out jitter; arrival times are derived from the
//! packet with the least transit time of the last seconds.

use std::ops::ControlFlow;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::media::bwe::windowed_min::WindowedMin;

/// Nanoseconds of a unit of Opus's RTP clock, 48 kHz (RFC 7587 section 4.1), as a fraction.
const NS_PER_UNIT: (i64, i64) = (62_500, 3);
/// Seconds over which the least transit time is taken: longer than bursts are apart, and short
/// enough to notice soon that the path has become longer.
const WINDOW_SECONDS: u64 = 3;
/// A packet that is later than this, ns, was not queued: its sender paused its clock, and the least
/// transit time is forgotten.
const MAX_LATENESS_NS: i64 = 400_000_000;

/// Smooths the arrival times of one stream; pure.
#[derive(Debug, Default)]
struct ArrivalSmoother {
    /// The RTP timestamp of the last packet, and the units of the clock between the first and it.
    last: Option<(u32, i64)>,
    /// The least transit time, ns: from a packet's timestamp to its arrival, up to a constant.
    least: WindowedMin<i64, WINDOW_SECONDS>,
}

impl ArrivalSmoother {
    /// When a packet of this RTP timestamp, which arrived at `came`, would have arrived with the
    /// least transit time.
    fn smoothed(&mut self, timestamp: u32, came: gst::ClockTime) -> gst::ClockTime {
        let units = match self.last {
            Some((last, units)) => units + i64::from(timestamp.wrapping_sub(last).cast_signed()),
            None => 0,
        };
        self.last = Some((timestamp, units));
        let arrival = i64::try_from(came.nseconds()).unwrap_or(i64::MAX);
        let now = Duration::from(came);
        let way = arrival.saturating_sub(units.saturating_mul(NS_PER_UNIT.0) / NS_PER_UNIT.1);
        if self.late(way) > MAX_LATENESS_NS {
            self.least.clear();
        }
        self.least.record(now, way);
        let late = self.late(way);
        came.saturating_sub(gst::ClockTime::from_nseconds(late.unsigned_abs()))
    }

    /// By how much a transit time is longer than the least, ns.
    fn late(&self, way: i64) -> i64 {
        let least = self.least.get();
        least.map_or(0, |least| way.saturating_sub(least))
    }
}

/// Smooths the arrival times of the packets that `jitterbuffer`, of a stream of Opus, gets from now
/// on.
pub(crate) fn smooth(jitterbuffer: &gst::Element) {
    let Some(sink) = jitterbuffer.static_pad("sink") else {
        return;
    };
    let smoother = Mutex::new(ArrivalSmoother::default());
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    sink.add_probe(kinds, move |_, info| {
        let mut smoother = smoother.lock();
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => rewrite(&mut smoother, packet.make_mut()),
            Some(gst::PadProbeData::BufferList(list)) => {
                list.make_mut().foreach_mut(|mut packet, _| {
                    rewrite(&mut smoother, packet.make_mut());
                    ControlFlow::Continue(Some(packet))
                });
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn rewrite(smoother: &mut ArrivalSmoother, packet: &mut gst::BufferRef) {
    // Packets from sockets have one of both.
    let Some(came) = packet.dts_or_pts() else {
        return;
    };
    let Some(timestamp) = timestamp(packet) else {
        return;
    };
    packet.set_dts(smoother.smoothed(timestamp, came));
}

/// The RTP timestamp of a packet (RFC 3550 section 5.1).
fn timestamp(packet: &gst::BufferRef) -> Option<u32> {
    let mut header = [0; 8];
    packet.copy_to_slice(0, &mut header).ok()?;
    let [.., a, b, c, d] = header;
    Some(u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests;
