//! The desired media wiring of a room's state: who is fed what, who is decoded, what the canvas
//! shows and what senders are asked to send; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::State;
use super::delivery_path::{MediaKind, Route};
use super::dynacast::{Presentation, Subscribers};
use super::participant::{Participant, Uplink};
use super::wiring::{Decoded, Downlink, Feed, Mix, Mixing, Wiring};
use crate::id::SourceId;
use crate::id::{ParticipantId, Role};
use crate::layout;
use crate::media::bwe::fec::Fec;
use crate::media::mixer::{Content, Mark, MixMinus, Output, Scene, Tile};
use crate::protocol::recording::RecordingId;

/// How long an encoder of the composite goes on after its last viewer. A viewer who tries a better
/// rendition often comes back, and a new encoder begins with its most expensive frame.
const RENDITION_LINGER: Duration = Duration::from_secs(5);

impl State {
    /// All media that should run at `now`. It depends on the current wiring too: slots and encoders
    /// keep what they have where that is good enough.
    pub(crate) fn desired(&self, now: Duration) -> Wiring {
        let scene = self.desired_scene(now);
        let forwards = self.desired_forwards(now);
        let mut feeds = self.desired_mix_feeds(now);
        let mut recorded = self.recorded_outputs();
        let unneeded = feeds.is_empty() && recorded.is_empty();
        let mixer = match unneeded || now < self.mixer_rests_until {
            true => Mixing::None,
            false => {
                // An encoder that failed costs its viewers their picture, and not the room its
                // mixer.
                let works = |output: &Output| !self.failed_outputs.contains_key(output);
                feeds.retain(|_, output| works(output));
                recorded.retain(|_, output| works(output));
                let mix = self.desired_mix(now, &scene, &feeds, &recorded);
                Mixing::Running(Box::new(mix))
            }
        };
        if mixer == Mixing::None {
            feeds.clear();
            recorded.clear();
        }
        let mixed = feeds
            .into_iter()
            .map(|(slot, output)| (slot, Feed::Output(output)));
        let presentation = Presentation {
            scene: &scene,
            allocations: &self.allocate_links(&scene, &forwards),
        };
        let forwarded = self.forward_feeds(&forwards, presentation, now);
        let tracks = self.desired_tracks(now);
        let subscribers = Subscribers {
            forwarded: &forwarded,
            recorded: &tracks,
        };
        let mut next = Wiring {
            captures: self.desired_captures(now, presentation, subscribers, &mixer),
            feeds: mixed.chain(forwarded).collect(),
            tables: self.slot_tables(&forwards),
            paused_upstreams: self.paused_upstreams(),
            recorders: self.desired_recorders(),
            recorder_feeds: self.recorder_feeds(now, recorded),
            tracks,
            forwards,
            mixer,
            pacing: BTreeMap::new(),
            reduced_levels: self.weak_links(),
        };
        next.pacing = self.desired_pacing(&next);
        next
    }

    fn desired_mix(
        &self,
        now: Duration,
        scene: &Scene,
        feeds: &BTreeMap<(ParticipantId, Downlink), Output>,
        recorded: &BTreeMap<(RecordingId, MediaKind), Output>,
    ) -> Mix {
        let used: BTreeSet<Output> = feeds.values().chain(recorded.values()).copied().collect();
        let lingering = self.lingering(now, &used);
        let outputs: BTreeSet<Output> = used.into_iter().chain(lingering.keys().copied()).collect();
        Mix {
            rates: self.desired_rates(outputs.iter(), feeds, recorded),
            fec: self.desired_fec(&outputs, feeds),
            lingering,
            names: self
                .participants
                .iter()
                .filter(|(_, participant)| !participant.is_viewer())
                .map(|(who, participant)| (*who, participant.name.clone()))
                .collect(),
            sources: self.desired_sources(now, scene),
            outputs,
            scene: scene.clone(),
            pressure: self.pressure,
        }
    }

    /// Forward error correction of each sound mix: on if the link of any listener needs it.
    fn desired_fec(
        &self,
        outputs: &BTreeSet<Output>,
        feeds: &BTreeMap<(ParticipantId, Downlink), Output>,
    ) -> BTreeMap<Output, Fec> {
        let sounds = outputs.iter().filter(|o| matches!(o, Output::Sound(_)));
        let mut fec: BTreeMap<_, _> = sounds.map(|output| (*output, Fec::Off)).collect();
        for ((who, slot), output) in feeds {
            if let (Downlink::Audio, Some(participant)) = (slot, self.participants.get(who)) {
                let most = fec.entry(*output).or_default();
                *most = participant.fec.fec().max(*most);
            }
        }
        fec
    }

    /// Encoders of the composite that nobody watches any more, and when each stops.
    fn lingering(&self, now: Duration, used: &BTreeSet<Output>) -> BTreeMap<Output, Duration> {
        let Mixing::Running(running) = &self.wired.mixer else {
            return BTreeMap::new();
        };
        let until = |output: &Output| {
            let known = running.lingering.get(output).copied();
            known.unwrap_or(now + RENDITION_LINGER)
        };
        running
            .outputs
            .iter()
            .filter(|output| matches!(output, Output::Video { .. }) && !used.contains(output))
            .filter(|output| !self.failed_outputs.contains_key(output))
            .map(|output| (*output, until(output)))
            .filter(|(_, until)| *until > now)
            .collect()
    }

    /// The encoding of the mixer that each slot for composite or mix should be fed.
    fn desired_mix_feeds(&self, now: Duration) -> BTreeMap<(ParticipantId, Downlink), Output> {
        let pictures = self.desired_renditions().into_iter();
        let mut feeds: BTreeMap<_, _> = pictures
            .map(|(who, output)| ((who, Downlink::Video), output))
            .collect();
        for (who, participant) in &self.participants {
            if participant.downlinks.mix_audio && participant.sound_path.uses(Route::Mix) {
                let own = participant.own_voice.unwrap_or(*who);
                let speaker = self.participants.get(&own);
                let without = match speaker.is_some_and(|speaker| speaker.has_own_mix(now)) {
                    true => MixMinus::Participant(own),
                    false => MixMinus::Nobody,
                };
                feeds.insert((*who, Downlink::Audio), Output::Sound(without));
            }
        }
        feeds
    }

    /// The uplinks that the mixer should decode: every microphone, and the pictures that have a
    /// tile.
    fn desired_sources(&self, now: Duration, scene: &Scene) -> BTreeMap<SourceId, Decoded> {
        let mut sources = BTreeMap::new();
        for (who, participant) in self.participants.iter().filter(|(_, p)| p.is_connected()) {
            for (role, uplink) in &participant.uplinks {
                let source = SourceId {
                    participant: *who,
                    role: *role,
                };
                let height = match role {
                    Role::Mic => Some(0),
                    _ => scene.tile_of(source).map(|rect| rect.h),
                };
                let layer = height.and_then(|h| self.mixed_layer(source, uplink, h, now));
                if let Some(layer) = layer.filter(|_| uplink.is_usable(now)) {
                    let decoded = Decoded {
                        layer,
                        tap: uplink.layers.tap(layer),
                        failures: uplink.failures,
                    };
                    sources.insert(source, decoded);
                }
            }
        }
        sources
    }

    /// The composite's tiles by layout, spotlight and presence.
    pub(crate) fn desired_scene(&self, now: Duration) -> Scene {
        let shown = self.tile_sources(now);
        let (pinned, speaker) = (self.pinned, self.dominant.who());
        let large = layout::large(self.layout, &shown, pinned, speaker);
        let rects = layout::tiles(self.settings.canvas, self.layout, shown.len(), large);
        let tiles = shown
            .iter()
            .zip(rects)
            .filter_map(|(source, rect)| {
                let participant = self.participants.get(&source.participant)?;
                let usable = participant
                    .uplinks
                    .get(&source.role)
                    .is_some_and(|uplink| uplink.is_usable(now));
                Some(Tile {
                    source: *source,
                    rect: rect?,
                    content: if usable {
                        Content::Picture
                    } else {
                        Content::Avatar
                    },
                    mark: match source.role {
                        Role::Camera => mark(participant),
                        _ => Mark::None,
                    },
                })
            })
            .collect();
        Scene { tiles }
    }

    /// The sources that have a tile: everybody present, and each shared screen.
    pub(crate) fn tile_sources(&self, now: Duration) -> Vec<SourceId> {
        let mut shown = Vec::new();
        for (who, participant) in self.participants.iter().filter(|(_, p)| p.is_present(now)) {
            let source = |role| SourceId {
                participant: *who,
                role,
            };
            shown.push(source(Role::Camera));
            let screen = participant.uplinks.get(&Role::Screen);
            if screen.is_some_and(|uplink| uplink.is_usable(now)) {
                shown.push(source(Role::Screen));
            }
        }
        shown
    }
}

/// What the tile of a participant says of their microphone.
fn mark(participant: &Participant) -> Mark {
    let mic = participant.uplinks.get(&Role::Mic);
    match mic.is_some_and(Uplink::is_muted) {
        true => Mark::Muted,
        false if participant.is_heard() => Mark::Speaking,
        false => Mark::None,
    }
}
