//! What tests of single elements share.

use gst::prelude::*;

/// A pad that buffers of media type `kind` can be pushed into `sink` from.
pub(crate) fn pad_into(sink: &gst::Pad, kind: &str) -> gst::Pad {
    let pad = gst::Pad::builder(gst::PadDirection::Src).build();
    pad.set_active(true).expect("it is active");
    pad.link(sink).expect("it fits");
    let caps = gst::Caps::new_empty_simple(kind);
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    // Where they go further than the element, nobody may be linked.
    let _ = pad.push_event(gst::event::StreamStart::new(kind));
    let _ = pad.push_event(gst::event::Caps::new(&caps));
    let _ = pad.push_event(gst::event::Segment::new(&segment));
    pad
}
