//! Which encoding of a camera each viewer gets, and which encodings senders are asked for: none
//! that nobody watches (LiveKit's dynacast); pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::State;
use super::layers::{LayerSizes, LayerTarget};
use super::link_use::Allocations;
use super::participant::Uplink;
use super::wiring::{Downlink, Feed, Mixing, TrackFeed};
use crate::id::SourceId;
use crate::id::{ParticipantId, Rid, Role};
use crate::layout::Size;
use crate::media::mixer::Scene;
use crate::protocol::recording::RecordingId;
use crate::protocol::{Capture, LayerCapture};

/// A slot of a participant.
type Slot = (ParticipantId, Downlink);

/// What recordings of tracks write of each uplink.
pub(crate) type RecordedTracks = BTreeMap<(RecordingId, SourceId), TrackFeed>;

/// Consumers of cameras other than the mixer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscribers<'a> {
    /// Forward slots, with their feeds.
    pub(crate) forwarded: &'a BTreeMap<Slot, Feed>,
    /// Recordings of tracks, with their feeds.
    pub(crate) recorded: &'a RecordedTracks,
}

/// The sizes in which pictures are shown, and the bitrates that they may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presentation<'a> {
    /// The composite's tiles.
    pub(crate) scene: &'a Scene,
    /// Bitrate limits of forwarded pictures, on links that are limited.
    pub(crate) allocations: &'a Allocations,
}

/// One consumer of a camera: a viewer, the mixer or a recording.
#[derive(Debug, Clone, Copy)]
struct Subscription {
    /// Index of the encoding that suits it best.
    preferred: usize,
    /// Index of the encoding that it gets now.
    current: usize,
    /// Size of the camera's tile in the composite, if the consumer is the mixer.
    tile: Option<Size>,
}

impl State {
    /// The rid of the `n`-th encoding of an uplink; `None` without simulcast.
    pub(crate) fn rid_of(&self, source: SourceId, n: usize) -> Option<&Rid> {
        let participant = self.participants.get(&source.participant)?;
        participant.uplinks.get(&source.role)?.layers.rids().get(n)
    }

    /// Number of slots to which the `n`-th encoding of an uplink is forwarded.
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

    pub(crate) fn layer_sizes(&self) -> LayerSizes {
        LayerSizes {
            canvas: self.settings.canvas,
            fps: self.settings.fps,
        }
    }

    /// The target for a picture forwarded to `who`, within their bandwidth allocation and the
    /// limits they asked for.
    fn target_of(
        &self,
        who: ParticipantId,
        source: SourceId,
        presentation: Presentation<'_>,
        current: Option<usize>,
    ) -> LayerTarget {
        LayerTarget {
            max_bitrate: presentation.allocations.get(&(who, source)).copied(),
            ..self.unlimited_target(who, source, presentation.scene, current)
        }
    }

    /// The target for a picture forwarded to `who` on an unlimited link: as high as they say they
    /// draw it, else as its tile in the composite.
    pub(crate) fn unlimited_target(
        &self,
        who: ParticipantId,
        source: SourceId,
        scene: &Scene,
        current: Option<usize>,
    ) -> LayerTarget {
        let tile = || scene.tile_of(source).map_or(0, |rect| rect.h);
        let participant = self.participants.get(&who);
        let drawn = participant.and_then(|participant| participant.heights.get(&source).copied());
        let most = participant.and_then(|participant| participant.limits.max_height);
        LayerTarget {
            height: drawn.unwrap_or_else(tile).min(most.unwrap_or(u32::MAX)),
            max_bitrate: None,
            current,
            current_bitrate: current.and_then(|n| self.asked_bitrate(source, n)),
        }
    }

    /// Bitrate at which a sender was asked to send an encoding, bit/s. `None` if it was not asked.
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

    /// Index of the encoding of `source` that a slot is fed; `None` if it is fed something else.
    pub(crate) fn current_layer(&self, slot: Slot, source: SourceId) -> Option<usize> {
        match self.wired.feeds.get(&slot) {
            Some(Feed::Uplink {
                source: current,
                layer,
                ..
            }) if *current == source => Some(*layer),
            _ => None,
        }
    }

    /// Index of the encoding of an uplink that a slot should be fed.
    pub(crate) fn forwarded_layer(
        &self,
        slot: Slot,
        (source, uplink): (SourceId, &Uplink),
        presentation: Presentation<'_>,
        now: Duration,
    ) -> Option<usize> {
        let current = self.current_layer(slot, source);
        let target = self.target_of(slot.0, source, presentation, current);
        uplink.layers.choose(target, self.layer_sizes(), now)
    }

    /// Index of the encoding that the mixer should decode for a tile of this height, pixels.
    pub(crate) fn mixed_layer(
        &self,
        source: SourceId,
        uplink: &Uplink,
        height: u32,
        now: Duration,
    ) -> Option<usize> {
        let current = self.wired.decoded(source).map(|decoded| decoded.layer);
        uplink
            .layers
            .choose(target_of_height(height, current), self.layer_sizes(), now)
    }

    /// What each participant should send of their camera. The size is that of its tile, so that the
    /// mixer copies instead of scaling. With simulcast: the encodings that a consumer gets or
    /// should get.
    pub(crate) fn desired_captures(
        &self,
        now: Duration,
        presentation: Presentation<'_>,
        subscribers: Subscribers<'_>,
        mixer: &Mixing,
    ) -> BTreeMap<ParticipantId, Capture> {
        let present = self.participants.iter().filter(|(_, p)| p.is_present(now));
        present
            .filter_map(|(who, participant)| {
                let source = SourceId {
                    participant: *who,
                    role: Role::Camera,
                };
                let layers = participant
                    .uplinks
                    .get(&Role::Camera)
                    .filter(|uplink| !uplink.layers.rids().is_empty())
                    .map(|uplink| {
                        let subscriptions =
                            self.subscriptions(source, uplink, presentation, subscribers, mixer);
                        self.needed(uplink, &subscriptions)
                    })
                    .unwrap_or_default();
                let tile = presentation.scene.tile_of(source).map(|rect| Size {
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
                    bitrate: self.layer_sizes().bitrate(size),
                    layers,
                };
                Some((*who, capture))
            })
            .collect()
    }

    fn subscriptions(
        &self,
        source: SourceId,
        uplink: &Uplink,
        presentation: Presentation<'_>,
        subscribers: Subscribers<'_>,
        mixer: &Mixing,
    ) -> Vec<Subscription> {
        let subscription = |target, current, tile| Subscription {
            preferred: uplink.layers.preferred(target, self.layer_sizes()),
            current,
            tile,
        };
        let forwarded = subscribers.forwarded.iter();
        let viewers = forwarded.filter_map(|((who, _), feed)| match feed {
            Feed::Uplink {
                source: fed, layer, ..
            } if *fed == source => {
                let target = self.target_of(*who, source, presentation, Some(*layer));
                Some(subscription(target, *layer, None))
            }
            _ => None,
        });
        let decoded = match mixer {
            Mixing::Running(mix) => mix.sources.get(&source),
            Mixing::None => None,
        };
        let mixed = decoded
            .zip(presentation.scene.tile_of(source))
            .map(|(decoded, rect)| {
                let tile = Size {
                    width: rect.w,
                    height: rect.h,
                };
                subscription(
                    target_of_height(rect.h, Some(decoded.layer)),
                    decoded.layer,
                    Some(tile),
                )
            });
        let recorded = subscribers.recorded.iter();
        let recorders = recorded
            .filter(|((_, of), _)| *of == source)
            .map(|(_, feed)| subscription(largest_layer(Some(feed.layer)), feed.layer, None));
        viewers.chain(mixed).chain(recorders).collect()
    }

    /// The encodings that a simulcast camera should send, the smallest first. At least one: a
    /// participant who sends nothing is taken for gone.
    fn needed(&self, uplink: &Uplink, subscriptions: &[Subscription]) -> Vec<LayerCapture> {
        let (rids, layer_sizes) = (uplink.layers.rids(), self.layer_sizes());
        let layer = |n: usize, size: Size| {
            Some(LayerCapture {
                rid: rids.get(n)?.clone(),
                width: size.width,
                height: size.height,
                bitrate: layer_sizes.bitrate(size),
            })
        };
        let preferred: BTreeSet<usize> = subscriptions.iter().map(|one| one.preferred).collect();
        let current: BTreeSet<usize> = subscriptions.iter().map(|one| one.current).collect();
        let size = |n| layer_sizes.size(n, rids.len());
        let one = match (only(&preferred), only(&current)) {
            _ if subscriptions.is_empty() => layer(rids.len() - 1, size(0)),
            // All prefer one encoding and all get one: that one gets the preferred size, and nobody
            // is moved.
            (Some(preferred), Some(current)) => {
                layer(current, common_size(size(preferred), subscriptions))
            }
            _ => None,
        };
        match one {
            Some(one) => vec![one],
            None => preferred
                .union(&current)
                .filter_map(|n| layer(*n, size(*n)))
                .collect(),
        }
    }
}

/// The only element of a set; `None` if it has none or several.
fn only(set: &BTreeSet<usize>) -> Option<usize> {
    set.first().copied().filter(|_| set.len() == 1)
}

/// The size for consumers who all prefer the same encoding, which is `wanted` by default: that of
/// the tile if only the mixer consumes it, or if the tile is higher.
fn common_size(wanted: Size, subscriptions: &[Subscription]) -> Size {
    let tile = subscriptions.iter().find_map(|one| one.tile);
    match tile {
        Some(tile) if subscriptions.len() == 1 || tile.height > wanted.height => tile,
        _ => wanted,
    }
}

/// The target of a recording: the largest encoding.
pub(crate) fn largest_layer(current: Option<usize>) -> LayerTarget {
    target_of_height(u32::MAX, current)
}

fn target_of_height(height: u32, current: Option<usize>) -> LayerTarget {
    LayerTarget {
        height,
        max_bitrate: None,
        current,
        current_bitrate: None,
    }
}
