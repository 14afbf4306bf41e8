//! Pods: which are demand, in what order, what came and went.

use super::*;
use crate::model::{Arrival, Finish, OwnerId};

/// A look with one pool of nodes with 8 GPUs and these pods.
fn with(pods: impl IntoIterator<Item = Pod>) -> Look {
    let pods = pods.into_iter().map(Event::from);
    look(&mut index(one_node().into_iter().chain(pods)), 400)
}

fn names(look: &Look) -> Vec<&str> {
    look.waiting.iter().map(|pod| pod.name.as_str()).collect()
}

/// GPUs of each waiting unit, in order.
fn units(look: &Look) -> Vec<(Vec<u32>, u32)> {
    let gpus = |one: &crate::model::ShapeId| look.snapshot.shapes[one.0 as usize].gpus;
    let unit = |one: &crate::model::Waiting| (one.jobs.iter().map(gpus).collect(), one.units);
    look.snapshot.waiting.iter().map(unit).collect()
}

#[test]
fn recorded_pods_are_demand_or_not() {
    // Waits in the snapshot; waits and fits no pool; held back.
    let cases = [
        ("pod-pending-gated", 0, 0, 1),
        ("pod-pending-nominated-after-preemption", 0, 0, 0),
        ("pod-pending-scheduler-error", 1, 0, 0),
        ("pod-pending-unschedulable-extender-rejects", 1, 0, 0),
        // 16 GPUs: no node has them, and a pod is not split over two.
        ("pod-pending-unschedulable-insufficient-gpu", 0, 1, 0),
        ("pod-pending-unschedulable-selector", 0, 1, 0),
        ("pod-preempted-victim", 0, 0, 0),
        ("pod-running", 0, 0, 0),
        ("pod-scheduled-not-started", 0, 0, 0),
        ("pod-succeeded", 0, 0, 0),
    ];
    for (name, waiting, homeless, queued) in cases {
        let Some(pod) = recorded::<Pod>(name) else { return };
        let mut events = one_node();
        events.push(node("gpu-ok", 300, 8).into());
        events.push(pod.into());
        let look = look(&mut index(events), 400);
        assert_eq!(look.snapshot.waiting.len(), waiting, "{name}");
        assert_eq!(reasons(&look).contains(&"FitsNoPool"), homeless == 1, "{name}");
        assert_eq!(look.waiting.len(), waiting + homeless, "{name}");
        let held = &look.snapshot.pools[0].queued;
        assert_eq!(held.len(), queued, "{name}");
        assert!(held.iter().all(|one| (one.chance - 0.5).abs() < 1e-12));
    }
}

#[test]
fn a_pod_is_demand_before_the_scheduler_has_seen_it() {
    let unseen = Pod { unscheduled: Some(Unscheduled::NotSeen), ..pod("p", 399, 2) };
    assert_eq!(names(&with([unseen])), ["p"]);
}

#[test]
fn what_belongs_to_every_node_or_may_be_evicted_is_no_demand() {
    let owned = |kind: &str| {
        let mut one = pod(kind, 1, 1);
        one.meta.owner = Some(Owner { kind: kind.into(), ..Owner::default() });
        one
    };
    let expendable = Pod { priority: -11, ..pod("expendable", 1, 1) };
    let mut placeholder = pod("placeholder", 1, 1);
    placeholder.meta.labels = strings(&[("prewarm.dev/placeholder", "")]);
    let least = Pod { priority: -10, ..pod("least", 1, 1) };
    let look = with([owned("DaemonSet"), owned("Node"), expendable, placeholder, least]);
    assert_eq!(names(&look), ["least"]);
    assert_eq!(look.snapshot.pools[0].arrivals.len(), 1);
}

#[test]
fn units_are_served_by_priority_then_age_and_gangs_are_one() {
    let gang = |name: &str, created| {
        let gang = Some(Gang { name: "g".into(), min_members: Some(2) });
        Pod { gang, ..pod(name, created, 8) }
    };
    let urgent = Pod { priority: 100, ..pod("urgent", 30, 2) };
    let look = with([
        pod("new", 20, 1),
        gang("g0", 5),
        gang("g1", 6),
        pod("old", 1, 4),
        urgent,
        pod("same", 10, 1),
    ]);
    assert_eq!(units(&look), [(vec![2], 1), (vec![4], 1), (vec![8, 8], 1), (vec![1], 2)]);
    assert_eq!(look.snapshot.waiting[3].oldest, secs(10));
    assert_eq!(look.pools[0].pending_gpus, 1 + 8 + 8 + 4 + 2 + 1);
    assert_eq!(names(&look), ["old", "g0", "g1", "same", "new", "urgent"], "oldest first");
}

#[test]
fn a_gang_of_which_one_fits_nowhere_asks_for_nothing() {
    let gang = |name: &str, gpus| {
        let gang = Some(Gang { name: "g".into(), min_members: None });
        Pod { gang, ..pod(name, 1, gpus) }
    };
    let look = with([gang("g0", 8), gang("g1", 9)]);
    assert!(look.snapshot.waiting.is_empty());
    assert_eq!(reasons(&look), ["FitsNoPool"]);
}

#[test]
fn arrivals_and_finishes_are_told_once_with_one_number() {
    let mut index = index(one_node());
    look(&mut index, 400);
    let mut job = pod("p", 405, 2);
    job.meta.owner = Some(Owner { uid: "job".into(), ..Owner::default() });
    index.apply(job.clone().into());
    let told = look(&mut index, 410).snapshot.pools[0].clone();
    let [arrival] = told.arrivals[..] else { panic!("{:?}", told.arrivals) };
    let Arrival { job: number, at, owner, gpu_milli, is_running, .. } = arrival;
    assert_eq!((at, owner, gpu_milli, is_running), (secs(405), OwnerId(1), 2000, false));
    index.apply(bound(job.clone(), "n1", 412).into());
    assert!(look(&mut index, 420).snapshot.pools[0].arrivals.is_empty());
    let done =
        Pod { phase: PodPhase::Succeeded, finished_at: Some(secs(425)), ..bound(job, "n1", 412) };
    index.apply(done.into());
    let told = look(&mut index, 430).snapshot.pools[0].clone();
    let [finish] = told.finishes[..] else { panic!("{:?}", told.finishes) };
    assert_eq!((finish.job, finish.started, finish.at), (number, secs(412), secs(425)));
    index.apply(Event::PodGone { namespace: "ml".into(), name: "p".into(), uid: String::new() });
    assert!(look(&mut index, 440).snapshot.pools[0].finishes.is_empty());
}

#[test]
fn what_came_and_went_between_two_looks_is_told() {
    let mut index = index(one_node());
    look(&mut index, 400);
    index.apply(bound(pod("p", 402, 2), "n1", 403).into());
    index.apply(Event::PodGone {
        namespace: "ml".into(),
        name: "p".into(),
        uid: "uid-of-p".into(),
    });
    let told = look(&mut index, 410).snapshot.pools[0].clone();
    assert_eq!((told.arrivals.len(), told.finishes.len()), (1, 1));
    assert_eq!(told.finishes[0].started, secs(403));
}

#[test]
fn a_pod_made_anew_under_its_name_is_another_job() {
    let mut index = index(one_node());
    index.apply(bound(pod("p", 1, 2), "n1", 2).into());
    assert_eq!(look(&mut index, 400).snapshot.pools[0].arrivals.len(), 1);
    let mut anew = pod("p", 405, 4);
    anew.meta.uid = "another".into();
    index.apply(anew.into());
    // Late news of the first.
    index.apply(Event::PodGone {
        namespace: "ml".into(),
        name: "p".into(),
        uid: "uid-of-p".into(),
    });
    let told = look(&mut index, 410);
    assert_eq!(names(&told), ["p"]);
    let pool = &told.snapshot.pools[0];
    assert_eq!((pool.arrivals.len(), pool.finishes.len()), (1, 1));
}

#[test]
fn a_released_gate_is_an_arrival_of_now() {
    let mut index = index(one_node());
    let gated = Pod { unscheduled: Some(Unscheduled::Gated), ..pod("p", 1, 2) };
    index.apply(gated.into());
    let held = look(&mut index, 400);
    assert_eq!(
        (held.snapshot.pools[0].arrivals.len(), held.snapshot.pools[0].queued.len()),
        (0, 1)
    );
    index.apply(pod("p", 1, 2).into());
    let told = look(&mut index, 410);
    assert_eq!(told.snapshot.pools[0].arrivals[0].at, secs(410));
    assert!(told.snapshot.pools[0].queued.is_empty());
}

/// A GPU node without a Machine.
fn foreign(name: &str) -> Node {
    Node { provider_id: format!("aws:///zone/of-nobody/{name}-instance"), ..node(name, 0, 8) }
}

#[test]
fn what_runs_on_nodes_of_nobody_is_no_pools_demand() {
    let on = |name: &str, node: &str| Event::from(bound(pod(name, 1, 8), node, 2));
    let mut events = one_node();
    events.extend([foreign("foreign").into(), on("theirs", "foreign"), on("ours", "n1")]);
    let look = look(&mut index(events), 400);
    assert_eq!(look.snapshot.pools[0].arrivals.len(), 1);
}

#[test]
fn a_pod_that_found_its_place_elsewhere_leaves_the_pool_without_having_run() {
    let mut index = index(one_node().into_iter().chain([foreign("foreign").into()]));
    tell(&mut index, [pod("p", 390, 8).into()]);
    let first = look(&mut index, 400);
    assert_eq!(names(&first), ["p"]);
    let job = first.snapshot.pools[0].arrivals[0].job;
    tell(&mut index, [bound(pod("p", 390, 8), "foreign", 405).into()]);
    let second = look(&mut index, 410);
    let left = Finish { job, started: secs(405), at: secs(405) };
    assert_eq!(second.snapshot.pools[0].finishes, [left]);
    assert!(second.snapshot.pools[0].arrivals.is_empty() && second.waiting.is_empty());
    tell(
        &mut index,
        [Event::PodGone { namespace: "ml".into(), name: "p".into(), uid: String::new() }],
    );
    assert!(look(&mut index, 420).snapshot.pools[0].finishes.is_empty());
}

#[test]
fn a_pod_that_waited_for_one_pool_and_runs_in_another_moves_there() {
    let mut events = one_node();
    events.extend([
        deployment("b100", 1).into(),
        machine("n2", "b100", 10).into(),
        node("n2", 20, 8).into(),
        pod("p", 390, 8).into(),
    ]);
    let mut index = index(events);
    let first = look(&mut index, 400);
    let (from, to) = if first.snapshot.pools[0].arrivals.is_empty() { (1, 0) } else { (0, 1) };
    let other = if from == 0 { "n2" } else { "n1" };
    tell(&mut index, [bound(pod("p", 390, 8), other, 405).into()]);
    let second = look(&mut index, 410);
    assert_eq!(second.snapshot.pools[from].finishes.len(), 1);
    let moved = &second.snapshot.pools[to].arrivals;
    assert_eq!(moved.len(), 1);
    let shape = &second.snapshot.shapes[moved[0].shape.0 as usize];
    assert!(crate::packing::split(shape, &second.settings.pools[to].pool).is_some());
    assert_eq!(second.snapshot.pools[to].running_milli, 8000);
}

#[test]
fn a_pod_that_may_fit_nodes_of_nobody_counts_once_the_scheduler_has_spoken() {
    let unseen = Pod { unscheduled: Some(Unscheduled::NotSeen), ..pod("p", 399, 2) };
    let events = one_node().into_iter().chain([foreign("foreign").into(), unseen.into()]);
    let mut index = index(events);
    let first = look(&mut index, 400);
    assert!(first.waiting.is_empty() && first.snapshot.pools[0].arrivals.is_empty());
    tell(&mut index, [pod("p", 399, 2).into()]);
    let second = look(&mut index, 401);
    assert_eq!(names(&second), ["p"]);
    assert_eq!(second.snapshot.pools[0].arrivals.len(), 1);
}
