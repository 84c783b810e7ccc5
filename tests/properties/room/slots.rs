//! Who has whose forward slots: what must be so between one moment and the next. Whoever has a
//! slot keeps it; it is taken only for somebody who must be seen or heard, from somebody who
//! need not, who has had it for two seconds; and no slot is empty while somebody waits. Sound moves to
//! another slot only while it says nothing, for the pair of a camera and its microphone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tessera::codec::VideoCodec;
use tessera::id::SourceId;
use tessera::id::{Mid, ParticipantId, Role};
use tessera::room::state::wiring::{Downlink, Feed};

use super::model::{Model, Person};
use super::ways::{Kind, Way};
use super::world::{Peer, World};

/// Nobody loses a slot to somebody else before.
pub(crate) const HOLD: Duration = Duration::from_secs(2);

/// Nobody's sound moves sooner after they were heard.
const QUIET: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    source: SourceId,
    since: Duration,
}

/// Who has had which slot of whom, and since when.
pub(crate) type Holding = BTreeMap<(ParticipantId, Downlink), Held>;

/// How much somebody must be seen or heard; the greater, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    NeverSpoke,
    Spoke(Duration),
    Now,
}

/// What could be in somebody's slots of a kind, the first in rank first.
struct Candidates<'a> {
    model: &'a Model,
    all: Vec<SourceId>,
}

impl Candidates<'_> {
    fn claim(&self, source: SourceId) -> Claim {
        let person = &self.model.people[&source.participant];
        let pinned = self.model.pinned == Some(source.participant) && source.role == Role::Camera;
        // Whoever is muted has nothing to say, whatever was heard of them.
        if source.role == Role::Mic && !person.uplinks[&Role::Mic].is_live() {
            return Claim::NeverSpoke;
        }
        match person.spoke {
            _ if source.role == Role::Screen || pinned || person.is_speaking() => Claim::Now,
            Some(at) => Claim::Spoke(at),
            None => Claim::NeverSpoke,
        }
    }

    /// Greater is better, and no two are equal.
    fn rank(&self, source: SourceId) -> (Claim, bool, std::cmp::Reverse<ParticipantId>) {
        let SourceId { participant, role } = source;
        let order = std::cmp::Reverse(participant);
        (self.claim(source), role == Role::Screen, order)
    }

    /// Whether nothing has been heard of a microphone for a while.
    fn is_quiet(&self, source: SourceId, now: Duration) -> bool {
        match self.claim(source) {
            Claim::NeverSpoke => true,
            Claim::Spoke(at) => at + QUIET <= now,
            Claim::Now => false,
        }
    }

    fn codec(&self, source: SourceId) -> Option<VideoCodec> {
        self.model.people[&source.participant].uplinks[&source.role].codec
    }
}

/// Checks every slot, and what everybody was told of theirs; returns who has them.
pub(crate) fn check(world: &World) -> Holding {
    let mut holding = Holding::new();
    for (who, peer) in &world.peers {
        let person = &world.model.people[who];
        let forwards = Kind::BOTH.into_iter().any(|kind| person.has_forwards(kind));
        let Some(table) = &peer.table else {
            assert!(!(person.connected && forwards), "{who} was told nothing");
            assert!(forwarded(peer).next().is_none(), "{who} knows of nothing");
            continue;
        };
        assert_eq!(table.mode, world.model.told(person), "told to {who}");
        let slots: BTreeMap<&Mid, Downlink> = mids(person).collect();
        let told: BTreeSet<&Mid> = table.slots.iter().map(|slot| &slot.mid).collect();
        assert!(
            table.slots.len() == slots.len() && told.iter().eq(slots.keys()),
            "{who} is told of each slot once: {table:?}"
        );
        for entry in &table.slots {
            let source = entry.participant.zip(entry.role);
            assert_eq!(entry.participant.is_some(), source.is_some(), "{entry:?}");
            let Some((participant, role)) = source else {
                continue;
            };
            let slot = (*who, slots[&entry.mid]);
            let source = SourceId { participant, role };
            let before = had_anywhere(world, *who, source);
            let since = before.map_or(world.now, |held| held.since);
            holding.insert(slot, Held { source, since });
        }
        fed_as_told(world, *who, peer, &holding);
        for kind in Kind::BOTH {
            let candidates = candidates(&world.model, world.now, *who, kind);
            fair(world, *who, &slots_of(person, kind), &candidates, &holding);
            if kind == Kind::Sound {
                paired(world, *who, &candidates, &holding);
            }
            everybody_who_fits(world, *who, kind, peer);
        }
    }
    holding
}

/// What was known of a source in any of somebody's slots.
fn had_anywhere(world: &World, who: ParticipantId, source: SourceId) -> Option<Held> {
    let mut held = world.holding.iter();
    let found = held.find(|((owner, _), held)| *owner == who && held.source == source);
    found.map(|(_, held)| *held)
}

fn mids(person: &Person) -> impl Iterator<Item = (&Mid, Downlink)> {
    let audio = person.downlinks.forward_audio.iter();
    let video = person.downlinks.forward_video.iter().map(|(mid, _)| mid);
    let audio = audio.zip((0..).map(Downlink::ForwardAudio));
    audio.chain(video.zip((0..).map(Downlink::ForwardVideo)))
}

/// Somebody's forward slots of a kind, with the codec of each.
fn slots_of(person: &Person, kind: Kind) -> Vec<(Downlink, Option<VideoCodec>)> {
    let downlinks = &person.downlinks;
    match kind {
        Kind::Sound => (0..downlinks.forward_audio.len())
            .map(|n| (Downlink::ForwardAudio(n), None))
            .collect(),
        Kind::Picture => (0..)
            .zip(&downlinks.forward_video)
            .map(|(n, (_, codec))| (Downlink::ForwardVideo(n), Some(*codec)))
            .collect(),
    }
}

/// Whatever is forwarded to somebody.
fn forwarded(peer: &Peer) -> impl Iterator<Item = (Downlink, Feed)> {
    let fed = peer
        .slots
        .iter()
        .filter_map(|(slot, s)| Some((*slot, s.fed?)));
    fed.filter(|(slot, _)| Way::of(*slot) == Way::Forward)
}

/// The slots carry what their owner was told, from the newest tap, and nothing while it is muted.
fn fed_as_told(world: &World, who: ParticipantId, peer: &Peer, holding: &Holding) {
    for (slot, state) in &peer.slots {
        if Way::of(*slot) != Way::Forward {
            continue;
        }
        let held = holding.get(&(who, *slot)).and_then(|held| {
            let SourceId { participant, role } = held.source;
            let uplink = world.model.people.get(&participant)?.uplinks.get(&role)?;
            uplink.is_live().then_some((held.source, uplink))
        });
        let Some(Feed::Uplink { source, layer, tap }) = state.fed else {
            assert_eq!(state.fed, None, "{slot:?} of {who}");
            assert!(held.is_none(), "{held:?} for {slot:?} of {who}");
            continue;
        };
        let (expected, uplink) = held.expect("nobody to forward");
        assert_eq!(source, expected, "{slot:?} of {who}");
        let taps = &world.peers[&source.participant].taps;
        assert_eq!(taps.get(&(source.role, layer)), Some(&tap), "{source}");
        assert!(uplink.best().contains(&layer), "{layer} of {uplink:?}");
    }
}

/// Whatever could be in somebody's slots of a kind.
fn candidates(model: &Model, now: Duration, who: ParticipantId, kind: Kind) -> Candidates<'_> {
    let mut all = Vec::new();
    let others = model
        .people
        .iter()
        .filter(|(other, p)| **other != who && p.is_present(now));
    for (participant, person) in others.filter(|_| model.people[&who].uses(kind, Way::Forward)) {
        for (role, uplink) in &person.uplinks {
            let fits = match (kind, role) {
                // A muted microphone keeps its place, for the moment it is released.
                (Kind::Sound, Role::Mic) => uplink.began(),
                (Kind::Picture, Role::Camera | Role::Screen) => uplink.is_live(),
                _ => false,
            };
            all.extend(fits.then_some(SourceId {
                participant: *participant,
                role: *role,
            }));
        }
    }
    Candidates { model, all }
}

fn fair(
    world: &World,
    who: ParticipantId,
    slots: &[(Downlink, Option<VideoCodec>)],
    candidates: &Candidates<'_>,
    holding: &Holding,
) {
    let held = |slot: Downlink| holding.get(&(who, slot)).copied();
    let had = |slot: Downlink| world.holding.get(&(who, slot)).copied();
    let ripe = |held: Held| world.now >= held.since + HOLD;
    let inside: Vec<SourceId> = slots
        .iter()
        .filter_map(|(slot, _)| Some(held(*slot)?.source))
        .collect();
    let distinct: BTreeSet<SourceId> = inside.iter().copied().collect();
    assert_eq!(distinct.len(), inside.len(), "somebody twice for {who}");
    for (slot, codec) in slots {
        let fits = |source: SourceId| candidates.codec(source) == *codec || codec.is_none();
        let (old, new) = (had(*slot), held(*slot));
        if let Some(new) = new {
            let known = candidates.all.contains(&new.source) && fits(new.source);
            assert!(known, "{} in {slot:?} of {who}", new.source);
        }
        let waiting = candidates
            .all
            .iter()
            .filter(|s| fits(**s) && !distinct.contains(s));
        let waiting: Vec<SourceId> = waiting.copied().collect();
        assert!(
            new.is_some() || waiting.is_empty(),
            "{waiting:?} wait for {slot:?} of {who}, which is empty"
        );
        let urgent = waiting.iter().any(|s| candidates.claim(*s) == Claim::Now);
        if let Some(new) = new.filter(|new| urgent && ripe(*new)) {
            let claim = candidates.claim(new.source);
            assert_eq!(claim, Claim::Now, "{} need not be in {slot:?}", new.source);
        }
        let Some(new) = new.filter(|new| old.is_none_or(|old| old.source != new.source)) else {
            continue;
        };
        let best = waiting
            .iter()
            .all(|s| candidates.rank(*s) < candidates.rank(new.source));
        let was_here = had_anywhere(world, who, new.source).is_some();
        if was_here {
            assert_eq!(*codec, None, "a picture moves: {} of {who}", new.source);
            let is_quiet = candidates.is_quiet(new.source, world.now);
            assert!(is_quiet, "{} of {who} is cut off", new.source);
        }
        assert!(
            best || was_here,
            "{} in {slot:?} of {who} before {waiting:?}",
            new.source
        );
        if let Some(old) =
            old.filter(|old| candidates.all.contains(&old.source) && fits(old.source))
        {
            if distinct.contains(&old.source) {
                makes_room(world, who, *slot, (&old, &new), candidates, holding);
                continue;
            }
            displaced(candidates, &old, &new, ripe(old));
            let stayed = slots.iter().filter(|(_, c)| c == codec);
            let stayed = stayed.filter_map(|(s, _)| had(*s).filter(|had| held(*s) == Some(*had)));
            for other in stayed.filter(|other| ripe(*other)) {
                let order = candidates.claim(old.source) <= candidates.claim(other.source);
                assert!(order, "{} goes before {}", old.source, other.source);
            }
        }
    }
}

/// Whether a microphone stands beside its camera in that slot.
fn is_paired(who: ParticipantId, slot: Downlink, source: SourceId, holding: &Holding) -> bool {
    let Downlink::ForwardAudio(n) = slot else {
        return false;
    };
    let beside = holding.get(&(who, Downlink::ForwardVideo(n)));
    let camera = SourceId {
        role: Role::Camera,
        ..source
    };
    beside.is_some_and(|held| held.source == camera)
}

/// Somebody's slot has lost `old` to another of their slots, and got `new`: because one of the two is
/// beside its camera now.
fn makes_room(
    world: &World,
    who: ParticipantId,
    slot: Downlink,
    (old, new): (&Held, &Held),
    candidates: &Candidates<'_>,
    holding: &Holding,
) {
    let mut own = holding.iter().filter(|((owner, _), _)| *owner == who);
    let place = own.find(|(_, held)| held.source == old.source);
    let old_is_paired = place.is_some_and(|((_, to), _)| is_paired(who, *to, old.source, holding));
    assert!(
        old_is_paired || is_paired(who, slot, new.source, holding),
        "{old:?} of {who} makes room for {new:?} for nothing"
    );
    let is_quiet = candidates.is_quiet(old.source, world.now);
    assert!(is_quiet, "{} of {who} is cut off", old.source);
}

/// No microphone that is quiet is elsewhere than beside its camera, if it could be there.
fn paired(world: &World, who: ParticipantId, candidates: &Candidates<'_>, holding: &Holding) {
    for ((_, slot), held) in holding.iter().filter(|((owner, _), _)| *owner == who) {
        let Downlink::ForwardVideo(n) = *slot else {
            continue;
        };
        let mic = SourceId {
            role: Role::Mic,
            ..held.source
        };
        let own = || holding.iter().filter(|((owner, _), _)| *owner == who);
        let has_slot = own().any(|(_, held)| held.source == mic);
        let place = Downlink::ForwardAudio(n);
        let has_place = n < world.model.people[&who].downlinks.forward_audio.len();
        if held.source.role != Role::Camera || !has_slot || !has_place {
            continue;
        }
        let quiet = |source| candidates.is_quiet(source, world.now);
        let there = holding.get(&(who, place)).map(|held| held.source);
        let is_kept = there.is_some_and(|source| !quiet(source));
        assert!(
            there == Some(mic) || !quiet(mic) || is_kept,
            "{mic} of {who} could be beside its camera, where {there:?} is"
        );
    }
}

fn displaced(candidates: &Candidates<'_>, old: &Held, new: &Held, ripe: bool) {
    assert!(ripe, "{old:?} is displaced by {new:?} too early");
    assert!(
        candidates.claim(new.source) == Claim::Now && candidates.claim(old.source) != Claim::Now,
        "{old:?} is displaced by {new:?} for nothing"
    );
}

/// Somebody whom forwarding serves, with slots enough, gets everything that is live of
/// everybody else who is here, once.
fn everybody_who_fits(world: &World, who: ParticipantId, kind: Kind, peer: &Peer) {
    let (model, now) = (&world.model, world.now);
    let course = model.people[&who].courses[&kind];
    if course.by != Some(Way::Forward) || !model.people[&who].connected {
        return;
    }
    let roles: &[Role] = match kind {
        Kind::Sound => &[Role::Mic],
        Kind::Picture => &[Role::Camera, Role::Screen],
    };
    let slots = slots_of(&model.people[&who], kind);
    let Some((_, codec)) = slots
        .first()
        .filter(|(_, c)| slots.iter().all(|(_, d)| c == d))
    else {
        return;
    };
    let mut wanted = BTreeSet::new();
    let mut muted = 0;
    for (participant, person) in model.people.iter().filter(|(other, _)| **other != who) {
        for role in roles.iter().filter(|_| person.is_present(now)) {
            let source = SourceId {
                participant: *participant,
                role: *role,
            };
            match person.uplinks.get(role) {
                Some(uplink) if codec.is_some() && uplink.codec != *codec => {}
                Some(uplink) if uplink.is_live() => _ = wanted.insert(source),
                Some(uplink) if uplink.began() && *role == Role::Mic => muted += 1,
                _ => {}
            }
        }
    }
    let fed: BTreeSet<SourceId> = forwarded(peer)
        .filter(|(slot, _)| Kind::of(*slot) == kind)
        .filter_map(|(_, feed)| match feed {
            Feed::Uplink { source, .. } => Some(source),
            Feed::Output(_) => None,
        })
        .collect();
    if wanted.len() + muted <= slots.len() {
        assert_eq!(fed, wanted, "forwarded to {who}, who has slots for all");
    }
    assert!(fed.is_subset(&wanted), "{fed:?} of {wanted:?} to {who}");
}
