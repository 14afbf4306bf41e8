//! Invented results of a plausible shape and size, for the tests of this folder. Nothing here was
//! simulated.

use super::{
    ActiveStrategy, Bounds, ByKappa, EngineReport, LedgerReport, PolicyPictures, PolicyReport,
    PoolSummary, Report, SettingsSummary, TraceSummary, WaitSeconds,
};
use crate::{time::Millis, world::Series};
use std::collections::BTreeMap;

/// Name, thousands of node-hours, mean wait in seconds, node starts.
const POLICIES: [(&str, f64, f64, u64); 13] = [
    ("reactive", 84.0, 103.0, 2907),
    ("cluster-autoscaler", 84.4, 139.0, 2850),
    ("reactive-overcreate", 86.1, 101.0, 4540),
    ("headroom:8", 85.4, 71.0, 2961),
    ("headroom:32", 88.1, 44.0, 2934),
    ("watermark:0.1", 86.6, 58.0, 2880),
    ("watermark:0.2", 89.6, 22.0, 2811),
    ("watermark:0.2,idle=30m", 91.2, 19.5, 2105),
    ("hysteresis", 90.4, 61.0, 1620),
    ("hourly-profile", 97.8, 49.0, 2433),
    ("ces", 88.8, 52.0, 2702),
    ("dsp", 93.1, 38.0, 2398),
    ("clairvoyant", 83.9, 1.5, 2860),
];

/// Twelve policies and the reference over 52 days.
pub(super) fn report() -> Report {
    Report {
        schema: "prewarm.report/v1",
        scenario: "philly_d00_52.csv.gz".to_owned(),
        trace: TraceSummary {
            jobs: 65_712,
            gpu_jobs: 64_483,
            span_hours: 1248.0,
            skipped: BTreeMap::from([("no_gpu", 1204), ("zero_duration", 25)]),
            adjusted: BTreeMap::from([("end_of_recording", 31)]),
        },
        settings: SettingsSummary {
            gpus_per_node: 8,
            lead_time_seconds: 540.0,
            score_from_hours: 240.0,
            seed: 1,
            placement: "best-fit".to_owned(),
            decision_seconds: 10.0,
            pools: vec![PoolSummary {
                name: "gpu".to_owned(),
                gpus_per_node: 8,
                gpu_model: String::new(),
                price: 1.0,
                min_nodes: 0,
                max_nodes: None,
                provisioning_seconds: 300.0,
                warm_up_seconds: 240.0,
            }],
        },
        caveats: vec!["3 jobs fit no pool and wait to the end.".to_owned()],
        policies: POLICIES.iter().map(policy).collect(),
        bounds: Bounds { node_hours_lower: 73_900.0 },
        past: None,
        partial: false,
    }
}

/// Nothing read, nothing run.
pub(super) fn empty_report() -> Report {
    let full = report();
    Report {
        trace: TraceSummary {
            jobs: 0,
            gpu_jobs: 0,
            span_hours: 0.0,
            skipped: BTreeMap::new(),
            adjusted: BTreeMap::new(),
        },
        settings: SettingsSummary { pools: Vec::new(), ..full.settings },
        caveats: Vec::new(),
        policies: Vec::new(),
        bounds: Bounds { node_hours_lower: 0.0 },
        ..full
    }
}

/// With an adaptive policy and the best in hindsight before the reference.
pub(super) fn with_engine() -> Report {
    let mut report = report();
    let mut adaptive = report.policies[0].clone();
    adaptive.name = "adaptive@20".to_owned();
    adaptive.cost.k20 = 900.0;
    adaptive.gap_closed.k20 = Some(0.4);
    let active = |from_hours: f64, strategy: &str| ActiveStrategy {
        from_hours,
        strategy: strategy.to_owned(),
    };
    let bound = [("the credit for nodes ahead of demand", 1200), ("the step limit", 3)];
    adaptive.engine = vec![EngineReport {
        pool: "gpu".to_owned(),
        active: vec![active(0.0, "reactive,idle=5m"), active(36.0, "watermark:0.1,idle=10m")],
        limits_bound: bound.map(|(limit, times)| (limit.to_owned(), times)).into(),
        ledger: LedgerReport {
            earned_node_hours: 30.0,
            spent_node_hours: 33.0,
            credit_node_hours: 5.0,
            shadow_node_hours: 200.0,
        },
        promised: None,
    }];
    let mut best = report.policies[0].clone();
    best.name = "best-fixed@100".to_owned();
    best.engine = vec![EngineReport {
        active: vec![active(0.0, "headroom:2nodes")],
        ..EngineReport::of("gpu")
    }];
    let end = report.policies.len() - 1;
    report.policies.splice(end..end, [adaptive, best]);
    report
}

fn policy(&(name, thousands, mean, starts): &(&str, f64, f64, u64)) -> PolicyReport {
    let node_hours = thousands * 1000.0;
    let waiting = mean * 41.0;
    let cost = |kappa: f64, node_hours: f64, waiting: f64| node_hours + kappa * waiting / 8.0;
    let gap = |kappa: f64| {
        let [reactive, ideal] =
            [(84_000.0, 4223.0), (83_900.0, 61.5)].map(|(n, w)| cost(kappa, n, w));
        Some((reactive - cost(kappa, node_hours, waiting)) / (reactive - ideal))
    };
    let busy = 425.0 * 1008.0;
    PolicyReport {
        name: name.to_owned(),
        node_hours,
        ready_node_hours: node_hours - starts as f64 * 0.15,
        busy_gpu_hours: busy,
        idle_gpu_hours: (node_hours - starts as f64 * 0.15) * 8.0 - busy,
        waiting_gpu_hours: waiting,
        wait_seconds: WaitSeconds {
            mean,
            p50: 0.0,
            p95: (mean * 5.1).min(544.0),
            p99: 540.0 + mean,
            max: 3600.0 + mean * 10.0,
        },
        jobs_waiting_over_60s: (mean * 88.0) as u64,
        node_starts: starts,
        wasted_starts: starts / 40,
        scored_node_starts: starts / 40,
        unfinished_jobs: 214,
        unstarted_jobs: 0,
        scored_jobs: 51_332,
        cost: ByKappa {
            k5: cost(5.0, node_hours, waiting),
            k20: cost(20.0, node_hours, waiting),
            k100: cost(100.0, node_hours, waiting),
        },
        gap_closed: ByKappa { k5: None, k20: gap(20.0), k100: gap(100.0) },
        waiting_by_cause: BTreeMap::from([
            ("lead", waiting * 0.81),
            ("fragmentation", waiting * 0.12),
            ("max", 0.0),
            ("stock_out", waiting * 0.01),
            ("undecided", waiting * 0.06),
            ("unplaceable", 0.0),
        ]),
        refused_requests: 0,
        engine: Vec::new(),
        until_hours: None,
    }
}

/// What the pictures need, with this many bins over the 52 days and this many waits a policy.
pub(super) fn pictures(report: &Report, bins: usize, waits: usize) -> Vec<PolicyPictures> {
    let demand = demand(bins);
    let of = |(at, policy): (usize, &PolicyReport)| PolicyPictures {
        name: policy.name.clone(),
        series: series(&demand, policy.wait_seconds.mean / 103.0, at),
        waits_ms: wait_times(waits, policy.wait_seconds.mean),
    };
    report.policies.iter().enumerate().map(of).collect()
}

fn demand(bins: usize) -> Vec<f32> {
    let mut random = Random(7);
    let mut burst = 0.0_f32;
    (0..bins)
        .map(|bin| {
            let day = bin as f32 / bins as f32 * 52.0;
            let rhythm = 420.0
                + 90.0 * (day * std::f32::consts::TAU).sin()
                + 60.0 * (day / 7.0 * std::f32::consts::TAU).cos();
            if random.next() < 0.02 {
                burst += 30.0 + 160.0 * random.next();
            }
            burst *= 0.985;
            rhythm + burst + 12.0 * random.next()
        })
        .collect()
}

fn series(demand: &[f32], slowness: f64, seed: usize) -> Series {
    let mut random = Random(seed as u64 + 11);
    let mut series = Series {
        bin: Millis(52 * 86_400_000 / demand.len().max(1) as i64),
        demand_gpus: demand.to_vec(),
        ..Series::default()
    };
    let mut usable = 430.0_f32;
    for &wanted in demand {
        let missing = (wanted - usable).max(0.0);
        series.warming_gpus.push(missing * 0.8 + 8.0 * random.next().round());
        series.waiting_gpus.push(missing * slowness as f32);
        series.usable_gpus.push(usable);
        usable += missing * 0.7 - (usable - wanted - 24.0).max(0.0) * 0.05;
    }
    series
}

fn wait_times(jobs: usize, mean: f64) -> Vec<i64> {
    let mut random = Random(mean as u64 + 3);
    let mut waits: Vec<i64> = (0..jobs)
        .map(|_| {
            let chance = f64::from(random.next());
            let share_waiting = mean / 320.0;
            if chance > share_waiting {
                0
            } else {
                (540_000.0 * (1.0 - (chance / share_waiting).powi(3))) as i64
            }
        })
        .collect();
    waits.extend((0..jobs / 500).map(|n| 600_000 + n as i64 * 40_000));
    waits.sort_unstable();
    waits
}

/// A small generator of numbers in 0..1 (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }
}
