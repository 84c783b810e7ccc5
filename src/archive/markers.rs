//! The moments of a recording that somebody looks for, from its events: who came, who went, who
//! spoke; pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::journal::{Event, Line};
use crate::id::ParticipantId;

/// Most markers of a recording: an entry stays small, and an MP4 can name 255 chapters.
pub(super) const MOST: usize = 200;
/// Whoever speaks for less than this is not marked, ms.
const SPEECH: u64 = 2_000;
/// What follows a chapter's beginning within this belongs to it, ms.
const TOGETHER: u64 = 1_000;
/// Most bytes of a chapter's title.
pub(super) const TITLE: usize = 64;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// Somebody is there from now on.
    Join,
    /// Somebody has gone.
    Leave,
    /// Somebody else than before begins to speak.
    Speaker,
}

/// A moment of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Marker {
    /// When, ms from the recording's beginning.
    pub at_ms: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub moment: Moment,
    /// To whom.
    pub participant: ParticipantId,
    /// What they were called then.
    pub name: String,
}

/// A chapter of a file. It lasts until the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chapter {
    /// When it begins, ms.
    pub(super) at: u64,
    pub(super) title: String,
}

/// The moments that `lines` tell of a recording of `length` ms whose zero is `start` on their
/// clock. Where they are too many, those who spoke for the shortest time are left out.
pub(super) fn markers(lines: &[Line], start: u64, length: u64) -> Vec<Marker> {
    let story = Story::of(lines, start, length);
    let mut least = SPEECH;
    loop {
        let mut markers = story.told(least);
        if markers.len() <= MOST || least > length {
            markers.truncate(MOST);
            return markers;
        }
        least *= 2;
    }
}

/// Somebody is heard from one moment to another, ms.
#[derive(Debug)]
struct Talk {
    from: u64,
    to: u64,
    participant: ParticipantId,
    name: String,
}

/// Who came and went, and who spoke for how long.
#[derive(Debug, Default)]
struct Story {
    /// Those who are there now: viewers are not.
    names: BTreeMap<ParticipantId, String>,
    /// Who is being heard, and since when.
    heard: BTreeMap<ParticipantId, u64>,
    moves: Vec<Marker>,
    talks: Vec<Talk>,
}

impl Story {
    fn of(lines: &[Line], start: u64, length: u64) -> Self {
        let mut story = Self::default();
        for line in lines {
            let at = line.at.saturating_sub(start);
            if at < length.max(1) {
                story.take(at, &line.event);
            }
        }
        let heard: Vec<ParticipantId> = story.heard.keys().copied().collect();
        for who in heard {
            story.falls_silent(length, who);
        }
        story.talks.sort_by_key(|talk| talk.from);
        story
    }

    /// `at` is 0 for what was before the recording's beginning, too.
    fn take(&mut self, at: u64, event: &Event) {
        match event {
            Event::Join {
                participant,
                name,
                viewer: false,
            } => {
                self.names.insert(*participant, name.clone());
                self.moves(at, Moment::Join, *participant, name.clone());
            }
            Event::Name { participant, name } => {
                if let Some(known) = self.names.get_mut(participant) {
                    known.clone_from(name);
                }
            }
            Event::Leave { participant } => self.leaves(at, *participant),
            Event::Speaker {
                participant,
                speaking: true,
            } => {
                self.heard.entry(*participant).or_insert(at);
            }
            Event::Speaker { participant, .. } => self.falls_silent(at, *participant),
            _ => {}
        }
    }

    fn moves(&mut self, at_ms: u64, moment: Moment, participant: ParticipantId, name: String) {
        self.moves.push(Marker {
            at_ms,
            moment,
            participant,
            name,
        });
    }

    fn leaves(&mut self, at: u64, who: ParticipantId) {
        self.falls_silent(at, who);
        let Some(name) = self.names.remove(&who) else {
            return;
        };
        match at {
            // Gone before the file began: never there.
            0 => self.moves.retain(|marker| marker.participant != who),
            _ => self.moves(at, Moment::Leave, who, name),
        }
    }

    fn falls_silent(&mut self, to: u64, participant: ParticipantId) {
        let name = self.names.get(&participant).cloned();
        if let (Some(from), Some(name)) = (self.heard.remove(&participant), name) {
            self.talks.push(Talk {
                from,
                to,
                participant,
                name,
            });
        }
    }

    /// All of it in order, of those who spoke for `least` ms at least.
    fn told(&self, least: u64) -> Vec<Marker> {
        let mut markers = self.moves.clone();
        let mut last = None;
        for talk in self
            .talks
            .iter()
            .filter(|talk| talk.to - talk.from >= least)
        {
            if last.replace(talk.participant) != Some(talk.participant) {
                markers.push(Marker {
                    at_ms: talk.from,
                    moment: Moment::Speaker,
                    participant: talk.participant,
                    name: talk.name.clone(),
                });
            }
        }
        markers.sort_by_key(|marker| marker.at_ms);
        markers
    }
}

/// The chapters of a file with these markers: one at its beginning, whatever there is.
pub(super) fn chapters(markers: &[Marker]) -> Vec<Chapter> {
    let mut chapters = vec![Chapter {
        at: 0,
        title: "Start".to_owned(),
    }];
    for marker in markers {
        let text = match marker.moment {
            // They were there when it began.
            Moment::Join if marker.at_ms == 0 => continue,
            Moment::Join => format!("{} joins", marker.name),
            Moment::Leave => format!("{} leaves", marker.name),
            Moment::Speaker => format!("{} speaks", marker.name),
        };
        match chapters.last_mut() {
            Some(last) if marker.at_ms - last.at < TOGETHER => {
                last.title.push_str(", ");
                last.title.push_str(&text);
            }
            _ => chapters.push(Chapter {
                at: marker.at_ms,
                title: text,
            }),
        }
    }
    for chapter in &mut chapters {
        shorten(&mut chapter.title);
    }
    chapters
}

fn shorten(title: &mut String) {
    const MORE: char = '…';
    if title.len() > TITLE {
        title.truncate(title.floor_char_boundary(TITLE - MORE.len_utf8()));
        title.push(MORE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(at: u64, n: u32) -> Line {
        let event = Event::Join {
            participant: ParticipantId::new(n),
            name: format!("P{n}"),
            viewer: n >= 100,
        };
        Line { at, event }
    }

    fn leave(at: u64, n: u32) -> Line {
        let participant = ParticipantId::new(n);
        let event = Event::Leave { participant };
        Line { at, event }
    }

    fn speaks(from: u64, to: u64, n: u32) -> [Line; 2] {
        [(from, true), (to, false)].map(|(at, speaking)| {
            let participant = ParticipantId::new(n);
            let event = Event::Speaker {
                participant,
                speaking,
            };
            Line { at, event }
        })
    }

    fn told(markers: &[Marker]) -> Vec<(u64, Moment, u32)> {
        let short = |one: &Marker| (one.at_ms, one.moment, one.participant.ordinal());
        markers.iter().map(short).collect()
    }

    #[test]
    fn who_comes_goes_and_speaks_is_marked() {
        let mut lines = vec![join(0, 1), join(0, 2), join(0, 3), join(10, 100)];
        lines.push(leave(300, 3));
        lines.extend(speaks(100, 4_000, 1));
        lines.extend(speaks(4_000, 5_500, 2));
        lines.extend(speaks(6_000, 9_000, 1));
        lines.extend(speaks(10_500, 13_000, 2));
        lines.extend([join(13_500, 4), leave(20_500, 2), leave(21_000, 100)]);
        lines.sort_by_key(|line| line.at);
        let markers = markers(&lines, 500, 30_000);
        let expected = [
            (0, Moment::Join, 1),
            (0, Moment::Join, 2),
            (0, Moment::Speaker, 1),
            (10_000, Moment::Speaker, 2),
            (13_000, Moment::Join, 4),
            (20_000, Moment::Leave, 2),
        ];
        assert_eq!(told(&markers), expected);
        let titles: Vec<(u64, String)> = chapters(&markers)
            .into_iter()
            .map(|chapter| (chapter.at, chapter.title))
            .collect();
        let expected = [
            (0, "Start, P1 speaks"),
            (10_000, "P2 speaks"),
            (13_000, "P4 joins"),
            (20_000, "P2 leaves"),
        ];
        assert_eq!(titles, expected.map(|(at, title)| (at, title.to_owned())));
    }

    #[test]
    fn names_are_those_of_the_moment_and_speech_lasts_to_the_end() {
        let event = Event::Name {
            participant: ParticipantId::new(1),
            name: "Ann".to_owned(),
        };
        let [speaks, _] = speaks(7_000, 0, 1);
        let lines = [join(0, 1), Line { at: 5_000, event }, speaks];
        let markers = markers(&lines, 0, 9_500);
        assert_eq!(told(&markers)[1], (7_000, Moment::Speaker, 1));
        assert_eq!([&markers[0].name, &markers[1].name], ["P1", "Ann"]);
        assert_eq!(
            told(&super::markers(&lines, 0, 8_500)).len(),
            1,
            "too short"
        );
    }

    #[test]
    fn what_comes_together_is_one_chapter_with_a_title_that_is_not_too_long() {
        let lines: Vec<Line> = (1..30).map(|n| join(5_000 + u64::from(n), n)).collect();
        let markers = markers(&lines, 0, 60_000);
        assert_eq!(markers.len(), 29);
        let chapters = chapters(&markers);
        assert_eq!(chapters.len(), 2);
        assert!(chapters[1].title.starts_with("P1 joins, P2 joins, "));
        assert!(chapters[1].title.ends_with('…') && chapters[1].title.len() <= TITLE);
        let mut title = "é".repeat(40);
        shorten(&mut title);
        assert!(title.len() <= TITLE && title.ends_with("é…"));
    }

    #[test]
    fn of_too_many_the_shortest_speeches_are_left_out() {
        let mut lines = vec![join(0, 1), join(0, 2)];
        for n in 0..300 {
            let from = u64::from(n) * 10_000;
            let lasts = if n % 10 < 2 { 9_000 } else { 2_500 };
            lines.extend(speaks(from, from + lasts, 1 + n % 2));
        }
        lines.push(leave(3_000_000, 1));
        let markers = markers(&lines, 0, 3_100_000);
        assert_eq!(markers.len(), 2 + 60 + 1);
        let late = (2_910_000, Moment::Speaker, 2);
        assert_eq!(told(&markers)[61], late);
        let crowd: Vec<Line> = (0..1_000).map(|n| join(n, 1)).collect();
        assert_eq!(super::markers(&crowd, 0, 2_000).len(), MOST);
    }
}
