//! Why an offer is not taken.

use thiserror::Error;

use crate::id::Mid;

/// Why an offer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum OfferError {
    /// It is no offer that a peer connection can answer.
    #[error("{0}")]
    Malformed(String),
    /// It has more m-lines than are taken.
    #[error("{got} m-lines, at most {limit} are taken")]
    TooManyMlines { got: usize, limit: usize },
    /// The roles that were named do not fit the m-lines.
    #[error("{0}")]
    Roles(String),
    /// None of the codecs of an m-line is spoken here.
    #[error("m-line {mid} offers none of {spoken}")]
    Codec {
        mid: Mid,
        /// Encoding names that would have been taken.
        spoken: String,
    },
}

/// An [`OfferError::Malformed`] that says `text`.
pub(super) fn malformed(text: impl Into<String>) -> OfferError {
    OfferError::Malformed(text.into())
}
