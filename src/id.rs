//! Identifiers that several modules use.
//!
//! An identifier is checked where it enters the program and is a plain value from then on, so
//! nothing below the signalling layer checks characters again.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is not a [`RoomId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a room id is 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'")]
pub struct BadRoomId;

/// The name of a room: `[A-Za-z0-9_-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(try_from = "String", into = "String")]
pub struct RoomId(String);

impl RoomId {
    /// The id that `text` spells.
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

    /// The id as it is written on the wire.
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

/// A participant of a room: `p1`, `p2`, ... in the order of joining. A room never uses an id twice.
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

    /// The number of the participant in the order of joining, from 1.
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

/// A text that is not a [`ParticipantId`].
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

/// A text that is not a [`Rid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a rid is 1 to 16 letters and digits")]
pub struct BadRid;

/// The name of one simulcast encoding of a camera (`a=rid`, RFC 8851): `[A-Za-z0-9]{1,16}`. RFC
/// 8852 section 3 allows these characters; the length is limited here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(try_from = "String", into = "String")]
pub struct Rid(String);

impl Rid {
    /// The name that `text` spells.
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

    /// The name as it is written in SDP.
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

/// What an m-line of an offer is for. Fixed for the life of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Uplink audio of a microphone.
    Mic,
    /// Uplink video of a camera.
    Camera,
    /// Uplink video of a shared screen.
    Screen,
    /// Downlink audio: the mix of the room without the listener's own voice (mix-minus).
    MixAudio,
    /// Downlink video: the composite of the room.
    MixVideo,
    /// Downlink audio: a forward slot for another participant's stream.
    ForwardAudio,
    /// Downlink video: a forward slot for another participant's stream.
    ForwardVideo,
}

impl Role {
    /// Whether the participant sends on such an m-line.
    pub fn is_uplink(self) -> bool {
        matches!(self, Self::Mic | Self::Camera | Self::Screen)
    }

    /// Whether the participant sends video on such an m-line.
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

/// An uplink of a participant, as the mixer identifies its sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId {
    /// Participant who sends it.
    pub participant: ParticipantId,
    /// Which of the uplinks it is: mic, camera or screen.
    pub role: Role,
}

impl SourceId {
    /// Whether this is a shared screen.
    pub(crate) fn is_screen(self) -> bool {
        self.role == Role::Screen
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.participant, self.role)
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
