//! The difference between two wirings as steps, in an order in which nothing is fed from something
//! that does not run; pure.

use std::collections::BTreeSet;

use super::wiring::{Downlink, Feed, LevelRate, Mix, Mixing, Step, Wiring};
use crate::id::ParticipantId;
use crate::media::stream::slot::Handoff;

impl Wiring {
    /// The steps from here to `next`: first what starts, then the switch, then what ends, so
    /// that nothing is fed from something that does not run.
    pub(crate) fn steps_to(&self, next: &Self) -> Vec<Step> {
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
        if old.pressure != new.pressure && !stops {
            steps.push(Step::SetPressure(new.pressure));
        }
        steps.extend(starts(old, new));
        // Before the first keyframe of what is to follow.
        steps.extend(self.pace_steps(next));
        steps.extend(self.feed_steps(next));
        steps.extend(self.recorder_steps(next));
        if stops {
            // It takes its sources, outputs and names with it.
            steps.push(Step::StopMixer);
        } else {
            if old.scene != new.scene || sources_changed(old, new) {
                steps.push(Step::SetScene(new.scene.clone()));
            }
            steps.extend(ends(old, new));
        }
        steps.extend(self.notice_steps(next));
        steps
    }

    /// The steps that only tell participants something.
    fn notice_steps(&self, next: &Self) -> Vec<Step> {
        let captures = next
            .captures
            .iter()
            .filter(|(who, capture)| self.captures.get(who) != Some(capture))
            .map(|(who, capture)| Step::Capture(*who, capture.clone()));
        let tables = next
            .tables
            .iter()
            .filter(|(who, table)| self.tables.get(who) != Some(table))
            .map(|(who, table)| Step::Slots(*who, table.clone()));
        let paused = next.paused_upstreams.difference(&self.paused_upstreams);
        let resumed = self.paused_upstreams.difference(&next.paused_upstreams);
        let reduced = next.reduced_levels.difference(&self.reduced_levels);
        let full = self.reduced_levels.difference(&next.reduced_levels);
        captures
            .chain(tables)
            .chain(reduced.map(|who| Step::Levels(*who, LevelRate::Reduced)))
            .chain(full.map(|who| Step::Levels(*who, LevelRate::Full)))
            .chain(paused.map(|who| Step::Uplinks(*who, false)))
            .chain(resumed.map(|who| Step::Uplinks(*who, true)))
            .collect()
    }

    fn recorder_steps(&self, next: &Self) -> Vec<Step> {
        let stopped = self
            .recorders
            .keys()
            .filter(|id| !next.recorders.contains_key(id))
            .map(|id| Step::StopRecorder(id.clone()));
        let started = next
            .recorders
            .keys()
            .filter(|id| !self.recorders.contains_key(id))
            .map(|id| Step::StartRecorder(id.clone()));
        let fed = next
            .recorder_feeds
            .iter()
            .filter(|(key, output)| self.recorder_feeds.get(key) != Some(output))
            .map(|((id, _), output)| Step::FeedRecorder(id.clone(), *output));
        let untracked = self
            .tracks
            .keys()
            // The end of a recording is that of its tracks.
            .filter(|key| !next.tracks.contains_key(key) && next.recorders.contains_key(&key.0))
            .map(|(id, source)| Step::Track(id.clone(), *source, None));
        let tracked = next
            .tracks
            .iter()
            .filter(|(key, feed)| self.tracks.get(key) != Some(feed))
            .map(|((id, source), feed)| Step::Track(id.clone(), *source, Some(*feed)));
        let mixed = stopped.chain(started).chain(fed);
        mixed.chain(untracked).chain(tracked).collect()
    }

    fn pace_steps(&self, next: &Self) -> impl Iterator<Item = Step> {
        let all: BTreeSet<ParticipantId> = self
            .pacing
            .keys()
            .chain(next.pacing.keys())
            .copied()
            .collect();
        let paced = all.into_iter().filter_map(|who| {
            let pacing = next.pacing.get(&who).copied();
            (pacing != self.pacing.get(&who).copied()).then_some(Step::Pace(who, pacing))
        });
        paced.collect::<Vec<_>>().into_iter()
    }

    fn feed_steps(&self, next: &Self) -> Vec<Step> {
        let unfed = self
            .feeds
            .keys()
            .filter(|slot| !next.feeds.contains_key(slot))
            .map(|(who, downlink)| Step::Feed(*who, *downlink, None, Handoff::AtOnce));
        let fed = next
            .feeds
            .iter()
            .filter(|(slot, feed)| self.feeds.get(slot) != Some(feed))
            .map(|((who, downlink), feed)| {
                let change = self.handoff_to(*feed, (*who, *downlink), next);
                Step::Feed(*who, *downlink, Some(*feed), change)
            });
        unfed.chain(fed).collect()
    }

    /// How a slot passes from its current feed to `feed`: at once, or at the first keyframe.
    fn handoff_to(&self, feed: Feed, slot: (ParticipantId, Downlink), next: &Self) -> Handoff {
        let before = self.feeds.get(&slot);
        let paced = next.pacing.contains_key(&slot.0);
        match (before, feed) {
            // What a link does not carry is in the way of what it could.
            (Some(before), _) if paced && before.is_above(&feed) => Handoff::AtOnce,
            (_, Feed::Output(_)) => Handoff::WhenReady,
            // Another encoding of the same picture.
            (Some(before), _) if before.goes_on_in(&feed) => Handoff::WhenReady,
            _ => Handoff::AtOnce,
        }
    }
}

/// A branch that has just started must be told its tile, even if no tile moved.
fn sources_changed(old: &Mix, new: &Mix) -> bool {
    new.sources
        .iter()
        .any(|(source, decoded)| old.sources.get(source) != Some(decoded))
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
        .filter(|(source, decoded)| old.sources.get(source) != Some(decoded))
        .map(|(source, decoded)| Step::AddSource(*source, decoded.layer));
    let outputs = new.outputs.difference(&old.outputs);
    let rates = new.rates.iter().filter(|(output, rate)| {
        let was = old.rates.get(output).map_or(rate.first, |rate| rate.now);
        was != rate.now
    });
    let fec = new.fec.iter().filter(|(output, wanted)| {
        let was = old.fec.get(output).copied().unwrap_or_default();
        was != **wanted
    });
    names
        .chain(sources)
        .chain(outputs.map(|output| Step::StartOutput(*output)))
        .chain(rates.map(|(output, rate)| Step::SetBitrate(*output, rate.now)))
        .chain(fec.map(|(output, wanted)| Step::SetFec(*output, *wanted)))
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
