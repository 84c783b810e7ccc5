//! A slot's stream under random sources, wraps, disorder, loss and switches, held against a
//! model that counts without wrapping.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tessera::media::rtp::header::RtpHeader;
use tessera::media::rtp::payload::vp8::{PictureId, Vp8Descriptor};
use tessera::media::rtp::rewrite::{DropReason, Entry, Rewriter, SlotParams, Verdict};

/// How the slot leaves its source.
#[derive(Debug, Clone, Copy)]
enum Switch {
    Announced,
    Named,
    /// The source changes its SSRC by itself.
    Unannounced,
}

#[derive(Debug, Clone)]
enum Step {
    Send {
        /// Packets lost before this one.
        lost: i64,
        /// Pictures lost before this one.
        pictures: i64,
        /// Steps by which it comes late.
        late: usize,
        key: bool,
        marker: bool,
        twice: bool,
    },
    Switch(Switch, Start),
}

/// Where a source's numbers begin.
#[derive(Debug, Clone, Copy)]
struct Start {
    seq: u16,
    timestamp: u32,
    picture: u16,
    tl0: u8,
    key_idx: u8,
    short_id: bool,
}

/// A packet with numbers that do not wrap.
#[derive(Debug, Clone, Copy)]
struct Packet {
    source: u32,
    short_id: bool,
    seq: i64,
    timestamp: i64,
    picture: i64,
    tl0: i64,
    key_idx: i64,
    key: bool,
    marker: bool,
}

impl Packet {
    fn header(&self) -> RtpHeader {
        RtpHeader {
            payload_type: 100,
            seq: self.seq as u16,
            timestamp: self.timestamp as u32,
            marker: self.marker,
            ssrc: self.source,
        }
    }

    fn descriptor(&self) -> Vp8Descriptor {
        let mut bytes = vec![0x90, 0xf0];
        if self.short_id {
            bytes.push((self.picture & 0x7f) as u8);
        } else {
            bytes.extend((self.picture as u16 | 0x8000).to_be_bytes());
        }
        bytes.push(self.tl0 as u8);
        bytes.push((self.key_idx & 0x1f) as u8);
        Vp8Descriptor::parse(&bytes).expect("complete")
    }
}

fn start() -> impl Strategy<Value = Start> {
    let near_the_end = prop_oneof![any::<u32>(), u32::MAX - 5_000..=u32::MAX, 0u32..5_000];
    (near_the_end, any::<u16>(), any::<[u8; 2]>(), any::<bool>()).prop_map(
        |(number, picture, [tl0, key_idx], short_id)| Start {
            seq: number as u16,
            timestamp: number,
            picture,
            tl0,
            key_idx,
            short_id,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let switch = prop_oneof![
        Just(Switch::Announced),
        Just(Switch::Named),
        Just(Switch::Unannounced)
    ];
    let lost = prop_oneof![6 => Just(0i64), 2 => 1i64..5, 1 => 0i64..4_000];
    let late = prop_oneof![5 => Just(0usize), 1 => 1usize..7];
    prop_oneof![
        8 => (lost, 0i64..4, late, proptest::bool::weighted(0.3), any::<bool>(), proptest::bool::weighted(0.1))
            .prop_map(|(lost, pictures, late, key, marker, twice)| {
                Step::Send { lost, pictures, late, key, marker, twice }
            }),
        1 => (switch, start()).prop_map(|(switch, start)| Step::Switch(switch, start)),
    ]
}

/// The source that has the slot, in the model.
#[derive(Debug, Clone, Copy)]
struct Taken {
    /// Its first packet.
    entry: Packet,
    /// What that became.
    seq: i64,
    timestamp: i64,
    picture: i64,
    tl0: i64,
    key_idx: i64,
}

/// What has been sent, in the model: the highest of everything.
#[derive(Debug, Clone, Copy)]
struct Highest {
    seq: i64,
    timestamp: i64,
    at: u64,
    picture: i64,
    tl0: i64,
    key_idx: i64,
}

/// What a slot should do, in numbers that do not wrap.
struct Model {
    params: SlotParams,
    waiting: bool,
    taken: Option<Taken>,
    highest: Option<Highest>,
}

impl Model {
    fn enter(&mut self, at: u64, p: Packet) {
        let taken = match self.highest {
            None => Taken {
                entry: p,
                seq: self.params.first_seq.into(),
                timestamp: self.params.first_timestamp.into(),
                picture: p.picture & if p.short_id { 0x7f } else { 0x7fff },
                tl0: p.tl0,
                key_idx: p.key_idx,
            },
            Some(h) => Taken {
                entry: p,
                seq: h.seq + 1,
                timestamp: h.timestamp
                    + (at - h.at).max(20) as i64 * i64::from(self.params.clock_rate) / 1000,
                picture: h.picture + 1,
                tl0: h.tl0 + 1,
                key_idx: h.key_idx + 1,
            },
        };
        self.waiting = false;
        self.taken = Some(taken);
    }

    /// The numbers a packet of the source that has the slot gets.
    fn moved(&self, p: Packet) -> Packet {
        let t = self.taken.expect("a source has the slot");
        Packet {
            seq: p.seq - t.entry.seq + t.seq,
            timestamp: p.timestamp - t.entry.timestamp + t.timestamp,
            picture: p.picture - t.entry.picture + t.picture,
            tl0: p.tl0 - t.entry.tl0 + t.tl0,
            key_idx: p.key_idx - t.entry.key_idx + t.key_idx,
            ..p
        }
    }

    /// Whether the packet gets through, and if so with which numbers.
    fn judge(&mut self, at: u64, active: u32, p: Packet) -> Result<Packet, DropReason> {
        let from_current = !self.waiting && self.taken.is_some_and(|t| t.entry.source == p.source);
        let mut entering = false;
        if !from_current {
            if p.source != active {
                return Err(DropReason::OtherSource);
            }
            if self.params.entry == Entry::Keyframe && !p.key {
                return Err(DropReason::AwaitingKeyframe);
            }
            self.enter(at, p);
            entering = true;
        } else if self.taken.is_some_and(|t| p.seq < t.entry.seq) {
            return Err(DropReason::BeforeEntry);
        }
        let mut out = self.moved(p);
        out.marker |= entering && self.params.entry == Entry::AnyPacket;
        let old = self.highest.unwrap_or(Highest {
            seq: i64::MIN,
            timestamp: i64::MIN,
            at,
            picture: i64::MIN,
            tl0: i64::MIN,
            key_idx: i64::MIN,
        });
        self.highest = Some(Highest {
            seq: old.seq.max(out.seq),
            timestamp: old.timestamp.max(out.timestamp),
            at: if out.timestamp > old.timestamp {
                at
            } else {
                old.at
            },
            picture: old.picture.max(out.picture),
            tl0: old.tl0.max(out.tl0),
            key_idx: old.key_idx.max(out.key_idx),
        });
        Ok(out)
    }
}

/// The sources, the network between them and the slot, and the clock.
struct World {
    rewriter: Rewriter,
    model: Model,
    /// Milliseconds.
    now: u64,
    active: u32,
    /// Whether a packet of the active source has arrived.
    seen: bool,
    next: Packet,
    /// Packets on the way, with the steps they still take.
    held: Vec<(usize, Packet)>,
    /// Everything that was sent: model and slot agreed on it.
    sent: Vec<(Packet, RtpHeader, bool)>,
}

fn first_packet(source: u32, start: Start) -> Packet {
    Packet {
        source,
        short_id: start.short_id,
        seq: start.seq.into(),
        timestamp: start.timestamp.into(),
        picture: (start.picture & 0x7fff).into(),
        tl0: start.tl0.into(),
        key_idx: (start.key_idx & 0x1f).into(),
        key: true,
        marker: false,
    }
}

impl World {
    fn new(params: SlotParams, start: Start) -> Self {
        let model = Model {
            params,
            waiting: true,
            taken: None,
            highest: None,
        };
        Self {
            rewriter: Rewriter::new(params),
            model,
            now: 0,
            active: 1,
            seen: false,
            next: first_packet(1, start),
            held: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step, elapsed: u64) -> Result<(), TestCaseError> {
        self.now += elapsed;
        match *step {
            Step::Send {
                lost,
                pictures,
                late,
                key,
                marker,
                twice,
            } => {
                self.next.seq += 1 + lost;
                self.next.timestamp += 90 * elapsed as i64;
                self.next.picture += pictures;
                self.next.tl0 += i64::from(pictures > 1);
                self.next.key_idx += i64::from(key);
                let packet = Packet {
                    key,
                    marker,
                    ..self.next
                };
                self.held.push((late, packet));
                if twice {
                    self.held.push((late, packet));
                }
            }
            Step::Switch(switch, start) => self.switch(switch, start),
        }
        let (due, held) = self.held.drain(..).partition(|&(late, _)| late == 0);
        self.held = held;
        for (late, _) in &mut self.held {
            *late -= 1;
        }
        let due: Vec<(usize, Packet)> = due;
        for (_, packet) in due {
            self.arrive(packet)?;
        }
        Ok(())
    }

    fn switch(&mut self, switch: Switch, start: Start) {
        // A source that never arrived cannot be recognised later, and one that nobody announced
        // must have the slot before the next can follow it.
        let has_slot = self
            .model
            .taken
            .is_some_and(|t| t.entry.source == self.active);
        let unannounced = matches!(switch, Switch::Unannounced);
        if !self.seen || (unannounced && (!has_slot || self.model.waiting)) {
            return;
        }
        self.active += 1;
        self.seen = false;
        self.next = first_packet(self.active, start);
        match switch {
            Switch::Announced => self.rewriter.switch(),
            Switch::Named => self.rewriter.switch_to(self.active),
            Switch::Unannounced => return,
        }
        self.model.waiting = true;
    }

    fn arrive(&mut self, packet: Packet) -> Result<(), TestCaseError> {
        self.seen |= packet.source == self.active;
        let before = self.model.taken.map(|t| t.entry.source);
        let expected = self.model.judge(self.now, self.active, packet);
        let now = Duration::from_millis(self.now);
        let verdict = self.rewriter.rewrite(now, &packet.header(), packet.key);
        match (expected, verdict) {
            (Err(expected), Verdict::Drop(reason)) => prop_assert_eq!(expected, reason),
            (Ok(expected), Verdict::Forward(header)) => {
                let params = self.model.params;
                prop_assert_eq!(
                    header,
                    RtpHeader {
                        payload_type: params.payload_type,
                        ssrc: params.ssrc,
                        ..expected.header()
                    }
                );
                let numbers = self.rewriter.rewrite_vp8(&packet.descriptor());
                let id = match numbers.picture_id {
                    Some(PictureId::Short(id)) => i64::from(id),
                    Some(PictureId::Long(id)) => i64::from(id),
                    None => -1,
                };
                let mask = if packet.short_id { 0x7f } else { 0x7fff };
                prop_assert_eq!(id, expected.picture & mask);
                prop_assert_eq!(numbers.tl0_pic_idx, Some(expected.tl0 as u8));
                prop_assert_eq!(numbers.key_idx, Some((expected.key_idx & 0x1f) as u8));
                let enters = before != Some(packet.source);
                self.sent.push((packet, header, enters));
            }
            (expected, verdict) => prop_assert!(false, "{expected:?} but {verdict:?}"),
        }
        Ok(())
    }

    /// What a receiver relies on, whatever the model says.
    fn check_as_receiver(&self) -> Result<(), TestCaseError> {
        let ahead = |a: u16, b: u16| a.wrapping_sub(b).cast_signed();
        let later = |a: u32, b: u32| a.wrapping_sub(b).cast_signed() > 0;
        let mut newest: Option<(u16, u32)> = None;
        for (packet, header, enters) in &self.sent {
            if let Some((seq, timestamp)) = newest {
                if *enters {
                    prop_assert_eq!(ahead(header.seq, seq), 1, "no gap and no overlap");
                    prop_assert!(later(header.timestamp, timestamp));
                }
            } else {
                prop_assert!(*enters);
            }
            if *enters && self.model.params.entry == Entry::Keyframe {
                prop_assert!(packet.key);
            }
            let (seq, timestamp) = newest.unwrap_or((header.seq, header.timestamp));
            newest = Some((
                if ahead(header.seq, seq) > 0 {
                    header.seq
                } else {
                    seq
                },
                if later(header.timestamp, timestamp) {
                    header.timestamp
                } else {
                    timestamp
                },
            ));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_slot_is_one_unbroken_stream(
        video in any::<bool>(),
        first_seq in prop_oneof![any::<u16>(), 65_500u16..],
        first_timestamp in prop_oneof![any::<u32>(), u32::MAX - 9_000..],
        first in start(),
        steps in vec((step(), 0u64..60), 1..150),
    ) {
        let params = SlotParams {
            ssrc: 0xfeed,
            payload_type: 96,
            clock_rate: if video { 90_000 } else { 48_000 },
            first_seq,
            first_timestamp,
            entry: if video { Entry::Keyframe } else { Entry::AnyPacket },
        };
        let mut world = World::new(params, first);
        for (step, elapsed) in &steps {
            world.step(step, *elapsed)?;
        }
        world.check_as_receiver()?;
    }
}
