//! Newtypes for the names that cross module borders.
//!
//! An identifier is validated where it enters the program and is a plain value from
//! then on, so nothing below the signalling layer checks characters again.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not a room id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a room id is 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'")]
pub struct BadRoomId;

/// A meeting's name: `[A-Za-z0-9_-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(try_from = "String", into = "String")]
pub struct RoomId(String);

impl RoomId {
    /// Checks `text` and wraps it.
    ///
    /// # Errors
    /// [`BadRoomId`] unless `text` matches `[A-Za-z0-9_-]{1,64}`.
    pub fn new(text: impl Into<String>) -> Result<Self, BadRoomId> {
        let text = text.into();
        let fits = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits { Ok(Self(text)) } else { Err(BadRoomId) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RoomId {
    type Error = BadRoomId;

    fn try_from(text: String) -> Result<Self, BadRoomId> {
        Self::new(text)
    }
}

impl std::str::FromStr for RoomId {
    type Err = BadRoomId;

    fn from_str(text: &str) -> Result<Self, BadRoomId> {
        Self::new(text)
    }
}

impl From<RoomId> for String {
    fn from(id: RoomId) -> Self {
        id.0
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One connection in a room, `p1`, `p2`, ... in the order of joining. Unique within the
/// life of its room and never used again in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(type = "string"))]
#[serde(try_from = "String", into = "String")]
pub struct ParticipantId(u32);

impl ParticipantId {
    /// The `n`-th participant of a room.
    pub fn new(n: u32) -> Self {
        Self(n)
    }

    /// The ordinal within the room, from 1.
    pub fn ordinal(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl From<ParticipantId> for String {
    fn from(id: ParticipantId) -> Self {
        id.to_string()
    }
}

/// Why a text is not a participant id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a participant id is 'p' and a number")]
pub struct BadParticipantId;

impl TryFrom<String> for ParticipantId {
    type Error = BadParticipantId;

    fn try_from(text: String) -> Result<Self, BadParticipantId> {
        text.parse()
    }
}

impl std::str::FromStr for ParticipantId {
    type Err = BadParticipantId;

    fn from_str(text: &str) -> Result<Self, BadParticipantId> {
        let digits = text.strip_prefix('p').ok_or(BadParticipantId)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadParticipantId);
        }
        digits.parse().map(Self).map_err(|_| BadParticipantId)
    }
}

/// The identification tag of an m-line (`a=mid`, RFC 8843).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Mid(pub String);

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a rid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a rid is 1 to 16 letters and digits")]
pub struct BadRid;

/// The name of one of a camera's encodings (`a=rid`, RFC 8851): `[A-Za-z0-9]{1,16}`, as RFC 8852
/// section 3 spells them, and shorter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(try_from = "String", into = "String")]
pub struct Rid(String);

impl Rid {
    /// Checks `text` and wraps it.
    ///
    /// # Errors
    /// [`BadRid`] unless `text` matches `[A-Za-z0-9]{1,16}`.
    pub fn new(text: impl Into<String>) -> Result<Self, BadRid> {
        let text = text.into();
        let fits = (1..=16).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            Ok(Self(text))
        } else {
            Err(BadRid)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Rid {
    type Error = BadRid;

    fn try_from(text: String) -> Result<Self, BadRid> {
        Self::new(text)
    }
}

impl From<Rid> for String {
    fn from(rid: Rid) -> Self {
        rid.0
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an m-line of a join is for. Fixed for the life of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Uplink audio.
    Mic,
    /// Uplink video of a person.
    Camera,
    /// Uplink video of a shared screen.
    Screen,
    /// Downlink audio: the room's sound less the listener's own.
    MixAudio,
    /// Downlink video: the composite.
    MixVideo,
    /// Downlink audio slot for another participant's own stream.
    ForwardAudio,
    /// Downlink video slot for another participant's own stream.
    ForwardVideo,
}

impl Role {
    /// Whether the participant sends on such an m-line.
    pub fn is_uplink(self) -> bool {
        matches!(self, Self::Mic | Self::Camera | Self::Screen)
    }

    /// Whether it is a picture that a participant sends.
    pub fn is_picture(self) -> bool {
        matches!(self, Self::Camera | Self::Screen)
    }

    /// Whether such an m-line is `m=audio`; otherwise it is `m=video`.
    pub fn is_audio(self) -> bool {
        matches!(self, Self::Mic | Self::MixAudio | Self::ForwardAudio)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mic => "mic",
            Self::Camera => "camera",
            Self::Screen => "screen",
            Self::MixAudio => "mix-audio",
            Self::MixVideo => "mix-video",
            Self::ForwardAudio => "forward-audio",
            Self::ForwardVideo => "forward-video",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ids_are_checked() {
        for good in ["a", "r1", "Team_A-7", &"x".repeat(64)] {
            assert!(RoomId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "ä", "..", &"x".repeat(65)] {
            assert_eq!(RoomId::new(bad), Err(BadRoomId), "{bad}");
        }
    }

    #[test]
    fn participant_ids_round_trip() {
        let id = ParticipantId::new(7);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "7", "p", "p-1", "p+1", "p99999999999", "q1"] {
            assert_eq!(bad.parse::<ParticipantId>(), Err(BadParticipantId), "{bad}");
        }
    }
}
