//! The simulcast encodings (layers) of an uplink: which of them flow, and which of them a consumer
//! gets; pure.
//!
//! An encoding that a browser has switched off, because it was asked to or because its link is too
//! narrow, is silent and comes back. It is never the end of an uplink, which lasts as long as any
//! of its encodings.

use std::time::Duration;

use super::bandwidth_allocation::LayerCosts;
use crate::id::Rid;
use crate::layout::Size;

/// How long an encoding must flow before a consumer is moved to it from one that flows. A sender's
/// link that is barely wide enough makes an encoding come and go.
pub(crate) const LAYER_SETTLE: Duration = Duration::from_secs(1);

/// Percent of the wanted height that an encoding needs to be large enough. Less would visibly be
/// scaled up.
const ENOUGH_PERCENT: u64 = 90;

/// Percent of the wanted height below which a consumer is moved to a larger encoding. Less than
/// [`ENOUGH_PERCENT`], so that a small change of the wanted height moves nobody.
const KEEP_PERCENT: u64 = 80;

/// Percent of a picture's allocated bitrate that a larger encoding may use for the viewer to be
/// moved to it.
const RISE_PERCENT: u64 = 80;

/// Whether media arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// Nothing has arrived yet.
    Absent,
    /// RTP arrives.
    Flowing { since: Duration },
    /// RTP arrived, and has stopped.
    Silent { since: Duration },
}

impl Media {
    fn is_flowing(self) -> bool {
        matches!(self, Self::Flowing { .. })
    }
}

/// Height and bitrate of an encoding, by which one is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// Height in pixels.
    pub(crate) height: u32,
    /// Bitrate in bit/s.
    pub(crate) bitrate: u32,
}

impl Encoding {
    /// What a link must carry for this encoding, bit/s, if the viewer gets one of `current` bit/s
    /// now. For a larger one it is more than its bitrate, by [`RISE_PERCENT`], so that the link is
    /// not full right after the change.
    fn cost(self, current: Option<u32>) -> u64 {
        let bitrate = u64::from(self.bitrate);
        match current.is_some_and(|current| self.bitrate <= current) {
            true => bitrate,
            false => (bitrate * 100).div_ceil(RISE_PERCENT),
        }
    }
}

/// Bitrate of the encoding that a consumer gets now, bit/s. `None` if unknown.
fn current_bitrate(layers: &[Option<Encoding>], target: LayerTarget) -> Option<u32> {
    let current = target.current?;
    let nominal = || Some(layers.get(current)?.as_ref()?.bitrate);
    target.current_bitrate.or_else(nominal)
}

/// What a consumer wants of an uplink, and what they get now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerTarget {
    /// Height at which they show it, pixels.
    pub(crate) height: u32,
    /// Bitrate allocated to it on their link, bit/s. `None` without a limit.
    pub(crate) max_bitrate: Option<u32>,
    /// Index of the encoding that they get now.
    pub(crate) current: Option<usize>,
    /// Bitrate at which its sender is asked to send that encoding, bit/s. It can be less than the
    /// nominal one, when the encoding stands in for a smaller one.
    pub(crate) current_bitrate: Option<u32>,
}

/// Index of the encoding in `layers` that serves a target: the smallest that is large enough, of
/// those that the link carries. A consumer keeps an encoding that nearly fits. Encodings that are
/// not available are `None` in `layers`; the result is `None` if none is available.
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

/// Nominal sizes of simulcast encodings: the canvas, its half, its quarter and so on. Senders are
/// asked for them, and encodings count as such until their packets tell their real size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerSizes {
    pub(crate) canvas: Size,
    pub(crate) fps: u32,
}

impl LayerSizes {
    /// Size of the `n`-th encoding of `count`, the smallest first, pixels.
    pub(crate) fn size(self, n: usize, count: usize) -> Size {
        let halvings = count.saturating_sub(n + 1).min(8);
        Size {
            width: (self.canvas.width >> halvings).max(2),
            height: (self.canvas.height >> halvings).max(2),
        }
    }

    /// Bitrate for a camera of this size, bit/s: a tenth of a bit per pixel, which is enough for
    /// faces in VP8.
    pub(crate) fn bitrate(self, size: Size) -> u32 {
        let pixels = u64::from(size.width) * u64::from(size.height) * u64::from(self.fps);
        u32::try_from((pixels / 10).clamp(80_000, 2_500_000)).unwrap_or(2_500_000)
    }

    /// The size of this height with the canvas's aspect ratio.
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

/// The state of one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layer {
    media: Media,
    /// Number of taps so far. A new tap must be forwarded and decoded anew.
    tap: u32,
    /// Height in pixels, as its packets tell. `None` until they do.
    height: Option<u32>,
}

impl Layer {
    const ABSENT: Self = Self {
        media: Media::Absent,
        tap: 0,
        height: None,
    };
}

/// The encodings of an uplink: one without simulcast, else one per rid.
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

    /// The rids, the smallest encoding first; empty without simulcast.
    pub(crate) fn rids(&self) -> &[Rid] {
        &self.rids
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Notes that a new tap of the `n`-th encoding delivers.
    pub(crate) fn begin(&mut self, n: usize, now: Duration) {
        if let Some(layer) = self.all.get_mut(n) {
            layer.media = Media::Flowing { since: now };
            layer.tap += 1;
        }
    }

    /// Notes that the `n`-th encoding flows or is silent. Ignored before its first tap.
    pub(crate) fn set_media(&mut self, n: usize, media: Media) {
        if let Some(layer) = self.all.get_mut(n)
            && layer.media != Media::Absent
            && !(layer.media.is_flowing() && media.is_flowing())
        {
            layer.media = media;
        }
    }

    /// Notes the height of the `n`-th encoding, pixels.
    pub(crate) fn set_height(&mut self, n: usize, height: u32) {
        if let Some(layer) = self.all.get_mut(n) {
            layer.height = Some(height);
        }
    }

    /// Counts the silence of all silent encodings from `now` on.
    pub(crate) fn restart_silence(&mut self, now: Duration) {
        for layer in &mut self.all {
            if let Media::Silent { since } = &mut layer.media {
                *since = now;
            }
        }
    }

    /// Whether media arrives of any encoding. If all are silent, since the last one fell silent.
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

    /// Serial number of the tap of the `n`-th encoding; 0 before the first.
    pub(crate) fn tap(&self, n: usize) -> u32 {
        self.all.get(n).map_or(0, |layer| layer.tap)
    }

    /// Index of the encoding that serves a target, among those that flow; if none flows, among
    /// those that ever did. `None` if none has begun.
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
        // A consumer whose encoding has flowed for long is not moved to one that has just come,
        // unless their link does not carry what they get.
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

    /// Index of the encoding that would serve a target best, whether or not it flows.
    pub(crate) fn preferred(&self, target: LayerTarget, sizes: LayerSizes) -> usize {
        choose_layer(&self.nominal_encodings(target, sizes), target).unwrap_or(self.count() - 1)
    }

    /// The encodings as their sender is asked to send them.
    fn nominal_encodings(&self, target: LayerTarget, sizes: LayerSizes) -> Vec<Option<Encoding>> {
        let count = self.count();
        if let [only] = self.all.as_slice() {
            // Without simulcast no height is asked for: it is as large as it is.
            let height = only.height.unwrap_or(sizes.canvas.height);
            let nominal = || sizes.bitrate(sizes.as_high_as(height));
            let bitrate = target.current_bitrate.unwrap_or_else(nominal);
            return vec![Some(Encoding { height, bitrate })];
        }
        let all = (0..count).map(|n| Some(sizes.encoding(n, count)));
        all.collect()
    }

    /// What a link must carry for each encoding up to the one that a target wants, and what the
    /// current one uses.
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

    /// When the next encoding that has just come may replace another one for a consumer. `None`
    /// without simulcast.
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
