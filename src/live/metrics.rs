//! Metrics, in the OpenMetrics text form. Labels are bounded: pools, kinds, results, never pods or errors.

mod pools;
mod signals;

pub use pools::{PoolFacts, PoolLabel};

use super::gpu_pool::Mode;
use crate::time::Timestamp;
use pools::PoolMetrics;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use std::sync::{Mutex, atomic::AtomicU64};

type FloatGauge = Gauge<f64, AtomicU64>;
type FloatCounter = Counter<f64, AtomicU64>;

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

/// How far decisions may reach at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabel {
    mode: &'static str,
}

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// Such as `Paused`.
    pub reason: &'static str,
}

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// `ok` or `failed`.
    pub result: &'static str,
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
    /// Orders that were not carried out, by reason.
    pub refusals: Family<ReasonLabel, Counter>,
    /// Attempts to keep the memory.
    pub memory_keeps: Family<ResultLabel, Counter>,
    /// Decisions that did not get into the decision log.
    pub decision_log_errors: Counter,
    memory_kept: FloatGauge,
    autoscaler_status: FloatGauge,
    ceiling: Family<ModeLabel, Gauge>,
    pools: PoolMetrics,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registry = registry();
        let decide_bounds = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
        let reaction_bounds = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
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
            refusals: Family::default(),
            memory_keeps: Family::default(),
            decision_log_errors: Counter::default(),
            memory_kept: FloatGauge::default(),
            autoscaler_status: FloatGauge::default(),
            ceiling: Family::default(),
            pools: PoolMetrics::new(&mut registry),
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
        let refusals = "Orders that were not carried out, by reason";
        to.register("refusals", refusals, self.refusals.clone());
        let keeps = "Attempts to keep what was learned";
        to.register("memory_keeps", keeps, self.memory_keeps.clone());
        let kept = "When what was learned was kept last; 0 = not by this process";
        to.register("memory_kept_timestamp_seconds", kept, self.memory_kept.clone());
        let log = "Decisions that did not get into the decision log";
        to.register("decision_log_errors", log, self.decision_log_errors.clone());
        let status = "When cluster-autoscaler wrote its status last; 0 = there is none";
        to.register("autoscaler_status_timestamp_seconds", status, self.autoscaler_status.clone());
        let ceiling = "1 for the mode beyond which no pool goes: the kill switch";
        to.register("switch", ceiling, self.ceiling.clone());
    }

    /// What a look found of one pool.
    pub fn note_pool(&self, facts: &PoolFacts<'_>) {
        self.pools.note(facts);
    }

    /// A pool is gone: so are its series.
    pub fn forget_pool(&self, pool: &str) {
        self.pools.forget(pool);
    }

    /// The kill switch, and when cluster-autoscaler wrote its status last.
    pub fn note_surroundings(&self, ceiling: Mode, autoscaler: Option<Timestamp>) {
        for (mode, word) in pools::MODES {
            let label = ModeLabel { mode: word };
            self.ceiling.get_or_create(&label).set(i64::from(mode == ceiling));
        }
        self.autoscaler_status.set(autoscaler.map_or(0.0, seconds));
    }

    /// What was learned was kept, or not.
    pub fn note_kept(&self, now: Timestamp, is_kept: bool) {
        let result = if is_kept { "ok" } else { "failed" };
        self.memory_keeps.get_or_create(&ResultLabel { result }).inc();
        if is_kept {
            self.memory_kept.set(seconds(now));
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

/// Seconds since the epoch.
fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1000.0
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
