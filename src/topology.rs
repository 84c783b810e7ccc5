//! Modes and the path arithmetic that goes with them; pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a room's media travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decoded, composited and mixed here (RFC 7667 section 3.6, Topo-Mixer).
    Mcu,
    /// Packets forwarded unchanged (RFC 7667 section 3.7, Topo-SFM).
    Sfu,
    /// Between the participants themselves; the server only signals.
    P2p,
}

impl Mode {
    /// All modes, the mix first.
    pub const ALL: [Self; 3] = [Self::Mcu, Self::Sfu, Self::P2p];

    /// The mode's name on the wire and in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mcu => "mcu",
            Self::Sfu => "sfu",
            Self::P2p => "p2p",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a mode is mcu, sfu or p2p")]
pub struct BadMode;

impl FromStr for Mode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<Self, BadMode> {
        let mut all = Self::ALL.into_iter();
        all.find(|mode| mode.as_str() == text).ok_or(BadMode)
    }
}

/// How many paths a call takes. A path is one one-way media flow between two machines; the
/// sound and the picture of one person travel together and count as one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Paths {
    /// Paths with a participant at one end: what people's own links carry.
    pub outside: u64,
    /// Paths from one server to another.
    pub inside: u64,
}

/// How the people of a call are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Topology {
    /// Everybody sends to everybody directly.
    #[serde(rename = "p2p")]
    P2p,
    /// Everybody sends to everybody, each flow through one relay (RFC 8656).
    #[serde(rename = "turn")]
    Turn,
    /// Everybody sends to a server that forwards to all others.
    #[serde(rename = "sfu")]
    Sfu,
    /// Like `sfu`, with a relay between each participant and the server.
    #[serde(rename = "turn+sfu")]
    TurnSfu,
    /// Everybody sends to a server that sends one mix to each.
    #[serde(rename = "mcu")]
    Mcu,
    /// Like `mcu`, with a relay between each participant and the server.
    #[serde(rename = "turn+mcu")]
    TurnMcu,
}

impl Topology {
    /// All of them, in the order of the comparison's table.
    pub const ALL: [Self; 6] = [
        Self::P2p,
        Self::Turn,
        Self::Sfu,
        Self::TurnSfu,
        Self::Mcu,
        Self::TurnMcu,
    ];

    /// The topology's name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P2p => "p2p",
            Self::Turn => "turn",
            Self::Sfu => "sfu",
            Self::TurnSfu => "turn+sfu",
            Self::Mcu => "mcu",
            Self::TurnMcu => "turn+mcu",
        }
    }

    /// The paths of a call in which all `participants` send and receive. Saturates.
    ///
    /// A mixing server sends to somebody who is alone too (their own picture); a forwarding one
    /// has nothing to send them.
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

/// Why a text is not a topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a topology is p2p, turn, sfu, turn+sfu, mcu or turn+mcu")]
pub struct BadTopology;

impl FromStr for Topology {
    type Err = BadTopology;

    fn from_str(text: &str) -> Result<Self, BadTopology> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.as_str() == text).ok_or(BadTopology)
    }
}

/// The topology of a mode, without relays.
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
    fn names_on_the_wire() {
        let names = serde_json::to_string(&Topology::ALL).expect("plain names");
        assert_eq!(names, r#"["p2p","turn","sfu","turn+sfu","mcu","turn+mcu"]"#);
        for topology in Topology::ALL {
            let wire = serde_json::to_value(topology).ok();
            assert_eq!(wire, Some(topology.as_str().into()));
            assert_eq!(topology.as_str().parse(), Ok(topology));
        }
        for mode in Mode::ALL {
            assert_eq!(serde_json::to_value(mode).ok(), Some(mode.as_str().into()));
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert_eq!("MCU".parse::<Mode>(), Err(BadMode));
        assert_eq!("turn+p2p".parse::<Topology>(), Err(BadTopology));
    }
}
