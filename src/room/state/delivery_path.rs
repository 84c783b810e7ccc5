//! The delivery path of a participant's media (mix, forward slots or mesh), and the handover from
//! one to another without a gap: the old path goes on until the new one delivers; pure.

use std::time::Duration;

/// Longest handover of pictures: after it the old path ends even if the new one does not deliver.
/// A camera that sends nothing must not keep a mixer alive.
pub(crate) const HANDOVER_LIMIT: Duration = Duration::from_millis(1500);
/// Longest handover of sound from the mix to forward slots. Short, because a microphone in a pause
/// may send nothing.
pub(crate) const SOUND_FORWARD_LIMIT: Duration = Duration::from_millis(200);
/// Longest handover of sound from forward slots to the mix. A recent speaker may have stopped, so
/// it cannot wait for their voice. Were it longer, those who do speak would be heard twice.
pub(crate) const SOUND_MIX_LIMIT: Duration = Duration::from_millis(600);
/// How long forwarded sound goes on after the mix contains all speakers. The mix has yet to pass
/// the gate, the encoder, the network and the jitter buffer.
pub(crate) const SOUND_OVERLAP: Duration = Duration::from_millis(120);
/// How long forwarded pictures go on after the composite shows everybody. It has yet to be
/// encoded, sent and decoded.
pub(crate) const PICTURE_OVERLAP: Duration = Duration::from_millis(100);

/// Kind of media. Each has a delivery path of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MediaKind {
    Picture,
    Sound,
}

impl MediaKind {
    pub(crate) const BOTH: [Self; 2] = [Self::Picture, Self::Sound];
}

/// Where the media that a participant receives comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The mixer of this room.
    Mix,
    /// The uplinks of others, through forward slots.
    Forward,
    /// The other participants, without the server (mode `p2p`).
    Mesh,
}

/// The delivery path of one kind of media to one participant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum DeliveryPath {
    /// Nothing is delivered: the participant has not connected yet.
    #[default]
    None,
    /// Delivered by one route.
    Steady(Route),
    /// A handover since `since`: both routes are wired until `to` delivers.
    Moving {
        from: Route,
        to: Route,
        since: Duration,
    },
}

impl DeliveryPath {
    /// Starts a handover to `to` at `now`. A handover to another route that is under way is given
    /// up.
    pub(crate) fn switch_to(&mut self, to: Route, now: Duration) {
        *self = match *self {
            Self::Steady(from) if from != to => Self::Moving {
                from,
                to,
                since: now,
            },
            Self::Moving { from, .. } if from == to => Self::Steady(from),
            Self::Moving {
                from, to: pending, ..
            } if pending != to => Self::Moving {
                from,
                to,
                since: now,
            },
            Self::None => Self::Steady(to),
            unchanged => unchanged,
        };
        // The server cannot keep a mesh up: clients that leave it close it themselves.
        if let Self::Moving {
            from: Route::Mesh,
            to,
            ..
        } = *self
        {
            *self = Self::Steady(to);
        }
    }

    /// Ends the handover: the new route delivers. True if there was a handover.
    pub(crate) fn complete(&mut self) -> bool {
        match *self {
            Self::Moving { to, .. } => {
                *self = Self::Steady(to);
                true
            }
            _ => false,
        }
    }

    /// Whether `route` must be wired: it is in use, or part of a handover.
    pub(crate) fn uses(self, route: Route) -> bool {
        match self {
            Self::None => false,
            Self::Steady(by) => by == route,
            Self::Moving { from, to, .. } => from == route || to == route,
        }
    }

    /// The route that a handover leads to, and when the handover began.
    pub(crate) fn pending(self) -> Option<(Route, Duration)> {
        match self {
            Self::Moving { to, since, .. } => Some((to, since)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::from_secs(1);
    const T1: Duration = Duration::from_secs(2);

    fn moving(from: Route, to: Route, since: Duration) -> DeliveryPath {
        DeliveryPath::Moving { from, to, since }
    }

    #[test]
    fn the_old_way_goes_on_until_the_new_one_is_there() {
        let mut path = DeliveryPath::default();
        path.switch_to(Route::Mix, T0);
        assert_eq!(path, DeliveryPath::Steady(Route::Mix), "nothing to keep");
        path.switch_to(Route::Forward, T1);
        assert_eq!(path, moving(Route::Mix, Route::Forward, T1));
        assert!(path.uses(Route::Mix) && path.uses(Route::Forward));
        assert!(path.complete() && !path.complete());
        assert_eq!(path, DeliveryPath::Steady(Route::Forward));
    }

    #[test]
    fn a_change_of_mind_gives_up_what_has_not_come() {
        let mut path = moving(Route::Mix, Route::Forward, T0);
        path.switch_to(Route::Forward, T1);
        assert_eq!(path, moving(Route::Mix, Route::Forward, T0), "no news");
        path.switch_to(Route::Mesh, T1);
        assert_eq!(path, moving(Route::Mix, Route::Mesh, T1));
        path.switch_to(Route::Mix, T1);
        assert_eq!(path, DeliveryPath::Steady(Route::Mix));
    }

    #[test]
    fn the_mesh_is_left_at_once() {
        let mut path = DeliveryPath::Steady(Route::Mesh);
        path.switch_to(Route::Forward, T0);
        assert_eq!(path, DeliveryPath::Steady(Route::Forward));
    }
}
