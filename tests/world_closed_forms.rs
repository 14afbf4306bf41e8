//! The kernel against results that can be worked out by hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::float_cmp, reason = "integer milliseconds turned into hours are exact here")]

mod support;

use prewarm::{
    model::{Pool, StageTime, SupplyLimit},
    sim::yardstick::score,
    strategy::Want,
    time::{Millis, Timestamp},
    world::{Placement, WaitCause},
};
use support::{Fixed, Row, job, reactive, run, setup, trace};

fn starts(rows: &[Row]) -> Vec<f64> {
    run(&trace(rows), &setup(), reactive()).starts.iter().map(|at| at.as_secs_f64()).collect()
}

#[test]
fn one_job_waits_one_lead_time_and_its_node_is_billed_until_it_was_idle_long_enough() {
    let trace = trace(&[job(0, 600, 8)]);
    let outcome = run(&trace, &setup(), reactive());
    let score = score(&trace, &setup(), &outcome);
    assert_eq!(outcome.starts, [Timestamp::from_secs(540)]);
    // Requested at 0, job from 540 to 1140, removed after 600 s of idleness.
    assert_eq!(score.node_hours, 1740.0 / 3600.0);
    assert_eq!(score.ready_node_hours, 1200.0 / 3600.0);
    assert_eq!(score.busy_gpu_hours, 8.0 * 600.0 / 3600.0);
    assert_eq!(score.idle_gpu_hours, 8.0 * 600.0 / 3600.0);
    assert_eq!(score.waiting_gpu_hours, 8.0 * 540.0 / 3600.0);
    assert_eq!((score.node_starts, score.wasted_starts, score.unfinished_jobs), (1, 0, 0));
    assert_eq!(score.cost(20.0), (1740.0 + 20.0 * 540.0) / 3600.0);
}

#[test]
fn a_job_between_grid_points_is_seen_at_the_next() {
    assert_eq!(starts(&[job(3, 600, 8)]), [550.0]);
}

#[test]
fn jobs_share_a_node_and_a_large_one_takes_several() {
    assert_eq!(starts(&[job(0, 600, 4), job(0, 600, 4)]), [540.0, 540.0]);
    let trace = trace(&[job(0, 600, 20)]);
    let outcome = run(&trace, &setup(), reactive());
    assert_eq!(outcome.nodes.len(), 3);
    assert_eq!(outcome.starts, [Timestamp::from_secs(540)]);
}

#[test]
fn a_warming_node_is_not_requested_again() {
    // Half of the burst comes while the node of the first half warms up.
    let outcome = run(&trace(&[job(0, 600, 4), job(400, 600, 4)]), &setup(), reactive());
    assert_eq!(outcome.nodes.len(), 1);
}

#[test]
fn a_small_job_passes_a_large_one_that_does_not_fit() {
    let pool = Pool { max_nodes: Some(1), min_nodes: 1, ..Pool::new("default", 8) };
    let setup = prewarm::world::Setup { pools: vec![pool], ..setup() };
    let trace = trace(&[job(0, 1000, 6), job(1, 1000, 8), job(2, 1000, 2)]);
    let outcome = run(&trace, &setup, reactive());
    let starts: Vec<f64> = outcome.starts.iter().map(|at| at.as_secs_f64()).collect();
    // The small one starts at once beside the first; the large one after both have ended.
    assert_eq!(starts, [0.0, 1002.0, 2.0]);
}

#[test]
fn higher_priority_goes_first_then_earlier_submit() {
    let pool = Pool { max_nodes: Some(1), min_nodes: 1, ..Pool::new("default", 8) };
    let setup = prewarm::world::Setup { pools: vec![pool], ..setup() };
    let rows = [job(0, 100, 8), job(1, 100, 8), job(2, 100, 8).priority(5), job(3, 100, 8)];
    let outcome = run(&trace(&rows), &setup, reactive());
    let starts: Vec<f64> = outcome.starts.iter().map(|at| at.as_secs_f64()).collect();
    assert_eq!(starts, [0.0, 200.0, 100.0, 300.0]);
}

#[test]
fn a_gang_waits_for_its_members_and_starts_as_one() {
    let rows = [job(0, 600, 8).gang("g", 2), job(100, 600, 8).gang("g", 2)];
    let trace = trace(&rows);
    let outcome = run(&trace, &setup(), reactive());
    assert_eq!(outcome.starts, [Timestamp::from_secs(640); 2]);
    let waited_for_members = outcome.causes.get(WaitCause::Unplaceable);
    assert_eq!(waited_for_members, 8000 * 100_000);
}

#[test]
fn a_gang_with_too_few_members_never_starts_and_waits_to_the_end() {
    let trace = trace(&[job(0, 600, 1).gang("g", 2)]);
    let score = score(&trace, &setup(), &run(&trace, &setup(), reactive()));
    assert_eq!((score.unstarted_jobs, score.node_starts), (1, 0));
    assert_eq!(score.waiting_gpu_hours, 10.0);
}

#[test]
fn fractions_share_a_gpu() {
    let pool = Pool { max_nodes: Some(1), min_nodes: 1, ..Pool::new("default", 1) };
    let setup = prewarm::world::Setup { pools: vec![pool], ..setup() };
    let rows = [job(0, 100, 1).milli(600), job(0, 100, 1).milli(400), job(0, 100, 1).milli(10)];
    let outcome = run(&trace(&rows), &setup, reactive());
    let mut starts: Vec<f64> = outcome.starts.iter().map(|at| at.as_secs_f64()).collect();
    starts.sort_by(f64::total_cmp);
    // 10 + 400 fit at once (smaller shapes come first in canonical order), 600 does not.
    assert_eq!(starts, [0.0, 0.0, 100.0]);
}

#[test]
fn a_preexisting_job_runs_from_second_zero_on_a_node_that_exists_then() {
    let rows = [job(0, 1000, 8).preexisting(), job(2000, 100, 8)];
    let trace = trace(&rows);
    let outcome = run(&trace, &setup(), reactive());
    let score = score(&trace, &setup(), &outcome);
    // Its node goes at 1600, so the second job needs a new one.
    assert_eq!(outcome.starts, [Timestamp::ZERO, Timestamp::from_secs(2540)]);
    assert_eq!(outcome.nodes[0].gone, Timestamp::from_secs(1600));
    assert_eq!((score.node_starts, score.waits_ms.as_slice()), (1, [540_000].as_slice()));
}

#[test]
fn the_model_decides_the_pool_and_no_pool_means_waiting_to_the_end() {
    let pool = |name: &str, model: &str| Pool { gpu_model: model.into(), ..Pool::new(name, 8) };
    let setup =
        prewarm::world::Setup { pools: vec![pool("a", "A100"), pool("t", "T4")], ..setup() };
    let rows = [job(0, 100, 1).model("T4"), job(1, 100, 1).model("H100")];
    let outcome = run(&trace(&rows), &setup, reactive());
    assert_eq!(outcome.nodes.iter().map(|node| node.pool).collect::<Vec<_>>(), [1]);
    assert_eq!(outcome.starts[1], Timestamp::NEVER);
    assert_eq!(outcome.causes.get(WaitCause::Unplaceable), 1000 * (36_000 - 1) * 1000);
}

#[test]
fn a_full_pool_spills_to_the_next() {
    let first = Pool { max_nodes: Some(1), ..Pool::new("first", 8) };
    let setup = prewarm::world::Setup { pools: vec![first, Pool::new("second", 8)], ..setup() };
    let outcome = run(&trace(&[job(0, 100, 8), job(0, 100, 8)]), &setup, reactive());
    assert_eq!(outcome.nodes.iter().map(|node| node.pool).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(outcome.starts, [Timestamp::from_secs(540); 2]);
}

#[test]
fn a_stock_out_spills_at_once_and_is_tried_again_after_the_back_off() {
    let stock_out =
        SupplyLimit { from: Timestamp::ZERO, until: Timestamp::from_secs(100), nodes: 0 };
    let dry = Pool { supply: vec![stock_out], ..Pool::new("dry", 8) };
    let both = prewarm::world::Setup { pools: vec![dry.clone(), Pool::new("wet", 8)], ..setup() };
    let trace = trace(&[job(0, 100, 8)]);
    let outcome = run(&trace, &both, reactive());
    assert_eq!((outcome.nodes[0].pool, outcome.pools[0].refused), (1, 1));
    let alone = prewarm::world::Setup { pools: vec![dry], ..setup() };
    let outcome = run(&trace, &alone, reactive());
    // Refused at 0, tried again after 2 min, then one lead time.
    assert_eq!(outcome.starts, [Timestamp::from_secs(660)]);
    assert_eq!(outcome.causes.get(WaitCause::StockOut), 8000 * 120_000);
    assert_eq!(outcome.causes.get(WaitCause::Lead), 8000 * 540_000);
}

#[test]
fn waiting_at_the_maximum_is_called_so() {
    let pool = Pool { max_nodes: Some(1), ..Pool::new("default", 8) };
    let setup = prewarm::world::Setup { pools: vec![pool], ..setup() };
    let outcome = run(&trace(&[job(0, 1000, 8), job(0, 1000, 8)]), &setup, reactive());
    assert_eq!(outcome.causes.get(WaitCause::Lead), 8000 * 540_000);
    assert_eq!(outcome.causes.get(WaitCause::Max), 8000 * 1_540_000);
}

#[test]
fn free_gpus_in_the_wrong_places_are_fragmentation() {
    let pool = Pool { max_nodes: Some(2), min_nodes: 2, ..Pool::new("default", 8) };
    let setup = prewarm::world::Setup { pools: vec![pool], ..setup() };
    let rows = [job(0, 1000, 5), job(0, 1000, 5), job(10, 100, 6)];
    let outcome = run(&trace(&rows), &setup, reactive());
    // 3 + 3 free: six GPUs, but not on one node.
    assert_eq!(outcome.causes.get(WaitCause::Fragmentation), 6000 * 990_000);
}

#[test]
fn a_failed_creation_is_billed_until_it_shows_and_made_good() {
    let pool = Pool { failure_rate: 1.0, ..Pool::new("default", 8) };
    let setup = prewarm::world::Setup { pools: vec![pool], ..setup() };
    let trace = trace(&[job(0, 100, 8)]);
    let outcome = run(&trace, &setup, reactive());
    assert_eq!(outcome.starts, [Timestamp::NEVER]);
    let first = outcome.nodes[0];
    assert_eq!((first.failed, first.gone), (true, Timestamp::from_secs(300)));
    assert_eq!(outcome.nodes[1].requested, Timestamp::from_secs(300));
}

#[test]
fn a_draining_node_is_billed_but_not_usable() {
    let pool = Pool { drain: Millis::from_secs(60), ..Pool::new("default", 8) };
    let setup = prewarm::world::Setup { pools: vec![pool], ..setup() };
    let trace = trace(&[job(0, 600, 8)]);
    let outcome = run(&trace, &setup, reactive());
    let node = outcome.nodes[0];
    assert_eq!((node.drained, node.gone), (Timestamp::from_secs(1740), Timestamp::from_secs(1800)));
    let score = score(&trace, &setup, &outcome);
    assert_eq!((score.node_hours, score.ready_node_hours), (0.5, 1200.0 / 3600.0));
}

#[test]
fn spread_goes_where_most_is_left() {
    let pool = Pool { min_nodes: 2, ..Pool::new("default", 8) };
    let best = prewarm::world::Setup { pools: vec![pool], ..setup() };
    let spread = prewarm::world::Setup { placement: Placement::Spread, ..best.clone() };
    let trace = trace(&[job(0, 9000, 4), job(10, 9000, 4), job(20, 100, 8)]);
    let third = |setup| run(&trace, setup, reactive()).starts[2];
    assert_eq!(third(&best), Timestamp::from_secs(20));
    assert_eq!(third(&spread), Timestamp::from_secs(560));
}

/// Two nodes of two GPUs: 0.4 and 1 are left on the first, 1 on the second. Best fit puts a job of 0.4 on the second,
/// and of two jobs of a whole GPU one waits until the end of the first. The scores of the extender put it where it
/// is of no use to others.
#[test]
fn on_nodes_that_stay_leftovers_are_used_first() {
    let pool = Pool { min_nodes: 2, max_nodes: Some(2), ..Pool::new("default", 2) };
    let best = prewarm::world::Setup { pools: vec![pool], ..setup() };
    let prewarm = prewarm::world::Setup { placement: Placement::Prewarm, ..best.clone() };
    let trace = trace(&[
        job(0, 9000, 1).milli(600),
        job(10, 100, 1),
        job(20, 9000, 1),
        job(200, 9000, 1).milli(400),
        job(300, 5000, 1),
        job(310, 5000, 1),
    ]);
    let last = |setup| run(&trace, setup, reactive()).starts[5];
    assert_eq!(last(&best), Timestamp::from_secs(5300));
    assert_eq!(last(&prewarm), Timestamp::from_secs(310));
}

#[test]
fn a_spare_node_saves_the_wait() {
    let spare = Fixed(Want { spare_nodes: 1, ..Want::nothing(Millis::from_mins(10)) });
    let outcome = run(&trace(&[job(1000, 600, 8)]), &setup(), spare);
    assert_eq!(outcome.starts, [Timestamp::from_secs(1000)]);
    // One at second 0, one to replace it as spare at the next decision.
    assert_eq!(outcome.nodes.len(), 2);
    assert_eq!(outcome.nodes[1].requested, Timestamp::from_secs(1000));
}

#[test]
fn lead_times_are_drawn_with_the_seed() {
    let mut pool = Pool::new("default", 8);
    pool.lead_time.provisioning = StageTime { mean: Millis::from_secs(300), cv: 0.5 };
    let with = |seed| {
        let setup = prewarm::world::Setup { pools: vec![pool.clone()], seed, ..setup() };
        run(&trace(&[job(0, 600, 8)]), &setup, reactive()).starts[0]
    };
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}
