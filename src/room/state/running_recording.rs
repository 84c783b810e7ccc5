//! What the state keeps of a recording under way.

use std::time::Duration;

use crate::protocol::recording::Subject;

/// A recording under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunningRecording {
    /// What is recorded.
    pub(crate) subject: Subject,
    /// When it was asked for.
    pub(crate) since: Duration,
}
