"""Peer connections that use loopback, where the server of the test is."""

import aioice.ice
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpReceiver

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


def connection():
    # An empty list: otherwise it would ask a server on the Internet.
    bundle = RTCBundlePolicy.MAX_BUNDLE
    return RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=bundle))


def prefer(transceiver, codec):
    """Leaves one codec, by its name, and retransmission."""
    kind = transceiver.kind
    known = RTCRtpReceiver.getCapabilities(kind).codecs
    kept = [c for c in known if c.mimeType.lower() in (f"{kind}/{codec}", f"{kind}/rtx")]
    transceiver.setCodecPreferences(kept)
