//! Offer in, answer out: the steps of webrtcbin's negotiation (JSEP, RFC 9429), each under a deadline.

use std::time::Duration;

use gst::prelude::*;

use super::{PeerError, refused};
use crate::media::sdp::offer::Offer;

/// How long webrtcbin may take for one step.
const STEP_DEADLINE: Duration = Duration::from_secs(5);

/// Gives webrtcbin the offer, and returns the answer it has made and taken.
pub(crate) async fn negotiate(
    webrtc: &gst::Element,
    offer: Offer,
) -> Result<gst_sdp::SDPMessage, PeerError> {
    let remote =
        gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Offer, offer.sdp);
    step("set-remote-description", |promise| {
        webrtc.emit_by_name::<()>("set-remote-description", &[&remote, &promise]);
    })
    .await?;
    let reply = step("create-answer", |promise| {
        webrtc.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, &promise]);
    })
    .await?;
    let answer = reply
        .as_ref()
        .and_then(|reply| {
            reply
                .get::<gst_webrtc::WebRTCSessionDescription>("answer")
                .ok()
        })
        .ok_or_else(|| refused("create-answer", "no answer in the reply"))?;
    let mut sdp = answer.sdp().to_owned();
    agree_on_reduced_size(&mut sdp, remote.sdp());
    let kind = gst_webrtc::WebRTCSDPType::Answer;
    let answer = gst_webrtc::WebRTCSessionDescription::new(kind, sdp);
    step("set-local-description", |promise| {
        webrtc.emit_by_name::<()>("set-local-description", &[&answer, &promise]);
    })
    .await?;
    Ok(answer.sdp().to_owned())
}

/// Accepts RTCP of reduced size (RFC 5506) where it is offered, which webrtcbin 1.22 does as it is told
/// but does not say by itself. What goes out early, ten times a second and more, is feedback alone
/// then; a report of each stream with it was a quarter of what a line of 150 kbit/s carries.
fn agree_on_reduced_size(answer: &mut gst_sdp::SDPMessageRef, offer: &gst_sdp::SDPMessageRef) {
    const REDUCED_SIZE: &str = "rtcp-rsize";
    for (media, offered) in answer.medias_mut().zip(offer.medias()) {
        if offered.attribute_val(REDUCED_SIZE).is_some() {
            // GStreamer 1.22 does not survive an attribute of no value in a description it is given.
            media.add_attribute(REDUCED_SIZE, Some(""));
        }
    }
}

/// Runs one promise-based step under a deadline.
async fn step(
    name: &'static str,
    call: impl FnOnce(gst::Promise),
) -> Result<Option<gst::Structure>, PeerError> {
    let (promise, future) = gst::Promise::new_future();
    call(promise);
    let reply = tokio::time::timeout(STEP_DEADLINE, future)
        .await
        .map_err(|_| refused(name, "no reply in time"))?
        .map_err(|error| refused(name, format!("{error:?}")))?
        .map(|reply| reply.to_owned());
    // A reply can be an error in disguise.
    if let Some(error) = reply
        .as_ref()
        .and_then(|reply| reply.get::<gst::glib::Error>("error").ok())
    {
        return Err(refused(name, error));
    }
    Ok(reply)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reduced_size_is_agreed_on_where_it_is_offered() {
        gst::init().unwrap();
        let session = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n";
        let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n";
        let parse = |text: String| gst_sdp::SDPMessage::parse_buffer(text.as_bytes()).unwrap();
        let offer = parse(format!("{session}{audio}a=rtcp-rsize\r\n{video}"));
        let mut answer = parse(format!("{session}{audio}{video}"));
        agree_on_reduced_size(&mut answer, &offer);
        let text = answer.as_text().unwrap();
        assert_eq!(
            text,
            format!("{session}{audio}a=rtcp-rsize\r\n{video}"),
            "{text}"
        );
    }
}
