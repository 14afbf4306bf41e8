//! Metrics of the extender.

use crate::{
    extender::{ExtenderSnapshot, Filtered},
    live::metrics::Outcome,
    time::Millis,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{collections::BTreeMap, sync::atomic::AtomicU64, time::Duration};

/// A verb and what came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerbResult {
    /// `filter`, `prioritize`, `preempt`.
    pub verb: &'static str,
    /// `ok`, `unreadable`, `not-synced`, `busy`, `too-large`, `slow`, `broken-off`,
    /// `failed`.
    pub result: &'static str,
}

/// A verb.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Verb {
    /// `filter`, `prioritize`, `preempt`.
    pub verb: &'static str,
}

/// Why a node was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// One of [`crate::extender::reason::ALL`], or `pass`.
    pub reason: &'static str,
}

/// Everything the extender counts.
#[derive(Clone, Debug)]
pub struct Meters {
    requests: Family<VerbResult, Counter>,
    seconds: Family<Verb, Histogram>,
    verdicts: Family<Reason, Counter>,
    unknown: Counter,
    age: Gauge<f64, AtomicU64>,
    nodes: Gauge,
    handshakes: Counter,
    certificates: Family<Outcome, Counter>,
    policies: Family<Outcome, Counter>,
    stranded: Gauge,
    nudges: Family<Outcome, Counter>,
}

fn histogram() -> Histogram {
    Histogram::new([
        0.000_005, 0.000_01, 0.000_015, 0.000_02, 0.000_025, 0.000_03, 0.000_04, 0.000_05,
        0.000_075, 0.000_1, 0.000_15, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
        0.1, 0.25, 1.0,
    ])
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            verdicts: Family::default(),
            unknown: Counter::default(),
            age: Gauge::default(),
            nodes: Gauge::default(),
            handshakes: Counter::default(),
            certificates: Family::default(),
            policies: Family::default(),
            stranded: Gauge::default(),
            nudges: Family::default(),
        }
    }
}

impl Meters {
    /// Adds all of them to a registry.
    pub fn register(&self, to: &mut Registry) {
        let requests = "Requests of schedulers by verb and result";
        to.register("extender_requests", requests, self.requests.clone());
        let seconds = "Time from the last byte of a request to its answer";
        to.register("extender_seconds", seconds, self.seconds.clone());
        let verdicts = "Verdicts about nodes by reason, `pass` for none";
        to.register("extender_verdicts", verdicts, self.verdicts.clone());
        let unknown = "Nodes asked about that nobody knows";
        to.register("extender_unknown_nodes", unknown, self.unknown.clone());
        let age = "Age of the oldest view that verdicts rest on: how long a watch has failed";
        to.register("extender_snapshot_age_seconds", age, self.age.clone());
        to.register("extender_nodes", "Nodes known", self.nodes.clone());
        let handshakes = "TLS handshakes that failed";
        to.register("extender_failed_handshakes", handshakes, self.handshakes.clone());
        let stranded = "Pods that were refused, wait, and would not be refused any more";
        to.register("extender_stranded_pods", stranded, self.stranded.clone());
        let nudges = "Times a Node had to be touched for such pods, by what came of it";
        to.register("extender_nudges", nudges, self.nudges.clone());
        let certificates = "Certificate files found changed, by what came of it";
        to.register("extender_certificates", certificates, self.certificates.clone());
        let policies = "Policy files found changed, by what came of it";
        to.register("extender_policies", policies, self.policies.clone());
    }

    /// A request was answered.
    pub fn note(&self, verb: &'static str, result: &'static str, took: Option<Duration>) {
        self.requests.get_or_create(&VerbResult { verb, result }).inc();
        if let Some(took) = took {
            self.seconds.get_or_create(&Verb { verb }).observe(took.as_secs_f64());
        }
    }

    /// Verdicts were given.
    pub fn note_filtered(&self, filtered: &Filtered<'_>) {
        let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
        for &(_, _, reason) in &filtered.rejected {
            *counts.entry(reason).or_default() += 1;
        }
        counts.insert("pass", filtered.passed.len() as u64);
        for (reason, count) in counts {
            self.verdicts.get_or_create(&Reason { reason }).inc_by(count);
        }
        self.unknown.inc_by(u64::from(filtered.unknown));
    }

    /// How long a watch has failed, and what is known.
    pub fn note_view(&self, age: Millis, snapshot: &ExtenderSnapshot) {
        self.age.set(age.as_secs_f64());
        self.nodes.set(snapshot.nodes().count() as i64);
    }

    /// So many pods wait although a node would take them.
    pub fn note_stranded(&self, pods: usize) {
        self.stranded.set(pods as i64);
    }

    /// Somebody should have touched a Node; what came of it.
    pub fn note_nudge(&self, outcome: &'static str) {
        self.nudges.get_or_create(&Outcome { outcome }).inc();
    }

    /// A client and the server did not agree, or it took too long.
    pub fn note_handshake_failed(&self) {
        self.handshakes.inc();
    }

    /// Certificate files have changed, and are used or cannot be.
    pub fn note_certificates(&self, are_used: bool) {
        note_file(&self.certificates, are_used);
    }

    /// How often the policy file was found changed with this outcome.
    #[cfg(test)]
    pub(super) fn policies(&self, outcome: &'static str) -> u64 {
        self.policies.get_or_create(&Outcome { outcome }).get()
    }

    /// The policy file has changed, and is used or cannot be.
    pub fn note_policy(&self, is_used: bool) {
        note_file(&self.policies, is_used);
    }
}

fn note_file(counts: &Family<Outcome, Counter>, is_used: bool) {
    let outcome = if is_used { "used" } else { "refused" };
    counts.get_or_create(&Outcome { outcome }).inc();
}
