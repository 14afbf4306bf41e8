//! What holds of a decision whatever the picture it is made from.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use prewarm::world::{Setup, run_controlled};
use prewarm::{
    engine::{Decision, Memory, Settings, SignalSettings, check, decide},
    model::{
        Action, Arrival, Finish, Free, NodeId, NodeSnapshot, NodeStage, Occurrence, OwnerId, Pool,
        PoolSnapshot, Queued, ReadValue, Reading, Shape, ShapeId, Sight, Snapshot, Waiting,
    },
    strategy::candidates,
    time::{Millis, Timestamp},
};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use support::{engine::Checked, job, setup, trace};

const NOW: Timestamp = Timestamp::from_secs(100_000);

/// A node of 8 GPUs: how far it is, and of what is allocatable how much is in use.
fn node(stage: NodeStage, allocatable: u32, used: u32) -> NodeSnapshot {
    let gpus = match stage {
        NodeStage::Requested => 0,
        NodeStage::Warming => allocatable.min(7),
        NodeStage::Usable => 8,
    };
    let used = used.min(gpus);
    let is_idle = stage == NodeStage::Usable && used == 0;
    NodeSnapshot {
        id: NodeId(0),
        stage,
        since: NOW - Millis::from_secs(5),
        gpus,
        free: Free { gpus: gpus - used, ..Free::default() },
        idle_since: is_idle.then_some(NOW - Millis::from_secs(5)),
    }
}

fn nodes() -> impl Strategy<Value = Vec<NodeSnapshot>> {
    let stage =
        prop_oneof![Just(NodeStage::Requested), Just(NodeStage::Warming), Just(NodeStage::Usable)];
    let node = (stage, 0u32..8, 0u32..9).prop_map(|(stage, gpus, used)| node(stage, gpus, used));
    prop::collection::vec(node, 0..8)
}

/// Waiting jobs: powers of two, with which packing largest first is exact.
fn waiting() -> impl Strategy<Value = Vec<(u32, u32)>> {
    let gpus = prop_oneof![Just(1u32), Just(2), Just(4), Just(8), Just(16)];
    prop::collection::vec((gpus, 1u32..5), 0..6)
}

fn picture(nodes: &[NodeSnapshot], waiting: &[(u32, u32)]) -> Snapshot {
    let shapes: Vec<Shape> = (1..=32).map(Shape::whole_gpus).collect();
    let nodes: Vec<NodeSnapshot> = (0..)
        .zip(nodes)
        .map(|(id, node)| NodeSnapshot { id: NodeId(id), ..node.clone() })
        .collect();
    let free: u32 = nodes.iter().map(|node| node.gpus - node.free.gpus).sum();
    let waiting = waiting.iter().map(|&(gpus, units)| Waiting {
        jobs: vec![ShapeId(gpus - 1)],
        units,
        oldest: NOW,
    });
    Snapshot {
        waiting: waiting.collect(),
        pools: vec![PoolSnapshot {
            nodes,
            running_milli: u64::from(free) * 1000,
            ..PoolSnapshot::default()
        }],
        shapes: Arc::from(shapes),
        ..Snapshot::default()
    }
}

fn settings(kappa: f64) -> Settings {
    Settings::new([Pool::new("p", 8)], kappa)
}

fn first_decision(snapshot: &Snapshot, settings: &Settings) -> Decision {
    decide(NOW, snapshot, settings, &mut Memory::new(settings))
}

fn created(snapshot: &Snapshot) -> (u32, u32) {
    let why = first_decision(snapshot, &settings(1.0)).why.remove(0);
    (why.create, why.target_nodes)
}

/// The picture after the actions were carried out and nothing else happened.
fn carried_out(mut snapshot: Snapshot, actions: &[Action], now: Timestamp) -> Snapshot {
    for pool in &mut snapshot.pools {
        (pool.arrivals, pool.finishes) = (Vec::new(), Vec::new());
    }
    for action in actions {
        match *action {
            Action::Create { pool, nodes } => {
                let told = &mut snapshot.pools[pool as usize].nodes;
                let first = told.last().map_or(0, |node| node.id.0 + 1);
                told.extend((0..nodes).map(|nth| NodeSnapshot {
                    id: NodeId(first + nth),
                    since: now,
                    ..node(NodeStage::Requested, 0, 0)
                }));
            }
            Action::Remove { pool, node } => {
                snapshot.pools[pool as usize].nodes.retain(|other| other.id != node);
            }
        }
    }
    snapshot
}

/// Limits that come in steps and the credit, which grows with time, are out of the way.
fn generous(kappa: f64) -> Settings {
    let mut settings = settings(kappa);
    let pool = &mut settings.pools[0];
    (pool.steps.up_least, pool.steps.max_in_flight) = (1_000, Some(1_000));
    pool.ledger.capacity_node_ms = Millis::from_hours(100_000).0;
    settings
}

/// What a day of bursts has taught up to a quarter of an hour before [`NOW`]; shapes as in [`picture`].
fn taught(kappa: f64) -> String {
    let rows = (0..140).flat_map(|burst| {
        let gpus = 1 + burst % 8;
        (0..=burst % 3).map(move |_| job(i64::from(burst) * 700, 1_800, gpus))
    });
    let rows: Vec<_> = rows.collect();
    let setup =
        Setup { pools: vec![Pool::new("p", 8)], end: NOW - Millis::from_mins(15), ..setup() };
    let mut engine = Checked::new(generous(kappa));
    run_controlled(&trace(&rows), &setup, &mut engine, &|_| true);
    engine.memory.keep().unwrap()
}

static TAUGHT: LazyLock<[(f64, String); 2]> =
    LazyLock::new(|| [20.0, 1.0].map(|kappa| (kappa, taught(kappa))));

/// A new memory, or one that has learned.
fn memory(settings: &Settings, is_warm: bool) -> Memory {
    let same =
        |(kappa, _): &&(f64, String)| kappa.total_cmp(&settings.pools[0].kappa.default).is_eq();
    match TAUGHT.iter().find(same).filter(|_| is_warm) {
        Some((_, kept)) => Memory::restore(kept, settings).unwrap(),
        None => Memory::new(settings),
    }
}

#[test]
fn a_warm_memory_wants_something() {
    let mut settings = generous(20.0);
    let rule = "quantile:0.95,by=burst,unit=nodes,keep=0.99,idle=5m";
    settings.pools[0].pinned = candidates(20.0).iter().position(|all| all.to_string() == rule);
    assert!(settings.pools[0].pinned.is_some());
    let why =
        decide(NOW, &picture(&[], &[]), &settings, &mut memory(&settings, true)).why.remove(0);
    assert!(why.speculative.spare_nodes > 0, "{why:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Whatever strategy is followed and whatever was learned: what was asked for is not asked for again.
    #[test]
    fn deciding_again_asks_for_nothing_new(
        nodes in nodes(), waiting in waiting(), candidate in 0usize..64, max in prop::option::of(0u32..30),
        signal in 0u32..4, is_warm: bool,
    ) {
        let mut settings = generous(20.0);
        let pool = &mut settings.pools[0];
        pool.signals.push(SignalSettings::new("s"));
        pool.pinned = Some(candidate % candidates(20.0).len());
        pool.pool.max_nodes = max;
        let mut memory = memory(&settings, is_warm);
        let mut snapshot = picture(&nodes, &waiting);
        snapshot.pools[0].signals.push(reading("s", f64::from(signal) * 8.0));
        let first = decide(NOW, &snapshot, &settings, &mut memory);
        let mut snapshot = carried_out(snapshot, &first.actions, NOW);
        for secs in [0, 1, 16] {
            let again = decide(NOW + Millis::from_secs(secs), &snapshot, &settings, &mut memory);
            prop_assert_eq!(again.why[0].create, 0, "after {} s, first {:?}", secs, first.why);
            snapshot = carried_out(snapshot, &again.actions, NOW);
        }
    }

    #[test]
    fn one_more_waiting_job_never_lowers_what_is_asked_for(
        nodes in nodes(), mut waiting in waiting(), more in prop_oneof![Just(1u32), Just(4), Just(8)],
    ) {
        let before = created(&picture(&nodes, &waiting));
        waiting.push((more, 1));
        let after = created(&picture(&nodes, &waiting));
        prop_assert!(after.0 >= before.0 && after.1 >= before.1, "{:?} then {:?}", before, after);
    }

    #[test]
    fn one_more_node_on_its_way_never_raises_what_is_asked_for(
        mut nodes in nodes(), waiting in waiting(), warm in prop::option::of(0u32..8),
    ) {
        let (before, _) = created(&picture(&nodes, &waiting));
        let stage = if warm.is_some() { NodeStage::Warming } else { NodeStage::Requested };
        nodes.push(node(stage, warm.unwrap_or(0), 0));
        let (after, _) = created(&picture(&nodes, &waiting));
        prop_assert!(after <= before && before <= after + 1, "{} then {}", before, after);
    }

    /// Any sizes, not only those that pack exactly.
    #[test]
    fn order_does_not_matter(
        nodes in nodes(), waiting in prop::collection::vec((1u32..20, 1u32..4), 0..7),
        kappa in prop_oneof![Just(1.0), Just(20.0)], turn in 0usize..8,
    ) {
        let target = |nodes: &[NodeSnapshot], waiting: &[(u32, u32)]| {
            let decision = first_decision(&picture(nodes, waiting), &settings(kappa));
            (decision.why[0].create, decision.why[0].target_nodes)
        };
        let before = target(&nodes, &waiting);
        let (mut other_nodes, mut other_waiting) = (nodes.clone(), waiting.clone());
        let nodes_by = turn % nodes.len().max(1);
        other_nodes.rotate_left(nodes_by);
        other_waiting.reverse();
        prop_assert_eq!(target(&other_nodes, &other_waiting), before);
    }

    /// As many nodes on their way as jobs of a whole node wait, however far each has come.
    #[test]
    fn a_node_on_its_way_is_credited_exactly_once(
        stages in prop::collection::vec(prop::option::of(0u32..8), 1..9), more in 0u32..4,
    ) {
        let nodes: Vec<NodeSnapshot> = stages.iter().map(|warm| match warm {
            Some(gpus) => node(NodeStage::Warming, *gpus, 0),
            None => node(NodeStage::Requested, 0, 0),
        }).collect();
        let units = nodes.len() as u32 + more;
        let (create, target) = created(&picture(&nodes, &[(8, units)]));
        prop_assert_eq!((create, target), (more, units));
        // The same work in small pieces.
        let (create, _) = created(&picture(&nodes, &[(1, units * 8)]));
        prop_assert_eq!(create, more);
    }

    #[test]
    fn where_waiting_costs_no_more_than_idling_nothing_is_ahead_of_demand(
        nodes in nodes(), waiting in waiting(), kappa in 0.0f64..=1.0, candidate in 0usize..64,
    ) {
        let mut settings = settings(kappa);
        settings.pools[0].signals.push(SignalSettings::new("s"));
        settings.pools[0].pinned = Some(candidate % candidates(kappa).len());
        let mut snapshot = picture(&nodes, &waiting);
        snapshot.pools[0].signals.push(reading("s", 72.0));
        let occurrence =
            Occurrence { start: NOW, duration: Millis::from_hours(1), nodes: 9, chance: 1.0 };
        snapshot.pools[0].scheduled.push(occurrence);
        let why = first_decision(&snapshot, &settings).why.remove(0);
        prop_assert_eq!((why.guarded.allowed_nodes, why.create), (0, why.firm.nodes));
    }

    /// What a reactive controller would have is there, and no more.
    #[test]
    fn the_same_holds_of_a_memory_that_has_learned(
        nodes in nodes(), waiting in waiting(), candidate in 0usize..64,
    ) {
        let mut settings = generous(1.0);
        settings.pools[0].pinned = Some(candidate % candidates(1.0).len());
        let snapshot = picture(&nodes, &waiting);
        let mut memory = memory(&settings, true);
        let why = decide(NOW, &snapshot, &settings, &mut memory).why.remove(0);
        prop_assert_eq!(why.guarded.allowed_nodes, 0);
        let least = why.guarded.shadow_nodes.max(nodes.len() as u32 + why.firm.nodes);
        prop_assert!(why.target_nodes <= least, "{:?}", why);
    }
}

fn reading(name: &str, units: f64) -> Reading {
    Reading { name: name.into(), at: NOW, value: ReadValue::Units(units) }
}

fn any_value() -> impl Strategy<Value = ReadValue> {
    prop_oneof![
        4 => (0.0f64..100.0).prop_map(ReadValue::Units),
        2 => any::<f64>().prop_map(ReadValue::Units),
        1 => prop_oneof![Just(ReadValue::Absent), Just(ReadValue::Absurd)],
    ]
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        4 => (0i64..200_000).prop_map(Timestamp::from_secs),
        1 => prop_oneof![Just(Timestamp::NEVER), Just(Timestamp(i64::MIN)), Just(Timestamp::ZERO)],
    ]
}

fn any_count() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0u32..20, 1 => Just(1_000_000), 1 => Just(u32::MAX)]
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let counts = (any_count(), any_count(), 0u16..1_200, any::<i32>());
    (counts, any_count(), any_count()).prop_map(|((workers, gpus, milli, priority), cpu, mib)| {
        let gpu_milli = if milli < 800 { 1000 } else { milli };
        Shape {
            priority,
            workers: if workers > 20 { workers } else { workers.min(2) },
            gpu_milli,
            cpu_milli: cpu,
            memory_mib: mib,
            ..Shape::whole_gpus(gpus)
        }
    })
}

fn any_node() -> impl Strategy<Value = NodeSnapshot> {
    let stage =
        prop_oneof![Just(NodeStage::Requested), Just(NodeStage::Warming), Just(NodeStage::Usable)];
    let free = (any_count(), prop::collection::vec(0u16..1_200, 0..12), any_count()).prop_map(
        |(gpus, shared, cpu)| Free { gpus, shared, cpu_milli: Some(cpu), memory_mib: None },
    );
    (stage, any_time(), any_count(), free, prop::option::of(any_time())).prop_map(
        |(stage, since, gpus, free, idle_since)| NodeSnapshot {
            id: NodeId(0),
            stage,
            since,
            gpus,
            free,
            idle_since,
        },
    )
}

fn any_jobs() -> impl Strategy<Value = Vec<ShapeId>> {
    prop::collection::vec((0u32..8).prop_map(ShapeId), 0..4)
}

fn any_pool() -> impl Strategy<Value = PoolSnapshot> {
    let arrival = (0u32..30, any_time(), 0u32..8, any_count(), any::<bool>()).prop_map(
        |(job, at, shape, milli, is_running)| Arrival {
            job,
            at,
            shape: ShapeId(shape),
            owner: OwnerId(job % 3),
            gpu_milli: u64::from(milli),
            is_running,
        },
    );
    let finish = (0u32..30, any_time(), any_time()).prop_map(|(job, started, at)| Finish {
        job,
        started,
        at,
    });
    let queued = (any_jobs(), any_count(), -0.5f64..1.5).prop_map(|(jobs, units, chance)| Queued {
        jobs,
        units,
        chance,
    });
    let scheduled = (any_time(), any_time(), any_count(), any::<f64>()).prop_map(
        |(start, span, nodes, chance)| Occurrence {
            start,
            duration: Millis(span.0),
            nodes,
            chance,
        },
    );
    let signal = (any_time(), any_value(), any::<bool>()).prop_map(|(at, value, is_queue)| {
        let name = if is_queue { "queue" } else { "users" };
        Reading { name: name.into(), at, value }
    });
    (
        prop::collection::vec(any_node(), 0..9),
        (prop::collection::vec(arrival, 0..9), prop::collection::vec(finish, 0..9)),
        (prop::collection::vec(queued, 0..2), any::<u32>(), any::<bool>()),
        prop::collection::vec(scheduled, 0..2),
        prop::collection::vec(signal, 0..4),
    )
        .prop_map(
            |(
                mut nodes,
                (arrivals, finishes),
                (queued, milli, was_refused),
                scheduled,
                signals,
            )| {
                (0..).zip(&mut nodes).for_each(|(id, node)| node.id = NodeId(id * 3));
                PoolSnapshot {
                    nodes,
                    running_milli: u64::from(milli),
                    arrivals,
                    finishes,
                    was_refused,
                    queued,
                    scheduled,
                    signals,
                    signal_pasts: Vec::new(),
                }
            },
        )
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let waiting = (any_jobs(), any_count(), any_time()).prop_map(|(jobs, units, oldest)| Waiting {
        jobs,
        units,
        oldest,
    });
    let sight = (any_time(), any::<bool>())
        .prop_map(|(view, api_fails)| Sight { view_age: Millis(view.0 / 500), api_fails });
    (
        prop::collection::vec(any_pool(), 0..4),
        prop::collection::vec(waiting, 0..5),
        prop::collection::vec(any_shape(), 0..6),
        sight,
    )
        .prop_map(|(pools, waiting, shapes, sight)| Snapshot {
            pools,
            waiting,
            shapes: Arc::from(shapes),
            sight,
            replays: Vec::new(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Nothing panics, whatever is seen: unknown shapes, shapes larger than nodes, more free than there
    /// is, huge counts, time that goes backwards. Limits hold all the same.
    #[test]
    fn any_picture_gets_a_decision_within_the_limits(
        looks in prop::collection::vec((any_snapshot(), any_time()), 1..4),
        max in 0u32..50, max_nodes in prop::option::of(0u32..50), shared in any::<bool>(),
        kappa in prop_oneof![Just(0.0), Just(20.0), Just(1e9)],
    ) {
        let pool = |name: &str| Pool {
            max_nodes: Some(max),
            cpu_milli: shared.then_some(64_000),
            ..Pool::new(name, 8)
        };
        let mut settings = Settings { max_nodes, ..Settings::new([pool("a"), pool("b")], kappa) };
        settings.pools[0].signals = ["queue", "users"].map(SignalSettings::new).into();
        let mut memory = Memory::new(&settings);
        for (snapshot, now) in looks {
            let now = Timestamp(now.0.clamp(0, 1 << 50));
            let decision = decide(now, &snapshot, &settings, &mut memory);
            let faults = check(now, &snapshot, &settings, &decision);
            prop_assert!(faults.is_empty(), "{:?}", faults);
        }
    }
}
