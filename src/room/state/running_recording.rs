//! What the state keeps of a running recording.

use std::time::Duration;

use crate::protocol::recording::Subject;

/// A recording that has been accepted and has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunningRecording {
    pub(crate) subject: Subject,
    /// When it was accepted.
    pub(crate) since: Duration,
}
