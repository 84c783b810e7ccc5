//! Which delivery path each participant should have, and when a handover to it is complete; pure.

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
    /// The route by which a participant should receive media of `kind`: by their mode override or
    /// the room's mode, as far as the slots they negotiated allow.
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

    /// Starts a handover for everybody whose delivery path is not the wanted one.
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

    /// Completes the handovers whose new route delivers. True if there was one.
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

    /// The next moment later than `after` at which a handover completes by time alone.
    pub(crate) fn next_completion(&self, after: Duration) -> Option<Duration> {
        self.participants
            .keys()
            .flat_map(|who| MediaKind::BOTH.map(|kind| self.completes_at(*who, kind, after)))
            .flatten()
            .filter(|at| *at > after)
            .min()
    }

    /// When the handover of a participant's picture or sound from one delivery path to the other
    /// (mix, forward or mesh) completes if nothing more happens; in the past if it is due. `None`
    /// without a handover, or while a mesh is incomplete, for which there is no time limit.
    fn completes_at(&self, who: ParticipantId, kind: MediaKind, now: Duration) -> Option<Duration> {
        let participant = self.participants.get(&who)?;
        let path = match kind {
            MediaKind::Picture => participant.picture_path,
            MediaKind::Sound => participant.sound_path,
        };
        let (route, since) = path.pending()?;
        let (delivers, limit) = match (route, kind) {
            // Without a full mesh the old path goes on for as long as it takes.
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

    /// Whether a participant receives media directly (peer to peer) from every other one who is
    /// connected, has a WebSocket to be called over, and publishes anything.
    fn has_full_mesh(&self, who: ParticipantId, participant: &Participant) -> bool {
        self.participants
            .iter()
            .filter(|(other, p)| **other != who && p.is_connected() && p.is_reachable())
            .all(|(other, _)| participant.mesh.contains(other))
    }

    /// Since when all fed slots of a kind deliver; `None` while one of them does not.
    fn slots_open(&self, who: ParticipantId, kind: impl Fn(Downlink) -> bool) -> Option<Duration> {
        let mut latest = Duration::ZERO;
        for slot in self.wired.feeds.keys() {
            if slot.0 == who && kind(slot.1) {
                latest = latest.max(*self.open.get(slot)?);
            }
        }
        Some(latest)
    }

    /// When the viewer sees the composite with everybody's picture in it; `None` while a picture or
    /// the slot does not deliver.
    fn composite_stands(&self, who: ParticipantId, participant: &Participant) -> Option<Duration> {
        if participant.downlinks.mix_video.is_none() {
            return Some(Duration::ZERO);
        }
        let painted = self.painted()?;
        let open = *self.open.get(&(who, Downlink::Video))?;
        Some(open.max(painted) + PICTURE_OVERLAP)
    }

    /// Since when the composite has every picture it should have; `None` while one is missing or no
    /// mixer runs.
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

    /// When the listener hears all speakers in the mix; `None` while a voice or the slot does not
    /// deliver.
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

    /// The current feed of a slot.
    pub(crate) fn feed_of(&self, who: ParticipantId, slot: Downlink) -> Option<Feed> {
        self.wired.feeds.get(&(who, slot)).copied()
    }

    /// Notes that a slot delivers `feed`. Ignored if it has got another feed meanwhile.
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

    /// Notes that the first picture or sound of `source` is in the mix.
    pub(crate) fn source_mixed(&mut self, now: Duration, source: SourceId) {
        if self.wired.decodes(source) {
            self.mixed.entry(source).or_insert(now);
        }
    }

    /// Forgets the deliveries of the current wiring that do not go on in `next`.
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
