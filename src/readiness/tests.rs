use super::*;
use crate::model::object::{Meta, Resources, Taint};

const REPLICAS: &str = "nvidia.com/gpu.replicas";
const COUNT: &str = "nvidia.com/gpu.count";
const EIGHT: Expected<'static> = Expected { gpus: 8, resource: "nvidia.com/gpu" };

fn amounts(pairs: &[(&str, u64)]) -> Resources {
    let extended = pairs.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
    Resources { extended, ..Resources::default() }
}

/// A Ready node with these devices.
fn node(capacity: &[(&str, u64)], allocatable: &[(&str, u64)]) -> Node {
    let ready = Condition { kind: "Ready".into(), status: Some(true), ..Condition::default() };
    Node {
        conditions: vec![ready],
        capacity: amounts(capacity),
        allocatable: amounts(allocatable),
        ..Node::default()
    }
}

fn whole(allocatable: u64) -> Node {
    node(&[("nvidia.com/gpu", 8)], &[("nvidia.com/gpu", allocatable)])
}

fn with_label(mut node: Node, key: &str, value: &str) -> Node {
    node.meta.labels.insert(key.into(), value.into());
    node
}

fn with_taint(mut node: Node, key: &str) -> Node {
    node.taints.push(Taint { key: key.into(), value: String::new(), effect: Effect::NoSchedule });
    node
}

fn of(node: &Node, has_been_ready: bool) -> Readiness {
    readiness(None, Some(node), EIGHT, None, has_been_ready)
}

#[test]
fn a_machine_comes_before_its_node() {
    let machine = Machine::default();
    assert_eq!(readiness(None, None, EIGHT, None, false), Readiness::Requested);
    assert_eq!(readiness(Some(&machine), None, EIGHT, None, false), Readiness::Provisioning);
    let lost = Readiness::Degraded { gpus: 0, of: 8 };
    assert_eq!(readiness(Some(&machine), None, EIGHT, None, true), lost);
    let failed = Machine { failure: Some("no".into()), ..Machine::default() };
    assert_eq!(readiness(Some(&failed), None, EIGHT, None, false), Readiness::Failed("no".into()));
    let meta = Meta { is_deleting: true, ..Meta::default() };
    let going = Machine { meta, failure: Some("no".into()), ..Machine::default() };
    assert_eq!(readiness(Some(&going), None, EIGHT, None, false), Readiness::Leaving);
    let mut marked = Machine::default();
    marked.meta.annotations.insert("cluster.x-k8s.io/delete-machine".into(), "now".into());
    assert_eq!(readiness(Some(&marked), Some(&whole(8)), EIGHT, None, true), Readiness::Leaving);
}

#[test]
fn gpus_are_counted_whatever_labels_say() {
    let labelled = |node| with_label(node, "nvidia.com/gpu.count", "8");
    assert_eq!(of(&labelled(node(&[], &[])), false), Readiness::KubeReady);
    assert_eq!(of(&labelled(whole(0)), false), Readiness::DriverInstalling);
    assert_eq!(of(&labelled(whole(7)), false), Readiness::Partial { gpus: 7, of: 8 });
    assert_eq!(of(&labelled(whole(8)), false), Readiness::Allocatable);
    assert_eq!(of(&labelled(whole(7)), true), Readiness::Degraded { gpus: 7, of: 8 });
}

#[test]
fn a_startup_taint_keeps_a_complete_node_back() {
    for key in [
        "startup-taint.cluster-autoscaler.kubernetes.io/gpu",
        "node.cluster.x-k8s.io/uninitialized",
    ] {
        let held = of(&with_taint(whole(8), key), false);
        assert_eq!(held, Readiness::Partial { gpus: 8, of: 8 }, "{key}");
        assert_eq!(held.stage(), Some(NodeStage::Warming));
    }
    assert_eq!(of(&with_taint(whole(8), "nvidia.com/gpu"), false), Readiness::Allocatable);
    let mut checked = whole(8);
    let proof = |status| Condition { kind: GPU_READY.into(), status, ..Condition::default() };
    checked.conditions.push(proof(Some(true)));
    assert_eq!(of(&checked, false), Readiness::Validated);
    checked.conditions[1] = proof(Some(false));
    assert!(!of(&checked, false).is_usable());
}

#[test]
fn upgrades_and_partitionings_are_no_new_nodes_on_their_way() {
    let upgrading = |state| with_label(whole(0), UPGRADE_STATE, state);
    assert_eq!(of(&upgrading("drain-required"), true), Readiness::Upgrading);
    assert_eq!(of(&upgrading("upgrade-failed"), true), Readiness::Degraded { gpus: 0, of: 8 });
    assert_eq!(
        of(&with_label(whole(8), UPGRADE_STATE, "upgrade-done"), true),
        Readiness::Allocatable
    );
    assert_eq!(of(&with_label(whole(0), MIG_STATE, "rebooting"), true), Readiness::Repartitioning);
    let broken = of(&with_taint(whole(8), AMD_UNHEALTHY), true);
    assert_eq!(broken, Readiness::Degraded { gpus: 7, of: 8 });
    for state in [Readiness::Upgrading, Readiness::Repartitioning, broken] {
        assert_eq!(state.stage(), Some(NodeStage::Usable));
        assert!(!state.is_usable() && !state.is_coming());
    }
}

#[test]
fn mig_slices_count_against_their_capacity() {
    let mig = |slots, small, large| {
        let names = ["nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb"];
        let capacity = [(names[0], slots), (names[1], 2)];
        node(&capacity, &[(names[0], small), (names[1], large)])
    };
    assert_eq!(of(&mig(56, 56, 2), false), Readiness::Allocatable);
    assert_eq!(of(&mig(56, 28, 2), false), Readiness::Partial { gpus: 30, of: 58 });
}

#[test]
fn time_shared_devices_count_as_often_as_they_are_shared() {
    let shared = |allocatable| {
        let name = [("nvidia.com/gpu", allocatable)];
        let node = with_label(node(&name, &name), REPLICAS, "4");
        with_label(node, COUNT, "8")
    };
    assert_eq!(of(&shared(32), false), Readiness::Allocatable);
    assert_eq!(of(&shared(16), false), Readiness::Partial { gpus: 16, of: 32 });
    let renamed = node(&[("nvidia.com/gpu.shared", 32)], &[("nvidia.com/gpu.shared", 32)]);
    assert_eq!(of(&renamed, false), Readiness::Allocatable);
}

#[test]
fn dra_devices_count_once_all_slices_are_there() {
    let dra = |devices, is_complete| {
        let slices = GpuSlices { driver: "gpu.nvidia.com".into(), devices, is_complete };
        readiness(None, Some(&node(&[], &[])), EIGHT, Some(&slices), false)
    };
    assert_eq!(dra(8, true), Readiness::Allocatable);
    assert_eq!(dra(8, false), Readiness::KubeReady);
    assert_eq!(dra(4, true), Readiness::Partial { gpus: 4, of: 8 });
}

#[test]
fn a_node_that_was_never_ready_is_not_lost() {
    let mut silent = whole(8);
    silent.conditions[0].status = None;
    assert_eq!(of(&silent, false), Readiness::Registered);
    assert_eq!(of(&silent, true), Readiness::Degraded { gpus: 0, of: 8 });
}
