//! The figures of a report, recomputed by a few independent lines from nothing but the starts of jobs
//! and the lives of nodes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use prewarm::{
    model::{Pool, Trace},
    sim::{
        compare::{Comparison, compare},
        policy::PolicySpec,
    },
    strategy::{Reactive, Strategy},
    time::{Millis, Timestamp},
    world::{self, Outcome, Setup},
};
use support::{job, setup, trace};

/// Bursts of different sizes, some still running at the end, some never started.
fn demand() -> Trace {
    let mut rows =
        vec![job(0, 7_000, 3).preexisting(), job(35_900, 60, 8), job(30_000, 90_000, 12)];
    for burst in 0..60 {
        for member in 0..=burst % 4 {
            rows.push(job(burst * 590 + member, 100 + burst * 67 % 3_000, 1 << (burst % 4)));
        }
    }
    trace(&rows)
}

fn world() -> Setup {
    let pool = Pool { max_nodes: Some(6), price: 2.5, ..Pool::new("default", 8) };
    Setup { pools: vec![pool], score_from: Timestamp::from_secs(9_000), ..setup() }
}

fn run_reactive(trace: &Trace, setup: &Setup) -> Outcome {
    let mut strategies: Vec<Box<dyn Strategy>> =
        vec![Box::new(Reactive::new(Millis::from_mins(10)))];
    world::run(trace, setup, &mut strategies, &|_| true)
}

#[test]
fn the_report_says_what_the_run_did() {
    let (trace, setup) = (demand(), world());
    let policies = PolicySpec::list("reactive,watermark:0.5,clairvoyant").unwrap();
    let comparison = Comparison {
        name: "x",
        trace: &trace,
        setup: &setup,
        policies: &policies,
        decisions: None,
        signals: &[],
        past: None,
    };
    let (report, _) = compare(&comparison, &());
    let reported = &report.policies[0];
    let outcome = run_reactive(&trace, &setup);

    let (from, end) = (9_000.0, 36_000.0);
    let clip = |from_at: Timestamp, to_at: Timestamp| {
        (to_at.as_secs_f64().min(end) - from_at.as_secs_f64().max(from)).max(0.0) / 3600.0
    };
    let node_hours: f64 = outcome.nodes.iter().map(|n| clip(n.requested, n.gone)).sum();
    let ready_hours: f64 = outcome.nodes.iter().map(|n| clip(n.usable, n.gone)).sum();
    let (mut waits, mut waiting, mut busy) = (Vec::new(), 0.0, 0.0);
    let (mut unstarted, mut unfinished) = (0, 0);
    for (job, start) in trace.jobs.iter().zip(&outcome.starts) {
        let gpus = trace.shape(job).demand_milli() as f64 / 1000.0;
        busy += gpus * clip(*start, *start + job.duration);
        unstarted += u64::from(start.as_secs_f64() >= end);
        unfinished += u64::from((*start + job.duration).as_secs_f64() > end);
        if !job.is_preexisting() && job.submit.as_secs_f64() >= from {
            let wait = start.as_secs_f64().min(end) - job.submit.as_secs_f64();
            waiting += gpus * wait / 3600.0;
            waits.push(wait);
        }
    }
    waits.sort_by(f64::total_cmp);
    let near = |found: f64, expected: f64| {
        assert!((found - expected).abs() <= 1e-9 * expected.max(1.0), "{found}, not {expected}");
    };
    assert!(unstarted > 0 && unfinished > unstarted && waiting > 10.0, "the demand tests nothing");
    near(reported.node_hours, node_hours);
    near(reported.ready_node_hours, ready_hours);
    near(reported.busy_gpu_hours, busy);
    near(reported.idle_gpu_hours, 8.0 * ready_hours - busy);
    near(reported.waiting_gpu_hours, waiting);
    near(reported.wait_seconds.mean, waits.iter().sum::<f64>() / waits.len() as f64);
    near(reported.wait_seconds.max, waits[waits.len() - 1]);
    let rank = (0.95 * waits.len() as f64).ceil() as usize;
    near(reported.wait_seconds.p95, waits[rank - 1]);
    assert_eq!((reported.unstarted_jobs, reported.unfinished_jobs), (unstarted, unfinished));
    assert_eq!(reported.jobs_waiting_over_60s, waits.iter().filter(|&&w| w > 60.0).count() as u64);
    near(reported.cost.k5, 2.5 * node_hours + 5.0 * waiting / 8.0);
    near(reported.cost.k100, 2.5 * node_hours + 100.0 * waiting / 8.0);
    near(reported.waiting_by_cause.values().sum(), waiting);
}

#[test]
fn the_gap_is_measured_between_the_references() {
    let (trace, setup) = (demand(), Setup { pools: vec![Pool::new("p", 8)], ..world() });
    let policies = PolicySpec::list("watermark:0.5,reactive,clairvoyant").unwrap();
    let comparison = Comparison {
        name: "x",
        trace: &trace,
        setup: &setup,
        policies: &policies,
        decisions: None,
        signals: &[],
        past: None,
    };
    let (report, _) = compare(&comparison, &());
    let [watermark, reactive, clairvoyant] = [0, 1, 2].map(|place| &report.policies[place]);
    let gap = reactive.cost.k20 - clairvoyant.cost.k20;
    assert!(gap > 0.02 * reactive.cost.k20, "the demand has no gap to close");
    let expected = (reactive.cost.k20 - watermark.cost.k20) / gap;
    assert!((watermark.gap_closed.k20.unwrap() - expected).abs() < 1e-12);
    assert_eq!(reactive.gap_closed.k20, Some(0.0));
    assert_eq!(clairvoyant.gap_closed.k20, Some(1.0));
    assert!(report.bounds.node_hours_lower <= clairvoyant.node_hours);
}
