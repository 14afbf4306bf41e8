//! What the code registers: names of series as Prometheus stores them, with their labels.

use super::{files, files::word, promql};
use prewarm::{
    engine::{
        FirmNeed, Guarded, Observed, PoolReport, Promised, ScaleDown, Selected, SignalReport,
        SignalState, Speculative,
    },
    extender::Filtered,
    forecast::coverage::Alarm,
    guard::{
        ladder::Rung,
        limits::{Binding, Limit},
    },
    live::{
        actuate::Outcome,
        extender::Meters,
        gpu_pool::Mode,
        index::Kind,
        metrics::{KindLabel, KindResult, Metrics, Outcome as Turned, PoolFacts, ReasonLabel},
    },
    model::Pool,
    time::{Millis, Timestamp},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Labels that Prometheus adds, and that of histograms' buckets.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Both registries as they are served, every family with one child.
fn served() -> String {
    let metrics = Metrics::new();
    let word = KindResult { kind: "k", result: "r" };
    metrics.decisions.get_or_create(&Turned { outcome: "o" }).inc();
    metrics.writes.get_or_create(&word).inc();
    metrics.events.get_or_create(&word).inc();
    metrics.watch_events.get_or_create(&KindLabel { kind: "k" }).inc();
    metrics.watch_errors.get_or_create(&KindLabel { kind: "k" }).inc();
    let reason = "r";
    metrics.refusals.get_or_create(&ReasonLabel { reason }).inc();
    metrics.note_kept(Timestamp::ZERO, true);
    metrics.note_surroundings(Mode::Active, None);
    let pool = Pool { max_nodes: Some(9), ..Pool::new("gpu/a100", 8) };
    let (mode, report) = (Mode::Active, &report());
    metrics.note_pool(&PoolFacts { pool: &pool, mode, report, since: Millis::from_secs(1) });
    let meters = Meters::default();
    meters.note("filter", "ok", Some(Duration::ZERO));
    meters.note_filtered(&Filtered::default());
    let mut registry = Registry::with_prefix("prewarm");
    meters.register(&mut registry);
    let mut text = metrics.text();
    encode(&mut text, &registry).unwrap();
    text
}

fn report() -> PoolReport {
    PoolReport {
        observed: Observed::default(),
        firm: FirmNeed::default(),
        selected: Selected { candidate: 0, name: String::new(), days: 0, kappa: 20.0 },
        promised: Some(Promised {
            level: 0.95,
            bound_milli: 0,
            coverage_time: Some(1.0),
            coverage_jobs: Some(1.0),
            coverage_gpu: Some(1.0),
            labels: 0,
            alarm: Alarm::Quiet,
            skill: Some(0.0),
        }),
        drifted: None,
        signals: vec![SignalReport {
            name: "queue".into(),
            value: Some(0.0),
            age: Some(Millis::ZERO),
            state: SignalState::Useful,
            asks_milli: 0,
            study: None,
        }],
        speculative: Speculative::default(),
        guarded: Guarded {
            rung: Rung::Normal,
            causes: Vec::new(),
            shadow_nodes: 0,
            needed_nodes: 0,
            credit_node_ms: 0,
            allowed_nodes: 0,
            bindings: vec![Binding { limit: Limit::Credit, wanted: 1, allowed: 0 }],
        },
        scale_down: ScaleDown::default(),
        create: 0,
        target_nodes: 0,
    }
}

/// Series by name, with their own labels, those that the recording rules make included.
pub(crate) fn series() -> BTreeMap<String, BTreeSet<String>> {
    let mut series: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in served().lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels).split(',');
        let keys = labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        series.entry(name.to_owned()).or_default().extend(keys);
    }
    for rule in files::rules().iter().filter(|rule| rule["record"].is_string()) {
        let labels = ["job".to_owned(), "pool".to_owned()];
        series.insert(word(&rule["record"]).to_owned(), labels.into());
    }
    series
}

/// Says what `expr` names that there is not.
pub(crate) fn unknown(expr: &str, series: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let used = promql::used(expr);
    let missing = used.metrics.iter().filter(|name| !series.contains_key(*name));
    let mut known: BTreeSet<&str> = ADDED.into();
    for name in &used.metrics {
        known.extend(series.get(name).into_iter().flatten().map(String::as_str));
    }
    let labels = used.labels.iter().filter(|label| !known.contains(label.as_str()));
    missing.chain(labels).cloned().collect()
}

#[test]
fn every_series_that_rules_name_exists() {
    let series = series();
    for rule in files::rules() {
        let unknown = unknown(word(&rule["expr"]), &series);
        assert!(unknown.is_empty(), "{rule:#}: there is no {unknown:?}");
    }
}

#[test]
fn what_is_not_there_is_found() {
    let series = series();
    let unknown = |expr| unknown(expr, &series);
    assert!(unknown("sum by (kind) (rate(prewarm_writes_total{result=\"x\"}[5m]))").is_empty());
    assert_eq!(unknown("rate(prewarm_writes[5m]) > 1"), ["prewarm_writes"]);
    assert_eq!(unknown("sum by (node) (prewarm_leader)"), ["node"]);
    assert_eq!(unknown("prewarm_leader{pool=\"a\"} or up"), ["up", "pool"]);
}

/// Values of labels that the rules ask for, from where they are made.
#[test]
fn results_of_writes_and_kinds_of_watches_are_spelt_as_they_are_made() {
    let outcomes = [
        Outcome::Done,
        Outcome::DryRun,
        Outcome::Conflict,
        Outcome::Forbidden(String::new()),
        Outcome::Invalid(String::new()),
        Outcome::Transient(String::new()),
        Outcome::TimedOut,
    ];
    let mut words: BTreeSet<&str> = outcomes.iter().map(Outcome::word).collect();
    words.insert(Kind::Autoscaler.word());
    let boards = files::dashboards();
    let panels = boards.iter().flat_map(|(_, board)| super::dashboards::expressions(board));
    let rules = files::rules();
    let exprs = rules.iter().map(|rule| word(&rule["expr"]).to_owned()).chain(panels);
    for expr in exprs.filter(|expr| {
        expr.contains("prewarm_writes_total") || expr.contains("prewarm_watch_events_total")
    }) {
        for (label, value) in promql::matched(&expr) {
            let is_made = value.split('|').all(|value| words.contains(value));
            assert!(!["result", "kind"].contains(&label.as_str()) || is_made, "{expr}: {value}");
        }
    }
}
