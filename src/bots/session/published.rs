//! What the server has said to a bot, for those who wait for some of it.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};

use crate::bots::clock;
use crate::bots::observe::observer::Observer;
use crate::id::Role;
use crate::layout::Size;
use crate::protocol::room::{ByeReason, RoomState, SlotState};
use crate::protocol::{Capture, ServerMessage};
use crate::topology::Mode;

/// Messages of the server that are kept for a slow reader.
const NOTICES: usize = 1024;

/// What the server has said: its newest state in `watch` channels, every message in `notices`.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) room: watch::Sender<Option<RoomState>>,
    pub(crate) notices: broadcast::Sender<ServerMessage>,
    pub(crate) slots: watch::Sender<Option<Slots>>,
    pub(crate) uplinks: watch::Sender<bool>,
    /// Why the server ended the connection, once it has.
    pub(crate) bye: watch::Sender<Option<ByeReason>>,
    pub(crate) observer: Arc<Observer>,
    /// The messages that a mesh member needs, in their order.
    pub(crate) mesh: mpsc::UnboundedSender<ServerMessage>,
    pub(crate) capture: watch::Sender<Option<(Size, u32)>>,
}

/// How the server serves a bot: its last `slots` message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// The mode in which it serves the bot.
    pub mode: Mode,
    /// Which participant is on each forward m-line.
    pub slots: Vec<SlotState>,
}

impl Published {
    /// Nothing said yet, and the channel of a mesh member's messages.
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

    /// Passes a message on to all who wait.
    pub(crate) fn publish(&self, message: ServerMessage) {
        if matches!(
            message,
            ServerMessage::Welcome { .. }
                | ServerMessage::Room(_)
                | ServerMessage::Signal { .. }
                | ServerMessage::Bye { .. }
        ) {
            // Without a receiver if the bot takes no part in meshes.
            let _ = self.mesh.send(message.clone());
        }
        match &message {
            ServerMessage::Room(state) => {
                self.observer.room(state, clock::now());
                self.room.send_replace(Some(state.clone()));
            }
            ServerMessage::Capture(Capture {
                role: Role::Camera,
                width,
                height,
                fps,
                ..
            }) => {
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
