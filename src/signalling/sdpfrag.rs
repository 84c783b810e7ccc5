//! `application/trickle-ice-sdpfrag` (RFC 8840 section 9) as WHIP and WHEP use it; pure.

use crate::id::Mid;

use super::error::ApiError;
use super::limits::CANDIDATE_LIMIT;
use crate::media::sdp::text::{Attributes, Description};

/// Most candidates that one fragment may have. Browsers send a dozen at most.
const CANDIDATES_LIMIT: usize = 256;

/// The m-lines and ICE credentials of an offer, which later fragments are compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OfferIce {
    mids: Vec<Mid>,
    ufrags: Vec<String>,
    pwds: Vec<String>,
}

/// The meaning of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fragment {
    /// Candidates by m-line; `None` after the last one of an m-line.
    Trickle(Vec<(Mid, Option<String>)>),
    /// An ICE restart: other credentials than those of the offer (RFC 9725 section 4.3.3).
    Restart,
}

impl OfferIce {
    /// Reads an offer. Nothing is checked; the room does that.
    pub(super) fn of(offer: &str) -> Self {
        let Ok(offer) = Description::parse(offer) else {
            return Self::default();
        };
        let media = || offer.media.iter().map(|media| &media.attributes);
        let everywhere = |name| {
            let levels = media().chain([&offer.session]);
            let values = levels.flat_map(move |attributes| attributes.values(name));
            values.map(str::to_owned).collect()
        };
        // One without a name is known by its place, as the room knows it.
        let mid = |(place, attributes): (usize, &Attributes<'_>)| {
            let named = attributes.value("mid").map(str::to_owned);
            Mid(named.unwrap_or_else(|| place.to_string()))
        };
        Self {
            mids: media().enumerate().map(mid).collect(),
            ufrags: everywhere("ice-ufrag"),
            pwds: everywhere("ice-pwd"),
        }
    }

    /// Reads a fragment that belongs to this offer.
    ///
    /// # Errors
    /// [`ApiError::BadMessage`] for a line that is not SDP, a candidate outside an m-line, an
    /// m-line the offer does not have.
    pub(super) fn read(&self, fragment: &str) -> Result<Fragment, ApiError> {
        let mut candidates = Vec::new();
        let mut mid: Option<&Mid> = None;
        for line in fragment
            .lines()
            .map(str::trim_end)
            .filter(|l| !l.is_empty())
        {
            if line.as_bytes().get(1) != Some(&b'=') {
                return Err(bad("a line is not of the form x=value"));
            }
            if line.starts_with("m=") {
                mid = None; // its a=mid follows
                continue;
            }
            match attribute(line) {
                Some(("ice-ufrag", given)) if !self.ufrags.iter().any(|own| own == given) => {
                    return Ok(Fragment::Restart);
                }
                Some(("ice-pwd", given)) if !self.pwds.iter().any(|own| own == given) => {
                    return Ok(Fragment::Restart);
                }
                Some(("mid", given)) => mid = Some(self.known(given)?),
                Some(("candidate", _)) => {
                    let mid = mid.or(self.only_line());
                    let mid = mid.ok_or_else(|| bad("a candidate stands before any a=mid"))?;
                    // JSEP's candidate text is the attribute without "a=".
                    candidates.push((mid.clone(), Some(checked(&line[2..])?)));
                    if candidates.len() > CANDIDATES_LIMIT {
                        return Err(bad("it has too many candidates"));
                    }
                }
                Some(("end-of-candidates", _)) if candidates.len() > CANDIDATES_LIMIT => {}
                Some(("end-of-candidates", _)) => match mid {
                    Some(mid) => candidates.push((mid.clone(), None)),
                    // At session level it speaks for every m-line (RFC 8840 section 8.2).
                    None => candidates.extend(self.mids.iter().cloned().map(|mid| (mid, None))),
                },
                _ => {}
            }
        }
        Ok(Fragment::Trickle(candidates))
    }

    /// The m-line of an offer that has one alone, of which a fragment need not say the name.
    fn only_line(&self) -> Option<&Mid> {
        match &self.mids[..] {
            [mid] => Some(mid),
            _ => None,
        }
    }

    fn known(&self, mid: &str) -> Result<&Mid, ApiError> {
        self.mids
            .iter()
            .find(|known| known.0 == mid)
            .ok_or_else(|| bad("an a=mid is not in the offer"))
    }
}

/// `a=name` or `a=name:value`.
fn attribute(line: &str) -> Option<(&str, &str)> {
    let attribute = line.strip_prefix("a=")?;
    Some(attribute.split_once(':').unwrap_or((attribute, "")))
}

fn checked(candidate: &str) -> Result<String, ApiError> {
    if candidate.len() > CANDIDATE_LIMIT {
        return Err(bad("a candidate is too long"));
    }
    Ok(candidate.into())
}

fn bad(reason: &str) -> ApiError {
    ApiError::BadMessage(format!("the SDP fragment cannot be used: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OFFER: &str = "v=0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n";
    // The fragment of RFC 9725 section 4.3.2, shortened.
    const FRAGMENT: &str = "a=group:BUNDLE 0 1\r\n\
        m=audio 9 RTP/AVP 0\r\n\
        a=mid:0\r\n\
        a=ice-ufrag:EsAw\r\n\
        a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n\
        a=end-of-candidates\r\n";

    fn mid(text: &str) -> Mid {
        Mid(text.into())
    }

    #[test]
    fn candidates_come_with_their_mid() {
        let got = OfferIce::of(OFFER).read(FRAGMENT);
        let candidate =
            "candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0";
        let expected = vec![(mid("0"), Some(candidate.into())), (mid("0"), None)];
        assert_eq!(got, Ok(Fragment::Trickle(expected)));
    }

    #[test]
    fn an_end_at_session_level_is_for_every_mline() {
        let got = OfferIce::of(OFFER).read("a=end-of-candidates\n");
        let expected = vec![(mid("0"), None), (mid("1"), None)];
        assert_eq!(got, Ok(Fragment::Trickle(expected)));
    }

    #[test]
    fn other_credentials_are_a_restart() {
        let offer = OfferIce::of(OFFER);
        let ufrag = FRAGMENT.replace("EsAw", "ysXw");
        assert_eq!(offer.read(&ufrag), Ok(Fragment::Restart));
        let pwd = FRAGMENT.replace("P2uYro0UCOQ4zxjKXaWCBui1", "vw5LmwG4y/e6dPP/zAP9Gp5k");
        assert_eq!(offer.read(&pwd), Ok(Fragment::Restart));
    }

    #[test]
    fn what_does_not_fit_the_offer_is_refused() {
        let offer = OfferIce::of(OFFER);
        for bad in [
            "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n",
            "m=audio 9 RTP/AVP 0\r\na=mid:7\r\n",
            "m=audio 9 RTP/AVP 0\r\na=mid:0\r\nm=video 9 RTP/AVP 0\r\na=candidate:1 1 udp\r\n",
            "hello\r\n",
            &format!("a=mid:0\r\na=candidate:{}\r\n", "x".repeat(5000)),
        ] {
            assert!(
                matches!(offer.read(bad), Err(ApiError::BadMessage(_))),
                "{bad:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_a_client_sends_panics(
            offer in "(?s).{0,200}",
            fragment in "(?s)([ma]=(mid:|candidate:)?.{0,9}\n){0,9}",
        ) {
            let _ = OfferIce::of(&offer).read(&fragment);
        }

        #[test]
        fn every_known_mline_is_found(
            names in proptest::collection::hash_set("[a-z0-9]{1,8}", 1..6),
        ) {
            let line = |n| format!("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{n}\r\n");
            let offer: String = names.iter().map(line).collect();
            let offer = format!("v=0\r\n{offer}");
            let candidate = |n| format!("m=audio\r\na=mid:{n}\r\na=candidate:{n}\r\n");
            let fragment: String = names.iter().map(candidate).collect();
            let expected: Vec<_> =
                names.iter().map(|n| (mid(n), Some(format!("candidate:{n}")))).collect();
            prop_assert_eq!(OfferIce::of(&offer).read(&fragment), Ok(Fragment::Trickle(expected)));
        }
    }
}
