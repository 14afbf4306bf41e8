//! The figures of one run in its scored window.
//!
//! The window reaches from `score_from` to the end of the run. Node-hours are billed time within it;
//! waiting is that of the jobs submitted within it, from submit to start or, if they never start, to
//! the end. Preexisting jobs are initial state: they keep nodes busy and do not wait, unless there was
//! no place for them at second 0. Nothing is dropped: a job no pool can run waits to the end.

use crate::{
    model::{Pool, Trace},
    time::{Millis, Timestamp},
    units::{gpu_hours, node_hours},
    world::{NodeLife, Outcome, Setup},
};

/// A waiting GPU-hour costs this many GPU-hours.
pub const KAPPAS: [f64; 3] = [5.0, 20.0, 100.0];

/// Jobs that waited longer than this are counted.
const NOTICEABLE_WAIT: Millis = Millis::from_secs(60);

/// What one run amounts to.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Billed node-hours.
    pub node_hours: f64,
    /// Billed node-hours times price.
    pub node_cost: f64,
    /// Node-hours with usable GPUs.
    pub ready_node_hours: f64,
    /// GPU-hours in use.
    pub busy_gpu_hours: f64,
    /// GPU-hours usable and not in use.
    pub idle_gpu_hours: f64,
    /// GPU-hours waited for.
    pub waiting_gpu_hours: f64,
    /// Waiting times of the scored jobs in milliseconds, ascending.
    pub waits_ms: Vec<i64>,
    /// Scored jobs that waited more than a minute.
    pub jobs_waiting_over_60s: u64,
    /// Nodes requested in the whole run, the time before the window included.
    pub node_starts: u64,
    /// Of those, gone by the end without ever having run anything.
    pub wasted_starts: u64,
    /// Nodes requested in the window.
    pub scored_node_starts: u64,
    /// Jobs submitted and not finished by the end.
    pub unfinished_jobs: u64,
    /// Of those, not even started.
    pub unstarted_jobs: u64,
    /// GPUs per node of the first pool, which turns waiting GPU-hours into node-hours.
    pub gpus_per_node: u32,
}

impl Score {
    /// `J = price * node_hours + kappa * waiting_gpu_hours / gpus_per_node`.
    pub fn cost(&self, kappa: f64) -> f64 {
        self.node_cost + kappa * self.waiting_gpu_hours / f64::from(self.gpus_per_node)
    }
}

/// A span of time that is scored.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Timestamp,
    until: Timestamp,
}

impl Window {
    /// The part of `[from, until)` that lies within.
    fn overlap(&self, from: Timestamp, until: Timestamp) -> Millis {
        let overlap = until.min(self.until) - from.max(self.from);
        overlap.max(Millis::ZERO)
    }
}

/// Scores a run.
pub fn score(trace: &Trace, setup: &Setup, outcome: &Outcome) -> Score {
    let window = Window { from: setup.score_from, until: outcome.ended_at };
    let nodes = score_nodes(&setup.pools, &outcome.nodes, window);
    let jobs = score_jobs(trace, outcome, window);
    Score {
        node_hours: node_hours(nodes.billed_ms),
        node_cost: nodes.cost,
        ready_node_hours: node_hours(nodes.usable_ms),
        busy_gpu_hours: gpu_hours(jobs.busy),
        idle_gpu_hours: gpu_hours(nodes.usable_milli_ms - jobs.busy),
        waiting_gpu_hours: gpu_hours(jobs.waiting),
        jobs_waiting_over_60s: jobs.waits_ms.iter().filter(|&&ms| ms > NOTICEABLE_WAIT.0).count()
            as u64,
        waits_ms: jobs.waits_ms,
        node_starts: nodes.starts,
        wasted_starts: nodes.wasted,
        scored_node_starts: nodes.scored_starts,
        unfinished_jobs: jobs.unfinished,
        unstarted_jobs: jobs.unstarted,
        gpus_per_node: setup.pools.first().map_or(1, |pool| pool.gpus_per_node),
    }
}

#[derive(Default)]
struct NodeSums {
    billed_ms: i128,
    usable_ms: i128,
    usable_milli_ms: i128,
    cost: f64,
    starts: u64,
    wasted: u64,
    scored_starts: u64,
}

fn score_nodes(pools: &[Pool], nodes: &[NodeLife], window: Window) -> NodeSums {
    let mut sums = NodeSums::default();
    let mut billed_by_pool = vec![0i128; pools.len()];
    for node in nodes {
        let pool = node.pool as usize;
        let billed = i128::from(window.overlap(node.requested, node.gone).0);
        let usable = i128::from(window.overlap(node.usable, node.drained.min(node.gone)).0);
        billed_by_pool[pool] += billed;
        sums.billed_ms += billed;
        sums.usable_ms += usable;
        sums.usable_milli_ms += usable * i128::from(pools[pool].gpus_per_node) * 1000;
        if was_requested(node) {
            sums.starts += 1;
            sums.wasted += u64::from(!node.used && node.gone <= window.until);
            sums.scored_starts += u64::from(node.requested >= window.from);
        }
    }
    let cost = |(pool, &billed): (&Pool, &i128)| pool.price * node_hours(billed);
    sums.cost = pools.iter().zip(&billed_by_pool).map(cost).sum();
    sums
}

/// Nodes of second 0 that were usable at once were there already; nobody asked for them.
fn was_requested(node: &NodeLife) -> bool {
    !(node.requested == Timestamp::ZERO && node.usable == Timestamp::ZERO)
}

#[derive(Default)]
struct JobSums {
    busy: i128,
    waiting: i128,
    waits_ms: Vec<i64>,
    unfinished: u64,
    unstarted: u64,
}

fn score_jobs(trace: &Trace, outcome: &Outcome, window: Window) -> JobSums {
    let mut sums = JobSums::default();
    for (job, &start) in trace.jobs.iter().zip(&outcome.starts) {
        if job.submit >= window.until {
            continue;
        }
        let demand = i128::from(trace.shape(job).demand_milli());
        let end = start + job.duration;
        sums.busy += demand * i128::from(window.overlap(start, end).0);
        sums.unfinished += u64::from(end > window.until);
        sums.unstarted += u64::from(start >= window.until);
        let ran_already = job.is_preexisting() && start == Timestamp::ZERO;
        if job.submit >= window.from && !ran_already {
            let wait = start.min(window.until) - job.submit;
            sums.waiting += demand * i128::from(wait.0);
            sums.waits_ms.push(wait.0);
        }
    }
    sums.waits_ms.sort_unstable();
    sums
}

/// The smallest of the sorted values that at least a share `q` of them does not exceed; 0 if there
/// are none.
///
/// # Source
/// Nearest rank (Hyndman and Fan 1996, definition 1).
pub fn quantile_ms(sorted: &[i64], q: f64) -> i64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

/// `(J_reactive - J) / (J_reactive - J_clairvoyant)`, `None` if the gap is under 2 % of `J_reactive`.
pub fn gap_closed(cost: f64, reactive: f64, clairvoyant: f64) -> Option<f64> {
    let gap = reactive - clairvoyant;
    (gap >= 0.02 * reactive && gap > 0.0).then(|| (reactive - cost) / gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_rank() {
        let waits = [10, 20, 30, 40];
        assert_eq!(
            [0.0, 0.25, 0.5, 0.51, 1.0].map(|q| quantile_ms(&waits, q)),
            [10, 10, 20, 30, 40]
        );
        assert_eq!(quantile_ms(&[], 0.5), 0);
    }

    #[test]
    fn a_small_gap_is_not_divided_by() {
        assert_eq!(gap_closed(90.0, 100.0, 80.0), Some(0.5));
        assert_eq!(gap_closed(99.0, 100.0, 98.5), None);
        assert_eq!(gap_closed(0.0, 0.0, 0.0), None);
    }
}
