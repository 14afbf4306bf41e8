//! What holds for every trace, pool and strategy.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::float_cmp, reason = "sums of integer milliseconds, divided the same way")]

mod support;

use prewarm::{
    model::{Pool, StageTime, Trace},
    sim::{bounds::node_hours_lower, clairvoyant, yardstick::score},
    strategy::{FollowFloor, Reactive, Want},
    time::{Millis, Timestamp},
    units::{gpu_hours, node_hours},
    world::{self, Outcome, Placement, Setup},
};
use proptest::prelude::*;
use support::{Fixed, Row, job, reactive, run, setup, trace};

fn rows(
    gpus: impl Strategy<Value = u32> + 'static,
    most: usize,
) -> impl Strategy<Value = Vec<Row>> {
    let row = (0i64..20_000, 1i64..9_000, gpus)
        .prop_map(|(submit, duration, gpus)| job(submit, duration, gpus));
    prop::collection::vec(row, 1..most)
}

/// Shapes of all kinds: fractions, several nodes, gangs, priorities, some already running.
fn mixed_rows() -> impl Strategy<Value = Vec<Row>> {
    let plain = (0i64..20_000, 1i64..9_000, 1u32..20).prop_map(|(s, d, g)| job(s, d, g));
    let shared =
        (0i64..20_000, 1i64..9_000, 1u16..1000).prop_map(|(s, d, m)| job(s, d, 1).milli(m));
    let urgent =
        (0i64..20_000, 1i64..9_000, 1u32..9).prop_map(|(s, d, g)| job(s, d, g).priority(9));
    let gang = (0i64..20_000, 1i64..9_000, 1u32..9).prop_map(|(s, d, g)| job(s, d, g).gang("g", 3));
    let running = (1i64..9_000, 1u32..9).prop_map(|(d, g)| job(0, d, g).preexisting());
    prop::collection::vec(
        prop_oneof![4 => plain, 3 => shared, 1 => urgent, 1 => gang, 1 => running],
        1..40,
    )
}

fn wants() -> impl Strategy<Value = Fixed> {
    (0u32..6, 0u64..40_000, 0i64..2_000).prop_map(|(floor_nodes, spare_milli, idle)| {
        Fixed(Want { floor_nodes, spare_milli, ..Want::nothing(Millis::from_secs(idle)) })
    })
}

fn worlds() -> impl Strategy<Value = Setup> {
    let faults = (0.0f64..0.5, 0.0f64..0.4, 0i64..300, prop::option::of(1u32..6), any::<u64>());
    (faults, 0..Placement::ALL.len()).prop_map(
        |((cv, failure_rate, drain, max_nodes, seed), placement)| {
            let mut pool = Pool {
                failure_rate,
                max_nodes,
                drain: Millis::from_secs(drain),
                ..Pool::new("default", 8)
            };
            pool.lead_time.provisioning = StageTime { mean: Millis::from_secs(300), cv };
            Setup { pools: vec![pool], seed, placement: Placement::ALL[placement].1, ..setup() }
        },
    )
}

/// At every instant: what runs fits on the usable nodes.
fn assert_capacity(trace: &Trace, setup: &Setup, outcome: &Outcome) {
    let mut changes: Vec<(Timestamp, i64, i64)> = Vec::new();
    for (job, &start) in trace.jobs.iter().zip(&outcome.starts) {
        let demand = trace.shape(job).demand_milli() as i64;
        changes.push((start, 0, demand));
        changes.push((start + job.duration, 0, -demand));
    }
    for node in &outcome.nodes {
        let capacity = i64::from(setup.pools[node.pool as usize].gpus_per_node) * 1000;
        changes.push((node.usable, capacity, 0));
        changes.push((
            node.drained.min(node.gone),
            if node.usable < node.gone { -capacity } else { 0 },
            0,
        ));
    }
    changes.retain(|&(at, ..)| at < setup.end);
    changes.sort_unstable();
    let (mut capacity, mut demand) = (0, 0);
    for same_instant in changes.chunk_by(|a, b| a.0 == b.0) {
        capacity += same_instant.iter().map(|change| change.1).sum::<i64>();
        demand += same_instant.iter().map(|change| change.2).sum::<i64>();
        assert!(demand <= capacity, "{demand} runs on {capacity} at {:?}", same_instant[0].0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn capacity_is_never_exceeded(rows in mixed_rows(), want in wants(), setup in worlds()) {
        let trace = trace(&rows);
        assert_capacity(&trace, &setup, &run(&trace, &setup, want));
    }

    /// So `prewarm` never takes more node-hours than `best-fit` where nodes come and go.
    #[test]
    fn where_nodes_come_and_go_prewarm_places_as_best_fit(
        rows in mixed_rows(),
        want in wants(),
        setup in worlds(),
    ) {
        let trace = trace(&rows);
        let best = Setup { placement: Placement::BestFit, ..setup };
        let prewarm = Setup { placement: Placement::Prewarm, ..best.clone() };
        let (best, prewarm) = (run(&trace, &best, want), run(&trace, &prewarm, want));
        prop_assert_eq!(prewarm.starts, best.starts);
        prop_assert_eq!(prewarm.nodes, best.nodes);
    }

    #[test]
    fn the_maximum_of_nodes_is_never_exceeded(rows in mixed_rows(), want in wants(), setup in worlds()) {
        let trace = trace(&rows);
        let outcome = run(&trace, &setup, want);
        let most = setup.pools[0].max_nodes.unwrap_or(u32::MAX);
        for node in &outcome.nodes {
            let alive = |other: &&world::NodeLife| {
                other.requested <= node.requested && other.drained.min(other.gone) > node.requested
            };
            prop_assert!(outcome.nodes.iter().filter(alive).count() as u32 <= most);
        }
    }

    #[test]
    fn every_job_starts_once_after_its_submit_or_counts_its_wait_to_the_end(
        rows in mixed_rows(), want in wants(), setup in worlds(),
    ) {
        let trace = trace(&rows);
        let outcome = run(&trace, &setup, want);
        let score = score(&trace, &setup, &outcome);
        let mut waits = Vec::new();
        for (job, &start) in trace.jobs.iter().zip(&outcome.starts) {
            prop_assert!(start >= job.submit);
            prop_assert!(start < setup.end || start == Timestamp::NEVER);
            if !job.is_preexisting() || start > Timestamp::ZERO {
                waits.push((start.min(setup.end) - job.submit).0);
            }
        }
        waits.sort_unstable();
        prop_assert_eq!(waits, score.waits_ms);
    }

    #[test]
    fn billed_time_is_life_time_in_order(rows in mixed_rows(), want in wants(), setup in worlds()) {
        let trace = trace(&rows);
        let outcome = run(&trace, &setup, want);
        let mut billed = 0;
        for node in &outcome.nodes {
            prop_assert!(node.requested <= node.ready && node.ready <= node.usable);
            prop_assert!(node.failed || node.usable <= node.drained);
            prop_assert!(node.drained == Timestamp::NEVER || node.drained <= node.gone);
            prop_assert!(node.failed || !node.used || node.usable < setup.end);
            billed += i128::from((node.gone.min(setup.end) - node.requested).0);
        }
        prop_assert_eq!(score(&trace, &setup, &outcome).node_hours, node_hours(billed));
    }

    #[test]
    fn causes_add_up_to_the_waiting(rows in mixed_rows(), want in wants(), setup in worlds(), from in 0i64..20_000) {
        let trace = trace(&rows);
        let setup = Setup { score_from: Timestamp::from_secs(from), ..setup };
        let outcome = run(&trace, &setup, want);
        let causes = gpu_hours(outcome.causes.0.iter().sum());
        prop_assert_eq!(causes, score(&trace, &setup, &outcome).waiting_gpu_hours);
    }

    #[test]
    fn the_order_of_rows_changes_nothing(rows in mixed_rows(), want in wants(), setup in worlds()) {
        let mut reversed = rows.clone();
        reversed.reverse();
        prop_assert_eq!(
            run(&trace(&rows), &setup, want),
            run(&trace(&reversed), &setup, want)
        );
    }

    #[test]
    fn more_nodes_never_lengthen_the_total_wait_of_single_gpu_jobs(
        rows in rows(Just(1u32), 40), nodes in 1u32..4, more in 1u32..4,
    ) {
        let trace = trace(&rows);
        let waiting = |nodes| {
            let pool = Pool { min_nodes: nodes, max_nodes: Some(nodes), ..Pool::new("default", 2) };
            let setup = Setup { pools: vec![pool], end: Timestamp::from_secs(1_000_000), ..setup() };
            score(&trace, &setup, &run(&trace, &setup, reactive())).waiting_gpu_hours
        };
        prop_assert!(waiting(nodes + more) <= waiting(nodes));
    }

    #[test]
    fn no_run_without_waiting_is_below_the_lower_bound(rows in rows(1u32..20, 30), from in 0i64..20_000) {
        let trace = trace(&rows);
        let setup = Setup { score_from: Timestamp::from_secs(from), ..setup() };
        // So many nodes from the start that nobody ever waits.
        let plenty = Fixed(Want { floor_nodes: 90, ..Want::nothing(Millis::ZERO) });
        let kept = Setup { pools: vec![Pool { min_nodes: 90, ..Pool::new("default", 8) }], ..setup.clone() };
        let score = score(&trace, &kept, &run(&trace, &kept, plenty));
        prop_assert_eq!(score.waiting_gpu_hours, 0.0);
        prop_assert!(node_hours_lower(&trace, &setup) <= score.node_hours + 1e-9);
    }

    /// Where nothing can be fragmented, no policy that lets nobody wait is cheaper than the
    /// clairvoyant (apart from the decision grid), and the clairvoyant not cheaper than the bound.
    #[test]
    fn the_clairvoyant_lies_between_the_bound_and_every_policy_without_waiting(
        rows in rows(Just(1u32), 30), headroom in 5u32..30, idle in 0i64..2_000,
    ) {
        let later: Vec<Row> =
            rows.into_iter().map(|row| Row { submit: row.submit + 2_000, ..row }).collect();
        let trace = trace(&later);
        let setup = Setup { pools: vec![Pool::new("default", 1)], ..setup() };
        let react = || Box::new(Reactive::new(Millis::ZERO)) as Box<dyn prewarm::strategy::Strategy>;
        let floors = clairvoyant::floors(&trace, &setup, &react, &|_| true).unwrap();
        let mut follow: Vec<Box<dyn prewarm::strategy::Strategy>> =
            vec![Box::new(FollowFloor::new(floors[0].clone(), Millis::ZERO))];
        let clairvoyant = score(&trace, &setup, &world::run(&trace, &setup, &mut follow, &|_| true));
        prop_assert_eq!(clairvoyant.waiting_gpu_hours, 0.0);
        prop_assert!(node_hours_lower(&trace, &setup) <= clairvoyant.node_hours + 1e-9);
        let spare = Want { spare_nodes: headroom, ..Want::nothing(Millis::from_secs(idle)) };
        let policy = score(&trace, &setup, &run(&trace, &setup, Fixed(spare)));
        if policy.waiting_gpu_hours == 0.0 {
            let grid = 20.0 / 3600.0 * clairvoyant.node_starts as f64;
            prop_assert!(clairvoyant.node_hours <= policy.node_hours + grid);
        }
    }
}
