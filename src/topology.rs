//! The modes of a room, and how many media paths each takes; pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How the media of a room travels. Its text is its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The server decodes, composites and mixes (RFC 7667 section 3.6, Topo-Mixer).
    Mcu,
    /// The server forwards packets unchanged (RFC 7667 section 3.7, Topo-SFM).
    Sfu,
    /// Participants send to each other (mesh); the server only signals.
    P2p,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mcu => "mcu",
            Self::Sfu => "sfu",
            Self::P2p => "p2p",
        })
    }
}

/// A text that is not the name of a [`Mode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a mode is mcu, sfu or p2p")]
pub struct BadMode;

impl FromStr for Mode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<Self, BadMode> {
        match text {
            "mcu" => Ok(Self::Mcu),
            "sfu" => Ok(Self::Sfu),
            "p2p" => Ok(Self::P2p),
            _ => Err(BadMode),
        }
    }
}

/// The number of media paths of a call. A path is a one-way media flow between two machines; sound
/// and picture of one participant travel together and count as one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Paths {
    /// Paths with a participant at one end: the load on the participants' own links.
    pub outside: u64,
    /// Paths between two servers, such as a relay and a mixer.
    pub inside: u64,
}

/// How the participants of a call are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Topology {
    /// Each participant sends to each other one.
    #[serde(rename = "p2p")]
    P2p,
    /// Each participant sends to each other one, through one relay per flow (RFC 8656).
    #[serde(rename = "turn")]
    Turn,
    /// Each participant sends to a server, which forwards to all others.
    #[serde(rename = "sfu")]
    Sfu,
    /// [`Topology::Sfu`] with a relay between each participant and the server.
    #[serde(rename = "turn+sfu")]
    TurnSfu,
    /// Each participant sends to a server, which sends one mix to each.
    #[serde(rename = "mcu")]
    Mcu,
    /// [`Topology::Mcu`] with a relay between each participant and the server.
    #[serde(rename = "turn+mcu")]
    TurnMcu,
}

impl Topology {
    /// All topologies, in the order of the comparison's table.
    pub const ALL: [Self; 6] = [
        Self::P2p,
        Self::Turn,
        Self::Sfu,
        Self::TurnSfu,
        Self::Mcu,
        Self::TurnMcu,
    ];

    /// The paths of a call in which all `participants` send and receive. Saturates.
    ///
    /// A mixing server also sends to a participant who is alone (their own picture); a forwarding
    /// one has nothing to send them.
    pub fn paths(self, participants: usize) -> Paths {
        let n = u64::try_from(participants).unwrap_or(u64::MAX);
        let others = n.saturating_sub(1);
        let mesh = n.saturating_mul(others);
        let forwarded = n.saturating_add(mesh);
        let mixed = n.saturating_mul(2);
        // A relay turns a path between two participants into two that each touch one of them;
        // it turns a path between a participant and a server into one outside and one inside.
        let (outside, inside) = match self {
            Self::P2p => (mesh, 0),
            Self::Turn => (mesh.saturating_mul(2), 0),
            Self::Sfu => (forwarded, 0),
            Self::TurnSfu => (forwarded, forwarded),
            Self::Mcu => (mixed, 0),
            Self::TurnMcu => (mixed, mixed),
        };
        Paths { outside, inside }
    }
}

/// The topology of a mode without relays.
impl From<Mode> for Topology {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Mcu => Self::Mcu,
            Mode::Sfu => Self::Sfu,
            Mode::P2p => Self::P2p,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(participants: usize) -> Vec<(u64, u64)> {
        Topology::ALL
            .iter()
            .map(|t| t.paths(participants))
            .map(|p| (p.outside, p.inside))
            .collect()
    }

    #[test]
    fn four_people() {
        assert_eq!(
            table(4),
            [(12, 0), (24, 0), (16, 0), (16, 16), (8, 0), (8, 8)]
        );
    }

    #[test]
    fn nobody_and_one() {
        assert_eq!(table(0), [(0, 0); 6]);
        assert_eq!(table(1), [(0, 0), (0, 0), (1, 0), (1, 1), (2, 0), (2, 2)]);
    }

    #[test]
    fn a_hundred_and_too_many() {
        assert_eq!(Topology::Turn.paths(100).outside, 19_800);
        assert_eq!(Topology::TurnSfu.paths(100).inside, 10_000);
        assert_eq!(Topology::Turn.paths(usize::MAX).outside, u64::MAX);
    }

    #[test]
    fn a_mode_is_named_alike_in_text_and_on_the_wire() {
        for mode in [Mode::Mcu, Mode::Sfu, Mode::P2p] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
            let wire = serde_json::to_value(mode).expect("a plain name");
            assert_eq!(wire, mode.to_string());
        }
        assert_eq!("MCU".parse::<Mode>(), Err(BadMode));
    }

    #[test]
    fn names_on_the_wire() {
        let names = serde_json::to_string(&Topology::ALL).expect("plain names");
        assert_eq!(names, r#"["p2p","turn","sfu","turn+sfu","mcu","turn+mcu"]"#);
    }
}
