//! What a room tells its participants, and the bounded queue in which that waits for whoever reads
//! it.
//!
//! Most notices are states: the room's, the slots', the levels'. Of each kind one waits at most, and
//! a newer one takes its place. So how often something changes is nothing to a slow reader: they get
//! fewer states, each the newest, and are not thrown out for what others do. Everything else (chat,
//! signals, candidates) waits in order.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::error::RoomError;
use crate::id::{Mid, ParticipantId, Role};
use crate::protocol::Capture;
use crate::protocol::room::{ByeReason, Level, RoomState, SlotState};
use crate::topology::Mode;

/// A notice of the room to one participant, which signalling turns into a message.
#[derive(Debug, Clone)]
pub enum Notice {
    /// The new published state of the room.
    Room(Arc<RoomState>),
    /// An ICE candidate of the server that was not in the answer; `None` after the last one.
    Candidate(Mid, Option<String>),
    /// Sound levels of the microphones, dBov.
    Levels(Arc<[Level]>),
    /// The mode in which the participant is served, and who is in which forward slot.
    Slots(Mode, Vec<SlotState>),
    /// Whether to send: false pauses the participant's upstream, true resumes it.
    Uplinks(bool),
    /// The size, frame rate and bitrate at which to send the camera.
    Capture(Capture),
    /// A chat text, and its author.
    Chat(ParticipantId, Arc<str>),
    /// A signal from another participant to this one.
    Signal(ParticipantId, serde_json::Value),
    /// A chat text or signal of this participant was not delivered: its addressee reads too slowly.
    Refused(RoomError),
    /// The last notice: the participant has been removed for this reason.
    Bye(ByeReason),
}

/// The notices that are states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Room,
    Levels,
    Slots,
    Uplinks,
    Camera,
    Screen,
}

impl Kind {
    const COUNT: usize = 6;

    /// `None` for a notice that is no state.
    fn of(notice: &Notice) -> Option<Self> {
        match notice {
            Notice::Room(_) => Some(Self::Room),
            Notice::Levels(_) => Some(Self::Levels),
            Notice::Slots(..) => Some(Self::Slots),
            Notice::Uplinks(_) => Some(Self::Uplinks),
            Notice::Capture(capture) if capture.role == Role::Screen => Some(Self::Screen),
            Notice::Capture(_) => Some(Self::Camera),
            Notice::Candidate(..)
            | Notice::Chat(..)
            | Notice::Signal(..)
            | Notice::Refused(_)
            | Notice::Bye(_) => None,
        }
    }
}

/// What stands in the queue.
#[derive(Debug)]
enum Entry {
    Once(Notice),
    /// The newest state of this kind, whichever that will be.
    Newest(Kind),
}

/// The newest state of a kind, if it has not been read.
#[derive(Debug, Default)]
struct Cell {
    unread: Option<Notice>,
    /// Whether an [`Entry`] of this kind stands in the queue.
    queued: bool,
}

type Cells = Arc<Mutex<[Cell; Kind::COUNT]>>;

/// Why a notice was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untold {
    /// Too much waits already.
    Full,
    /// Nobody reads any more.
    Closed,
}

/// The room's end of the queue to one participant.
#[derive(Debug, Clone)]
pub struct NoticeSender {
    queue: mpsc::Sender<Entry>,
    cells: Cells,
}

/// Signalling's end of the queue to one participant.
#[derive(Debug)]
pub struct NoticeReceiver {
    queue: mpsc::Receiver<Entry>,
    cells: Cells,
    /// What is to be read next, before the queue.
    next: Option<Notice>,
}

/// A queue in which `places` notices may wait. States take one for each kind at most.
pub fn queue(places: usize) -> (NoticeSender, NoticeReceiver) {
    let (sender, receiver) = mpsc::channel(places);
    let cells = Cells::default();
    let receiver = NoticeReceiver {
        queue: receiver,
        cells: Arc::clone(&cells),
        next: None,
    };
    let sender = NoticeSender {
        queue: sender,
        cells,
    };
    (sender, receiver)
}

impl NoticeSender {
    /// Puts a notice into the queue, or in the place of an older state of its kind.
    ///
    /// # Errors
    /// [`Untold`] if there is no place, or nobody to read it.
    pub(crate) fn send(&self, notice: Notice) -> Result<(), Untold> {
        let Some(kind) = Kind::of(&notice) else {
            return self.put(Entry::Once(notice));
        };
        // Held until the entry stands, so that the reader finds the state that it is for.
        let mut cells = self.cells.lock();
        let cell = &mut cells[kind as usize];
        if !cell.queued {
            self.put(Entry::Newest(kind))?;
            cell.queued = true;
        } else if self.queue.is_closed() {
            return Err(Untold::Closed);
        }
        cell.unread = Some(notice);
        Ok(())
    }

    fn put(&self, entry: Entry) -> Result<(), Untold> {
        self.queue.try_send(entry).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Untold::Full,
            mpsc::error::TrySendError::Closed(_) => Untold::Closed,
        })
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Whether at least half of the places are free.
    pub(crate) fn has_time(&self) -> bool {
        self.queue.capacity() >= self.queue.max_capacity() / 2
    }
}

impl NoticeReceiver {
    /// The next notice; `None` when the room has ended without a `Bye`. A notice may be dropped
    /// while it is waited for: nothing is lost.
    ///
    /// States name participants whom an unread state of the room may be the first to tell of, so
    /// that one is read before them, whatever its place.
    pub async fn recv(&mut self) -> Option<Notice> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        loop {
            let kind = match self.queue.recv().await? {
                Entry::Once(notice) => return Some(notice),
                Entry::Newest(kind) => kind,
            };
            let mut cells = self.cells.lock();
            let cell = &mut cells[kind as usize];
            cell.queued = false;
            // `None`: it went before its place.
            let Some(state) = cell.unread.take() else {
                continue;
            };
            let Some(room) = cells[Kind::Room as usize].unread.take() else {
                return Some(state);
            };
            self.next = Some(state);
            return Some(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::layout::{LayoutKind, Size};
    use crate::protocol::room::MeasuredPaths;

    const PLACES: usize = 4;

    /// A state that is told from others by the width of its canvas.
    fn room(width: u32) -> Notice {
        Notice::Room(Arc::new(RoomState {
            mode: Mode::Mcu,
            layout: LayoutKind::Grid,
            canvas: Size { width, height: 2 },
            pinned: None,
            participants: Vec::new(),
            tiles: Vec::new(),
            paths: MeasuredPaths::default(),
            recordings: Vec::new(),
        }))
    }

    fn slots(count: usize) -> Notice {
        let slot = |n: usize| SlotState {
            mid: Mid(n.to_string()),
            participant: None,
            role: None,
        };
        Notice::Slots(Mode::Sfu, (0..count).map(slot).collect())
    }

    fn capture(role: Role, bitrate: u32) -> Notice {
        Notice::Capture(Capture {
            role,
            width: 2,
            height: 2,
            fps: 1,
            bitrate,
            layers: Vec::new(),
        })
    }

    fn chat(text: &str) -> Notice {
        Notice::Chat(ParticipantId::new(1), text.into())
    }

    /// All that waits, each as a word.
    fn read(receiver: &mut NoticeReceiver) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(Some(notice)) = receiver.recv().now_or_never() {
            told.push(match notice {
                Notice::Room(state) => format!("room {}", state.canvas.width),
                Notice::Slots(_, slots) => format!("slots {}", slots.len()),
                Notice::Capture(capture) => format!("{} {}", capture.role, capture.bitrate),
                Notice::Chat(_, text) => text.to_string(),
                other => format!("{other:?}"),
            });
        }
        told
    }

    #[test]
    fn a_newer_state_takes_the_place_of_one_that_was_not_read() {
        let (sender, mut receiver) = queue(PLACES);
        for n in 1..=1000 {
            assert_eq!(sender.send(room(n)), Ok(()));
        }
        assert_eq!(read(&mut receiver), ["room 1000"]);
        assert_eq!(sender.send(room(7)), Ok(()), "read, and told again");
        assert_eq!(read(&mut receiver), ["room 7"]);
    }

    #[test]
    fn each_kind_waits_for_itself_and_events_keep_their_order() {
        let (sender, mut receiver) = queue(9);
        for notice in [
            chat("a"),
            capture(Role::Camera, 1),
            capture(Role::Screen, 1),
            chat("b"),
            slots(1),
            capture(Role::Camera, 2),
            slots(2),
        ] {
            assert_eq!(sender.send(notice), Ok(()));
        }
        let told = read(&mut receiver);
        assert_eq!(told, ["a", "camera 2", "screen 1", "b", "slots 2"]);
    }

    #[test]
    fn nobody_is_told_of_somebody_whom_the_room_has_not_named() {
        let (sender, mut receiver) = queue(PLACES);
        for notice in [slots(1), room(1), slots(2)] {
            assert_eq!(sender.send(notice), Ok(()));
        }
        assert_eq!(read(&mut receiver), ["room 1", "slots 2"]);
        // The place of the state that went before is free again.
        for notice in [chat("a"), room(2), chat("b")] {
            assert_eq!(sender.send(notice), Ok(()));
        }
        assert_eq!(read(&mut receiver), ["a", "room 2", "b"]);
    }

    /// However states and reads mix, there is one entry for each kind at most.
    #[test]
    fn states_alone_never_fill_the_queue() {
        let (sender, mut receiver) = queue(Kind::COUNT);
        for n in 1..500 {
            for notice in [
                slots(1),
                room(n),
                capture(Role::Camera, n),
                Notice::Uplinks(true),
                capture(Role::Screen, n),
                Notice::Levels(Arc::from([])),
                room(n),
            ] {
                assert_eq!(sender.send(notice), Ok(()));
            }
            let read = receiver.recv().now_or_never();
            assert!(read.flatten().is_some());
        }
        assert_eq!(sender.send(room(500)), Ok(()));
        let told = read(&mut receiver);
        for newest in ["room 500", "camera 499", "screen 499"] {
            assert!(told.contains(&newest.to_owned()), "{told:?}");
        }
    }

    #[test]
    fn events_fill_it_and_an_end_is_seen() {
        let (sender, mut receiver) = queue(PLACES);
        for _ in 0..PLACES {
            assert_eq!(sender.send(chat("a")), Ok(()));
        }
        assert!(!sender.has_time());
        assert_eq!(sender.send(chat("b")), Err(Untold::Full));
        assert_eq!(sender.send(room(1)), Err(Untold::Full));
        assert_eq!(read(&mut receiver), ["a"; PLACES]);
        assert_eq!(
            sender.send(room(2)),
            Ok(()),
            "nothing is left of the one refused"
        );
        drop(receiver);
        assert!(sender.is_closed());
        for notice in [room(3), chat("c")] {
            assert_eq!(sender.send(notice), Err(Untold::Closed));
        }
    }
}
