//! Runs policies side by side on one trace and draws up the report.
//!
//! Policies are independent runs, spread over threads; the report lists them in the order asked for, so
//! the number of threads changes nothing. Besides the policies asked for, `reactive` and `clairvoyant`
//! are run as references, because `gap_closed` is measured between them; only when nothing but
//! `reactive` is asked for are they left out.

use super::{
    adaptive::EngineRun,
    bounds, caveats, clairvoyant,
    past::{self, Past},
    policy::PolicySpec,
    report::{
        ActiveStrategy, Bounds, ByKappa, EngineReport, PastReport, PolicyPictures, PolicyReport,
        PoolSummary, Report, SettingsSummary, TraceSummary, WaitSeconds,
    },
    signals::Rehearsed,
    watch::Watch,
    yardstick::{self, KAPPAS, Score, gap_closed, quantile_ms},
};
use crate::{
    history::Day,
    model::{Pool, Trace},
    strategy::{FollowFloor, Reactive, Strategy, candidates},
    time::{Millis, Timestamp},
    units::gpu_hours,
    world::{self, Outcome, Setup, WaitCause},
};
use rayon::prelude::*;
use std::{
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What to compare.
#[derive(Clone, Copy)]
pub struct Comparison<'a> {
    /// Name shown above the report.
    pub name: &'a str,
    /// Demand.
    pub trace: &'a Trace,
    /// World. With [`Setup::series_bin`] set, pictures are made.
    pub setup: &'a Setup,
    /// Policies in the order of the report.
    pub policies: &'a [PolicySpec],
    /// Where the engine's decisions are written; only with a single adaptive policy. The sink looks after
    /// its own errors.
    pub decisions: Option<&'a Sink>,
    /// By pool: signals that the engine hears. May be empty.
    pub signals: &'a [Vec<Rehearsed>],
    /// What really happened, if that is known: it is the first row of the report.
    pub past: Option<Past<'a>>,
}

/// A file that several threads may be given, of which one writes.
pub type Sink = Mutex<dyn Write + Send>;

struct Shared<'a>(&'a Sink);

impl Write for Shared<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

/// One run, scored; `gap_closed` is still open.
struct Run {
    report: PolicyReport,
    picture: Option<PolicyPictures>,
    /// Only beside what really happened.
    days: Vec<Day>,
}

/// Finer than this the distribution of waits looks the same.
const PICTURED_WAITS: usize = 4096;

/// Idle times the clairvoyant may choose from.
const CLAIRVOYANT_IDLE: [Millis; 2] = [Millis::ZERO, Millis::from_mins(10)];

/// Runs the comparison. If `watch` cancels, what is done so far is reported and marked as partial.
pub fn compare(comparison: &Comparison<'_>, watch: &dyn Watch) -> (Report, Vec<PolicyPictures>) {
    let specs = with_references(comparison.policies);
    let meter = Meter::new(comparison.setup, &specs, watch);
    let (mut runs, lower) = rayon::join(
        || specs.par_iter().map(|spec| run_policy(comparison, spec, &meter)).collect::<Vec<_>>(),
        || bounds::node_hours_lower(comparison.trace, comparison.setup),
    );
    let is_partial = runs.iter().any(|run| run.as_ref().is_none_or(Run::is_partial));
    let costs_of = |is: fn(&PolicySpec) -> bool| {
        let run = runs[specs.iter().position(is)?].as_ref()?;
        (!run.is_partial()).then_some(run.report.cost)
    };
    let references =
        costs_of(PolicySpec::is_plain_reactive).zip(costs_of(PolicySpec::is_clairvoyant));
    runs.truncate(comparison.policies.len());
    let past = comparison.past.map(|past| against(&past, comparison, &runs));
    let (mut policies, mut pictures) = (Vec::new(), Vec::new());
    if let Some(past) = comparison.past {
        let mut row = past::actual_row(past.actual, comparison.setup);
        if let Some((reactive, clairvoyant)) = references {
            row.gap_closed = gaps(row.cost, reactive, clairvoyant);
        }
        policies.push(row);
    }
    for mut run in runs.into_iter().flatten() {
        if let (Some((reactive, clairvoyant)), false) = (references, run.is_partial()) {
            run.report.gap_closed = gaps(run.report.cost, reactive, clairvoyant);
        }
        policies.push(run.report);
        pictures.extend(run.picture);
    }
    let report = Report { past, ..draw_up(comparison, policies, lower, is_partial) };
    (report, pictures)
}

fn against(past: &Past<'_>, comparison: &Comparison<'_>, runs: &[Option<Run>]) -> PastReport {
    let named = comparison.policies.iter().zip(runs);
    let whole = named
        .filter_map(|(spec, run)| Some((spec, run.as_ref()?)))
        .filter(|(_, run)| !run.is_partial());
    let runs: Vec<(&str, Option<f64>, &[Day])> = whole
        .map(|(spec, run)| (run.report.name.as_str(), spec.adaptive_kappa(), run.days.as_slice()))
        .collect();
    past::report(past, comparison.setup, &runs)
}

/// The policies asked for, then the references that are missing.
fn with_references(asked: &[PolicySpec]) -> Vec<PolicySpec> {
    let mut specs = asked.to_vec();
    if asked.iter().all(PolicySpec::is_plain_reactive) {
        return specs;
    }
    if !asked.iter().any(PolicySpec::is_plain_reactive) {
        specs.push(PolicySpec::reactive());
    }
    if !asked.iter().any(PolicySpec::is_clairvoyant) {
        specs.push(PolicySpec::clairvoyant());
    }
    specs
}

/// `None` if the run was interrupted before it had anything to say.
fn run_policy(comparison: &Comparison<'_>, spec: &PolicySpec, meter: &Meter<'_>) -> Option<Run> {
    if meter.watch.cancelled() {
        return None;
    }
    if spec.is_clairvoyant() {
        return run_clairvoyant(comparison, spec, meter);
    }
    if let Some(kappa) = spec.adaptive_kappa() {
        return Some(run_engine(comparison, spec, kappa, meter));
    }
    if let Some(kappa) = spec.best_fixed_kappa() {
        return run_best_fixed(comparison, spec, kappa, meter);
    }
    let strategies = comparison.setup.pools.iter().filter_map(|_| spec.build()).collect();
    Some(run_strategies(comparison, spec, strategies, meter))
}

fn run_engine(
    comparison: &Comparison<'_>,
    spec: &PolicySpec,
    kappa: f64,
    meter: &Meter<'_>,
) -> Run {
    let (trace, setup) = (comparison.trace, comparison.setup);
    let log = comparison.decisions.map(|sink| Box::new(Shared(sink)) as Box<dyn Write>);
    let signals = if spec.hears_signals() { comparison.signals } else { &[] };
    let mut engine = EngineRun::new(setup, kappa, signals, log);
    let outcome = meter.run(|go_on| world::run_controlled(trace, setup, &mut engine, go_on));
    let mut run = scored(comparison, spec, outcome);
    run.report.engine = engine.finish();
    run
}

/// The candidate of the engine that would have been best from beginning to end: nobody could have known.
fn run_best_fixed(
    comparison: &Comparison<'_>,
    spec: &PolicySpec,
    kappa: f64,
    meter: &Meter<'_>,
) -> Option<Run> {
    let pools = &comparison.setup.pools;
    let runs = candidates(kappa).into_par_iter().filter_map(|candidate| {
        if meter.watch.cancelled() {
            return None;
        }
        let alone = pools.iter().map(|_| candidate.alone()).collect();
        let (mut run, cost) = run_costed(comparison, spec, alone, kappa, meter);
        let active = vec![ActiveStrategy { from_hours: 0.0, strategy: candidate.to_string() }];
        run.report.engine = pools
            .iter()
            .map(|pool| EngineReport { active: active.clone(), ..EngineReport::of(&pool.name) })
            .collect();
        Some((run, cost))
    });
    let runs: Vec<(Run, f64)> = runs.collect();
    runs.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(run, _)| run)
}

/// The cheaper of two idle times at the middle kappa.
fn run_clairvoyant(
    comparison: &Comparison<'_>,
    spec: &PolicySpec,
    meter: &Meter<'_>,
) -> Option<Run> {
    let (trace, setup) = (comparison.trace, comparison.setup);
    let at_once = || Box::new(Reactive::new(Millis::ZERO)) as Box<dyn Strategy>;
    let floors = meter.run(|go_on| clairvoyant::floors(trace, setup, &at_once, go_on))?;
    let runs = CLAIRVOYANT_IDLE.map(|idle| {
        let follow = |steps: &clairvoyant::Steps| {
            Box::new(FollowFloor::new(steps.clone(), idle)) as Box<dyn Strategy>
        };
        run_strategies(comparison, spec, floors.iter().map(follow).collect(), meter)
    });
    runs.into_iter().min_by(|a, b| a.report.cost.k20.total_cmp(&b.report.cost.k20))
}

fn run_strategies(
    comparison: &Comparison<'_>,
    spec: &PolicySpec,
    strategies: Vec<Box<dyn Strategy>>,
    meter: &Meter<'_>,
) -> Run {
    scored(comparison, spec, run_world(comparison, strategies, meter))
}

/// As [`run_strategies`], with the cost at any kappa.
fn run_costed(
    comparison: &Comparison<'_>,
    spec: &PolicySpec,
    strategies: Vec<Box<dyn Strategy>>,
    kappa: f64,
    meter: &Meter<'_>,
) -> (Run, f64) {
    let outcome = run_world(comparison, strategies, meter);
    let score = yardstick::score(comparison.trace, comparison.setup, &outcome);
    let cost = score.cost(kappa);
    (scored(comparison, spec, outcome), cost)
}

fn run_world(
    comparison: &Comparison<'_>,
    mut strategies: Vec<Box<dyn Strategy>>,
    meter: &Meter<'_>,
) -> Outcome {
    let (trace, setup) = (comparison.trace, comparison.setup);
    meter.run(|go_on| world::run(trace, setup, &mut strategies, go_on))
}

fn scored(comparison: &Comparison<'_>, spec: &PolicySpec, outcome: Outcome) -> Run {
    let score = yardstick::score(comparison.trace, comparison.setup, &outcome);
    let report = report_policy(spec.to_string(), &score, &outcome);
    let days = match comparison.past {
        Some(_) => past::days(comparison.trace, comparison.setup, &outcome),
        None => Vec::new(),
    };
    let picture = outcome.series.map(|series| PolicyPictures {
        name: spec.to_string(),
        series,
        waits_ms: thinned(&score.waits_ms),
    });
    Run { report, picture, days }
}

impl Run {
    fn is_partial(&self) -> bool {
        self.report.until_hours.is_some()
    }
}

fn report_policy(name: String, score: &Score, outcome: &Outcome) -> PolicyReport {
    let hours = |cause: WaitCause| gpu_hours(outcome.causes.get(cause));
    PolicyReport {
        name,
        node_hours: score.node_hours,
        ready_node_hours: score.ready_node_hours,
        busy_gpu_hours: score.busy_gpu_hours,
        idle_gpu_hours: score.idle_gpu_hours,
        waiting_gpu_hours: score.waiting_gpu_hours,
        wait_seconds: wait_seconds(&score.waits_ms),
        jobs_waiting_over_60s: score.jobs_waiting_over_60s,
        node_starts: score.node_starts,
        wasted_starts: score.wasted_starts,
        scored_node_starts: score.scored_node_starts,
        unfinished_jobs: score.unfinished_jobs,
        unstarted_jobs: score.unstarted_jobs,
        scored_jobs: score.waits_ms.len() as u64,
        cost: by_kappa(|kappa| score.cost(kappa)),
        gap_closed: ByKappa::default(),
        waiting_by_cause: WaitCause::ALL.map(|cause| (cause.key(), hours(cause))).into(),
        refused_requests: outcome.pools.iter().map(|pool| pool.refused).sum(),
        engine: Vec::new(),
        until_hours: outcome.is_partial.then(|| outcome.ended_at.as_hours()),
    }
}

fn by_kappa(cost: impl Fn(f64) -> f64) -> ByKappa<f64> {
    let [k5, k20, k100] = KAPPAS.map(cost);
    ByKappa { k5, k20, k100 }
}

fn gaps(
    cost: ByKappa<f64>,
    reactive: ByKappa<f64>,
    clairvoyant: ByKappa<f64>,
) -> ByKappa<Option<f64>> {
    ByKappa {
        k5: gap_closed(cost.k5, reactive.k5, clairvoyant.k5),
        k20: gap_closed(cost.k20, reactive.k20, clairvoyant.k20),
        k100: gap_closed(cost.k100, reactive.k100, clairvoyant.k100),
    }
}

fn wait_seconds(waits_ms: &[i64]) -> WaitSeconds {
    let total: i128 = waits_ms.iter().map(|&ms| i128::from(ms)).sum();
    let at = |q: f64| quantile_ms(waits_ms, q) as f64 / 1000.0;
    WaitSeconds {
        mean: total as f64 / 1000.0 / waits_ms.len().max(1) as f64,
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
        max: at(1.0),
    }
}

/// Evenly spaced ranks, the longest wait included.
fn thinned(sorted: &[i64]) -> Vec<i64> {
    if sorted.len() <= PICTURED_WAITS {
        return sorted.to_vec();
    }
    (1..=PICTURED_WAITS).map(|rank| sorted[rank * sorted.len() / PICTURED_WAITS - 1]).collect()
}

fn draw_up(
    comparison: &Comparison<'_>,
    policies: Vec<PolicyReport>,
    node_hours_lower: f64,
    partial: bool,
) -> Report {
    let (trace, setup) = (comparison.trace, comparison.setup);
    Report {
        schema: "prewarm.report/v1",
        scenario: comparison.name.to_owned(),
        trace: TraceSummary {
            jobs: trace.rows,
            gpu_jobs: trace.jobs.len() as u64,
            span_hours: setup.end.as_hours(),
            skipped: trace.skipped.iter().map(|(why, &rows)| (why.key(), rows)).collect(),
            adjusted: trace.adjusted.clone(),
        },
        settings: SettingsSummary {
            gpus_per_node: setup.pools.first().map_or(0, |pool| pool.gpus_per_node),
            lead_time_seconds: setup
                .pools
                .first()
                .map_or(0.0, |pool| pool.lead_time.mean().as_secs_f64()),
            score_from_hours: setup.score_from.as_hours(),
            seed: setup.seed,
            placement: setup.placement.to_string(),
            decision_seconds: setup.decision_every.as_secs_f64(),
            pools: setup.pools.iter().map(summarise).collect(),
        },
        caveats: caveats::caveats(trace, &setup.pools),
        policies,
        bounds: Bounds { node_hours_lower },
        past: None,
        partial,
    }
}

fn summarise(pool: &Pool) -> PoolSummary {
    PoolSummary {
        name: pool.name.clone(),
        gpus_per_node: pool.gpus_per_node,
        gpu_model: pool.gpu_model.clone(),
        price: pool.price,
        min_nodes: pool.min_nodes,
        max_nodes: pool.max_nodes,
        provisioning_seconds: pool.lead_time.provisioning.mean.as_secs_f64(),
        warm_up_seconds: pool.lead_time.warm_up.mean.as_secs_f64(),
    }
}

/// Adds up how far all runs are, in simulated milliseconds.
struct Meter<'a> {
    watch: &'a dyn Watch,
    done: AtomicU64,
    total: u64,
    run_length: u64,
}

impl<'a> Meter<'a> {
    fn new(setup: &Setup, specs: &[PolicySpec], watch: &'a dyn Watch) -> Self {
        let run_length = setup.end.0.max(0) as u64;
        let runs = |spec: &PolicySpec| match spec.best_fixed_kappa() {
            Some(kappa) => candidates(kappa).len() as u64,
            None if spec.is_clairvoyant() => 3,
            None => 1,
        };
        let total = run_length * specs.iter().map(runs).sum::<u64>();
        Self { watch, done: AtomicU64::new(0), total, run_length }
    }

    /// Carries out one run and follows it.
    fn run<T>(&self, run: impl FnOnce(&dyn Fn(Timestamp) -> bool) -> T) -> T {
        let reached = AtomicU64::new(0);
        let reach = |instant: u64| {
            let before = reached.swap(instant, Ordering::Relaxed);
            let step = instant.saturating_sub(before);
            let done = self.done.fetch_add(step, Ordering::Relaxed) + step;
            self.watch.advanced(done, self.total);
        };
        let result = run(&|now: Timestamp| {
            reach(now.0.max(0) as u64);
            !self.watch.cancelled()
        });
        reach(self.run_length);
        result
    }
}
