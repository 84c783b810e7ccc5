//! What a mixer reads a source from: a decoder that runs with the clock, or one that is read as
//! fast as it decodes.

/// Decoded samples of one source, as the canvas or the sound mixer reads them.
pub(crate) trait SampleSource: Send {
    /// The next sample at time `now`, which never goes back. Of pictures that is the newest one, if
    /// there is a new one. Of sound it is the one that follows the last, to be called until there
    /// is none.
    fn pull(&mut self, now: gst::ClockTime) -> Option<gst::Sample>;
}
