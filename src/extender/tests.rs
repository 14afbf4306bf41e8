//! Nodes and pods on which the rules are tried out.

mod places;
mod readiness_facts;
mod rules;

use super::*;
use crate::{
    model::object::{
        Condition, Effect, Gang, GpuSlices, Meta, Node, Owner, Pod, Resources, Taint, Toleration,
    },
    packing::Part,
    readiness::Readiness,
    time::{Millis, Timestamp},
};
use proptest::prelude::*;

const GPU: &str = "nvidia.com/gpu";
const NOW: Timestamp = Timestamp(1_000_000);

fn resources(gpus: u64) -> Resources {
    Resources {
        cpu_milli: 96_000,
        memory_bytes: 1 << 40,
        extended: [(GPU.to_owned(), gpus)].into(),
    }
}

fn node(name: &str) -> Node {
    Node {
        meta: Meta {
            name: name.into(),
            labels: [("nvidia.com/gpu.product".into(), "A100".into())].into(),
            ..Meta::default()
        },
        taints: vec![Taint {
            key: GPU.into(),
            value: "present".into(),
            effect: Effect::NoSchedule,
        }],
        capacity: resources(8),
        allocatable: resources(8),
        ..Node::default()
    }
}

fn labelled(key: &str, value: &str) -> Node {
    let mut node = node("n");
    node.meta.labels.insert(key.into(), value.into());
    node
}

fn seen(node: &Node) -> Seen<'_> {
    Seen {
        node,
        readiness: Readiness::Allocatable,
        ready_since: None,
        rebooted: None,
        slices: None,
        pods: Vec::new(),
        is_to_go: false,
        is_scaled: false,
        price_milli: 1000,
    }
}

fn pod(gpus: u64) -> Pod {
    let mut pod = Pod {
        meta: Meta { name: "p".into(), namespace: "ml".into(), ..Meta::default() },
        ..Pod::default()
    };
    if gpus > 0 {
        pod.requests.extended.insert(GPU.into(), gpus);
    }
    pod
}

/// Why the pod is refused by a node seen like this; `""` = it is not.
fn refusal_of(pod: &Pod, seen: &Seen<'_>, policy: &Policy) -> &'static str {
    let view = view(seen, policy, |_| 1);
    match verdict(&Ask::new(pod, None, policy), &view, policy, NOW) {
        Verdict::Pass => "",
        Verdict::Reject { class, reason } => {
            assert_eq!(class == Rejection::Resolvable, reason == reason::RESERVED);
            assert!(reason::ALL.contains(&reason));
            reason
        }
    }
}

fn refusal(pod: &Pod, node: &Node) -> &'static str {
    refusal_of(pod, &seen(node), &Policy::default())
}

#[test]
fn a_ready_node_takes_gpu_pods_and_no_others() {
    assert_eq!(refusal(&pod(1), &node("n")), "");
    assert_eq!(refusal(&pod(8), &node("n")), "");
    assert_eq!(refusal(&pod(0), &node("n")), reason::SQUATTER);
    let mut opted_in = pod(0);
    opted_in.meta.annotations.insert("prewarm.dev/gpu-node".into(), "true".into());
    assert_eq!(refusal(&opted_in, &node("n")), "");
    let claims = Pod { claims: vec!["gpu".into()], ..pod(0) };
    assert_eq!(refusal(&claims, &node("n")), "");
    // Blanket tolerations make no GPU pod of it.
    let blanket = Toleration { exists: true, ..Toleration::default() };
    assert_eq!(
        refusal(&Pod { tolerations: vec![blanket], ..pod(0) }, &node("n")),
        reason::SQUATTER
    );
}

#[test]
fn nodes_without_gpus_are_nobodys_business() {
    let plain = Node { meta: Meta { name: "cpu".into(), ..Meta::default() }, ..Node::default() };
    assert_eq!(refusal(&pod(0), &plain), "");
    assert_eq!(refusal(&pod(1), &plain), "");
}

/// The driver's own pods must reach the nodes they prepare.
#[test]
fn what_keeps_nodes_running_goes_anywhere() {
    let broken = labelled("nvidia.com/gpu-driver-upgrade-state", "drain-required");
    let owned = |kind: &str| {
        let mut pod = pod(0);
        pod.meta.owner = Some(Owner { kind: kind.into(), ..Owner::default() });
        pod
    };
    assert_eq!(refusal(&owned("DaemonSet"), &broken), "");
    assert_eq!(refusal(&owned("Node"), &broken), "");
    assert_eq!(refusal(&owned("ReplicaSet"), &broken), reason::SQUATTER);
    let critical = Pod { priority_class: "system-node-critical".into(), ..pod(0) };
    assert_eq!(refusal(&critical, &broken), "");
    let mut operator = pod(0);
    operator.meta.namespace = "gpu-operator".into();
    assert_eq!(refusal(&operator, &broken), "");
}

/// All states of NVIDIA's upgrade controller in their order.
#[test]
fn a_driver_upgrade_is_followed_state_by_state() {
    let key = "nvidia.com/gpu-driver-upgrade-state";
    let states = [
        ("upgrade-required", ""),
        ("cordon-required", reason::UPGRADE),
        ("wait-for-jobs-required", reason::UPGRADE),
        ("pod-deletion-required", reason::UPGRADE),
        ("drain-required", reason::UPGRADE),
        ("node-maintenance-required", reason::UPGRADE),
        ("post-maintenance-required", reason::UPGRADE),
        ("pod-restart-required", reason::UPGRADE),
        ("validation-required", reason::UPGRADE),
        ("uncordon-required", reason::UPGRADE),
        ("upgrade-done", ""),
        ("upgrade-failed", reason::UPGRADE_FAILED),
    ];
    for (state, expected) in states {
        assert_eq!(refusal(&pod(1), &labelled(key, state)), expected, "{state}");
    }
    let paused = labelled("nvidia.com/gpu.deploy.device-plugin", "paused-for-driver-upgrade");
    assert_eq!(refusal(&pod(1), &paused), reason::UPGRADE);
    assert_eq!(refusal(&pod(1), &labelled("nvidia.com/gpu.deploy.mig-manager", "false")), "");
    let amd = labelled("operator.amd.com/gpu-driver-upgrade-state", "drain-required");
    assert_eq!(refusal(&pod(1), &amd), reason::UPGRADE);
}

#[test]
fn nodes_that_come_go_or_are_broken_are_refused() {
    let policy = Policy::default();
    let with = |readiness| {
        let node = node("n");
        refusal_of(&pod(1), &Seen { readiness, ..seen(&node) }, &policy)
    };
    assert_eq!(with(Readiness::Leaving), reason::LEAVING);
    assert_eq!(with(Readiness::Repartitioning), reason::MIG);
    assert_eq!(with(Readiness::Partial { gpus: 4, of: 8 }), "");
    assert_eq!(
        refusal(&pod(1), &labelled("nvidia.com/mig.config.state", "failed")),
        reason::MIG_FAILED
    );
    let mut warming = node("n");
    warming.allocatable.extended.insert(GPU.into(), 0);
    assert_eq!(refusal(&pod(1), &warming), reason::DRIVER);
    let condition = |kind: &str, status| {
        let condition =
            Condition { kind: kind.into(), status: Some(status), ..Condition::default() };
        Node { conditions: vec![condition], ..node("n") }
    };
    assert_eq!(refusal(&pod(1), &condition("GPUUnhealthy", true)), reason::HEALTH);
    assert_eq!(refusal(&pod(1), &condition("GPUUnhealthy", false)), "");
    assert_eq!(refusal(&pod(1), &condition("nvidia.com/GPUReady", false)), reason::DRIVER);
    let mut tainted = node("n");
    let effect = Effect::NoSchedule;
    tainted.taints.push(Taint { key: "amd-gpu-unhealthy".into(), value: String::new(), effect });
    assert_eq!(refusal(&pod(1), &tainted), reason::HEALTH);
}

#[test]
fn doubt_after_a_reboot_ends_by_itself() {
    let (node, policy) = (node("n"), Policy::default());
    let since = |ago: Millis| Seen { rebooted: Some(NOW - ago), ..seen(&node) };
    let just_before = policy.reboot_doubt - Millis(1);
    assert_eq!(refusal_of(&pod(1), &since(just_before), &policy), reason::REBOOTED);
    assert_eq!(refusal_of(&pod(1), &since(policy.reboot_doubt), &policy), "");
    let settle = Policy { settle: Millis(500), ..Policy::default() };
    let ready = |ago| Seen { ready_since: Some(NOW - Millis(ago)), ..seen(&node) };
    assert_eq!(refusal_of(&pod(1), &ready(499), &settle), reason::SETTLING);
    assert_eq!(refusal_of(&pod(1), &ready(500), &settle), "");
}

#[test]
fn shapes_must_match() {
    let told = |key: &str, value: &str| {
        let mut pod = pod(1);
        pod.meta.annotations.insert(key.into(), value.into());
        pod
    };
    assert_eq!(refusal(&told("prewarm.dev/gpu-model", "H100, A100"), &node("n")), "");
    assert_eq!(refusal(&told("prewarm.dev/gpu-model", "H100"), &node("n")), reason::MODEL);
    let big = labelled("nvidia.com/gpu.memory", "40960");
    assert_eq!(refusal(&told("prewarm.dev/gpu-memory-mib", "40960"), &big), "");
    assert_eq!(refusal(&told("prewarm.dev/gpu-memory-mib", "40961"), &big), reason::MEMORY);
    assert_eq!(refusal(&told("prewarm.dev/gpu-memory-mib", "40961"), &node("n")), "");
    let clique = labelled("nvidia.com/gpu.clique", "c.1");
    assert_eq!(refusal(&told("prewarm.dev/gpu-clique", "c.1"), &clique), "");
    assert_eq!(refusal(&told("prewarm.dev/gpu-clique", "c.2"), &clique), reason::CLIQUE);
    let mut mig = pod(0);
    mig.requests.extended.insert("nvidia.com/mig-1g.10gb".into(), 1);
    assert_eq!(refusal(&mig, &node("n")), reason::RESOURCE);
    let mut sliced = node("n");
    sliced.allocatable.extended = [("nvidia.com/mig-1g.10gb".to_owned(), 7)].into();
    sliced.capacity = sliced.allocatable.clone();
    assert_eq!(refusal(&mig, &sliced), "");
    assert_eq!(refusal(&pod(1), &sliced), reason::RESOURCE);
}

#[test]
fn devices_by_dra_must_all_be_published() {
    let (node, policy) = (node("n"), Policy::default());
    let claims = Pod { claims: vec!["gpu".into()], ..pod(0) };
    for (is_complete, expected) in [(false, reason::DRA), (true, "")] {
        let slices = GpuSlices { driver: "gpu.nvidia.com".into(), devices: 8, is_complete };
        let seen = Seen { slices: Some(&slices), ..seen(&node) };
        assert_eq!(refusal_of(&claims, &seen, &policy), expected);
        assert_eq!(refusal_of(&pod(1), &seen, &policy), "");
    }
}

#[test]
fn a_reserved_domain_takes_its_gang_only() {
    let mut reserved = node("n");
    reserved.meta.annotations.insert("prewarm.dev/reserved-for".into(), "ml/train".into());
    assert_eq!(refusal(&pod(1), &reserved), reason::RESERVED);
    let gang = Some(Gang { name: "train".into(), min_members: Some(2) });
    assert_eq!(refusal(&Pod { gang, ..pod(1) }, &reserved), "");
}

/// What is dropped of a node changes nothing.
#[test]
fn a_trimmed_node_looks_the_same() {
    let told = [
        ("nvidia.com/gpu-driver-upgrade-state", "drain-required"),
        ("nvidia.com/gpu.deploy.driver", "paused-for-driver-upgrade"),
        ("nvidia.com/mig.config.state", "pending"),
        ("nvidia.com/gpu.memory", "81920"),
        ("nvidia.com/gpu.clique", "c.1"),
        ("nvidia.com/gpu.replicas", "4"),
        ("nvidia.com/gpu.count", "8"),
        ("feature.node.kubernetes.io/pci-10de.present", "true"),
        ("nvidia.com/cuda.driver-version.full", "580.1"),
        ("prewarm.dev/elastic", "true"),
        ("kubernetes.io/hostname", "n"),
    ];
    for skipped in 0..=told.len() {
        let mut whole = node("n");
        for (key, value) in told.iter().skip(skipped) {
            whole.meta.labels.insert((*key).into(), (*value).into());
        }
        whole.meta.annotations.insert("prewarm.dev/reserved-for".into(), "ml/train".into());
        whole.meta.annotations.insert("other".into(), "x".into());
        // What is not true now cannot refuse anybody, whatever policy comes.
        for (kind, is_true) in [("Ready", false), ("XidStorm", true), ("DiskPressure", false)] {
            let (kind, status) = (kind.into(), Some(is_true));
            whole.conditions.push(Condition { kind, status, ..Condition::default() });
        }
        let unhealthy_conditions = ["XidStorm".to_owned()].into();
        let policy = Policy { unhealthy_conditions, ..Policy::default() };
        let mut trimmed = whole.clone();
        trim(&mut trimmed, |_| false);
        assert!(trimmed.meta.annotations.len() == 1 && trimmed.conditions.len() == 2);
        assert!(!trimmed.meta.labels.contains_key("kubernetes.io/hostname"));
        let look = |node: &Node| {
            let expected = crate::readiness::Expected { gpus: 8, resource: GPU };
            let readiness = crate::readiness::readiness(None, Some(node), expected, None, false);
            view(&Seen { readiness, ..seen(node) }, &policy, |_| 1)
        };
        assert_eq!(look(&whole), look(&trimmed));
    }
}

fn snapshot(nodes: &[Node]) -> ExtenderSnapshot {
    let mut snapshot = ExtenderSnapshot::new(Policy::default());
    for node in nodes {
        snapshot.set_node(&seen(node));
    }
    snapshot
}

#[test]
fn nodes_come_and_go_in_a_snapshot() {
    let mut snapshot = snapshot(&[node("a"), node("b")]);
    let before = snapshot.clone();
    snapshot.remove_node("a");
    snapshot.set_node(&seen(&node("c")));
    assert!(snapshot.find("a").is_none());
    assert_eq!(snapshot.find("c").map(|(at, _)| at), Some(0));
    assert_eq!(snapshot.find("b").map(|(at, _)| at), Some(1));
    assert_eq!(snapshot.nodes().count(), 2);
    assert!(before.find("a").is_some() && before.find("c").is_none());
}

#[test]
fn names_twice_or_unknown_are_answered_once() {
    let snapshot = snapshot(&[node("a"), labelled("nvidia.com/mig.config.state", "failed")]);
    let ask = Ask::new(&pod(1), None, &snapshot.policy);
    let names = ["ghost", "a", "n", "a", "ghost", "n"];
    let filtered = filter(&snapshot, &ask, names, NOW);
    assert_eq!(filtered.passed, ["ghost", "a"]);
    assert_eq!(filtered.rejected, [("n", Rejection::Unresolvable, reason::MIG_FAILED)]);
    assert_eq!(filtered.unknown, 1);
    let mut strict = snapshot;
    strict.policy = Policy { is_strict: true, ..Policy::default() }.into();
    let namespace = Namespace { access: Some(true), ..Namespace::default() };
    let ask = Ask::new(&pod(1), Some(&namespace), &strict.policy);
    let filtered = filter(&strict, &ask, names, NOW);
    assert_eq!(filtered.passed, ["a"]);
    assert_eq!(filtered.rejected[0], ("ghost", Rejection::Unresolvable, reason::UNKNOWN));
}

#[test]
fn only_nodes_worth_clearing_are_kept() {
    let mut reserved = node("reserved");
    reserved.meta.annotations.insert("prewarm.dev/reserved-for".into(), "ml/train".into());
    let broken = labelled("nvidia.com/mig.config.state", "failed");
    let snapshot = snapshot(&[node("a"), node("b"), broken, reserved]);
    let ask = Ask::new(&pod(1), None, &snapshot.policy);
    let candidates = [("a", 1), ("b", 0), ("n", 2), ("reserved", 1), ("ghost", 1)];
    assert_eq!(preempt(&snapshot, &ask, candidates, NOW), [true, false, false, true, true]);
}

fn scores(snapshot: &ExtenderSnapshot, pod: &Pod, names: &[&str]) -> Vec<u8> {
    let ask = Ask::new(pod, None, &snapshot.policy);
    let scores = prioritize(snapshot, &ask, names.iter().copied(), NOW);
    scores.into_iter().map(|(_, score)| score).collect()
}

fn used(name: &str, gpus: u64) -> (Node, Pod) {
    let mut one = pod(gpus);
    one.requests.cpu_milli = 1000;
    (node(name), one)
}

/// Jobs of 8 GPUs are expected: the empty node is kept for them. Without that the fullest node goes first
/// all the same, for idle nodes come last.
#[test]
fn nodes_that_jobs_to_come_need_are_kept_free() {
    let mut snapshot = ExtenderSnapshot::new(Policy::default());
    for (node, pod) in [used("empty", 0), used("half", 4), used("full", 7)] {
        let pod = Taken::of(&pod);
        let pods = if pod.gpus.is_empty() { Vec::new() } else { vec![&pod] };
        snapshot.set_node(&Seen { pods, ..seen(&node) });
    }
    let names = ["empty", "half", "full"];
    assert_eq!(scores(&snapshot, &pod(1), &names), [0, 9, 10]);
    let eight = Part { devices: 8, milli: 1000, cpu_milli: 0, memory_mib: 0 };
    snapshot.set_mix(&[(eight, Vec::new(), 1)]);
    assert_eq!(scores(&snapshot, &pod(1), &names)[0], 0);
    // Jobs of 4 to come need the half: the single GPU goes where it hurts nobody.
    let four = Part { devices: 4, ..eight };
    snapshot.set_mix(&[(four, Vec::new(), 1)]);
    let told = scores(&snapshot, &pod(1), &names);
    assert_eq!(told[2], 10);
    assert_eq!(scores(&snapshot, &pod(4), &names)[1], 10);
}

/// A snapshot with jobs of 4 GPUs to come and these nodes of 8: name, GPUs in use, scaled by somebody.
fn where_fours_come(policy: Policy, nodes: &[(&str, u64, bool)]) -> ExtenderSnapshot {
    let mut snapshot = ExtenderSnapshot::new(policy);
    for &(name, gpus, is_scaled) in nodes {
        let (node, pod) = used(name, gpus);
        let taken = Taken::of(&pod);
        let pods = if gpus == 0 { Vec::new() } else { vec![&taken] };
        snapshot.set_node(&Seen { pods, is_scaled, ..seen(&node) });
    }
    let four = Part { devices: 4, milli: 1000, cpu_milli: 0, memory_mib: 0 };
    snapshot.set_mix(&[(four, Vec::new(), 1)]);
    snapshot
}

/// One GPU of four that are free takes the place of a job to come, one of six does not; where nodes come and go the
/// fuller node goes first all the same, so that the other may fall idle.
#[test]
fn where_nodes_come_and_go_the_fullest_goes_first() {
    let first = |elastic, is_scaled| {
        let nodes =
            [("four-free", 4, is_scaled), ("six-free", 2, is_scaled), ("idle", 0, is_scaled)];
        let snapshot = where_fours_come(Policy { elastic, ..Policy::default() }, &nodes);
        scores(&snapshot, &pod(1), &["four-free", "six-free", "idle"])
    };
    for (elastic, is_scaled) in [(None, true), (Some(true), false)] {
        assert_eq!(first(elastic, is_scaled), [10, 9, 0]);
    }
    // The idle node loses one of two jobs to come, the one with four free its only one.
    for (elastic, is_scaled) in [(None, false), (Some(false), true)] {
        assert_eq!(first(elastic, is_scaled), [0, 10, 9]);
    }
}

/// What stays is paid for: it goes before what can be given back, however much jobs to come could use of it. Among
/// the rest the fullest goes first, the idle one last.
#[test]
fn fixed_nodes_go_before_those_that_come_and_go() {
    let nodes = [
        ("fixed", 4, false),
        ("idle", 0, false),
        ("full", 7, true),
        ("half", 4, true),
        ("gone-soon", 0, true),
    ];
    let snapshot = where_fours_come(Policy::default(), &nodes);
    let names = nodes.map(|(name, ..)| name);
    let told = scores(&snapshot, &pod(1), &names);
    let (fixed, elastic) = told.split_at(2);
    assert!(fixed.iter().min() > elastic.iter().max(), "{told:?}");
    assert!(elastic.is_sorted_by(|one, other| one > other), "{told:?}");
    // Where only an elastic node has room, that is the place.
    assert_eq!(scores(&snapshot, &pod(8), &["fixed", "full", "gone-soon"]), [0, 9, 10]);
}

/// A place where a job of 4 is lost costs 4 * (1 + 3), one on a cheap node that comes and goes 1 * (1 + 8), and one
/// that nobody needs at most 4 * 1.
#[test]
fn price_counts_between_fixed_nodes_and_others() {
    let prices_milli = [("H100".to_owned(), 4000)].into();
    let mut snapshot =
        where_fours_come(Policy { prices_milli, ..Policy::default() }, &[("t4", 1, true)]);
    for (name, gpus) in [("h100-four-free", 4), ("h100-five-free", 3)] {
        let (mut node, pod) = used(name, gpus);
        node.meta.labels.insert("nvidia.com/gpu.product".into(), "H100".into());
        snapshot.set_node(&Seen { pods: vec![&Taken::of(&pod)], ..seen(&node) });
    }
    let names = ["h100-four-free", "t4", "h100-five-free"];
    assert_eq!(scores(&snapshot, &pod(1), &names), [0, 9, 10]);
}

/// Jobs that insist on the rare model, of which there is one fixed node beside forty common ones: whoever takes any model goes to a
/// common node, though that one comes and goes.
#[test]
fn a_rare_fixed_model_is_kept_for_those_who_insist_on_it() {
    let names: Vec<String> = (0..40).map(|nth| format!("common-{nth}")).collect();
    let mut snapshot = snapshot(&[]);
    for name in &names {
        let (mut node, pod) = used(name, 1);
        node.meta.labels.insert("nvidia.com/gpu.product".into(), "common".into());
        snapshot.set_node(&Seen { pods: vec![&Taken::of(&pod)], is_scaled: true, ..seen(&node) });
    }
    snapshot.set_node(&seen(&labelled("nvidia.com/gpu.product", "rare")));
    let one = Part { devices: 1, milli: 1000, cpu_milli: 0, memory_mib: 0 };
    snapshot.set_mix(&[(one, vec!["rare".to_owned()], 1)]);
    assert_eq!(scores(&snapshot, &pod(1), &["n", "common-0"]), [0, 10]);
    snapshot.set_mix(&[(one, Vec::new(), 1)]);
    assert_eq!(scores(&snapshot, &pod(1), &["n", "common-0"]), [10, 0]);
}

/// What is sent in full may say of itself whether it comes and goes; otherwise what is known holds.
#[test]
fn nodes_in_full_keep_what_the_controller_says() {
    let mut known = snapshot(&[]);
    known.set_node(&Seen { is_scaled: true, ..seen(&node("n")) });
    let supposed = |sent: &Node| {
        let mut supposed = known.clone();
        supposed.suppose_nodes(&[seen(sent)]);
        let view = supposed.find("n").unwrap().1;
        (view.is_elastic, view.elastic_by)
    };
    assert_eq!(supposed(&node("n")), (true, ElasticBy::Controller));
    assert_eq!(supposed(&labelled("prewarm.dev/elastic", "false")), (false, ElasticBy::Node));
}

/// Twice as many jobs insist on the common model, but it has three times the GPUs: a GPU of the rare one is wanted by
/// more, and a job that takes either goes to the common one.
#[test]
fn a_rare_model_is_kept_for_those_who_insist_on_it() {
    let of_model = |name: &str, model: &str| {
        let mut node = node(name);
        node.meta.labels.insert("nvidia.com/gpu.product".into(), model.into());
        node
    };
    let common = ["a", "b", "c"].map(|name| of_model(name, "common"));
    let mut snapshot = snapshot(&common);
    snapshot.set_node(&seen(&of_model("d", "rare")));
    let one = Part { devices: 1, milli: 1000, cpu_milli: 0, memory_mib: 0 };
    let wants = |model: &str, weight| (one, vec![model.to_owned()], weight);
    snapshot.set_mix(&[wants("common", 2), wants("rare", 1)]);
    assert_eq!(scores(&snapshot, &pod(1), &["a", "b", "c", "d"]), [10, 10, 10, 0]);
    snapshot.set_mix(&[wants("common", 4), wants("rare", 1)]);
    assert_eq!(scores(&snapshot, &pod(1), &["a", "b", "c", "d"]), [0, 0, 0, 10]);
}

/// As above; then two of the three common nodes go. There are as many GPUs of each model now, and more jobs insist
/// on the common one.
#[test]
fn what_is_rare_is_seen_when_nodes_come_and_go() {
    let of_model = |name: &str, model: &str| {
        let mut node = node(name);
        node.meta.labels.insert("nvidia.com/gpu.product".into(), model.into());
        node
    };
    let nodes = [("a", "common"), ("b", "common"), ("c", "common"), ("d", "rare")];
    let mut snapshot = snapshot(&nodes.map(|(name, model)| of_model(name, model)));
    let one = Part { devices: 1, milli: 1000, cpu_milli: 0, memory_mib: 0 };
    let wants = |model: &str, weight| (one, vec![model.to_owned()], weight);
    snapshot.set_mix(&[wants("common", 2), wants("rare", 1)]);
    snapshot.follow_supply();
    assert_eq!(scores(&snapshot, &pod(1), &["a", "d"]), [10, 0]);
    // A node that is told again counts once.
    snapshot.set_node(&seen(&of_model("a", "common")));
    snapshot.remove_node("b");
    snapshot.remove_node("c");
    snapshot.remove_node("c");
    assert_eq!(scores(&snapshot, &pod(1), &["a", "d"]), [10, 0]);
    snapshot.follow_supply();
    assert_eq!(scores(&snapshot, &pod(1), &["a", "d"]), [0, 10]);
}

#[test]
fn nodes_about_to_go_come_last() {
    let mut candidate = node("candidate");
    candidate.taints.push(Taint {
        key: "DeletionCandidateOfClusterAutoscaler".into(),
        value: "1".into(),
        effect: Effect::PreferNoSchedule,
    });
    let mut snapshot = snapshot(&[candidate, node("a"), node("b")]);
    assert_eq!(scores(&snapshot, &pod(1), &["candidate", "a", "b"]), [0, 10, 10]);
    snapshot.set_node(&Seen { is_to_go: true, ..seen(&node("a")) });
    assert_eq!(scores(&snapshot, &pod(1), &["a", "b", "ghost"]), [9, 10, 0]);
}

#[test]
fn cheaper_gpus_go_first_where_they_do() {
    let mut snapshot = snapshot(&[]);
    snapshot.set_node(&Seen { price_milli: 4000, ..seen(&node("h100")) });
    snapshot.set_node(&Seen { price_milli: 500, ..seen(&node("t4")) });
    assert_eq!(scores(&snapshot, &pod(1), &["h100", "t4"]), [0, 10]);
}

#[test]
fn models_have_the_prices_of_the_policy() {
    let prices_milli = [("H100".to_owned(), 4000), ("T4".to_owned(), 500)].into();
    let mut snapshot = ExtenderSnapshot::new(Policy { prices_milli, ..Policy::default() });
    for (name, model) in [("a", "H100"), ("b", "T4"), ("c", "A100")] {
        let mut node = node(name);
        node.meta.labels.insert("nvidia.com/gpu.product".into(), model.into());
        snapshot.set_node(&seen(&node));
    }
    assert_eq!(scores(&snapshot, &pod(1), &["a", "b", "c"]), [0, 10, 9]);
}

/// Domain x has 16 GPUs free, y 24: a gang of two with 8 each goes to the one it just fits, and follows its
/// first member wherever that is.
#[test]
fn a_gang_goes_to_one_domain() {
    let gang = Some(Gang { name: "train".into(), min_members: Some(2) });
    let member = Pod { gang, ..pod(8) };
    let of = |name: &str, clique: &str| {
        let mut node = node(name);
        node.meta.labels.insert("nvidia.com/gpu.clique".into(), clique.into());
        node
    };
    let nodes =
        [of("x1", "x"), of("x2", "x"), of("y1", "y"), of("y2", "y"), of("y3", "y"), node("z")];
    let mut snapshot = snapshot(&nodes);
    let names = ["x1", "x2", "y1", "y2", "y3", "z"];
    let told = scores(&snapshot, &member, &names);
    assert_eq!(told, [10, 10, 9, 9, 9, 0]);
    snapshot.set_node(&Seen { pods: vec![&Taken::of(&member)], ..seen(&nodes[2]) });
    let told = scores(&snapshot, &member, &["x1", "x2", "y2", "y3"]);
    assert_eq!(told, [0, 0, 10, 10]);
}

#[test]
fn every_check_is_explained() {
    let broken = labelled("nvidia.com/mig.config.state", "failed");
    let snapshot = snapshot(&[broken]);
    let (_, view) = snapshot.find("n").unwrap();
    let ask = Ask::new(&pod(0), None, &snapshot.policy);
    let told = explain(&ask, view, &snapshot.policy, snapshot.mix(), NOW);
    let refusals: Vec<&str> = told.findings.iter().filter_map(|one| one.refusal).collect();
    assert_eq!(refusals, [reason::SQUATTER, reason::MIG_FAILED]);
    assert_eq!(
        told.verdict,
        Verdict::Reject { class: Rejection::Unresolvable, reason: reason::SQUATTER }
    );
}

fn any_node() -> impl Strategy<Value = (u8, u64, u64, Option<&'static str>, bool)> {
    let state = prop_oneof![Just(None), Just(Some("drain-required")), Just(Some("upgrade-done"))];
    (0..40_u8, 0..9_u64, 0..9_u64, state, any::<bool>())
}

proptest! {
    /// Neither order nor repetition changes what a filter says of a node, and every node gets one answer.
    /// A node that is ready and offers what is asked is never refused.
    #[test]
    fn filters_do_not_depend_on_order(
        nodes in prop::collection::vec(any_node(), 1..20),
        asked in prop::collection::vec(0..45_u8, 1..60),
        gpus in 0..9_u64,
    ) {
        let mut snapshot = ExtenderSnapshot::new(Policy::default());
        for (name, allocatable, _, state, is_gone) in &nodes {
            let mut node = node(&format!("n{name}"));
            node.allocatable.extended.insert(GPU.into(), *allocatable);
            if let Some(state) = state {
                node.meta.labels.insert("nvidia.com/gpu-driver-upgrade-state".into(), (*state).into());
            }
            snapshot.set_node(&seen(&node));
            if *is_gone {
                snapshot.remove_node(&format!("n{name}"));
            }
        }
        let ask = Ask::new(&pod(gpus), None, &snapshot.policy);
        let names: Vec<String> = asked.iter().map(|name| format!("n{name}")).collect();
        let forwards = filter(&snapshot, &ask, names.iter().map(String::as_str), NOW);
        let backwards = filter(&snapshot, &ask, names.iter().rev().map(String::as_str), NOW);
        let sorted = |mut names: Vec<&str>| { names.sort_unstable(); names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>() };
        prop_assert_eq!(sorted(forwards.passed.clone()), sorted(backwards.passed));
        let refused = |filtered: &Filtered<'_>| sorted(filtered.rejected.iter().map(|one| one.0).collect());
        prop_assert_eq!(refused(&forwards), refused(&filter(&snapshot, &ask, names.iter().rev().map(String::as_str), NOW)));
        let mut distinct: Vec<&str> = names.iter().map(String::as_str).collect();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(forwards.passed.len() + forwards.rejected.len(), distinct.len());
        for name in &names {
            let alone = snapshot.find(name).map(|(_, view)| verdict(&ask, view, &snapshot.policy, NOW));
            let passes = alone.is_none_or(|verdict| verdict == Verdict::Pass);
            prop_assert_eq!(passes, forwards.passed.contains(&name.as_str()), "{}", name);
        }
        for (name, _, _) in &forwards.rejected {
            let (_, view) = snapshot.find(name).unwrap();
            let is_open = view.lacks.is_none() && view.allocatable(GPU) > 0 && gpus > 0;
            prop_assert!(!is_open, "{} was refused", name);
        }
    }

    /// Scores are within bounds, one a name, and do not depend on order; the best alone have ten.
    #[test]
    fn scores_do_not_depend_on_order(
        nodes in prop::collection::vec(any_node(), 1..20),
        gpus in 1..9_u64,
    ) {
        let mut snapshot = ExtenderSnapshot::new(Policy::default());
        for (name, _, in_use, _, _) in &nodes {
            let other = Taken::of(&pod(*in_use));
            let node = node(&format!("n{name}"));
            snapshot.set_node(&Seen { pods: vec![&other], ..seen(&node) });
        }
        let one = Part { devices: 3, milli: 1000, cpu_milli: 0, memory_mib: 0 };
        snapshot.set_mix(&[(one, Vec::new(), 2), (Part { devices: 8, ..one }, Vec::new(), 1)]);
        let ask = Ask::new(&pod(gpus), None, &snapshot.policy);
        let names: Vec<String> = nodes.iter().map(|(name, ..)| format!("n{name}")).collect();
        let forwards = prioritize(&snapshot, &ask, names.iter().map(String::as_str), NOW);
        let mut backwards = prioritize(&snapshot, &ask, names.iter().rev().map(String::as_str), NOW);
        backwards.reverse();
        prop_assert_eq!(&forwards, &backwards);
        prop_assert!(forwards.iter().all(|&(_, score)| score <= MAX_SCORE));
        prop_assert!(forwards.iter().any(|&(_, score)| score == MAX_SCORE));
    }

    /// Nodes that share a rank are scored as if each were looked at: for a gang they are, and where there are no
    /// NVLink domains a gang changes nothing.
    #[test]
    fn scores_by_kind_are_scores_by_node(
        nodes in prop::collection::vec((0..30_u8, 0..9_u64, 0..4_u8, any::<(bool, bool, bool)>()), 1..40),
        gpus in 1..9_u64,
        now in 0..60_000_i64,
    ) {
        let mut snapshot = ExtenderSnapshot::new(Policy::default());
        let one = Part { devices: 1, milli: 1000, cpu_milli: 0, memory_mib: 0 };
        for (nth, (name, in_use, age, (is_to_go, is_dear, is_scaled))) in nodes.iter().enumerate() {
            if nth == 10 {
                snapshot.set_mix(&[(one, Vec::new(), 3), (Part { devices: 4, ..one }, Vec::new(), 1)]);
            }
            let (other, node) = (Taken::of(&pod(*in_use)), node(&format!("n{name}")));
            let ready_since = (*age > 0).then(|| Timestamp(i64::from(*age) * 10_000));
            let price_milli = if *is_dear { 4_000 } else { 1_000 };
            let seen = Seen { pods: vec![&other], ready_since, is_to_go: *is_to_go, is_scaled: *is_scaled, price_milli, ..seen(&node) };
            snapshot.set_node(&seen);
        }
        for node in snapshot.nodes() {
            let loss = |part| snapshot.mix().loss(&node.room, node.model_bits, part);
            let alone = snapshot.mix().classes().iter().map(|one| node.room.fits(&one.part).then(|| loss(&one.part)));
            prop_assert_eq!(node.losses.to_vec(), alone.collect::<Vec<_>>());
        }
        let by_kind = Ask::new(&pod(gpus), None, &snapshot.policy);
        let by_node = Ask { gang: Some(("ml/nobody".into(), 1)), ..by_kind.clone() };
        let names: Vec<String> = (0..32).map(|name| format!("n{name}")).collect();
        let scores = |ask| prioritize(&snapshot, ask, names.iter().map(String::as_str), Timestamp(now));
        prop_assert_eq!(scores(&by_kind), scores(&by_node));
    }

    /// Nodes changed one by one give the same as a snapshot made at once.
    #[test]
    fn changes_one_by_one_are_as_good_as_all_at_once(
        changes in prop::collection::vec((0..8_u8, 0..9_u64, any::<bool>()), 1..40),
    ) {
        let mut kept = ExtenderSnapshot::new(Policy::default());
        let mut last = std::collections::BTreeMap::new();
        for (name, gpus, is_gone) in changes {
            let name = format!("n{name}");
            if is_gone {
                kept.remove_node(&name);
                last.remove(&name);
            } else {
                let mut node = node(&name);
                node.allocatable.extended.insert(GPU.into(), gpus);
                kept.set_node(&seen(&node));
                last.insert(name, node);
            }
        }
        let fresh = snapshot(&last.values().cloned().collect::<Vec<_>>());
        prop_assert_eq!(kept.nodes().count(), last.len());
        for name in last.keys() {
            prop_assert_eq!(kept.find(name).map(|(_, view)| view), fresh.find(name).map(|(_, view)| view));
        }
    }
}
