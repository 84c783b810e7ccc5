//! Live statistics of a room, for `GET /api/v1/rooms/{room}/stats`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::time::{Duration, Instant};

use super::connection::Connection;
use crate::codec::Codec;
use crate::id::SourceId;
use crate::id::{ParticipantId, Role, RoomId};
use crate::media::bwe::controller::Budget;
use crate::media::bwe::fec::Fec;
use crate::media::bwe::ladder::RungSpec;
use crate::media::gst::{pipeline, teardown};
use crate::media::mixer::Encoding;
use crate::media::mixer::{MixMinus, Mixer, Output};
use crate::media::stream::tap::TapCounters;
use crate::protocol::room::ParticipantState;
use crate::protocol::stats::{
    LayerStats, LinkStats, OutputStats, ParticipantStats, RenditionStats, RoomStats, ServerStats,
    StreamStats, UplinkStats,
};
use crate::room::state::State;
use crate::room::state::wiring::{Downlink, Feed};
use crate::topology::Paths;

/// Interval over which bitrates are averaged.
const WINDOW: Duration = Duration::from_secs(1);

/// A stream whose bytes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Counted {
    /// The encoding with this index of an uplink.
    Uplink(ParticipantId, Role, usize),
    Output(Output),
}

/// Bitrates from counters, sampled once a second.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    sampled: Option<Instant>,
    bytes: HashMap<Counted, u64>,
    bits_per_second: HashMap<Counted, u64>,
    /// Pixels decoded so far, per uplink.
    pixels: HashMap<SourceId, u64>,
    pixels_per_second: u64,
    packets: HashMap<(ParticipantId, Downlink), u64>,
}

impl Rates {
    /// Samples the counters if a second has passed. Returns the number of media paths on which
    /// packets moved in it; `None` before the second has passed.
    pub(crate) fn sample(
        &mut self,
        connections: &HashMap<ParticipantId, Connection>,
        mixer: Option<&Mixer>,
        state: &State,
    ) -> Option<Paths> {
        let elapsed = self.sampled.map_or(WINDOW, |at| at.elapsed());
        if elapsed < WINDOW {
            return None;
        }
        self.sampled = Some(Instant::now());
        let uplinks = connections.iter().flat_map(|(who, connection)| {
            connection.flows.iter().map(|((role, n), flow)| {
                let counted = Counted::Uplink(*who, *role, *n);
                (counted, flow.tap.counters().bytes)
            })
        });
        let outputs = mixer.into_iter().flat_map(|mixer| {
            mixer.outputs().map(|(output, rendition)| {
                (Counted::Output(output), rendition.tap().counters().bytes)
            })
        });
        let bytes: HashMap<Counted, u64> = uplinks.chain(outputs).collect();
        let millis = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        self.bits_per_second = bytes
            .iter()
            .map(|(counted, now)| {
                let before = self.bytes.get(counted).copied().unwrap_or(0);
                (*counted, now.saturating_sub(before) * 8 * 1000 / millis)
            })
            .collect();
        self.bytes = bytes;
        let pixels: HashMap<SourceId, u64> = mixer.into_iter().flat_map(Mixer::sources).collect();
        let decoded = |(source, now): (&SourceId, &u64)| {
            let before = self.pixels.get(source).copied().unwrap_or(0);
            now.saturating_sub(before)
        };
        self.pixels_per_second = pixels.iter().map(decoded).sum::<u64>() * 1000 / millis;
        self.pixels = pixels;
        Some(Paths {
            outside: self.count_up() + self.count_down(connections, state),
            inside: 0,
        })
    }

    /// Number of participants from whom media came.
    fn count_up(&self) -> u64 {
        let senders: BTreeSet<ParticipantId> = self
            .bits_per_second
            .iter()
            .filter_map(|(counted, rate)| match counted {
                Counted::Uplink(who, ..) if *rate > 0 => Some(*who),
                _ => None,
            })
            .collect();
        senders.len() as u64
    }

    /// Number of media paths to participants: pairs of a receiver and either the mix or a sender.
    fn count_down(
        &mut self,
        connections: &HashMap<ParticipantId, Connection>,
        state: &State,
    ) -> u64 {
        let packets: HashMap<(ParticipantId, Downlink), u64> = connections
            .iter()
            .flat_map(|(who, connection)| {
                connection.slots_sent().map(|(slot, n)| ((*who, slot), n))
            })
            .collect();
        let moved = packets.iter().filter(|(slot, now)| {
            let before = self.packets.get(slot).copied().unwrap_or(0);
            **now > before
        });
        // Sound and picture of one participant, or of the mix, are one path.
        let paths: BTreeSet<(ParticipantId, Option<ParticipantId>)> = moved
            .filter_map(|((who, slot), _)| match state.feed_of(*who, *slot)? {
                Feed::Output(_) => Some((*who, None)),
                Feed::Uplink { source, .. } => Some((*who, Some(source.participant))),
            })
            .collect();
        self.packets = packets;
        paths.len() as u64
    }

    fn bits_per_second(&self, counted: Counted) -> u64 {
        self.bits_per_second.get(&counted).copied().unwrap_or(0)
    }
}

/// The statistics as the REST API shows them.
pub(crate) fn report(
    id: &RoomId,
    state: &State,
    connections: &BTreeMap<ParticipantId, &Connection>,
    mixer: Option<&Mixer>,
    rates: &Rates,
) -> RoomStats {
    let room = state.published();
    let participant = |published: &ParticipantState| {
        participant(
            published,
            connections.get(&published.id).copied(),
            state,
            rates,
        )
    };
    let rendition = |(output, rendition)| rendition_stats(output, rendition, state, rates);
    RoomStats {
        id: id.clone(),
        mode: room.mode,
        pressure: state.pressure(),
        fps: state.fps(),
        participants: room.participants.iter().map(participant).collect(),
        paths: room.paths,
        decoders: mixer.map_or(0, |mixer| mixer.sources().count()),
        decoded_pixels_per_second: rates.pixels_per_second,
        renditions: mixer
            .into_iter()
            .flat_map(Mixer::outputs)
            .map(rendition)
            .collect(),
        server: ServerStats {
            pipelines: pipeline::alive(),
            pipelines_abandoned: teardown::abandoned(),
        },
    }
}

fn participant(
    published: &ParticipantState,
    connection: Option<&Connection>,
    state: &State,
    rates: &Rates,
) -> ParticipantStats {
    let id = published.id;
    let uplink = |role| {
        let participant = id;
        let source = SourceId { participant, role };
        Some((role, uplink(source, connection?, state, rates)?))
    };
    let uplinks = [Role::Mic, Role::Camera, Role::Screen];
    ParticipantStats {
        id,
        name: published.name.clone(),
        connected: published.connected,
        uplinks: uplinks.into_iter().filter_map(uplink).collect(),
        rung: state.watched_rung(id).map(|rung| rung.0),
        link: connection.and_then(|connection| link(connection, state.budget_of(id))),
        repair: connection.and_then(Connection::repair),
    }
}

/// Statistics of the link to a participant: estimate and budget. `None` without an estimate.
fn link(connection: &Connection, budget: Budget) -> Option<LinkStats> {
    let estimate = connection.estimate()?;
    Some(LinkStats {
        arriving_bps: estimate.acked_bitrate,
        loss: estimate.loss,
        queue_ms: estimate.queue.as_secs_f64() * 1000.0,
        budget_bps: match budget {
            Budget::Limited(bits) => Some(bits.round()),
            Budget::Free => None,
        },
    })
}

/// Statistics of an uplink: of all its encodings together, and of each with simulcast. `None`
/// before anything has come.
fn uplink(
    source: SourceId,
    connection: &Connection,
    state: &State,
    rates: &Rates,
) -> Option<UplinkStats> {
    let SourceId { participant, role } = source;
    let (mut all, mut bps) = (None, 0);
    let mut layers = Vec::new();
    for ((_, n), flow) in connection.flows.range((role, 0)..=(role, usize::MAX)) {
        let (of_layer, size) = (flow.tap.counters(), flow.tap.picture_size());
        let layer_bps = rates.bits_per_second(Counted::Uplink(participant, role, *n));
        let before: TapCounters = all.unwrap_or_default();
        all = Some(TapCounters {
            packets: before.packets + of_layer.packets,
            bytes: before.bytes + of_layer.bytes,
            // A keyframe is asked of all encodings at once: it is not added up.
            ..of_layer
        });
        bps += layer_bps;
        layers.extend(state.rid_of(source, *n).map(|rid| LayerStats {
            rid: rid.clone(),
            bps: layer_bps,
            packets: of_layer.packets,
            width: size.map(|size| size.width),
            height: size.map(|size| size.height),
            viewers: state.viewers_of_layer(source, *n),
        }));
    }
    let total = stream(all?, bps);
    Some(UplinkStats { total, layers })
}

fn stream(counters: TapCounters, bps: u64) -> StreamStats {
    StreamStats {
        packets: counters.packets,
        bytes: counters.bytes,
        bps,
        keyframes_asked: counters.keyframes_asked,
        keyframes_avoided: counters.keyframes_avoided,
    }
}

fn rendition_stats(
    output: Output,
    rendition: &Encoding,
    state: &State,
    rates: &Rates,
) -> RenditionStats {
    let bps = rates.bits_per_second(Counted::Output(output));
    RenditionStats {
        stream: stream(rendition.tap().counters(), bps),
        output: describe(output, rendition, state),
        target_bps: rendition.bitrate(),
        viewers: state.viewers_of(output),
    }
}

fn describe(output: Output, rendition: &Encoding, state: &State) -> OutputStats {
    match output {
        Output::Video { codec, rung } => {
            let spec = state.ladder().spec(rung);
            let fps = |spec: &RungSpec| spec.pace.fps().min(f64::from(state.fps()));
            OutputStats::Video {
                codec,
                rung: rung.0,
                width: spec.map(|spec| spec.size.width),
                height: spec.map(|spec| spec.size.height),
                fps: spec.map(fps),
            }
        }
        Output::Sound(without) => OutputStats::Audio {
            codec: Codec::Opus,
            without: match without {
                MixMinus::Nobody => None,
                MixMinus::Participant(who) => Some(who),
            },
            fec: rendition.fec() == Fec::On,
        },
    }
}
