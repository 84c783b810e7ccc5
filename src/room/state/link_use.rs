//! Bandwidth allocation for viewers of forwarded pictures: how their link is split over the
//! pictures, and what it would have to carry for better ones; pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::State;
use super::bandwidth_allocation;
use super::bandwidth_allocation::{BandwidthAllocation, LayerCosts};
use super::delivery_path::Route;
use super::slot_allocation::Occupant;
use super::wiring::{Downlink, Forwards};
use crate::id::ParticipantId;
use crate::id::SourceId;
use crate::media::bwe::controller::{PICTURE_SHARE, SOUND_HEADERS};
use crate::media::bwe::layer_probe::Demand;
use crate::media::mixer::Scene;

/// Percent of a picture's bitrate that is left after packet headers.
const PICTURE_PERCENT: u64 = (PICTURE_SHARE * 100.0) as u64;

/// Bitrate that each forwarded picture may have, bit/s, by viewer and source. Without an entry it
/// is not limited.
pub(crate) type Allocations = BTreeMap<(ParticipantId, SourceId), u32>;

impl State {
    /// Splits each limited link over the pictures that are forwarded on it.
    pub(crate) fn allocate_links(
        &self,
        scene: &Scene,
        forwards: &BTreeMap<ParticipantId, Forwards>,
    ) -> Allocations {
        let of_participant = |(who, all): (&ParticipantId, &Forwards)| {
            let who = *who;
            let most = self.participants.get(&who)?.most_forwarded()?;
            let pictures = self.picture_costs(who, scene, all);
            let bitrates = self
                .allocate(who, most, all, &pictures)
                .bitrates
                .into_iter();
            let sources: Vec<SourceId> =
                all.video.slots.iter().flatten().map(|h| h.source).collect();
            let bitrate =
                move |(source, bits)| ((who, source), u32::try_from(bits).unwrap_or(u32::MAX));
            Some(sources.into_iter().zip(bitrates).map(bitrate))
        };
        forwards
            .iter()
            .filter_map(of_participant)
            .flatten()
            .collect()
    }

    /// What could be forwarded to a participant if their link carried more. `None` if no picture is
    /// forwarded to them, or they get the composite too.
    pub(crate) fn forward_demand(&self, who: ParticipantId, now: Duration) -> Option<Demand> {
        let participant = self.participants.get(&who)?;
        let all = self.wired.forwards.get(&who)?;
        if participant.picture_path.uses(Route::Mix)
            || all.video.slots.iter().flatten().next().is_none()
        {
            return None;
        }
        let pictures = self.picture_costs(who, &self.desired_scene(now), all);
        let most = participant.most_forwarded().unwrap_or(u64::MAX);
        let demand = self.allocate(who, most, all, &pictures).demand(&pictures);
        Some(demand.with_sound(self.sound_beside(who, all), PICTURE_PERCENT))
    }

    /// The bitrates that each picture forwarded to a participant could have, in the order of the
    /// slots that carry one.
    fn picture_costs(&self, who: ParticipantId, scene: &Scene, all: &Forwards) -> Vec<LayerCosts> {
        let picture = |(n, held): (usize, &Option<Occupant>)| {
            let source = held.as_ref()?.source;
            let held = self.current_layer((who, Downlink::ForwardVideo(n)), source);
            let target = self.unlimited_target(who, source, scene, held);
            let picture = self
                .live_uplink(source)
                .map(|uplink| uplink.layers.costs(target, self.layer_sizes()));
            Some(picture.unwrap_or_default())
        };
        let slots = all.video.slots.iter().enumerate();
        slots.filter_map(picture).collect()
    }

    /// Divides a budget of `most` bit/s, less what audio needs, among the pictures forwarded to a
    /// participant.
    fn allocate(
        &self,
        who: ParticipantId,
        most: u64,
        all: &Forwards,
        pictures: &[LayerCosts],
    ) -> BandwidthAllocation {
        let left = most.saturating_sub(self.sound_beside(who, all));
        bandwidth_allocation::allocate(left / 100 * PICTURE_PERCENT, pictures)
    }

    /// Bitrate of all sound that a participant gets beside forwarded pictures, bit/s with headers.
    fn sound_beside(&self, who: ParticipantId, forwards: &Forwards) -> u64 {
        let forwarded = forwards.audio.slots.iter().flatten().count();
        let mixed = self.participants.get(&who).is_some_and(|participant| {
            participant.downlinks.mix_audio && participant.sound_path.uses(Route::Mix)
        });
        let one = u64::from(self.settings.audio_bitrate.saturating_add(SOUND_HEADERS));
        let streams = u64::try_from(forwarded + usize::from(mixed));
        streams.unwrap_or(u64::MAX).saturating_mul(one)
    }
}
