//! What a bot sees and hears of each participant, whatever way it comes.
//!
//! Every decoded picture is looked at for colours and time codes, and every 20 ms of sound for
//! tones, and what was found is kept for some minutes: so a test of a change of mode asks
//! afterwards how long anybody was out of sight or out of hearing, and whether anybody was ever
//! seen under another's name.
//!
//! All times are on the machine's clock ([`crate::bots::clock`]). Pictures are timed when they come out
//! of the decoder. Sound is timed by its timestamp, since it is played evenly however unevenly it
//! arrives.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::detection::longest_gap;
pub use super::detection::{Gap, Mixup, Origin, Path, Sense, Sight, Sound};
use super::palette;
use super::probe::color::Patch;
use super::probe::picture::{contained, inset, scaled};
use super::probe::timecode::TimeCode;
use super::probe::tone::{Bank, RATE, WINDOW};
use super::probe::{Histogram, Picture, Spread};
use crate::bots::rtc::csrc_tracker::Source;
use crate::id::{ParticipantId, Role};
use crate::layout::Rect;
use crate::protocol::room::{RoomState, TileState};

/// Sightings kept of each participant: over two minutes at 30 frames per second.
const SIGHTS: usize = 4_096;

/// Sounds kept: a minute of ten streams.
const SOUNDS: usize = 32_768;

/// Changes of whether the mesh is played that are kept.
const CHANGES: usize = 64;

/// How long after a change of tiles the picture may still be that of before.
const SETTLING: Duration = Duration::from_secs(1);

/// What is left out on each side of a picture: its edge, and the name on it; percent.
const MARGIN: u32 = 20;

/// The faintest tone that counts as heard, dBFS.
const FLOOR_DB: f64 = -50.0;

/// How much fainter than the loudest a tone may be, dB.
const RANGE_DB: f64 = 12.0;

static BANK: LazyLock<Bank> = LazyLock::new(|| Bank::new(&palette::tones(palette::PEOPLE)));

/// What a bot has seen and heard.
#[derive(Debug, Default)]
pub struct Witness {
    seen: Mutex<Seen>,
    /// Counts what is seen and heard, for who waits for something.
    count: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The newest tiles and those before, and since when they are the newest.
    tiles: Tiles,
    before: Tiles,
    since: Duration,
    sights: BTreeMap<ParticipantId, VecDeque<Sight>>,
    codes: BTreeMap<(ParticipantId, Path), TimeCode>,
    ages: BTreeMap<Path, Histogram>,
    sounds: VecDeque<Sound>,
    /// When the mesh began or ceased to be played.
    playing: VecDeque<(Duration, bool)>,
    /// Frames of forward m-lines that said of nobody that they are theirs.
    nameless: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Tiles {
    canvas: (u32, u32),
    list: Vec<TileState>,
}

impl Tiles {
    /// Where a person's 16:9 camera stands in a picture of all of it, less a margin.
    fn find(&self, who: ParticipantId, picture: &Picture) -> Option<Rect> {
        let camera = |tile: &&TileState| tile.participant == who && tile.role == Role::Camera;
        let tile = self.list.iter().find(camera)?;
        let rect = Rect {
            x: tile.x,
            y: tile.y,
            w: tile.w,
            h: tile.h,
        };
        let rect = scaled(rect, self.canvas, (picture.width, picture.height));
        Some(contained(rect, 16, 9))
    }
}

/// What one look at a picture, or a part of it, found.
struct Look {
    who: ParticipantId,
    colors: [Option<Patch>; 2],
    settled: bool,
    code: Option<TimeCode>,
}

impl Witness {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the server says of the room.
    pub(crate) fn room(&self, room: &RoomState, now: Duration) {
        let tiles = Tiles {
            canvas: (room.canvas.width, room.canvas.height),
            list: room.tiles.clone(),
        };
        let mut seen = self.lock();
        if seen.tiles != tiles {
            seen.before = std::mem::replace(&mut seen.tiles, tiles);
            seen.since = now;
        }
    }

    /// From now on the mesh is, or is not, what a page would play.
    pub(crate) fn play_mesh(&self, plays: bool, now: Duration) {
        let mut seen = self.lock();
        if seen.plays_mesh_at(now) != plays {
            if seen.playing.len() == CHANGES {
                seen.playing.pop_front();
            }
            seen.playing.push_back((now, plays));
        }
    }

    /// Looks at the composite.
    pub(crate) fn saw_mix(&self, picture: &Picture) {
        let (tiles, before, settled) = {
            let seen = self.lock();
            let settled = picture.arrival >= seen.since + SETTLING;
            let before = (!settled).then(|| seen.before.clone());
            (seen.tiles.clone(), before, settled)
        };
        let mut people: Vec<_> = tiles.list.iter().map(|tile| tile.participant).collect();
        people.sort_unstable();
        people.dedup();
        for who in people {
            let rect = tiles.find(who, picture);
            let old = before.as_ref().and_then(|before| before.find(who, picture));
            let patch = |rect: Option<Rect>| Patch::of(picture, inset(rect?, MARGIN));
            let look = Look {
                who,
                colors: [patch(rect), patch(old)],
                settled,
                code: rect.and_then(|rect| TimeCode::read(picture, rect)),
            };
            self.note(look, Path::Mix, picture.arrival);
        }
    }

    /// Looks at a participant's own picture.
    pub(crate) fn saw(&self, picture: &Picture, path: Path, source: Source) {
        let Some(who) = source.who else {
            self.lock().nameless += 1;
            return;
        };
        let middle = inset(picture.bounds(), MARGIN);
        let look = Look {
            who,
            colors: [Patch::of(picture, middle), None],
            settled: source.settled,
            code: TimeCode::read(picture, picture.bounds()),
        };
        self.note(look, path, picture.arrival);
    }

    fn note(&self, look: Look, path: Path, at: Duration) {
        let mut seen = self.lock();
        let last = match look.code {
            Some(code) => seen.codes.insert((look.who, path), code),
            None => seen.codes.remove(&(look.who, path)),
        };
        let fresh = look.code.is_none() || look.code != last;
        let age = look.code.map(|code| code.age(at));
        if let Some(age) = age {
            seen.ages.entry(path).or_default().add(age);
        }
        let played = seen.plays(path, at);
        let sights = seen.sights.entry(look.who).or_default();
        if sights.len() == SIGHTS {
            sights.pop_front();
        }
        sights.push_back(Sight {
            at,
            path,
            colors: look.colors,
            settled: look.settled,
            fresh,
            age,
            played,
        });
        drop(seen);
        self.count.send_modify(|count| *count += 1);
    }

    /// Listens to sound that begins at `start`: mono, 48 kHz.
    pub(crate) fn heard(&self, samples: &[f32], start: Duration, origin: Origin) {
        let mut at = start;
        for window in samples.chunks_exact(WINDOW) {
            let tones = BANK.heard(window, FLOOR_DB, RANGE_DB);
            let length = Duration::from_secs(1) * WINDOW as u32 / RATE;
            let mut seen = self.lock();
            if seen.sounds.len() == SOUNDS {
                seen.sounds.pop_front();
            }
            let played = seen.plays(origin.path, at);
            seen.sounds.push_back(Sound {
                start: at,
                length,
                tones,
                origin,
                played,
            });
            at += length;
        }
        self.count.send_modify(|count| *count += 1);
    }

    /// Forgets the ages of frames.
    pub(crate) fn reset_ages(&self) {
        self.lock().ages.clear();
    }

    /// Changes whenever something is seen or heard.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// The frames of a participant, the oldest first.
    pub fn sights(&self, who: ParticipantId) -> Vec<Sight> {
        let seen = self.lock();
        let sights = seen.sights.get(&who).into_iter().flatten();
        sights.copied().collect()
    }

    /// What was heard, in the order in which it was decoded.
    pub fn sounds(&self) -> Vec<Sound> {
        self.lock().sounds.iter().copied().collect()
    }

    /// How many frames of forward m-lines did not say whose they are.
    pub fn nameless(&self) -> u64 {
        self.lock().nameless
    }

    /// How old frames were that came by one way, where they had time codes: since the start or
    /// the last [`crate::bots::Bot::reset_stats`].
    pub fn latency(&self, path: Path) -> Option<Spread> {
        self.lock().ages.get(&path)?.spread()
    }

    /// The ages behind [`Witness::latency`].
    pub(crate) fn ages(&self, path: Path) -> Histogram {
        self.lock().ages.get(&path).cloned().unwrap_or_default()
    }

    /// The longest time within `during` without a fresh frame of a participant in their colour,
    /// by any way.
    pub fn unseen(&self, who: ParticipantId, rgb: [u8; 3], during: Range<Duration>) -> Gap {
        let seen = self.lock();
        let sights = seen.sights.get(&who).into_iter().flatten();
        let good = sights
            .filter(|sight| sight.played && sight.fresh && sight.is(rgb))
            .map(|sight| sight.at..sight.at);
        longest_gap(good.collect(), during)
    }

    /// The longest time within `during` without a participant's tone, by any way; `person` is
    /// their place in [`palette`]. Sound that is still on its way is missing at the end: let
    /// `during` end half a second ago.
    pub fn unheard(&self, person: usize, during: Range<Duration>) -> Gap {
        let seen = self.lock();
        let with_tone = seen
            .sounds
            .iter()
            .filter(|sound| sound.played && sound.tones >> (person % palette::PEOPLE) & 1 == 1)
            .map(|sound| sound.start..sound.start + sound.length);
        longest_gap(with_tone.collect(), during)
    }

    /// Everybody who was seen or heard under another's name within `during`: `people` are whoever
    /// there is, with their places in [`palette`].
    pub fn mixups(&self, people: &[(ParticipantId, usize)], during: Range<Duration>) -> Vec<Mixup> {
        let seen = self.lock();
        let mut found = Vec::new();
        for (name, own) in people {
            let sights = seen.sights.get(name).into_iter().flatten();
            for sight in sights.filter(|s| s.settled && during.contains(&s.at)) {
                let others = people
                    .iter()
                    .position(|(who, person)| who != name && sight.is(palette::color(*person)));
                if let (Some(was), false) = (others, sight.is(palette::color(*own))) {
                    found.push(Mixup {
                        sense: Sense::Seen,
                        at: sight.at,
                        path: sight.path,
                        name: *name,
                        was,
                    });
                }
            }
            let sounds = seen.sounds.iter().filter(|s| s.origin.from == Some(*name));
            for sound in sounds.filter(|s| s.origin.settled && during.contains(&s.start)) {
                let others = people.iter().position(|(who, person)| {
                    who != name && sound.tones >> (person % palette::PEOPLE) & 1 == 1
                });
                if let Some(was) = others {
                    found.push(Mixup {
                        sense: Sense::Heard,
                        at: sound.start,
                        path: sound.origin.path,
                        name: *name,
                        was,
                    });
                }
            }
        }
        found
    }
}

impl Seen {
    fn plays_mesh_at(&self, at: Duration) -> bool {
        let mut changes = self.playing.iter().rev();
        changes.find(|(since, _)| *since <= at).is_some_and(|c| c.1)
    }

    fn plays(&self, path: Path, at: Duration) -> bool {
        path != Path::Mesh || self.plays_mesh_at(at)
    }
}

#[cfg(test)]
mod tests;
