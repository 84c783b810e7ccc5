//! webrtcbin's negotiation (JSEP, RFC 9429), one step at a time, each under a deadline.

use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst_webrtc::WebRTCSessionDescription;
use thiserror::Error;

use super::identity;

/// Why webrtcbin did not take a step.
#[derive(Debug, Error)]
pub(crate) enum StepError {
    /// Its promise was not kept within the deadline.
    #[error("no reply in time")]
    Timeout,
    /// Its promise was dropped without a reply.
    #[error("{0:?}")]
    Promise(gst::PromiseError),
    /// The reply was an error.
    #[error("{0}")]
    Refused(glib::Error),
    /// The reply has no description of that kind.
    #[error("no {0} in the reply")]
    Missing(&'static str),
}

/// A description that webrtcbin can make.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Create {
    /// For the m-lines that were added.
    Offer,
    /// To the offer that was taken.
    Answer,
}

impl Create {
    /// The signal that asks for it, which also names the step.
    pub(crate) fn signal(self) -> &'static str {
        match self {
            Self::Offer => "create-offer",
            Self::Answer => "create-answer",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Answer => "answer",
        }
    }
}

/// The side whose description is set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    /// The description of this side, which starts the gathering of candidates.
    Local,
    /// The description of the other side.
    Remote,
}

impl Side {
    /// The signal that sets it, which also names the step.
    pub(crate) fn signal(self) -> &'static str {
        match self {
            Self::Local => "set-local-description",
            Self::Remote => "set-remote-description",
        }
    }
}

/// Has webrtcbin make a description.
///
/// # Errors
/// [`StepError`] when webrtcbin refuses, or does not reply within `deadline`.
pub(crate) async fn create(
    webrtc: &gst::Element,
    what: Create,
    deadline: Duration,
) -> Result<WebRTCSessionDescription, StepError> {
    let options = None::<gst::Structure>;
    let reply = step(deadline, |promise| {
        webrtc.emit_by_name::<()>(what.signal(), &[&options, &promise]);
    });
    let reply = reply.await?;
    let description = reply.and_then(|reply| reply.get(what.field()).ok());
    let description: WebRTCSessionDescription =
        description.ok_or(StepError::Missing(what.field()))?;
    let mut sdp = description.sdp().to_owned();
    if let Some(identity) = identity::own() {
        identity.put_into(&mut sdp);
    }
    Ok(WebRTCSessionDescription::new(description.type_(), sdp))
}

/// Has webrtcbin take a description.
///
/// # Errors
/// [`StepError`] when webrtcbin refuses, or does not reply within `deadline`.
pub(crate) async fn set(
    webrtc: &gst::Element,
    side: Side,
    description: &WebRTCSessionDescription,
    deadline: Duration,
) -> Result<(), StepError> {
    let reply = step(deadline, |promise| {
        webrtc.emit_by_name::<()>(side.signal(), &[description, &promise]);
    });
    reply.await.map(drop)
}

/// Waits for the reply to `call`. A reply that has a field `error` is an error in disguise.
async fn step(
    deadline: Duration,
    call: impl FnOnce(gst::Promise),
) -> Result<Option<gst::Structure>, StepError> {
    let (promise, reply) = gst::Promise::new_future();
    call(promise);
    let reply = tokio::time::timeout(deadline, reply)
        .await
        .map_err(|_| StepError::Timeout)?
        .map_err(StepError::Promise)?
        .map(|reply| reply.to_owned());
    let error = reply.as_ref().and_then(|reply| reply.get("error").ok());
    match error {
        Some(error) => Err(StepError::Refused(error)),
        None => Ok(reply),
    }
}
