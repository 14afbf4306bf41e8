//! Metrics, in the OpenMetrics text form. Labels are bounded: pools, kinds, results, never pods or errors.

use crate::{engine::PoolReport, time::Millis};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use std::sync::{Mutex, atomic::AtomicU64};

type FloatGauge = Gauge<f64, AtomicU64>;
type FloatCounter = Counter<f64, AtomicU64>;

/// One pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PoolLabel {
    /// `namespace/name`.
    pub pool: String,
}

/// A kind of write or event and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindResult {
    /// Of a bounded set.
    pub kind: &'static str,
    /// `ok`, `conflict`, `forbidden`, ...
    pub result: &'static str,
}

/// A watched kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// Such as `Pod`.
    pub kind: &'static str,
}

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// Of a look `acted` or `nothing`, of new certificates `used` or `refused`, of a
    /// touch as for writes.
    pub outcome: &'static str,
}

/// One stage of the lead time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PoolStage {
    /// `namespace/name`.
    pub pool: String,
    /// `p50` or `p90`.
    pub quantile: &'static str,
}

/// Everything the controller counts.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Decisions by outcome.
    pub decisions: Family<Outcome, Counter>,
    /// Time `decide` and the look before it took.
    pub decide_seconds: Histogram,
    /// Writes by kind and result.
    pub writes: Family<KindResult, Counter>,
    /// From a pod that became demand to the write that serves it.
    pub reaction_seconds: Histogram,
    /// Events published by result.
    pub events: Family<KindResult, Counter>,
    /// Watch events by kind.
    pub watch_events: Family<KindLabel, Counter>,
    /// Errors of watches by kind.
    pub watch_errors: Family<KindLabel, Counter>,
    /// Age of the oldest view that decisions rest on.
    pub snapshot_age_seconds: FloatGauge,
    /// This replica acts.
    pub leader: Gauge,
    /// Odd things found in the cluster.
    pub findings: Gauge,
    /// Events of the watches that waited for a place when a look began.
    pub queue_length: Gauge,
    nodes: [(&'static str, Family<PoolLabel, Gauge>); 6],
    credit: Family<PoolLabel, FloatGauge>,
    lead_time: Family<PoolStage, FloatGauge>,
    unmet: Family<PoolLabel, FloatCounter>,
    idle: Family<PoolLabel, FloatCounter>,
    is_trusted: Family<PoolLabel, Gauge>,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registry = registry();
        let decide_bounds = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
        let reaction_bounds = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
        let node_gauges = [
            ("nodes_ready", "Nodes with all GPUs allocatable"),
            ("nodes_idle", "Of those, nodes on which nothing runs"),
            ("nodes_requested", "Nodes asked for and not Ready"),
            ("nodes_warming", "Nodes that are Ready without all their GPUs"),
            ("nodes_stuck", "Nodes on their way that take too long to be counted on"),
            ("nodes_target", "Nodes the pool should have"),
        ];
        let nodes = node_gauges.map(|(name, help)| {
            let family = Family::<PoolLabel, Gauge>::default();
            registry.register(name, help, family.clone());
            (name, family)
        });
        let metrics = Self {
            decisions: Family::default(),
            decide_seconds: Histogram::new(decide_bounds),
            writes: Family::default(),
            reaction_seconds: Histogram::new(reaction_bounds),
            events: Family::default(),
            watch_events: Family::default(),
            watch_errors: Family::default(),
            snapshot_age_seconds: FloatGauge::default(),
            leader: Gauge::default(),
            findings: Gauge::default(),
            queue_length: Gauge::default(),
            nodes,
            credit: Family::default(),
            lead_time: Family::default(),
            unmet: Family::default(),
            idle: Family::default(),
            is_trusted: Family::default(),
            registry: Mutex::new(Registry::default()),
        };
        metrics.register(&mut registry);
        Self { registry: Mutex::new(registry), ..metrics }
    }

    fn register(&self, to: &mut Registry) {
        to.register("decisions", "Decisions by outcome", self.decisions.clone());
        to.register(
            "decide_seconds",
            "Time a look and its decision took",
            self.decide_seconds.clone(),
        );
        to.register("writes", "Writes to the cluster by kind and result", self.writes.clone());
        to.register(
            "reaction_seconds",
            "From a pod that became demand to the write that serves it",
            self.reaction_seconds.clone(),
        );
        to.register("events", "Events published by kind and result", self.events.clone());
        to.register("watch_events", "Watch events by kind", self.watch_events.clone());
        to.register("watch_errors", "Errors of watches by kind", self.watch_errors.clone());
        to.register(
            "snapshot_age_seconds",
            "Age of the oldest view that decisions rest on",
            self.snapshot_age_seconds.clone(),
        );
        to.register("leader", "1 on the replica that acts", self.leader.clone());
        to.register("findings", "Odd things found in the cluster", self.findings.clone());
        to.register(
            "queue_length",
            "Watch events waiting when a look began",
            self.queue_length.clone(),
        );
        let credit = "Node-hours ahead of demand that may still be used";
        to.register("credit_node_hours", credit, self.credit.clone());
        to.register("lead_time_seconds", "Learned lead time by quantile", self.lead_time.clone());
        to.register("unmet_gpu_seconds", "GPU-seconds that pods waited", self.unmet.clone());
        to.register(
            "idle_gpu_seconds",
            "GPU-seconds that usable GPUs were idle",
            self.idle.clone(),
        );
        let trusted = "1 while what is seen and forecast is trusted";
        to.register("trusted", trusted, self.is_trusted.clone());
    }

    /// What a look found of one pool; `since` is the time since the look before.
    pub fn note_pool(&self, pool: &str, gpus_per_node: u32, report: &PoolReport, since: Millis) {
        let label = || PoolLabel { pool: pool.to_owned() };
        let seen = &report.observed;
        let values = [
            seen.usable_nodes,
            seen.idle_nodes,
            seen.requested_nodes,
            seen.warming_nodes,
            seen.stuck_nodes,
            report.target_nodes,
        ];
        for ((_, family), value) in self.nodes.iter().zip(values) {
            family.get_or_create(&label()).set(i64::from(value));
        }
        let credit = report.guarded.credit_node_ms as f64 / 3_600_000.0;
        self.credit.get_or_create(&label()).set(credit);
        for (quantile, time) in [("p50", seen.lead_median), ("p90", seen.lead_p90)] {
            let stage = PoolStage { pool: pool.to_owned(), quantile };
            self.lead_time.get_or_create(&stage).set(time.as_secs_f64());
        }
        let passed = since.as_secs_f64().max(0.0);
        let waiting = seen.waiting_milli as f64 / 1000.0;
        self.unmet.get_or_create(&label()).inc_by(waiting * passed);
        let usable = f64::from(seen.usable_nodes) * f64::from(gpus_per_node);
        let idle = (usable - seen.running_milli as f64 / 1000.0).max(0.0);
        self.idle.get_or_create(&label()).inc_by(idle * passed);
        let is_trusted = report.guarded.rung == crate::guard::ladder::Rung::Normal;
        self.is_trusted.get_or_create(&label()).set(i64::from(is_trusted));
    }

    /// A pool is gone: so are its series.
    pub fn forget_pool(&self, pool: &str) {
        let label = PoolLabel { pool: pool.to_owned() };
        for (_, family) in &self.nodes {
            family.remove(&label);
        }
        self.credit.remove(&label);
        self.unmet.remove(&label);
        self.idle.remove(&label);
        self.is_trusted.remove(&label);
        for quantile in ["p50", "p90"] {
            self.lead_time.remove(&PoolStage { pool: pool.to_owned(), quantile });
        }
    }

    /// Adds what another part counts.
    pub fn also(&self, register: impl FnOnce(&mut Registry)) {
        if let Ok(mut registry) = self.registry.lock() {
            register(&mut registry);
        }
    }

    /// All metrics as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Ok(registry) = self.registry.lock() {
            // Writing to a string does not fail.
            encode(&mut text, &registry).ok();
        }
        text
    }
}

/// An empty registry with our prefix and the version of this program.
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("prewarm");
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "Version of this program", build);
    registry
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_our_prefix_and_a_help_text() {
        let metrics = Metrics::new();
        metrics.decisions.get_or_create(&Outcome { outcome: "acted" }).inc();
        let text = metrics.text();
        assert!(text.contains("prewarm_decisions_total{outcome=\"acted\"} 1"), "{text}");
        assert!(text.contains("prewarm_build_info{version="), "{text}");
        assert!(text.ends_with("# EOF\n"));
        for line in text.lines().filter(|line| line.starts_with("# HELP")) {
            assert!(line.starts_with("# HELP prewarm_"), "{line}");
        }
    }
}
