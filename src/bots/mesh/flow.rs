//! What arrives from another participant of a mesh, compared with what they send; pure.

use std::time::Duration;

use crate::id::ParticipantId;
use crate::protocol::room::{RoomState, UplinkState};

/// Time since the last packet from which on media no longer counts as received; as the page has it.
const STALE: Duration = Duration::from_secs(2);

/// Time since a connection came up after which it counts as received even if some of its media is
/// missing; as the page has it.
const INCOMPLETE: Duration = Duration::from_millis(1_500);

/// Time since the last packet of each kind of media; `None` until something came with which a
/// decoder can start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) mic: Option<Duration>,
    pub(crate) camera: Option<Duration>,
    pub(crate) screen: Option<Duration>,
}

impl Flow {
    /// Whether any media at all arrives.
    pub(crate) fn is_alive(self) -> bool {
        let ages = [self.mic, self.camera, self.screen];
        ages.into_iter().flatten().any(|age| age < STALE)
    }
}

/// What a participant sends, as far as the room knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sends {
    mic: bool,
    camera: bool,
    screen: bool,
}

impl Sends {
    pub(crate) fn any(self) -> bool {
        self.mic || self.camera || self.screen
    }

    /// Whether what is sent arrives over a connection that has been up for `up`: all of it, or
    /// after [`INCOMPLETE`] any of it.
    pub(crate) fn arrives(self, flow: Flow, up: Duration) -> bool {
        let lines = [
            (self.mic, flow.mic),
            (self.camera, flow.camera),
            (self.screen, flow.screen),
        ];
        let mut sent = lines.into_iter().filter(|(sent, _)| *sent);
        let comes = |(_, age): (bool, Option<Duration>)| age.is_some_and(|age| age < STALE);
        sent.clone().all(comes) || (up > INCOMPLETE && sent.any(comes))
    }
}

/// What the room says a participant sends.
pub(crate) fn sends(room: &RoomState, who: ParticipantId) -> Sends {
    let member = room.participants.iter().find(|member| member.id == who);
    // In a mesh nothing reaches the server any more, so what stalls there may well be sent.
    let sent = |state: UplinkState| matches!(state, UplinkState::Live | UplinkState::Stalled);
    Sends {
        mic: member.is_some_and(|member| sent(member.mic)),
        camera: member.is_some_and(|member| sent(member.camera)),
        // A screen that is no longer shared stalls, too.
        screen: member.is_some_and(|member| member.screen == UplinkState::Live),
    }
}
