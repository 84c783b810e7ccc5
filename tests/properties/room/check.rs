//! What must be so after every input, whatever came before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tessera::id::SourceId;
use tessera::id::{ParticipantId, Role};
use tessera::layout::{self, LayoutKind, MAX_BESIDE_SCREEN, MAX_GRID, MAX_STRIP, Rect, Size};
use tessera::media::bwe::budget::Budget;
use tessera::media::bwe::ladder::Pace;
use tessera::media::mixer::{Content, Mark, Output, Tile};
use tessera::protocol::LayerCapture;
use tessera::protocol::recording::RecordingId;
use tessera::protocol::room::{RoomState, TileState};
use tessera::room::state::wiring::{Downlink, Feed, LevelRate, TrackFeed};
use tessera::room::state::{Effect, Input, State};
use tessera::room::{Request, RoomError};

use super::model::{Model, Outcome, Person, WORDS};
use super::ways::Way;
use super::world::{Mixer, Peer, World};

/// Requests are settled and people come and go as expected, and not otherwise.
pub(crate) fn outcome(expected: &Outcome, effects: &[Effect], input: &Input) {
    let mut seen = Outcome::default();
    let mut stopped = Vec::new();
    let mut told = 0;
    for effect in effects {
        match effect {
            Effect::Settle(request, answer) => seen.settled.push((*request, answer.clone())),
            Effect::StartPeer(request, who) => seen.started.push((*request, *who)),
            Effect::Bye(who, reason) => seen.gone.push((*who, *reason)),
            Effect::StopPeer(who) => stopped.push(*who),
            Effect::Closed => {
                assert!(!seen.closed, "ends twice");
                seen.closed = true;
            }
            Effect::TellSignal(..) => told += 1,
            Effect::Admit(request, mode) => seen.asked.push((*request, *mode)),
            _ => {}
        }
    }
    for (_, answer) in &mut seen.settled {
        // The words are for people.
        if let Err(RoomError::ModeUnavailable(_, words)) = answer {
            *words = WORDS;
        }
    }
    assert_eq!(seen, *expected, "after {input:?}");
    let gone: Vec<ParticipantId> = seen.gone.iter().map(|(who, _)| *who).collect();
    assert_eq!(stopped, gone, "peers and goodbyes");
    let passed_on = matches!(input, Input::Asked(_, Request::Signal { .. }))
        && seen.settled.iter().all(|(_, answer)| answer.is_ok());
    assert_eq!(told, usize::from(passed_on), "messages passed on");
}

/// The view is published exactly when it has changed.
pub(crate) fn publication(
    before: Option<&Arc<RoomState>>,
    state: &State,
    effects: &[Effect],
    was_over: bool,
) {
    let published: Vec<&RoomState> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Publish(view) => Some(&**view),
            _ => None,
        })
        .collect();
    let view = state.published();
    let changed = !was_over && before.is_none_or(|before| **before != view);
    assert_eq!(published, Vec::from_iter(changed.then_some(&view)));
}

/// How long a rendition outlives its last viewer.
const LINGER: Duration = Duration::from_secs(5);

pub(crate) fn everything(world: &World) {
    deadline(world);
    if world.over {
        assert!(world.mixer.is_none() && world.peers.is_empty());
        return;
    }
    let (model, now) = (&world.model, world.now);
    assert!(world.peers.keys().eq(model.people.keys()), "who is here");
    assert!(model.people.len() <= model.settings.max_participants);
    view(model, &world.state.published(), world.mixer.as_ref());
    assert_eq!(world.mixer.is_some(), model.wants_mixer(now), "a mixer");
    feeds(world);
    recorders(world);
    captures(world);
    links(world);
    if let Some(mixer) = &world.mixer {
        tiles_stand_well(model.settings.canvas, &mixer.scene.tiles);
        scene(model, now, &mixer.scene.tiles);
        sources(world, mixer);
        assert_eq!(mixer.pressure, model.pressure, "what the mixer saves on");
        let named = model.people.iter().filter(|(_, p)| !p.uplinks.is_empty());
        let names: BTreeMap<_, _> = named.map(|(who, p)| (*who, p.name.clone())).collect();
        assert_eq!(mixer.names, names, "names");
        mix_fec(world, mixer);
    }
}

/// The next deadline is to come, and stays the next one until it has been acted on.
fn deadline(world: &World) {
    let now = world.now;
    let Some(at) = world.state.next_deadline(now) else {
        return;
    };
    assert!(!world.over, "nothing is due when all is over");
    assert!(at > now, "due at {at:?}, which is not after {now:?}");
    let between = now + (at - now) / 2;
    assert_eq!(world.state.next_deadline(between), Some(at));
    let late = at + Duration::from_millis(1);
    assert_eq!(world.state.next_deadline(late), Some(late), "overdue");
}

fn view(model: &Model, view: &RoomState, mixer: Option<&Mixer>) {
    let people = model.people.iter().map(|(who, person)| person.view(*who));
    assert_eq!(view.participants, people.collect::<Vec<_>>());
    assert_eq!((view.pinned, view.layout), (model.pinned, model.layout));
    assert_eq!(view.mode, model.mode);
    assert_eq!(view.paths, model.paths(), "paths");
    let tile = |tile: &Tile| TileState {
        participant: tile.source.participant,
        role: tile.source.role,
        x: tile.rect.x,
        y: tile.rect.y,
        w: tile.rect.w,
        h: tile.rect.h,
    };
    let scene: Option<Vec<TileState>> =
        mixer.map(|mixer| mixer.scene.tiles.iter().map(tile).collect());
    assert_eq!(
        view.tiles,
        scene.unwrap_or_default(),
        "tiles as they are drawn"
    );
}

/// Every slot for the mix is fed by what it should be, nothing is encoded that feeds nobody, and
/// whoever sends knows whether they should.
fn feeds(world: &World) {
    let mut used = BTreeSet::new();
    for (who, peer) in &world.peers {
        for (slot, state) in peer.slots.iter().filter(|(s, _)| Way::of(**s) == Way::Mix) {
            let expected = world.model.mix_feed(world.now, *who, *slot);
            let as_good = match (state.fed, expected) {
                (Some(fed), Some(wanted)) => world.model.will_do(world.now, *who, fed, wanted),
                _ => false,
            };
            let right = as_good || state.fed == expected.map(Feed::Output);
            assert!(right, "{slot:?} of {who}: {:?} for {expected:?}", state.fed);
            used.extend(state.fed.and_then(|feed| match feed {
                Feed::Output(output) => Some(output),
                Feed::Uplink { .. } => None,
            }));
        }
        let wanted = !world.model.people[who].upstream_paused;
        assert_eq!(peer.wanted, wanted, "what {who} was told to send");
    }
    used.extend(world.recorded());
    let running: BTreeSet<Output> = world.mixer.iter().flat_map(|m| m.outputs.clone()).collect();
    let idle: Vec<&Output> = running.difference(&used).collect();
    assert!(running.is_superset(&used), "{used:?} of {running:?}");
    for output in idle {
        let video = matches!(output, Output::Video { .. });
        let left = world.unwatched.get(output);
        let lingers = left.is_some_and(|since| world.now < *since + LINGER);
        assert!(video && lingers, "{output:?} feeds nobody");
    }
}

/// Each mix is protected as the worst link among its listeners needs it.
fn mix_fec(world: &World, mixer: &Mixer) {
    for output in mixer
        .outputs
        .iter()
        .filter(|o| matches!(o, Output::Sound(_)))
    {
        let fed = Some(Feed::Output(*output));
        let hears = |peer: &Peer| {
            peer.slots
                .get(&Downlink::Audio)
                .is_some_and(|s| s.fed == fed)
        };
        let listeners = world.peers.iter().filter(|(_, peer)| hears(peer));
        let needed = listeners.map(|(who, _)| world.model.people[who].fec.fec());
        let told = mixer.fec.get(output).copied().unwrap_or_default();
        assert_eq!(told, needed.max().unwrap_or_default(), "{output:?}");
    }
}

/// A link below this is weak, bit/s.
const WEAK: f64 = 180_000.0;
/// A picture that moves is held no longer than this for the sake of the pace.
const HELD: Duration = Duration::from_secs(2);

/// Who is on a limited link is sent the composite at a pace, and told of levels less often if it is
/// a weak one; nobody else is.
fn links(world: &World) {
    for (who, peer) in &world.peers {
        let budget = world.state.budget_of(*who);
        let known = world.model.people[who].estimated;
        assert!(known || budget == Budget::Free, "nothing is known of {who}");
        let reduced = matches!(budget, Budget::Limited(bits) if bits < WEAK);
        assert_eq!(
            peer.levels == LevelRate::Reduced,
            reduced,
            "levels of {who}"
        );
        let slot = peer.slots.get(&Downlink::Video);
        let limited = slot.is_some() && budget != Budget::Free;
        assert_eq!(peer.pacing.is_some(), limited, "the pace of {who}");
        let Some(pacing) = peer.pacing else {
            continue;
        };
        let ladder = &world.model.settings.ladder;
        let still = match slot.and_then(|slot| slot.fed) {
            Some(Feed::Output(Output::Video { rung, .. })) => {
                ladder.spec(rung).and_then(|spec| match spec.pace {
                    Pace::Still(every) => Some(every),
                    Pace::Fps(_) => None,
                })
            }
            _ => None,
        };
        let within = still.map_or(HELD, |every| every * 4 / 5);
        assert_eq!(pacing.within, within, "{pacing:?} of {who}");
        assert!(pacing.rate > 0 || still.is_some(), "{who} is sent nothing");
    }
}

/// How long a recording's picture waits for everybody to be in it.
const COMPLETE: Duration = Duration::from_millis(1500);

/// Whatever is to be recorded is, and nothing else: from what works, the sound at once and the
/// picture soon.
fn recorders(world: &World) {
    let (model, now) = (&world.model, world.now);
    assert!(world.recorders.keys().eq(model.recordings.keys()));
    tracks(world);
    for (id, [picture, sound]) in &world.recorders {
        let [wanted, full] = model.recorded(now, id);
        assert_eq!(*sound, full, "sound of {id}");
        let due = now >= model.recordings[id].1 + COMPLETE;
        let waits = picture.is_none() && !due;
        assert!(
            waits || *picture == wanted,
            "{picture:?} of {id} for {wanted:?}"
        );
    }
    let shown = world.state.published().recordings;
    let shown = shown.iter().map(|one| (&one.id, one.kind, one.format));
    let expected = model
        .recordings
        .iter()
        .map(|(id, (subject, _))| (id, subject.kind(), subject.format()));
    assert!(shown.eq(expected), "everybody sees what is recorded");
}

/// Recordings of tracks have every uplink there is, from the newest tap of an encoding that flows,
/// and what is muted is not written.
fn tracks(world: &World) {
    for id in world.model.recordings.keys() {
        let of_it = world.tracks.iter().filter(|((of, _), _)| of == id);
        let fed: BTreeMap<_, _> = of_it.map(|((_, source), feed)| (*source, *feed)).collect();
        let tracked = |(source, feed): (&SourceId, &TrackFeed)| (*source, feed.tracked);
        let got: BTreeMap<_, _> = fed.iter().map(tracked).collect();
        assert_eq!(got, world.model.tracked(id), "tracks of {id}");
        for (source, feed) in fed {
            let taps = &world.peers[&source.participant].taps;
            let newest = taps.get(&(source.role, feed.layer));
            assert_eq!(newest, Some(&feed.tap), "the newest tap of {source}");
            let best = world.model.people[&source.participant].uplinks[&source.role].best();
            assert!(
                best.contains(&feed.layer),
                "{feed:?} of {source}, not of {best:?}"
            );
        }
    }
    let known = |(id, _): &(RecordingId, SourceId)| world.recorders.contains_key(id);
    assert!(world.tracks.keys().all(known), "tracks of what has ended");
}

fn tiles_stand_well(canvas: Size, tiles: &[Tile]) {
    let inside = |r: Rect| r.x + r.w <= canvas.width && r.y + r.h <= canvas.height;
    let apart = |a: Rect, b: Rect| {
        a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
    };
    for (i, tile) in tiles.iter().enumerate() {
        let rect = tile.rect;
        assert!(inside(rect) && rect.w >= 2 && rect.h >= 2, "{tile:?}");
        let rest = &tiles[i + 1..];
        assert!(
            rest.iter().all(|other| apart(rect, other.rect)),
            "{tiles:?} overlap"
        );
        assert!(
            rest.iter().all(|other| other.source != tile.source),
            "{tile:?} twice"
        );
    }
}

fn scene(model: &Model, now: Duration, tiles: &[Tile]) {
    let candidates = model.candidates(now);
    let star = model.star(&candidates);
    let most = match (model.layout, star) {
        (LayoutKind::Grid, None) => MAX_GRID,
        (LayoutKind::Grid, Some(_)) => MAX_BESIDE_SCREEN,
        (LayoutKind::Spotlight, _) => MAX_STRIP,
    };
    let others = candidates.iter().filter(|source| Some(**source) != star);
    let others: Vec<SourceId> = others.take(most).copied().collect();
    let fits = |source: &&SourceId| Some(**source) == star || others.contains(source);
    let shown: Vec<SourceId> = candidates.iter().filter(fits).copied().collect();
    let sources: Vec<SourceId> = tiles.iter().map(|tile| tile.source).collect();
    assert_eq!(sources, shown, "who is on the canvas");
    let area = |tile: &Tile| u64::from(tile.rect.w) * u64::from(tile.rect.h);
    for tile in tiles {
        let SourceId { participant, role } = tile.source;
        let person = &model.people[&participant];
        let picture = tile.content == Content::Picture;
        assert_eq!(
            picture,
            person.is_usable(role, now),
            "content of {}",
            tile.source
        );
        let mark = match person.uplinks.get(&Role::Mic) {
            _ if role != Role::Camera => Mark::None,
            Some(mic) if mic.is_muted() => Mark::Muted,
            _ if person.is_speaking() => Mark::Speaking,
            _ => Mark::None,
        };
        assert_eq!(tile.mark, mark, "mark of {}", tile.source);
        if star.is_some() && Some(tile.source) != star {
            let large = tiles.iter().find(|t| Some(t.source) == star);
            assert!(
                large.is_some_and(|large| area(large) > area(tile)),
                "the large tile"
            );
        }
    }
}

/// Every usable microphone is decoded, every picture with a tile, from the newest tap, and
/// nothing else.
fn sources(world: &World, mixer: &Mixer) {
    let mut wanted = BTreeSet::new();
    for (who, person) in world.model.people.iter().filter(|(_, p)| p.connected) {
        for role in person.uplinks.keys() {
            let source = SourceId {
                participant: *who,
                role: *role,
            };
            let seen = mixer.scene.tiles.iter().any(|tile| tile.source == source);
            if person.is_usable(*role, world.now) && (*role == Role::Mic || seen) {
                wanted.insert(source);
            }
        }
    }
    assert!(
        mixer.sources.keys().eq(&wanted),
        "{:?} for {wanted:?}",
        mixer.sources
    );
    for (source, decoder) in &mixer.sources {
        let tap = world.peers[&source.participant].taps[&(source.role, decoder.layer)];
        assert_eq!(decoder.tap, tap, "{source} is decoded from an old tap");
        let uplink = &world.model.people[&source.participant].uplinks[&source.role];
        let best = uplink.best().contains(&decoder.layer);
        assert!(best, "{} of {uplink:?} is decoded", decoder.layer);
        assert!(
            !decoder.dead || world.is_failing(*source),
            "{source} is dead"
        );
        assert!(
            decoder.told || source.role == Role::Mic,
            "{source} knows no size"
        );
    }
}

/// Everybody who would be on the canvas sends at the size of their tile, mixer or not.
fn captures(world: &World) {
    let (model, now) = (&world.model, world.now);
    let candidates = model.candidates(now);
    let star = model.star(&candidates);
    let star = candidates.iter().position(|source| Some(*source) == star);
    let canvas = model.settings.canvas;
    let rects = layout::tiles(canvas, model.layout, candidates.len(), star);
    let tiles = candidates.iter().zip(rects);
    for (source, rect) in tiles.filter(|(source, _)| source.role == Role::Camera) {
        let Some(rect) = rect else {
            continue;
        };
        let capture = world.peers[&source.participant]
            .capture
            .clone()
            .expect("a size");
        let size = (capture.width, capture.height);
        assert_eq!(size, (rect.w, rect.h), "size of {source}");
        assert_eq!(capture.fps, model.fps());
        assert!(capture.role == Role::Camera && capture.bitrate > 0);
    }
    for (who, person) in model.people.iter().filter(|(_, p)| p.is_present(now)) {
        layers(world, *who, person);
    }
}

/// A camera with several encodings is asked for those that anybody gets, at least one, of sizes
/// that grow; of one that nobody gets only if somebody is to be moved to it.
fn layers(world: &World, who: ParticipantId, person: &Person) {
    let Some(camera) = person.uplinks.get(&Role::Camera) else {
        return;
    };
    let capture = world.peers[&who].capture.as_ref();
    if camera.rids.is_empty() {
        assert!(capture.is_none_or(|capture| capture.layers.is_empty()));
        return;
    }
    let asked = &capture.expect("told what to send").layers;
    assert!(!asked.is_empty(), "{who} is to send nothing");
    let place = |rid| camera.rids.iter().position(|known| known == rid);
    let places: Vec<usize> = asked
        .iter()
        .map(|one| place(&one.rid).expect("theirs"))
        .collect();
    let canvas = world.model.settings.canvas;
    for (n, pair) in places.windows(2).enumerate() {
        assert!(pair[0] < pair[1], "{asked:?}");
        assert!(asked[n].height < asked[n + 1].height, "{asked:?}");
    }
    let fits = |one: &LayerCapture| one.width <= canvas.width && one.height <= canvas.height;
    assert!(asked.iter().all(fits), "{asked:?} on {canvas:?}");
    let source = SourceId {
        participant: who,
        role: Role::Camera,
    };
    let decoder = world.mixer.as_ref().and_then(|m| m.sources.get(&source));
    let slots = world.peers.values().flat_map(|peer| peer.slots.values());
    let fed = slots.filter_map(|slot| match slot.fed {
        Some(Feed::Uplink {
            source: fed, layer, ..
        }) if fed == source => Some(layer),
        _ => None,
    });
    let recorded = world.tracks.iter().filter(|((_, of), _)| *of == source);
    let recorded = recorded.map(|(_, feed)| feed.layer);
    let mixed = decoder.map(|decoder| decoder.layer);
    let watched: Vec<usize> = fed.chain(mixed).chain(recorded).collect();
    for layer in &watched {
        assert!(places.contains(layer), "{layer} is watched, of {asked:?}");
    }
    let distinct: BTreeSet<&usize> = watched.iter().collect();
    let most = (distinct.len() + watched.len()).max(1);
    assert!(asked.len() <= most, "{asked:?} for {watched:?}");
}
