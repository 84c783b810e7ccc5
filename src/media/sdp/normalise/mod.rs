//! The offer of any client, made canonical: what it means, whatever way it says it, or a precise
//! refusal. Pure.
//!
//! Clients differ in what they leave out and in what they add: attributes at session level, m-lines
//! that inherit their transport (RFC 9143 section 7.1.3), m-lines that were stopped, data channels,
//! one m-line without BUNDLE, several fingerprints. webrtcbin 1.22 refuses some of that, answers
//! some of it wrongly, and asserts on more, which ends the process. So it never sees an offer: it is
//! given a text that [`super::canonical`] writes, and [`super::answer`] turns its answer into one to
//! the m-lines that the client offered.

mod media;
mod payloads;
mod transport;

use std::collections::BTreeSet;

pub(crate) use media::{Direction, Fate, Kind, OfferedLine};
pub(crate) use payloads::{OfferedCodec, parameter};
pub(crate) use transport::IceTransport;

use super::error::{OfferError, malformed};
use super::text::Description;

/// Longest name of an m-line: as much as a header extension can carry (RFC 8285 section 4.3).
const MAX_MID: usize = 255;

/// An m-line as the client wrote it, which the answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientLine {
    pub(crate) kind: String,
    pub(crate) protocol: String,
    pub(crate) formats: String,
    /// Its `a=mid`; `None` if it has none, and then the answer has none.
    pub(crate) mid: Option<String>,
    pub(crate) fate: Fate,
}

/// An offer that can be answered.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    /// The m-lines that are answered, in the order of the offer.
    pub(crate) lines: Vec<OfferedLine>,
    /// Every m-line of the client, in its order.
    pub(crate) client_lines: Vec<ClientLine>,
    /// The one transport that carries all of [`Self::lines`].
    pub(crate) transport: IceTransport,
    /// The mids of [`Self::lines`] in the order of the offer's BUNDLE group, whose first one describes
    /// the transport; `None` if the offer has no such group, and then the answer has none.
    pub(crate) bundle: Option<Vec<String>>,
}

impl Offer {
    /// Reads an offer with at most `max_lines` m-lines.
    ///
    /// # Errors
    /// [`OfferError::Malformed`] or [`OfferError::TooManyMlines`].
    pub(crate) fn parse(text: &str, max_lines: usize) -> Result<Self, OfferError> {
        let description = Description::parse(text).map_err(malformed)?;
        let got = description.media.len();
        if got > max_lines {
            return Err(OfferError::TooManyMlines {
                got,
                limit: max_lines,
            });
        }
        Self::of(&description)
    }

    fn of(description: &Description<'_>) -> Result<Self, OfferError> {
        check_mids(description)?;
        let mut client_lines = Vec::with_capacity(description.media.len());
        let mut taken = Vec::new();
        for (index, media) in description.media.iter().enumerate() {
            let fate = match media::fate(media)? {
                Fate::Taken(_) => {
                    taken.push(index);
                    Fate::Taken(taken.len() - 1)
                }
                other => other,
            };
            client_lines.push(ClientLine {
                kind: media.kind.to_owned(),
                protocol: media.protocol.to_owned(),
                formats: media.formats.join(" "),
                mid: media.attributes.value("mid").map(str::to_owned),
                fate,
            });
        }
        if taken.is_empty() {
            return Err(malformed(
                "it has no m-line of audio or video that is in use",
            ));
        }
        let bundle = transport::bundle(description, &taken)?;
        let transport = transport::read(description, &taken, bundle.as_deref())?;
        payloads::check_unique(taken.iter().map(|index| &description.media[*index]))?;
        let lines: Vec<OfferedLine> = taken
            .iter()
            .map(|index| media::read(*index, &description.media[*index], &description.session))
            .collect();
        Ok(Self {
            bundle: bundle.map(|group| group_of(&lines, &group)),
            lines,
            client_lines,
            transport,
        })
    }

    /// Whether one of the m-lines is neither audio nor video.
    pub(crate) fn has_foreign_line(&self) -> bool {
        let mut lines = self.client_lines.iter();
        lines.any(|line| line.fate == Fate::Foreign)
    }
}

/// The mids of a BUNDLE group that are those of `lines`.
fn group_of(lines: &[OfferedLine], group: &[&str]) -> Vec<String> {
    let taken: BTreeSet<&str> = lines.iter().map(|line| line.mid.0.as_str()).collect();
    let kept = group.iter().filter(|mid| taken.contains(**mid));
    kept.map(|mid| (*mid).to_owned()).collect()
}

/// Checks that no two m-lines have the same `a=mid`, and that each is a name (a token of RFC 8866
/// section 9).
fn check_mids(description: &Description<'_>) -> Result<(), OfferError> {
    let mut known = BTreeSet::new();
    for mid in description
        .media
        .iter()
        .flat_map(|media| media.attributes.value("mid"))
    {
        if !is_token(mid) || mid.len() > MAX_MID {
            return Err(malformed(
                "an a=mid is empty, too long, or has characters that a name cannot have",
            ));
        }
        if !known.insert(mid) {
            return Err(malformed(format!("two m-lines have the same a=mid:{mid}")));
        }
    }
    Ok(())
}

/// Whether `text` is a token: printable ASCII without separators.
fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests;
