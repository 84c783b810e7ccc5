//! What a payload asks of a decoder, by its headers.
//!
//! The sizes are those that a decoder makes room for, with what is cropped. What has to say its size
//! and does not cannot be told: senders keep such headers in one packet.

/// What a payload of pictures asks of a decoder.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    /// The streams of pictures that one begins of: a layer of VP9, or [`ONLY`].
    pub(crate) pictures: Vec<u8>,
    /// Sizes of the pictures from here on, in pixels, by what says them: a layer of VP9, a sequence
    /// parameter set of H.264, or [`ONLY`].
    pub(crate) areas: Vec<(u8, u32)>,
}

/// The stream of pictures of a codec that has no more.
pub(crate) const ONLY: u8 = 0;

/// Width times height; `None` if there is nothing between the edges.
pub(super) fn area((width, height): (u16, u16)) -> Option<u32> {
    let area = u32::from(width) * u32::from(height);
    (area > 0).then_some(area)
}
