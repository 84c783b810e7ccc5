//! What a bot sees and hears of each participant, by whatever path it comes.
//!
//! Every decoded picture is searched for colours and time codes, and every 20 ms of sound for
//! tones. What was found is kept for some minutes, so that a test of a change of mode can ask
//! afterwards for how long anybody was unseen or unheard, and whether anybody was ever seen under
//! another's name.
//!
//! All times are on the machine's clock ([`crate::bots::clock`]). Pictures are timed when they
//! leave the decoder. Sound is timed by its timestamp, because it is played evenly however unevenly
//! it arrives.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::detection::{
    Contributor, Detection, Gap, Mixup, Origin, Path, Sense, SoundDetection, longest_gap,
};
use super::palette;
use super::probe::color::Patch;
use super::probe::picture::{contained, inset, scaled};
use super::probe::timecode::TimeCode;
use super::probe::tone::{Bank, RATE, WINDOW};
use super::probe::{Histogram, Picture, Spread};
use crate::id::{ParticipantId, Role};
use crate::layout::Rect;
use crate::protocol::room::{RoomState, TileState};

/// Detections kept of each participant: over two minutes at 30 frames per second.
const DETECTIONS: usize = 4_096;

/// Windows of sound kept: a minute of ten streams.
const SOUNDS: usize = 32_768;

/// Changes kept of whether the mesh is played.
const CHANGES: usize = 64;

/// How long after a change of tiles a composite may still show the former ones.
const SETTLING: Duration = Duration::from_secs(1);

/// Share of a picture that is left out on each side, because of its edge and the name on it;
/// percent.
const MARGIN: u32 = 20;

/// Level below which a tone counts as unheard, dBFS.
const FLOOR_DB: f64 = -50.0;

/// How much fainter than the loudest tone another may be and still count as heard, dB.
const RANGE_DB: f64 = 12.0;

static BANK: LazyLock<Bank> = LazyLock::new(|| Bank::new(&palette::tones(palette::PEOPLE)));

/// What a bot has seen and heard of each participant. Written on decoder threads, read by tests.
#[derive(Debug, Default)]
pub struct Observer {
    records: Mutex<Records>,
    /// Counts recordings, so that readers can wait for news.
    count: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Records {
    /// The newest tiles, those before, and since when the newest hold.
    tiles: Tiles,
    before: Tiles,
    since: Duration,
    detections: BTreeMap<ParticipantId, VecDeque<Detection>>,
    codes: BTreeMap<(ParticipantId, Path), TimeCode>,
    ages: BTreeMap<Path, Histogram>,
    sounds: VecDeque<SoundDetection>,
    /// Each moment at which the page would have started or stopped playing the mesh.
    playing: VecDeque<(Duration, bool)>,
    /// Frames of forward m-lines whose packets named no participant.
    unattributed: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Tiles {
    canvas: (u32, u32),
    list: Vec<TileState>,
}

impl Tiles {
    /// Where the 16:9 camera of a participant is in a picture of the whole canvas.
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

/// What was read from one picture, or from one tile.
struct Reading {
    who: ParticipantId,
    colors: [Option<Patch>; 2],
    settled: bool,
    code: Option<TimeCode>,
}

impl Observer {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock()
    }

    /// Takes over the tiles from the server's description of the room.
    pub(crate) fn room(&self, room: &RoomState, now: Duration) {
        let tiles = Tiles {
            canvas: (room.canvas.width, room.canvas.height),
            list: room.tiles.clone(),
        };
        let mut records = self.lock();
        if records.tiles != tiles {
            records.before = std::mem::replace(&mut records.tiles, tiles);
            records.since = now;
        }
    }

    /// From now on the page would play the mesh, or no longer would.
    pub(crate) fn play_mesh(&self, plays: bool, now: Duration) {
        let mut records = self.lock();
        if records.plays_mesh_at(now) != plays {
            if records.playing.len() == CHANGES {
                records.playing.pop_front();
            }
            records.playing.push_back((now, plays));
        }
    }

    /// Reads each tile of a composite.
    pub(crate) fn record_mix(&self, picture: &Picture) {
        let (tiles, before, settled) = {
            let records = self.lock();
            let settled = picture.arrival >= records.since + SETTLING;
            let before = (!settled).then(|| records.before.clone());
            (records.tiles.clone(), before, settled)
        };
        let mut people: Vec<_> = tiles.list.iter().map(|tile| tile.participant).collect();
        people.sort_unstable();
        people.dedup();
        for who in people {
            let rect = tiles.find(who, picture);
            let old = before.as_ref().and_then(|before| before.find(who, picture));
            let patch = |rect: Option<Rect>| Patch::of(picture, inset(rect?, MARGIN));
            let reading = Reading {
                who,
                colors: [patch(rect), patch(old)],
                settled,
                code: rect.and_then(|rect| TimeCode::read(picture, rect)),
            };
            self.record(reading, Path::Mix, picture.arrival);
        }
    }

    /// Reads a picture of one participant.
    pub(crate) fn record_picture(&self, picture: &Picture, path: Path, contributor: Contributor) {
        let Some(who) = contributor.who else {
            self.lock().unattributed += 1;
            return;
        };
        let middle = inset(picture.bounds(), MARGIN);
        let reading = Reading {
            who,
            colors: [Patch::of(picture, middle), None],
            settled: contributor.settled,
            code: TimeCode::read(picture, picture.bounds()),
        };
        self.record(reading, path, picture.arrival);
    }

    fn record(&self, reading: Reading, path: Path, at: Duration) {
        let mut records = self.lock();
        let last = match reading.code {
            Some(code) => records.codes.insert((reading.who, path), code),
            None => records.codes.remove(&(reading.who, path)),
        };
        let fresh = reading.code.is_none() || reading.code != last;
        let age = reading.code.map(|code| code.age(at));
        if let Some(age) = age {
            records.ages.entry(path).or_default().add(age);
        }
        let played = records.plays(path, at);
        let detections = records.detections.entry(reading.who).or_default();
        if detections.len() == DETECTIONS {
            detections.pop_front();
        }
        detections.push_back(Detection {
            at,
            path,
            colors: reading.colors,
            settled: reading.settled,
            fresh,
            age,
            played,
        });
        drop(records);
        self.count.send_modify(|count| *count += 1);
    }

    /// Reads the tones of sound that begins at `start`: mono, 48 kHz.
    pub(crate) fn record_sound(&self, samples: &[f32], start: Duration, origin: Origin) {
        let mut at = start;
        for window in samples.chunks_exact(WINDOW) {
            let tones = BANK.heard(window, FLOOR_DB, RANGE_DB);
            let length = Duration::from_secs(1) * WINDOW as u32 / RATE;
            let mut records = self.lock();
            if records.sounds.len() == SOUNDS {
                records.sounds.pop_front();
            }
            let played = records.plays(origin.path, at);
            records.sounds.push_back(SoundDetection {
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

    /// Forgets the ages of frames, and with them the latencies.
    pub(crate) fn reset_ages(&self) {
        self.lock().ages.clear();
    }

    /// A counter that goes up whenever something is seen or heard: to wait with.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// The recorded frames of a participant, the oldest first.
    pub fn detections(&self, who: ParticipantId) -> Vec<Detection> {
        let records = self.lock();
        let detections = records.detections.get(&who).into_iter().flatten();
        detections.copied().collect()
    }

    /// The recorded windows of sound, in the order in which they were decoded.
    pub fn sounds(&self) -> Vec<SoundDetection> {
        self.lock().sounds.iter().copied().collect()
    }

    /// How many frames of forward m-lines did not say whose they are. 0 if the server sets CSRCs.
    pub fn unattributed(&self) -> u64 {
        self.lock().unattributed
    }

    /// The age at decoding of frames with time codes that came by a path, since the start or the
    /// last [`crate::bots::Bot::reset_stats`]. `None` if there were none.
    pub fn latency(&self, path: Path) -> Option<Spread> {
        self.lock().ages.get(&path)?.spread()
    }

    /// The distribution behind [`Observer::latency`].
    pub(crate) fn ages(&self, path: Path) -> Histogram {
        self.lock().ages.get(&path).cloned().unwrap_or_default()
    }

    /// The longest time within `during` without a fresh, played frame of a participant in their
    /// colour, whichever path they came by.
    pub fn unseen(&self, who: ParticipantId, rgb: [u8; 3], during: Range<Duration>) -> Gap {
        let records = self.lock();
        let detections = records.detections.get(&who).into_iter().flatten();
        let good = detections
            .filter(|detection| detection.played && detection.fresh && detection.is(rgb))
            .map(|detection| detection.at..detection.at);
        longest_gap(good.collect(), during)
    }

    /// The longest time within `during` without the tone of a person, whichever path it came by;
    /// `person` is their index in [`palette`]. Sound on its way is missing at the end: let `during`
    /// end half a second ago.
    pub fn unheard(&self, person: usize, during: Range<Duration>) -> Gap {
        let records = self.lock();
        let with_tone = records
            .sounds
            .iter()
            .filter(|sound| sound.played && sound.tones >> (person % palette::PEOPLE) & 1 == 1)
            .map(|sound| sound.start..sound.start + sound.length);
        longest_gap(with_tone.collect(), during)
    }

    /// Everybody who was seen or heard under another's name within `during`. `people` are all there
    /// are, with their indices in [`palette`].
    pub fn mixups(&self, people: &[(ParticipantId, usize)], during: Range<Duration>) -> Vec<Mixup> {
        let records = self.lock();
        let mut found = Vec::new();
        for (name, own) in people {
            let detections = records.detections.get(name).into_iter().flatten();
            for detection in detections.filter(|s| s.settled && during.contains(&s.at)) {
                let others = people
                    .iter()
                    .position(|(who, person)| who != name && detection.is(palette::color(*person)));
                if let (Some(was), false) = (others, detection.is(palette::color(*own))) {
                    found.push(Mixup {
                        sense: Sense::Seen,
                        at: detection.at,
                        path: detection.path,
                        name: *name,
                        was,
                    });
                }
            }
            let sounds = records
                .sounds
                .iter()
                .filter(|s| s.origin.from == Some(*name));
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

impl Records {
    fn plays_mesh_at(&self, at: Duration) -> bool {
        let mut changes = self.playing.iter().rev();
        changes.find(|(since, _)| *since <= at).is_some_and(|c| c.1)
    }

    /// Whether the page would have played what came by a path at that moment.
    fn plays(&self, path: Path, at: Duration) -> bool {
        path != Path::Mesh || self.plays_mesh_at(at)
    }
}

#[cfg(test)]
mod tests;
