//! By which way a participant is served, and how they are moved from one to another without a
//! hole: the old way goes on until the new one delivers; pure.

use std::time::Duration;

/// How long the old way goes on for a new one that does not deliver: a camera that sends
/// nothing must not keep a mixer alive.
pub(crate) const HANDOVER_LIMIT: Duration = Duration::from_millis(1500);
/// The same for sound towards forward slots, of which those in a pause may send nothing.
pub(crate) const SOUND_FORWARD_LIMIT: Duration = Duration::from_millis(200);
/// The same for sound towards the mix, where somebody who spoke lately may have stopped; longer,
/// and those who do speak would be heard twice.
pub(crate) const SOUND_MIX_LIMIT: Duration = Duration::from_millis(600);
/// How long forwarded sound goes on beside the mix: what the mixer has taken in has yet to be let
/// through its gate, encoded, sent and played.
pub(crate) const SOUND_OVERLAP: Duration = Duration::from_millis(120);
/// The same for pictures: what the canvas has drawn has yet to be encoded, sent and decoded.
pub(crate) const PICTURE_OVERLAP: Duration = Duration::from_millis(100);

/// Sound or picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MediaKind {
    Picture,
    Sound,
}

impl MediaKind {
    pub(crate) const BOTH: [Self; 2] = [Self::Picture, Self::Sound];
}

/// Where a participant's media comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The mixer.
    Mix,
    /// The others' uplinks, through forward slots.
    Forward,
    /// The others themselves.
    Mesh,
}

/// The path of one kind of media, sound or picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum DeliveryPath {
    /// Not connected yet.
    #[default]
    None,
    /// By one way.
    Steady(Route),
    /// By `from` still, until `to` delivers.
    Moving {
        from: Route,
        to: Route,
        since: Duration,
    },
}

impl DeliveryPath {
    /// Aims at `to`. What was aimed at before and has not come is given up.
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
        // The mesh is not ours to keep up: whoever leaves it looks after that themselves.
        if let Self::Moving {
            from: Route::Mesh,
            to,
            ..
        } = *self
        {
            *self = Self::Steady(to);
        }
    }

    /// What is aimed at delivers. True if that was awaited.
    pub(crate) fn complete(&mut self) -> bool {
        match *self {
            Self::Moving { to, .. } => {
                *self = Self::Steady(to);
                true
            }
            _ => false,
        }
    }

    /// Whether this way is in use, or coming to be.
    pub(crate) fn uses(self, route: Route) -> bool {
        match self {
            Self::None => false,
            Self::Steady(by) => by == route,
            Self::Moving { from, to, .. } => from == route || to == route,
        }
    }

    /// What is on its way, and since when.
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
