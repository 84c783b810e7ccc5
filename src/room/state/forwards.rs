//! What the forward slots of a room should carry, and what participants are told of it; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::State;
use super::delivery_path::{Kind, Route, Service};
use super::dynacast::Shown;
use super::participant::{Downlinks, Person, Sending, Uplink};
use super::slot_allocation;
use super::slot_allocation::{Assignment, Candidate, Claim, Held};
use super::wiring::{Downlink, Feed, Forwards, SlotTable};
use crate::codec::VideoCodec;
use crate::id::SourceId;
use crate::id::{Mid, ParticipantId, Role};
use crate::protocol::room::SlotState;
use crate::topology::Mode;

impl State {
    /// Who should have whose forward slots, going on from who has them now.
    pub(crate) fn desired_forwards(&self, now: Duration) -> BTreeMap<ParticipantId, Forwards> {
        let voices = self.voices(now);
        let pictures = self.pictures(now);
        let mut forwards = BTreeMap::new();
        for (who, person) in self.people.iter().filter(|(_, p)| p.is_connected()) {
            let Downlinks {
                forward_video,
                forward_audio,
                ..
            } = &person.downlinks;
            if forward_video.is_empty() && forward_audio.is_empty() {
                continue;
            }
            let had = self.wired.forwards.get(who).cloned().unwrap_or_default();
            let fits = |c: &&Candidate| c.source.participant != *who;
            let seen = candidates(person.picture, pictures.iter().filter(fits));
            let heard = candidates(person.sound, voices.iter().filter(fits));
            let new = Forwards {
                video: self.fill_pictures(had.video, forward_video, &seen, now),
                audio: slot_allocation::assign(
                    &resized(had.audio, forward_audio.len()),
                    &heard,
                    now,
                ),
            };
            forwards.insert(*who, new);
        }
        forwards
    }

    /// Fills slots for pictures, each with its codec from those who send it.
    fn fill_pictures(
        &self,
        had: Assignment,
        places: &[(Mid, VideoCodec)],
        candidates: &[Candidate],
        now: Duration,
    ) -> Assignment {
        let had = resized(had, places.len());
        let mut new = Assignment {
            slots: vec![None; places.len()],
            review: None,
        };
        let codecs: BTreeSet<VideoCodec> = places.iter().map(|(_, codec)| *codec).collect();
        for codec in codecs {
            let fits = |n: &usize| places.get(*n).is_some_and(|(_, wanted)| *wanted == codec);
            let of_codec: Vec<usize> = (0..places.len()).filter(fits).collect();
            let held: Vec<Option<Held>> = of_codec.iter().map(|n| had[*n]).collect();
            let sent = |c: &&Candidate| self.codec_of(c.source) == Some(codec);
            let sent: Vec<Candidate> = candidates.iter().filter(sent).copied().collect();
            let filled = slot_allocation::assign(&held, &sent, now);
            for (n, slot) in of_codec.into_iter().zip(filled.slots) {
                new.slots[n] = slot;
            }
            new.review = new.review.into_iter().chain(filled.review).min();
        }
        new
    }

    /// Every picture that can be forwarded, whether or not it can be decoded here: shared
    /// screens first, then in the order of joining.
    fn pictures(&self, now: Duration) -> Vec<Candidate> {
        let mut pictures = Vec::new();
        for role in [Role::Screen, Role::Camera] {
            for (who, person) in self.people.iter().filter(|(_, p)| p.is_present(now)) {
                let source = SourceId {
                    participant: *who,
                    role,
                };
                let urgent = role == Role::Screen || self.pinned == Some(*who);
                if self.live_uplink(source).is_some() {
                    let claim = match urgent {
                        true => Claim::Urgent,
                        false => person.claim(),
                    };
                    pictures.push(Candidate { source, claim });
                }
            }
        }
        pictures
    }

    /// Every microphone. One that is muted keeps its slot, for the moment it is not.
    fn voices(&self, now: Duration) -> Vec<Candidate> {
        self.people
            .iter()
            .filter(|(_, person)| person.is_present(now))
            .filter(|(_, person)| {
                let mic = person.uplinks.get(&Role::Mic);
                mic.is_some_and(Uplink::has_begun)
            })
            .map(|(who, person)| Candidate {
                source: SourceId {
                    participant: *who,
                    role: Role::Mic,
                },
                // Who was heard a moment ago and is muted now has nothing to say.
                claim: match self.has_live_voice(*who) {
                    true => person.claim(),
                    false => Claim::Silent,
                },
            })
            .collect()
    }

    /// Whether somebody's microphone is on.
    pub(crate) fn has_live_voice(&self, participant: ParticipantId) -> bool {
        let role = Role::Mic;
        self.live_uplink(SourceId { participant, role }).is_some()
    }

    fn codec_of(&self, source: SourceId) -> Option<VideoCodec> {
        let person = self.people.get(&source.participant)?;
        person.uplinks.get(&source.role)?.codec
    }

    /// The feeds of forward slots, each in the encoding that suits its viewer.
    pub(crate) fn forward_feeds(
        &self,
        forwards: &BTreeMap<ParticipantId, Forwards>,
        shown: Shown<'_>,
        now: Duration,
    ) -> BTreeMap<(ParticipantId, Downlink), Feed> {
        let mut feeds = BTreeMap::new();
        for (who, of_person) in forwards {
            let slots = occupied(&of_person.video, Downlink::ForwardVideo)
                .chain(occupied(&of_person.audio, Downlink::ForwardAudio));
            for (slot, source) in slots {
                let slot = (*who, slot);
                let uplink = self.live_uplink(source);
                let layer = |uplink| self.forwarded_layer(slot, (source, uplink), shown, now);
                if let Some((uplink, layer)) = uplink.and_then(|u| Some((u, layer(u)?))) {
                    let tap = uplink.layers.tap(layer);
                    feeds.insert(slot, Feed::Uplink { source, layer, tap });
                }
            }
        }
        feeds
    }

    pub(crate) fn live_uplink(&self, source: SourceId) -> Option<&Uplink> {
        let person = self.people.get(&source.participant)?;
        let uplink = person.uplinks.get(&source.role)?;
        uplink.is_live().then_some(uplink)
    }

    /// What each participant with forward slots should know of them.
    pub(crate) fn slot_tables(
        &self,
        forwards: &BTreeMap<ParticipantId, Forwards>,
    ) -> BTreeMap<ParticipantId, SlotTable> {
        forwards
            .iter()
            .filter_map(|(who, forwards)| {
                let person = self.people.get(who)?;
                let downlinks = &person.downlinks;
                let audio = entries(downlinks.forward_audio.iter(), &forwards.audio);
                let video = downlinks.forward_video.iter().map(|(mid, _)| mid);
                let table = SlotTable {
                    mode: self.served(person),
                    slots: audio.chain(entries(video, &forwards.video)).collect(),
                };
                Some((*who, table))
            })
            .collect()
    }

    /// The mode a participant is served in, or is being moved to: `sfu` if anything at all is
    /// forwarded to them.
    fn served(&self, person: &Person) -> Mode {
        let forwarded = |kind: &Kind| {
            person.downlinks.has_forwards(*kind) && self.route_of(person, *kind) == Route::Forward
        };
        match self.mode {
            Mode::P2p => Mode::P2p,
            _ if Kind::BOTH.iter().any(forwarded) => Mode::Sfu,
            _ => Mode::Mcu,
        }
    }

    /// Who need not send: everybody, once all have each other directly.
    pub(crate) fn excused(&self) -> BTreeSet<ParticipantId> {
        let direct = |service: Service| !service.uses(Route::Mix) && !service.uses(Route::Forward);
        let all_direct = self
            .people
            .values()
            .filter(|person| person.is_connected())
            .all(|person| direct(person.picture) && direct(person.sound));
        if self.mode != Mode::P2p || !all_direct {
            return BTreeSet::new();
        }
        let connected = self.people.iter().filter(|(_, p)| p.is_connected());
        connected.map(|(who, _)| *who).collect()
    }

    /// Notes of people what [`State::excused`] says; their silence is judged by it. True if that
    /// is news.
    pub(crate) fn set_sending(&mut self, now: Duration) -> bool {
        let mut news = false;
        for (who, person) in &mut self.people {
            let sending = match self.wired.excused.contains(who) {
                true => Sending::Excused,
                false => Sending::Asked,
            };
            news |= person.set_sending(sending, now);
        }
        news
    }
}

/// Those who may have slots of a kind: nobody while the service does not use them.
fn candidates<'a>(
    service: Service,
    candidates: impl Iterator<Item = &'a Candidate>,
) -> Vec<Candidate> {
    match service.uses(Route::Forward) {
        true => candidates.copied().collect(),
        false => Vec::new(),
    }
}

/// Who has had `n` slots.
fn resized(had: Assignment, n: usize) -> Vec<Option<Held>> {
    let mut held = had.slots;
    held.resize(n, None);
    held
}

fn occupied(
    assignment: &Assignment,
    slot: fn(usize) -> Downlink,
) -> impl Iterator<Item = (Downlink, SourceId)> {
    let held = assignment.slots.iter().enumerate();
    held.filter_map(move |(n, held)| held.map(|held: Held| (slot(n), held.source)))
}

fn entries<'a>(
    mids: impl Iterator<Item = &'a Mid>,
    assignment: &Assignment,
) -> impl Iterator<Item = SlotState> {
    mids.zip(&assignment.slots).map(|(mid, held)| SlotState {
        mid: mid.clone(),
        participant: held.map(|held| held.source.participant),
        role: held.map(|held| held.source.role),
    })
}
