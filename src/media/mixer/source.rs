//! Where a mixer reads a source: a decoder that runs with the clock, or one that is read as fast as
//! it decodes.

/// A source as the canvas or the sound mixer reads it.
pub(crate) trait SampleSource: Send {
    /// What there is at `now`: of pictures the newest if there is a new one; of sound what follows,
    /// until there is no more of it. `now` never goes back.
    fn pull(&mut self, now: gst::ClockTime) -> Option<gst::Sample>;
}

impl SampleSource for gst_app::AppSink {
    /// Never waits.
    fn pull(&mut self, _now: gst::ClockTime) -> Option<gst::Sample> {
        self.try_pull_sample(gst::ClockTime::ZERO)
    }
}
