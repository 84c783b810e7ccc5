//! The difference between two states of a room, as events of a recording's log; pure.

use crate::archive::events::Event;
use crate::id::{ParticipantId, Role};
use crate::protocol::room::{ParticipantState, RoomState, UplinkState};

/// The events that lead from `before` to `after`. Without `before`, those that tell all of `after`.
pub(crate) fn changes(before: Option<&RoomState>, after: &RoomState) -> Vec<Event> {
    let mut events = Vec::new();
    if before.map(|room| room.mode) != Some(after.mode) {
        events.push(Event::Mode { mode: after.mode });
    }
    if before.map(|room| room.layout) != Some(after.layout) {
        let layout = after.layout;
        events.push(Event::Layout { layout });
    }
    let known = before.map_or(&[][..], |room| &room.participants);
    for was in known.iter().filter(|was| was.connected) {
        if find(&after.participants, was.id).is_none() {
            let participant = was.id;
            events.push(Event::Leave { participant });
        }
    }
    for is in after.participants.iter().filter(|is| is.connected) {
        events.extend(of_participant(find(known, is.id), is));
    }
    let pinned = before.and_then(|room| room.pinned);
    if pinned != after.pinned {
        let participant = after.pinned;
        events.push(Event::Pin { participant });
    }
    events
}

/// A connected participant. Others are not in the log: nobody sees or hears them.
fn find(people: &[ParticipantState], who: ParticipantId) -> Option<&ParticipantState> {
    people.iter().find(|one| one.id == who && one.connected)
}

fn of_participant(was: Option<&ParticipantState>, is: &ParticipantState) -> Vec<Event> {
    let participant = is.id;
    let mut events = Vec::new();
    let name = is.name.clone();
    match was {
        None => events.push(Event::Join {
            participant,
            name,
            viewer: is.viewer,
        }),
        Some(was) if was.name != name => events.push(Event::Name { participant, name }),
        Some(_) => {}
    }
    for role in [Role::Mic, Role::Camera, Role::Screen] {
        let was = was.is_some_and(|was| is_muted(was, role));
        let muted = is_muted(is, role);
        if was != muted {
            events.push(Event::Mute {
                participant,
                role,
                muted,
            });
        }
    }
    let speaking = is.speaking;
    if was.is_some_and(|was| was.speaking) != speaking {
        events.push(Event::Speaker {
            participant,
            speaking,
        });
    }
    events
}

fn is_muted(person: &ParticipantState, role: Role) -> bool {
    let uplink = match role {
        Role::Mic => person.mic,
        Role::Camera => person.camera,
        _ => person.screen,
    };
    uplink == UplinkState::Muted
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::layout::{LayoutKind, Size};
    use crate::protocol::room::MeasuredPaths;
    use crate::topology::Mode;

    fn person(n: u32) -> ParticipantState {
        ParticipantState {
            id: ParticipantId::new(n),
            name: format!("Person {n}"),
            speaking: false,
            hand: false,
            mic: UplinkState::Live,
            camera: UplinkState::Live,
            screen: UplinkState::None,
            viewer: false,
            connected: true,
            view: None,
        }
    }

    pub(crate) fn room(participants: Vec<ParticipantState>) -> RoomState {
        RoomState {
            mode: Mode::Mcu,
            layout: LayoutKind::Grid,
            canvas: Size {
                width: 1280,
                height: 720,
            },
            pinned: None,
            participants,
            tiles: Vec::new(),
            paths: MeasuredPaths::default(),
            recordings: Vec::new(),
        }
    }

    fn join(n: u32) -> Event {
        Event::Join {
            participant: ParticipantId::new(n),
            name: format!("Person {n}"),
            viewer: false,
        }
    }

    #[test]
    fn a_beginning_tells_everything_and_no_change_nothing() {
        let mut muted = person(2);
        (muted.mic, muted.speaking) = (UplinkState::Muted, true);
        let before = room(vec![person(1), muted]);
        let participant = ParticipantId::new(2);
        let expected = [
            Event::Mode { mode: Mode::Mcu },
            Event::Layout {
                layout: LayoutKind::Grid,
            },
            join(1),
            join(2),
            Event::Mute {
                participant,
                role: Role::Mic,
                muted: true,
            },
            Event::Speaker {
                participant,
                speaking: true,
            },
        ];
        assert_eq!(changes(None, &before), expected);
        assert_eq!(changes(Some(&before), &before), []);
    }

    #[test]
    fn people_come_when_they_are_connected_and_go() {
        let mut joining = person(2);
        joining.connected = false;
        let (one, two) = (
            room(vec![person(1)]),
            room(vec![person(1), joining.clone()]),
        );
        assert_eq!(changes(Some(&one), &two), [], "not there yet");
        let three = room(vec![person(1), person(2)]);
        assert_eq!(changes(Some(&two), &three), [join(2)]);
        let leave = Event::Leave {
            participant: ParticipantId::new(2),
        };
        for after in [&one, &two] {
            let gone = changes(Some(&three), after);
            let expected = std::slice::from_ref(&leave);
            assert_eq!(gone, expected, "whoever comes anew has gone before");
        }
    }

    #[test]
    fn what_changes_of_a_room_and_its_people_is_told() {
        let before = room(vec![person(1)]);
        let mut after = before.clone();
        (after.layout, after.mode) = (LayoutKind::Spotlight, Mode::Sfu);
        after.pinned = Some(ParticipantId::new(1));
        after.participants[0].name = "Ann".to_owned();
        after.participants[0].camera = UplinkState::Stalled;
        let participant = ParticipantId::new(1);
        let expected = [
            Event::Mode { mode: Mode::Sfu },
            Event::Layout {
                layout: LayoutKind::Spotlight,
            },
            Event::Name {
                participant,
                name: "Ann".to_owned(),
            },
            Event::Pin {
                participant: Some(participant),
            },
        ];
        assert_eq!(changes(Some(&before), &after), expected);
    }
}
