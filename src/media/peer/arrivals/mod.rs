//! When packets of sound are said to have come: as if none had been held up on the way.
//!
//! A jitterbuffer that waits for 40 ms takes a packet that is later than that for the first one
//! after a restart (rtpjitterbuffer, `rtp_jitter_buffer_calculate_pts`), and has its times begin
//! anew with it. Sound over a radio link comes in bursts, and each first packet of one would do
//! that: its times would jump to and fro by the length of a burst, and the picture they are
//! compared with, too. How late packets are is for the playout buffer to even out; their times
//! are told from the quickest of those that came lately.

use std::ops::ControlFlow;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::media::bwe::windowed_min::WindowedMin;

/// A unit of Opus's clock in RTP, 48 kHz (RFC 7587 section 4.1), ns, as a fraction.
const UNIT: (i64, i64) = (62_500, 3);
/// Seconds that the quickest packet is remembered for: longer than bursts are apart, and not so long
/// that a way that has become longer is noticed late.
const MEMORY: u64 = 3;
/// Later than this is no packet held up, but one of a sender that paused its clock.
const LATEST: i64 = 400_000_000;

/// Watches one stream; pure.
#[derive(Debug, Default)]
struct Arrivals {
    /// The last packet's timestamp, and how many units of the clock lie between the first and it.
    last: Option<(u32, i64)>,
    /// Between a packet's time and its arrival, ns; of the quickest.
    least: WindowedMin<i64, MEMORY>,
}

impl Arrivals {
    /// When a packet of that timestamp that came at `came` would have come as quickly as the quickest.
    fn expect(&mut self, timestamp: u32, came: gst::ClockTime) -> gst::ClockTime {
        let units = match self.last {
            Some((last, units)) => units + i64::from(timestamp.wrapping_sub(last).cast_signed()),
            None => 0,
        };
        self.last = Some((timestamp, units));
        let arrival = i64::try_from(came.nseconds()).unwrap_or(i64::MAX);
        let now = Duration::from(came);
        let way = arrival.saturating_sub(units.saturating_mul(UNIT.0) / UNIT.1);
        if self.late(way) > LATEST {
            self.least.clear();
        }
        self.least.record(now, way);
        let late = self.late(way);
        came.saturating_sub(gst::ClockTime::from_nseconds(late.unsigned_abs()))
    }

    /// How much longer a way is than the quickest, ns.
    fn late(&self, way: i64) -> i64 {
        let least = self.least.get();
        least.map_or(0, |least| way.saturating_sub(least))
    }
}

/// Has `jitterbuffer`, of a stream of Opus, be told so from now on.
pub(crate) fn even_out(jitterbuffer: &gst::Element) {
    let Some(sink) = jitterbuffer.static_pad("sink") else {
        return;
    };
    let arrivals = Mutex::new(Arrivals::default());
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    sink.add_probe(kinds, move |_, info| {
        let mut arrivals = arrivals.lock();
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => rewrite(&mut arrivals, packet.make_mut()),
            Some(gst::PadProbeData::BufferList(list)) => {
                list.make_mut().foreach_mut(|mut packet, _| {
                    rewrite(&mut arrivals, packet.make_mut());
                    ControlFlow::Continue(Some(packet))
                });
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn rewrite(arrivals: &mut Arrivals, packet: &mut gst::BufferRef) {
    // What sockets give has either.
    let Some(came) = packet.dts_or_pts() else {
        return;
    };
    let Some(timestamp) = timestamp(packet) else {
        return;
    };
    packet.set_dts(arrivals.expect(timestamp, came));
}

/// RFC 3550 section 5.1.
fn timestamp(packet: &gst::BufferRef) -> Option<u32> {
    let mut header = [0; 8];
    packet.copy_to_slice(0, &mut header).ok()?;
    let [.., a, b, c, d] = header;
    Some(u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests;
