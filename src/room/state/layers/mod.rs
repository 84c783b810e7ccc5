//! The encodings a camera is sent in at once, what flows of them, and which of them somebody gets;
//! pure.
//!
//! An encoding that a browser has switched off, because it was asked to or because its link is too
//! narrow, is silent and comes back. It is never the end of an uplink, which lasts as long as any
//! of its encodings.

use std::time::Duration;

use super::bandwidth_allocation::LayerCosts;
use crate::id::Rid;
use crate::layout::Size;

/// How long an encoding has to flow before somebody is moved to it from one that flows: a link
/// that is barely wide enough for it lets it come and go.
pub(crate) const LAYER_SETTLE: Duration = Duration::from_secs(1);

/// Percent of the height wanted that will do. Less would be seen to be scaled up.
const ENOUGH_PERCENT: u64 = 90;

/// Percent of the height wanted below which somebody is moved to a larger one.
const KEEP_PERCENT: u64 = 80;

/// Percent of what a link carries that an encoding may take to be moved to.
const RISE_PERCENT: u64 = 80;

/// What arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// Nothing yet.
    Absent,
    /// RTP flows.
    Flowing { since: Duration },
    /// RTP flowed, and has been silent since.
    Silent { since: Duration },
}

impl Media {
    fn is_flowing(self) -> bool {
        matches!(self, Self::Flowing { .. })
    }
}

/// What an encoding is, for the choice among several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// Pixels.
    pub(crate) height: u32,
    /// bit/s.
    pub(crate) bitrate: u32,
}

impl Encoding {
    /// What a link must carry, bit/s, for somebody who has one of `current` bit/s to have this: of
    /// one that is larger something more, so that what has just been taken up is not too much.
    fn cost(self, current: Option<u32>) -> u64 {
        let bitrate = u64::from(self.bitrate);
        match current.is_some_and(|current| self.bitrate <= current) {
            true => bitrate,
            false => (bitrate * 100).div_ceil(RISE_PERCENT),
        }
    }
}

/// bit/s that somebody has now, where that is known.
fn current_bitrate(layers: &[Option<Encoding>], target: LayerTarget) -> Option<u32> {
    let current = target.current?;
    let nominal = || Some(layers.get(current)?.as_ref()?.bitrate);
    target.current_bitrate.or_else(nominal)
}

/// What somebody is to get of an uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerTarget {
    /// How high they show it, pixels.
    pub(crate) height: u32,
    /// What their link carries of it, bit/s, where that is known.
    pub(crate) max_bitrate: Option<u32>,
    /// Which they have.
    pub(crate) current: Option<usize>,
    /// What its sender is asked to send that one at, bit/s, where that is known: it may stand in
    /// for a smaller one.
    pub(crate) current_bitrate: Option<u32>,
}

/// The one of `layers` to serve a target with; `None` where there is none. What cannot be had is
/// `None` in `layers`. The smallest that is large enough, of those that the link carries; whoever
/// has one keeps it while it nearly fits.
pub(crate) fn choose_layer(layers: &[Option<Encoding>], target: LayerTarget) -> Option<usize> {
    let there = || {
        let known = layers.iter().enumerate();
        known.filter_map(|(n, encoding)| Some((n, (*encoding)?)))
    };
    let has = current_bitrate(layers, target);
    let fits = |(_, encoding): &(usize, Encoding)| {
        let max = target.max_bitrate.map(u64::from);
        max.is_none_or(|max| encoding.cost(has) <= max)
    };
    let fitting: Vec<(usize, Encoding)> = there().filter(fits).collect();
    if fitting.is_empty() {
        return there()
            .min_by_key(|(n, encoding)| (encoding.bitrate, encoding.height, *n))
            .map(|(n, _)| n);
    }
    let is = |percent: u64| {
        move |(_, encoding): &&(usize, Encoding)| {
            u64::from(encoding.height) * 100 >= u64::from(target.height) * percent
        }
    };
    let smallest = |percent| {
        let enough = fitting.iter().filter(is(percent));
        enough.min_by_key(|(n, encoding)| (encoding.height, *n))
    };
    let current = fitting.iter().find(|(n, _)| target.current == Some(*n));
    let chosen = match current.filter(is(KEEP_PERCENT)) {
        Some(current) => smallest(100)
            .filter(|(_, encoding)| encoding.height < current.1.height)
            .or(Some(current)),
        None => smallest(ENOUGH_PERCENT).or_else(|| {
            fitting
                .iter()
                .max_by_key(|(n, encoding)| (encoding.height, std::cmp::Reverse(*n)))
        }),
    };
    chosen.map(|(n, _)| *n)
}

/// What a sender is asked to send, and what encodings are taken for until they say: the canvas and
/// its halves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerSizes {
    pub(crate) canvas: Size,
    pub(crate) fps: u32,
}

impl LayerSizes {
    /// The size of the `n`-th encoding of `count`, the smallest first.
    pub(crate) fn size(self, n: usize, count: usize) -> Size {
        let halvings = count.saturating_sub(n + 1).min(8);
        Size {
            width: (self.canvas.width >> halvings).max(2),
            height: (self.canvas.height >> halvings).max(2),
        }
    }

    /// bit/s for a camera of this size: a tenth of a bit a pixel, which VP8 does well with on
    /// faces.
    pub(crate) fn bitrate(self, size: Size) -> u32 {
        let pixels = u64::from(size.width) * u64::from(size.height) * u64::from(self.fps);
        u32::try_from((pixels / 10).clamp(80_000, 2_500_000)).unwrap_or(2_500_000)
    }

    /// A picture of the canvas's shape.
    fn as_high_as(self, height: u32) -> Size {
        let width = u64::from(height) * u64::from(self.canvas.width);
        let width = width / u64::from(self.canvas.height.max(1));
        Size {
            width: u32::try_from(width).unwrap_or(u32::MAX),
            height,
        }
    }

    fn encoding(self, n: usize, count: usize) -> Encoding {
        let size = self.size(n, count);
        Encoding {
            height: size.height,
            bitrate: self.bitrate(size),
        }
    }
}

/// One encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layer {
    media: Media,
    /// Counts its taps: what must be forwarded or decoded anew.
    tap: u32,
    /// As its packets say, pixels.
    height: Option<u32>,
}

impl Layer {
    const ABSENT: Self = Self {
        media: Media::Absent,
        tap: 0,
        height: None,
    };
}

/// The encodings of an uplink: one, or those it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layers {
    rids: Vec<Rid>,
    all: Vec<Layer>,
}

impl Layers {
    pub(crate) fn new(rids: Vec<Rid>) -> Self {
        let all = vec![Layer::ABSENT; rids.len().max(1)];
        Self { rids, all }
    }

    /// Their names, the smallest first; none where there is but one.
    pub(crate) fn rids(&self) -> &[Rid] {
        &self.rids
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// A new tap of the `n`-th delivers.
    pub(crate) fn begin(&mut self, n: usize, now: Duration) {
        if let Some(layer) = self.all.get_mut(n) {
            layer.media = Media::Flowing { since: now };
            layer.tap += 1;
        }
    }

    /// The `n`-th flows or is silent from now on, if it ever began.
    pub(crate) fn set_media(&mut self, n: usize, media: Media) {
        if let Some(layer) = self.all.get_mut(n)
            && layer.media != Media::Absent
            && !(layer.media.is_flowing() && media.is_flowing())
        {
            layer.media = media;
        }
    }

    /// The `n`-th is as high as that now.
    pub(crate) fn set_height(&mut self, n: usize, height: u32) {
        if let Some(layer) = self.all.get_mut(n) {
            layer.height = Some(height);
        }
    }

    /// Silence from now on counts, whatever it was before.
    pub(crate) fn restart_silence(&mut self, now: Duration) {
        for layer in &mut self.all {
            if let Media::Silent { since } = &mut layer.media {
                *since = now;
            }
        }
    }

    /// What arrives of any of them.
    pub(crate) fn media(&self) -> Media {
        let all = || self.all.iter().map(|layer| layer.media);
        let flowing = all().find(|media| media.is_flowing());
        let silent = all().filter_map(|media| match media {
            Media::Silent { since } => Some(since),
            _ => None,
        });
        let silent = || silent.max().map(|since| Media::Silent { since });
        flowing.or_else(silent).unwrap_or(Media::Absent)
    }

    /// The number of the `n`-th one's tap; 0 before the first.
    pub(crate) fn tap(&self, n: usize) -> u32 {
        self.all.get(n).map_or(0, |layer| layer.tap)
    }

    /// Which of those that flow serves a target; of those that have begun if none flows.
    pub(crate) fn choose(
        &self,
        target: LayerTarget,
        sizes: LayerSizes,
        now: Duration,
    ) -> Option<usize> {
        let flowing = |n: usize| match self.all.get(n)?.media {
            Media::Flowing { since } => Some(since),
            _ => None,
        };
        let long = |since: Duration| since + LAYER_SETTLE <= now;
        // Whoever has had one for long is not moved to one that has just come, unless their link
        // does not carry what they have.
        let nominal = |n| sizes.encoding(n, self.count()).bitrate;
        let current = target.current_bitrate.or(target.current.map(nominal));
        let carried = target.max_bitrate.is_none_or(|max| current <= Some(max));
        let calm = carried && target.current.and_then(flowing).is_some_and(long);
        let fits = |n: usize| {
            let known = target.current == Some(n);
            flowing(n).is_some_and(|since| known || !calm || long(since))
        };
        let begun = |n: usize| self.tap(n) > 0;
        choose_layer(&self.encodings(target, sizes, fits), target)
            .or_else(|| target.current.filter(|n| begun(*n)))
            .or_else(|| choose_layer(&self.encodings(target, sizes, begun), target))
    }

    /// Which would serve a target best, whether or not it flows.
    pub(crate) fn preferred(&self, target: LayerTarget, sizes: LayerSizes) -> usize {
        choose_layer(&self.nominal_encodings(target, sizes), target).unwrap_or(self.count() - 1)
    }

    /// What they are asked to be.
    fn nominal_encodings(&self, target: LayerTarget, sizes: LayerSizes) -> Vec<Option<Encoding>> {
        let count = self.count();
        if let [only] = self.all.as_slice() {
            // It is not asked to be anything: it is as large as it is.
            let height = only.height.unwrap_or(sizes.canvas.height);
            let nominal = || sizes.bitrate(sizes.as_high_as(height));
            let bitrate = target.current_bitrate.unwrap_or_else(nominal);
            return vec![Some(Encoding { height, bitrate })];
        }
        let all = (0..count).map(|n| Some(sizes.encoding(n, count)));
        all.collect()
    }

    /// What a link must carry for each encoding up to the one a target wants, and what it carries
    /// with the one that is current.
    pub(crate) fn costs(&self, target: LayerTarget, sizes: LayerSizes) -> LayerCosts {
        let all = self.nominal_encodings(target, sizes);
        let has = current_bitrate(&all, target);
        let free = LayerTarget {
            max_bitrate: None,
            ..target
        };
        let wanted = choose_layer(&all, free).and_then(|n| all.get(n).copied().flatten());
        let most = wanted.map_or(0, |encoding| encoding.bitrate);
        let offered = all.into_iter().flatten().filter(|e| e.bitrate <= most);
        let mut costs: Vec<u64> = offered.map(|e| e.cost(has)).collect();
        costs.sort_unstable();
        costs.dedup();
        let current = has.map_or(0, u64::from);
        LayerCosts { costs, current }
    }

    fn encodings(
        &self,
        target: LayerTarget,
        sizes: LayerSizes,
        fits: impl Fn(usize) -> bool,
    ) -> Vec<Option<Encoding>> {
        let encoding = |(n, layer): (usize, &Layer)| {
            let nominal = sizes.encoding(n, self.count());
            let sent = target.current_bitrate.filter(|_| target.current == Some(n));
            fits(n).then_some(Encoding {
                height: layer.height.unwrap_or(nominal.height),
                bitrate: sent.unwrap_or(nominal.bitrate),
            })
        };
        self.all.iter().enumerate().map(encoding).collect()
    }

    /// When one of several that has just come may be used by those who have another.
    pub(crate) fn settles_at(&self, now: Duration) -> Option<Duration> {
        if self.count() < 2 {
            return None;
        }
        let settles = self.all.iter().filter_map(|layer| match layer.media {
            Media::Flowing { since } => Some(since + LAYER_SETTLE),
            _ => None,
        });
        settles.filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests;
