//! By which way each participant is served, and when a change of that is complete; pure.

use std::time::Duration;

use super::State;
use super::delivery_path::{
    HANDOVER_LIMIT, MediaKind, PICTURE_OVERLAP, Route, SOUND_FORWARD_LIMIT, SOUND_MIX_LIMIT,
    SOUND_OVERLAP,
};
use super::participant::Participant;
use super::wiring::{Downlink, Feed, Mixing};
use crate::id::SourceId;
use crate::id::{ParticipantId, Role};
use crate::media::mixer::Content;
use crate::topology::Mode;

impl State {
    /// The way a participant is to be served: as they or the room want it, as far as the slots
    /// they have of this kind allow.
    pub(crate) fn route_of(&self, participant: &Participant, kind: MediaKind) -> Route {
        if self.mode == Mode::P2p {
            return Route::Mesh;
        }
        let downlinks = &participant.downlinks;
        let (mix, forwards) = (downlinks.has_mix(kind), downlinks.has_forwards(kind));
        match participant.mode_override.unwrap_or(self.mode) {
            Mode::Sfu if forwards || !mix => Route::Forward,
            Mode::Mcu if !mix && forwards => Route::Forward,
            _ => Route::Mix,
        }
    }

    /// Aims everybody's service at what is wanted now.
    pub(crate) fn start_handovers(&mut self, now: Duration) {
        let route = |participant: &Participant| {
            MediaKind::BOTH.map(|kind| self.route_of(participant, kind))
        };
        let routes: Vec<(ParticipantId, [Route; 2])> = self
            .participants
            .iter()
            .filter(|(_, participant)| participant.is_connected())
            .map(|(who, participant)| (*who, route(participant)))
            .collect();
        for (who, [picture, sound]) in routes {
            if let Some(participant) = self.participants.get_mut(&who) {
                participant.picture_path.switch_to(picture, now);
                participant.sound_path.switch_to(sound, now);
            }
        }
    }

    /// Completes the changes whose new way delivers. True if there was one.
    pub(crate) fn complete_handovers(&mut self, now: Duration) -> bool {
        let completed = |kind| -> Vec<ParticipantId> {
            self.participants
                .keys()
                .filter(|who| {
                    self.completes_at(**who, kind, now)
                        .is_some_and(|at| at <= now)
                })
                .copied()
                .collect()
        };
        let (pictures, sounds) = (completed(MediaKind::Picture), completed(MediaKind::Sound));
        for who in &pictures {
            if let Some(participant) = self.participants.get_mut(who) {
                participant.picture_path.complete();
            }
        }
        for who in &sounds {
            if let Some(participant) = self.participants.get_mut(who) {
                participant.sound_path.complete();
            }
        }
        !pictures.is_empty() || !sounds.is_empty()
    }

    /// When the next change will be complete, whatever happens.
    pub(crate) fn next_completion(&self, after: Duration) -> Option<Duration> {
        self.participants
            .keys()
            .flat_map(|who| MediaKind::BOTH.map(|kind| self.completes_at(*who, kind, after)))
            .flatten()
            .filter(|at| *at > after)
            .min()
    }

    /// When a change that is under way will be complete as things stand; the past if it is.
    /// `None` where there is none, or where it waits for others without limit.
    fn completes_at(&self, who: ParticipantId, kind: MediaKind, now: Duration) -> Option<Duration> {
        let participant = self.participants.get(&who)?;
        let path = match kind {
            MediaKind::Picture => participant.picture_path,
            MediaKind::Sound => participant.sound_path,
        };
        let (route, since) = path.pending()?;
        let (delivers, limit) = match (route, kind) {
            // Who cannot reach somebody directly is served as before for as long as it takes.
            (Route::Mesh, _) => return self.has_full_mesh(who, participant).then_some(since),
            (Route::Forward, MediaKind::Picture) => (
                self.slots_open(who, |slot| matches!(slot, Downlink::ForwardVideo(_))),
                HANDOVER_LIMIT,
            ),
            (Route::Forward, MediaKind::Sound) => (
                self.slots_open(who, |slot| matches!(slot, Downlink::ForwardAudio(_))),
                SOUND_FORWARD_LIMIT,
            ),
            (Route::Mix, MediaKind::Picture) => {
                (self.composite_stands(who, participant), HANDOVER_LIMIT)
            }
            (Route::Mix, MediaKind::Sound) => {
                (self.mix_sounds(who, participant, now), SOUND_MIX_LIMIT)
            }
        };
        let limit = since + limit;
        Some(delivers.map_or(limit, |at| at.min(limit)))
    }

    /// Whether somebody receives directly from everybody who can be called.
    fn has_full_mesh(&self, who: ParticipantId, participant: &Participant) -> bool {
        self.participants
            .iter()
            .filter(|(other, p)| **other != who && p.is_connected() && p.is_reachable())
            .all(|(other, _)| participant.mesh.contains(other))
    }

    /// Since when all fed slots of a kind deliver.
    fn slots_open(&self, who: ParticipantId, kind: impl Fn(Downlink) -> bool) -> Option<Duration> {
        let mut latest = Duration::ZERO;
        for slot in self.wired.feeds.keys() {
            if slot.0 == who && kind(slot.1) {
                latest = latest.max(*self.open.get(slot)?);
            }
        }
        Some(latest)
    }

    /// When the composite will stand with everybody's picture in it.
    fn composite_stands(&self, who: ParticipantId, participant: &Participant) -> Option<Duration> {
        if participant.downlinks.mix_video.is_none() {
            return Some(Duration::ZERO);
        }
        let painted = self.painted()?;
        let open = *self.open.get(&(who, Downlink::Video))?;
        Some(open.max(painted) + PICTURE_OVERLAP)
    }

    /// Since when everybody's picture is in the composite.
    pub(crate) fn painted(&self) -> Option<Duration> {
        let Mixing::Running(mix) = &self.wired.mixer else {
            return None;
        };
        let pictures = mix.scene.tiles.iter().filter(|tile| {
            tile.content == Content::Picture && mix.sources.contains_key(&tile.source)
        });
        let mut latest = Duration::ZERO;
        for tile in pictures {
            latest = latest.max(*self.mixed.get(&tile.source)?);
        }
        Some(latest)
    }

    /// When the mix will have the voices of all who speak in it.
    fn mix_sounds(
        &self,
        who: ParticipantId,
        participant: &Participant,
        now: Duration,
    ) -> Option<Duration> {
        if !participant.downlinks.mix_audio {
            return Some(Duration::ZERO);
        }
        let mut latest = *self.open.get(&(who, Downlink::Audio))?;
        let speakers = self.participants.iter().filter(|(_, p)| p.has_own_mix(now));
        for (participant, _) in speakers {
            let (participant, role) = (*participant, Role::Mic);
            let source = SourceId { participant, role };
            if self.wired.decodes(source) {
                latest = latest.max(*self.mixed.get(&source)?);
            }
        }
        Some(latest + SOUND_OVERLAP)
    }

    /// What feeds a slot.
    pub(crate) fn feed_of(&self, who: ParticipantId, slot: Downlink) -> Option<Feed> {
        self.wired.feeds.get(&(who, slot)).copied()
    }

    /// A slot delivers what it was fed.
    pub(crate) fn slot_opened(
        &mut self,
        now: Duration,
        slot: (ParticipantId, Downlink),
        feed: Feed,
    ) {
        if self.wired.feeds.get(&slot) == Some(&feed) {
            self.open.entry(slot).or_insert(now);
        }
    }

    /// A source is in the mix.
    pub(crate) fn source_mixed(&mut self, now: Duration, source: SourceId) {
        if self.wired.decodes(source) {
            self.mixed.entry(source).or_insert(now);
        }
    }

    /// Forgets what delivered by a wiring that is not any more.
    pub(crate) fn forget_deliveries(&mut self, next: &super::wiring::Wiring) {
        let wired = &self.wired;
        // What has failed is in neither.
        self.open.retain(|slot, _| {
            let (had, has) = (wired.feeds.get(slot), next.feeds.get(slot));
            had.zip(has).is_some_and(|(had, has)| had.goes_on_in(has))
        });
        self.mixed.retain(|source, _| {
            let decoded = next.decoded(*source);
            decoded.is_some() && wired.decoded(*source) == decoded
        });
    }
}
