//! What a composite of a recording shows at a moment, from its events; pure.
//!
//! It is what the room itself would show: a tile for everybody who is there, one more for each
//! shared screen, an avatar where there is no picture.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::events::Event;
use crate::id::SourceId;
use crate::id::{ParticipantId, Role};
use crate::layout::{self, LayoutKind, Size};
use crate::media::mixer::{Content, Scene, Tile};

/// Somebody who is there.
#[derive(Debug, Clone, Default)]
struct Person {
    speaking: bool,
    viewer: bool,
    muted: BTreeSet<Role>,
}

/// The room at a moment.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    canvas: Size,
    layout: LayoutKind,
    /// Whether the layout is the room's at the moment, or one for all of it.
    choice: Choice,
    pinned: Option<ParticipantId>,
    last_speaker: Option<ParticipantId>,
    people: BTreeMap<ParticipantId, Person>,
    /// The uplinks of which something is recorded at this moment.
    recorded: BTreeSet<SourceId>,
}

/// Who says what the layout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Room,
    Fixed,
}

impl Stage {
    /// A room with nobody in it, always in `layout` or, without one, in that of the room.
    pub(super) fn new(canvas: Size, layout: Option<LayoutKind>) -> Self {
        Self {
            canvas,
            layout: layout.unwrap_or(LayoutKind::Grid),
            choice: match layout {
                Some(_) => Choice::Fixed,
                None => Choice::Room,
            },
            pinned: None,
            last_speaker: None,
            people: BTreeMap::new(),
            recorded: BTreeSet::new(),
        }
    }

    /// What happens next.
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
                self.last_speaker = self.last_speaker.filter(|who| who != participant);
            }
            Event::Layout { layout } if self.choice == Choice::Room => self.layout = *layout,
            Event::Pin { participant } => self.pinned = *participant,
            Event::Speaker {
                participant,
                speaking,
            } => {
                if *speaking {
                    self.last_speaker = Some(*participant);
                }
                self.with(*participant, |person| person.speaking = *speaking);
            }
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

    /// Something of an uplink is recorded from now on, or no longer.
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

    /// What to show.
    pub(super) fn scene(&self) -> Scene {
        let shown = self.shown();
        let rects = layout::tiles(self.canvas, self.layout, shown.len(), self.spotlit(&shown));
        let tiles = shown.iter().zip(rects);
        let tile = |(source, rect): (&SourceId, Option<_>)| {
            Some(Tile {
                source: *source,
                rect: rect?,
                content: match self.is_pictured(*source) {
                    true => Content::Picture,
                    false => Content::Avatar,
                },
                speaking: source.role == Role::Camera
                    && self.people.get(&source.participant)?.speaking,
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

    /// Who gets the spotlight's large tile: the pinned, else a shared screen, else whoever spoke
    /// last.
    fn spotlit(&self, shown: &[SourceId]) -> Option<usize> {
        let camera_of = |who: ParticipantId| {
            let is = |source: &SourceId| source.participant == who && source.role == Role::Camera;
            shown.iter().position(is)
        };
        self.pinned
            .and_then(camera_of)
            .or_else(|| shown.iter().position(|source| source.is_screen()))
            .or_else(|| self.last_speaker.and_then(camera_of))
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
    fn shown(stage: &Stage) -> Vec<(SourceId, Content, u32)> {
        let tiles = stage.scene().tiles;
        tiles
            .iter()
            .map(|t| (t.source, t.content, t.rect.w))
            .collect()
    }

    #[test]
    fn everybody_has_a_tile_while_they_are_there() {
        let mut stage = Stage::new(HD, None);
        assert_eq!(stage.scene(), Scene::default());
        stage.apply(&join(1));
        stage.record(source(1, Role::Camera), true);
        stage.apply(&join(2));
        let one = source(1, Role::Camera);
        let two = source(2, Role::Camera);
        assert_eq!(
            shown(&stage),
            [(one, Content::Picture, 640), (two, Content::Avatar, 640)]
        );
        stage.apply(&Event::Mute {
            participant: p(1),
            role: Role::Camera,
            muted: true,
        });
        assert_eq!(shown(&stage)[0].1, Content::Avatar);
        stage.apply(&Event::Leave { participant: p(1) });
        assert_eq!(shown(&stage), [(two, Content::Avatar, 1280)]);
        stage.record(source(3, Role::Camera), true);
        assert_eq!(
            shown(&stage).len(),
            1,
            "a file of somebody who is not there yet"
        );
    }

    #[test]
    fn viewers_have_no_tile_and_screens_one_of_their_own() {
        let mut stage = Stage::new(HD, None);
        stage.apply(&Event::Join {
            participant: p(1),
            name: String::new(),
            viewer: true,
        });
        stage.apply(&join(2));
        stage.record(source(2, Role::Screen), true);
        let expected = [source(2, Role::Camera), source(2, Role::Screen)];
        let tiles = shown(&stage);
        assert_eq!(
            tiles.iter().map(|tile| tile.0).collect::<Vec<_>>(),
            expected
        );
        stage.apply(&Event::Layout {
            layout: LayoutKind::Spotlight,
        });
        assert_eq!(shown(&stage)[1].2, 1024, "the screen is large");
        stage.record(source(2, Role::Screen), false);
        assert_eq!(shown(&stage).len(), 1);
    }

    #[test]
    fn a_layout_that_was_asked_for_stays_and_the_speaker_is_large() {
        let mut stage = Stage::new(HD, Some(LayoutKind::Spotlight));
        for n in 1..=3 {
            stage.apply(&join(n));
        }
        stage.apply(&Event::Layout {
            layout: LayoutKind::Grid,
        });
        stage.apply(&Event::Speaker {
            participant: p(2),
            speaking: true,
        });
        let large = |stage: &Stage| {
            let tiles = stage.scene().tiles;
            let large = tiles.iter().find(|tile| tile.rect.w == 1024);
            large.map(|tile| (tile.source.participant, tile.speaking))
        };
        assert_eq!(large(&stage), Some((p(2), true)));
        stage.apply(&Event::Pin {
            participant: Some(p(3)),
        });
        assert_eq!(large(&stage), Some((p(3), false)));
    }
}
