//! What the server has said to a bot, for whoever waits for some of it.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};

use crate::bots::clock;
use crate::bots::observe::observer::Observer;
use crate::id::Role;
use crate::layout::Size;
use crate::protocol::ServerMessage;
use crate::protocol::room::{ByeReason, RoomState, SlotState};
use crate::topology::Mode;

/// Messages of the server kept for a reader who is slow.
const NOTICES: usize = 1024;

/// The published side of a bot's signalling.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) room: watch::Sender<Option<RoomState>>,
    pub(crate) notices: broadcast::Sender<ServerMessage>,
    pub(crate) slots: watch::Sender<Option<Slots>>,
    pub(crate) uplinks: watch::Sender<bool>,
    /// Why the server ended it, once it has.
    pub(crate) bye: watch::Sender<Option<ByeReason>>,
    pub(crate) observer: Arc<Observer>,
    /// What a member of a mesh has to know, in the order in which it was said.
    pub(crate) mesh: mpsc::UnboundedSender<ServerMessage>,
    pub(crate) capture: watch::Sender<Option<(Size, u32)>>,
}

/// How a bot is served: what `slots` said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// The mode it is served in.
    pub mode: Mode,
    /// Who is in each forward m-line.
    pub slots: Vec<SlotState>,
}

impl Published {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<ServerMessage>) {
        let (mesh, inbox) = mpsc::unbounded_channel();
        let published = Self {
            room: watch::Sender::new(None),
            notices: broadcast::Sender::new(NOTICES),
            slots: watch::Sender::new(None),
            uplinks: watch::Sender::new(true),
            bye: watch::Sender::new(None),
            observer: Arc::default(),
            mesh,
            capture: watch::Sender::new(None),
        };
        (published, inbox)
    }

    /// Tells everybody who looks.
    pub(crate) fn publish(&self, message: ServerMessage) {
        if matches!(
            message,
            ServerMessage::Welcome { .. }
                | ServerMessage::Room(_)
                | ServerMessage::Signal { .. }
                | ServerMessage::Bye { .. }
        ) {
            // Nobody takes it where the bot is no member of a mesh.
            let _ = self.mesh.send(message.clone());
        }
        match &message {
            ServerMessage::Room(state) => {
                self.observer.room(state, clock::now());
                self.room.send_replace(Some(state.clone()));
            }
            ServerMessage::Capture {
                role: Role::Camera,
                width,
                height,
                fps,
                ..
            } => {
                let size = Size {
                    width: *width,
                    height: *height,
                };
                self.capture.send_replace(Some((size, *fps)));
            }
            ServerMessage::Slots { mode, slots } => {
                let (mode, slots) = (*mode, slots.clone());
                self.slots.send_replace(Some(Slots { mode, slots }));
            }
            ServerMessage::Uplinks { wanted } => {
                self.uplinks.send_replace(*wanted);
            }
            ServerMessage::Bye { reason } => {
                self.bye.send_replace(Some(*reason));
            }
            _ => {}
        }
        // Nobody reading is fine.
        let _ = self.notices.send(message);
    }
}
