//! The result of a comparison, in the shape of `prewarm simulate --output json`
//! (schema `prewarm.report/v1`). Numbers are numbers; hours and seconds as named.

use serde::Serialize;
use std::collections::BTreeMap;

/// The whole document.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `prewarm.report/v1`.
    pub schema: &'static str,
    /// Name of the scenario, or the file name of the trace.
    pub scenario: String,
    /// What was read.
    pub trace: TraceSummary,
    /// What it was run with.
    pub settings: SettingsSummary,
    /// What to know before trusting the figures, in sentences (see [`crate::sim::caveats`]).
    pub caveats: Vec<String>,
    /// One entry per policy, in the order asked for.
    pub policies: Vec<PolicyReport>,
    /// What no policy can beat.
    pub bounds: Bounds,
    /// The policies against what really happened, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past: Option<PastReport>,
    /// The run was interrupted; figures reach as far as each policy's `until_hours`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// What was read.
#[derive(Clone, Debug, Serialize)]
pub struct TraceSummary {
    /// Rows read.
    pub jobs: u64,
    /// Rows that take part (those that ask for GPUs and could be used).
    pub gpu_jobs: u64,
    /// From second 0 to the end of the run.
    pub span_hours: f64,
    /// Rows not taken, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Rows taken after a correction, by what was done.
    pub adjusted: BTreeMap<&'static str, u64>,
}

/// What the comparison was run with.
#[derive(Clone, Debug, Serialize)]
pub struct SettingsSummary {
    /// Devices per node of the first pool.
    pub gpus_per_node: u32,
    /// Mean lead time of the first pool.
    pub lead_time_seconds: f64,
    /// Jobs submitted and nodes billed from here on count.
    pub score_from_hours: f64,
    /// Seed of everything drawn.
    pub seed: u64,
    /// `best-fit`, `spread`, `fgd` or `prewarm`.
    pub placement: String,
    /// Spacing of decisions.
    pub decision_seconds: f64,
    /// Every pool, in order of preference.
    pub pools: Vec<PoolSummary>,
}

/// One pool as it was simulated.
#[derive(Clone, Debug, Serialize)]
pub struct PoolSummary {
    /// Name.
    pub name: String,
    /// Devices per node.
    pub gpus_per_node: u32,
    /// GPU model, empty = unspecified.
    pub gpu_model: String,
    /// Price of a node-hour.
    pub price: f64,
    /// Nodes always kept.
    pub min_nodes: u32,
    /// Most nodes, null = no maximum.
    pub max_nodes: Option<u32>,
    /// Mean time until the node is Ready.
    pub provisioning_seconds: f64,
    /// Mean time from there until its GPUs are usable.
    pub warm_up_seconds: f64,
}

/// The waiting times of the jobs submitted in the scored window; a job that never started counts its
/// wait to the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WaitSeconds {
    /// Mean over jobs.
    pub mean: f64,
    /// Median (nearest rank, as all quantiles here).
    pub p50: f64,
    /// 95 % of the jobs waited at most this long.
    pub p95: f64,
    /// 99 % of the jobs waited at most this long.
    pub p99: f64,
    /// The longest wait.
    pub max: f64,
}

/// A figure for each kappa of the fixed set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ByKappa<T> {
    /// A waiting GPU-hour costs 5 GPU-hours.
    #[serde(rename = "5")]
    pub k5: T,
    /// A waiting GPU-hour costs 20 GPU-hours.
    #[serde(rename = "20")]
    pub k20: T,
    /// A waiting GPU-hour costs 100 GPU-hours.
    #[serde(rename = "100")]
    pub k100: T,
}

/// How one policy did in the scored window.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyReport {
    /// As it was asked for, for example `watermark:0.2,idle=30m`.
    pub name: String,
    /// Billed, from request to termination.
    pub node_hours: f64,
    /// Of those, with usable GPUs.
    pub ready_node_hours: f64,
    /// GPUs in use.
    pub busy_gpu_hours: f64,
    /// GPUs usable and not in use.
    pub idle_gpu_hours: f64,
    /// GPUs asked for by waiting jobs.
    pub waiting_gpu_hours: f64,
    /// Distribution over jobs.
    pub wait_seconds: WaitSeconds,
    /// Jobs that waited longer than a minute.
    pub jobs_waiting_over_60s: u64,
    /// Nodes requested in the whole run, the time before the scored window included.
    pub node_starts: u64,
    /// Of those, gone without ever having run anything.
    pub wasted_starts: u64,
    /// Nodes requested in the scored window.
    pub scored_node_starts: u64,
    /// Jobs that had not finished at the end.
    pub unfinished_jobs: u64,
    /// Of those, jobs that had not even started.
    pub unstarted_jobs: u64,
    /// Jobs submitted in the scored window: what the waiting times are taken over.
    pub scored_jobs: u64,
    /// `price * node_hours + kappa * waiting_gpu_hours / gpus_per_node`.
    pub cost: ByKappa<f64>,
    /// `(J_reactive - J) / (J_reactive - J_clairvoyant)`; null when the gap is under 2 % of
    /// `J_reactive`, or when no reference was run.
    pub gap_closed: ByKappa<Option<f64>>,
    /// Waiting GPU-hours by cause.
    pub waiting_by_cause: BTreeMap<&'static str, f64>,
    /// Requests refused by the provider.
    pub refused_requests: u64,
    /// What the engine did, by pool; for the best in hindsight which one it was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub engine: Vec<EngineReport>,
    /// Only if the run was interrupted: how far this policy came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_hours: Option<f64>,
}

/// A strategy that was followed from some instant on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActiveStrategy {
    /// When it began.
    pub from_hours: f64,
    /// As a policy that does the same all the time is named.
    pub strategy: String,
}

/// What the engine did about one pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EngineReport {
    /// Name of the pool.
    pub pool: String,
    /// Which strategy was followed when.
    pub active: Vec<ActiveStrategy>,
    /// How often a limit made a difference to a decision.
    pub limits_bound: BTreeMap<String, u64>,
    /// What speculation earned and spent.
    pub ledger: LedgerReport,
    /// What its forecasts promised and kept over the scored time; `None` if nothing was forecast.
    pub promised: Option<PromisedReport>,
}

/// What forecasts promised and kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PromisedReport {
    /// Forecasts whose outcome is known; one a minute.
    pub forecasts: u32,
    /// Share of them that was to hold, 0..=1.
    pub level: f64,
    /// Share of them that held.
    pub coverage_time: f64,
    /// Share of jobs that came within the bound, if any came.
    pub coverage_jobs: Option<f64>,
    /// The same, weighed by their GPUs.
    pub coverage_gpu: Option<f64>,
    /// Share of the time in which the last day's coverage was further from `level` than chance explains.
    pub alarm_time: f64,
    /// Share of the time in which a constant would have been the better forecast of the last week.
    pub no_skill_time: f64,
}

impl EngineReport {
    /// Nothing was done about the pool.
    pub fn of(pool: &str) -> Self {
        Self {
            pool: pool.to_owned(),
            active: Vec::new(),
            limits_bound: BTreeMap::new(),
            ledger: LedgerReport::default(),
            promised: None,
        }
    }
}

/// The account of speculation, in node-hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LedgerReport {
    /// Earned from the nodes a reactive controller would have had.
    pub earned_node_hours: f64,
    /// Spent on nodes kept ahead of demand.
    pub spent_node_hours: f64,
    /// What is left to spend.
    pub credit_node_hours: f64,
    /// Node-hours a reactive controller would have had.
    pub shadow_node_hours: f64,
}

/// What no policy can beat.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Bounds {
    /// Fewest node-hours without any waiting, fragmentation ignored.
    pub node_hours_lower: f64,
}

/// The policies against what really happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PastReport {
    /// Days that were scored.
    pub days: u64,
    /// Money for a GPU-hour.
    pub gpu_hour_price: Option<f64>,
    /// What each policy would have saved, in the order asked for.
    pub savings: Vec<SavingReport>,
    /// What MachineDeployments were asked for in the whole time; empty where no metric tells.
    pub asked_for: Vec<AskedForReport>,
    /// A `GpuPool` for each pool, as YAML.
    pub settings: Vec<String>,
}

/// What a MachineDeployment was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AskedForReport {
    /// Its name, after that of its cluster if that is known.
    pub machine_deployment: String,
    /// The pool of its nodes.
    pub pool: String,
    /// Fewest nodes at one time.
    pub least_nodes: u32,
    /// Most nodes at one time.
    pub most_nodes: u32,
    /// By how many nodes it was raised, together.
    pub raised_by_nodes: u64,
    /// Nodes asked for, over time: what is paid for if a node is paid for from its request.
    pub node_hours: f64,
}

/// What a policy would have saved against what really happened; below zero: cost more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SavingReport {
    /// Its name.
    pub policy: String,
    /// What a waiting GPU-hour is worth in `worth_gpu_hours`.
    pub kappa: f64,
    /// GPU-hours of nodes, idle or not.
    pub gpu_hours: Interval,
    /// GPU-hours waited for.
    pub waiting_gpu_hours: Interval,
    /// Both: GPU-hours + kappa x waiting GPU-hours.
    pub worth_gpu_hours: Interval,
    /// The GPU-hours of nodes in money.
    pub money: Option<Interval>,
}

/// A figure and the interval in which 90 % of its resampled values lie; null with too few days.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The figure.
    pub mid: f64,
    /// 5 % lie below.
    pub low: Option<f64>,
    /// 5 % lie above.
    pub high: Option<f64>,
}

impl Interval {
    /// In another unit.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        let scaled = |end: Option<f64>| end.map(|end| end * factor);
        Self { mid: self.mid * factor, low: scaled(self.low), high: scaled(self.high) }
    }
}
