//! Which shapes of jobs come next, learned from those that came: how often each shape is to be expected.
//!
//! Users send the same job many times within an hour and something else next week, so what came lately counts
//! more; but how fast the past loses its worth differs from cluster to cluster and from month to month. So
//! counts fade at seven rates at once, from an hour's half-life to never, and the mean of what they say is
//! expected. A count that has faded says little: each is shrunk towards the next slower one. The hour of the
//! day and weekends do not help (`examples/mix_study` compares the rules on recorded jobs).
//!
//! # Sources
//! Recent counts shrunk towards older ones: the cache model of Kuhn and De Mori, IEEE PAMI 1990. A mean over
//! rates instead of one that is right: Herbster and Warmuth, "Tracking the best expert", Machine Learning 1998;
//! with weights by past loss it foretold no better.

use crate::time::Timestamp;
use std::collections::BTreeMap;

const HOUR: i64 = 3_600_000;
/// Kept of a count each hour, slowest first: half-lives of 720, 168, 72, 24, 6 hours and one; nothing fades in
/// the first.
const KEPT: [f64; 7] =
    [1.0, 0.999_037_759, 0.995_882_624, 0.990_419_147, 0.971_531_941, 0.890_898_718, 0.5];
/// What the next slower count says, counts as so many arrivals.
const SLOWER: f64 = 3.0;
/// Shapes remembered; beyond twice as many the rarest are forgotten.
const SHAPES: usize = 256;
/// Weights add up to about this.
const WEIGHTS: f64 = 1e6;

/// Arrivals by shape, `K`.
#[derive(Clone, Debug)]
pub struct ShapeMix<K> {
    counts: BTreeMap<K, [f64; KEPT.len()]>,
    /// Full hours since zero; counts have faded up to it.
    hour: i64,
    seen: u64,
    /// [`Self::news`] has some when so many have been seen, or after this hour.
    next_refresh: u64,
    told: Option<i64>,
}

impl<K> Default for ShapeMix<K> {
    fn default() -> Self {
        Self { counts: BTreeMap::new(), hour: i64::MIN, seen: 0, next_refresh: 1, told: None }
    }
}

impl<K: Ord + Clone> ShapeMix<K> {
    /// A job has come, now or earlier.
    pub fn note(&mut self, shape: K, at: Timestamp) {
        self.advance(at);
        let age = self.hour - hour_of(at);
        let counts = self.counts.entry(shape).or_default();
        for (count, kept) in counts.iter_mut().zip(KEPT) {
            *count += faded(kept, age);
        }
        self.seen = self.seen.saturating_add(1);
        if self.counts.len() > 2 * SHAPES {
            self.forget();
        }
    }

    /// What is expected from `now` on: shapes with their weights, relative to each other; when there are 5 % more
    /// arrivals than the last time, or another hour has begun.
    pub fn news(&mut self, now: Timestamp) -> Option<Vec<(K, u64)>> {
        if self.seen == 0 {
            return None;
        }
        self.advance(now);
        if self.seen < self.next_refresh && self.told == Some(self.hour) {
            return None;
        }
        self.next_refresh = self.seen.saturating_add(self.seen / 20 + 1);
        self.told = Some(self.hour);
        let weight = |share: f64| (share * WEIGHTS).round() as u64;
        let expected = self.counts.keys().cloned().zip(self.shares().into_iter().map(weight));
        Some(expected.collect())
    }

    /// Counts fade as hours begin.
    fn advance(&mut self, now: Timestamp) {
        let hour = hour_of(now);
        if hour <= self.hour {
            return;
        }
        let factors = KEPT.map(|kept| faded(kept, hour.saturating_sub(self.hour)));
        for (count, factor) in self.counts.values_mut().flat_map(|one| one.iter_mut().zip(factors))
        {
            *count *= factor;
        }
        self.hour = hour;
    }

    /// The share of each shape, in their order; 1 in all.
    fn shares(&self) -> Vec<f64> {
        let mut slower = vec![0.0; self.counts.len()];
        let mut sums = slower.clone();
        for rate in 0..KEPT.len() {
            let told = if rate == 0 { 0.0 } else { SLOWER };
            let all = self.counts.values().map(|one| one[rate]).sum::<f64>() + told;
            for ((share, sum), one) in slower.iter_mut().zip(&mut sums).zip(self.counts.values()) {
                *share = (one[rate] + told * *share) / all;
                *sum += *share / KEPT.len() as f64;
            }
        }
        sums
    }

    fn forget(&mut self) {
        let shares = self.shares();
        let mut rarest_last: Vec<(K, f64)> = self.counts.keys().cloned().zip(shares).collect();
        rarest_last.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        for (shape, _) in rarest_last.split_off(SHAPES) {
            self.counts.remove(&shape);
        }
    }
}

const fn hour_of(at: Timestamp) -> i64 {
    at.0.div_euclid(HOUR)
}

/// What is left of 1 after so many hours.
fn faded(kept: f64, hours: i64) -> f64 {
    kept.powi(hours.clamp(0, i64::from(i32::MAX)) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;
    use proptest::prelude::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::ZERO + Millis::from_hours(hours)
    }

    /// By hand: seven of an old shape, faded in all counts but the slowest, and seven new ones. The slowest says
    /// half; each faster one has 7 arrivals and 3 by the slower one: 3/10 of what that said of the old shape.
    /// 1/2 * (1 + 0.3 + 0.09 + ..) / 7 = 1/2 * 1 / 0.7 / 7.
    #[test]
    fn the_past_fades_but_is_not_forgotten() {
        let mut mix = ShapeMix::default();
        for (shape, hour) in [("old", 0), ("new", 20_000)] {
            (0..7).for_each(|_| mix.note(shape, at(hour)));
        }
        let told = mix.news(at(20_000)).unwrap();
        let weights = [told[0].1, told[1].1].map(|weight| weight as f64 / WEIGHTS);
        assert_eq!((told[0].0, told[1].0), ("new", "old"));
        assert!((weights[1] - 0.5 / 0.7 / 7.0).abs() < 1e-4, "{weights:?}");
        assert!((weights[0] + weights[1] - 1.0).abs() < 1e-5);
    }

    /// Rates are written out as numbers, so that they are the same on every machine.
    #[test]
    fn rates_are_those_of_the_half_lives() {
        for (kept, half_life) in
            KEPT.iter().zip([f64::INFINITY, 720.0, 168.0, 72.0, 24.0, 6.0, 1.0])
        {
            assert!((kept - 0.5_f64.powf(1.0 / half_life)).abs() < 1e-9, "{kept} {half_life}");
        }
    }

    #[test]
    fn there_is_news_after_five_percent_more_or_an_hour() {
        let mut mix = ShapeMix::default();
        assert!(mix.news(at(0)).is_none());
        (0..40).for_each(|_| mix.note('a', at(0)));
        assert!(mix.news(at(0)).is_some());
        mix.note('b', at(0));
        mix.note('b', at(0));
        assert!(mix.news(at(0)).is_none());
        mix.note('b', at(0));
        assert_eq!(mix.news(at(0)).unwrap().len(), 2);
        assert!(mix.news(at(1) + Millis(-1)).is_none());
        assert!(mix.news(at(1)).is_some());
        assert!(mix.news(at(1)).is_none());
        assert!(mix.news(at(0)).is_none(), "a clock that goes back changes nothing");
    }

    #[test]
    fn the_frequent_and_the_new_are_remembered() {
        let mut mix = ShapeMix::default();
        for shape in 0..10_000 {
            mix.note(-1, at(shape));
            mix.note(shape, at(shape));
        }
        let told = mix.news(at(10_000)).unwrap();
        assert!(told.len() <= 2 * SHAPES);
        assert!([-1, 9_999].iter().all(|shape| told.iter().any(|one| one.0 == *shape)));
    }

    /// Straight from the definition, every arrival by its age.
    fn expected(arrivals: &[(u8, i64)], now: i64) -> BTreeMap<u8, f64> {
        let mut told: BTreeMap<u8, f64> = BTreeMap::new();
        let mut slower: Vec<f64> = vec![0.0; 4];
        for (rate, kept) in KEPT.iter().enumerate() {
            let pseudo = if rate == 0 { 0.0 } else { SLOWER };
            let count = |shape: u8| -> f64 {
                let of_shape = arrivals.iter().filter(|one| one.0 == shape);
                of_shape.map(|one| kept.powf((now - one.1) as f64)).sum()
            };
            let all: f64 = (0..4).map(count).sum::<f64>() + pseudo;
            for shape in 0..4 {
                let share = (count(shape) + pseudo * slower[usize::from(shape)]) / all;
                slower[usize::from(shape)] = share;
                *told.entry(shape).or_default() += share / 7.0;
            }
        }
        told
    }

    proptest! {
        /// Whatever the order in which arrivals are heard of.
        #[test]
        fn counts_fade_by_the_age_of_each_arrival(
            arrivals in prop::collection::vec((0..4_u8, 0..500_i64), 1..40),
            later in 0..300_i64,
        ) {
            let mut mix = ShapeMix::default();
            for &(shape, hour) in &arrivals {
                mix.note(shape, at(hour));
            }
            let now = 500 + later;
            let expected = expected(&arrivals, now);
            for (shape, weight) in mix.news(at(now)).unwrap() {
                prop_assert!((weight as f64 / WEIGHTS - expected[&shape]).abs() < 2e-6);
            }
        }
    }
}
