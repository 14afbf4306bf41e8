//! A strategy that picks the strategy: every day each candidate is replayed on the pool's own last day,
//! and the one that would have cost least over the last weeks is followed.
//!
//! A day is replayed once, with the quantiles that were known at each of its instants, from two hours
//! before its start; nothing of a day is used before the day is over. The costs of the days are added up;
//! a candidate other than the prior carries a handicap that fades as days accumulate, and one other than
//! the incumbent has to be better by a margin. What is followed before the first choice is the prior
//! that the price of waiting suggests.
//!
//! # Source
//! `Autopilot` (Rzadca et al., `EuroSys` 2020): the cheapest of an ensemble of small models on its own
//! history. Quantile of the prior: newsvendor, `q = 1 - 1 / kappa`.

use super::{
    Idle, Learner, PoolView, SpareRule, Strategy, Unit, Want,
    candidate::{Candidate, Timeline, candidates},
    job_log::JobLog,
};
use crate::{
    forecast::bins::Scheme,
    model::{Pool, Trace},
    time::{Millis, Timestamp},
    units::{gpu_hours, node_hours},
    world::{self, Outcome, Placement, Setup},
};
use rayon::prelude::*;
use std::{collections::VecDeque, sync::Arc};

const DAY: Millis = Millis::from_hours(24);

/// A replay starts so long before the day it scores.
const WARM_UP: Millis = Millis::from_hours(2);

/// Days whose costs count.
const WINDOW_DAYS: usize = 28;

/// A candidate has to beat the incumbent by this share of the cost.
const MARGIN: f64 = 0.005;

/// Handicap of candidates other than the prior, as a share of its cost, after no day at all; it has
/// halved after [`PRIOR_DAYS`].
const HANDICAP: f64 = 0.05;
const PRIOR_DAYS: f64 = 7.0;

/// Cost of one candidate on one day.
#[derive(Clone, Copy, Debug, Default)]
struct DayCost {
    node_hours: f64,
    waiting_gpu_hours: f64,
}

/// Follows the candidate that has cost least.
pub struct Adaptive {
    kappa: f64,
    pool: Pool,
    placement: Placement,
    candidates: Vec<Candidate>,
    prior: usize,
    active: usize,
    learner: Learner,
    timeline: Timeline,
    log: JobLog,
    /// Costs by day and candidate, oldest first.
    days: VecDeque<Vec<DayCost>>,
    next_choice: Timestamp,
}

impl Adaptive {
    /// `kappa`: cost of a waiting GPU-hour over the price of a GPU-hour. At 1 or less nothing is ever
    /// kept ready.
    pub fn new(kappa: f64, pool: &Pool, placement: Placement) -> Self {
        let candidates = if kappa > 1.0 { candidates(kappa) } else { reactive_only(kappa) };
        let prior = nearest_to(&candidates, &prior_for(kappa));
        Self {
            kappa,
            // Replays know no faults: what is chosen must not hang on one drawn failure.
            pool: Pool { supply: Vec::new(), failure_rate: 0.0, ..pool.clone() },
            placement,
            candidates,
            prior,
            active: prior,
            learner: Learner::default(),
            timeline: Timeline::new(),
            log: JobLog::default(),
            days: VecDeque::new(),
            next_choice: Timestamp::ZERO + DAY,
        }
    }

    fn choose(&mut self, view: &PoolView<'_>) {
        let day_ends = self.next_choice;
        self.next_choice = day_ends + DAY;
        self.days.push_back(self.replay_day(day_ends, view));
        if self.days.len() > WINDOW_DAYS {
            self.days.pop_front();
        }
        self.log.forget(day_ends - WARM_UP);
        let keep_from = self.timeline.partition_point(|&(at, _)| at <= day_ends - WARM_UP);
        self.timeline.drain(..keep_from.saturating_sub(1));
        self.active = self.cheapest();
    }

    /// Costs of all candidates on the day that ends at `day_ends`.
    fn replay_day(&self, day_ends: Timestamp, view: &PoolView<'_>) -> Vec<DayCost> {
        let from = Timestamp((day_ends - DAY - WARM_UP).0.max(0));
        let score_from = (day_ends - DAY) - from;
        let trace = self.log.replay(from, day_ends, view.shapes);
        let setup = Setup {
            pools: vec![self.pool.clone()],
            placement: self.placement,
            decision_every: Setup::DECISION_EVERY,
            seed: 0,
            end: Timestamp::ZERO + (day_ends - from),
            score_from: Timestamp::ZERO + score_from,
            series_bin: None,
        };
        let timeline = Arc::new(self.timeline.clone());
        self.candidates
            .par_iter()
            .map(|candidate| {
                let mut strategy = vec![candidate.replay(&timeline, from)];
                cost_of(&trace, &setup, &world::run(&trace, &setup, &mut strategy, &|_| true))
            })
            .collect()
    }

    fn cheapest(&self) -> usize {
        let totals: Vec<f64> =
            (0..self.candidates.len()).map(|candidate| self.total(candidate)).collect();
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

    fn total(&self, candidate: usize) -> f64 {
        let gpus = f64::from(self.pool.gpus_per_node);
        let cost = |day: &Vec<DayCost>| {
            day[candidate].node_hours + self.kappa * day[candidate].waiting_gpu_hours / gpus
        };
        self.days.iter().map(cost).sum()
    }
}

impl Strategy for Adaptive {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        if self.learner.observe(view) {
            let learned = self.learner.learned();
            self.timeline.extend(learned.map(|learned| (view.now, Arc::clone(learned))));
        }
        self.log.note(view);
        if view.now >= self.next_choice {
            self.choose(view);
        }
        let features = self.learner.features(view.now);
        let learned = self.learner.learned().map(AsRef::as_ref);
        let want = self.candidates[self.active].want(learned, features, view);
        let wake_at = self.learner.next_change(view.now).min(self.next_choice);
        Want { wake_at, ..want }
    }
}

fn reactive_only(kappa: f64) -> Vec<Candidate> {
    let is_reactive = |c: &Candidate| matches!(c, Candidate::Reactive { .. });
    candidates(kappa).into_iter().filter(is_reactive).collect()
}

/// Within two thousandths the candidate that cost least on average over the first 40 % of five traces, of
/// those that start at most 1.5 times as many nodes as a reactive scaler.
fn prior_for(kappa: f64) -> Candidate {
    let scheme = Scheme::Burst;
    let middle = Idle::BreakEven { kappa, phi: 0.05 };
    let (level, keep, unit, idle) = if kappa <= 8.0 {
        (0.5, 0.9, Unit::Gpus, Idle::Fixed(Millis::from_mins(5)))
    } else if kappa < 50.0 {
        (0.9, 0.98, Unit::Gpus, middle)
    } else {
        (0.9, 0.99, Unit::Nodes, middle)
    };
    Candidate::Quantile(SpareRule { level, keep, scheme, unit, idle })
}

fn nearest_to(candidates: &[Candidate], wanted: &Candidate) -> usize {
    candidates.iter().position(|candidate| candidate == wanted).unwrap_or_default()
}

fn cost_of(trace: &Trace, setup: &Setup, outcome: &Outcome) -> DayCost {
    let billed = outcome.nodes.iter().map(|node| {
        let span = node.gone.min(setup.end) - node.requested.max(setup.score_from);
        i128::from(span.max(Millis::ZERO).0)
    });
    let waiting = outcome.causes.0.iter().sum();
    debug_assert!(trace.jobs.len() == outcome.starts.len());
    DayCost { node_hours: node_hours(billed.sum()), waiting_gpu_hours: gpu_hours(waiting) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::want::test_view;

    fn adaptive(kappa: f64) -> Adaptive {
        Adaptive::new(kappa, &Pool::new("p", 8), Placement::BestFit)
    }

    /// A day on which everything costs 100 node-hours, except one candidate.
    fn day(policy: &Adaptive, but: usize, node_hours: f64) -> Vec<DayCost> {
        let usual = DayCost { node_hours: 100.0, waiting_gpu_hours: 0.0 };
        let mut costs = vec![usual; policy.candidates.len()];
        costs[but].node_hours = node_hours;
        costs
    }

    #[test]
    fn where_waiting_is_cheap_nothing_is_ever_kept_ready() {
        let mut policy = adaptive(1.0);
        let only_reactive = |c: &Candidate| matches!(c, Candidate::Reactive { .. });
        assert!(policy.candidates.iter().all(only_reactive));
        let want = policy.want(&test_view());
        assert_eq!((want.spare_nodes, want.spare_milli, want.floor_nodes), (0, 0, 0));
    }

    #[test]
    fn every_prior_is_a_candidate() {
        for kappa in [2.0, 5.0, 20.0, 100.0, 1000.0] {
            let candidates = candidates(kappa);
            assert!(candidates.len() <= 60);
            assert!(candidates.contains(&prior_for(kappa)), "kappa {kappa}");
        }
    }

    #[test]
    fn a_single_good_day_is_not_enough_but_a_run_of_them_is() {
        let mut policy = adaptive(20.0);
        let other = policy.candidates.len() - 1;
        assert_ne!(other, policy.prior);
        // 2 % cheaper, but the handicap is 5 % x 7 / 8 after one day and 0.7 % after a week of weeks.
        policy.days.push_back(day(&policy, other, 98.0));
        assert_eq!(policy.cheapest(), policy.prior);
        for _ in 1..WINDOW_DAYS {
            policy.days.push_back(day(&policy, other, 98.0));
        }
        assert_eq!(policy.cheapest(), other);
    }

    #[test]
    fn the_incumbent_stays_within_the_margin() {
        let mut policy = adaptive(20.0);
        let [first, second] = [policy.candidates.len() - 1, policy.candidates.len() - 2];
        policy.active = first;
        for _ in 0..WINDOW_DAYS {
            let mut costs = day(&policy, first, 90.0);
            costs[second].node_hours = 89.9;
            policy.days.push_back(costs);
        }
        assert_eq!(policy.cheapest(), first);
    }

    #[test]
    fn waiting_counts_at_the_price_it_was_given() {
        let mut policy = adaptive(20.0);
        policy.days.push_back(vec![DayCost { node_hours: 10.0, waiting_gpu_hours: 8.0 }]);
        assert!((policy.total(0) - 30.0).abs() < 1e-9);
    }
}
