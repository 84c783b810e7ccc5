//! Offer, answer and candidates: the signalling side of a bot's webrtcbin.

use std::time::Duration;

use gst::prelude::*;
use gst_webrtc::{WebRTCSDPType, WebRTCSessionDescription};
use tokio::sync::watch;

use super::connection::Connection;
use super::peer::Peer;
use crate::bots::error::BotError;
use crate::bots::source::level;
use crate::id::{Mid, Role};
use crate::media::peer::webrtcbin;
use crate::media::peer::webrtcbin::promise;
use crate::media::peer::webrtcbin::promise::{Create, Side, StepError};
use crate::media::sdp::candidate::Candidate;
use crate::protocol::Track;

/// How long webrtcbin may take over a description.
const NEGOTIATION: Duration = Duration::from_secs(10);

/// How long gathering may take where candidates cannot be sent later. `ice-gathering-state` may
/// never reach complete.
const GATHERING: Duration = Duration::from_millis(500);

impl Connection {
    /// Has webrtcbin make an offer, and takes it for its own, which starts the gathering.
    pub(crate) async fn offer(&self) -> Result<WebRTCSessionDescription, BotError> {
        self.make(Create::Offer).await
    }

    /// Has webrtcbin make an answer, and takes it for its own, which starts the gathering.
    pub(crate) async fn answer(&self) -> Result<WebRTCSessionDescription, BotError> {
        self.make(Create::Answer).await
    }

    async fn make(&self, what: Create) -> Result<WebRTCSessionDescription, BotError> {
        let description = promise::create(&self.webrtc, what, NEGOTIATION)
            .await
            .map_err(|error| failed(what.signal(), error))?;
        self.describe(Side::Local, &description).await?;
        Ok(description)
    }

    /// Takes the other side's description.
    pub(crate) async fn take(
        &self,
        kind: WebRTCSDPType,
        sdp: gst_sdp::SDPMessage,
    ) -> Result<(), BotError> {
        let description = WebRTCSessionDescription::new(kind, sdp);
        self.describe(Side::Remote, &description).await
    }

    async fn describe(
        &self,
        side: Side,
        description: &WebRTCSessionDescription,
    ) -> Result<(), BotError> {
        promise::set(&self.webrtc, side, description, NEGOTIATION)
            .await
            .map_err(|error| failed(side.signal(), error))
    }

    /// Gives webrtcbin a candidate of the other side. One that is no address is left out: a bot is
    /// found without it.
    pub(crate) fn add_candidate(&self, index: u32, candidate: &str) {
        if Candidate::parse(candidate).is_some() {
            webrtcbin::add_candidate(&self.webrtc, index, candidate);
        }
    }
}

impl Peer {
    /// Makes the offer and starts gathering. Returns its SDP, and what its m-lines are for.
    pub(crate) async fn offer(&mut self) -> Result<(String, Vec<Track>), BotError> {
        let offer = self.connection.offer().await?;
        let text = text(offer.sdp())?;
        let mids = mids(offer.sdp());
        if mids.len() != self.lines.len() {
            return Err(BotError::Media("the offer has other m-lines".into()));
        }
        let mut tracks = Vec::with_capacity(mids.len());
        for (mid, (role, incoming)) in mids.into_iter().zip(&self.lines) {
            if let Some(incoming) = incoming {
                incoming.set_mid(mid.clone());
            }
            tracks.push(Track { mid, role: *role });
        }
        Ok((text, tracks))
    }

    /// The offer with the candidates that could be gathered in time.
    pub(crate) async fn gathered(&self) -> Result<String, BotError> {
        let webrtc = &self.connection.webrtc;
        let (done, mut gathered) = watch::channel(false);
        done.send_replace(webrtcbin::has_gathered(webrtc));
        let handler = webrtcbin::on_gathering(webrtc, move |complete| {
            done.send_replace(complete);
        });
        // What there is when the time is up has to do.
        let _ = tokio::time::timeout(GATHERING, gathered.wait_for(|done| *done)).await;
        webrtc.disconnect(handler);
        webrtc
            .property::<Option<WebRTCSessionDescription>>("local-description")
            .and_then(|description| description.sdp().as_text().ok())
            .ok_or_else(|| BotError::Media("no local description".into()))
    }

    /// Takes the server's answer.
    pub(crate) async fn accept(&self, answer: &str) -> Result<(), BotError> {
        let sdp = parsed(answer)?;
        if sdp.medias_len() as usize != self.lines.len() {
            return Err(BotError::BadAnswer("it has other m-lines".into()));
        }
        for ((role, _), media) in self.lines.iter().zip(sdp.medias()) {
            if let (Role::Mic, Some(mic), Some(id)) = (role, &self.mic, level::negotiated_id(media))
            {
                mic.input.levels.set_id(id);
            }
        }
        self.connection.take(WebRTCSDPType::Answer, sdp).await
    }
}

/// A description's text.
pub(crate) fn text(sdp: &gst_sdp::SDPMessageRef) -> Result<String, BotError> {
    sdp.as_text().map_err(|e| BotError::media("description", e))
}

/// The description of a text.
pub(crate) fn parsed(text: &str) -> Result<gst_sdp::SDPMessage, BotError> {
    gst_sdp::SDPMessage::parse_buffer(text.as_bytes())
        .map_err(|e| BotError::BadAnswer(e.to_string()))
}

fn failed(what: &'static str, error: StepError) -> BotError {
    let after = NEGOTIATION;
    match error {
        StepError::Timeout => BotError::Deadline { what, after },
        error => BotError::media(what, error),
    }
}

/// The mids of a description's m-lines.
pub(crate) fn mids(sdp: &gst_sdp::SDPMessageRef) -> Vec<Mid> {
    sdp.medias()
        .filter_map(|media| media.attribute_val("mid"))
        .map(|mid| Mid(mid.to_owned()))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bots::config::{BotConfig, Decode, Entry, NetworkInterface};
    use crate::bots::source::settings::VideoFormat;
    use crate::codec::VideoCodec;
    use crate::id::RoomId;

    #[tokio::test]
    async fn the_offer_has_every_line_in_order() {
        gst::init().unwrap();
        let config = BotConfig::new("", RoomId::new("r").unwrap(), "Ann")
            .person(0, VideoFormat::new(VideoCodec::H264))
            .decoding(Decode::Both)
            .entering(Entry::WebSocket { forward_slots: 2 });
        let mut peer =
            Peer::new(&config, NetworkInterface::Loopback, &[], &Arc::default()).unwrap();
        let (sdp, tracks) = peer.offer().await.unwrap();
        let roles: Vec<_> = tracks.iter().map(|t| t.role.to_string()).collect();
        assert_eq!(
            roles.join(" "),
            "mic camera mix-audio mix-video forward-audio forward-audio forward-video \
             forward-video"
        );
        let sections: Vec<_> = sdp.split("\r\nm=").skip(1).collect();
        assert_eq!(sections.len(), tracks.len(), "{sdp}");
        for (section, track) in sections.iter().zip(&tracks) {
            let kind = if track.role.is_audio() {
                "audio"
            } else {
                "video"
            };
            assert!(section.starts_with(kind), "{track:?} in {section}");
            let mid = format!("\r\na=mid:{}\r\n", track.mid);
            assert!(section.contains(&mid), "{track:?} in {section}");
            let direction = if track.role.is_uplink() {
                "sendonly"
            } else {
                "recvonly"
            };
            assert!(section.contains(&format!("a={direction}\r")), "{section}");
            let named = section.contains("a=ssrc:");
            assert_eq!(named, track.role.is_uplink(), "{section}");
        }
        let extension = format!("\r\na=extmap:{} {}\r\n", level::ID, level::URI);
        assert!(sections[0].contains(&extension), "{}", sections[0]);
        assert!(sections[3].contains("H264/90000") && sections[3].contains("VP8/90000"));
        assert!(sections[3].contains("packetization-mode=1"));
        let gathered = peer.gathered().await.unwrap();
        assert!(gathered.contains(" 127.0.0.1 "), "{gathered}");
        assert!(!gathered.contains("TCP"), "{gathered}");
    }
}
