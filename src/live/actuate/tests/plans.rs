use super::{
    super::{
        ActuationSettings, DecisionId, Orders, Plan, PoolOrders, Position, Reason, Write, marks,
        plan, release_all, write::Restored,
    },
    world::{GROUP, LEAD, World, blank},
};
use crate::{
    live::{
        gpu_pool::{Backend, Mode, ScaleDownBy},
        look::{Autoscaler, Look, PoolNode, WaitingPod},
    },
    model::{
        NodeId,
        object::{Machine, Meta},
    },
    readiness::Readiness,
    time::{Millis, Timestamp},
};
use proptest::prelude::*;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn world() -> World {
    World::new(Backend::Replicas, ScaleDownBy::ClusterAutoscaler, true)
}

fn orders(create: u32, remove: &[u32]) -> Orders {
    let order = PoolOrders {
        create,
        remove: remove.iter().map(|&id| NodeId(id)).collect(),
        hold: Millis::from_mins(20),
        lead_p90: LEAD,
    };
    Orders { id: DecisionId { counter: 7, digest: "ab".to_owned() }, pools: vec![order] }
}

fn with(look: &Look, orders: &Orders) -> Plan {
    plan(NOW, orders, look, &ActuationSettings::default())
}

fn kinds(plan: &Plan) -> Vec<&'static str> {
    plan.writes.iter().map(|step| step.write.kind()).collect()
}

fn reasons(plan: &Plan) -> Vec<Reason> {
    plan.refusals.iter().map(|refusal| refusal.reason).collect()
}

fn ready(id: u32) -> PoolNode {
    let mut node = blank(NodeId(id));
    node.readiness = Readiness::Allocatable;
    node.node = Some(format!("n{id}"));
    node.node_version = "5".to_owned();
    node.machine = Some(Arc::new(Machine {
        meta: Meta { name: format!("m{id}"), namespace: "demo".to_owned(), ..Meta::default() },
        ..Machine::default()
    }));
    node
}

fn look_with(replicas: u32, nodes: Vec<PoolNode>) -> Look {
    let mut look = world().look();
    look.pools[0].target.as_mut().unwrap().deployment.replicas = Some(i64::from(replicas));
    look.pools[0].nodes = nodes;
    look
}

fn annotate(look: &mut Look, key: &str, value: &str) {
    let meta = &mut look.pools[0].target.as_mut().unwrap().deployment.meta;
    meta.annotations.insert(key.to_owned(), value.to_owned());
}

fn pod(name: &str, age: i64) -> WaitingPod {
    WaitingPod {
        namespace: "gpu".to_owned(),
        name: name.to_owned(),
        uid: name.to_owned(),
        resource_version: "9".to_owned(),
        created: NOW - Millis::from_secs(age),
        pool: Some(0),
        gpu_milli: 8000,
        scale_up_delay: None,
        is_delay_ours: false,
    }
}

#[test]
fn a_raise_notes_the_holds_first_and_stays_below_the_maximum() {
    let plan = with(&look_with(8, Vec::new()), &orders(5, &[]));
    assert_eq!(kinds(&plan), ["note_holds", "scale"]);
    assert!(matches!(plan.writes[1].write, Write::Scale { from: 8, to: 10, .. }));
    assert_eq!(reasons(&plan), [Reason::AtMaximum]);
    let full = with(&look_with(10, Vec::new()), &orders(1, &[]));
    assert!(full.writes.is_empty());
}

/// Makes a look one that must not be written on.
type Spoil = fn(&mut Look);

#[test]
fn everything_that_stands_against_a_raise_is_told() {
    let cases: [(Reason, Spoil); 6] = [
        (Reason::Paused, |look| look.pools[0].target.as_mut().unwrap().deployment.is_paused = true),
        (Reason::RollingOut, |look| look.pools[0].target.as_mut().unwrap().is_rolling_out = true),
        (Reason::TopologyOwned, |look| {
            look.pools[0].target.as_mut().unwrap().is_topology_owned = true;
        }),
        (Reason::BadAnnotation, |look| {
            look.pools[0].target.as_mut().unwrap().annotation_fault = Some("min > max".to_owned());
        }),
        (Reason::NoReplicas, |look| {
            look.pools[0].target.as_mut().unwrap().deployment.replicas = None;
        }),
        (Reason::TargetMissing, |look| look.pools[0].target = None),
    ];
    for (reason, spoil) in cases {
        let mut look = look_with(0, Vec::new());
        spoil(&mut look);
        let plan = with(&look, &orders(2, &[]));
        assert!(plan.writes.is_empty(), "{reason:?}: {:?}", kinds(&plan));
        assert_eq!(reasons(&plan), [reason]);
    }
}

#[test]
fn an_old_picture_or_a_switch_that_is_off_writes_nothing() {
    let mut look = look_with(0, Vec::new());
    let off = ActuationSettings { switch: Position::Off, ..ActuationSettings::default() };
    let plan_off = plan(NOW, &orders(2, &[]), &look, &off);
    assert!(plan_off.writes.is_empty());
    assert_eq!(reasons(&plan_off), [Reason::SwitchedOff]);
    look.snapshot.sight.view_age = Millis::from_secs(61);
    let stale = with(&look, &orders(2, &[]));
    assert!(stale.writes.is_empty());
    assert_eq!(reasons(&stale), [Reason::StaleLook]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is ordered and whatever the pool looks like: with nothing of ours in it, nothing is written.
    #[test]
    fn no_mode_but_active_writes(
        mode in prop::sample::select(vec![Mode::Off, Mode::Shadow, Mode::Advise]),
        backend in prop::sample::select(vec![Backend::Auto, Backend::Replicas, Backend::Floor]),
        by_us in any::<bool>(),
        create in 0_u32..9,
        nodes in 0_u32..5,
        is_busy in any::<bool>(),
        waits in 0_i64..4,
    ) {
        let mut some: Vec<PoolNode> = (0..nodes).map(ready).collect();
        for node in &mut some {
            node.pods = u32::from(is_busy);
        }
        let mut look = look_with(nodes, some);
        look.waiting = (0..waits).map(|age| pod(&format!("p{age}"), age)).collect();
        look.pools[0].spec.mode = mode;
        look.pools[0].spec.actuation.backend = backend;
        if by_us {
            look.pools[0].spec.actuation.scale_down = ScaleDownBy::Prewarm;
        }
        let plan = with(&look, &orders(create, &[0, 1, 2]));
        prop_assert!(plan.writes.is_empty(), "{:?}", plan.writes);
    }
}

#[test]
fn a_pool_that_is_not_active_any_more_gets_everything_taken_back() {
    let mut node = ready(1);
    node.hold_until = Some(NOW + Millis::from_hours(1));
    node.is_cordoned_by_us = true;
    Arc::make_mut(node.machine.as_mut().unwrap())
        .meta
        .annotations
        .insert(marks::MARKED.to_owned(), "6-ab".to_owned());
    let mut look = look_with(1, vec![node]);
    annotate(&mut look, marks::PENDING_HOLDS, "6-ab/1/2026-01-01T00:00:00Z/2036-01-01T00:00:00Z");
    annotate(&mut look, &marks::min_size(GROUP), "1");
    annotate(&mut look, marks::FLOOR, "1");
    annotate(&mut look, marks::USER_MIN, "0");
    annotate(&mut look, marks::FLOOR_UNTIL, "2036-01-01T00:00:00Z");
    look.pools[0].spec.mode = Mode::Shadow;
    let expected = ["release_node", "unmark_machine", "uncordon", "floor_restore", "note_holds"];
    let shadow = with(&look, &orders(3, &[]));
    assert_eq!(kinds(&shadow), expected);
    assert!(shadow.writes.iter().all(|step| step.write.is_undo()));
    look.pools[0].spec.mode = Mode::Active;
    let id = DecisionId::default();
    let all = release_all(NOW, id, &look, &ActuationSettings::default());
    assert_eq!(kinds(&all), expected);
}

#[test]
fn somebody_elses_hold_is_never_touched() {
    let mut node = ready(1);
    node.is_scale_down_disabled = true;
    let mut look = look_with(1, vec![node]);
    let id = DecisionId::default();
    let all = release_all(NOW, id, &look, &ActuationSettings::default());
    assert!(all.writes.is_empty());
    look.pools[0].spec.actuation.scale_down = ScaleDownBy::Prewarm;
    let plan = with(&look, &orders(0, &[1]));
    assert!(plan.writes.is_empty());
    assert_eq!(reasons(&plan), [Reason::HeldByOthers]);
}

#[test]
fn covered_pods_are_hidden_before_the_raise_until_the_last_node_should_be_there() {
    let mut look = look_with(0, Vec::new());
    let mut users = pod("users", 30);
    users.scale_up_delay = Some("5s".to_owned());
    look.waiting = vec![pod("old", 50), users, pod("new", 10), pod("uncovered", 5)];
    let plan = with(&look, &orders(3, &[]));
    assert_eq!(kinds(&plan), ["delay_pod", "delay_pod", "note_holds", "scale"]);
    let delays: Vec<(String, i64)> = plan
        .writes
        .iter()
        .filter_map(|step| match &step.write {
            Write::DelayPod { pod, delay, .. } => Some((pod.name.clone(), delay.0 / 1000)),
            _ => None,
        })
        .collect();
    // Lead time 560 s, margin 60 s, and the age the pod has already.
    assert_eq!(delays, [("old".to_owned(), 670), ("new".to_owned(), 630)]);
    assert_eq!(reasons(&plan), [Reason::AutoscalerMayBuyAgain]);
}

#[test]
fn pods_are_left_alone_where_autoscaler_cannot_buy_again() {
    let requests = vec!["MachineDeployment/demo/a100".to_owned()];
    for autoscaler in [
        Autoscaler::Absent,
        Autoscaler::Running {
            at: NOW - Millis::from_mins(11),
            requests: vec![],
            backed_off: vec![],
        },
        Autoscaler::Running { at: NOW, requests, backed_off: vec![] },
    ] {
        let mut look = look_with(0, Vec::new());
        look.waiting = vec![pod("p", 5)];
        look.autoscaler = autoscaler;
        let plan = with(&look, &orders(1, &[]));
        assert_eq!(kinds(&plan), ["note_holds", "scale"]);
        assert!(plan.refusals.is_empty());
    }
}

#[test]
fn a_delay_that_covers_nothing_is_taken_back() {
    let mut look = look_with(0, Vec::new());
    let mut ours = pod("ours", 50);
    ours.scale_up_delay = Some("600s".to_owned());
    ours.is_delay_ours = true;
    look.waiting = vec![ours.clone()];
    look.delayed_pods = vec![WaitingPod { name: "placed".to_owned(), ..ours }];
    let plan = with(&look, &orders(0, &[]));
    assert_eq!(kinds(&plan), ["undelay_pod", "undelay_pod"]);
}

fn floor_look(replicas: u32, floor: u32, since: i64) -> Look {
    let mut look = look_with(replicas, Vec::new());
    look.pools[0].spec.actuation.backend = Backend::Floor;
    look.pools[0].target.as_mut().unwrap().autoscaler_limits = Some((floor, 10));
    annotate(&mut look, &marks::min_size(GROUP), &floor.to_string());
    annotate(&mut look, marks::FLOOR, &floor.to_string());
    annotate(&mut look, marks::USER_MIN, "1");
    annotate(&mut look, marks::FLOOR_SINCE, &marks::rfc3339(NOW - Millis::from_secs(since)));
    annotate(&mut look, marks::FLOOR_UNTIL, &marks::rfc3339(NOW + Millis::from_hours(1)));
    look
}

#[test]
fn a_floor_remembers_the_users_minimum_and_is_written_once() {
    let mut look = look_with(2, Vec::new());
    look.pools[0].spec.actuation.backend = Backend::Floor;
    let first = with(&look, &orders(3, &[]));
    assert_eq!(kinds(&first), ["floor"]);
    assert!(matches!(
        first.writes[0].write,
        Write::Floor { from: 0, to: 5, user_min: Some(0), .. }
    ));
    let again = with(&floor_look(2, 5, 20), &orders(3, &[]));
    assert!(again.writes.is_empty(), "{:?}", again.writes);
    let more = with(&floor_look(2, 5, 20), &orders(6, &[]));
    assert!(matches!(more.writes[0].write, Write::Floor { from: 5, to: 8, user_min: Some(1), .. }));
    let above = with(&floor_look(2, 5, 20), &orders(60, &[]));
    assert!(matches!(above.writes[0].write, Write::Floor { to: 10, .. }));
}

#[test]
fn a_floor_nobody_acts_on_is_followed_by_replicas() {
    let plan = with(&floor_look(2, 5, 61), &orders(3, &[]));
    assert_eq!(kinds(&plan), ["note_holds", "scale"]);
    assert!(matches!(plan.writes[1].write, Write::Scale { from: 2, to: 5, .. }));
}

#[test]
fn a_floor_that_nodes_do_not_reach_goes_down_in_time() {
    let late = with(&floor_look(5, 5, 601), &orders(0, &[]));
    let Write::FloorRestore { min, .. } = &late.writes[0].write else {
        panic!("{:?}", late.writes)
    };
    assert_eq!(*min, Restored::To(1));
    let mut failed = floor_look(5, 5, 20);
    let mut machine = ready(3);
    machine.readiness = Readiness::Failed("no capacity".to_owned());
    failed.pools[0].nodes = vec![machine];
    assert_eq!(kinds(&with(&failed, &orders(0, &[]))), ["floor_restore"]);
    let with_need = with(&failed, &orders(1, &[]));
    assert_eq!(kinds(&with_need), ["floor_restore", "note_holds", "scale"]);
    assert_eq!(reasons(&with_need), [Reason::FloorNotUsed]);
}

#[test]
fn a_minimum_somebody_changed_since_is_theirs() {
    let mut look = floor_look(5, 5, 20);
    annotate(&mut look, &marks::min_size(GROUP), "4");
    annotate(&mut look, marks::FLOOR_UNTIL, &marks::rfc3339(NOW));
    let plan = with(&look, &orders(0, &[]));
    let Write::FloorRestore { min, .. } = &plan.writes[0].write else {
        panic!("{:?}", plan.writes)
    };
    assert_eq!(*min, Restored::Untouched);
}

fn by_us(replicas: u32, nodes: Vec<PoolNode>) -> Look {
    let mut look = look_with(replicas, nodes);
    look.pools[0].spec.actuation.scale_down = ScaleDownBy::Prewarm;
    look
}

#[test]
fn a_node_goes_in_three_steps_and_never_with_work_on_it() {
    let remove = orders(0, &[1]);
    assert_eq!(kinds(&with(&by_us(2, vec![ready(1), ready(2)]), &remove)), ["cordon"]);
    let mut closed = ready(1);
    closed.is_cordoned_by_us = true;
    closed.is_unschedulable = true;
    let plan = with(&by_us(2, vec![closed.clone(), ready(2)]), &remove);
    assert_eq!(kinds(&plan), ["mark_machine", "scale"]);
    let mut busy = closed.clone();
    busy.pods = 1;
    assert_eq!(kinds(&with(&by_us(2, vec![busy, ready(2)]), &remove)), ["uncordon"]);
    // Replicas are down already, the Machine is still there: nothing is done twice and nothing undone.
    let machine = Arc::make_mut(closed.machine.as_mut().unwrap());
    machine.meta.annotations.insert(marks::MARKED.to_owned(), "6-ab".to_owned());
    for order in [&remove, &orders(0, &[])] {
        assert!(with(&by_us(1, vec![closed.clone(), ready(2)]), order).writes.is_empty());
    }
    // Half done, and not wanted any more.
    let half = with(&by_us(2, vec![closed, ready(2)]), &orders(0, &[]));
    assert_eq!(kinds(&half), ["unmark_machine", "uncordon"]);
}

#[test]
fn the_minimum_keeps_nodes() {
    let mut look = by_us(2, vec![ready(1), ready(2)]);
    look.pools[0].spec.limits.min_replicas = Some(1);
    let plan = with(&look, &orders(0, &[1, 2]));
    assert_eq!(kinds(&plan), ["cordon"]);
    assert_eq!(reasons(&plan), [Reason::AtMinimum]);
}

#[test]
fn a_node_on_its_way_is_cancelled_without_a_cordon() {
    let mut coming = ready(1);
    coming.node = None;
    coming.readiness = Readiness::Provisioning;
    let plan = with(&by_us(2, vec![coming, ready(2)]), &orders(0, &[1]));
    assert_eq!(kinds(&plan), ["mark_machine", "scale"]);
}

#[test]
fn without_autoscaler_nobody_removes_for_it() {
    let mut look = look_with(1, vec![ready(1)]);
    look.autoscaler = Autoscaler::Absent;
    let plan = with(&look, &orders(0, &[1]));
    assert!(plan.writes.is_empty());
    assert_eq!(reasons(&plan), [Reason::NobodyRemoves]);
}

#[test]
fn what_is_taken_back_of_a_touched_node_is_the_touch_and_not_what_others_keep_it_with() {
    let mut node = ready(1);
    (node.is_touched, node.is_scale_down_disabled) = (true, true);
    let look = look_with(1, vec![node]);
    let id = DecisionId { counter: 1, digest: "d".to_owned() };
    let all = release_all(NOW, id, &look, &ActuationSettings::default());
    let released = all.writes.iter().filter_map(|step| match &step.write {
        Write::ReleaseNode { is_held, forget, .. } => Some((*is_held, *forget)),
        _ => None,
    });
    assert_eq!(released.collect::<Vec<_>>(), [(false, true)]);
}
