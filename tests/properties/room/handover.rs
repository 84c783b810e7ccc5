//! No change of way leaves a hole, said without regard to how a change goes: what came by a way
//! goes on coming by it until what is wanted instead is there, or its time is up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tessera::id::{ParticipantId, Role};
use tessera::media::mixer::{MixMinus, Output};
use tessera::room::Request;
use tessera::room::state::Input;
use tessera::room::state::wiring::Downlink;
use tessera::topology::Mode;

use super::model::{Model, Person};
use super::ways::{Facts, Kind, LIMIT, Way};
use super::world::{Slot, World};

/// Which kind comes to whom by which way.
pub(crate) type Ways = BTreeSet<(ParticipantId, Kind, WayOfServer)>;

/// A way that the server serves by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WayOfServer {
    Mix,
    Forward,
}

impl WayOfServer {
    fn is(self, way: Way) -> bool {
        match self {
            Self::Mix => way == Way::Mix,
            Self::Forward => way == Way::Forward,
        }
    }
}

/// What somebody wants, and since when; and before that.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    way: Way,
    since: Duration,
    before: Option<(Way, Duration)>,
}

impl Wanted {
    /// Whether a way was wanted for a moment only, and may not have come.
    fn was_given_up(&self, way: WayOfServer, now: Duration) -> bool {
        let short = |(before, since)| way.is(before) && now < since + LIMIT;
        self.since == now && self.before.is_some_and(short)
    }
}

/// What everybody wants.
#[derive(Debug, Default)]
pub(crate) struct Handovers {
    wanted: BTreeMap<(ParticipantId, Kind), Wanted>,
    /// When somebody last wanted the mix.
    mix_wanted: Option<Duration>,
}

impl Handovers {
    pub(crate) fn forget(&mut self, who: ParticipantId) {
        self.wanted.retain(|(other, _), _| *other != who);
    }
}

fn way(slot: Downlink) -> WayOfServer {
    match Way::of(slot) {
        Way::Forward => WayOfServer::Forward,
        _ => WayOfServer::Mix,
    }
}

/// What comes to whom by which way, unless time alone may end it now.
pub(crate) fn delivering(world: &World) -> Ways {
    let due = world.state.next_deadline(world.now);
    if due.is_some_and(|at| at <= world.now) {
        return Ways::new();
    }
    ways(world, |slot| slot.opened.is_some())
}

fn ways(world: &World, which: impl Fn(&Slot) -> bool) -> Ways {
    let mut ways = Ways::new();
    for (who, peer) in &world.peers {
        let which = peer.slots.iter().filter(|(_, state)| which(state));
        ways.extend(which.map(|(slot, _)| (*who, Kind::of(*slot), way(*slot))));
    }
    ways
}

pub(crate) fn check(world: &mut World, input: &Input, before: &Ways) {
    note(world);
    mixer_is_needed(world);
    if !world.over {
        nobody_is_left_out(world);
        // Whatever else happens can end what somebody got.
        let calm = matches!(
            input,
            Input::Asked(_, Request::Mode(_) | Request::View(..) | Request::Mesh(..))
                | Input::SlotOpened(..)
                | Input::SourceMixed(..)
                | Input::Counted(..)
                | Input::Connected(..)
                | Input::UplinkBegan(..)
        );
        if calm {
            nothing_is_cut(world, before);
        }
    }
}

fn note(world: &mut World) {
    let (model, now) = (&world.model, world.now);
    let mut mix = false;
    for (who, person) in model.people.iter().filter(|(_, p)| p.connected) {
        for kind in Kind::BOTH {
            let way = model.wanted(person, kind);
            mix |= way == Way::Mix && person.has_mix(kind);
            let known = world.handovers.wanted.get(&(*who, kind)).copied();
            if known.is_none_or(|known| known.way != way) {
                let wanted = Wanted {
                    way,
                    since: now,
                    before: known.map(|known| (known.way, known.since)),
                };
                world.handovers.wanted.insert((*who, kind), wanted);
            }
        }
    }
    if mix || model.mode == Mode::P2p {
        world.handovers.mix_wanted = Some(now);
    }
}

/// A mixer is there only for those who want it, and for a moment after, and for recordings.
fn mixer_is_needed(world: &World) {
    if world.mixer.is_some() && !world.model.is_mix_recorded() {
        let last = world.handovers.mix_wanted.expect("somebody wants the mix");
        let since = world.handovers.wanted.values().map(|wanted| wanted.since);
        let since = since.max().unwrap_or_default().max(last);
        assert!(world.now < since + LIMIT, "a mixer for nobody");
    }
}

/// Whoever can get something of what they want gets something.
fn nobody_is_left_out(world: &World) {
    let (model, now) = (&world.model, world.now);
    let fed = ways(world, |slot| slot.fed.is_some());
    for (who, person) in model.people.iter().filter(|(_, p)| p.connected) {
        for kind in Kind::BOTH {
            let has = |way| fed.contains(&(*who, kind, way));
            let there = match model.wanted(person, kind) {
                Way::Mesh => true,
                Way::Mix => has(WayOfServer::Mix) || !can_be_mixed(model, now, *who, kind),
                Way::Forward => {
                    has(WayOfServer::Forward) || !can_be_forwarded(model, now, *who, kind)
                }
            };
            assert!(there, "no {kind:?} for {who}");
        }
    }
}

fn can_be_mixed(model: &Model, now: Duration, who: ParticipantId, kind: Kind) -> bool {
    let person = &model.people[&who];
    let outputs = match kind {
        Kind::Picture => {
            let codec = person.downlinks.mix_video;
            codec.map_or_else(Vec::new, |codec| model.renditions(codec))
        }
        Kind::Sound => {
            let own = MixMinus::Participant(person.own_voice.unwrap_or(who));
            [MixMinus::Nobody, own].map(Output::Sound).into()
        }
    };
    let failed = |output: &Output| model.has_failed(*output, now);
    person.has_mix(kind) && !outputs.iter().any(failed)
}

fn can_be_forwarded(model: &Model, now: Duration, who: ParticipantId, kind: Kind) -> bool {
    let downlinks = &model.people[&who].downlinks;
    let others = model.people.iter().filter(|(other, _)| **other != who);
    let mut live = others
        .filter(|(_, p)| p.is_present(now))
        .flat_map(|(_, p)| &p.uplinks)
        .filter(|(_, uplink)| uplink.is_live());
    match kind {
        // More microphones than slots: those that are muted may have them all.
        Kind::Sound => {
            let began = |p: &&Person| p.uplinks.get(&Role::Mic).is_some_and(|mic| mic.began());
            let mics = model.people.values().filter(began).count();
            mics <= downlinks.forward_audio.len() && live.any(|(role, _)| *role == Role::Mic)
        }
        Kind::Picture => live.any(|(role, uplink)| {
            let codecs = downlinks
                .forward_video
                .iter()
                .map(|(_, codec)| Some(*codec));
            *role != Role::Mic && codecs.into_iter().any(|c| c == uplink.codec)
        }),
    }
}

/// What came by a way goes on coming, or what is wanted instead is there, or its time is up.
fn nothing_is_cut(world: &World, before: &Ways) {
    let fed = ways(world, |slot| slot.fed.is_some());
    for (who, kind, way) in before.difference(&fed) {
        let Some(wanted) = world.handovers.wanted.get(&(*who, *kind)) else {
            continue;
        };
        let deadline = Model::deadline(wanted.way, *kind, wanted.since);
        // What was wanted for a moment may be given up for what has been there before.
        let mut others = fed.iter();
        let kept = others.any(|(other, k, way)| (other, k) == (who, kind) && !way.is(wanted.way))
            || wanted.was_given_up(*way, world.now);
        let late = deadline.is_some_and(|at| world.now >= at);
        let facts = Facts {
            peers: &world.peers,
            mixer: world.mixer.as_ref(),
        };
        let there = world.model.is_there(world.now, *who, *kind, facts);
        assert!(late || there || kept, "{kind:?} of {who} by {way:?} is cut");
    }
}
