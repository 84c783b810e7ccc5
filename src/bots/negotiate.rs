//! Offer, answer and candidates: the signalling side of a bot's webrtcbin.

use std::time::Duration;

use gst::prelude::*;
use gst_webrtc::{WebRTCSDPType, WebRTCSessionDescription};
use tokio::sync::watch;

use super::error::BotError;
use super::peer::Peer;
use crate::id::Mid;
use crate::protocol::Track;

/// How long webrtcbin may take over a description.
const NEGOTIATION: Duration = Duration::from_secs(10);

/// How long gathering may take where candidates cannot be sent later. `ice-gathering-state` may
/// never reach complete.
const GATHERING: Duration = Duration::from_millis(500);

impl Peer {
    /// Makes the offer and starts gathering. Returns its SDP, and what its m-lines are for.
    pub(super) async fn offer(&mut self) -> Result<(String, Vec<Track>), BotError> {
        let (promise, reply) = gst::Promise::new_future();
        self.webrtc
            .emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        let reply = settled("offer", reply).await?;
        let offer = reply
            .as_ref()
            .and_then(|reply| reply.get::<WebRTCSessionDescription>("offer").ok())
            .ok_or_else(|| BotError::Media("webrtcbin made no offer".into()))?;
        let text = offer
            .sdp()
            .as_text()
            .map_err(|e| BotError::media("offer", e))?;
        let mids = mids(offer.sdp());
        if mids.len() != self.lines.len() {
            return Err(BotError::Media("the offer has other m-lines".into()));
        }
        self.describe("set-local-description", &offer).await?;
        let mut tracks = Vec::with_capacity(mids.len());
        for (mid, (role, incoming)) in mids.into_iter().zip(&self.lines) {
            if let Some(incoming) = incoming {
                incoming.name(mid.clone());
            }
            tracks.push(Track { mid, role: *role });
        }
        Ok((text, tracks))
    }

    /// The offer with the candidates that could be gathered in time.
    pub(super) async fn gathered(&self) -> Result<String, BotError> {
        let (done, mut gathered) = watch::channel(false);
        let check = move |webrtc: &gst::Element| {
            let state =
                webrtc.property::<gst_webrtc::WebRTCICEGatheringState>("ice-gathering-state");
            done.send_replace(state == gst_webrtc::WebRTCICEGatheringState::Complete);
        };
        check(&self.webrtc);
        let handler = self
            .webrtc
            .connect_notify(Some("ice-gathering-state"), move |webrtc, _| check(webrtc));
        // What there is when the time is up has to do.
        let _ = tokio::time::timeout(GATHERING, gathered.wait_for(|done| *done)).await;
        self.webrtc.disconnect(handler);
        self.webrtc
            .property::<Option<WebRTCSessionDescription>>("local-description")
            .and_then(|description| description.sdp().as_text().ok())
            .ok_or_else(|| BotError::Media("no local description".into()))
    }

    /// Takes the server's answer.
    pub(super) async fn accept(&self, answer: &str) -> Result<(), BotError> {
        let sdp = gst_sdp::SDPMessage::parse_buffer(answer.as_bytes())
            .map_err(|e| BotError::BadAnswer(e.to_string()))?;
        if sdp.medias_len() as usize != self.lines.len() {
            return Err(BotError::BadAnswer("it has other m-lines".into()));
        }
        let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp);
        self.describe("set-remote-description", &answer).await
    }

    async fn describe(
        &self,
        signal: &'static str,
        description: &WebRTCSessionDescription,
    ) -> Result<(), BotError> {
        let (promise, reply) = gst::Promise::new_future();
        self.webrtc
            .emit_by_name::<()>(signal, &[description, &promise]);
        settled(signal, reply).await.map(|_| ())
    }

    /// Gives webrtcbin a candidate of the server.
    pub(super) fn add_candidate(&self, index: u32, candidate: &str) {
        self.webrtc
            .emit_by_name::<()>("add-ice-candidate", &[&index, &candidate]);
    }
}

/// Waits for a promise's reply, in which an error may hide.
async fn settled<R: std::ops::Deref<Target = gst::StructureRef>>(
    what: &'static str,
    reply: impl Future<Output = Result<Option<R>, gst::PromiseError>>,
) -> Result<Option<R>, BotError> {
    let after = NEGOTIATION;
    let reply = tokio::time::timeout(after, reply)
        .await
        .map_err(|_| BotError::Deadline { what, after })?
        .map_err(|e| BotError::Media(format!("{what}: {e:?}")))?;
    let error = reply
        .as_ref()
        .and_then(|reply| reply.get::<gst::glib::Error>("error").ok());
    match error {
        Some(error) => Err(BotError::media(what, error)),
        None => Ok(reply),
    }
}

/// The mids of a description's m-lines.
fn mids(sdp: &gst_sdp::SDPMessageRef) -> Vec<Mid> {
    sdp.medias()
        .filter_map(|media| media.attribute_val("mid"))
        .map(|mid| Mid(mid.to_owned()))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bots::config::{BotConfig, Decode, Entry, VideoFormat};
    use crate::config::VideoCodec;
    use crate::id::RoomId;

    #[tokio::test]
    async fn the_offer_has_every_line_in_order() {
        gst::init().unwrap();
        let config = BotConfig::new("", RoomId::new("r").unwrap(), "Ann")
            .person(0, VideoFormat::new(VideoCodec::H264))
            .decoding(Decode::Both)
            .entering(Entry::WebSocket { forward_slots: 2 });
        let mut peer = Peer::new(&config, true).unwrap();
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
        assert!(sections[3].contains("H264/90000") && sections[3].contains("VP8/90000"));
        assert!(sections[3].contains("packetization-mode=1"));
        let gathered = peer.gathered().await.unwrap();
        assert!(gathered.contains(" 127.0.0.1 "), "{gathered}");
        assert!(!gathered.contains("TCP"), "{gathered}");
    }
}
