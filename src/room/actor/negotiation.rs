//! The negotiation of a join: the offer is read, a peer answers it, and what fails becomes a refusal.

use std::time::Duration;

use tokio::sync::Semaphore;

use crate::admission::Busy;
use crate::codec::VideoCodec;
use crate::media::peer::Peer;
use crate::media::peer::event::{OnPeerEvent, PeerError};
use crate::media::sdp::error::OfferError;
use crate::media::sdp::line::Line;
use crate::media::sdp::normalise::Offer;
use crate::media::sdp::plan::{RoleSource, plan};
use crate::room::error::RoomError;
use crate::room::handle::Roles;
use crate::room::settings::RoomSettings;

/// Longest time for an SDP negotiation, gathering included. After it the join fails.
const NEGOTIATION_DEADLINE: Duration = Duration::from_secs(8);
/// Offers that are read at once, of all rooms. Others wait: reading takes milliseconds, and nothing
/// else waits for it.
const OFFERS_AT_ONCE: usize = 2;
static READING: Semaphore = Semaphore::const_new(OFFERS_AT_ONCE);

/// The outcome of a negotiation: the peer, its SDP answer and its m-lines.
pub(crate) struct Answered {
    pub(crate) peer: Peer,
    pub(crate) answer: String,
    pub(crate) lines: Vec<Line>,
}

/// Makes a peer that answers an offer.
///
/// # Errors
/// The offer cannot be answered, or the answer takes longer than [`NEGOTIATION_DEADLINE`].
pub(crate) async fn negotiate(
    label: String,
    offer: String,
    roles: Roles,
    settings: &RoomSettings,
    on_event: OnPeerEvent,
) -> Result<Answered, RoomError> {
    let negotiated = async {
        let (offer, lines) =
            read(offer, roles, settings.max_mlines, settings.codecs.clone()).await?;
        let transport = settings.transport();
        let answer = Peer::answer(label, &offer, lines.clone(), &transport, on_event);
        let (peer, answer) = answer.await?;
        Ok(Answered {
            peer,
            answer,
            lines,
        })
    };
    let outcome = tokio::time::timeout(NEGOTIATION_DEADLINE, negotiated).await;
    outcome.unwrap_or(Err(RoomError::Busy(Busy::Slow)))
}

/// Reads an offer, on a thread that nobody waits for but those who join.
async fn read(
    offer: String,
    roles: Roles,
    max_mlines: usize,
    codecs: Vec<VideoCodec>,
) -> Result<(Offer, Vec<Line>), RoomError> {
    let gone = |_| RoomError::Internal("offers are not read any more".to_owned());
    let _turn = READING
        .acquire()
        .await
        .map_err(|error| RoomError::Internal(error.to_string()))?;
    let reading = tokio::task::spawn_blocking(move || {
        let offer = Offer::parse(&offer, max_mlines)?;
        let roles = match &roles {
            Roles::Named(named) => RoleSource::Named(named),
            Roles::Publish => RoleSource::Publish,
            Roles::Play => RoleSource::Play,
        };
        let lines = plan(&offer, &roles, &codecs)?;
        Ok::<_, OfferError>((offer, lines))
    });
    Ok(reading.await.map_err(gone)??)
}

impl From<OfferError> for RoomError {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Malformed(text) => Self::BadOffer(text),
            OfferError::TooManyMlines { got, limit } => Self::TooManyMlines { got, limit },
            OfferError::Roles(text) => Self::BadTracks(text),
            OfferError::Codec { mid, spoken } => Self::UnsupportedCodec {
                mid: mid.to_string(),
                spoken,
            },
        }
    }
}

impl From<PeerError> for RoomError {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Late(_) => Self::Busy(Busy::Slow),
            // The offer has been checked before, and webrtcbin is given one of our own making.
            error => Self::Internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_too_slow_is_busy_and_not_the_offer_bad() {
        let late = RoomError::from(PeerError::Late("create-answer"));
        assert_eq!(late, RoomError::Busy(Busy::Slow));
        let refused = RoomError::from(PeerError::refused("create-answer", "no"));
        assert!(matches!(refused, RoomError::Internal(_)));
    }
}
