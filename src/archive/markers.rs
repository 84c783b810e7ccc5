//! The markers of a recording and the chapters of its file, from its event log: who joined, who
//! left, who spoke; pure.

use std::collections::BTreeMap;

use super::events::{Event, LogEntry};
use crate::id::ParticipantId;
use crate::protocol::recording::{Marker, MarkerKind};

/// Largest number of markers of a recording. It keeps the metadata small, and an MP4 holds 255
/// chapters at most.
pub(super) const MAX_MARKERS: usize = 200;
/// Shortest speech that gets a marker, in ms. It doubles until there are no more than
/// [`MAX_MARKERS`].
const MIN_SPEECH_MS: u64 = 2_000;
/// Markers within this time of a chapter's beginning, in ms, are added to its title and begin no
/// chapter of their own.
const MERGE_WITHIN_MS: u64 = 1_000;
/// Longest title of a chapter, in bytes of UTF-8. A longer one is cut and ends with an ellipsis.
pub(super) const MAX_TITLE: usize = 64;

/// A chapter of a file. It lasts until the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chapter {
    /// Its beginning, in ms from that of the file.
    pub(super) at: u64,
    pub(super) title: String,
}

/// The markers of a recording that lasts `length` ms, from the entries of its event log. `start` is
/// the beginning of its file on their clock, in ms. Where there are more than [`MAX_MARKERS`], the
/// shortest speeches are left out.
pub(super) fn markers(entries: &[LogEntry], start: u64, length: u64) -> Vec<Marker> {
    let timeline = Timeline::of(entries, start, length);
    let mut shortest = MIN_SPEECH_MS;
    loop {
        let mut markers = timeline.markers(shortest);
        if markers.len() <= MAX_MARKERS || shortest > length {
            markers.truncate(MAX_MARKERS);
            return markers;
        }
        shortest *= 2;
    }
}

/// A time during which one participant was heard, in ms from the beginning of the file.
#[derive(Debug)]
struct Speech {
    from: u64,
    to: u64,
    participant: ParticipantId,
    name: String,
}

/// Who joined and left, and who spoke for how long.
#[derive(Debug, Default)]
struct Timeline {
    /// Names of the participants in the room, viewers left out.
    names: BTreeMap<ParticipantId, String>,
    /// Since when each active speaker is heard, in ms.
    speaking: BTreeMap<ParticipantId, u64>,
    /// Joins and leaves.
    attendance: Vec<Marker>,
    speeches: Vec<Speech>,
}

impl Timeline {
    fn of(entries: &[LogEntry], start: u64, length: u64) -> Self {
        let mut timeline = Self::default();
        for entry in entries {
            let at = entry.at.saturating_sub(start);
            if at < length.max(1) {
                timeline.apply(at, &entry.event);
            }
        }
        let speaking: Vec<ParticipantId> = timeline.speaking.keys().copied().collect();
        for participant in speaking {
            timeline.end_speech(length, participant);
        }
        timeline.speeches.sort_by_key(|speech| speech.from);
        timeline
    }

    /// Follows one event. `at` is 0 for all that happened before the file began.
    fn apply(&mut self, at: u64, event: &Event) {
        match event {
            Event::Join {
                participant,
                name,
                viewer: false,
            } => {
                self.names.insert(*participant, name.clone());
                self.push(at, MarkerKind::Join, *participant, name.clone());
            }
            Event::Name { participant, name } => {
                if let Some(known) = self.names.get_mut(participant) {
                    known.clone_from(name);
                }
            }
            Event::Leave { participant } => self.leave(at, *participant),
            Event::Speaker {
                participant,
                speaking: true,
            } => {
                self.speaking.entry(*participant).or_insert(at);
            }
            Event::Speaker { participant, .. } => self.end_speech(at, *participant),
            _ => {}
        }
    }

    fn push(&mut self, at_ms: u64, kind: MarkerKind, participant: ParticipantId, name: String) {
        self.attendance.push(Marker {
            at_ms,
            kind,
            participant,
            name,
        });
    }

    fn leave(&mut self, at: u64, who: ParticipantId) {
        self.end_speech(at, who);
        let Some(name) = self.names.remove(&who) else {
            return;
        };
        match at {
            // Left before the file began: nothing of them is in it.
            0 => self.attendance.retain(|marker| marker.participant != who),
            _ => self.push(at, MarkerKind::Leave, who, name),
        }
    }

    fn end_speech(&mut self, to: u64, participant: ParticipantId) {
        let name = self.names.get(&participant).cloned();
        if let (Some(from), Some(name)) = (self.speaking.remove(&participant), name) {
            self.speeches.push(Speech {
                from,
                to,
                participant,
                name,
            });
        }
    }

    /// Its markers in order of time. A speech shorter than `shortest` ms has none, nor has one by
    /// the participant who has the marker before.
    fn markers(&self, shortest: u64) -> Vec<Marker> {
        let mut markers = self.attendance.clone();
        let mut last = None;
        for speech in self
            .speeches
            .iter()
            .filter(|speech| speech.to - speech.from >= shortest)
        {
            if last.replace(speech.participant) != Some(speech.participant) {
                markers.push(Marker {
                    at_ms: speech.from,
                    kind: MarkerKind::Speaker,
                    participant: speech.participant,
                    name: speech.name.clone(),
                });
            }
        }
        markers.sort_by_key(|marker| marker.at_ms);
        markers
    }
}

/// The chapters of a file with these markers. There is always one at its beginning.
pub(super) fn chapters(markers: &[Marker]) -> Vec<Chapter> {
    let mut chapters = vec![Chapter {
        at: 0,
        title: "Start".to_owned(),
    }];
    for marker in markers {
        let text = match marker.kind {
            // In the room already when the file began.
            MarkerKind::Join if marker.at_ms == 0 => continue,
            MarkerKind::Join => format!("{} joins", marker.name),
            MarkerKind::Leave => format!("{} leaves", marker.name),
            MarkerKind::Speaker => format!("{} speaks", marker.name),
        };
        match chapters.last_mut() {
            Some(last) if marker.at_ms - last.at < MERGE_WITHIN_MS => {
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

/// Cuts a title to [`MAX_TITLE`] bytes, at the border of a character.
fn shorten(title: &mut String) {
    const MORE: char = '…';
    if title.len() > MAX_TITLE {
        title.truncate(title.floor_char_boundary(MAX_TITLE - MORE.len_utf8()));
        title.push(MORE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(at: u64, n: u32) -> LogEntry {
        let event = Event::Join {
            participant: ParticipantId::new(n),
            name: format!("P{n}"),
            viewer: n >= 100,
        };
        LogEntry { at, event }
    }

    fn leave(at: u64, n: u32) -> LogEntry {
        let participant = ParticipantId::new(n);
        let event = Event::Leave { participant };
        LogEntry { at, event }
    }

    fn speaks(from: u64, to: u64, n: u32) -> [LogEntry; 2] {
        [(from, true), (to, false)].map(|(at, speaking)| {
            let participant = ParticipantId::new(n);
            let event = Event::Speaker {
                participant,
                speaking,
            };
            LogEntry { at, event }
        })
    }

    fn brief(markers: &[Marker]) -> Vec<(u64, MarkerKind, u32)> {
        let short = |one: &Marker| (one.at_ms, one.kind, one.participant.ordinal());
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
            (0, MarkerKind::Join, 1),
            (0, MarkerKind::Join, 2),
            (0, MarkerKind::Speaker, 1),
            (10_000, MarkerKind::Speaker, 2),
            (13_000, MarkerKind::Join, 4),
            (20_000, MarkerKind::Leave, 2),
        ];
        assert_eq!(brief(&markers), expected);
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
        let lines = [join(0, 1), LogEntry { at: 5_000, event }, speaks];
        let markers = markers(&lines, 0, 9_500);
        assert_eq!(brief(&markers)[1], (7_000, MarkerKind::Speaker, 1));
        assert_eq!([&markers[0].name, &markers[1].name], ["P1", "Ann"]);
        assert_eq!(
            brief(&super::markers(&lines, 0, 8_500)).len(),
            1,
            "too short"
        );
    }

    #[test]
    fn what_comes_together_is_one_chapter_with_a_title_that_is_not_too_long() {
        let lines: Vec<LogEntry> = (1..30).map(|n| join(5_000 + u64::from(n), n)).collect();
        let markers = markers(&lines, 0, 60_000);
        assert_eq!(markers.len(), 29);
        let chapters = chapters(&markers);
        assert_eq!(chapters.len(), 2);
        assert!(chapters[1].title.starts_with("P1 joins, P2 joins, "));
        assert!(chapters[1].title.ends_with('…') && chapters[1].title.len() <= MAX_TITLE);
        let mut title = "é".repeat(40);
        shorten(&mut title);
        assert!(title.len() <= MAX_TITLE && title.ends_with("é…"));
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
        let late = (2_910_000, MarkerKind::Speaker, 2);
        assert_eq!(brief(&markers)[61], late);
        let crowd: Vec<LogEntry> = (0..1_000).map(|n| join(n, 1)).collect();
        assert_eq!(super::markers(&crowd, 0, 2_000).len(), MAX_MARKERS);
    }
}
