//! Which of a camera's encodings everybody gets, and what senders are asked to send: nothing that
//! nobody watches; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::assign::Assignment;
use super::handle::{Capture, LayerCapture};
use super::layers::{Aim, Halves};
use super::person::Uplink;
use super::state::State;
use super::wiring::{Downlink, Feed, Forwards, Mixing};
use crate::id::{ParticipantId, Rid, Role};
use crate::layout::Size;
use crate::media::mixer::{Scene, SourceId};

/// A slot of somebody.
type Slot = (ParticipantId, Downlink);

/// Who has whose forward slots.
type AllForwards = BTreeMap<ParticipantId, Forwards>;

/// Somebody who watches a camera.
#[derive(Debug, Clone, Copy)]
struct Watcher {
    /// Which encoding would be best for them.
    asked: usize,
    /// Which they have.
    held: usize,
    /// The tile in the composite, for the mixer.
    tile: Option<Size>,
}

impl State {
    /// The name of the `n`-th encoding of an uplink, if it has one.
    pub(super) fn rid_of(&self, source: SourceId, n: usize) -> Option<&Rid> {
        let person = self.people.get(&source.participant)?;
        person.uplinks.get(&source.role)?.layers.rids().get(n)
    }

    /// How many slots an encoding of an uplink is forwarded to.
    pub(super) fn viewers_of_layer(&self, source: SourceId, n: usize) -> usize {
        let fed = self.wired.feeds.values();
        let is = |feed: &&Feed| match feed {
            Feed::Uplink {
                source: fed, layer, ..
            } => *fed == source && *layer == n,
            Feed::Output(_) => false,
        };
        fed.filter(is).count()
    }

    fn halves(&self) -> Halves {
        Halves {
            canvas: self.settings.canvas,
            fps: self.settings.fps,
        }
    }

    /// What a viewer is to get of a picture that is forwarded to them: as high as they say they
    /// draw it, else as it is in the composite, and within what they ask for at most.
    fn aim_of(
        &self,
        who: ParticipantId,
        source: SourceId,
        (scene, forwards): (&Scene, &AllForwards),
        held: Option<usize>,
    ) -> Aim {
        let tile = || scene.tile_of(source).map_or(0, |rect| rect.h);
        let Some(person) = self.people.get(&who) else {
            return aim(tile(), held);
        };
        let height = person.heights.get(&source).copied().unwrap_or_else(tile);
        let limits = &person.limits;
        let share = |max| forwards.get(&who).map(|all| self.share(max, all));
        Aim {
            height: height.min(limits.max_height.unwrap_or(u32::MAX)),
            max_bitrate: limits.max_bitrate.and_then(share),
            held,
        }
    }

    /// What there is for each picture of `max` bit/s for all that is forwarded to somebody.
    fn share(&self, max: u32, forwards: &Forwards) -> u32 {
        let count = |assignment: &Assignment| {
            let taken = assignment.slots.iter().flatten().count();
            u32::try_from(taken).unwrap_or(u32::MAX)
        };
        let sound = count(&forwards.audio).saturating_mul(self.settings.audio_bitrate);
        max.saturating_sub(sound) / count(&forwards.video).max(1)
    }

    /// The encoding of an uplink that a slot should get.
    pub(super) fn forwarded_layer(
        &self,
        slot: Slot,
        (source, uplink): (SourceId, &Uplink),
        shown: (&Scene, &AllForwards),
        now: Duration,
    ) -> Option<usize> {
        let held = match self.wired.feeds.get(&slot) {
            Some(Feed::Uplink {
                source: held,
                layer,
                ..
            }) if *held == source => Some(*layer),
            _ => None,
        };
        let aim = self.aim_of(slot.0, source, shown, held);
        uplink.layers.choose(aim, self.halves(), now)
    }

    /// The one that the mixer should decode for a tile of that height.
    pub(super) fn mixed_layer(
        &self,
        source: SourceId,
        uplink: &Uplink,
        height: u32,
        now: Duration,
    ) -> Option<usize> {
        let held = self.wired.decoded(source).map(|decoded| decoded.layer);
        uplink.layers.choose(aim(height, held), self.halves(), now)
    }

    /// Everybody's camera at the size of its tile: then the mixer copies instead of scaling. Of
    /// one with several encodings, those that somebody gets or should get.
    pub(super) fn desired_captures(
        &self,
        now: Duration,
        shown: (&Scene, &AllForwards),
        forwarded: &BTreeMap<Slot, Feed>,
        mixer: &Mixing,
    ) -> BTreeMap<ParticipantId, Capture> {
        let present = self.people.iter().filter(|(_, p)| p.is_present(now));
        present
            .filter_map(|(who, person)| {
                let source = SourceId {
                    participant: *who,
                    role: Role::Camera,
                };
                let layers = person
                    .uplinks
                    .get(&Role::Camera)
                    .filter(|uplink| !uplink.layers.rids().is_empty())
                    .map(|uplink| {
                        let watchers = self.watchers(source, uplink, shown, forwarded, mixer);
                        self.needed(uplink, &watchers)
                    })
                    .unwrap_or_default();
                let tile = shown.0.tile_of(source).map(|rect| Size {
                    width: rect.w,
                    height: rect.h,
                });
                let largest = layers.last().map(|layer| Size {
                    width: layer.width,
                    height: layer.height,
                });
                let size = tile.or(largest)?;
                let capture = Capture {
                    role: Role::Camera,
                    width: size.width,
                    height: size.height,
                    fps: self.fps(),
                    bitrate: self.halves().bitrate(size),
                    layers,
                };
                Some((*who, capture))
            })
            .collect()
    }

    fn watchers(
        &self,
        source: SourceId,
        uplink: &Uplink,
        shown: (&Scene, &AllForwards),
        forwarded: &BTreeMap<Slot, Feed>,
        mixer: &Mixing,
    ) -> Vec<Watcher> {
        let watcher = |aim, held, tile| Watcher {
            asked: uplink.layers.ask(aim, self.halves()),
            held,
            tile,
        };
        let viewers = forwarded.iter().filter_map(|((who, _), feed)| match feed {
            Feed::Uplink {
                source: fed, layer, ..
            } if *fed == source => {
                let aim = self.aim_of(*who, source, shown, Some(*layer));
                Some(watcher(aim, *layer, None))
            }
            _ => None,
        });
        let decoded = match mixer {
            Mixing::Running(mix) => mix.sources.get(&source),
            Mixing::None => None,
        };
        let mixed = decoded.zip(shown.0.tile_of(source)).map(|(decoded, rect)| {
            let tile = Size {
                width: rect.w,
                height: rect.h,
            };
            watcher(aim(rect.h, Some(decoded.layer)), decoded.layer, Some(tile))
        });
        viewers.chain(mixed).collect()
    }

    /// What is to be sent of a camera that has several encodings, the smallest first. Never
    /// nothing, as whoever sends nothing is taken for gone.
    fn needed(&self, uplink: &Uplink, watchers: &[Watcher]) -> Vec<LayerCapture> {
        let (rids, halves) = (uplink.layers.rids(), self.halves());
        let layer = |n: usize, size: Size| {
            Some(LayerCapture {
                rid: rids.get(n)?.clone(),
                width: size.width,
                height: size.height,
                bitrate: halves.bitrate(size),
            })
        };
        let asked: BTreeSet<usize> = watchers.iter().map(|one| one.asked).collect();
        let held: BTreeSet<usize> = watchers.iter().map(|one| one.held).collect();
        let size = |n| halves.size(n, rids.len());
        let one = match (only(&asked), only(&held)) {
            _ if watchers.is_empty() => layer(rids.len() - 1, size(0)),
            // All want the same and have the same: it becomes what they want, and nobody is moved.
            (Some(asked), Some(held)) => layer(held, common_size(size(asked), watchers)),
            _ => None,
        };
        match one {
            Some(one) => vec![one],
            None => asked
                .union(&held)
                .filter_map(|n| layer(*n, size(*n)))
                .collect(),
        }
    }
}

/// The one there is, if there is no other.
fn only(set: &BTreeSet<usize>) -> Option<usize> {
    set.first().copied().filter(|_| set.len() == 1)
}

/// The size for watchers who want the same: that of the tile, if only the mixer watches.
fn common_size(wanted: Size, watchers: &[Watcher]) -> Size {
    let tile = watchers.iter().find_map(|one| one.tile);
    match tile {
        Some(tile) if watchers.len() == 1 || tile.height > wanted.height => tile,
        _ => wanted,
    }
}

fn aim(height: u32, held: Option<usize>) -> Aim {
    Aim {
        height,
        max_bitrate: None,
        held,
    }
}
