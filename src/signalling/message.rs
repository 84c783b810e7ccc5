//! Text frames of the WebSocket: parsing and checks of messages, and notices as messages; pure.

use serde_json::Value;

use crate::id::SourceId;
use crate::id::{Role, RoomId};
use crate::protocol::{ClientMessage, PictureSize, ServerMessage, Track, VERSION};
use crate::room::{Notice, Roles};

use super::error::ApiError;
use super::limits::{CANDIDATE_LIMIT, CHAT_LIMIT, SIGNAL_LIMIT, SIZES_LIMIT};

/// Parses and checks one text frame.
///
/// # Errors
/// [`ApiError::UnsupportedVersion`] and [`ApiError::BadRoomId`] for such a join,
/// [`ApiError::TooLarge`] for a field over its limit, and [`ApiError::BadMessage`] for all else
/// that cannot be used.
pub(super) fn parse(text: &str) -> Result<ClientMessage, ApiError> {
    let message = serde_json::from_str(text).map_err(|error| diagnose(text, &error))?;
    check(text.len(), message)
}

/// Finds the code that says most about a frame that does not parse. A join of another protocol
/// version gets that code even if its fields differ from ours.
fn diagnose(text: &str, error: &serde_json::Error) -> ApiError {
    let join = serde_json::from_str::<Value>(text)
        .ok()
        .filter(|value| value.get("type").and_then(Value::as_str) == Some("join"));
    if let Some(join) = join {
        if let Some(version) = join.get("version").and_then(Value::as_u64)
            && version != u64::from(VERSION)
        {
            return ApiError::UnsupportedVersion(version);
        }
        if let Some(Err(error)) = join.get("room").and_then(Value::as_str).map(RoomId::new) {
            return error.into();
        }
    }
    ApiError::BadMessage(error.to_string())
}

fn check(length: usize, mut message: ClientMessage) -> Result<ClientMessage, ApiError> {
    match &mut message {
        ClientMessage::Join(join) if join.version != VERSION => {
            return Err(ApiError::UnsupportedVersion(join.version.into()));
        }
        ClientMessage::Candidate { mid, candidate } => {
            // Some browsers end their candidates with an empty one.
            candidate.take_if(|candidate| candidate.is_empty());
            let longest = mid.0.len().max(candidate.as_deref().map_or(0, str::len));
            limit("a candidate", longest, CANDIDATE_LIMIT, "bytes")?;
        }
        ClientMessage::Mute { role, .. } if !role.is_uplink() => {
            let reason = format!("{role} is not an uplink and cannot be muted");
            return Err(ApiError::BadMessage(reason));
        }
        ClientMessage::Sizes { pictures } => {
            limit("pictures", pictures.len(), SIZES_LIMIT, "entries")?;
            if let Some(one) = pictures.iter().find(|one| !one.role.is_picture()) {
                let reason = format!("{} is no picture of a participant", one.role);
                return Err(ApiError::BadMessage(reason));
            }
        }
        ClientMessage::Chat { text } => {
            limit(
                "a chat text",
                text.chars().count(),
                CHAT_LIMIT,
                "characters",
            )?;
            if text.trim().is_empty() {
                return Err(ApiError::BadMessage("a chat text is empty".into()));
            }
        }
        // The frame is at least as long as the field, so most data need not be serialized again.
        ClientMessage::Signal { data, .. } if length > SIGNAL_LIMIT => {
            limit("data", data.to_string().len(), SIGNAL_LIMIT, "bytes")?;
        }
        _ => {}
    }
    Ok(message)
}

fn limit(
    what: &'static str,
    size: usize,
    limit: usize,
    unit: &'static str,
) -> Result<(), ApiError> {
    if size > limit {
        Err(ApiError::TooLarge { what, limit, unit })
    } else {
        Ok(())
    }
}

/// Whether a message of a participant is a command: one that changes the room, or what is sent to
/// them, and so makes work for more than this connection.
pub(super) fn is_command(message: &ClientMessage) -> bool {
    match message {
        ClientMessage::Mode { .. }
        | ClientMessage::View { .. }
        | ClientMessage::Limits(_)
        | ClientMessage::Layout { .. }
        | ClientMessage::Mute { .. }
        | ClientMessage::Hand { .. }
        | ClientMessage::Pin { .. }
        | ClientMessage::Record(_) => true,
        ClientMessage::Join(_)
        | ClientMessage::Candidate { .. }
        | ClientMessage::Mesh { .. }
        | ClientMessage::Sizes { .. }
        | ClientMessage::Chat { .. }
        | ClientMessage::Signal { .. }
        | ClientMessage::Leave => false,
    }
}

/// The roles that a join names. Whether they fit the offer is checked by the room.
///
/// # Errors
/// [`ApiError::BadTracks`] if an m-line is named twice.
pub(super) fn roles(tracks: Vec<Track>) -> Result<Roles, ApiError> {
    let mut roles: Vec<(_, Role)> = Vec::with_capacity(tracks.len());
    for track in tracks {
        if roles.iter().any(|(mid, _)| *mid == track.mid) {
            let reason = format!("m-line {} has two tracks", track.mid);
            return Err(ApiError::BadTracks(reason));
        }
        roles.push((track.mid, track.role));
    }
    Ok(Roles::Named(roles))
}

/// The heights in pixels in which a client draws pictures, by uplink.
pub(super) fn heights(pictures: &[PictureSize]) -> Vec<(SourceId, u32)> {
    let height = |one: &PictureSize| {
        let PictureSize {
            participant,
            role,
            height,
        } = *one;
        (SourceId { participant, role }, height)
    };
    pictures.iter().map(height).collect()
}

/// A notice of the room as a message for the client.
pub(super) fn from_notice(notice: Notice) -> ServerMessage {
    match notice {
        Notice::Room(state) => ServerMessage::Room((*state).clone()),
        Notice::Candidate(mid, candidate) => ServerMessage::Candidate { mid, candidate },
        Notice::Levels(levels) => ServerMessage::Levels {
            levels: levels.to_vec(),
        },
        Notice::Slots(mode, slots) => ServerMessage::Slots { mode, slots },
        Notice::Uplinks(wanted) => ServerMessage::Uplinks { wanted },
        Notice::Capture(capture) => ServerMessage::Capture(capture),
        Notice::Chat(from, text) => ServerMessage::Chat {
            from,
            text: text.to_string(),
        },
        Notice::Signal(from, data) => ServerMessage::Signal { from, data },
        Notice::Refused(error) => ApiError::from(error).to_message(),
        Notice::Bye(reason) => ServerMessage::Bye { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Mid;
    use crate::protocol::error::ErrorCode;
    use proptest::prelude::*;

    fn code(text: &str) -> Option<ErrorCode> {
        parse(text).err().map(|error| error.code())
    }

    #[test]
    fn reasons_are_told_apart() {
        let join = r#"{"type":"join","version":1,"room":"r","name":"A","offer":"","tracks":[]}"#;
        assert_eq!(code(join), None);
        for (text, expected) in [
            ("", ErrorCode::BadMessage),
            ("{", ErrorCode::BadMessage),
            ("null", ErrorCode::BadMessage),
            (r#"{"type":"dance"}"#, ErrorCode::BadMessage),
            (r#"{"type":"join"}"#, ErrorCode::BadMessage),
            (&join.replace("\"r\"", "\"a/b\""), ErrorCode::BadRoomId),
            (&join.replace(":1,", ":2,"), ErrorCode::UnsupportedVersion),
            (
                r#"{"type":"join","version":9,"sdp":"x"}"#,
                ErrorCode::UnsupportedVersion,
            ),
            (
                r#"{"type":"mute","role":"mix-audio","muted":true}"#,
                ErrorCode::BadMessage,
            ),
            (r#"{"type":"chat","text":" "}"#, ErrorCode::BadMessage),
            (
                r#"{"type":"sizes","pictures":[{"participant":"p1","role":"mic","height":1}]}"#,
                ErrorCode::BadMessage,
            ),
        ] {
            assert_eq!(code(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn fields_have_limits() {
        let chat = |n| format!(r#"{{"type":"chat","text":"{}"}}"#, "ä".repeat(n));
        assert_eq!(code(&chat(CHAT_LIMIT)), None);
        assert_eq!(code(&chat(CHAT_LIMIT + 1)), Some(ErrorCode::TooLarge));

        let signal = |n| {
            format!(
                r#"{{"type":"signal","to":"p1","data":"{}"}}"#,
                "x".repeat(n)
            )
        };
        assert_eq!(code(&signal(SIGNAL_LIMIT - 2)), None, "quotes count");
        assert_eq!(code(&signal(SIGNAL_LIMIT - 1)), Some(ErrorCode::TooLarge));

        let candidate = |n| {
            format!(
                r#"{{"type":"candidate","mid":"0","candidate":"{}"}}"#,
                "x".repeat(n)
            )
        };
        assert_eq!(code(&candidate(CANDIDATE_LIMIT)), None);
        assert_eq!(
            code(&candidate(CANDIDATE_LIMIT + 1)),
            Some(ErrorCode::TooLarge)
        );
    }

    #[test]
    fn an_empty_candidate_ends_them() {
        let message = parse(r#"{"type":"candidate","mid":"0","candidate":""}"#);
        let end = ClientMessage::Candidate {
            mid: Mid("0".into()),
            candidate: None,
        };
        assert_eq!(message, Ok(end));
    }

    #[test]
    fn an_mline_has_one_role() {
        let track = |mid: &str, role| Track {
            mid: Mid(mid.into()),
            role,
        };
        let good = vec![track("0", Role::Mic), track("1", Role::Camera)];
        assert!(roles(good).is_ok());
        let twice = vec![track("0", Role::Mic), track("0", Role::Camera)];
        let error = roles(twice).expect_err("two tracks on one m-line");
        assert_eq!(error.code(), ErrorCode::BadTracks);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,300}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_type_panics(
            kind in "(join|candidate|mode|mute|pin|chat|signal|leave)",
            rest in "[\\PC\"]{0,60}",
        ) {
            let _ = parse(&format!("{{\"type\":\"{kind}\",{rest}}}"));
        }
    }
}
