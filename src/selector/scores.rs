//! Costs of the candidates by day, and the candidate to follow.

use crate::model::{DayCost, ReplayedDay};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use thiserror::Error;

/// Days whose costs count.
const WINDOW_DAYS: usize = 28;

/// A candidate has to beat the incumbent by this share of the cost.
const MARGIN: f64 = 0.005;

/// Handicap of candidates other than the prior, as a share of its cost, after no day at all; it has
/// halved after [`PRIOR_DAYS`].
const HANDICAP: f64 = 0.05;
const PRIOR_DAYS: f64 = 7.0;

/// What a waiting GPU-hour and a node-hour weigh against each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weights {
    /// Cost of a waiting GPU-hour over the price of a GPU-hour.
    pub(crate) kappa: f64,
    /// GPUs per node.
    pub(crate) gpus_per_node: u32,
}

impl Weights {
    fn cost(self, day: &DayCost) -> f64 {
        day.node_hours + self.kappa * day.waiting_gpu_hours / f64::from(self.gpus_per_node)
    }
}

/// The record of the candidates of one pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Followed before anything is known.
    prior: usize,
    /// Followed now.
    active: usize,
    /// Candidates there are.
    candidates: usize,
    /// Costs by day and candidate, oldest first.
    days: VecDeque<Vec<DayCost>>,
}

/// Why a kept record was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("scores of {found} candidates where there are {expected}")]
pub struct ScoresError {
    /// Candidates in the record.
    pub found: usize,
    /// Candidates there are.
    pub expected: usize,
}

impl Scores {
    pub(crate) const fn new(prior: usize, candidates: usize) -> Self {
        Self { prior, active: prior, candidates, days: VecDeque::new() }
    }

    /// Index of the candidate to follow.
    pub const fn active(&self) -> usize {
        self.active
    }

    /// Days that were replayed and still count.
    pub fn days(&self) -> usize {
        self.days.len()
    }

    /// Whether the record fits the candidates there are.
    ///
    /// # Errors
    /// [`ScoresError`] if it is of other candidates.
    pub fn check(&self, candidates: usize) -> Result<(), ScoresError> {
        let sizes = self.days.iter().map(Vec::len);
        let found = sizes
            .chain([self.candidates, self.active + 1, self.prior + 1])
            .find(|&found| found > candidates || found == 0);
        let odd = self.days.iter().map(Vec::len).find(|&found| found != candidates);
        match found.or(odd) {
            Some(found) => Err(ScoresError { found, expected: candidates }),
            None => Ok(()),
        }
    }

    /// Takes in a day and chooses anew. A day of other candidates is left out.
    pub(crate) fn take(&mut self, day: &ReplayedDay, weights: Weights) {
        if day.costs.len() != self.candidates {
            return;
        }
        self.days.push_back(day.costs.clone());
        if self.days.len() > WINDOW_DAYS {
            self.days.pop_front();
        }
        self.active = self.cheapest(weights);
    }

    /// The cheapest among some candidates over all days; the first of them before the first day.
    pub(crate) fn cheapest_of(
        &self,
        among: impl Iterator<Item = usize>,
        weights: Weights,
    ) -> Option<usize> {
        among.min_by(|&a, &b| self.total(a, weights).total_cmp(&self.total(b, weights)))
    }

    /// Cost of a candidate over all days, in node-hours.
    pub(crate) fn total(&self, candidate: usize, weights: Weights) -> f64 {
        self.days.iter().map(|day| weights.cost(&day[candidate])).sum()
    }

    fn cheapest(&self, weights: Weights) -> usize {
        let totals: Vec<f64> =
            (0..self.candidates).map(|candidate| self.total(candidate, weights)).collect();
        let days = self.days.len() as f64;
        let handicap = HANDICAP * totals[self.prior] * PRIOR_DAYS / (PRIOR_DAYS + days);
        let judged = |candidate: usize| {
            totals[candidate] + if candidate == self.prior { 0.0 } else { handicap }
        };
        let best = (0..totals.len())
            .min_by(|&a, &b| judged(a).total_cmp(&judged(b)))
            .unwrap_or(self.active);
        if judged(best) < judged(self.active) * (1.0 - MARGIN) { best } else { self.active }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    const WEIGHTS: Weights = Weights { kappa: 20.0, gpus_per_node: 8 };
    const PRIOR: usize = 3;

    /// A day on which everything costs 100 node-hours, except some candidates.
    fn day(but: &[(usize, f64)]) -> ReplayedDay {
        let usual = DayCost { node_hours: 100.0, waiting_gpu_hours: 0.0 };
        let mut costs = vec![usual; 10];
        for &(candidate, node_hours) in but {
            costs[candidate].node_hours = node_hours;
        }
        ReplayedDay { pool: 0, ends: Timestamp::ZERO, costs }
    }

    #[test]
    fn a_single_good_day_is_not_enough_but_a_run_of_them_is() {
        let mut scores = Scores::new(PRIOR, 10);
        // 2 % cheaper, but the handicap is 5 % x 7 / 8 after one day and 1 % after four weeks.
        scores.take(&day(&[(9, 98.0)]), WEIGHTS);
        assert_eq!(scores.active(), PRIOR);
        for _ in 1..WINDOW_DAYS {
            scores.take(&day(&[(9, 98.0)]), WEIGHTS);
        }
        assert_eq!(scores.active(), 9);
    }

    #[test]
    fn the_incumbent_stays_within_the_margin() {
        let mut scores = Scores::new(PRIOR, 10);
        for _ in 0..WINDOW_DAYS {
            scores.take(&day(&[(9, 90.0), (8, 95.0)]), WEIGHTS);
        }
        assert_eq!(scores.active(), 9);
        for _ in 0..WINDOW_DAYS {
            scores.take(&day(&[(9, 90.0), (8, 89.9)]), WEIGHTS);
        }
        assert_eq!(scores.active(), 9);
    }

    #[test]
    fn waiting_counts_at_the_price_it_was_given() {
        let cost = DayCost { node_hours: 10.0, waiting_gpu_hours: 8.0 };
        assert!((WEIGHTS.cost(&cost) - 30.0).abs() < 1e-9);
    }

    #[test]
    fn a_record_of_other_candidates_is_refused_and_its_days_are_left_out() {
        let mut scores = Scores::new(PRIOR, 10);
        scores.take(&day(&[]), WEIGHTS);
        assert_eq!(scores.check(10), Ok(()));
        assert_eq!(scores.check(9), Err(ScoresError { found: 10, expected: 9 }));
        assert!(scores.check(11).is_err());
        let mut short = day(&[]);
        short.costs.pop();
        scores.take(&short, WEIGHTS);
        assert_eq!(scores.days(), 1);
    }
}
