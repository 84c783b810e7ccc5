//! Live figures of a room, for `GET /api/v1/rooms/{room}/stats`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::connection::Member;
use crate::id::SourceId;
use crate::id::{ParticipantId, Role, RoomId};
use crate::media::bwe::controller::Budget;
use crate::media::bwe::fec::Fec;
use crate::media::gst::{pipeline, teardown};
use crate::media::mixer::rendition::Rendition;
use crate::media::mixer::{Mixer, Output, Without};
use crate::media::stream::tap::TapCounters;
use crate::room::state::State;
use crate::room::state::wiring::{Downlink, Feed};
use crate::topology::Paths;

/// Bitrates are means over this long.
const WINDOW: Duration = Duration::from_secs(1);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Counted {
    /// Of a role the encoding of that place among its rids.
    Uplink(ParticipantId, Role, usize),
    Output(Output),
}

/// Bitrates from counters, sampled once a second.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    sampled: Option<Instant>,
    bytes: HashMap<Counted, u64>,
    bits_per_second: HashMap<Counted, u64>,
    /// Decoded so far.
    pixels: HashMap<SourceId, u64>,
    pixels_per_second: u64,
    packets: HashMap<(ParticipantId, Downlink), u64>,
}

impl Rates {
    /// Samples the counters if a second has passed, and counts the paths on which packets moved.
    pub(crate) fn sample(
        &mut self,
        members: &HashMap<ParticipantId, Member>,
        mixer: Option<&Mixer>,
        state: &State,
    ) -> Option<Paths> {
        let elapsed = self.sampled.map_or(WINDOW, |at| at.elapsed());
        if elapsed < WINDOW {
            return None;
        }
        self.sampled = Some(Instant::now());
        let uplinks = members.iter().flat_map(|(who, member)| {
            member.flows.iter().map(|((role, n), flow)| {
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
            outside: self.count_up() + self.count_down(members, state),
            inside: 0,
        })
    }

    /// Participants from whom anything came.
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

    /// Pairs of a participant and the mix, or another participant, that got through to them.
    fn count_down(&mut self, members: &HashMap<ParticipantId, Member>, state: &State) -> u64 {
        let packets: HashMap<(ParticipantId, Downlink), u64> = members
            .iter()
            .flat_map(|(who, member)| member.slots_sent().map(|(slot, n)| ((*who, slot), n)))
            .collect();
        let moved = packets.iter().filter(|(slot, now)| {
            let before = self.packets.get(slot).copied().unwrap_or(0);
            **now > before
        });
        // Sound and picture of one person, or of the mix, are one path.
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

/// The figures as JSON.
pub(crate) fn report(
    id: &RoomId,
    state: &State,
    members: &BTreeMap<ParticipantId, &Member>,
    mixer: Option<&Mixer>,
    rates: &Rates,
) -> Value {
    let view = state.view();
    let participants: Vec<Value> = view
        .participants
        .iter()
        .map(|person| {
            let member = members.get(&person.id);
            let uplinks: BTreeMap<String, Value> = [Role::Mic, Role::Camera, Role::Screen]
                .into_iter()
                .filter_map(|role| {
                    let participant = person.id;
                    let source = SourceId { participant, role };
                    Some((role.to_string(), uplink(source, member?, state, rates)?))
                })
                .collect();
            json!({
                "id": person.id,
                "name": person.name,
                "connected": person.connected,
                "uplinks": uplinks,
                "rung": state.watched_rung(person.id),
                "link": member.and_then(|member| link(member, state.budget_of(person.id))),
                "repair": member.and_then(|member| member.repair()),
            })
        })
        .collect();
    let renditions: Vec<Value> = mixer
        .into_iter()
        .flat_map(Mixer::outputs)
        .map(|(output, rendition)| {
            let bps = rates.bits_per_second(Counted::Output(output));
            let mut value = counters(rendition.tap().counters(), bps);
            if let Some(fields) = value.as_object_mut() {
                fields.extend(describe(output, rendition, state));
            }
            value
        })
        .collect();
    json!({
        "id": id,
        "mode": view.mode,
        "pressure": state.pressure(),
        "fps": state.fps(),
        "participants": participants,
        "paths": view.paths,
        "decoders": mixer.map_or(0, |mixer| mixer.sources().count()),
        "decoded_pixels_per_second": rates.pixels_per_second,
        "renditions": renditions,
        "server": {
            "pipelines": pipeline::alive(),
            "pipelines_abandoned": teardown::abandoned(),
        },
    })
}

/// What is known of the link to somebody: what arrives, how it fares, and what they may be sent, as
/// far as that is limited.
fn link(member: &Member, budget: Budget) -> Option<Value> {
    let estimate = member.estimate()?;
    Some(json!({
        "arriving_bps": estimate.acked_bitrate,
        "loss": estimate.loss,
        "queue_ms": estimate.queue.as_secs_f64() * 1000.0,
        "budget_bps": match budget {
            Budget::Limited(bits) => Some(bits.round()),
            Budget::Free => None,
        },
    }))
}

/// The figures of an uplink: of all its encodings together, and of each if they have names.
/// `None` before anything has come.
fn uplink(source: SourceId, member: &Member, state: &State, rates: &Rates) -> Option<Value> {
    let SourceId { participant, role } = source;
    let (mut all, mut bps) = (None, 0);
    let mut layers = Vec::new();
    for ((_, n), flow) in member.flows.range((role, 0)..=(role, usize::MAX)) {
        let (of_layer, size) = (flow.tap.counters(), flow.tap.picture_size());
        let layer_bps = rates.bits_per_second(Counted::Uplink(participant, role, *n));
        let before: TapCounters = all.unwrap_or_default();
        all = Some(TapCounters {
            packets: before.packets + of_layer.packets,
            bytes: before.bytes + of_layer.bytes,
            // A keyframe asked of one is asked of all.
            ..of_layer
        });
        bps += layer_bps;
        layers.extend(state.rid_of(source, *n).map(|rid| {
            json!({
                "rid": rid,
                "bps": layer_bps,
                "packets": of_layer.packets,
                "width": size.map(|size| size.width),
                "height": size.map(|size| size.height),
                "viewers": state.viewers_of_layer(source, *n),
            })
        }));
    }
    let mut value = counters(all?, bps);
    if let Some(fields) = value.as_object_mut().filter(|_| !layers.is_empty()) {
        fields.insert("layers".to_owned(), layers.into());
    }
    Some(value)
}

fn counters(counters: TapCounters, bits_per_second: u64) -> Value {
    json!({
        "packets": counters.packets,
        "bytes": counters.bytes,
        "bps": bits_per_second,
        "keyframes_asked": counters.keyframes_asked,
        "keyframes_avoided": counters.keyframes_avoided,
    })
}

fn describe(
    output: Output,
    rendition: &Rendition,
    state: &State,
) -> serde_json::Map<String, Value> {
    let viewers = state.viewers_of(output);
    let fec = rendition.protection() == Fec::On;
    let fields = match output {
        Output::Video { codec, rung } => {
            let spec = state.ladder().spec(rung);
            json!({
                "kind": "video",
                "codec": codec,
                "rung": rung,
                "width": spec.map(|spec| spec.size.width),
                "height": spec.map(|spec| spec.size.height),
                "fps": spec.map(|spec| spec.pace.fps().min(f64::from(state.fps()))),
                "target_bps": rendition.bitrate(),
                "viewers": viewers,
            })
        }
        Output::Sound(Without::Nobody) => {
            json!({
                "kind": "audio",
                "codec": "opus",
                "fec": fec,
                "target_bps": rendition.bitrate(),
                "viewers": viewers,
            })
        }
        Output::Sound(Without::Participant(who)) => {
            json!({
                "kind": "audio",
                "codec": "opus",
                "without": who,
                "fec": fec,
                "target_bps": rendition.bitrate(),
                "viewers": viewers,
            })
        }
    };
    match fields {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    }
}
