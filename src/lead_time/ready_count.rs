//! How many of several independent nodes will be there: the Poisson-binomial distribution.
//!
//! Exact up to rounding for any number of nodes. Nodes are added one by one; the tails of the distribution
//! that hold less than 1e-15 are cut as it grows, so that the work is `n x sqrt(n)` rather than `n x n`.
//! The error of a probability is below `1e-14 x n`.

use serde::{Deserialize, Serialize};

/// Tails lighter than this are cut.
const NEGLIGIBLE: f64 = 1e-15;

/// How many of some nodes will be usable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadyCount {
    /// Expected number.
    pub mean: f64,
    /// The number that is reached with 95 % (the smallest `k` with `P(count <= k) >= 5 %`).
    pub quantile05: u32,
}

impl ReadyCount {
    /// Of nodes that come with these probabilities, each for itself. Values outside 0..1 count as the
    /// nearer end, NaN as 0.
    pub fn of(probabilities: impl IntoIterator<Item = f64>) -> Self {
        let mut distribution = Distribution::new();
        let mut mean = 0.0;
        for probability in probabilities {
            let probability = if probability.is_nan() { 0.0 } else { probability.clamp(0.0, 1.0) };
            mean += probability;
            distribution.add(probability);
        }
        Self { mean, quantile05: distribution.quantile(0.05) }
    }
}

/// `shares[k]` = probability of `least + k` successes.
struct Distribution {
    least: u32,
    shares: Vec<f64>,
}

impl Distribution {
    fn new() -> Self {
        Self { least: 0, shares: vec![1.0] }
    }

    /// One more independent trial.
    fn add(&mut self, probability: f64) {
        self.shares.push(0.0);
        for count in (1..self.shares.len()).rev() {
            self.shares[count] =
                self.shares[count] * (1.0 - probability) + self.shares[count - 1] * probability;
        }
        self.shares[0] *= 1.0 - probability;
        self.trim();
    }

    fn trim(&mut self) {
        while self.shares.last().is_some_and(|share| *share < NEGLIGIBLE) {
            self.shares.pop();
        }
        let light = self.shares.iter().take_while(|share| **share < NEGLIGIBLE).count();
        self.shares.drain(..light);
        self.least += light as u32;
    }

    /// The smallest count with at least `q` at or below it.
    fn quantile(&self, q: f64) -> u32 {
        let mut below = 0.0;
        for (count, share) in (self.least..).zip(&self.shares) {
            below += share;
            if below >= q {
                return count;
            }
        }
        self.least + self.shares.len().saturating_sub(1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Probability of each count, by going through all outcomes.
    fn enumerated(probabilities: &[f64]) -> Vec<f64> {
        let mut counts = vec![0.0; probabilities.len() + 1];
        for outcome in 0_u32..1 << probabilities.len() {
            let share: f64 = probabilities
                .iter()
                .enumerate()
                .map(|(node, p)| if outcome >> node & 1 == 1 { *p } else { 1.0 - p })
                .product();
            counts[outcome.count_ones() as usize] += share;
        }
        counts
    }

    proptest! {
        #[test]
        fn the_distribution_is_that_of_all_outcomes(
            probabilities in prop::collection::vec(0.0_f64..=1.0, 0..=10)
        ) {
            let mut distribution = Distribution::new();
            for p in &probabilities {
                distribution.add(*p);
            }
            for (count, expected) in enumerated(&probabilities).into_iter().enumerate() {
                let share = (count as u32).checked_sub(distribution.least)
                    .and_then(|at| distribution.shares.get(at as usize)).copied().unwrap_or(0.0);
                prop_assert!((share - expected).abs() < 1e-12, "{count}: {share} {expected}");
            }
            let ready = ReadyCount::of(probabilities.iter().copied());
            prop_assert!((ready.mean - probabilities.iter().sum::<f64>()).abs() < 1e-12);
            prop_assert!(f64::from(ready.quantile05) <= probabilities.len() as f64);
        }
    }

    #[test]
    fn two_coins_give_one_head_or_more_three_times_in_four() {
        // P(0) = 25 % is more than 5 %: no head is sure enough. Of five coins P(0) = 3 %, P(<= 1) = 19 %.
        assert_eq!(ReadyCount::of([0.5; 2]), ReadyCount { mean: 1.0, quantile05: 0 });
        assert_eq!(ReadyCount::of([0.5; 5]), ReadyCount { mean: 2.5, quantile05: 1 });
        assert_eq!(ReadyCount::of([]), ReadyCount::default());
    }

    #[test]
    fn odd_probabilities_are_taken_as_never_or_always() {
        let ready = ReadyCount::of([f64::NAN, -1.0, 7.0, f64::INFINITY]);
        assert_eq!(ready, ReadyCount { mean: 2.0, quantile05: 2 });
    }

    #[test]
    fn thousands_of_nodes_keep_the_whole_mass() {
        let mut distribution = Distribution::new();
        (0..5000).for_each(|node| distribution.add(f64::from(node) / 5000.0));
        assert!((distribution.shares.iter().sum::<f64>() - 1.0).abs() < 1e-10);
        // Mean 2499.5, variance 5000 / 6: 1.645 standard deviations are 47.5.
        let quantile = distribution.quantile(0.05);
        assert!((2450..=2454).contains(&quantile), "{quantile}");
    }
}
