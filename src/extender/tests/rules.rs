//! Rules of the policy at their edges.

use super::*;

fn strict() -> Policy {
    Policy { is_strict: true, ..Policy::default() }
}

/// Node and pod say so in different ways; one is enough.
#[test]
fn a_node_is_a_gpu_node_by_resource_taint_or_label() {
    let bare = || Node { meta: Meta { name: "n".into(), ..Meta::default() }, ..Node::default() };
    let labelled = |key: &str, value: &str| {
        let mut node = bare();
        node.meta.labels.insert(key.into(), value.into());
        node
    };
    let (mut tainted, mut other) = (bare(), bare());
    let taint =
        |key: &str| Taint { key: key.into(), value: String::new(), effect: Effect::NoSchedule };
    tainted.taints.push(taint(GPU));
    other.taints.push(taint("dedicated"));
    let mut coming = bare();
    coming.capacity.extended.insert(GPU.into(), 8);
    for (node, is_gpu) in [
        (bare(), false),
        (other, false),
        (tainted, true),
        (coming, true),
        (labelled("nvidia.com/gpu.present", "true"), true),
        (labelled("nvidia.com/gpu.present", "false"), false),
        (labelled("cluster-api/accelerator", "a100"), true),
        (labelled("amd.com/gpu.family", "AI"), true),
        (labelled("kubernetes.io/hostname", "n"), false),
    ] {
        let expected = if is_gpu { reason::SQUATTER } else { "" };
        assert_eq!(refusal(&pod(0), &node), expected, "{node:?}");
        // Nothing is allocatable yet.
        let expected = if is_gpu { reason::DRIVER } else { "" };
        assert_eq!(refusal(&pod(1), &node), expected, "{node:?}");
    }
}

/// Tolerating one of two GPU taints is not enough: the other keeps the pod away as well.
#[test]
fn all_gpu_taints_must_be_allowed() {
    let key = |key: &str| Toleration { key: key.into(), exists: true, ..Toleration::default() };
    let mut both = node("n");
    let effect = Effect::NoSchedule;
    both.taints.push(Taint { key: "amd.com/gpu".into(), value: String::new(), effect });
    for (list, expected) in [
        (vec![key(GPU)], reason::NAMESPACE),
        (vec![key("amd.com/gpu")], reason::NAMESPACE),
        (vec![key(GPU), key("amd.com/gpu")], ""),
        (vec![key("")], ""),
    ] {
        let namespace = Namespace { whitelist: Listed::These(list), ..Namespace::default() };
        let policy = Policy::default();
        let view = view(&seen(&both), &policy, |_| 1);
        let found =
            match verdict(&Ask::new(&pod(1), Some(&namespace), &policy), &view, &policy, NOW) {
                Verdict::Pass => "",
                Verdict::Reject { reason, .. } => reason,
            };
        assert_eq!(found, expected, "{:?}", namespace.whitelist);
    }
}

#[test]
fn only_true_lets_a_pod_without_gpus_in() {
    for (value, expected) in [("true", ""), ("false", reason::SQUATTER), ("", reason::SQUATTER)] {
        let mut opted = pod(0);
        opted.meta.annotations.insert("prewarm.dev/gpu-node".into(), value.into());
        assert_eq!(refusal(&opted, &node("n")), expected, "{value:?}");
    }
    let lenient = Policy { refuses_squatters: false, ..Policy::default() };
    assert_eq!(refusal_of(&pod(0), &seen(&node("n")), &lenient), "");
}

/// kube-scheduler obeys the selector of the pod; an annotation that says otherwise must not strand it.
#[test]
fn a_selector_goes_before_the_annotation() {
    let mut chosen = Pod { gpu_models: vec!["A100".into()], ..pod(1) };
    chosen.meta.annotations.insert("prewarm.dev/gpu-model".into(), "H100".into());
    assert_eq!(refusal(&chosen, &node("n")), "");
    let policy = Policy::default();
    assert_eq!(Ask::new(&chosen, None, &policy).models, ["A100"]);
}

/// Whether there is anybody to evict on a node nobody knows is not for us to say, unless it would be refused.
#[test]
fn strictness_about_nodes_nobody_knows_holds_for_all_verbs_and_not_for_exempt_pods() {
    let mut exempt = pod(0);
    exempt.meta.namespace = "kube-system".into();
    for (policy, pod, passes) in
        [(Policy::default(), pod(1), true), (strict(), pod(1), false), (strict(), exempt, true)]
    {
        let nothing = ExtenderSnapshot::new(policy);
        let ask = Ask::new(&pod, None, &nothing.policy);
        assert_eq!(preempt(&nothing, &ask, [("ghost", 1)], NOW), [passes]);
        assert_eq!(filter(&nothing, &ask, ["ghost"], NOW).passed.len(), usize::from(passes));
    }
}
