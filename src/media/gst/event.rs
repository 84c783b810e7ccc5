//! Events that are sent from several places.

/// A request for a keyframe with all its headers, to be sent upstream.
pub(crate) fn force_key_unit() -> gst::Event {
    gst_video::UpstreamForceKeyUnitEvent::builder()
        .all_headers(true)
        .build()
}
