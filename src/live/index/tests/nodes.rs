//! Nodes: readiness of recorded ones, what is free, when they are idle, to whom they belong.

use super::*;
use crate::model::NodeStage;

/// The recorded node with the recorded machine and deployment, on a fresh index.
fn recorded_look(name: &str) -> Option<Look> {
    let node = recorded::<Node>(name)?;
    let machine = recorded::<Machine>("machine-running-v1beta2")?;
    let deployment = recorded::<MachineDeployment>("machinedeployment-v1beta2")?;
    let deployment = MachineDeployment { replicas: Some(1), ..deployment };
    Some(look(&mut index([deployment.into(), machine.into(), node.into()]), 60))
}

#[test]
fn recorded_nodes_have_come_as_far_as_they_show() {
    let partial = Readiness::Partial { gpus: 4, of: 8 };
    let (requested, warming, usable) =
        (NodeStage::Requested, NodeStage::Warming, NodeStage::Usable);
    let cases = [
        ("node-1-registered-not-ready", Readiness::Registered, Some((requested, 0, 0))),
        ("node-2-ready-without-gpu", Readiness::KubeReady, Some((warming, 0, 0))),
        (
            "node-2b-nfd-labels-driver-installing",
            Readiness::DriverInstalling,
            Some((warming, 0, 0)),
        ),
        ("node-3a-capacity-8-allocatable-0", Readiness::DriverInstalling, Some((warming, 0, 0))),
        ("node-3b-4-of-8-gpus", partial, Some((warming, 4, 4))),
        ("node-4-8-gpus-ready", Readiness::Allocatable, Some((usable, 8, 8))),
        // All eight are counted on as coming back.
        ("node-5-driver-upgrade-cordoned", Readiness::Upgrading, Some((usable, 0, 0))),
        // There, but as slices that a pool of whole GPUs cannot use.
        ("node-6-mig-only", Readiness::Allocatable, Some((usable, 8, 0))),
        ("node-7-deletion-candidate", Readiness::Allocatable, Some((usable, 8, 8))),
        ("node-8-to-be-deleted", Readiness::Leaving, None),
    ];
    for (name, readiness, counted) in cases {
        let Some(look) = recorded_look(name) else { return };
        assert_eq!(look.pools[0].nodes[0].readiness, readiness, "{name}");
        let told = look.snapshot.pools[0].nodes.first();
        let told = told.map(|node| (node.stage, node.gpus, node.free.gpus));
        assert_eq!(told, counted, "{name}");
        let is_mig = name.starts_with("node-6");
        assert_eq!(reasons(&look).contains(&"UnreadyForAutoscaler"), is_mig, "{name}");
    }
}

#[test]
fn what_pods_request_is_not_free_until_they_are_gone() {
    let daemon = Owner { kind: "DaemonSet".into(), ..Owner::default() };
    let mut agent = bound(pod("agent", 1, 0), "n1", 1);
    agent.meta.owner = Some(daemon);
    let mut leaving = bound(pod("leaving", 2, 3), "n1", 2);
    leaving.meta.is_deleting = true;
    let done = Pod { phase: PodPhase::Succeeded, ..bound(pod("done", 3, 4), "n1", 3) };
    let beside = bound(pod("beside", 4, 0), "n1", 4);
    let events = [agent, leaving, done, beside].map(Event::from);
    let mut index = index(one_node().into_iter().chain(events));
    let look = look(&mut index, 400);
    let node = &look.snapshot.pools[0].nodes[0];
    assert_eq!(node.free.gpus, 5, "8 less 3 of the pod that is going");
    // 96 CPUs less 4 each of agent, leaving and beside; the pool's nodes have all but the agent's.
    assert_eq!(node.free.cpu_milli, Some(84_000));
    assert_eq!(look.settings.pools[0].pool.cpu_milli, Some(92_000));
    assert_eq!((look.pools[0].nodes[0].pods, node.idle_since), (2, None));
}

#[test]
fn a_node_is_idle_since_its_last_job_was_seen_gone() {
    let mut index = index(one_node());
    index.apply(bound(pod("p", 390, 1), "n1", 390).into());
    let idle = |index: &mut Index, at| look(index, at).snapshot.pools[0].nodes[0].idle_since;
    assert_eq!(idle(&mut index, 400), None);
    index.apply(Event::PodGone {
        namespace: "ml".into(),
        name: "p".into(),
        uid: "uid-of-p".into(),
    });
    assert_eq!(idle(&mut index, 410), Some(secs(410)));
    // Neither a pod without GPUs nor a placeholder is a job; but a node with somebody's pod is not idle.
    index.apply(bound(pod("web", 411, 0), "n1", 411).into());
    let mut placeholder = bound(pod("hold", 411, 8), "n1", 411);
    placeholder.priority = -1000;
    index.apply(placeholder.into());
    let told = look(&mut index, 420);
    let node = &told.snapshot.pools[0].nodes[0];
    assert_eq!((node.idle_since, node.free.gpus), (None, 8));
    assert_eq!(told.snapshot.pools[0].running_milli, 0);
}

#[test]
fn a_lost_gpu_is_not_expected_back_and_one_in_an_upgrade_is() {
    let mut index = index(one_node());
    look(&mut index, 400);
    index.apply(node("n1", 300, 6).into());
    let lost = look(&mut index, 410);
    assert_eq!(lost.pools[0].nodes[0].readiness, Readiness::Degraded { gpus: 6, of: 8 });
    let told = &lost.snapshot.pools[0].nodes[0];
    assert_eq!((told.stage, told.gpus, told.free.gpus), (NodeStage::Usable, 8, 6));
    let mut upgrading = node("n1", 300, 0);
    upgrading
        .meta
        .labels
        .insert("nvidia.com/gpu-driver-upgrade-state".into(), "drain-required".into());
    index.apply(upgrading.into());
    let told = look(&mut index, 420).snapshot.pools[0].nodes[0].clone();
    assert_eq!((told.stage, told.gpus, told.free.gpus), (NodeStage::Usable, 0, 0));
    let mut cordoned = node("n1", 300, 8);
    cordoned.is_unschedulable = true;
    index.apply(cordoned.into());
    let told = look(&mut index, 430).snapshot.pools[0].nodes[0].clone();
    assert_eq!((told.gpus, told.free.gpus, told.idle_since), (8, 0, None));
}

#[test]
fn a_restart_of_the_container_runtime_does_not_set_a_node_back() {
    let mut index =
        index([deployment("a", 1).into(), machine("n1", "a", 0).into(), node("n1", 300, 0).into()]);
    look(&mut index, 310);
    let mut flapping = node("n1", 320, 0);
    flapping.conditions[0].status = Some(false);
    index.apply(flapping.into());
    let told = look(&mut index, 320).snapshot.pools[0].nodes[0].clone();
    assert_eq!((told.stage, told.since), (NodeStage::Warming, secs(300)));
    index.apply(node("n1", 330, 0).into());
    assert_eq!(look(&mut index, 330).snapshot.pools[0].nodes[0].since, secs(300));
}

#[test]
fn nodes_find_their_machines_by_provider_id_name_or_annotation() {
    let of = |machine: Machine, node: Node| {
        let mut index = index([deployment("a", 1).into(), machine.into(), node.into()]);
        look(&mut index, 400).pools[0].nodes[0].node.clone()
    };
    let other = |name: &str, provider_id: &str| Node {
        provider_id: provider_id.into(),
        ..node(name, 300, 8)
    };
    let n1 = || machine("n1", "a", 0);
    assert_eq!(of(n1(), other("x", "aws:///another-zone/n1")).as_deref(), Some("x"));
    let by_name = Machine { node: Some("y".into()), provider_id: String::new(), ..n1() };
    assert_eq!(of(by_name, other("y", "")).as_deref(), Some("y"));
    let mut noted = other("z", "");
    noted.meta.annotations = strings(&[
        ("cluster.x-k8s.io/machine", "n1"),
        ("cluster.x-k8s.io/cluster-namespace", "demo"),
    ]);
    assert_eq!(of(n1(), noted).as_deref(), Some("z"));
    let scale_set = |name: &str| {
        format!("azure:///subscriptions/s/virtualMachineScaleSets/{name}/virtualMachines/0")
    };
    let azure = Machine { provider_id: scale_set("one"), ..n1() };
    assert_eq!(of(azure, other("x", &scale_set("two"))), None, "both end in 0");
}

#[test]
fn a_usable_node_that_vanishes_is_not_counted_on() {
    let mut index = index(one_node());
    look(&mut index, 400);
    index.apply(Event::Gone { kind: Kind::Node, key: "n1".into() });
    let told = look(&mut index, 410);
    assert_eq!(told.pools[0].nodes[0].readiness, Readiness::Degraded { gpus: 0, of: 8 });
    let node = &told.snapshot.pools[0].nodes[0];
    assert_eq!((node.stage, node.gpus, node.free.gpus), (NodeStage::Usable, 8, 0));
}

#[test]
fn devices_by_dra_count_once_the_newest_generation_is_complete() {
    let slice = |name: &str, generation, devices| {
        let (driver, pool) = ("gpu.nvidia.com".to_owned(), "n1".to_owned());
        let node = Some("n1".to_owned());
        let meta = meta("", name, 0);
        let slice = ResourceSlice { meta, driver, node, pool, generation, slices: 2, devices };
        Event::Slice(Box::new(slice))
    };
    let mut dra = node("n1", 300, 0);
    dra.capacity = amounts(0);
    let machine = machine("n1", "a", 0);
    let mut index = index([deployment("a", 1).into(), machine.into(), dra.into()]);
    index.apply(slice("old", 1, 8));
    index.apply(slice("new-0", 2, 4));
    let readiness = |index: &mut Index, at| look(index, at).pools[0].nodes[0].readiness.clone();
    assert_eq!(readiness(&mut index, 400), Readiness::KubeReady, "one of two slices");
    index.apply(slice("new-1", 2, 4));
    assert_eq!(readiness(&mut index, 410), Readiness::Allocatable);
    let told = look(&mut index, 420).snapshot.pools[0].nodes[0].clone();
    assert_eq!((told.gpus, told.free.gpus), (8, 8));
}

#[test]
fn annotations_of_ours_on_nodes_are_read() {
    let mut held = node("n1", 300, 8);
    held.is_unschedulable = true;
    held.meta.annotations = strings(&[
        ("prewarm.dev/hold-until", "2026-11-21T07:23:33Z"),
        ("prewarm.dev/cordoned", "true"),
        ("cluster-autoscaler.kubernetes.io/scale-down-disabled", "true"),
    ]);
    let events = [Event::from(deployment("a", 1)), machine("n1", "a", 0).into(), held.into()];
    let told = look(&mut index(events), 400).pools[0].nodes[0].clone();
    assert_eq!(told.hold_until, Some(secs(600)));
    assert!(told.is_cordoned_by_us && told.is_scale_down_disabled);
}
