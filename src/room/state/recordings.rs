//! The recordings of a room, and the media that each needs; pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::State;
use super::delivery_path::{HANDOVER_LIMIT, MediaKind};
use super::dynacast::{RecordedTracks, largest_layer};
use super::participant::Uplink;
use super::running_recording::RunningRecording;
use super::wiring::{TrackFeed, Tracked};
use crate::id::SourceId;
use crate::media::bwe::ladder::Rung;
use crate::media::mixer::{MixMinus, Output};
use crate::protocol::recording::{RecordingId, Subject};
use crate::protocol::room::RecordingState;
use crate::room::error::RoomError;
use crate::topology::Mode;

/// Largest number of recordings of one room at once.
pub const MAX_RECORDINGS: usize = 4;

impl State {
    /// Begins a recording under this id.
    ///
    /// # Errors
    /// [`RoomError::NothingToRecord`] in mode `p2p`, [`RoomError::TooManyRecordings`].
    pub(crate) fn record(
        &mut self,
        now: Duration,
        id: RecordingId,
        subject: Subject,
    ) -> Result<(), RoomError> {
        if self.mode == Mode::P2p {
            return Err(RoomError::NothingToRecord);
        }
        if self.recordings.len() >= MAX_RECORDINGS {
            let limit = MAX_RECORDINGS;
            return Err(RoomError::TooManyRecordings { limit });
        }
        let since = now;
        self.recordings
            .insert(id, RunningRecording { subject, since });
        Ok(())
    }

    /// Ends a recording.
    ///
    /// # Errors
    /// [`RoomError::NoSuchRecording`].
    pub(crate) fn stop_recording(&mut self, id: &RecordingId) -> Result<(), RoomError> {
        let stopped = self.recordings.remove(id);
        stopped.map(drop).ok_or(RoomError::NoSuchRecording)
    }

    /// The running recordings as clients see them.
    pub(crate) fn published_recordings(&self) -> Vec<RecordingState> {
        let shown = |(id, recording): (&RecordingId, &RunningRecording)| RecordingState {
            id: id.clone(),
            kind: recording.subject.kind(),
            format: recording.subject.format(),
        };
        self.recordings.iter().map(shown).collect()
    }

    /// The recordings for which a task should run.
    pub(crate) fn desired_recorders(&self) -> BTreeMap<RecordingId, Subject> {
        let subject =
            |(id, recording): (&RecordingId, &RunningRecording)| (id.clone(), recording.subject);
        self.recordings.iter().map(subject).collect()
    }

    /// The encodings of the mixer that recordings need. The picture is that of the top rung, which
    /// is mostly encoded for viewers anyway.
    pub(crate) fn recorded_outputs(&self) -> BTreeMap<(RecordingId, MediaKind), Output> {
        let mut outputs = BTreeMap::new();
        for (id, recording) in &self.recordings {
            let Subject::Mix(format) = recording.subject else {
                continue;
            };
            if let Some(codec) = format.video() {
                let rung = self.nearest_that_works(codec, Rung::TOP);
                let output = Output::Video { codec, rung };
                outputs.insert((id.clone(), MediaKind::Picture), output);
            }
            let output = Output::Sound(MixMinus::Nobody);
            outputs.insert((id.clone(), MediaKind::Sound), output);
        }
        outputs
    }

    /// The part of `outputs` that recordings should be fed now. A picture waits until everybody is
    /// in it, for [`HANDOVER_LIMIT`] at most, so that a recording does not begin with avatars.
    pub(crate) fn recorder_feeds(
        &self,
        now: Duration,
        mut outputs: BTreeMap<(RecordingId, MediaKind), Output>,
    ) -> BTreeMap<(RecordingId, MediaKind), Output> {
        let painted = self.painted().is_some();
        outputs.retain(|key, _| {
            let waited = |recording: &RunningRecording| recording.since + HANDOVER_LIMIT <= now;
            key.1 == MediaKind::Sound
                || painted
                || self.wired.recorder_feeds.contains_key(key)
                || self.recordings.get(&key.0).is_some_and(waited)
        });
        outputs
    }

    /// What recordings of tracks should write: every uplink, each in its largest encoding.
    pub(crate) fn desired_tracks(&self, now: Duration) -> RecordedTracks {
        let of_tracks = |(_, recording): &(&RecordingId, &RunningRecording)| {
            recording.subject == Subject::Tracks
        };
        let recordings = self.recordings.iter().filter(of_tracks);
        recordings
            .flat_map(|(id, _)| {
                let uplinks = self.participants.iter().flat_map(|(who, participant)| {
                    let uplinks = participant
                        .uplinks
                        .iter()
                        .filter(|_| participant.is_connected());
                    uplinks.map(move |(role, uplink)| ((*who, *role), uplink))
                });
                uplinks.filter_map(move |((participant, role), uplink)| {
                    let source = SourceId { participant, role };
                    let key = (id.clone(), source);
                    let feed = self.track_feed(&key, uplink, now)?;
                    Some((key, feed))
                })
            })
            .collect()
    }

    fn track_feed(
        &self,
        key: &(RecordingId, SourceId),
        uplink: &Uplink,
        now: Duration,
    ) -> Option<TrackFeed> {
        let current = self.wired.tracks.get(key).map(|feed| feed.layer);
        let layer = uplink
            .layers
            .choose(largest_layer(current), self.layer_sizes(), now)?;
        uplink.has_begun().then(|| TrackFeed {
            layer,
            tap: uplink.layers.tap(layer),
            tracked: match uplink.is_muted() {
                true => Tracked::Muted,
                false => Tracked::Live,
            },
        })
    }

    /// The moments at which recordings get a picture even if somebody is missing in it.
    pub(crate) fn recordings_due(&self) -> impl Iterator<Item = Duration> {
        let due = |recording: &RunningRecording| recording.since + HANDOVER_LIMIT;
        self.recordings.values().map(due)
    }
}
