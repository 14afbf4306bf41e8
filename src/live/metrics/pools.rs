//! Metrics of each pool. A pool that is gone takes its series with it.

use super::{FloatCounter, FloatGauge, signals::SignalMetrics};
use crate::{
    engine::PoolReport,
    guard::{ladder::Rung, limits::Limit},
    live::gpu_pool::Mode,
    model::Pool,
    time::Millis,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// One pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PoolLabel {
    /// `namespace/name`.
    pub pool: String,
}

/// A pool and one word of a bounded set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolQuantile {
    pool: String,
    quantile: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolMode {
    pool: String,
    mode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLimit {
    pool: String,
    limit: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolWeight {
    pool: String,
    weighed_by: &'static str,
}

/// What a look found of one pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolFacts<'a> {
    /// Name and size.
    pub pool: &'a Pool,
    /// How far its decisions reach.
    pub mode: Mode,
    /// The decision about it.
    pub report: &'a PoolReport,
    /// Time since the look before.
    pub since: Millis,
}

/// See the module.
#[derive(Debug)]
pub(super) struct PoolMetrics {
    nodes: [Family<PoolLabel, Gauge>; NODES.len()],
    max_nodes: Family<PoolLabel, Gauge>,
    gpus_per_node: Family<PoolLabel, Gauge>,
    gpus_running: Family<PoolLabel, FloatGauge>,
    gpus_waiting: Family<PoolLabel, FloatGauge>,
    credit: Family<PoolLabel, FloatGauge>,
    lead_time: Family<PoolQuantile, FloatGauge>,
    unmet: Family<PoolLabel, FloatCounter>,
    idle: Family<PoolLabel, FloatCounter>,
    is_trusted: Family<PoolLabel, Gauge>,
    mode: Family<PoolMode, Gauge>,
    bound: Family<PoolLimit, Counter>,
    skill: Family<PoolLabel, FloatGauge>,
    coverage: Family<PoolWeight, FloatGauge>,
    signals: SignalMetrics,
}

/// Counts of nodes: names, help texts.
const NODES: [(&str, &str); 7] = [
    ("nodes_ready", "Nodes with all GPUs allocatable"),
    ("nodes_idle", "Of those, nodes on which nothing runs"),
    ("nodes_requested", "Nodes asked for and not Ready"),
    ("nodes_warming", "Nodes that are Ready without all their GPUs"),
    ("nodes_stuck", "Nodes on their way that take too long to be counted on"),
    ("nodes_target", "Nodes the pool should have"),
    ("nodes_shadow", "Nodes that a reactive controller would have"),
];

pub(super) const MODES: [(Mode, &str); 4] = [
    (Mode::Off, "Off"),
    (Mode::Shadow, "Shadow"),
    (Mode::Advise, "Advise"),
    (Mode::Active, "Active"),
];
const QUANTILES: [&str; 2] = ["p50", "p90"];
const WEIGHTS: [&str; 3] = ["time", "job", "gpu"];

impl PoolMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        let nodes = NODES.map(|(name, help)| {
            let family = Family::<PoolLabel, Gauge>::default();
            to.register(name, help, family.clone());
            family
        });
        let metrics = Self {
            nodes,
            max_nodes: Family::default(),
            gpus_per_node: Family::default(),
            gpus_running: Family::default(),
            gpus_waiting: Family::default(),
            credit: Family::default(),
            lead_time: Family::default(),
            unmet: Family::default(),
            idle: Family::default(),
            is_trusted: Family::default(),
            mode: Family::default(),
            bound: Family::default(),
            skill: Family::default(),
            coverage: Family::default(),
            signals: SignalMetrics::new(to),
        };
        metrics.register(to);
        metrics
    }

    fn register(&self, to: &mut Registry) {
        let max = "Most nodes the pool may have; absent where it has no maximum";
        to.register("nodes_max", max, self.max_nodes.clone());
        to.register("gpus_per_node", "GPUs of a node of the pool", self.gpus_per_node.clone());
        to.register("gpus_running", "GPUs in use", self.gpus_running.clone());
        let waiting = "GPUs that waiting pods ask of the pool first";
        to.register("gpus_waiting", waiting, self.gpus_waiting.clone());
        let credit = "Node-hours ahead of demand that may still be used";
        to.register("credit_node_hours", credit, self.credit.clone());
        to.register("lead_time_seconds", "Learned lead time by quantile", self.lead_time.clone());
        to.register("unmet_gpu_seconds", "GPU-seconds that pods waited", self.unmet.clone());
        let idle = "GPU-seconds that usable GPUs were idle";
        to.register("idle_gpu_seconds", idle, self.idle.clone());
        let trusted = "1 while what is seen and forecast is trusted";
        to.register("trusted", trusted, self.is_trusted.clone());
        let mode = "1 for the mode in which the pool is, the kill switch considered";
        to.register("mode", mode, self.mode.clone());
        let bound = "Decisions in which a limit made a difference";
        to.register("limits_bound", bound, self.bound.clone());
        let skill = "Nodes by which the forecast's mean loss over a week is below that of a constant; \
                     below zero = worse. Absent without a forecast";
        to.register("forecast_skill_nodes", skill, self.skill.clone());
        let coverage = "Share of the last day that came within the forecast. Absent without one";
        to.register("forecast_coverage_ratio", coverage, self.coverage.clone());
    }

    pub(super) fn note(&self, facts: &PoolFacts<'_>) {
        self.signals.note(&facts.pool.name, &facts.report.signals);
        let pool = facts.pool.name.as_str();
        let seen = &facts.report.observed;
        let label = || PoolLabel { pool: pool.to_owned() };
        let nodes = [
            seen.usable_nodes,
            seen.idle_nodes,
            seen.requested_nodes,
            seen.warming_nodes,
            seen.stuck_nodes,
            facts.report.target_nodes,
            facts.report.guarded.shadow_nodes,
        ];
        for (family, value) in self.nodes.iter().zip(nodes) {
            family.get_or_create(&label()).set(i64::from(value));
        }
        match facts.pool.max_nodes {
            Some(max) => drop(self.max_nodes.get_or_create(&label()).set(i64::from(max))),
            None => drop(self.max_nodes.remove(&label())),
        }
        let per_node = facts.pool.gpus_per_node;
        self.gpus_per_node.get_or_create(&label()).set(i64::from(per_node));
        let (running, waiting) = (gpus(seen.running_milli), gpus(seen.waiting_milli));
        self.gpus_running.get_or_create(&label()).set(running);
        self.gpus_waiting.get_or_create(&label()).set(waiting);
        let passed = facts.since.as_secs_f64().max(0.0);
        self.unmet.get_or_create(&label()).inc_by(waiting * passed);
        let usable = f64::from(seen.usable_nodes) * f64::from(per_node);
        self.idle.get_or_create(&label()).inc_by((usable - running).max(0.0) * passed);
        for (quantile, time) in QUANTILES.into_iter().zip([seen.lead_median, seen.lead_p90]) {
            let label = PoolQuantile { pool: pool.to_owned(), quantile };
            self.lead_time.get_or_create(&label).set(time.as_secs_f64());
        }
        for (one, mode) in MODES {
            let label = PoolMode { pool: pool.to_owned(), mode };
            self.mode.get_or_create(&label).set(i64::from(one == facts.mode));
        }
        self.note_guards(facts);
        self.note_forecast(facts);
    }

    fn note_guards(&self, facts: &PoolFacts<'_>) {
        let label = PoolLabel { pool: facts.pool.name.clone() };
        let guarded = &facts.report.guarded;
        let credit = guarded.credit_node_ms as f64 / 3_600_000.0;
        self.credit.get_or_create(&label).set(credit);
        let is_trusted = guarded.rung == Rung::Normal;
        self.is_trusted.get_or_create(&label).set(i64::from(is_trusted));
        for binding in &guarded.bindings {
            let limit = format!("{:?}", binding.limit);
            let label = PoolLimit { pool: facts.pool.name.clone(), limit };
            self.bound.get_or_create(&label).inc();
        }
    }

    fn note_forecast(&self, facts: &PoolFacts<'_>) {
        let label = PoolLabel { pool: facts.pool.name.clone() };
        let promised = facts.report.promised.as_ref();
        set(&self.skill, &label, promised.and_then(|promised| promised.skill));
        let shares = promised.map_or([None; 3], |promised| {
            [promised.coverage_time, promised.coverage_jobs, promised.coverage_gpu]
        });
        for (weighed_by, share) in WEIGHTS.into_iter().zip(shares) {
            set(&self.coverage, &PoolWeight { pool: label.pool.clone(), weighed_by }, share);
        }
    }

    pub(super) fn forget(&self, pool: &str) {
        self.signals.note(pool, &[]);
        let label = PoolLabel { pool: pool.to_owned() };
        let gauges = self.nodes.iter().chain([&self.max_nodes, &self.gpus_per_node]);
        for family in gauges.chain([&self.is_trusted]) {
            family.remove(&label);
        }
        for family in [&self.gpus_running, &self.gpus_waiting, &self.credit, &self.skill] {
            family.remove(&label);
        }
        self.unmet.remove(&label);
        self.idle.remove(&label);
        for quantile in QUANTILES {
            self.lead_time.remove(&PoolQuantile { pool: pool.to_owned(), quantile });
        }
        for (_, mode) in MODES {
            self.mode.remove(&PoolMode { pool: pool.to_owned(), mode });
        }
        for weighed_by in WEIGHTS {
            self.coverage.remove(&PoolWeight { pool: pool.to_owned(), weighed_by });
        }
        for limit in Limit::ALL {
            let limit = format!("{limit:?}");
            self.bound.remove(&PoolLimit { pool: pool.to_owned(), limit });
        }
    }
}

/// Sets it, or takes the series away where there is no value.
pub(super) fn set<L>(family: &Family<L, FloatGauge>, label: &L, value: Option<f64>)
where
    L: Clone + std::hash::Hash + Eq,
{
    match value {
        Some(value) => drop(family.get_or_create(label).set(value)),
        None => drop(family.remove(label)),
    }
}

fn gpus(milli: u64) -> f64 {
    milli as f64 / 1000.0
}
