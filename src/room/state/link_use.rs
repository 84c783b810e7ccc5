//! What the link of somebody to whom pictures are forwarded is used for: how it is split, and what
//! it would have to carry for more; pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::State;
use super::bandwidth_allocation;
use super::bandwidth_allocation::{Split, Wish};
use super::delivery_path::Route;
use super::slot_allocation::Held;
use super::wiring::{Downlink, Forwards};
use crate::id::ParticipantId;
use crate::id::SourceId;
use crate::media::bwe::controller::{PICTURE_SHARE, SOUND_HEADERS};
use crate::media::bwe::layer_probe::Demand;
use crate::media::mixer::Scene;

/// What headers leave of the bits of a picture, percent.
const PICTURE_PERCENT: u64 = (PICTURE_SHARE * 100.0) as u64;

/// What viewers' links leave to each picture that is forwarded to them, bit/s. Those whose link is
/// not limited have no part in it.
pub(crate) type Shares = BTreeMap<(ParticipantId, SourceId), u32>;

impl State {
    /// How the links that are limited are split over what is forwarded.
    pub(crate) fn link_shares(
        &self,
        scene: &Scene,
        forwards: &BTreeMap<ParticipantId, Forwards>,
    ) -> Shares {
        let of_person = |(who, all): (&ParticipantId, &Forwards)| {
            let who = *who;
            let most = self.people.get(&who)?.most_forwarded()?;
            let wishes = self.wishes(who, scene, all);
            let shares = self.split(who, most, all, &wishes).shares.into_iter();
            let sources: Vec<SourceId> =
                all.video.slots.iter().flatten().map(|h| h.source).collect();
            let share =
                move |(source, bits)| ((who, source), u32::try_from(bits).unwrap_or(u32::MAX));
            Some(sources.into_iter().zip(shares).map(share))
        };
        forwards.iter().filter_map(of_person).flatten().collect()
    }

    /// What would be forwarded to somebody if their link carried more; `None` if no picture is
    /// forwarded to them, or a composite comes beside it.
    pub(crate) fn forward_demand(&self, who: ParticipantId, now: Duration) -> Option<Demand> {
        let person = self.people.get(&who)?;
        let all = self.wired.forwards.get(&who)?;
        if person.picture.uses(Route::Mix) || all.video.slots.iter().flatten().next().is_none() {
            return None;
        }
        let wishes = self.wishes(who, &self.desired_scene(now), all);
        let most = person.most_forwarded().unwrap_or(u64::MAX);
        let demand = self.split(who, most, all, &wishes).demand(&wishes);
        Some(demand.with_sound(self.sound_beside(who, all), PICTURE_PERCENT))
    }

    /// What each picture that is forwarded to somebody could use of their link, in the order of
    /// the slots that carry one.
    fn wishes(&self, who: ParticipantId, scene: &Scene, all: &Forwards) -> Vec<Wish> {
        let wish = |(n, held): (usize, &Option<Held>)| {
            let source = held.as_ref()?.source;
            let held = self.held_layer((who, Downlink::ForwardVideo(n)), source);
            let aim = self.free_aim(who, source, scene, held);
            let wish = self
                .live_uplink(source)
                .map(|uplink| uplink.layers.wish(aim, self.halves()));
            Some(wish.unwrap_or_default())
        };
        let slots = all.video.slots.iter().enumerate();
        slots.filter_map(wish).collect()
    }

    /// Splits what sound leaves of `most` bit/s for all that is forwarded to somebody.
    fn split(&self, who: ParticipantId, most: u64, all: &Forwards, wishes: &[Wish]) -> Split {
        let left = most.saturating_sub(self.sound_beside(who, all));
        bandwidth_allocation::split(left / 100 * PICTURE_PERCENT, wishes)
    }

    /// What the sound comes to that somebody gets beside forwarded pictures, bit/s.
    fn sound_beside(&self, who: ParticipantId, forwards: &Forwards) -> u64 {
        let forwarded = forwards.audio.slots.iter().flatten().count();
        let mixed = self
            .people
            .get(&who)
            .is_some_and(|person| person.downlinks.mix_audio && person.sound.uses(Route::Mix));
        let one = u64::from(self.settings.audio_bitrate.saturating_add(SOUND_HEADERS));
        let streams = u64::try_from(forwarded + usize::from(mixed));
        streams.unwrap_or(u64::MAX).saturating_mul(one)
    }
}
