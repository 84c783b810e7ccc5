//! What has come since the last keyframe, for who connects to a tap later: a decoder then has a
//! picture at once, and the keyframe that came before anybody listened is not lost. Many senders
//! send one every ten seconds and do not answer requests.

use crate::media::gst::pipeline::running_time;

/// Most bytes that are kept, some four seconds of a good camera.
const MAX_BYTES: usize = 2 << 20;
/// Most packets that are kept. Each costs more memory than its bytes.
const MAX_PACKETS: usize = 4096;
/// Longest time that is kept. Encoders that cannot be asked send a keyframe every two to ten seconds.
const MAX_AGE: gst::ClockTime = gst::ClockTime::from_seconds(12);

/// What a consumer gets of what came before it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// Nothing.
    None,
    /// What came since the last keyframe, if that has only just come: so much goes over a link at
    /// once. For viewers.
    JustBegun,
    /// The same of the last two seconds: as much as a file takes at once. For recorders.
    Recent,
    /// What came since the last keyframe, as far as it is kept.
    SinceKeyframe,
}

impl Backlog {
    /// Age of the keyframe up to which packets are handed over.
    fn max_age(self) -> Option<gst::ClockTime> {
        match self {
            Self::None => None,
            Self::JustBegun => Some(gst::ClockTime::from_mseconds(500)),
            Self::Recent => Some(gst::ClockTime::from_seconds(2)),
            Self::SinceKeyframe => Some(gst::ClockTime::MAX),
        }
    }
}

/// The packets from the newest keyframe on.
#[derive(Debug, Default)]
pub(crate) struct SinceKeyframe {
    packets: Vec<gst::Buffer>,
    bytes: usize,
    /// Running time at which the keyframe came, and its RTP timestamp; `None` while nothing is kept.
    began: Option<(gst::ClockTime, u32)>,
}

impl SinceKeyframe {
    /// Takes a packet that comes at `now`. `starts` is whether a keyframe begins with it: its
    /// parameter sets and its slices may each do so.
    pub(crate) fn record(
        &mut self,
        packet: &gst::Buffer,
        timestamp: u32,
        starts: bool,
        now: gst::ClockTime,
    ) {
        if starts && self.began.is_none_or(|(_, keyframe)| keyframe != timestamp) {
            self.clear();
            self.began = Some((now, timestamp));
        }
        let Some((began, _)) = self.began else {
            return;
        };
        self.bytes += packet.size();
        let is_much = self.bytes > MAX_BYTES || self.packets.len() >= MAX_PACKETS;
        if is_much || now.saturating_sub(began) > MAX_AGE {
            self.clear();
            return;
        }
        self.packets.push(packet.clone());
    }

    /// Forgets everything, because a part is missing.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What of it `backlog` asks for; empty if the keyframe is older.
    pub(crate) fn packets(&self, backlog: Backlog) -> &[gst::Buffer] {
        match (self.began, backlog.max_age()) {
            (Some((began, _)), Some(age)) if running_time().saturating_sub(began) <= age => {
                &self.packets
            }
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(size: usize) -> gst::Buffer {
        gst::init().expect("GStreamer");
        gst::Buffer::from_slice(vec![0u8; size])
    }

    fn seconds(n: u64) -> gst::ClockTime {
        gst::ClockTime::from_seconds(n)
    }

    #[test]
    fn the_last_keyframe_and_what_follows_is_kept() {
        let mut kept = SinceKeyframe::default();
        kept.record(&packet(1), 1, false, seconds(0));
        assert_eq!(
            kept.packets(Backlog::SinceKeyframe).len(),
            0,
            "nothing can begin with it"
        );
        kept.record(&packet(2), 2, true, seconds(1));
        kept.record(&packet(3), 2, true, seconds(1));
        kept.record(&packet(4), 3, false, seconds(1));
        let sizes = |kept: &SinceKeyframe| -> Vec<usize> {
            kept.packets(Backlog::SinceKeyframe)
                .iter()
                .map(|packet| packet.size())
                .collect()
        };
        assert_eq!(sizes(&kept), [2, 3, 4]);
        kept.record(&packet(5), 4, true, seconds(2));
        assert_eq!(sizes(&kept), [5]);
        kept.clear();
        kept.record(&packet(6), 5, false, seconds(2));
        assert_eq!(sizes(&kept), [0; 0]);
    }

    #[test]
    fn what_is_too_much_or_too_old_is_let_go() {
        let mut kept = SinceKeyframe::default();
        kept.record(&packet(1), 1, true, seconds(0));
        kept.record(&packet(MAX_BYTES), 2, false, seconds(0));
        assert_eq!(kept.packets(Backlog::SinceKeyframe).len(), 0);
        kept.record(&packet(1), 3, true, seconds(0));
        kept.record(&packet(1), 4, false, MAX_AGE + seconds(1));
        assert_eq!(kept.packets(Backlog::SinceKeyframe).len(), 0);
    }
}
