//! Carries out the steps of the media wiring.

use std::sync::Arc;

use super::{Actor, Event, Shared};
use crate::id::ParticipantId;
use crate::id::SourceId;
use crate::media::mixer::{Mixer, MixerSettings, Output};
use crate::media::stream::slot;
use crate::media::stream::tap::Tap;
use crate::protocol::Capture;
use crate::protocol::recording::RecordingId;
use crate::room::notices::Notice;
use crate::room::state::Input;
use crate::room::state::pressure;
use crate::room::state::wiring::{Downlink, Feed, Step};

impl Actor {
    /// Carries out one step of the media wiring.
    pub(crate) fn run_step(&mut self, step: Step) {
        match step {
            Step::StartMixer => self.start_mixer(),
            Step::StopMixer => self.mixer = None,
            Step::Feed(who, slot, feed, change) => self.feed(who, slot, feed, change),
            Step::Pace(who, pacing) => {
                if let Some(connection) = self.connections.get(&who) {
                    connection.pace(pacing);
                }
            }
            Step::Levels(who, rate) => {
                if let Some(connection) = self.connections.get_mut(&who) {
                    connection.levels = rate;
                }
            }
            Step::SetFec(output, protection) => {
                self.with_mixer(|mixer| mixer.set_fec(output, protection));
            }
            Step::Slots(who, table) => self.tell(who, Notice::Slots(table.mode, table.slots)),
            Step::Uplinks(who, wanted) => self.set_upstream(who, wanted),
            Step::Capture(who, capture) => self.set_capture(who, capture),
            Step::AddSource(source, layer) => self.add_source(source, layer),
            Step::StartOutput(output) => self.start_output(output),
            Step::SetBitrate(output, bitrate) => {
                self.with_mixer(|mixer| mixer.set_bitrate(output, bitrate));
            }
            Step::SetName(who, name) => self.with_mixer(|mixer| mixer.set_name(who, &name)),
            Step::ForgetName(who) => self.with_mixer(|mixer| mixer.forget_name(who)),
            Step::RemoveSource(source) => self.with_mixer(|mixer| mixer.remove_source(source)),
            Step::StopOutput(output) => self.with_mixer(|mixer| mixer.drop_output(output)),
            Step::StartRecorder(id) => self.start_recorder(id),
            Step::FeedRecorder(id, output) => {
                if let Some(Ok(tap)) = self.mixer.as_mut().map(|m| m.output(output)) {
                    self.recorders.feed(&id, tap);
                }
            }
            Step::Track(id, source, feed) => {
                let tap = feed.and_then(|feed| self.tap_of(source, feed.layer));
                let tap = tap.zip(feed.map(|feed| feed.tracked));
                self.recorders.track(&id, source, tap);
            }
            Step::StopRecorder(id) => {
                self.recorders.stop(&id);
            }
            Step::SetScene(scene) => self.with_mixer(|mixer| mixer.set_scene(scene)),
            Step::SetPressure(pressure) => {
                let fps = pressure::fps(pressure, self.shared.settings.fps);
                self.with_mixer(|mixer| mixer.set_fps(fps));
            }
        }
    }

    fn with_mixer(&mut self, act: impl FnOnce(&mut Mixer)) {
        if let Some(mixer) = &mut self.mixer {
            act(mixer);
        }
    }

    fn set_upstream(&mut self, who: ParticipantId, wanted: bool) {
        if let Some(connection) = self.connections.get_mut(&who) {
            connection.set_upstream(wanted);
        }
        self.tell(who, Notice::Uplinks(wanted));
    }

    fn set_capture(&mut self, who: ParticipantId, capture: Capture) {
        if let Some(connection) = self.connections.get_mut(&who) {
            connection.set_camera_target(&capture);
        }
        self.tell(who, Notice::Capture(capture));
    }

    fn start_output(&mut self, output: Output) {
        if let Some(Err(error)) = self.mixer.as_mut().map(|m| m.output(output)) {
            tracing::error!(?output, %error, "cannot be encoded");
            self.inputs.push_back(Input::OutputFailed(output));
        }
    }

    fn start_recorder(&mut self, id: RecordingId) {
        let Shared {
            templates,
            settings,
            ..
        } = &self.shared;
        let events = self.events.clone();
        let on_end = Box::new(move |id| {
            let _ = events.send(Event::RecorderEnds(id));
        });
        let parts = (templates, &self.shared.admission);
        self.recorders.start(id, parts, settings, on_end);
        self.recorders.note(&Arc::new(self.state.published()));
    }

    fn start_mixer(&mut self) {
        self.serial += 1;
        self.mixer_serial = self.serial;
        let serial = self.serial;
        let events = self.events.clone();
        let on_event = Arc::new(move |event| {
            let _ = events.send(Event::Mixer(serial, event));
        });
        let shared = &self.shared.settings;
        let settings = MixerSettings {
            canvas: shared.canvas,
            fps: shared.fps,
            fit: shared.fit,
            ladder: Arc::clone(self.state.ladder()),
            audio_bitrate: shared.audio_bitrate,
            templates: Arc::clone(&self.shared.templates),
            admission: self.shared.admission.clone(),
        };
        self.packet_speakers.hand_over();
        match Mixer::start(settings, on_event) {
            Ok(mixer) => self.mixer = Some(mixer),
            Err(error) => {
                tracing::error!(%error, "no mixer");
                self.inputs.push_back(Input::MixerFailed);
            }
        }
    }

    fn add_source(&mut self, source: SourceId, layer: usize) {
        let (Some(tap), Some(mixer)) = (self.tap_of(source, layer), &mut self.mixer) else {
            return;
        };
        if let Err(error) = mixer.add_source(source, &tap) {
            tracing::error!(%source, %error, "cannot be decoded");
            self.inputs.push_back(Input::SourceFailed(source));
        }
    }

    /// Sets the feed of a participant's slot.
    fn feed(
        &mut self,
        who: ParticipantId,
        slot: Downlink,
        feed: Option<Feed>,
        change: slot::Handoff,
    ) {
        let tap = match feed {
            Some(Feed::Output(output)) => self.mixer.as_mut().and_then(|m| m.output(output).ok()),
            Some(Feed::Uplink { source, layer, .. }) => self.tap_of(source, layer),
            None => None,
        };
        let contributor = match feed {
            Some(Feed::Uplink { source, .. }) => Some(source.participant.ordinal()),
            _ => None,
        };
        let Some(connection) = self.connections.get_mut(&who) else {
            return;
        };
        match feed {
            Some(feed) => connection.fed.insert(slot, feed),
            None => connection.fed.remove(&slot),
        };
        let serial = connection.serial;
        let events = self.events.clone();
        let opened = move || {
            if let Some(feed) = feed {
                let _ = events.send(Event::Opened(who, serial, slot, feed));
            }
        };
        if let Some(slot) = connection.slot(slot) {
            let feed = tap.as_ref().map(|tap| slot::SlotFeed {
                tap,
                contributor,
                handoff: change,
            });
            slot.feed(feed, opened);
        }
    }

    fn tap_of(&self, source: SourceId, layer: usize) -> Option<Tap> {
        let connection = self.connections.get(&source.participant)?;
        Some(connection.flows.get(&(source.role, layer))?.tap.clone())
    }
}
