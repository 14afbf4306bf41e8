//! Keeps spare what demand will rise by within a lead time, with a given probability, given what is
//! going on right now.
//!
//! Every minute of the last 14 days tells by how much demand rose in the lead time that followed. Those
//! rises, grouped by the situation of their minute (how many GPUs had just arrived, the hour, what
//! owners were doing), give the quantile of the rise to come. The first job of a burst cannot be
//! foreseen; that it goes on can.
//!
//! The strategy learns only from what it has seen: a rise is known a lead time after its minute.
//!
//! # Source
//! Newsvendor quantile with conditional empirical distributions; see [`crate::forecast::quantile`].

use super::{Candidate, Idle, Learned, Learner, PoolView, Strategy, Timers, Want};
use crate::forecast::{
    bins::{Features, Scheme},
    deficit::NODE_MILLI,
    scenarios::Free,
};
use crate::packing::Fragments;
use std::fmt;

/// What the rise is kept ready in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// GPUs wherever they are free: enough where jobs are small.
    Gpus,
    /// Whole empty nodes: what large jobs need.
    Nodes,
    /// Whole empty nodes, by the quantile of the node deficit instead of that of the rise in GPUs: sees
    /// how jobs of these sizes pack.
    Scenario,
    /// Whole empty nodes, by packing past windows onto what is free now: sees fragments as well.
    Windows,
}

/// How much is kept spare in a situation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpareRule {
    /// Probability with which the spare suffices, 0..=1.
    pub level: f64,
    /// Probability with which what stays suffices, `level`..=1: a node that is there costs less to keep
    /// than one that has to boot first.
    pub keep: f64,
    /// Which situations are told apart.
    pub scheme: Scheme,
    /// What it is kept ready in.
    pub unit: Unit,
    /// When idle nodes beyond it go.
    pub idle: Idle,
    /// Whether probabilities are corrected by how often they held, see [`super::Levels`]. Of rises only,
    /// not of node deficits.
    pub calibrated: bool,
}

impl fmt::Display for SpareRule {
    /// As the policy is named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Gpus => "gpus",
            Unit::Nodes => "nodes",
            Unit::Scenario => "scenario",
            Unit::Windows => "windows",
        };
        write!(f, "quantile:{},by={},unit={unit}", self.level, self.scheme)?;
        if self.keep > self.level {
            write!(f, ",keep={}", self.keep)?;
        }
        let calibrated = if self.calibrated { ",calibrated=yes" } else { "" };
        write!(f, ",{}{calibrated}", self.idle)
    }
}

impl SpareRule {
    /// By how much demand rises at most with probability `level` in this situation, in thousandths of
    /// GPUs, not below zero; `None` without quantiles.
    pub fn bound(&self, learned: &Learned, features: &Features, level: f64) -> Option<i64> {
        let table = learned.table.as_ref()?;
        Some(table.quantile(self.scheme, features, level).max(0))
    }

    /// How many thousandths of a node suffice with probability `level` for all jobs of a lead time to start
    /// at once; `None` without quantiles.
    fn deficit(&self, learned: &Learned, features: Features, level: f64) -> Option<i64> {
        let table = learned.deficits.as_ref()?;
        Some(table.quantile(self.scheme, &features, level).max(0))
    }

    /// Thousandths of a node to have ready and to keep beside what is free now; `None` without windows.
    fn beside(
        &self,
        learned: &Learned,
        features: Features,
        view: &PoolView<'_>,
    ) -> Option<[u64; 2]> {
        let Fragments { nodes, devices } = view.fragments;
        let levels = [self.level, self.keep.max(self.level)];
        let scenarios = learned.scenarios.as_ref()?;
        let needs = scenarios.empty_nodes(self.scheme, &features, levels, Free { nodes, devices });
        Some(needs.map(|nodes| u64::from(nodes) * NODE_MILLI.unsigned_abs()))
    }

    /// What to have ready and what to keep, in thousandths of GPUs or of nodes; `None` as long as too little
    /// is known.
    fn ready(
        &self,
        learned: &Learned,
        features: Features,
        view: &PoolView<'_>,
    ) -> Option<[u64; 2]> {
        let both = |of: &dyn Fn(f64) -> Option<i64>| {
            let [start, keep] = [of(self.level)?, of(self.keep.max(self.level))?];
            Some([start, keep].map(i64::unsigned_abs))
        };
        match self.unit {
            Unit::Gpus | Unit::Nodes => both(&|level| self.bound(learned, &features, level)),
            Unit::Scenario => both(&|level| self.deficit(learned, features, level)),
            Unit::Windows => self.beside(learned, features, view),
        }
    }

    /// What the rule wants; without quantiles nothing beyond what waits.
    pub fn want(
        &self,
        learned: Option<&Learned>,
        features: &Features,
        view: &PoolView<'_>,
    ) -> Want {
        let nothing = self.idle.only(learned, view);
        let ready = learned.and_then(|learned| self.ready(learned, *features, view));
        let Some([spare, keep]) = ready else { return nothing };
        let node = match self.unit {
            Unit::Gpus | Unit::Nodes => view.node_milli(),
            Unit::Scenario | Unit::Windows => NODE_MILLI.unsigned_abs(),
        };
        let nodes = |milli: u64| milli.div_ceil(node) as u32;
        match self.unit {
            Unit::Gpus => Want { spare_milli: spare, keep_milli: keep, ..nothing },
            Unit::Nodes | Unit::Scenario | Unit::Windows => {
                Want { spare_nodes: nodes(spare), keep_nodes: nodes(keep), ..nothing }
            }
        }
    }
}

/// Reactive scaling with a conditional quantile of the coming rise as spare.
#[derive(Clone, Debug)]
pub struct ConditionalQuantile {
    rule: SpareRule,
    learner: Learner,
}

impl ConditionalQuantile {
    /// Knows nothing yet.
    pub fn new(rule: SpareRule) -> Self {
        Self { rule, learner: Learner::calibrating(&[Candidate::Quantile(rule)]) }
    }
}

impl Strategy for ConditionalQuantile {
    fn timers(&self) -> Timers {
        Timers { fragments: self.rule.unit == Unit::Windows, ..Timers::default() }
    }

    fn want(&mut self, view: &PoolView<'_>) -> Want {
        self.learner.observe(view);
        let features = self.learner.features(view.now);
        let rule = self.learner.levels().rule(&self.rule, view.now);
        let want = rule.want(self.learner.learned().map(AsRef::as_ref), &features, view);
        Want { wake_at: self.learner.next_change(view.now), ..want }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        forecast::{
            deficit::NodeSizes,
            events::{Event, Events},
            labels::Span,
            quantile::Table,
            scenarios::Scenarios,
        },
        model::{OwnerId, Shape, ShapeId},
        strategy::{Arrival, want::test_view},
        time::{Millis, Timestamp},
    };

    fn policy(level: f64, scheme: Scheme) -> ConditionalQuantile {
        let idle = Idle::Fixed(Millis::from_mins(10));
        let unit = Unit::Gpus;
        let rule = SpareRule { level, keep: level, scheme, unit, idle, calibrated: false };
        ConditionalQuantile::new(rule)
    }

    /// Every hour 16 GPUs arrive, followed by 16 more five minutes later; each runs 20 minutes.
    /// Returns the spare wanted at the given seconds of the last hour.
    fn spare(policy: &mut ConditionalQuantile, hours: i64, looks: &[i64]) -> Vec<u64> {
        let mut found = Vec::new();
        for hour in 0..hours {
            let mut steps = vec![0, 300, 1200, 1500];
            if hour == hours - 1 {
                steps.extend(looks);
                steps.sort_unstable();
            }
            for secs in steps {
                let now = Timestamp::from_secs(hour * 3600 + secs);
                let running = |from: i64| (from..from + 1200).contains(&secs);
                let running_milli =
                    [0, 300].into_iter().filter(|&from| running(from)).count() as u64 * 16_000;
                let arrival = Arrival {
                    job: 0,
                    at: now,
                    shape: ShapeId(0),
                    owner: OwnerId(1),
                    gpu_milli: 16_000,
                    is_running: false,
                };
                let arrivals = if [0, 300].contains(&secs) { &[arrival][..] } else { &[] };
                let view = PoolView { now, running_milli, arrivals, ..test_view() };
                let want = policy.want(&view);
                if hour == hours - 1 && looks.contains(&secs) {
                    found.push(want.spare_milli);
                }
            }
        }
        found
    }

    #[test]
    fn the_second_half_of_a_burst_is_expected_after_the_first() {
        let mut policy = policy(0.9, Scheme::Burst);
        // 100 s after the first half: the second is due. 700 s after the last arrival: nothing is.
        let found = spare(&mut policy, 48, &[100, 1900]);
        assert_eq!(found[0], 16_000);
        assert!(found[1] < 16_000 * 3, "{found:?}");
    }

    #[test]
    fn without_conditions_the_spare_does_not_depend_on_the_moment() {
        let mut policy = policy(0.9, Scheme::All);
        let found = spare(&mut policy, 48, &[100, 1900]);
        assert_eq!(found[0], found[1]);
    }

    #[test]
    fn before_the_first_fit_it_is_reactive() {
        let mut policy = policy(0.9, Scheme::Burst);
        assert_eq!(spare(&mut policy, 4, &[100]), [0]);
    }

    #[test]
    fn whole_nodes_are_rounded_up() {
        let rule = SpareRule { unit: Unit::Nodes, ..policy(0.9, Scheme::All).rule };
        let table = Some(Table::uniform([9000; 8]));
        let learned = Learned { table, ..Learned::default() };
        let want = rule.want(Some(&learned), &Features::default(), &test_view());
        assert_eq!((want.spare_nodes, want.spare_milli), (2, 0));
    }

    #[test]
    fn deficits_are_in_nodes_whatever_the_node() {
        let rule = SpareRule { unit: Unit::Scenario, ..policy(0.9, Scheme::All).rule };
        let deficits = Some(Table::uniform([2001; 8]));
        let learned =
            Learned { table: Some(Table::uniform([9000; 8])), deficits, ..Learned::default() };
        let want = rule.want(Some(&learned), &Features::default(), &test_view());
        assert_eq!((want.spare_nodes, want.keep_nodes, want.spare_milli), (3, 3, 0));
        let without = Learned { deficits: None, ..learned };
        let want = rule.want(Some(&without), &Features::default(), &test_view());
        assert_eq!((want.spare_nodes, want.keep_nodes), (0, 0));
    }

    /// In every hour of a day 8 GPUs come at once; windows are of an hour.
    fn of_windows() -> (Learned, SpareRule) {
        let shapes = [Shape::whole_gpus(8)];
        let mut events = Events::new(Timestamp::ZERO, 0);
        for hour in 0..24 {
            let at = Timestamp::from_secs(hour * 3600 + 30);
            let came = Event::arrival(at, 8000, ShapeId(0), OwnerId(0));
            events.push(came);
            events.push(came.finished(at + Millis::from_secs(60)));
        }
        let span = Span::recent(Timestamp::from_secs(24 * 3600), Millis::from_secs(3600));
        let (_, count) = span.grid(&events);
        let features = vec![Features::default(); count];
        let sizes = NodeSizes::new(8, &shapes);
        let scenarios = Scenarios::fit(&events, &sizes, &span, &features);
        let rule = SpareRule { unit: Unit::Windows, ..policy(0.9, Scheme::Burst).rule };
        (Learned { scenarios, ..Learned::default() }, rule)
    }

    #[test]
    fn windows_want_empty_nodes_beside_what_is_free() {
        let (learned, rule) = of_windows();
        let want = |nodes: Vec<u32>| {
            let fragments = Fragments { nodes, devices: Vec::new() };
            let view = PoolView { fragments: &fragments, ..test_view() };
            let want = rule.want(Some(&learned), &Features::default(), &view);
            (want.spare_nodes, want.keep_nodes, want.spare_milli)
        };
        // Free halves do not hold a job of eight; a node with all devices free that is not empty does.
        assert_eq!(want(vec![0, 0, 0, 0, 9, 0, 0, 0, 0]), (1, 1, 0));
        assert_eq!(want(vec![0, 0, 0, 0, 0, 0, 0, 0, 1]), (0, 0, 0));
        let nothing = rule.want(Some(&Learned::default()), &Features::default(), &test_view());
        assert_eq!(nothing.spare_nodes, 0);
    }

    #[test]
    fn only_windows_ask_for_fragments() {
        let (_, rule) = of_windows();
        assert!(ConditionalQuantile::new(rule).timers().fragments);
        assert!(!policy(0.9, Scheme::Burst).timers().fragments);
    }
}
