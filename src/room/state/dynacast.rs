//! Which of a camera's encodings everybody gets, and what senders are asked to send: nothing that
//! nobody watches; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::State;
use super::layers::{Aim, Halves};
use super::link_use::Shares;
use super::participant::Uplink;
use super::wiring::{Downlink, Feed, Mixing, TrackFeed};
use crate::id::SourceId;
use crate::id::{ParticipantId, Rid, Role};
use crate::layout::Size;
use crate::media::mixer::Scene;
use crate::protocol::recording::RecordingId;
use crate::protocol::{Capture, LayerCapture};

/// A slot of somebody.
type Slot = (ParticipantId, Downlink);

/// What recordings of tracks take.
pub(crate) type Recorded = BTreeMap<(RecordingId, SourceId), TrackFeed>;

/// Who takes pictures, beside the mixer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Takers<'a> {
    /// Slots, and what they are fed.
    pub(crate) forwarded: &'a BTreeMap<Slot, Feed>,
    /// Recordings.
    pub(crate) recorded: &'a Recorded,
}

/// What is shown to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    /// The composite.
    pub(crate) scene: &'a Scene,
    /// What forwarded pictures may take of links that are limited.
    pub(crate) shares: &'a Shares,
}

/// Somebody who watches a camera, or a recording of it.
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
    pub(crate) fn rid_of(&self, source: SourceId, n: usize) -> Option<&Rid> {
        let person = self.people.get(&source.participant)?;
        person.uplinks.get(&source.role)?.layers.rids().get(n)
    }

    /// How many slots an encoding of an uplink is forwarded to.
    pub(crate) fn viewers_of_layer(&self, source: SourceId, n: usize) -> usize {
        let fed = self.wired.feeds.values();
        let is = |feed: &&Feed| match feed {
            Feed::Uplink {
                source: fed, layer, ..
            } => *fed == source && *layer == n,
            Feed::Output(_) => false,
        };
        fed.filter(is).count()
    }

    pub(crate) fn halves(&self) -> Halves {
        Halves {
            canvas: self.settings.canvas,
            fps: self.settings.fps,
        }
    }

    /// What a viewer is to get of a picture that is forwarded to them, within what their link
    /// carries and they ask for at most.
    fn aim_of(
        &self,
        who: ParticipantId,
        source: SourceId,
        shown: Shown<'_>,
        held: Option<usize>,
    ) -> Aim {
        Aim {
            max_bitrate: shown.shares.get(&(who, source)).copied(),
            ..self.free_aim(who, source, shown.scene, held)
        }
    }

    /// The same for a link that carries anything: as high as they say they draw it, else as it is
    /// in the composite.
    pub(crate) fn free_aim(
        &self,
        who: ParticipantId,
        source: SourceId,
        scene: &Scene,
        held: Option<usize>,
    ) -> Aim {
        let tile = || scene.tile_of(source).map_or(0, |rect| rect.h);
        let person = self.people.get(&who);
        let drawn = person.and_then(|person| person.heights.get(&source).copied());
        let most = person.and_then(|person| person.limits.max_height);
        Aim {
            height: drawn.unwrap_or_else(tile).min(most.unwrap_or(u32::MAX)),
            max_bitrate: None,
            held,
            sent: held.and_then(|n| self.asked_bitrate(source, n)),
        }
    }

    /// What a sender was asked to send an encoding at, bit/s.
    fn asked_bitrate(&self, source: SourceId, n: usize) -> Option<u32> {
        let capture = self.wired.captures.get(&source.participant)?;
        let rid = self.rid_of(source, n);
        match rid {
            _ if capture.role != source.role => None,
            None => Some(capture.bitrate),
            Some(rid) => {
                let layer = capture.layers.iter().find(|layer| layer.rid == *rid);
                layer.map(|layer| layer.bitrate)
            }
        }
    }

    /// The encoding of a picture that a slot is fed.
    pub(crate) fn held_layer(&self, slot: Slot, source: SourceId) -> Option<usize> {
        match self.wired.feeds.get(&slot) {
            Some(Feed::Uplink {
                source: held,
                layer,
                ..
            }) if *held == source => Some(*layer),
            _ => None,
        }
    }

    /// The encoding of an uplink that a slot should get.
    pub(crate) fn forwarded_layer(
        &self,
        slot: Slot,
        (source, uplink): (SourceId, &Uplink),
        shown: Shown<'_>,
        now: Duration,
    ) -> Option<usize> {
        let held = self.held_layer(slot, source);
        let aim = self.aim_of(slot.0, source, shown, held);
        uplink.layers.choose(aim, self.halves(), now)
    }

    /// The one that the mixer should decode for a tile of that height.
    pub(crate) fn mixed_layer(
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
    pub(crate) fn desired_captures(
        &self,
        now: Duration,
        shown: Shown<'_>,
        takers: Takers<'_>,
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
                        let watchers = self.watchers(source, uplink, shown, takers, mixer);
                        self.needed(uplink, &watchers)
                    })
                    .unwrap_or_default();
                let tile = shown.scene.tile_of(source).map(|rect| Size {
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
        shown: Shown<'_>,
        takers: Takers<'_>,
        mixer: &Mixing,
    ) -> Vec<Watcher> {
        let watcher = |aim, held, tile| Watcher {
            asked: uplink.layers.ask(aim, self.halves()),
            held,
            tile,
        };
        let forwarded = takers.forwarded.iter();
        let viewers = forwarded.filter_map(|((who, _), feed)| match feed {
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
        let mixed = decoded
            .zip(shown.scene.tile_of(source))
            .map(|(decoded, rect)| {
                let tile = Size {
                    width: rect.w,
                    height: rect.h,
                };
                watcher(aim(rect.h, Some(decoded.layer)), decoded.layer, Some(tile))
            });
        let recorded = takers.recorded.iter();
        let recorders = recorded
            .filter(|((_, of), _)| *of == source)
            .map(|(_, feed)| watcher(best(Some(feed.layer)), feed.layer, None));
        viewers.chain(mixed).chain(recorders).collect()
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

/// What a recording is to get of a camera: the largest.
pub(crate) fn best(held: Option<usize>) -> Aim {
    aim(u32::MAX, held)
}

fn aim(height: u32, held: Option<usize>) -> Aim {
    Aim {
        height,
        max_bitrate: None,
        held,
        sent: None,
    }
}
