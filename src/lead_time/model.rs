//! The two stages of a pool joined: from any age in any stage to usable GPUs.
//!
//! For a node in stage `s` at age `a`:
//! `P(usable within h) = (1 - p_fail) x P(T_s - a + T_next <= h | T_s > a)`, a discrete convolution of the
//! rest of its stage with the next stage; `p_fail` joins the failures of the stages still ahead. Durations
//! of the stages and nodes among themselves are taken as independent.
//!
//! [`LeadTimeModel`] learns; [`LeadTimes`] is what it knows at one instant, worked out once (a fraction
//! of a millisecond) so that each question is cheap.

use super::{
    grid::{BIN, BINS},
    parts::{DamagedParts, LeadTimeParts},
    ready_count::ReadyCount,
    stage_table::{Learning, StageEstimate, StageTable},
    survival::Survival,
};
use crate::time::{Millis, Timestamp};

use serde::{Deserialize, Serialize};

/// Where a node on its way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Requested, not Ready yet; the age counts from the request.
    Provisioning,
    /// Ready, its GPUs not usable yet; the age counts from Ready.
    WarmUp,
}

/// Medians believed before any node was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadTimePrior {
    /// Request to node ready.
    pub provisioning: Millis,
    /// Node ready to GPUs usable.
    pub warm_up: Millis,
}

impl Default for LeadTimePrior {
    /// 300 s and 220 s.
    fn default() -> Self {
        Self { provisioning: Millis::from_secs(300), warm_up: Millis::from_secs(220) }
    }
}

/// The learned lead time of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct LeadTimeModel {
    provisioning: StageTable,
    warm_up: StageTable,
}

impl Default for LeadTimeModel {
    fn default() -> Self {
        Self::new(LeadTimePrior::default(), Learning::default())
    }
}

impl LeadTimeModel {
    /// A model that has seen nothing.
    pub fn new(prior: LeadTimePrior, learning: Learning) -> Self {
        Self {
            provisioning: StageTable::new(prior.provisioning, learning),
            warm_up: StageTable::new(prior.warm_up, learning),
        }
    }

    /// The model with a kept state.
    ///
    /// # Errors
    /// [`DamagedParts`] if the state cannot have come from [`to_parts`](Self::to_parts).
    pub fn from_parts(
        prior: LeadTimePrior,
        learning: Learning,
        parts: &LeadTimeParts,
    ) -> Result<Self, DamagedParts> {
        let Self { provisioning, warm_up } = Self::new(prior, learning);
        Ok(Self {
            provisioning: provisioning.with_parts(&parts.provisioning)?,
            warm_up: warm_up.with_parts(&parts.warm_up)?,
        })
    }

    /// The state to keep.
    pub fn to_parts(&self) -> LeadTimeParts {
        LeadTimeParts {
            provisioning: self.provisioning.to_parts(),
            warm_up: self.warm_up.to_parts(),
        }
    }

    /// What a stage has taught.
    pub const fn stage(&self, stage: Stage) -> &StageTable {
        match stage {
            Stage::Provisioning => &self.provisioning,
            Stage::WarmUp => &self.warm_up,
        }
    }

    /// A node went through `stage` in `duration`.
    pub fn record(&mut self, stage: Stage, duration: Millis, now: Timestamp) {
        self.stage_mut(stage).record(duration, now);
    }

    /// A node of this age in `stage` failed.
    pub fn record_failure(&mut self, stage: Stage, age: Millis, now: Timestamp) {
        self.stage_mut(stage).record_failure(age, now);
    }

    /// A node of this age in `stage` was given up by us.
    pub fn record_given_up(&mut self, stage: Stage, age: Millis, now: Timestamp) {
        self.stage_mut(stage).record_given_up(age, now);
    }

    /// What is known at `now` with these nodes on their way (stage and age in it).
    pub fn at(&self, now: Timestamp, in_flight: &[(Stage, Millis)]) -> LeadTimes {
        let estimate = |stage| {
            let ages: Vec<Millis> =
                in_flight.iter().filter(|node| node.0 == stage).map(|node| node.1).collect();
            self.stage(stage).estimate(now, &ages)
        };
        LeadTimes::new(estimate(Stage::Provisioning), estimate(Stage::WarmUp))
    }

    const fn stage_mut(&mut self, stage: Stage) -> &mut StageTable {
        match stage {
            Stage::Provisioning => &mut self.provisioning,
            Stage::WarmUp => &mut self.warm_up,
        }
    }
}

/// What is known of a pool's lead times at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct LeadTimes {
    provisioning: StageEstimate,
    warm_up: StageEstimate,
    fresh: Survival,
}

impl LeadTimes {
    fn new(provisioning: StageEstimate, warm_up: StageEstimate) -> Self {
        let fresh = joined(provisioning.survival(), warm_up.survival());
        Self { provisioning, warm_up, fresh }
    }

    /// One stage.
    pub const fn stage(&self, stage: Stage) -> &StageEstimate {
        match stage {
            Stage::Provisioning => &self.provisioning,
            Stage::WarmUp => &self.warm_up,
        }
    }

    /// The curve of a fresh request that does not fail, up to an hour: its `residual(0)` are the weights by
    /// which demand over the lead time is mixed.
    pub const fn fresh(&self) -> &Survival {
        &self.fresh
    }

    /// The lead time a fresh request keeps with probability `q` if it does not fail; at most an hour.
    pub fn quantile(&self, q: f64) -> Millis {
        self.fresh.quantile(q)
    }

    /// Age since the request after which a replacement may be asked for, once: the 99 % lead time.
    pub fn stuck_after(&self) -> Millis {
        self.quantile(0.99)
    }

    /// Whether a node of this age in its stage should no longer be counted on: fewer than one in a hundred
    /// finish later. See [`StageEstimate::stuck_after`].
    pub fn is_stuck(&self, stage: Stage, age: Millis) -> bool {
        self.stage(stage).is_stuck(age)
    }

    /// Probability that a node in this stage fails before its GPUs are usable.
    pub fn failure(&self, stage: Stage) -> f64 {
        let here = self.stage(stage).failure();
        match stage {
            Stage::Provisioning => 1.0 - (1.0 - here) * (1.0 - self.warm_up.failure()),
            Stage::WarmUp => here,
        }
    }

    /// Probability that a node of this age in its stage is usable within `horizon`: failures taken into
    /// account, 0 for a stuck one. Negative ages and horizons count as zero.
    pub fn usable_within(&self, stage: Stage, age: Millis, horizon: Millis) -> f64 {
        if self.is_stuck(stage, age) {
            return 0.0;
        }
        let in_time = match stage {
            Stage::Provisioning => self.both_within(age, horizon),
            Stage::WarmUp => self.warm_up.leaves_within(age, horizon),
        };
        in_time.clamp(0.0, 1.0) * (1.0 - self.failure(stage))
    }

    /// Mean time until a node of this age in its stage is usable if it does not fail; `None` for a stuck
    /// one and for stages longer than the grid.
    pub fn expected_remaining(&self, stage: Stage, age: Millis) -> Option<Millis> {
        if self.is_stuck(stage, age) {
            return None;
        }
        let here = self.stage(stage).survival().mean_residual(age)?;
        match stage {
            Stage::Provisioning => {
                self.warm_up.survival().mean_residual(Millis::ZERO).map(|next| here + next)
            }
            Stage::WarmUp => Some(here),
        }
    }

    /// How many of these nodes (stage and age in it) will be usable within `horizon`.
    pub fn ready_within(&self, nodes: &[(Stage, Millis)], horizon: Millis) -> ReadyCount {
        ReadyCount::of(nodes.iter().map(|&(stage, age)| self.usable_within(stage, age, horizon)))
    }

    /// `P(T1 - age + T2 <= horizon | T1 > age)`: the rest of the first stage, taken at the middle of its
    /// bins, and the second in what is left of the horizon.
    fn both_within(&self, age: Millis, horizon: Millis) -> f64 {
        let mut left = horizon - Millis(BIN.0 / 2);
        let mut sum = 0.0;
        for share in self.provisioning.survival().residual_bins(age) {
            if left.0 <= 0 {
                break;
            }
            sum += share * self.warm_up.survival().left_by(left);
            left = left - BIN;
        }
        sum
    }
}

/// The curve of the sum of two independent stages. Durations are spread evenly within bins, so the sum of
/// bins `i` and `j` lies half in bin `i + j` and half in the next.
fn joined(first: &Survival, second: &Survival) -> Survival {
    let second = second.residual(Millis::ZERO);
    let mut shares = vec![0.0; 2 * BINS];
    for (start, share) in first.residual_bins(Millis::ZERO).enumerate() {
        if share > 0.0 {
            let half = share / 2.0;
            let sums = shares[start..].iter_mut();
            sums.zip(&second).for_each(|(sum, next)| *sum += half * next);
            let sums = shares[start + 1..].iter_mut();
            sums.zip(&second).for_each(|(sum, next)| *sum += half * next);
        }
    }
    Survival::of_shares(&shares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secs(secs: i64) -> Millis {
        Millis::from_secs(secs)
    }

    fn cold() -> LeadTimes {
        LeadTimeModel::default().at(Timestamp::ZERO, &[])
    }

    #[test]
    fn a_cold_model_gives_the_prior() {
        let times = cold();
        // Medians 300 and 220 s; log-normals lean right, so the sum's median is a little above 520.
        let median = times.quantile(0.5).as_secs_f64();
        assert!((520.0..530.0).contains(&median), "{median}");
        // Means are medians times exp(0.25^2 / 2) = 1.0317.
        let mean = times.expected_remaining(Stage::Provisioning, Millis::ZERO).unwrap();
        assert!((mean.as_secs_f64() - 536.5).abs() < 1.0, "{mean}");
        assert!((times.failure(Stage::Provisioning) - 1.0 / 21.0).abs() < 1e-3);
    }

    #[test]
    fn fixed_stages_join_to_a_fixed_lead_time() {
        let learning = Learning { pseudo_events: 0.0, ..Learning::default() };
        let mut model = LeadTimeModel::new(LeadTimePrior::default(), learning);
        for _ in 0..50 {
            model.record(Stage::Provisioning, secs(300), Timestamp::ZERO);
            model.record(Stage::WarmUp, secs(240), Timestamp::ZERO);
        }
        let times = model.at(Timestamp::ZERO, &[]);
        // Known to a bin of each stage.
        assert!((530_000..=540_000).contains(&times.quantile(0.01).0));
        assert!((530_000..=540_000).contains(&times.quantile(0.99).0));
        let sure = 1.0 - times.failure(Stage::Provisioning);
        let p = |age, horizon| times.usable_within(Stage::Provisioning, secs(age), secs(horizon));
        assert!((p(0, 540) - sure).abs() < 1e-9);
        assert!(p(0, 525) < 1e-9);
        assert!((p(100, 440) - sure).abs() < 1e-9);
        assert!(p(100, 425) < 1e-9);
        let sure = 1.0 - times.failure(Stage::WarmUp);
        assert!((times.usable_within(Stage::WarmUp, secs(40), secs(200)) - sure).abs() < 1e-9);
        assert!(times.usable_within(Stage::WarmUp, secs(40), secs(190)) < 1e-9);
    }

    #[test]
    fn a_fresh_node_agrees_with_the_curve_of_fresh_requests() {
        let times = cold();
        let sure = 1.0 - times.failure(Stage::Provisioning);
        for horizon in (0..1500).step_by(35).map(secs) {
            let node = times.usable_within(Stage::Provisioning, Millis::ZERO, horizon);
            let curve = sure * times.fresh().left_by(horizon);
            assert!((node - curve).abs() < 1e-3, "{horizon}: {node} {curve}");
        }
    }

    #[test]
    fn a_stuck_node_earns_no_credit() {
        let times = cold();
        for stage in [Stage::Provisioning, Stage::WarmUp] {
            for age in [secs(1700), Millis::MAX] {
                assert!(times.is_stuck(stage, age));
                assert!(times.usable_within(stage, age, Millis::MAX) <= 0.0);
                assert_eq!(times.expected_remaining(stage, age), None);
            }
        }
    }

    #[test]
    fn a_kept_state_gives_the_same_model() {
        let mut model = LeadTimeModel::default();
        model.record(Stage::Provisioning, secs(250), Timestamp::ZERO);
        model.record_failure(Stage::Provisioning, secs(250), Timestamp::ZERO);
        model.record_given_up(Stage::WarmUp, secs(100), Timestamp::ZERO);
        let (prior, learning) = (LeadTimePrior::default(), Learning::default());
        let again = LeadTimeModel::from_parts(prior, learning, &model.to_parts());
        assert_eq!(again, Ok(model));
    }

    fn any_span() -> impl Strategy<Value = Millis> {
        prop_oneof![
            8 => (-100_000_i64..2_500_000).prop_map(Millis),
            1 => Just(Millis::MAX),
            1 => Just(Millis(i64::MIN)),
        ]
    }

    fn any_nodes() -> impl Strategy<Value = Vec<(Stage, Millis)>> {
        let stage = prop_oneof![Just(Stage::Provisioning), Just(Stage::WarmUp)];
        prop::collection::vec((stage, any_span()), 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_was_seen_curves_fall_and_probabilities_are_probabilities(
            seen in prop::collection::vec((0_u8..3, any_nodes(), -2_000_000_i64..9_000_000), 0..6),
            nodes in any_nodes(),
            age in any_span(),
            median in any_span(),
            pseudo_events in prop_oneof![Just(0.0), Just(5.0)],
        ) {
            let prior = LeadTimePrior { provisioning: median, warm_up: secs(220) };
            let mut model =
                LeadTimeModel::new(prior, Learning { pseudo_events, ..Learning::default() });
            for (what, nodes, at) in seen {
                for (stage, span) in nodes {
                    match what {
                        0 => model.record(stage, span, Timestamp::from_secs(at)),
                        1 => model.record_failure(stage, span, Timestamp::from_secs(at)),
                        _ => model.record_given_up(stage, span, Timestamp::from_secs(at)),
                    }
                }
            }
            let times = model.at(Timestamp::from_secs(5_000_000), &nodes);
            let curves = [Stage::Provisioning, Stage::WarmUp].map(|s| times.stage(s).survival());
            for curve in curves.into_iter().chain([times.fresh()]) {
                prop_assert!(curve.at_edges().is_sorted_by(|a, b| a >= b));
                prop_assert!(curve.at_edges().iter().all(|s| (0.0..=1.0).contains(s)));
                prop_assert!(curve.residual(age).iter().sum::<f64>() <= 1.0 + 1e-9);
                prop_assert!(curve.quantile(0.2) <= curve.quantile(0.7));
            }
            for stage in [Stage::Provisioning, Stage::WarmUp] {
                let by_horizon: Vec<f64> =
                    (-1..40).map(|h| times.usable_within(stage, age, secs(h * 67))).collect();
                prop_assert!(by_horizon.iter().all(|p| (0.0..=1.0).contains(p)));
                prop_assert!(by_horizon.is_sorted_by(|a, b| *a <= b + 1e-12), "{by_horizon:?}");
            }
            let ready = times.ready_within(&nodes, secs(600));
            prop_assert!(ready.mean >= 0.0 && ready.mean <= nodes.len() as f64 + 1e-9);
            prop_assert!(f64::from(ready.quantile05) <= nodes.len() as f64);
            let kept = LeadTimeModel::from_parts(
                prior, Learning { pseudo_events, ..Learning::default() }, &model.to_parts());
            prop_assert_eq!(kept, Ok(model));
        }
    }
}
