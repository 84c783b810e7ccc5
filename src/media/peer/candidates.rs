//! Local ICE candidates: those gathered in time stand in the answer, later ones are trickled (RFC
//! 8838).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::event::{OnPeerEvent, PeerEvent};
use super::webrtcbin;
use super::webrtcbin::Gathered;
use crate::id::Mid;

/// How long an answer waits for candidates. Later ones are trickled.
const GATHERING_DEADLINE: Duration = Duration::from_millis(250);

/// The gathering of the candidates of one webrtcbin.
pub(crate) struct Gathering {
    /// Candidates with the index of their m-line.
    candidates: mpsc::UnboundedReceiver<(u32, String)>,
    complete: Arc<Notify>,
}

impl Gathering {
    /// Collects the candidates of `webrtc` from now on.
    pub(crate) fn watch(webrtc: &gst::Element) -> Self {
        let (sender, candidates) = mpsc::unbounded_channel();
        let complete = Arc::new(Notify::new());
        let notify = Arc::clone(&complete);
        webrtcbin::on_candidate(webrtc, move |gathered| match gathered {
            Gathered::Candidate(index, candidate) => {
                let _ = sender.send((index, candidate));
            }
            // One transport carries the bundle, so its end is that of all. As an attribute of the
            // answer an empty candidate would be one that browsers refuse.
            Gathered::End(_) => notify.notify_one(),
        });
        let notify = Arc::clone(&complete);
        webrtcbin::on_gathering(webrtc, move |is_complete| {
            if is_complete {
                notify.notify_one();
            }
        });
        Self {
            candidates,
            complete,
        }
    }

    /// Waits for [`GATHERING_DEADLINE`] at most and returns the answer with the candidates gathered
    /// by then; later ones go to `on_event`. Host candidates carry `public_ip`, if it is given,
    /// instead of their own address.
    pub(crate) async fn finish(
        mut self,
        answer: &gst_sdp::SDPMessage,
        public_ip: Option<IpAddr>,
        mids: Vec<Mid>,
        on_event: OnPeerEvent,
    ) -> String {
        let mut early = Vec::new();
        let collect = async {
            loop {
                tokio::select! {
                    biased;
                    Some((_, candidate)) = self.candidates.recv() => early.push(candidate),
                    () = self.complete.notified() => break,
                }
            }
        };
        let whole = tokio::time::timeout(GATHERING_DEADLINE, collect)
            .await
            .is_ok();
        while let Ok((_, candidate)) = self.candidates.try_recv() {
            early.push(candidate);
        }
        let early: Vec<String> = early
            .iter()
            .map(|candidate| advertise(candidate, public_ip))
            .collect();
        tokio::spawn(async move {
            while let Some((index, candidate)) = self.candidates.recv().await {
                if let Some(mid) = mids.get(index as usize) {
                    let candidate = advertise(&candidate, public_ip);
                    on_event(PeerEvent::Candidate(mid.clone(), candidate));
                }
            }
        });
        with_candidates(answer, &early, whole)
    }
}

/// The answer's text with candidate lines in its first m-line, which carries the bundle.
fn with_candidates(answer: &gst_sdp::SDPMessage, candidates: &[String], whole: bool) -> String {
    let text = answer.to_string();
    let mut lines: Vec<&str> = text.lines().collect();
    let second = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.starts_with("m="))
        .nth(1)
        .map_or(lines.len(), |(index, _)| index);
    let attributes: Vec<String> = candidates.iter().map(|c| format!("a={c}")).collect();
    let end = if whole {
        &["a=end-of-candidates"][..]
    } else {
        &[]
    };
    let inserted = attributes
        .iter()
        .map(String::as_str)
        .chain(end.iter().copied());
    lines.splice(second..second, inserted);
    let mut text = lines.join("\r\n");
    text.push_str("\r\n");
    text
}

/// A host candidate as it should be seen from outside (NAT 1:1).
fn advertise(candidate: &str, public_ip: Option<IpAddr>) -> String {
    let mut fields: Vec<String> = candidate.split(' ').map(str::to_owned).collect();
    let host = fields.windows(2).any(|pair| pair == ["typ", "host"]);
    if let (true, Some(ip), Some(address)) = (host, public_ip, fields.get_mut(4)) {
        *address = ip.to_string();
    }
    fields.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_candidates_carry_the_public_address_and_others_do_not() {
        let ip = Some(IpAddr::from([203, 0, 113, 7]));
        let host = "candidate:1 1 UDP 2015363327 127.0.0.1 40000 typ host";
        let srflx = "candidate:2 1 UDP 1 198.51.100.1 4 typ srflx raddr 127.0.0.1 rport 4";
        assert_eq!(
            advertise(host, ip),
            "candidate:1 1 UDP 2015363327 203.0.113.7 40000 typ host"
        );
        assert_eq!(advertise(srflx, ip), srflx);
        assert_eq!(advertise(host, None), host);
    }
}
