//! One stream that comes from a peer: put in order and on the common clock, its losses asked for, and
//! what is to be reported of it.

use std::time::Duration;

use crate::media::bwe::rtcp::SenderInfo;
use crate::media::rtp::header::RtpHeader;
use crate::media::rtp::media_clock::MediaClock;
use crate::media::rtp::missing::Missing;
use crate::media::rtp::reception::Reception;
use crate::media::rtp::reorder::Reorder;
use crate::media::rtp::sequence::{Place, Sequence};
use crate::media::sdp::line::Line;
use crate::media::stream::tap::TapInput;

/// How long a missing packet of a picture is waited for: until it has been asked for, and asked for
/// again where the request was lost, on a link of 100 ms round trip. Without it the picture freezes for
/// at least as long, until a keyframe is there.
const PICTURE_WAIT: Duration = Duration::from_millis(250);
/// The same for sound. It may have been overtaken; it is not sent again, and those that follow must
/// not become too late to be played.
const SOUND_WAIT: Duration = Duration::from_millis(40);

/// Where packets go in their order.
pub(super) enum Output {
    /// As they are.
    Tap(TapInput),
    /// To be made Opus of.
    Converter(gst_app::AppSrc),
}

impl Output {
    fn push(&self, packet: gst::Buffer) {
        match self {
            Self::Tap(tap) => tap.push(std::slice::from_ref(&packet)),
            Self::Converter(appsrc) => {
                // A flushing one is going away.
                let _ = appsrc.push_buffer(packet);
            }
        }
    }
}

/// A packet that has arrived.
pub(super) struct Arrived {
    pub(super) header: RtpHeader,
    pub(super) packet: gst::Buffer,
}

/// One stream of media.
pub(super) struct Stream {
    pub(super) ssrc: u32,
    /// The places of its uplink and of its encoding there.
    pub(super) uplink: usize,
    pub(super) encoding: usize,
    pub(super) payload_type: u8,
    clock_rate: u32,
    sequence: Sequence,
    reception: Reception,
    pub(super) clock: MediaClock,
    /// Of pictures. Lost sound is not sent again.
    missing: Option<Missing>,
    /// `None` in place of a packet that nobody reads.
    order: Reorder<Option<gst::Buffer>>,
    output: Output,
    /// When the newest packet came.
    pub(super) last: Duration,
    recovered: u64,
}

impl Stream {
    /// A stream of `line`, whose packets go to `output`.
    pub(super) fn new(
        ssrc: u32,
        (uplink, encoding): (usize, usize),
        line: &Line,
        output: Output,
    ) -> Self {
        let clock_rate = line.clock_rate();
        let (wait, missing) = match line.role.is_audio() {
            true => (SOUND_WAIT, None),
            false => (PICTURE_WAIT, Some(Missing::new(PICTURE_WAIT))),
        };
        Self {
            ssrc,
            uplink,
            encoding,
            payload_type: line.payload_type,
            clock_rate,
            sequence: Sequence::default(),
            reception: Reception::new(clock_rate),
            clock: MediaClock::new(clock_rate),
            missing,
            order: Reorder::new(wait),
            output,
            last: Duration::ZERO,
            recovered: 0,
        }
    }

    /// Takes a packet that came at `now`.
    pub(super) fn take(&mut self, now: Duration, arrived: Arrived) {
        let RtpHeader { seq, timestamp, .. } = arrived.header;
        let number = match self.sequence.place(seq) {
            Place::At(number) => number,
            Place::Anew(number) => {
                self.reception = Reception::new(self.clock_rate);
                // What was missing had other numbers.
                self.missing = self.missing.take().map(|_| Missing::new(PICTURE_WAIT));
                number
            }
            Place::Astray => return,
        };
        self.last = now;
        self.reception.came(now, number, seq, timestamp);
        if let Some(missing) = &mut self.missing {
            missing.came(now, number);
        }
        self.pass_on(now, number, arrived);
    }

    /// Takes a packet that is sent again in another stream, if it has not come yet.
    pub(super) fn take_again(&mut self, now: Duration, arrived: Arrived) {
        let seq = arrived.header.seq;
        let Some(number) = self.sequence.find(seq) else {
            return;
        };
        if self.sequence.is_ahead(number) {
            let _ = self.sequence.place(seq);
        } else if !self.misses(seq) {
            return;
        }
        if let Some(missing) = &mut self.missing {
            self.recovered += u64::from(missing.came_again(now, number));
        }
        self.pass_on(now, number, arrived);
    }

    fn pass_on(&mut self, now: Duration, number: i64, arrived: Arrived) {
        let Arrived { header, mut packet } = arrived;
        let time = self.clock.time(header.timestamp, now);
        let is_read = header.payload_type == self.payload_type;
        let packet = is_read.then(|| {
            let time = gst::ClockTime::try_from(time).ok();
            let buffer = packet.make_mut();
            buffer.set_pts(time);
            buffer.set_dts(gst::ClockTime::NONE);
            packet
        });
        let output = &self.output;
        self.order.push(now, number, packet, |packet| {
            packet.into_iter().for_each(|packet| output.push(packet));
        });
    }

    /// Lets go of what has waited long enough by `now`.
    pub(super) fn expire(&mut self, now: Duration) {
        let output = &self.output;
        self.order.expire(now, |packet| {
            packet.into_iter().for_each(|packet| output.push(packet));
        });
    }

    /// Whether a packet is missing that others wait for, or that is asked for.
    pub(super) fn waits(&self) -> bool {
        let asks = self
            .missing
            .as_ref()
            .is_some_and(|missing| !missing.is_empty());
        asks || !self.order.is_empty()
    }

    /// The sequence numbers to ask for at `now`.
    pub(super) fn ask_for(&mut self, now: Duration) -> Vec<u16> {
        let Some(missing) = &mut self.missing else {
            return Vec::new();
        };
        let due = missing.due(now).into_iter();
        due.filter_map(|number| self.sequence.seq_of(number))
            .collect()
    }

    /// Whether the packet of that sequence number is missing.
    pub(super) fn misses(&self, seq: u16) -> bool {
        let (number, missing) = (self.sequence.find(seq), self.missing.as_ref());
        number
            .zip(missing)
            .is_some_and(|(number, m)| m.misses(number))
    }

    /// The report block about it, if anything has come since the last.
    pub(super) fn report(&mut self, now: Duration) -> Option<[u8; 24]> {
        self.reception.block(now, self.ssrc)
    }

    /// Takes its sender's report that came at `now`. Zero is the time of who has no clock (RFC 3550
    /// section 6.4.1).
    pub(super) fn on_sender_report(&mut self, now: Duration, info: &SenderInfo) {
        if info.ntp == 0 {
            return;
        }
        self.reception.on_sender_report(now, info.ntp);
        self.clock.on_sender_report(info.nanos(), info.timestamp);
    }

    /// Packets that were waited for in vain, and packets that came because they were asked for.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.order.lost(), self.recovered)
    }
}
