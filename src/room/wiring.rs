//! What media should run for a given state of the room, and the steps from what runs to that;
//! pure. The state never says "start this encoder because somebody joined": it says what should
//! be, and the difference is carried out.

use std::collections::{BTreeMap, BTreeSet};

use super::handle::Capture;
use crate::id::ParticipantId;
use crate::media::mixer::{Output, Scene, SourceId};

/// A mix slot of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Downlink {
    /// The composite.
    Video,
    /// The sound.
    Audio,
}

/// A step towards what should run.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Start the room's mixer.
    StartMixer,
    /// End it and everything in it.
    StopMixer,
    /// Set the name on somebody's tiles.
    SetName(ParticipantId, String),
    /// Forget it.
    ForgetName(ParticipantId),
    /// Decode an uplink into the mix.
    AddSource(SourceId),
    /// Stop that.
    RemoveSource(SourceId),
    /// Start an encoding.
    StartOutput(Output),
    /// End it.
    StopOutput(Output),
    /// Feed a participant's slot from an encoding, or from nothing.
    Feed(ParticipantId, Downlink, Option<Output>),
    /// Show these tiles.
    SetScene(Scene),
    /// Tell a sender what to send.
    Capture(ParticipantId, Capture),
}

/// Everything that runs, or should.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Wiring {
    pub(super) mixer: Mixing,
    pub(super) feeds: BTreeMap<(ParticipantId, Downlink), Output>,
    pub(super) captures: BTreeMap<ParticipantId, Capture>,
}

/// Whether there is a mixer, and what is in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Mixing {
    #[default]
    None,
    Running(Box<Mix>),
}

/// The contents of a mixer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Mix {
    pub(super) names: BTreeMap<ParticipantId, String>,
    /// With the generation that is decoded.
    pub(super) sources: BTreeMap<SourceId, u32>,
    pub(super) outputs: BTreeSet<Output>,
    pub(super) scene: Scene,
}

impl Wiring {
    /// The scene, while there is a mixer.
    pub(super) fn scene(&self) -> Option<&Scene> {
        match &self.mixer {
            Mixing::None => None,
            Mixing::Running(mix) => Some(&mix.scene),
        }
    }

    /// Whether an uplink is being decoded.
    pub(super) fn decodes(&self, source: SourceId) -> bool {
        match &self.mixer {
            Mixing::None => false,
            Mixing::Running(mix) => mix.sources.contains_key(&source),
        }
    }

    /// Forgets an encoding that ended by itself, with whatever it fed.
    pub(super) fn forget_output(&mut self, output: Output) {
        if let Mixing::Running(mix) = &mut self.mixer {
            mix.outputs.remove(&output);
        }
        self.feeds.retain(|_, fed| *fed != output);
    }

    /// Forgets the slots of a participant whose peer is gone.
    pub(super) fn forget_person(&mut self, who: ParticipantId) {
        self.feeds.retain(|(fed, _), _| *fed != who);
        self.captures.remove(&who);
    }

    /// The steps from here to `next`: first what starts, then the switch, then what ends, so
    /// that nothing is fed from something that does not run.
    pub(super) fn steps_to(&self, next: &Self) -> Vec<Step> {
        let mut steps = Vec::new();
        let empty = Mix::default();
        let (old, new) = match (&self.mixer, &next.mixer) {
            (Mixing::None, Mixing::None) => (&empty, &empty),
            (Mixing::Running(old), Mixing::None) => (&**old, &empty),
            (Mixing::None, Mixing::Running(new)) => {
                steps.push(Step::StartMixer);
                (&empty, &**new)
            }
            (Mixing::Running(old), Mixing::Running(new)) => (&**old, &**new),
        };
        let stops = next.mixer == Mixing::None && self.mixer != Mixing::None;
        steps.extend(starts(old, new));
        steps.extend(self.feed_steps(next));
        if stops {
            // It takes its sources, outputs and names with it.
            steps.push(Step::StopMixer);
        } else {
            if old.scene != new.scene || sources_changed(old, new) {
                steps.push(Step::SetScene(new.scene.clone()));
            }
            steps.extend(ends(old, new));
        }
        for (who, capture) in &next.captures {
            if self.captures.get(who) != Some(capture) {
                steps.push(Step::Capture(*who, *capture));
            }
        }
        steps
    }

    fn feed_steps(&self, next: &Self) -> Vec<Step> {
        let unfed = self
            .feeds
            .keys()
            .filter(|slot| !next.feeds.contains_key(slot))
            .map(|(who, downlink)| Step::Feed(*who, *downlink, None));
        let fed = next
            .feeds
            .iter()
            .filter(|(slot, output)| self.feeds.get(slot) != Some(output))
            .map(|((who, downlink), output)| Step::Feed(*who, *downlink, Some(*output)));
        unfed.chain(fed).collect()
    }
}

/// A branch that has just started must be told its tile, even if no tile moved.
fn sources_changed(old: &Mix, new: &Mix) -> bool {
    new.sources
        .iter()
        .any(|(source, generation)| old.sources.get(source) != Some(generation))
}

fn starts(old: &Mix, new: &Mix) -> Vec<Step> {
    let names = new
        .names
        .iter()
        .filter(|(who, name)| old.names.get(who) != Some(name))
        .map(|(who, name)| Step::SetName(*who, name.clone()));
    let sources = new
        .sources
        .iter()
        .filter(|(source, generation)| old.sources.get(source) != Some(generation))
        .map(|(source, _)| Step::AddSource(*source));
    let outputs = new.outputs.difference(&old.outputs);
    names
        .chain(sources)
        .chain(outputs.map(|output| Step::StartOutput(*output)))
        .collect()
}

fn ends(old: &Mix, new: &Mix) -> Vec<Step> {
    let sources = old
        .sources
        .keys()
        .filter(|source| !new.sources.contains_key(source))
        .map(|source| Step::RemoveSource(*source));
    let outputs = old.outputs.difference(&new.outputs);
    let names = old.names.keys().filter(|who| !new.names.contains_key(who));
    sources
        .chain(outputs.map(|output| Step::StopOutput(*output)))
        .chain(names.map(|who| Step::ForgetName(*who)))
        .collect()
}
