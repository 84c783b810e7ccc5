//! Offer in, answer out.

use std::time::Duration;

use gst_webrtc::{WebRTCSDPType, WebRTCSessionDescription};

use super::event::PeerError;
use super::webrtcbin::promise;
use super::webrtcbin::promise::{Create, Side, StepError};

/// How long webrtcbin may take for one step.
const STEP_DEADLINE: Duration = Duration::from_secs(5);

/// Gives webrtcbin the offer, and returns the answer it has made and taken.
pub(crate) async fn negotiate(
    webrtc: &gst::Element,
    offer: &str,
) -> Result<gst_sdp::SDPMessage, PeerError> {
    let offer = gst_sdp::SDPMessage::parse_buffer(offer.as_bytes())
        .map_err(|error| PeerError::refused("parse", error))?;
    let remote = WebRTCSessionDescription::new(WebRTCSDPType::Offer, offer);
    set(webrtc, Side::Remote, &remote).await?;
    let what = Create::Answer;
    let answer = promise::create(webrtc, what, STEP_DEADLINE)
        .await
        .map_err(|error| failed(what.signal(), error))?;
    let mut sdp = answer.sdp().to_owned();
    agree_on_reduced_size(&mut sdp, remote.sdp());
    let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp);
    set(webrtc, Side::Local, &answer).await?;
    Ok(answer.sdp().to_owned())
}

async fn set(
    webrtc: &gst::Element,
    side: Side,
    description: &WebRTCSessionDescription,
) -> Result<(), PeerError> {
    promise::set(webrtc, side, description, STEP_DEADLINE)
        .await
        .map_err(|error| failed(side.signal(), error))
}

fn failed(step: &'static str, error: StepError) -> PeerError {
    match error {
        StepError::Timeout => PeerError::Late(step),
        error => PeerError::refused(step, error),
    }
}

/// Accepts RTCP of reduced size (RFC 5506) where it is offered. webrtcbin 1.22 sends it once that
/// is agreed on, but does not put it into the answer by itself. Early packets, ten and more a
/// second, are feedback alone then; with a report of each stream they took a quarter of a slow link
/// (150 kbit/s).
fn agree_on_reduced_size(answer: &mut gst_sdp::SDPMessageRef, offer: &gst_sdp::SDPMessageRef) {
    const REDUCED_SIZE: &str = "rtcp-rsize";
    for (media, offered) in answer.medias_mut().zip(offer.medias()) {
        if offered.attribute_val(REDUCED_SIZE).is_some() {
            // GStreamer 1.22 does not survive an attribute without a value in a description.
            media.add_attribute(REDUCED_SIZE, Some(""));
        }
    }
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
