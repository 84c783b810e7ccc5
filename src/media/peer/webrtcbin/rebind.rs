//! Follows the other side to a new address.
//!
//! A NAT between us may give it another port at any time (RFC 7675 calls it rebinding). Its checks
//! then come from there, and libnice learns of the address, but goes on sending to the old one: a
//! pair takes the place of another only if its priority is higher, and that of an address that is
//! learnt is the same as that of the one learnt before it. So an address that is learnt while the
//! connection is up is given to libnice once more, as a candidate with a higher priority than all
//! others. It is used as soon as the other side nominates it, which libwebrtc, libnice and others do
//! with every check.
//!
//! Who nominates nothing any more is not followed, nor is who goes back to an address of before, for
//! libnice tells of it only once. They lose the connection, because nothing arrives there any more
//! ([`crate::media::rtp::consent`]).

use gst::glib;
use gst::prelude::*;
use gst_webrtc::prelude::*;
use gst_webrtc::{WebRTCDTLSTransport, WebRTCICE, WebRTCICECandidateStats, WebRTCICEStream};

use super::transport::{ConnectionState, add_candidate, first_transport};

/// Highest priority of a candidate (RFC 8445 section 5.1.2).
const MAX_PRIORITY: u32 = (1 << 31) - 1;

/// Follows the other side of `webrtc` to the addresses that it is found at from now on. Called once,
/// before the first description is set. The work is done on a thread of libnice.
pub(super) fn follow(webrtc: &gst::Element, ice: &glib::Object) {
    let nice = ice.property::<glib::Object>("agent");
    let webrtc = webrtc.downgrade();
    nice.connect("new-remote-candidate", false, move |_| {
        if let Some(webrtc) = webrtc.upgrade() {
            prefer_newest(&webrtc);
        }
        None
    });
}

/// Gives the newest address that was only learnt the highest priority, if the connection is up.
/// Before that ICE makes its choice by itself.
fn prefer_newest(webrtc: &gst::Element) {
    if webrtc.property::<ConnectionState>("connection-state") != ConnectionState::Connected {
        return;
    }
    let ice = webrtc.property::<WebRTCICE>("ice-agent");
    let Some(stream) = first_transport(webrtc).and_then(|transport| stream_of(&transport)) else {
        return;
    };
    let known = ice.remote_candidates(&stream);
    if let Some(candidate) = preferred(&known) {
        tracing::debug!(candidate, "the other side has another address");
        add_candidate(webrtc, 0, &candidate);
    }
}

fn stream_of(transport: &WebRTCDTLSTransport) -> Option<WebRTCICEStream> {
    let ice = transport.property::<Option<glib::Object>>("transport")?;
    ice.find_property("stream")?;
    ice.property::<Option<WebRTCICEStream>>("stream")
}

/// The newest learnt candidate with a higher priority than all others have; `None` if none was
/// learnt.
fn preferred(known: &[WebRTCICECandidateStats]) -> Option<String> {
    let learnt = |candidate: &&WebRTCICECandidateStats| {
        candidate.type_() == Some("peer-reflexive") || candidate.type_() == Some("prflx")
    };
    let newest = known.iter().rfind(learnt)?;
    let highest = known.iter().map(WebRTCICECandidateStats::prio).max()?;
    let priority = highest.saturating_add(1).min(MAX_PRIORITY);
    let (ip, port) = (newest.ipaddr()?, newest.port());
    Some(format!("candidate:1 1 UDP {priority} {ip} {port} typ host"))
}
