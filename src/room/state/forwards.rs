//! What the forward slots of a room should carry, and what participants are told of it; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::State;
use super::delivery_path::{DeliveryPath, MediaKind, Route};
use super::dynacast::Presentation;
use super::participant::{Downlinks, Participant, Uplink, Upstream};
use super::slot_allocation;
use super::slot_allocation::{Candidate, Occupant, Priority, SlotAllocation};
use super::wiring::{Downlink, Feed, Forwards, SlotTable};
use crate::codec::VideoCodec;
use crate::id::SourceId;
use crate::id::{Mid, ParticipantId, Role};
use crate::protocol::room::SlotState;
use crate::topology::Mode;

impl State {
    /// The allocation of everybody's forward slots, going on from the current one.
    pub(crate) fn desired_forwards(&self, now: Duration) -> BTreeMap<ParticipantId, Forwards> {
        let voices = self.voices(now);
        let pictures = self.pictures(now);
        let mut forwards = BTreeMap::new();
        for (who, participant) in self.participants.iter().filter(|(_, p)| p.is_connected()) {
            let Downlinks {
                forward_video,
                forward_audio,
                ..
            } = &participant.downlinks;
            if forward_video.is_empty() && forward_audio.is_empty() {
                continue;
            }
            let had = self.wired.forwards.get(who).cloned().unwrap_or_default();
            let fits = |c: &&Candidate| c.source.participant != *who;
            let mut seen = candidates(participant.picture_path, pictures.iter().filter(fits));
            let mut heard = candidates(participant.sound_path, voices.iter().filter(fits));
            place_beside(&mut seen, Role::Camera, &had.audio);
            let video = self.fill_pictures(had.video, forward_video, &seen, now);
            place_beside(&mut heard, Role::Mic, &video);
            let held = resized(had.audio, forward_audio.len());
            let mut audio = slot_allocation::allocate(&held, &heard, now);
            slot_allocation::pair_up(&mut audio.slots, &heard, now);
            forwards.insert(*who, Forwards { video, audio });
        }
        forwards
    }

    /// Allocates slots for pictures. Nothing is transcoded, so each slot takes candidates of its
    /// own codec only.
    fn fill_pictures(
        &self,
        had: SlotAllocation,
        places: &[(Mid, VideoCodec)],
        candidates: &[Candidate],
        now: Duration,
    ) -> SlotAllocation {
        let had = resized(had, places.len());
        let mut new = SlotAllocation {
            slots: vec![None; places.len()],
            review: None,
        };
        let codecs: BTreeSet<VideoCodec> = places.iter().map(|(_, codec)| *codec).collect();
        for codec in codecs {
            let fits = |n: &usize| places.get(*n).is_some_and(|(_, wanted)| *wanted == codec);
            let of_codec: Vec<usize> = (0..places.len()).filter(fits).collect();
            let held: Vec<Option<Occupant>> = of_codec.iter().map(|n| had[*n]).collect();
            let sent = |c: &&Candidate| self.codec_of(c.source) == Some(codec);
            let sent = candidates.iter().filter(sent).map(|candidate| Candidate {
                place: candidate
                    .place
                    .and_then(|place| of_codec.iter().position(|n| *n == place)),
                ..*candidate
            });
            let sent: Vec<Candidate> = sent.collect();
            let filled = slot_allocation::allocate(&held, &sent, now);
            for (n, slot) in of_codec.into_iter().zip(filled.slots) {
                new.slots[n] = slot;
            }
            new.review = new.review.into_iter().chain(filled.review).min();
        }
        new
    }

    /// Every picture that can be forwarded: shared screens first, then in the order of joining. A
    /// picture that the server cannot decode is among them.
    fn pictures(&self, now: Duration) -> Vec<Candidate> {
        let mut pictures = Vec::new();
        for role in [Role::Screen, Role::Camera] {
            for (who, participant) in self.participants.iter().filter(|(_, p)| p.is_present(now)) {
                let source = SourceId {
                    participant: *who,
                    role,
                };
                let urgent = role == Role::Screen || self.pinned == Some(*who);
                if self.live_uplink(source).is_some() {
                    let priority = match urgent {
                        true => Priority::Urgent,
                        false => participant.priority(),
                    };
                    let place = None;
                    pictures.push(Candidate {
                        source,
                        priority,
                        place,
                    });
                }
            }
        }
        pictures
    }

    /// Every microphone that can be forwarded. A muted one keeps its slot, to be heard at once when
    /// it is unmuted.
    fn voices(&self, now: Duration) -> Vec<Candidate> {
        self.participants
            .iter()
            .filter(|(_, participant)| participant.is_present(now))
            .filter(|(_, participant)| {
                let mic = participant.uplinks.get(&Role::Mic);
                mic.is_some_and(Uplink::has_begun)
            })
            .map(|(who, participant)| Candidate {
                source: SourceId {
                    participant: *who,
                    role: Role::Mic,
                },
                // A participant who is muted needs no slot, even if they were heard a moment ago.
                priority: match self.has_live_voice(*who) {
                    true => participant.priority(),
                    false => Priority::Silent,
                },
                place: None,
            })
            .collect()
    }

    /// Whether a participant has a microphone that is not muted.
    pub(crate) fn has_live_voice(&self, participant: ParticipantId) -> bool {
        let role = Role::Mic;
        self.live_uplink(SourceId { participant, role }).is_some()
    }

    fn codec_of(&self, source: SourceId) -> Option<VideoCodec> {
        let participant = self.participants.get(&source.participant)?;
        participant.uplinks.get(&source.role)?.codec
    }

    /// The feeds of forward slots, each with the encoding that suits its viewer.
    pub(crate) fn forward_feeds(
        &self,
        forwards: &BTreeMap<ParticipantId, Forwards>,
        presentation: Presentation<'_>,
        now: Duration,
    ) -> BTreeMap<(ParticipantId, Downlink), Feed> {
        let mut feeds = BTreeMap::new();
        for (who, of_participant) in forwards {
            let slots = occupied(&of_participant.video, Downlink::ForwardVideo)
                .chain(occupied(&of_participant.audio, Downlink::ForwardAudio));
            for (slot, source) in slots {
                let slot = (*who, slot);
                let uplink = self.live_uplink(source);
                let layer =
                    |uplink| self.forwarded_layer(slot, (source, uplink), presentation, now);
                if let Some((uplink, layer)) = uplink.and_then(|u| Some((u, layer(u)?))) {
                    let tap = uplink.layers.tap(layer);
                    feeds.insert(slot, Feed::Uplink { source, layer, tap });
                }
            }
        }
        feeds
    }

    pub(crate) fn live_uplink(&self, source: SourceId) -> Option<&Uplink> {
        let participant = self.participants.get(&source.participant)?;
        let uplink = participant.uplinks.get(&source.role)?;
        uplink.is_live().then_some(uplink)
    }

    /// What each participant with forward slots is told: the mode they are served in, and who is in
    /// which slot.
    pub(crate) fn slot_tables(
        &self,
        forwards: &BTreeMap<ParticipantId, Forwards>,
    ) -> BTreeMap<ParticipantId, SlotTable> {
        forwards
            .iter()
            .filter_map(|(who, forwards)| {
                let participant = self.participants.get(who)?;
                let downlinks = &participant.downlinks;
                let audio = entries(downlinks.forward_audio.iter(), &forwards.audio);
                let video = downlinks.forward_video.iter().map(|(mid, _)| mid);
                let table = SlotTable {
                    mode: self.served(participant),
                    slots: audio.chain(entries(video, &forwards.video)).collect(),
                };
                Some((*who, table))
            })
            .collect()
    }

    /// The mode in which a participant is served, or to which a handover leads: `sfu` if anything
    /// is forwarded to them.
    fn served(&self, participant: &Participant) -> Mode {
        let forwarded = |kind: &MediaKind| {
            participant.downlinks.has_forwards(*kind)
                && self.route_of(participant, *kind) == Route::Forward
        };
        match self.mode {
            Mode::P2p => Mode::P2p,
            _ if MediaKind::BOTH.iter().any(forwarded) => Mode::Sfu,
            _ => Mode::Mcu,
        }
    }

    /// Participants who need not send to the server: everybody, once the mesh is complete; else
    /// nobody.
    pub(crate) fn paused_upstreams(&self) -> BTreeSet<ParticipantId> {
        let direct = |path: DeliveryPath| !path.uses(Route::Mix) && !path.uses(Route::Forward);
        let all_direct = self
            .participants
            .values()
            .filter(|participant| participant.is_connected())
            .all(|participant| direct(participant.picture_path) && direct(participant.sound_path));
        if self.mode != Mode::P2p || !all_direct {
            return BTreeSet::new();
        }
        let connected = self.participants.iter().filter(|(_, p)| p.is_connected());
        connected.map(|(who, _)| *who).collect()
    }

    /// Notes for each participant whether their upstream is paused in the current wiring. Silence
    /// counts only while it is not. True if that changed for anybody.
    pub(crate) fn update_upstreams(&mut self, now: Duration) -> bool {
        let mut news = false;
        for (who, participant) in &mut self.participants {
            let upstream = match self.wired.paused_upstreams.contains(who) {
                true => Upstream::Paused,
                false => Upstream::Active,
            };
            news |= participant.set_upstream(upstream, now);
        }
        news
    }
}

/// The candidates for a participant's slots of one kind: none while their delivery path does not
/// use forward slots.
fn candidates<'a>(
    path: DeliveryPath,
    candidates: impl Iterator<Item = &'a Candidate>,
) -> Vec<Candidate> {
    match path.uses(Route::Forward) {
        true => candidates.copied().collect(),
        false => Vec::new(),
    }
}

/// Has candidates of that role prefer the slot with the number of the one of `other` that has the same
/// participant's microphone or camera.
fn place_beside(candidates: &mut [Candidate], role: Role, other: &SlotAllocation) {
    for candidate in candidates.iter_mut().filter(|c| c.source.role == role) {
        let is_beside = |held: &Occupant| {
            let source = held.source;
            source.participant == candidate.source.participant && source.role != Role::Screen
        };
        let beside = |slot: &Option<Occupant>| slot.as_ref().is_some_and(is_beside);
        candidate.place = other.slots.iter().position(beside);
    }
}

/// The current occupants of `n` slots.
fn resized(had: SlotAllocation, n: usize) -> Vec<Option<Occupant>> {
    let mut held = had.slots;
    held.resize(n, None);
    held
}

fn occupied(
    allocation: &SlotAllocation,
    slot: fn(usize) -> Downlink,
) -> impl Iterator<Item = (Downlink, SourceId)> {
    let held = allocation.slots.iter().enumerate();
    held.filter_map(move |(n, held)| held.map(|held: Occupant| (slot(n), held.source)))
}

fn entries<'a>(
    mids: impl Iterator<Item = &'a Mid>,
    allocation: &SlotAllocation,
) -> impl Iterator<Item = SlotState> {
    mids.zip(&allocation.slots).map(|(mid, held)| SlotState {
        mid: mid.clone(),
        participant: held.map(|held| held.source.participant),
        role: held.map(|held| held.source.role),
    })
}
