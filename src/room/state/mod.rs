//! The room as a pure state machine: `(now, Input)` in, `Effect`s out.
//!
//! It knows no tokio, no GStreamer and no clock; time is the caller's, as a [`Duration`] since
//! a moment of its choice that never goes back. The room's task carries the effects out and
//! turns what happens into inputs. After an effect that can hang there is always a deadline
//! here whose expiry evicts the peer at fault.

pub(crate) mod active_speakers;
pub(crate) mod bandwidth_allocation;
pub(crate) mod commands;
pub(crate) mod delivery_path;
pub(crate) mod desired;
pub(crate) mod dynacast;
pub(crate) mod forwards;
pub(crate) mod handover;
pub(crate) mod input;
pub(crate) mod layers;
pub(crate) mod link_use;
pub(crate) mod membership;
pub(crate) mod participant;
pub(crate) mod pressure;
pub(crate) mod recordings;
pub(crate) mod request;
pub(crate) mod rungs;
pub(crate) mod running_recording;
pub(crate) mod slot_allocation;
pub(crate) mod steps;
pub mod wiring;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use input::{Effect, Input, Lifetime, Settings};
pub use request::{Departure, Muter, Reach, Request, RequestId};

use self::layers::Media;
use self::participant::{Participant, Phase, Uplink};
use self::running_recording::RunningRecording;
use self::wiring::{Downlink, Mixing, Wiring};
use super::error::RoomError;
use crate::admission::Pressure;
use crate::id::SourceId;
use crate::id::{ParticipantId, Role};
use crate::layout::{DominantSpeaker, LayoutKind};
use crate::media::bwe::delay::Estimate;
use crate::media::bwe::ladder::Ladder;
use crate::media::mixer::{Output, Tile};
use crate::protocol::recording::RecordingId;
use crate::protocol::room::{RoomState, TileState};
use crate::topology::{Mode, Paths};

/// Pause before a failed encoder or mixer is started again.
const MIXER_RETRY: Duration = Duration::from_secs(1);

/// Most times the desired wiring is computed for one input. It depends on the current wiring, so
/// it is computed again until nothing changes.
const ROUNDS: usize = 8;

/// Whether the room still takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    Over,
}

/// The state of a room: participants, mode, layout, recordings and the media wiring. It changes by
/// [`State::handle`] only, which returns the [`Effect`]s to carry out.
#[derive(Debug)]
pub struct State {
    pub(crate) settings: Settings,
    life: Life,
    pub(crate) mode: Mode,
    pub(crate) pressure: Pressure,
    pub(crate) layout: LayoutKind,
    pub(crate) pinned: Option<ParticipantId>,
    pub(crate) participants: BTreeMap<ParticipantId, Participant>,
    pub(crate) last_ordinal: u32,
    pub(crate) dominant: DominantSpeaker,
    pub(crate) wired: Wiring,
    /// Slots that deliver their current feed, and since when.
    pub(crate) open: BTreeMap<(ParticipantId, Downlink), Duration>,
    /// Sources whose picture or sound is in the mix, and since when.
    pub(crate) mixed: BTreeMap<SourceId, Duration>,
    /// Running recordings.
    pub(crate) recordings: BTreeMap<RecordingId, RunningRecording>,
    /// Joins that wait for [`Input::Admitted`].
    knocking: BTreeMap<RequestId, Participant>,
    /// Who speaks by the audio levels in their packets. `None` while a mixer detects speakers, and
    /// until the first report after it.
    pub(crate) speaking: Option<BTreeSet<ParticipantId>>,
    /// The media paths in use, as last counted.
    pub(crate) counted: Paths,
    /// Failed encoders, and when each may be started again.
    pub(crate) failed_outputs: BTreeMap<Output, Duration>,
    /// When a mixer that failed may be started again.
    pub(crate) mixer_rests_until: Duration,
    pub(crate) published: Option<Arc<RoomState>>,
    /// When the last input was handled.
    pub(crate) last_input: Duration,
}

impl State {
    /// The state of an empty room.
    pub fn new(settings: Settings) -> Self {
        Self {
            life: Life::Open,
            mode: settings.mode,
            pressure: settings.pressure,
            layout: settings.layout,
            settings,
            pinned: None,
            participants: BTreeMap::new(),
            last_ordinal: 0,
            dominant: DominantSpeaker::default(),
            wired: Wiring::default(),
            open: BTreeMap::new(),
            mixed: BTreeMap::new(),
            recordings: BTreeMap::new(),
            knocking: BTreeMap::new(),
            speaking: None,
            counted: Paths::default(),
            failed_outputs: BTreeMap::new(),
            mixer_rests_until: Duration::ZERO,
            published: None,
            last_input: Duration::ZERO,
        }
    }

    /// Handles one input at `now`. Returns the effects, to be carried out in order.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Input::Loss(who, loss) = input
            && !self.lost(now, who, loss)
        {
            return effects;
        }
        self.last_input = now;
        if self.life == Life::Over {
            if let Some(request) = input.request() {
                effects.push(Effect::Settle(request, Err(RoomError::Closed)));
            }
            return effects;
        }
        self.take(now, input, &mut effects);
        self.evict_overdue(now, &mut effects);
        self.listen_to_packets(now);
        self.find_dominant_speaker(now);
        if self.is_unused() {
            self.recordings.clear();
        }
        self.rewire(now, &mut effects);
        self.publish(&mut effects);
        self.end_if_unused(&mut effects);
        effects
    }

    /// When [`Input::Tick`] is due, if time alone will change anything: later than `now`, or
    /// `now` itself if the moment has passed since the last input.
    pub fn next_deadline(&self, now: Duration) -> Option<Duration> {
        if self.life == Life::Over {
            return None;
        }
        // What came due since the last input must not be skipped: nobody has looked at it yet.
        let seen = self.last_input;
        let people = self
            .participants
            .values()
            .filter_map(|p| p.next_deadline(seen));
        let retries = self.failed_outputs.values().copied();
        people
            .chain(retries)
            .chain([self.mixer_rests_until])
            .chain(self.dominant.next_change())
            .chain(self.next_completion(seen))
            .chain(self.wired.reviews())
            .chain(self.recordings_due())
            .chain(self.wired.lingering())
            .filter(|at| *at > seen)
            .min()
            .map(|at| at.max(now))
    }

    /// The sizes and bitrates in which the composite can be encoded.
    pub fn ladder(&self) -> &Arc<Ladder> {
        &self.settings.ladder
    }

    /// The current mode of the room.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The state as clients and the REST API see it.
    pub fn published(&self) -> RoomState {
        let tile = |tile: &Tile| TileState {
            participant: tile.source.participant,
            role: tile.source.role,
            x: tile.rect.x,
            y: tile.rect.y,
            w: tile.rect.w,
            h: tile.rect.h,
        };
        RoomState {
            mode: self.mode,
            layout: self.layout,
            canvas: self.settings.canvas,
            pinned: self.pinned,
            participants: self
                .participants
                .iter()
                .map(|(id, p)| p.published(*id))
                .collect(),
            tiles: self
                .wired
                .scene()
                .map(|scene| scene.tiles.iter().map(tile).collect())
                .unwrap_or_default(),
            paths: self.paths(),
            recordings: self.published_recordings(),
        }
    }

    fn take(&mut self, now: Duration, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Join {
                request,
                name,
                reach,
                mode_override,
                limits,
                own_voice,
                takes_over,
            } => {
                let mut participant = Participant::new(name, reach, now);
                (participant.mode_override, participant.limits) = (mode_override, limits);
                participant.own_voice = own_voice;
                self.knock(request, participant, takes_over, effects);
            }
            Input::Admitted(request, outcome) => self.admitted(request, outcome, effects),
            Input::Asked(request, asked) => {
                let outcome = self.requested(now, asked, effects);
                effects.push(Effect::Settle(request, outcome));
            }
            Input::Leave(who, how) => self.leave(now, who, how, effects),
            Input::Close(reason) => self.close(reason, effects),
            Input::Answered {
                who,
                uplinks,
                downlinks,
            } => self.answered(who, uplinks, downlinks),
            Input::Connected(who) => {
                self.with(who, |participant| participant.phase = Phase::Connected)
            }
            Input::PeerLost(who, reason) => self.evict(who, reason, effects),
            Input::UplinkBegan(who, role, n) => {
                self.with_uplink(who, role, |uplink| uplink.begin(n, now));
            }
            Input::UplinkFlows(who, role, n) => {
                let media = Media::Flowing { since: now };
                self.with_uplink(who, role, |uplink| uplink.layers.set_media(n, media));
            }
            Input::UplinkSilent(who, role, n) => {
                let media = Media::Silent { since: now };
                self.with_uplink(who, role, |uplink| uplink.layers.set_media(n, media));
            }
            Input::UplinkSized(who, role, n, height) => {
                self.with_uplink(who, role, |uplink| uplink.layers.set_height(n, height));
            }
            Input::Heard(who, heard) => self.heard(who, heard, now),
            Input::Speaking(speaking) => self.speaking = Some(speaking),
            Input::SlotOpened(who, slot, feed) => self.slot_opened(now, (who, slot), feed),
            Input::SourceMixed(source) => self.source_mixed(now, source),
            Input::SourceFailed(source) => self.source_failed(now, source),
            Input::OutputFailed(output) => self.output_failed(now, output),
            Input::MixerFailed => self.mixer_failed(now),
            Input::Counted(paths) => self.counted = paths,
            Input::Estimated(who, estimate) => self.estimated(now, who, &estimate, effects),
            Input::Pressed(pressure) => self.pressure = pressure,
            Input::RecorderEnds(id) => drop(self.recordings.remove(&id)),
            // Noted already, and something follows from it.
            Input::Loss(..) | Input::Tick => {}
        }
    }

    /// Notes that the decoder of a source failed. A broken pipeline may report it more than once:
    /// only the first report counts.
    fn source_failed(&mut self, now: Duration, source: SourceId) {
        if self.wired.decodes(source) {
            self.with_uplink(source.participant, source.role, |uplink| uplink.fail(now));
        }
    }

    fn output_failed(&mut self, now: Duration, output: Output) {
        self.wired.forget_output(output);
        self.failed_outputs.insert(output, now + MIXER_RETRY);
    }

    fn mixer_failed(&mut self, now: Duration) {
        self.wired.forget_mixer();
        self.mixer_rests_until = now + MIXER_RETRY;
    }

    fn estimated(
        &mut self,
        now: Duration,
        who: ParticipantId,
        estimate: &Estimate,
        effects: &mut Vec<Effect>,
    ) {
        let demand = self.forward_demand(who, now);
        let participant = self.participants.get(&who);
        let audio = participant.map(|participant| self.min_sound_of(participant));
        let (Some(audio), Some(participant)) = (audio, self.participants.get_mut(&who)) else {
            return;
        };
        let ladder = &self.settings.ladder;
        let again = match demand {
            Some(demand) => participant.link.update_forwarded(now, estimate, &demand),
            None => participant.link.update(now, estimate, ladder, audio),
        };
        if again > 0 {
            effects.push(Effect::SendAgain(who, again));
        }
    }

    /// Notes the share of packets lost on the way to a participant. True if that turns forward
    /// error correction for them on or off. Mostly it does not, and the wiring need not be
    /// computed.
    fn lost(&mut self, now: Duration, who: ParticipantId, loss: Option<f32>) -> bool {
        let participant = self.participants.get_mut(&who);
        participant.is_some_and(|participant| {
            let before = participant.fec.fec();
            participant.fec.update(now, loss) != before
        })
    }

    /// Whether an estimate of a participant's link can change anything. If not, the caller need not
    /// make an input of it.
    pub fn cares(&self, who: ParticipantId, estimate: &Estimate) -> bool {
        let participant = self.participants.get(&who);
        participant.is_some_and(|participant| participant.link.cares(estimate))
    }

    fn with(&mut self, who: ParticipantId, change: impl FnOnce(&mut Participant)) {
        if let Some(participant) = self.participants.get_mut(&who) {
            change(participant);
        }
    }

    fn with_uplink(&mut self, who: ParticipantId, role: Role, change: impl FnOnce(&mut Uplink)) {
        self.with(who, |participant| {
            if let Some(uplink) = participant.uplinks.get_mut(&role) {
                change(uplink);
            }
        });
    }

    /// Brings the wiring to what the state asks for now, by [`Effect::Media`] steps.
    fn rewire(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.failed_outputs.retain(|_, until| *until > now);
        self.start_handovers(now);
        // A handover can be complete as soon as it is wired: there may be nothing to wait for. And
        // what a participant should get depends on what they have, and on what its sender is asked
        // for.
        let mut rounds = 0;
        loop {
            let was_painted = self.painted().is_some();
            let mut next = self.desired(now);
            if self.wired.mixer == Mixing::None && next.mixer != Mixing::None {
                // Who is heard decides who gets a slot.
                self.hand_over_to_mixer(now);
                next = self.desired(now);
            }
            let steps = self.wired.steps_to(&next);
            rounds += 1;
            let unsettled = !steps.is_empty() && rounds < ROUNDS;
            effects.extend(steps.into_iter().map(Effect::Media));
            self.forget_deliveries(&next);
            self.wired = next;
            // Neither must be skipped: both can change what should be.
            let upstreams_changed = self.update_upstreams(now);
            let completed = self.complete_handovers(now);
            // A mixer that has just been started for a recording may have nobody to wait for.
            let recordable = !self.recordings.is_empty() && !was_painted;
            let begins = recordable && self.painted().is_some();
            if !unsettled && !upstreams_changed && !completed && !begins {
                break;
            }
        }
    }

    fn publish(&mut self, effects: &mut Vec<Effect>) {
        let published = self.published();
        if self.published.as_deref() != Some(&published) {
            let published = Arc::new(published);
            self.published = Some(Arc::clone(&published));
            effects.push(Effect::Publish(published));
        }
    }

    fn is_unused(&self) -> bool {
        self.participants.is_empty()
            && self.knocking.is_empty()
            && self.settings.lifetime == Lifetime::WhileUsed
    }

    fn end_if_unused(&mut self, effects: &mut Vec<Effect>) {
        if self.is_unused() && self.life == Life::Open {
            self.life = Life::Over;
            effects.push(Effect::Closed);
        }
    }
}
