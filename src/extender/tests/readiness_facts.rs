//! Facts of a Node one beside the other: which of them counts, and in which order.

use super::*;
use crate::{
    model::object::Strings,
    readiness::{Expected, readiness},
};

fn slices(is_complete: bool) -> GpuSlices {
    GpuSlices { driver: "gpu.nvidia.com".into(), devices: 8, is_complete }
}

/// As the feed sees it: readiness by what stands on the Node.
fn refusal_of_node(pod: &Pod, node: &Node) -> &'static str {
    let expected = Expected { gpus: 8, resource: GPU };
    let readiness = readiness(None, Some(node), expected, None, false);
    refusal_of(pod, &Seen { readiness, ..seen(node) }, &Policy::default())
}

fn with(labels: &[(&str, &str)]) -> Node {
    let mut node = node("n");
    let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    node.meta.labels.extend(labels);
    let (kind, status) = ("Ready".into(), Some(true));
    node.conditions.push(Condition { kind, status, ..Condition::default() });
    node
}

/// `upgrade-required` says that the driver will be replaced some day; until then it neither refuses nor hides
/// anything.
#[test]
fn an_upgrade_to_come_hides_no_partitioning() {
    let upgrade = ("nvidia.com/gpu-driver-upgrade-state", "upgrade-required");
    assert_eq!(refusal_of_node(&pod(1), &with(&[upgrade])), "");
    for state in ["pending", "rebooting"] {
        let mig = ("nvidia.com/mig.config.state", state);
        assert_eq!(refusal_of_node(&pod(1), &with(&[mig])), reason::MIG, "{state}");
        assert_eq!(refusal_of_node(&pod(1), &with(&[upgrade, mig])), reason::MIG, "{state}");
    }
    let done = ("nvidia.com/mig.config.state", "success");
    assert_eq!(refusal_of_node(&pod(1), &with(&[upgrade, done])), "");
    let mut amd = with(&[("operator.amd.com/gpu-driver-upgrade-state", "upgrade-required")]);
    let effect = Effect::NoSchedule;
    amd.taints.push(Taint { key: "amd-dcm".into(), value: String::new(), effect });
    assert_eq!(refusal_of_node(&pod(1), &amd), reason::MIG);
}

/// mig-parted takes the device plugin away before it writes a state, and gives it back after.
#[test]
fn parts_of_the_operator_that_pause_tell_of_a_partitioning() {
    let key = "nvidia.com/gpu.deploy.device-plugin";
    for (value, expected) in [
        ("paused-for-mig-change", reason::MIG),
        ("paused-for-driver-upgrade", reason::UPGRADE),
        ("true", ""),
        ("false", ""),
    ] {
        assert_eq!(refusal_of_node(&pod(1), &with(&[(key, value)])), expected, "{value}");
    }
}

#[test]
fn a_driver_that_waits_to_be_loaded_is_not_ready() {
    let mut node = node("n");
    let key = "nvidia.com/gpu-driver-upgrade.driver-wait-for-safe-load";
    let annotations = |value: &str| Strings::from([(key.to_owned(), value.to_owned())]);
    node.meta.annotations = annotations("true");
    assert_eq!(refusal(&pod(1), &node), reason::UPGRADE);
    trim(&mut node, |_| false);
    assert_eq!(refusal(&pod(1), &node), reason::UPGRADE, "it is kept");
    node.meta.annotations = annotations("");
    assert_eq!(refusal(&pod(1), &node), "");
}

/// Where no device plugin offers a resource, kube-scheduler takes it from the slices.
#[test]
fn resources_by_name_are_given_out_of_slices() {
    let bare = |gpus: u64| {
        let mut node = node("n");
        node.capacity.extended = [(GPU.to_owned(), gpus)].into();
        node.allocatable.extended.clear();
        node
    };
    let policy = Policy::default();
    for (capacity, published, expected) in [
        (0, Some(true), ""),
        (0, Some(false), reason::DRA),
        (0, None, reason::DRIVER),
        // The device plugin has told of GPUs: it gives them out, and they are not healthy now.
        (8, Some(true), reason::DRIVER),
    ] {
        let (node, slices) = (bare(capacity), published.map(slices));
        let seen = Seen { slices: slices.as_ref(), ..seen(&node) };
        assert_eq!(refusal_of(&pod(1), &seen, &policy), expected, "{capacity} {published:?}");
    }
}

/// A node sent in full has no slices with it; what is known of them stays.
#[test]
fn slices_of_nodes_sent_in_full_are_remembered() {
    let claims = Pod { claims: vec!["gpu".into()], ..pod(0) };
    for is_complete in [false, true] {
        let (bare, slices) =
            (Node { meta: node("n").meta, ..Node::default() }, slices(is_complete));
        let mut known = ExtenderSnapshot::new(Policy::default());
        known.set_node(&Seen { slices: Some(&slices), ..seen(&bare) });
        known.suppose_nodes(&[seen(&bare)]);
        let ask = Ask::new(&claims, None, &known.policy);
        let filtered = filter(&known, &ask, ["n"], NOW);
        let reasons: Vec<&str> = filtered.rejected.iter().map(|one| one.2).collect();
        assert_eq!(reasons, if is_complete { vec![] } else { vec![reason::DRA] });
    }
}

/// Everything is wrong; each step mends what was told, and the next reason shows.
#[test]
fn reasons_come_in_a_fixed_order() {
    let mut namespace = Namespace { access: Some(false), ..Namespace::default() };
    let mut pod = pod(0);
    let told = |key: &str| format!("prewarm.dev/{key}");
    for (key, value) in [("gpu-model", "H100"), ("gpu-memory-mib", "81920"), ("gpu-clique", "c.2")]
    {
        pod.meta.annotations.insert(told(key), value.into());
    }
    let mut node = with(&[
        ("nvidia.com/gpu-driver-upgrade-state", "drain-required"),
        ("nvidia.com/mig.config.state", "failed"),
        ("nvidia.com/gpu.memory", "40960"),
        ("nvidia.com/gpu.clique", "c.1"),
    ]);
    node.meta.annotations.insert(told("reserved-for"), "ml/train".into());
    for (kind, status) in [("GPUUnhealthy", true), ("nvidia.com/GPUReady", false)] {
        let (kind, status) = (kind.into(), Some(status));
        node.conditions.push(Condition { kind, status, ..Condition::default() });
    }
    let (mut published, policy) = (Some(slices(false)), Policy::default());
    let (mut readiness, mut rebooted) = (Readiness::Leaving, Some(NOW));
    let mig = "nvidia.com/mig-1g.10gb";
    let mut order = Vec::new();
    while order.last() != Some(&"") {
        let (slices, readiness_now) = (published.as_ref(), readiness.clone());
        let seen = Seen { readiness: readiness_now, rebooted, slices, ..seen(&node) };
        let view = view(&seen, &policy, |_| 1);
        let found = match verdict(&Ask::new(&pod, Some(&namespace), &policy), &view, &policy, NOW) {
            Verdict::Pass => "",
            Verdict::Reject { reason, .. } => reason,
        };
        order.push(found);
        match found {
            reason::NAMESPACE => namespace.access = Some(true),
            reason::SQUATTER => {
                pod.claims = vec!["claim".into()];
                pod.requests.extended.insert(mig.into(), 1);
            }
            reason::LEAVING => readiness = Readiness::Allocatable,
            reason::UPGRADE => drop(node.meta.labels.remove("nvidia.com/gpu-driver-upgrade-state")),
            reason::MIG_FAILED => drop(node.meta.labels.remove("nvidia.com/mig.config.state")),
            reason::HEALTH | reason::DRIVER => {
                let gone =
                    if found == reason::HEALTH { "GPUUnhealthy" } else { "nvidia.com/GPUReady" };
                node.conditions.retain(|one| one.kind != gone);
            }
            reason::REBOOTED => rebooted = None,
            reason::DRA => published = None,
            reason::RESOURCE => drop(pod.requests.extended.remove(mig)),
            reason::MODEL => drop(pod.meta.annotations.remove(&told("gpu-model"))),
            reason::MEMORY => drop(pod.meta.annotations.remove(&told("gpu-memory-mib"))),
            reason::CLIQUE => drop(pod.meta.annotations.remove(&told("gpu-clique"))),
            reason::RESERVED => node.meta.annotations.clear(),
            _ => break,
        }
    }
    let expected = [
        reason::NAMESPACE,
        reason::SQUATTER,
        reason::LEAVING,
        reason::UPGRADE,
        reason::MIG_FAILED,
        reason::HEALTH,
        reason::DRIVER,
        reason::REBOOTED,
        reason::DRA,
        reason::RESOURCE,
        reason::MODEL,
        reason::MEMORY,
        reason::CLIQUE,
        reason::RESERVED,
        "",
    ];
    assert_eq!(order, expected);
}

/// kube-scheduler counts nodes by the text: few texts, nothing of a node or a number in them, none twice. Whoever reads
/// one finds it in the documentation.
#[test]
fn reasons_are_constant_and_documented() {
    let page = include_str!("../../../docs/extender.md");
    let distinct: std::collections::BTreeSet<&str> = reason::ALL.into_iter().collect();
    assert_eq!(distinct.len(), reason::ALL.len());
    for reason in reason::ALL {
        assert!(reason.chars().all(|one| one.is_ascii_alphabetic() || one == ' '), "{reason}");
        assert!(reason.len() <= 60, "{reason}");
        assert!(page.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn exempt_is_what_the_documentation_says() {
    let broken = labelled("nvidia.com/gpu-driver-upgrade-state", "drain-required");
    for namespace in ["kube-system", "gpu-operator", "prewarm"] {
        let mut own = pod(0);
        own.meta.namespace = namespace.into();
        assert_eq!(refusal(&own, &broken), "", "{namespace}");
    }
    for class in ["system-node-critical", "system-cluster-critical"] {
        let critical = Pod { priority_class: class.into(), ..pod(0) };
        assert_eq!(refusal(&critical, &broken), "", "{class}");
    }
    let high = Pod { priority_class: "high".into(), ..pod(0) };
    assert_eq!(refusal(&high, &broken), reason::SQUATTER);
}
