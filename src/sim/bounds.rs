//! The fewest node-hours with which no job would ever wait, fragmentation ignored.
//!
//! With demand `D(t)` of jobs that start at once and `G` GPUs a node, `N(t) = ceil(D(t) / G)` nodes
//! are needed. Level `k` is busy while `N(t) >= k`. Whoever knows the future keeps a node through a gap
//! `g` of its level if that is cheaper than to boot it anew: with `beta` = billed boot time,
//! `LB = integral N + sum over levels (beta + sum over gaps min(g, beta))`. Levels are independent
//! because the last node in is the first out, so the bound is exact for demand that can be split at
//! will. O(n log n) for the sort; each level's rise and fall is then looked at once.
//!
//! In a scored window the first rise of a level costs at most the time since the window's start (the
//! boot may lie before it), and what follows the last fall costs nothing.
//!
//! # Source
//! Single-machine ski rental by levels: Lin, Wierman, Andrew, Thereska, "Dynamic right-sizing for
//! power-proportional data centers", INFOCOM 2011.

use crate::{
    model::{Job, Shape, Trace},
    packing::split,
    time::{Millis, Timestamp},
    units::node_hours,
    world::Setup,
};

/// Fewest node-hours in the scored window for demand that never waits.
///
/// With several pools: jobs that only one pool can run are bounded there; all jobs together are
/// bounded on the largest nodes with the shortest lead time; the larger of the two holds.
pub fn node_hours_lower(trace: &Trace, setup: &Setup) -> f64 {
    let pools = &setup.pools;
    let homes: Vec<Vec<usize>> = trace.shapes.iter().map(|shape| pools_for(shape, setup)).collect();
    let homes_of = |job: &Job| &homes[job.shape.0 as usize];
    let largest = pools.iter().map(|pool| pool.gpus_per_node).max().unwrap_or(1);
    let quickest = pools.iter().map(|pool| pool.lead_time.mean()).min().unwrap_or_default();
    let together = lower_ms(trace, setup, (largest, quickest), |job| !homes_of(job).is_empty());
    if pools.len() == 1 {
        return node_hours(together);
    }
    let exclusive: i128 = (0..pools.len())
        .map(|pool| {
            let only_here = |job: &Job| homes_of(job).as_slice() == [pool];
            let node = (pools[pool].gpus_per_node, pools[pool].lead_time.mean());
            lower_ms(trace, setup, node, only_here)
        })
        .sum();
    node_hours(exclusive.max(together))
}

fn pools_for(shape: &Shape, setup: &Setup) -> Vec<usize> {
    (0..setup.pools.len()).filter(|&pool| split(shape, &setup.pools[pool]).is_some()).collect()
}

/// The bound in node-milliseconds for the jobs that `takes` accepts on nodes of `(GPUs, boot time)`.
fn lower_ms(
    trace: &Trace,
    setup: &Setup,
    (gpus, boot): (u32, Millis),
    takes: impl Fn(&Job) -> bool,
) -> i128 {
    let jobs = || {
        let in_time = trace.jobs.iter().filter(|job| job.submit < setup.end && takes(job));
        in_time.map(|job| (job, trace.shape(job).demand_milli() as i64))
    };
    // Submits are in order already; only the ends need sorting.
    let mut ends: Vec<(Timestamp, i64)> =
        jobs().map(|(job, demand)| (job.submit + job.duration, demand)).collect();
    ends.sort_unstable();
    let mut submits = jobs().map(|(job, demand)| (job.submit, demand)).peekable();
    let mut ends = ends.into_iter().peekable();
    let mut levels = Levels::new(setup.score_from, setup.end, boot);
    let node_milli = i64::from(gpus) * 1000;
    let mut demand = 0;
    while let Some(&(next_end, _)) = ends.peek() {
        let at = submits.peek().map_or(next_end, |&(submit, _)| submit.min(next_end));
        while let Some((_, more)) = submits.next_if(|&(submit, _)| submit <= at) {
            demand += more;
        }
        while let Some((_, less)) = ends.next_if(|&(end, _)| end <= at) {
            demand -= less;
        }
        levels.go_to(at, ((demand + node_milli - 1) / node_milli) as usize);
    }
    levels.finish()
}

/// Levels that rise and fall, last in first out.
struct Levels {
    from: Timestamp,
    until: Timestamp,
    boot: Millis,
    now: Timestamp,
    /// When each level was last left; before that, the start of the window. The first `busy` are busy.
    left_at: Vec<Timestamp>,
    busy: usize,
    cost_ms: i128,
}

impl Levels {
    fn new(from: Timestamp, until: Timestamp, boot: Millis) -> Self {
        Self { from, until, boot, now: from, left_at: Vec::new(), busy: 0, cost_ms: 0 }
    }

    fn go_to(&mut self, at: Timestamp, busy: usize) {
        let at = at.min(self.until);
        self.pass_time(at);
        while self.busy < busy && at < self.until {
            self.rise(at);
        }
        while self.busy > busy {
            self.busy -= 1;
            self.left_at[self.busy] = at.max(self.from);
        }
    }

    fn pass_time(&mut self, at: Timestamp) {
        if at > self.now {
            self.cost_ms += self.busy as i128 * i128::from((at - self.now).0);
            self.now = at;
        }
    }

    /// The next level becomes busy: its node was kept since it was left, or boots just in time.
    fn rise(&mut self, at: Timestamp) {
        if self.busy == self.left_at.len() {
            self.left_at.push(self.from);
        }
        if at > self.from {
            let gap = at - self.left_at[self.busy];
            self.cost_ms += i128::from(gap.min(self.boot).0);
        }
        self.busy += 1;
    }

    fn finish(mut self) -> i128 {
        self.pass_time(self.until);
        self.cost_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GangId, KindId, Pool, StageTime, TraceBuilder};

    const BOOT: i64 = 540;

    fn bound(score_from: i64, end: i64, jobs: &[(i64, i64, u32)]) -> f64 {
        bound_with_boot(score_from, end, jobs, BOOT)
    }

    fn bound_with_boot(score_from: i64, end: i64, jobs: &[(i64, i64, u32)], boot: i64) -> f64 {
        let mut builder = TraceBuilder::new();
        for &(submit, duration, gpus) in jobs {
            let job = Job {
                submit: Timestamp::from_secs(submit),
                duration: Millis::from_secs(duration),
                shape: builder.shape(&Shape::whole_gpus(gpus)),
                owner: builder.owner(""),
                gang: GangId::NONE,
                kind: KindId::NONE,
            };
            builder.push(job);
        }
        let mut pool = Pool::new("p", 8);
        pool.lead_time.provisioning = StageTime::fixed(Millis::from_secs(boot));
        pool.lead_time.warm_up = StageTime::fixed(Millis::ZERO);
        let setup = Setup {
            pools: vec![pool],
            placement: crate::world::Placement::BestFit,
            decision_every: Setup::DECISION_EVERY,
            seed: 1,
            end: Timestamp::from_secs(end),
            score_from: Timestamp::from_secs(score_from),
            series_bin: None,
        };
        node_hours_lower(&builder.build(), &setup) * 3600.0
    }

    fn assert_secs(found: f64, expected: i64) {
        assert!((found - expected as f64).abs() < 1e-6, "{found} s, expected {expected} s");
    }

    #[test]
    fn one_job_costs_its_run_time_and_one_boot() {
        assert_secs(bound(0, 10_000, &[(1000, 600, 8)]), BOOT + 600);
        // 9 GPUs need two nodes.
        assert_secs(bound(0, 10_000, &[(1000, 600, 9)]), 2 * (BOOT + 600));
    }

    #[test]
    fn a_short_gap_is_kept_and_a_long_one_is_booted_anew() {
        assert_secs(bound(0, 10_000, &[(1000, 600, 8), (1700, 600, 8)]), BOOT + 1200 + 100);
        assert_secs(bound(0, 10_000, &[(1000, 600, 8), (5000, 600, 8)]), 2 * BOOT + 1200);
    }

    #[test]
    fn the_window_cuts_both_ends() {
        // Busy at the start: no boot. Busy past the end: cut.
        assert_secs(bound(1000, 2000, &[(500, 5000, 8)]), 1000);
        // A rise soon after the start has booted partly before it.
        assert_secs(bound(1000, 3000, &[(1100, 200, 8)]), 100 + 200);
        // Ended before the window.
        assert_secs(bound(1000, 3000, &[(0, 999, 8)]), 0);
        // Ended before, kept through the start of the window: only the gap within counts.
        assert_secs(bound(1000, 3000, &[(0, 900, 8), (1050, 100, 8)]), 50 + 100);
    }

    #[test]
    fn a_job_that_follows_at_once_is_no_gap() {
        assert_secs(bound(0, 10_000, &[(1000, 600, 8), (1600, 600, 8)]), BOOT + 1200);
    }

    /// The cheapest of all ways to switch nodes on and off second by second so that none is missing:
    /// `best[x]` is the least paid so far with `x` nodes on. A node that comes on pays the part of its
    /// boot that lies in the window.
    fn cheapest_schedule(score_from: i64, end: i64, jobs: &[(i64, i64, u32)], boot: i64) -> i64 {
        let needed = |t: i64| {
            let runs =
                jobs.iter().filter(|&&(submit, length, _)| (submit..submit + length).contains(&t));
            runs.map(|&(.., gpus)| gpus).sum::<u32>().div_ceil(8) as usize
        };
        let most = jobs.iter().map(|&(.., gpus)| gpus).sum::<u32>().div_ceil(8) as usize;
        let mut best = vec![0; most + 1];
        for t in score_from..end {
            let price = boot.min(t - score_from);
            let least_to = |to: usize| {
                (0..=most)
                    .map(|from| best[from] + to.saturating_sub(from) as i64 * price)
                    .min()
                    .unwrap()
            };
            best = (0..=most)
                .map(|on| if on < needed(t) { i64::MAX / 4 } else { least_to(on) + on as i64 })
                .collect();
        }
        best.into_iter().min().unwrap()
    }

    proptest::proptest! {
        #[test]
        fn no_schedule_of_nodes_is_cheaper_and_one_costs_just_that(
            jobs in proptest::collection::vec((0i64..40, 1i64..20, 1u32..20), 1..6),
            from in 0i64..20, length in 1i64..50, boot in 0i64..12,
        ) {
            let end = from + length;
            let found = bound_with_boot(from, end, &jobs, boot);
            assert_secs(found, cheapest_schedule(from, end, &jobs, boot));
        }
    }
}
