//! Candidates of the other side (RFC 8839 section 5.1), offered or trickled, and which of them ICE
//! is given; pure.
//!
//! ICE sends checks to every address that the other side names, many of them and with a text that it
//! chooses. So only those pass that a browser could be found at. Names are left out, such as the
//! `.local` ones that browsers give while a page has no camera: to look them up is not our affair
//! (and costs a thread and file descriptors for good with GStreamer 1.22). A browser that has nothing
//! else is found by its own checks, whose address ICE learns (peer-reflexive).

use std::net::{IpAddr, SocketAddr};

use crate::net::reach::MediaPeers;

/// Candidates of one peer that ICE is given. Browsers have a dozen.
const MAX_CANDIDATES: usize = 16;

/// The component of RTP, which carries RTCP, too.
const RTP: &str = "1";
/// Longest foundation (RFC 8839 section 5.1).
const MAX_FOUNDATION: usize = 32;
/// Kinds of candidates (RFC 8839 section 5.1).
const KINDS: [&str; 4] = ["host", "srflx", "prflx", "relay"];

/// A candidate of UDP at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    foundation: &'a str,
    priority: u32,
    address: SocketAddr,
    kind: &'static str,
}

impl<'a> Candidate<'a> {
    /// Reads the value of `a=candidate`, or one as `RTCIceCandidate` has it. `None` for what is no
    /// candidate, and for one of TCP, of RTCP alone, or with a name in place of an address.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("a=").unwrap_or(text);
        let text = text.strip_prefix("candidate:").unwrap_or(text);
        let mut words = text.split_ascii_whitespace();
        let foundation = words.next()?;
        let component = words.next()?;
        let transport = words.next()?;
        let priority = words.next()?.parse().ok()?;
        let ip: IpAddr = words.next()?.parse().ok()?;
        let port = words.next()?.parse().ok()?;
        let kind = words
            .next()
            .filter(|word| *word == "typ")
            .and(words.next())?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
        let is_ours = component == RTP
            && transport.eq_ignore_ascii_case("udp")
            && foundation.len() <= MAX_FOUNDATION
            && foundation.bytes().all(fits);
        is_ours.then_some(Self {
            foundation,
            priority,
            address: SocketAddr::new(ip.to_canonical(), port),
            kind: KINDS.into_iter().find(|known| *known == kind)?,
        })
    }

    /// The value of `a=candidate`, with nothing in it that was not read.
    fn value(&self) -> String {
        let Self {
            foundation,
            priority,
            address,
            kind,
        } = self;
        let (ip, port) = (address.ip(), address.port());
        format!("{foundation} {RTP} UDP {priority} {ip} {port} typ {kind}")
    }
}

/// Lets the candidates of one peer through to ICE.
#[derive(Debug)]
pub(crate) struct CandidateGate {
    peers: MediaPeers,
    admitted: Vec<SocketAddr>,
}

impl CandidateGate {
    /// For a peer that is looked for among `peers`.
    pub(crate) fn new(peers: MediaPeers) -> Self {
        Self {
            peers,
            admitted: Vec::new(),
        }
    }

    /// The value of `a=candidate` for ICE; `None` if it is not given this candidate, or has the
    /// address already.
    pub(crate) fn admit(&mut self, text: &str) -> Option<String> {
        let candidate = Candidate::parse(text)?;
        let is_admitted = self.peers.allows(candidate.address)
            && self.admitted.len() < MAX_CANDIDATES
            && !self.admitted.contains(&candidate.address);
        is_admitted.then(|| {
            self.admitted.push(candidate.address);
            candidate.value()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gate() -> CandidateGate {
        CandidateGate::new(MediaPeers::new(
            &["192.168.7.2".parse().expect("an IP")],
            None,
        ))
    }

    #[test]
    fn what_browsers_send_is_read() {
        for (text, value) in [
            (
                "candidate:842163049 1 udp 1677729535 203.0.113.9 61764 typ srflx raddr 0.0.0.0 \
                 rport 0 generation 0 ufrag EEtu network-cost 999",
                "842163049 1 UDP 1677729535 203.0.113.9 61764 typ srflx",
            ),
            (
                "candidate:0 1 UDP 2122252543 192.168.7.9 51346 typ host",
                "0 1 UDP 2122252543 192.168.7.9 51346 typ host",
            ),
            (
                "a=candidate:Z/+ 1 udp 1 2606:4700::1111 3478 typ relay",
                "Z/+ 1 UDP 1 2606:4700::1111 3478 typ relay",
            ),
            (
                "1 1 UDP 5 ::ffff:203.0.113.9 5000 typ prflx",
                "1 1 UDP 5 203.0.113.9 5000 typ prflx",
            ),
        ] {
            assert_eq!(gate().admit(text).as_deref(), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_peer_is_left_out() {
        for text in [
            "",
            "candidate:",
            "candidate:1 1 udp 5 203.0.113.9 5000",
            "candidate:1 1 udp 5 203.0.113.9 5000 typ other",
            "candidate:1 1 udp 5 203.0.113.9 5000 host typ",
            "candidate:1 1 udp 5 203.0.113.9 70000 typ host",
            "candidate:1 1 udp -5 203.0.113.9 5000 typ host",
            "candidate:\u{fc} 1 udp 5 203.0.113.9 5000 typ host",
            "candidate:1 2 udp 5 203.0.113.9 5000 typ host",
            "candidate:1 1 tcp 5 203.0.113.9 9 typ host tcptype active",
            "candidate:1 1 udp 5 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 5000 typ host",
            "candidate:1 1 udp 5 example.org 5000 typ host",
            "candidate:1 1 udp 5 203.0.113.9 161 typ host",
            "candidate:1 1 udp 5 10.0.0.1 5000 typ host",
            "candidate:1 1 udp 5 127.0.0.1 5000 typ host",
            "candidate:1 1 udp 5 169.254.169.254 5000 typ host",
            "candidate:1 1 udp 5 224.0.0.1 5000 typ host",
        ] {
            assert_eq!(gate().admit(text), None, "{text}");
        }
    }

    #[test]
    fn so_many_of_one_peer_pass_each_once() {
        let mut gate = gate();
        let text = |n: usize| format!("candidate:1 1 udp 5 203.0.113.9 {} typ host", 5_000 + n);
        let twice = (0..100).flat_map(|n| [n, n]);
        let passed = twice.filter(|n| gate.admit(&text(*n)).is_some()).count();
        assert_eq!(passed, MAX_CANDIDATES);
    }

    proptest! {
        #[test]
        fn whatever_comes_what_passes_is_read_as_the_same(
            words in prop::collection::vec(
                prop_oneof![
                    Just("1".to_owned()),
                    Just("udp".to_owned()),
                    Just("typ".to_owned()),
                    Just("host".to_owned()),
                    Just("203.0.113.9".to_owned()),
                    (0u32..80_000).prop_map(|n| n.to_string()),
                    ".{0,8}",
                ],
                0..12,
            ),
            address in any::<u32>(),
            port in any::<u16>(),
        ) {
            let _ = gate().admit(&words.join(" "));
            let ip = std::net::Ipv4Addr::from_bits(address);
            let text = format!("candidate:1 1 udp 5 {ip} {port} typ host generation 0");
            if let Some(value) = gate().admit(&text) {
                prop_assert!(port >= 1024);
                prop_assert_eq!(Candidate::parse(&value), Candidate::parse(&text));
            }
        }
    }
}
