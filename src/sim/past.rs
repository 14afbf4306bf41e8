//! Policies against what really happened: the row of the past, what each policy would have saved, how sure
//! that is, and the settings to begin with.
//!
//! Savings are taken day by day; resampling whole days (a block bootstrap) keeps what belongs together within a
//! day together. The interval is about the days that were seen: it says nothing of what the simulation leaves
//! out.
//!
//! # Source
//! Künsch 1989, "The jackknife and the bootstrap for general stationary observations" (blocks).

use super::{
    report::{
        AskedForReport, ByKappa, Interval, PastReport, PolicyReport, SavingReport, WaitSeconds,
    },
    yardstick::quantile_ms,
};
use crate::{
    history::{Actual, AskedFor, Day},
    model::{Pool, Trace},
    time::{Millis, Timestamp},
    units::{gpu_hours, node_hours},
    world::{Outcome, Setup},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::collections::BTreeMap;

/// Name of the row of the past.
pub(super) const ACTUAL: &str = "actual";
/// What a waiting GPU-hour is worth in GPU-hours, for policies that do not say it themselves.
const KAPPA: f64 = 20.0;
/// Samples of the bootstrap.
const SAMPLES: usize = 2000;
/// Share of them that an interval holds.
const LEVEL: f64 = 0.9;
/// With fewer days an interval would pretend.
const FEWEST_DAYS: usize = 5;
const DAY: Millis = Millis::from_hours(24);

/// What really happened in the scored window, and what a GPU-hour costs.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// From `score_from` to the end of the run.
    pub actual: &'a Actual,
    /// Money for a GPU-hour, if that is known.
    pub gpu_hour_price: Option<f64>,
    /// What MachineDeployments were asked for, pools by their place.
    pub asked_for: &'a [AskedFor],
}

/// What each day of a run cost; adds up to the run's score.
pub(super) fn days(trace: &Trace, setup: &Setup, outcome: &Outcome) -> Vec<Day> {
    let (from, until) = (setup.score_from, outcome.ended_at);
    let count = (setup.end.0 - 1).div_euclid(DAY.0) + 1;
    let mut days = vec![Day::default(); count.max(0) as usize];
    for node in &outcome.nodes {
        let gpus = f64::from(setup.pools[node.pool as usize].gpus_per_node);
        let (begin, end) = (node.requested.max(from), node.gone.min(until));
        let first = begin.0.div_euclid(DAY.0).max(0) as usize;
        for (at, day) in days.iter_mut().enumerate().skip(first) {
            let midnight = Timestamp(at as i64 * DAY.0);
            if midnight >= end {
                break;
            }
            let span = end.min(midnight + DAY) - begin.max(midnight);
            day.gpu_hours += node_hours(i128::from(span.0.max(0))) * gpus;
        }
    }
    for (job, &start) in trace.jobs.iter().zip(&outcome.starts) {
        let ran_already = job.is_preexisting() && start == Timestamp::ZERO;
        if job.submit < from || job.submit >= until || ran_already {
            continue;
        }
        let wait = i128::from((start.min(until) - job.submit).0);
        if let Some(day) = days.get_mut(job.submit.0.div_euclid(DAY.0) as usize) {
            day.waiting_gpu_hours += gpu_hours(i128::from(trace.shape(job).demand_milli()) * wait);
        }
    }
    days
}

/// The row of the past. What metrics do not tell (causes of waiting, refusals) is empty.
pub(super) fn actual_row(actual: &Actual, setup: &Setup) -> PolicyReport {
    let waits = &actual.waits_ms;
    let at = |q: f64| quantile_ms(waits, q) as f64 / 1000.0;
    let total: i128 = waits.iter().map(|&ms| i128::from(ms)).sum();
    let gpus = f64::from(setup.pools.first().map_or(1, |pool| pool.gpus_per_node));
    let cost = |kappa: f64| actual.node_hours + kappa * actual.waiting_gpu_hours / gpus;
    PolicyReport {
        name: ACTUAL.to_owned(),
        node_hours: actual.node_hours,
        ready_node_hours: actual.ready_node_hours,
        busy_gpu_hours: actual.busy_gpu_hours,
        idle_gpu_hours: actual.ready_gpu_hours - actual.busy_gpu_hours,
        waiting_gpu_hours: actual.waiting_gpu_hours,
        wait_seconds: WaitSeconds {
            mean: total as f64 / 1000.0 / waits.len().max(1) as f64,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        },
        jobs_waiting_over_60s: waits.iter().filter(|&&ms| ms > 60_000).count() as u64,
        node_starts: actual.node_starts,
        wasted_starts: actual.unused_starts,
        scored_node_starts: actual.late_starts,
        unfinished_jobs: actual.unfinished,
        unstarted_jobs: actual.unstarted,
        scored_jobs: waits.len() as u64,
        cost: ByKappa { k5: cost(5.0), k20: cost(20.0), k100: cost(100.0) },
        gap_closed: ByKappa::default(),
        waiting_by_cause: BTreeMap::new(),
        refused_requests: 0,
        engine: Vec::new(),
        until_hours: None,
    }
}

/// What the policies would have saved. `runs`: name, its own kappa if it has one, and its days.
pub(super) fn report(
    past: &Past<'_>,
    setup: &Setup,
    runs: &[(&str, Option<f64>, &[Day])],
) -> PastReport {
    let first = setup.score_from.0.div_euclid(DAY.0).max(0) as usize;
    let scored = |days: &[Day]| days.get(first..).unwrap_or_default().to_vec();
    let actual = scored(&past.actual.days);
    let saving = |(name, kappa, days): &(&str, Option<f64>, &[Day])| {
        let days: Vec<Day> = actual
            .iter()
            .zip(scored(days))
            .map(|(was, would)| Day {
                gpu_hours: was.gpu_hours - would.gpu_hours,
                waiting_gpu_hours: was.waiting_gpu_hours - would.waiting_gpu_hours,
            })
            .collect();
        let kappa = kappa.unwrap_or(KAPPA);
        let estimate = |of: &dyn Fn(&Day) -> f64| interval(&days, of, setup.seed);
        let gpu_hours = estimate(&|day| day.gpu_hours);
        SavingReport {
            policy: (*name).to_owned(),
            kappa,
            gpu_hours,
            waiting_gpu_hours: estimate(&|day| day.waiting_gpu_hours),
            worth_gpu_hours: estimate(&|day| day.gpu_hours + kappa * day.waiting_gpu_hours),
            money: past.gpu_hour_price.map(|price| gpu_hours.times(price)),
        }
    };
    PastReport {
        days: actual.len() as u64,
        gpu_hour_price: past.gpu_hour_price,
        savings: runs.iter().map(saving).collect(),
        asked_for: past.asked_for.iter().filter_map(|asked| asked_for(asked, setup)).collect(),
        settings: setup.pools.iter().map(pool_to_paste).collect(),
    }
}

fn asked_for(asked: &AskedFor, setup: &Setup) -> Option<AskedForReport> {
    Some(AskedForReport {
        machine_deployment: asked.name.clone(),
        pool: setup.pools.get(asked.pool)?.name.clone(),
        least_nodes: asked.least,
        most_nodes: asked.most,
        raised_by_nodes: asked.raised,
        node_hours: asked.node_hours,
    })
}

/// The sum over days, and where resampled sums lie.
fn interval(days: &[Day], of: &dyn Fn(&Day) -> f64, seed: u64) -> Interval {
    let values: Vec<f64> = days.iter().map(of).collect();
    let mid = values.iter().sum();
    if values.len() < FEWEST_DAYS {
        return Interval { mid, low: None, high: None };
    }
    // The same days for every figure and policy, so that they compare.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(0x7061_7374);
    let n = values.len() as u64;
    let mut draw = || ((u64::from(rng.next_u32()) * n) >> 32) as usize;
    let mut sums: Vec<f64> =
        (0..SAMPLES).map(|_| (0..n).map(|_| values[draw()]).sum::<f64>()).collect();
    sums.sort_by(f64::total_cmp);
    let at = |share: f64| sums[((SAMPLES as f64 * share) as usize).min(SAMPLES - 1)];
    let tail = (1.0 - LEVEL) / 2.0;
    Interval { mid, low: Some(at(tail)), high: Some(at(1.0 - tail)) }
}

/// A `GpuPool` in Shadow with what was learned.
fn pool_to_paste(pool: &Pool) -> String {
    let name: String = pool
        .name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let name = name.trim_matches('-');
    let seconds = |span: Millis| format!("{}s", (span.0 + 500) / 1000);
    let most = pool.max_nodes.map_or_else(String::new, |most| format!("    maxReplicas: {most}\n"));
    format!(
        "apiVersion: prewarm.dev/v1alpha1\n\
         kind: GpuPool\n\
         metadata:\n  name: {}\n\
         spec:\n  \
           mode: Shadow\n  \
           waitingCostRatio: {KAPPA}\n  \
           limits:\n    minReplicas: {}\n{most}  \
           leadTime:\n    provisioning: {}\n    warmUp: {}\n",
        if name.is_empty() { "gpu" } else { name },
        pool.min_nodes,
        seconds(pool.lead_time.provisioning.mean),
        seconds(pool.lead_time.warm_up.mean),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-9, "{found}, but {wanted}");
    }

    fn days(values: &[f64]) -> Vec<Day> {
        values.iter().map(|&gpu_hours| Day { gpu_hours, waiting_gpu_hours: 0.0 }).collect()
    }

    #[test]
    fn an_interval_is_about_the_spread_between_days() {
        let of = |day: &Day| day.gpu_hours;
        let equal = interval(&days(&[3.0; 10]), &of, 1);
        assert_eq!((equal.low, equal.high), (Some(30.0), Some(30.0)));
        same(equal.mid, 30.0);
        // 100 days of 0 or 2: the sum has a standard deviation of 10, so 90 % lie within 16.4 of 100.
        let mixed: Vec<f64> = (0..100).map(|n| f64::from(n % 2) * 2.0).collect();
        let mixed = interval(&days(&mixed), &of, 1);
        same(mixed.mid, 100.0);
        assert!((mixed.low.unwrap() - 83.6).abs() < 3.0, "{mixed:?}");
        assert!((mixed.high.unwrap() - 116.4).abs() < 3.0, "{mixed:?}");
        assert_eq!(interval(&days(&[1.0; 4]), &of, 1).low, None, "too few days");
    }

    #[test]
    fn savings_are_the_past_less_the_policy() {
        let pools = vec![Pool::new("A100 (x)", 8)];
        let setup = Setup {
            pools,
            placement: crate::world::Placement::default(),
            decision_every: Setup::DECISION_EVERY,
            seed: 1,
            end: Timestamp::from_secs(3 * 86_400),
            score_from: Timestamp::from_secs(86_400),
            series_bin: None,
        };
        let actual = Actual { days: days(&[9.0, 10.0, 12.0]), ..Actual::default() };
        let past = Past { actual: &actual, gpu_hour_price: Some(2.0), asked_for: &[] };
        let policy = days(&[0.0, 4.0, 5.0]);
        let report = report(&past, &setup, &[("x", None, &policy)]);
        assert_eq!(report.days, 2);
        same(report.savings[0].gpu_hours.mid, 13.0);
        same(report.savings[0].money.unwrap().mid, 26.0);
        assert!(report.settings[0].contains("name: a100--x"), "{}", report.settings[0]);
    }
}
