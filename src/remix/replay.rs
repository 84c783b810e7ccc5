//! Replays the event log of a recording, and says what a composite shows at each moment; pure.
//!
//! It is what the room itself would show: a tile for everybody present, one more for each shared
//! screen, and an avatar where there is no picture.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::archive::events::Event;
use crate::id::{ParticipantId, Role, SourceId};
use crate::layout::{self, DominantSpeaker, LayoutKind, Size};
use crate::media::mixer::{Content, Mark, Scene, Tile};

/// A participant who is present.
#[derive(Debug, Clone, Default)]
struct Person {
    speaking: bool,
    viewer: bool,
    muted: BTreeSet<Role>,
}

impl Person {
    /// What their tile says of their microphone.
    fn mark(&self) -> Mark {
        match self.muted.contains(&Role::Mic) {
            true => Mark::Muted,
            false if self.speaking => Mark::Speaking,
            false => Mark::None,
        }
    }
}

/// The room at a moment of the recording.
#[derive(Debug, Clone)]
pub(super) struct RoomReplay {
    canvas: Size,
    layout: LayoutKind,
    /// Whether the layout follows the recording.
    layout_source: LayoutSource,
    pinned: Option<ParticipantId>,
    dominant: DominantSpeaker,
    people: BTreeMap<ParticipantId, Person>,
    /// The uplinks that are recorded at this moment.
    recorded: BTreeSet<SourceId>,
}

/// What decides the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LayoutSource {
    /// The room, at each moment of the recording.
    Room,
    /// An option, for the whole film.
    Fixed,
}

impl RoomReplay {
    /// An empty room. `layout` holds for all of the film; without one it is that of the room.
    pub(super) fn new(canvas: Size, layout: Option<LayoutKind>) -> Self {
        Self {
            canvas,
            layout: layout.unwrap_or(LayoutKind::Grid),
            layout_source: match layout {
                Some(_) => LayoutSource::Fixed,
                None => LayoutSource::Room,
            },
            pinned: None,
            dominant: DominantSpeaker::default(),
            people: BTreeMap::new(),
            recorded: BTreeSet::new(),
        }
    }

    /// Takes the next event in.
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Join {
                participant,
                viewer,
                ..
            } => {
                let person = self.people.entry(*participant).or_default();
                person.viewer = *viewer;
            }
            Event::Leave { participant } => {
                self.people.remove(participant);
                self.pinned = self.pinned.filter(|who| who != participant);
            }
            Event::Layout { layout } if self.layout_source == LayoutSource::Room => {
                self.layout = *layout
            }
            Event::Pin { participant } => self.pinned = *participant,
            Event::Speaker {
                participant,
                speaking,
            } => self.with(*participant, |person| person.speaking = *speaking),
            Event::Mute {
                participant,
                role,
                muted,
            } => self.with(*participant, |person| {
                match muted {
                    true => person.muted.insert(*role),
                    false => person.muted.remove(role),
                };
            }),
            _ => {}
        }
    }

    /// Finds who has the spotlight at `now`, once everything that happened by then has been applied.
    /// Says whether it is somebody else than before.
    pub(super) fn pass(&mut self, now: Duration) -> bool {
        let before = self.dominant.who();
        let heard = self.people.iter().filter(|(_, person)| person.speaking);
        let is_present = |who| self.people.contains_key(&who);
        self.dominant
            .update(now, heard.map(|(who, _)| *who), is_present);
        self.dominant.who() != before
    }

    /// From now on an uplink is recorded, or no longer is.
    pub(super) fn record(&mut self, source: SourceId, recorded: bool) {
        match recorded {
            true => self.recorded.insert(source),
            false => self.recorded.remove(&source),
        };
    }

    fn with(&mut self, who: ParticipantId, change: impl FnOnce(&mut Person)) {
        if let Some(person) = self.people.get_mut(&who) {
            change(person);
        }
    }

    /// What the composite shows at this moment.
    pub(super) fn scene(&self) -> Scene {
        let shown = self.shown();
        let large = layout::large(self.layout, &shown, self.pinned, self.dominant.who());
        let rects = layout::tiles(self.canvas, self.layout, shown.len(), large);
        let tiles = shown.iter().zip(rects);
        let tile = |(source, rect): (&SourceId, Option<_>)| {
            Some(Tile {
                source: *source,
                rect: rect?,
                content: match self.is_pictured(*source) {
                    true => Content::Picture,
                    false => Content::Avatar,
                },
                mark: match source.role {
                    Role::Camera => self.people.get(&source.participant)?.mark(),
                    _ => Mark::None,
                },
            })
        };
        Scene {
            tiles: tiles.filter_map(tile).collect(),
        }
    }

    fn shown(&self) -> Vec<SourceId> {
        let mut shown = Vec::new();
        for participant in self
            .people
            .iter()
            .filter(|(_, p)| !p.viewer)
            .map(|(id, _)| *id)
        {
            let source = |role| SourceId { participant, role };
            shown.push(source(Role::Camera));
            shown.extend(Some(source(Role::Screen)).filter(|s| self.is_pictured(*s)));
        }
        shown
    }

    fn is_pictured(&self, source: SourceId) -> bool {
        let person = self.people.get(&source.participant);
        let muted = person.is_some_and(|person| person.muted.contains(&source.role));
        self.recorded.contains(&source) && !muted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Size = Size {
        width: 1280,
        height: 720,
    };

    fn p(n: u32) -> ParticipantId {
        ParticipantId::new(n)
    }

    fn join(n: u32) -> Event {
        Event::Join {
            participant: p(n),
            name: String::new(),
            viewer: false,
        }
    }

    fn source(n: u32, role: Role) -> SourceId {
        SourceId {
            participant: p(n),
            role,
        }
    }

    /// Who is shown, as what, and how wide.
    fn shown(replay: &RoomReplay) -> Vec<(SourceId, Content, u32)> {
        let tiles = replay.scene().tiles;
        tiles
            .iter()
            .map(|t| (t.source, t.content, t.rect.w))
            .collect()
    }

    #[test]
    fn everybody_has_a_tile_while_they_are_there() {
        let mut replay = RoomReplay::new(HD, None);
        assert_eq!(replay.scene(), Scene::default());
        replay.apply(&join(1));
        replay.record(source(1, Role::Camera), true);
        replay.apply(&join(2));
        let one = source(1, Role::Camera);
        let two = source(2, Role::Camera);
        assert_eq!(
            shown(&replay),
            [(one, Content::Picture, 640), (two, Content::Avatar, 640)]
        );
        replay.apply(&Event::Mute {
            participant: p(1),
            role: Role::Camera,
            muted: true,
        });
        assert_eq!(shown(&replay)[0].1, Content::Avatar);
        replay.apply(&Event::Leave { participant: p(1) });
        assert_eq!(shown(&replay), [(two, Content::Avatar, 1280)]);
        replay.record(source(3, Role::Camera), true);
        assert_eq!(
            shown(&replay).len(),
            1,
            "a file of somebody who is not there yet"
        );
    }

    #[test]
    fn viewers_have_no_tile_and_screens_one_of_their_own() {
        let mut replay = RoomReplay::new(HD, None);
        replay.apply(&Event::Join {
            participant: p(1),
            name: String::new(),
            viewer: true,
        });
        replay.apply(&join(2));
        replay.record(source(2, Role::Screen), true);
        let expected = [source(2, Role::Camera), source(2, Role::Screen)];
        let tiles = shown(&replay);
        assert_eq!(
            tiles.iter().map(|tile| tile.0).collect::<Vec<_>>(),
            expected
        );
        replay.apply(&Event::Layout {
            layout: LayoutKind::Spotlight,
        });
        assert_eq!(shown(&replay)[1].2, 1024, "the screen is large");
        replay.record(source(2, Role::Screen), false);
        assert_eq!(shown(&replay).len(), 1);
    }

    #[test]
    fn a_layout_that_was_asked_for_stays_and_the_speaker_is_large() {
        let mut replay = RoomReplay::new(HD, Some(LayoutKind::Spotlight));
        for n in 1..=3 {
            replay.apply(&join(n));
        }
        replay.apply(&Event::Layout {
            layout: LayoutKind::Grid,
        });
        replay.apply(&Event::Speaker {
            participant: p(2),
            speaking: true,
        });
        assert!(replay.pass(Duration::ZERO));
        let large = |replay: &RoomReplay| {
            let tiles = replay.scene().tiles;
            let large = tiles.iter().find(|tile| tile.rect.w == 1024);
            large.map(|tile| (tile.source.participant, tile.mark == Mark::Speaking))
        };
        assert_eq!(large(&replay), Some((p(2), true)));
        for (ms, speaking) in [(5_000, true), (5_400, false)] {
            replay.apply(&Event::Speaker {
                participant: p(1),
                speaking,
            });
            assert!(!replay.pass(Duration::from_millis(ms)), "a cough");
        }
        assert_eq!(large(&replay), Some((p(2), true)));
        replay.apply(&Event::Pin {
            participant: Some(p(3)),
        });
        assert_eq!(large(&replay), Some((p(3), false)));
    }
}
