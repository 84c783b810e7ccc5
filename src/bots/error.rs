//! What can go wrong with a bot.

use std::time::Duration;

use thiserror::Error;

use crate::protocol::error::ErrorCode;
use crate::protocol::room::ByeReason;

/// Why a bot could not do what it was told.
#[derive(Debug, Error)]
pub enum BotError {
    /// The server's address is not an http or https URL.
    #[error("{0:?} is not an http or https address of a server")]
    BadServer(String),
    /// The WebSocket could not be opened, or it broke.
    #[error("signalling: {0}")]
    Signalling(#[from] Box<tokio_tungstenite::tungstenite::Error>),
    /// The WHIP or WHEP request failed before the server answered it.
    #[error("request: {0}")]
    Request(#[from] reqwest::Error),
    /// The server refused over the WebSocket.
    #[error("refused ({code:?}): {message}")]
    Refused {
        /// The error code of the wire protocol.
        code: ErrorCode,
        /// The server's explanation, meant for people.
        message: String,
    },
    /// The server refused over HTTP.
    #[error("refused with status {status}: {body}")]
    RefusedHttp {
        /// The HTTP status of the response.
        status: u16,
        /// The response's body, unchanged.
        body: String,
    },
    /// The server said `bye` while the bot was joining or waiting for something.
    #[error("the server said bye: {0:?}")]
    Bye(ByeReason),
    /// The signalling connection was closed without `bye`, or the bot has been torn down.
    #[error("the connection is closed")]
    Closed,
    /// ICE or DTLS did not come up, or the connection broke.
    #[error("the peer connection failed")]
    ConnectionFailed,
    /// The SDP answer does not parse or does not fit the offer.
    #[error("the answer cannot be used: {0}")]
    BadAnswer(String),
    /// The SDP offer of another participant cannot be answered.
    #[error("the offer cannot be answered: {0}")]
    BadOffer(String),
    /// Something did not happen within its deadline.
    #[error("no {what} within {after:?}")]
    Deadline {
        /// What was waited for, as a noun: the error reads "no {what} within ...".
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The bot was not configured for what is asked of it: it has no such m-line, camera or
    /// WebSocket.
    #[error("the bot has no {0}")]
    NotConfigured(&'static str),
    /// GStreamer failed; the text says at what.
    #[error("media: {0}")]
    Media(String),
}

impl BotError {
    /// A GStreamer failure: what was being done, and the error.
    pub(crate) fn media(doing: &str, error: impl std::fmt::Display) -> Self {
        Self::Media(format!("{doing}: {error}"))
    }
}

impl From<tokio_tungstenite::tungstenite::Error> for BotError {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        Self::Signalling(Box::new(error))
    }
}
