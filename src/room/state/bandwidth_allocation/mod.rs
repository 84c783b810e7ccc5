//! Bandwidth allocation: how a viewer's link is split over the pictures forwarded to them; pure.
//!
//! By max-min fairness, in steps from one encoding to the next: the picture that has least is the
//! first to get a larger encoding, and what one cannot use others get.

use crate::media::bwe::layer_probe::Demand;

/// The bitrates that one forwarded picture could have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LayerCosts {
    /// What the link must carry for each of the picture's encodings, bit/s, ascending.
    pub(crate) costs: Vec<u64>,
    /// Bitrate at which the picture is sent now, bit/s.
    pub(crate) current: u64,
}

/// The outcome of [`allocate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BandwidthAllocation {
    /// Bitrate for each picture, bit/s, in the order they were given in.
    pub(crate) bitrates: Vec<u64>,
    /// Additional bit/s for the cheapest step to a larger encoding; `None` if there is none.
    next_step: Option<u64>,
}

/// Splits `budget` bit/s over `pictures`. Each gets at least its smallest encoding, even beyond the
/// budget: there is nothing smaller to send.
pub(crate) fn allocate(budget: u64, pictures: &[LayerCosts]) -> BandwidthAllocation {
    let mut places = vec![0; pictures.len()];
    let cost = |n: usize, place: usize| pictures[n].costs.get(place).copied();
    let mut spent: u64 = (0..pictures.len()).filter_map(|n| cost(n, 0)).sum();
    loop {
        let steps = places.iter().enumerate().filter_map(|(n, place)| {
            let (from, to) = (cost(n, *place)?, cost(n, place + 1)?);
            Some((to, n, to - from))
        });
        let steps: Vec<(u64, usize, u64)> = steps.collect();
        let fits = |(_, _, more): &&(u64, usize, u64)| spent.saturating_add(*more) <= budget;
        let Some((_, n, more)) = steps.iter().filter(fits).min() else {
            let bitrates = places.iter().enumerate();
            let bitrates = bitrates.map(|(n, place)| cost(n, *place).unwrap_or(0));
            return BandwidthAllocation {
                bitrates: bitrates.collect(),
                next_step: steps.iter().map(|(_, _, more)| *more).min(),
            };
        };
        spent += more;
        places[*n] += 1;
    }
}

impl BandwidthAllocation {
    /// What the link would have to carry for more than this allocation. An encoding that is
    /// allocated but that its sender does not send yet comes first.
    pub(crate) fn demand(&self, pictures: &[LayerCosts]) -> Demand {
        let given: u64 = self.bitrates.iter().sum();
        let current: u64 = pictures.iter().map(|picture| picture.current).sum();
        let most = pictures.iter().filter_map(|picture| picture.costs.last());
        let next = match given > current {
            true => Some(given),
            false => self.next_step.map(|step| given + step),
        };
        Demand {
            held: current as f64,
            next: next.map(|bits| bits as f64),
            all: most.sum::<u64>() as f64,
        }
    }
}

#[cfg(test)]
mod tests;
