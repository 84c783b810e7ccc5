//! A link whose receiver sends no more than estimator reports, simulated packet by packet.

use std::collections::VecDeque;
use std::time::Duration;

use tessera::media::bwe::controller::LinkController;
use tessera::media::bwe::ladder::Ladder;
use tessera::media::bwe::rr::RrEstimator;
use tessera::media::bwe::rtcp::ReportBlock;

use crate::congestion::{AUDIO, SOUND, START, ladder};

/// What was sent as one stream and has come.
#[derive(Debug, Default, Clone, Copy)]
struct Sequence {
    next: u16,
    /// The highest sequence number that came, and how many did.
    come: Option<(u16, i32)>,
}

/// A viewer whose receiver reports now and then, behind a link with a queue that also loses
/// packets at random.
pub(crate) struct Reported {
    ladder: Ladder,
    pub(crate) viewer: LinkController,
    estimator: RrEstimator,
    now: Duration,
    /// bit/s.
    pub(crate) rate: f64,
    depth: Duration,
    /// One packet in so many is lost.
    pub(crate) lossy: Option<u32>,
    every: Duration,
    reports: Duration,
    busy_until: Duration,
    /// When each packet arrives, and what it is.
    on_the_way: VecDeque<(Duration, usize, u16)>,
    /// Sound, picture, and what is sent once more.
    streams: [Sequence; 3],
    sent: u32,
    random: u32,
}

/// Of a frame of a rendition, 25 a second.
const FRAME: Duration = Duration::from_millis(40);

const PACKET: f64 = 1200.0;

impl Reported {
    pub(crate) fn new(rate: f64, depth: Duration, every: Duration) -> Self {
        Self {
            ladder: ladder(),
            viewer: LinkController::default(),
            estimator: RrEstimator::default(),
            now: START,
            rate,
            depth,
            lossy: None,
            every,
            reports: START + every,
            busy_until: START,
            on_the_way: VecDeque::new(),
            streams: [Sequence::default(); 3],
            sent: 0,
            random: 1,
        }
    }

    /// What is sent now, bit/s.
    pub(crate) fn wanted(&self) -> f64 {
        let spec = self.ladder.spec(self.viewer.rung()).expect("a rung");
        let picture = match self.viewer.budget().for_picture(AUDIO) {
            Some(bits) => bits.clamp(spec.least.into(), spec.most.into()),
            None => spec.most.into(),
        };
        picture / 0.92 + SOUND
    }

    fn send(&mut self, stream: usize, bytes: f64) {
        self.sent += 1;
        let place = &mut self.streams[stream].next;
        *place = place.wrapping_add(1);
        let seq = *place;
        self.estimator
            .record(self.now, stream as u32, seq, bytes as usize);
        // xorshift: the same for each run.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let begin = self.busy_until.max(self.now);
        let is_lost = self.lossy.is_some_and(|n| self.random.is_multiple_of(n));
        if is_lost || begin > self.now + self.depth {
            return;
        }
        self.busy_until = begin + Duration::from_secs_f64(bytes * 8.0 / self.rate);
        let at = self.busy_until + Duration::from_millis(20);
        self.on_the_way.push_back((at, stream, seq));
    }

    fn frame(&mut self) {
        let mut bytes = (self.wanted() - SOUND) / 8.0 * FRAME.as_secs_f64();
        for _ in 0..2 {
            self.send(0, SOUND / 8.0 / 50.0);
        }
        while bytes > 0.0 {
            self.send(1, bytes.min(PACKET));
            bytes -= PACKET;
        }
        self.now += FRAME;
        while let Some((at, stream, seq)) = self.on_the_way.front().copied() {
            if at > self.now {
                break;
            }
            self.on_the_way.pop_front();
            let come = self.streams[stream].come.map_or(0, |(_, come)| come);
            self.streams[stream].come = Some((seq, come + 1));
        }
        if self.now >= self.reports {
            self.reports += self.every;
            self.report();
        }
    }

    fn report(&mut self) {
        let blocks = self.streams.iter().enumerate();
        let blocks: Vec<ReportBlock> = blocks
            .filter_map(|(ssrc, stream)| {
                let (highest, come) = stream.come?;
                Some(ReportBlock {
                    ssrc: ssrc as u32,
                    fraction_lost: 0,
                    // Streams are shorter than 65,536 packets, or this wraps around with them.
                    lost: i32::from(highest.wrapping_sub(come as u16)),
                    highest,
                    last_sender_report: 0,
                })
            })
            .collect();
        self.estimator.on_report(self.now, blocks.iter());
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            // Five times a second, as a room does.
            for _ in 0..5 {
                self.frame();
            }
            if let Some(estimate) = self.estimator.estimate(self.now)
                && self.viewer.cares(&estimate)
            {
                let again = self.viewer.update(self.now, &estimate, &self.ladder, AUDIO);
                let packets = (again as f64 / PACKET).ceil() as usize;
                (0..packets).for_each(|_| self.send(2, PACKET));
            }
        }
    }
}
