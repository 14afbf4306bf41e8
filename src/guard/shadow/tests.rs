//! The shadow against the kernel: the same jobs, the same reactive strategy, the same nodes at every
//! instant.

use super::*;
use crate::{
    model::{GangId, Job as Row, KindId, OwnerId, Trace, TraceBuilder},
    strategy::{PoolView, Reactive, Strategy, Want},
    world::{self, NodeLife, Outcome, Placement},
};
use proptest::{prelude::*, strategy::Strategy as Generator};
use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

/// What a strategy was told at one look.
#[derive(Clone, Debug)]
struct Look {
    now: Timestamp,
    arrivals: Vec<Arrival>,
    finishes: Vec<Finish>,
}

struct Spy<S> {
    inner: S,
    looks: Arc<Mutex<Vec<Look>>>,
}

impl<S: Strategy> Strategy for Spy<S> {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        self.looks.lock().unwrap().push(Look {
            now: view.now,
            arrivals: view.arrivals.to_vec(),
            finishes: view.finishes.to_vec(),
        });
        self.inner.want(view)
    }
}

fn watched(trace: &Trace, setup: &Setup, inner: impl Strategy + 'static) -> (Outcome, Vec<Look>) {
    let looks = Arc::new(Mutex::new(Vec::new()));
    let spy = Spy { inner, looks: Arc::clone(&looks) };
    let outcome = world::run(trace, setup, &mut [Box::new(spy)], &|_| true);
    let looks = looks.lock().unwrap().clone();
    (outcome, looks)
}

fn alive_at(nodes: &[NodeLife], at: Timestamp) -> u32 {
    let alive = |node: &&NodeLife| node.requested <= at && at < node.drained.min(node.gone);
    nodes.iter().filter(alive).count() as u32
}

fn node_ms(nodes: &[NodeLife], end: Timestamp) -> i128 {
    let life = |node: &NodeLife| node.drained.min(node.gone).min(end) - node.requested;
    nodes.iter().map(|node| i128::from(life(node).0)).sum()
}

fn job(submit: i64, duration: i64, shape: Shape) -> (i64, i64, Shape, bool) {
    (submit, duration, shape, false)
}

fn trace(rows: &[(i64, i64, Shape, bool)]) -> Trace {
    let mut builder = TraceBuilder::new();
    for (submit, duration, shape, is_running) in rows {
        let row = Row {
            submit: Timestamp(*submit),
            duration: Millis(*duration),
            shape: builder.shape(shape),
            owner: OwnerId(0),
            gang: GangId::NONE,
            kind: if *is_running { KindId::PREEXISTING } else { KindId::NONE },
        };
        builder.push(row);
    }
    builder.build()
}

fn setup(pool: Pool) -> Setup {
    Setup {
        pools: vec![pool],
        placement: Placement::BestFit,
        decision_every: Setup::DECISION_EVERY,
        seed: 1,
        end: Timestamp::from_secs(200_000),
        score_from: Timestamp::ZERO,
        series_bin: None,
    }
}

fn rows(count: Range<usize>) -> impl Generator<Value = Vec<(i64, i64, Shape, bool)>> {
    // Some instants lie on the decision grid, and some together.
    let at = || (0i64..2_000, 0i64..3).prop_map(|(tens, ms)| tens * 10_000 + ms * 700);
    let span = || 1i64..9_000_000;
    let whole = (at(), span(), 1u32..20).prop_map(|(s, d, g)| job(s, d, Shape::whole_gpus(g)));
    let shared = (at(), span(), 1u32..3, 1u16..1000).prop_map(|(s, d, gpus, gpu_milli)| {
        job(s, d, Shape { gpu_milli, ..Shape::whole_gpus(gpus) })
    });
    let workers = (at(), span(), 1u32..5, 1u32..10)
        .prop_map(|(s, d, workers, g)| job(s, d, Shape { workers, ..Shape::whole_gpus(g) }));
    let urgent = (at(), span(), 1u32..9)
        .prop_map(|(s, d, g)| job(s, d, Shape { priority: 9, ..Shape::whole_gpus(g) }));
    let cpu = (at(), span(), 1u32..9, 0u32..40_000)
        .prop_map(|(s, d, g, cpu_milli)| job(s, d, Shape { cpu_milli, ..Shape::whole_gpus(g) }));
    let running = (span(), 1u32..20).prop_map(|(d, g)| (0, d, Shape::whole_gpus(g), true));
    let any =
        prop_oneof![4 => whole, 3 => shared, 2 => workers, 1 => urgent, 1 => cpu, 1 => running];
    prop::collection::vec(any, count)
}

fn pools() -> impl Generator<Value = Pool> {
    let limits = (0u32..4, prop::option::of(0u32..6), any::<bool>());
    (limits, 1u32..10, 0i64..400_000, 0i64..400_000, 0i64..300_000).prop_map(
        |((min, max, has_cpu), gpus, boot, warm, drain)| {
            let mut pool = Pool::new("p", gpus);
            pool.min_nodes = min;
            pool.max_nodes = max.map(|max| max + min);
            pool.cpu_milli = has_cpu.then_some(64_000);
            pool.drain = Millis(drain);
            pool.lead_time.provisioning.mean = Millis(boot);
            pool.lead_time.warm_up.mean = Millis(warm);
            pool
        },
    )
}

/// Follows the looks of a run; `each` sees the shadow after each of them.
fn follow(
    looks: &[Look],
    world: &ShadowWorld<'_>,
    mut each: impl FnMut(&Look, &mut Shadow),
) -> Shadow {
    let mut shadow = Shadow::new(Timestamp::ZERO);
    for look in looks {
        shadow.advance(look.now, &look.arrivals, &look.finishes, world);
        each(look, &mut shadow);
    }
    shadow
}

fn through_json(shadow: &Shadow) -> Shadow {
    serde_json::from_str(&serde_json::to_string(shadow).unwrap()).unwrap()
}

/// Node for node the run of the kernel, and a copy that is written down and read again after `keep` looks
/// goes on the same.
fn assert_same(rows: &[(i64, i64, Shape, bool)], pool: Pool, idle: Millis, keep: usize) {
    let (trace, setup) = (trace(rows), setup(pool));
    let (outcome, looks) = watched(&trace, &setup, Reactive::new(idle));
    let world = ShadowWorld { idle, ..ShadowWorld::new(&setup.pools[0], &trace.shapes) };
    let mut wrong = None;
    let mut shadow = follow(&looks, &world, |look, shadow| {
        let alive = alive_at(&outcome.nodes, look.now);
        if shadow.alive() != alive && wrong.is_none() {
            wrong = Some((look.now, shadow.alive(), alive));
        }
    });
    assert_eq!(wrong, None, "instant, shadow, kernel");
    shadow.advance(setup.end, &[], &[], &world);
    assert_eq!(shadow.node_ms(), node_ms(&outcome.nodes, setup.end));
    let mut nth = 0;
    let mut reread = follow(&looks, &world, |_, shadow| {
        if nth == keep {
            *shadow = through_json(shadow);
        }
        nth += 1;
    });
    reread.advance(setup.end, &[], &[], &world);
    assert_eq!(reread, shadow);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn on_the_events_of_a_reactive_run_it_is_that_run(
        rows in rows(1..60), pool in pools(), idle in 0i64..2_000_000, keep in 0usize..50,
    ) {
        assert_same(&rows, pool, Millis(idle), keep);
    }

    /// How often it is asked, and by whom reality is scaled, does not matter for how it behaves.
    #[test]
    fn looks_in_between_change_nothing(rows in rows(1..60), pool in pools(), more in 1usize..9) {
        let (trace, setup) = (trace(&rows), setup(pool));
        let (_, looks) = watched(&trace, &setup, Reactive::new(Millis::from_mins(60)));
        let world = ShadowWorld::new(&setup.pools[0], &trace.shapes);
        let mut coarse = Shadow::new(Timestamp::ZERO);
        let fine = follow(&looks, &world, |_, _| ());
        for look in looks.chunks(more) {
            let arrivals: Vec<_> = look.iter().flat_map(|look| look.arrivals.clone()).collect();
            let finishes: Vec<_> = look.iter().flat_map(|look| look.finishes.clone()).collect();
            coarse.advance(look[look.len() - 1].now, &arrivals, &finishes, &world);
        }
        let mut stepped = Shadow::new(Timestamp::ZERO);
        for look in &looks {
            while stepped.next_change() < look.now.min(first(look)) {
                stepped.advance(stepped.next_change(), &[], &[], &world);
            }
            stepped.advance(look.now, &look.arrivals, &look.finishes, &world);
        }
        prop_assert_eq!(&coarse, &fine);
        prop_assert_eq!(&stepped, &fine);
    }

    /// Reality runs on other nodes, so jobs start earlier or later than here; all the same everything
    /// comes to its end.
    #[test]
    fn once_all_jobs_have_ended_only_the_minimum_remains(rows in rows(1..60), pool in pools()) {
        let pool = Pool { max_nodes: None, ..pool };
        let (trace, setup) = (trace(&rows), setup(pool));
        let plenty = Want { floor_nodes: 30, ..Want::nothing(Millis::ZERO) };
        let (_, looks) = watched(&trace, &setup, Fixed(plenty));
        let world = ShadowWorld::new(&setup.pools[0], &trace.shapes);
        let mut shadow = follow(&looks, &world, |_, _| ());
        shadow.advance(setup.end, &[], &[], &world);
        prop_assert_eq!(shadow.alive(), setup.pools[0].min_nodes);
        prop_assert!(shadow.jobs.is_empty() && shadow.queue.is_empty() && shadow.ends.is_empty());
        prop_assert_eq!((shadow.owed, shadow.next_change()), (0, Timestamp::NEVER));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn in_a_busy_pool_it_is_that_run_too(rows in rows(2_000..3_000), pool in pools()) {
        assert_same(&rows, pool, IDLE_DEFAULT, 1_000);
    }
}

struct Fixed(Want);

impl Strategy for Fixed {
    fn want(&mut self, _: &PoolView<'_>) -> Want {
        self.0
    }
}

fn first(look: &Look) -> Timestamp {
    let arrival = look.arrivals.iter().map(|arrival| arrival.at).min();
    let finish = look.finishes.iter().map(|finish| finish.at).min();
    arrival.into_iter().chain(finish).min().unwrap_or(Timestamp::NEVER)
}

fn secs(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn arrival(job: u32, at: i64) -> Arrival {
    Arrival {
        job,
        at: secs(at),
        shape: ShapeId(0),
        owner: OwnerId(0),
        gpu_milli: 8000,
        is_running: false,
    }
}

#[test]
fn a_job_that_starts_later_than_in_reality_ends_later_by_as_much() {
    let (pool, shapes) = (Pool::new("p", 8), [Shape::whole_gpus(8)]);
    let world = ShadowWorld::new(&pool, &shapes);
    let mut shadow = Shadow::new(secs(0));
    // In reality it ran from 100 to 300 on a spare node; here its node comes up at 100 + 540.
    shadow.advance(secs(100), &[arrival(7, 100)], &[], &world);
    let finish = Finish { job: 7, started: secs(100), at: secs(300) };
    shadow.advance(secs(300), &[], &[finish], &world);
    assert_eq!((shadow.alive(), shadow.next_change()), (1, secs(640)));
    shadow.advance(secs(700), &[], &[], &world);
    assert_eq!(shadow.next_change(), secs(840));
    // Idle from 840, gone ten minutes later.
    shadow.advance(secs(1_439), &[], &[], &world);
    assert_eq!(shadow.alive(), 1);
    shadow.advance(secs(2_000), &[], &[], &world);
    assert_eq!((shadow.alive(), shadow.node_ms()), (0, 1_340_000));
}

#[test]
fn what_runs_when_first_seen_has_its_node_at_once_and_ends_with_reality() {
    let (pool, shapes) = (Pool::new("p", 8), [Shape::whole_gpus(8)]);
    let world = ShadowWorld::new(&pool, &shapes);
    let mut shadow = Shadow::new(secs(1_000));
    let running = Arrival { is_running: true, ..arrival(7, 1_000) };
    shadow.advance(secs(1_000), &[running], &[], &world);
    assert_eq!((shadow.alive(), shadow.next_change()), (1, Timestamp::NEVER));
    let finish = Finish { job: 7, started: secs(10), at: secs(1_500) };
    shadow.advance(secs(1_500), &[], &[finish], &world);
    assert_eq!(shadow.next_change(), secs(2_100));
}

#[test]
fn a_job_withdrawn_before_it_ran_is_waited_for_no_more() {
    let (pool, shapes) = (Pool::new("p", 8), [Shape::whole_gpus(8)]);
    let world = ShadowWorld::new(&pool, &shapes);
    let mut shadow = Shadow::new(secs(0));
    shadow.advance(secs(0), &[arrival(7, 0)], &[], &world);
    assert_eq!(shadow.unfinished().collect::<Vec<_>>(), [7]);
    let withdrawn = Finish { job: 7, started: secs(60), at: secs(60) };
    shadow.advance(secs(60), &[], &[withdrawn], &world);
    assert!(shadow.jobs.is_empty() && shadow.queue.is_empty());
    shadow.advance(secs(3_600), &[], &[], &world);
    assert_eq!((shadow.alive(), shadow.node_ms()), (0, 1_140_000));
}

#[test]
fn news_of_the_past_counts_as_of_now() {
    let (pool, shapes) = (Pool::new("p", 8), [Shape::whole_gpus(8)]);
    let world = ShadowWorld::new(&pool, &shapes);
    let mut shadow = Shadow::new(secs(0));
    shadow.advance(secs(1_000), &[], &[], &world);
    let finish = Finish { job: 7, started: secs(500), at: secs(900) };
    shadow.advance(secs(1_000), &[arrival(7, 400)], &[finish], &world);
    // It takes its 400 s once its node is there.
    shadow.advance(secs(1_600), &[], &[], &world);
    assert_eq!(shadow.next_change(), secs(1_940));
}
