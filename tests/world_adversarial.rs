//! Worlds at their edges: gangs that are already running, gangs no greedy placement seats, maxima that
//! are too small for what exists, nodes with many devices.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::float_cmp, reason = "sums of integer milliseconds, divided the same way")]

mod support;

use prewarm::{
    model::{Pool, Shape, StageTime, SupplyLimit, Trace},
    sim::yardstick::score,
    strategy::{PoolView, Want},
    time::{Millis, Timestamp},
    units::gpu_hours,
    world::{self, Outcome, Placement, Setup},
};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use support::{Fixed, Row, job, reactive, run, setup, trace};

fn starts(outcome: &Outcome) -> Vec<i64> {
    outcome.starts.iter().map(|start| start.0 / 1000).collect()
}

#[test]
fn members_that_join_a_gang_that_runs_already_do_not_wait_for_its_members() {
    let rows = [
        job(0, 9_000, 4).gang("g", 3).preexisting(),
        job(0, 9_000, 4).gang("g", 3).preexisting(),
        job(1_000, 500, 8).gang("g", 3),
    ];
    let outcome = run(&trace(&rows), &setup(), reactive());
    assert_eq!(starts(&outcome), [0, 0, 1_540]);
}

#[test]
fn an_existing_job_that_does_not_fit_waits_like_any_other() {
    let rows = [job(0, 1_000, 16).preexisting()];
    let pool = Pool { max_nodes: Some(1), ..Pool::new("default", 8) };
    let setup = Setup { pools: vec![pool], ..setup() };
    let trace = trace(&rows);
    let outcome = run(&trace, &setup, reactive());
    // 16 GPUs for the ten hours of the run, all for the maximum.
    let score = score(&trace, &setup, &outcome);
    assert_eq!(score.waiting_gpu_hours, 160.0);
    assert_eq!(score.waits_ms, [36_000_000]);
    assert_eq!(gpu_hours(outcome.causes.0.iter().sum()), 160.0);
}

#[test]
fn no_node_exists_for_an_existing_job_that_does_not_fit() {
    let rows = [job(0, 1_000, 24).preexisting()];
    let small = Pool { max_nodes: Some(2), ..Pool::new("small", 8) };
    let setup = Setup { pools: vec![small, Pool::new("large", 8)], ..setup() };
    let outcome = run(&trace(&rows), &setup, reactive());
    assert_eq!(starts(&outcome), [0]);
    assert!(outcome.nodes.iter().all(|node| node.pool == 1 && node.used), "{:?}", outcome.nodes);
}

#[test]
fn a_mixed_gang_that_fits_is_seated_whatever_the_placement_prefers() {
    // Free: 5 and 8. Spreading puts 5 on the empty node, 4 on the other, and has no place for 4.
    let rows = [
        job(0, 30_000, 3).preexisting(),
        job(100, 500, 5).gang("g", 3),
        job(100, 500, 4).gang("g", 3),
        job(100, 500, 4).gang("g", 3),
    ];
    for (name, placement) in Placement::ALL {
        let pool = Pool { min_nodes: 2, ..Pool::new("default", 8) };
        let setup = Setup { pools: vec![pool], placement, ..setup() };
        assert_eq!(starts(&run(&trace(&rows), &setup, reactive()))[1..], [100; 3], "{name}");
    }
}

/// Notes the instants at which it is asked.
struct Noting(Fixed, Arc<Mutex<Vec<Timestamp>>>);

impl prewarm::strategy::Strategy for Noting {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        self.1.lock().unwrap().push(view.now);
        self.0.want(view)
    }
}

#[test]
fn at_one_instant_at_most_one_decision_is_made() {
    let at_once = StageTime { mean: Millis::ZERO, cv: 0.0 };
    let mut pool = Pool::new("default", 8);
    (pool.lead_time.provisioning, pool.lead_time.warm_up) = (at_once, at_once);
    let rows = trace(&[job(0, 1_000, 8), job(100, 1_000, 8), job(105, 1_000, 8)]);
    for every in [10_000, 0] {
        let setup = Setup { pools: vec![pool.clone()], decision_every: Millis(every), ..setup() };
        let asked = Arc::default();
        let strategy = Noting(reactive(), Arc::clone(&asked));
        let outcome = world::run(&rows, &setup, &mut [Box::new(strategy)], &|_| true);
        assert_eq!(starts(&outcome), [0, 100, if every == 0 { 105 } else { 110 }]);
        let asked = asked.lock().unwrap();
        assert!(asked.len() > 3 && asked.is_sorted_by(|a, b| a < b), "{asked:?}");
    }
}

#[test]
fn a_run_of_a_few_hundred_steps_can_be_interrupted() {
    let rows: Vec<Row> = (0..300).map(|i| job(i * 10, 5, 1)).collect();
    let mut strategies: [Box<dyn prewarm::strategy::Strategy>; 1] = [Box::new(reactive())];
    let outcome = world::run(&trace(&rows), &setup(), &mut strategies, &|_| false);
    assert!(outcome.is_partial && outcome.ended_at < Timestamp::from_secs(3_000));
}

fn many_kinds_of_rows() -> impl Strategy<Value = Vec<Row>> {
    let at = || (0i64..9_000, 1i64..4_000);
    let plain = (at(), 1u32..20).prop_map(|((s, d), g)| job(s, d, g));
    let shared = (at(), 1u32..3, 1u16..1000).prop_map(|((s, d), g, m)| job(s, d, g).milli(m));
    let urgent = (at(), 1u32..9).prop_map(|((s, d), g)| job(s, d, g).priority(9));
    let names = prop_oneof![Just("a"), Just("b"), Just("c")];
    let gang = (at(), 1u32..9, names, 1u32..4).prop_map(|((s, d), g, name, least)| {
        let row = job(s, d, g).gang(name, least);
        if g % 3 == 0 { row.milli(400) } else { row }
    });
    let workers = (at(), 1u32..5, 1u32..9).prop_map(|((s, d), workers, gpus)| {
        let shape = Shape { workers, ..Shape::whole_gpus(gpus) };
        Row { shape, ..job(s, d, gpus) }
    });
    let cpu = (at(), 1u32..9, 0u32..40_000).prop_map(|((s, d), gpus, cpu_milli)| {
        let shape = Shape { cpu_milli, ..Shape::whole_gpus(gpus) };
        Row { shape, ..job(s, d, gpus) }
    });
    let picky = (at(), 1u32..9).prop_map(|((s, d), g)| job(s, d, g).model("A100"));
    let running = (1i64..9_000, 1u32..20).prop_map(|(d, g)| job(0, d, g).preexisting());
    let of_gang = (1i64..9_000, 1u32..9).prop_map(|(d, g)| job(0, d, g).gang("a", 3).preexisting());
    prop::collection::vec(
        prop_oneof![
            4 => plain, 3 => shared, 1 => urgent, 4 => gang, 2 => workers, 2 => cpu, 1 => picky,
            1 => running, 1 => of_gang,
        ],
        1..40,
    )
}

/// Two pools: a limited one with CPU, then another.
fn two_pools() -> impl Strategy<Value = Setup> {
    let pool = |name: &'static str| {
        let limits = (prop::option::of(0u32..6), 0u32..3, 0i64..300, 0i64..400, 0i64..300);
        let supply = prop::option::of((0i64..5_000, 1i64..4_000, 0u32..4));
        (limits, supply, 0.0f64..0.4, 0.0f64..0.5, 1u32..10, any::<bool>()).prop_map(
            move |((max, min, drain, boot, warm), supply, failure_rate, cv, gpus, has_cpu)| {
                let secs = Timestamp::from_secs;
                let stage = |mean| StageTime { mean: Millis::from_secs(mean), cv };
                let mut pool = Pool {
                    max_nodes: max.map(|max| max + min),
                    min_nodes: min,
                    drain: Millis::from_secs(drain),
                    failure_rate,
                    cpu_milli: has_cpu.then_some(64_000),
                    ..Pool::new(name, gpus)
                };
                pool.lead_time.provisioning = stage(boot);
                pool.lead_time.warm_up = stage(warm);
                pool.supply = supply.map_or_else(Vec::new, |(from, span, nodes)| {
                    vec![SupplyLimit { from: secs(from), until: secs(from + span), nodes }]
                });
                pool
            },
        )
    };
    let model = |mut pool: Pool| {
        "A100".clone_into(&mut pool.gpu_model);
        pool
    };
    let grid = prop_oneof![3 => Just(10_000i64), 1 => Just(0i64)];
    (pool("first"), pool("second").prop_map(model), 0usize..3, any::<u64>(), grid).prop_map(
        |(first, second, placement, seed, grid)| Setup {
            pools: vec![first, second],
            placement: Placement::ALL[placement].1,
            decision_every: Millis(grid),
            seed,
            end: Timestamp::from_secs(60_000),
            ..setup()
        },
    )
}

fn wants() -> impl Strategy<Value = Fixed> {
    (0u32..4, 0u64..20_000, 0u32..3, 0i64..1_000).prop_map(|(floor, spare_milli, nodes, idle)| {
        Fixed(Want {
            floor_nodes: floor,
            spare_milli,
            spare_nodes: nodes,
            ..Want::nothing(Millis::from_secs(idle))
        })
    })
}

/// Gangs need the rows they have: one that is never complete waits for ever, rightly.
fn complete_gangs(rows: &[Row]) -> Vec<Row> {
    let members =
        |name: &str| rows.iter().filter(|row| row.gang.is_some_and(|(of, _)| of == name)).count();
    let complete = |row: &Row| Row {
        gang: row.gang.map(|(name, _)| (name, members(name) as u32)),
        ..row.clone()
    };
    rows.iter().map(complete).collect()
}

fn never_started(trace: &Trace, outcome: &Outcome) -> usize {
    let jobs = trace.jobs.iter().zip(&outcome.starts);
    jobs.filter(|(_, start)| **start == Timestamp::NEVER).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Nothing panics, underflows or loops, and the accounts of waiting agree.
    #[test]
    fn any_world_runs_to_its_end(
        rows in many_kinds_of_rows(), want in wants(), setup in two_pools(), from in 0i64..3,
    ) {
        let trace = trace(&rows);
        let setup = Setup { score_from: Timestamp::from_secs(from * 2_000), ..setup };
        let outcome = run(&trace, &setup, want);
        prop_assert_eq!(outcome.ended_at, setup.end);
        let score = score(&trace, &setup, &outcome);
        prop_assert_eq!(gpu_hours(outcome.causes.0.iter().sum()), score.waiting_gpu_hours);
        prop_assert!(score.idle_gpu_hours >= -1e-9, "{}", score.idle_gpu_hours);
    }

    /// Where a pool may grow without limit, whoever can run at all does run.
    #[test]
    fn nobody_waits_for_ever_where_nodes_can_be_had(
        rows in many_kinds_of_rows(), want in wants(), setup in two_pools(),
    ) {
        let trace = trace(&complete_gangs(&rows));
        let mut setup = setup;
        for pool in &mut setup.pools {
            (pool.max_nodes, pool.cpu_milli) = (None, pool.cpu_milli.map(|cpu| cpu * 10));
            pool.gpus_per_node = pool.gpus_per_node.max(2);
        }
        prop_assert_eq!(never_started(&trace, &run(&trace, &setup, want)), 0);
    }
}
