//! What can go wrong with a bot.

use std::time::Duration;

use thiserror::Error;

use crate::protocol::error::ErrorCode;
use crate::protocol::room::ByeReason;

/// Why a bot could not do what it was told.
#[derive(Debug, Error)]
pub enum BotError {
    /// The address of the server is not one.
    #[error("{0:?} is not an http or https address of a server")]
    BadServer(String),
    /// The WebSocket could not be opened, or broke.
    #[error("signalling: {0}")]
    Signalling(#[from] Box<tokio_tungstenite::tungstenite::Error>),
    /// The WHIP or WHEP request failed before there was an answer to it.
    #[error("request: {0}")]
    Request(#[from] reqwest::Error),
    /// The server said no over the WebSocket.
    #[error("refused ({code:?}): {message}")]
    Refused {
        /// The stable code.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// The server said no over HTTP.
    #[error("refused with status {status}: {body}")]
    RefusedHttp {
        /// The status.
        status: u16,
        /// The error's body, as it came.
        body: String,
    },
    /// The server ended the connection while the bot was joining or waiting for something.
    #[error("the server said bye: {0:?}")]
    Bye(ByeReason),
    /// The server closed the connection without a word, or the bot has gone.
    #[error("the connection is closed")]
    Closed,
    /// The connection did not come up, or broke.
    #[error("the peer connection failed")]
    ConnectionFailed,
    /// The SDP answer does not parse or does not fit the offer.
    #[error("the answer cannot be used: {0}")]
    BadAnswer(String),
    /// The SDP offer of another member cannot be answered.
    #[error("the offer cannot be answered: {0}")]
    BadOffer(String),
    /// Something did not happen in time.
    #[error("no {what} within {after:?}")]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        after: Duration,
    },
    /// The bot was not configured for what is asked of it.
    #[error("the bot has no {0}")]
    NotConfigured(&'static str),
    /// GStreamer failed.
    #[error("media: {0}")]
    Media(String),
}

impl BotError {
    /// A GStreamer failure, with what was being done.
    pub(crate) fn media(doing: &str, error: impl std::fmt::Display) -> Self {
        Self::Media(format!("{doing}: {error}"))
    }
}

impl From<tokio_tungstenite::tungstenite::Error> for BotError {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        Self::Signalling(Box::new(error))
    }
}
