//! Whether the server delivers to a bot all it should. Until then the bot keeps its mesh.

use std::sync::Arc;
use std::time::Duration;

use super::published::{Published, Slots};
use crate::bots::observe::detection::Path;
use crate::bots::rtc::peer::Peer;
use crate::bots::rtc::receive::Incoming;
use crate::id::ParticipantId;
use crate::protocol::room::{ParticipantState, RoomState, UplinkState};
use crate::topology::Mode;

/// Time since the last frame of a stream below which it counts as flowing.
const FLOWING: Duration = Duration::from_millis(300);

/// A function that says, at an instant of the machine's clock, whether the server delivers all it
/// should: in mode `sfu` the forwards, else audio and video of the mix.
pub(crate) fn watcher(
    peer: &Arc<Peer>,
    published: &Published,
    own: ParticipantId,
) -> Box<dyn Fn(Duration) -> bool + Send + Sync> {
    let peer = Arc::downgrade(peer);
    let (slots, room) = (published.slots.subscribe(), published.room.subscribe());
    Box::new(move |now| {
        let Some(peer) = peer.upgrade() else {
            return false;
        };
        let lines: Vec<_> = peer.incoming().cloned().collect();
        match (&*slots.borrow(), &*room.borrow()) {
            (Some(slots), Some(room)) if slots.mode == Mode::Sfu => {
                forwards(&lines, slots, room, own, now)
            }
            _ => {
                let mut mix = lines.iter().filter(|line| line.path() == Path::Mix);
                mix.all(|line| flows(line, now))
            }
        }
    })
}

fn flows(line: &Incoming, now: Duration) -> bool {
    let last = line.last_frame();
    last.is_some_and(|last| now.saturating_sub(last) < FLOWING)
}

/// Whether the forward m-lines deliver: as many of each kind as there are senders, or all of them
/// if there are more senders, each the participant that `slots` names.
fn forwards(
    lines: &[Arc<Incoming>],
    slots: &Slots,
    room: &RoomState,
    own: ParticipantId,
    now: Duration,
) -> bool {
    [true, false].into_iter().all(|audio| {
        let lines = lines.iter().filter(|line| line.path() == Path::Forward);
        let lines: Vec<_> = lines
            .filter(|line| line.role().is_audio() == audio)
            .collect();
        let delivering = slots.slots.iter().filter(|slot| {
            let line = lines.iter().find(|line| line.mid() == Some(&slot.mid));
            slot.participant.is_some()
                && line.is_some_and(|l| flows(l, now) && l.newest_from() == slot.participant)
        });
        let others = room.participants.iter().filter(|p| p.id != own);
        let due = others.filter(|p| sends(p, audio)).count();
        delivering.count() >= due.min(lines.len())
    })
}

fn sends(member: &ParticipantState, audio: bool) -> bool {
    let state = if audio { member.mic } else { member.camera };
    // What stalled because nobody wanted it (dynacast) has to come back first.
    matches!(state, UplinkState::Live | UplinkState::Stalled)
}
