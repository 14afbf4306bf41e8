//! Real objects, recorded from kube-apiserver 1.36 and cluster-autoscaler 1.36, and hand-made ones for what
//! the recordings do not have.

use super::*;
use crate::{
    live::{
        look::Autoscaler,
        testing::{fixture, fixture_text},
    },
    model::object::{
        Gang, Machine, MachineDeployment, MachineSet, Node, Pod, PodPhase, ResourceSlice,
        Unscheduled,
    },
};
use serde_json::{Value, json};

fn parse<T: Facts>(value: Value) -> T {
    let object: Object<T::Spec, T::Status> = serde_json::from_value(value).unwrap();
    T::facts(object, &CapiKeys::default())
}

fn recorded<T: Facts>(name: &str) -> Option<T> {
    fixture(&format!("objects/{name}.json")).map(parse)
}

#[allow(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn pod(spec: Value) -> Pod {
    parse(json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec}))
}

fn asks(cpu: &str, gpus: u32) -> Value {
    json!({"requests": {"cpu": cpu, "nvidia.com/gpu": gpus.to_string()}})
}

#[test]
fn recorded_pods_tell_why_they_wait() {
    let Some(gated) = recorded::<Pod>("pod-pending-gated") else { return };
    assert_eq!(gated.unscheduled, Some(Unscheduled::Gated));
    assert_eq!(gated.requests.extended["nvidia.com/gpu"], 1);
    assert_eq!((gated.requests.cpu_milli, gated.requests.memory_bytes), (8000, 32 << 30));
    let of = |name: &str| recorded::<Pod>(name).unwrap();
    let nominated = of("pod-pending-nominated-after-preemption");
    assert_eq!(nominated.nominated_node.as_deref(), Some("gpu-ok"));
    assert_eq!((nominated.priority, nominated.priority_class.as_str()), (1000, "high"));
    let error = of("pod-pending-scheduler-error").unscheduled;
    assert!(matches!(error, Some(Unscheduled::SchedulerError(said)) if said.contains("refused")));
    let waits = of("pod-pending-unschedulable-selector");
    assert!(matches!(waits.unscheduled, Some(Unscheduled::Unschedulable(_))));
    assert_eq!(waits.node_selector["pool"], "none");
    let running = of("pod-running");
    assert_eq!((running.node.as_deref(), running.phase), (Some("gpu-ok"), PodPhase::Running));
    let bound_at = running.scheduled_at.unwrap();
    assert_eq!((running.unscheduled, running.started_at), (None, Some(bound_at)));
    // 2026-11-21T07:13:35Z
    assert_eq!(bound_at, Timestamp::from_secs(1_795_245_215));
    let done = of("pod-succeeded");
    assert_eq!((done.phase, done.finished_at), (PodPhase::Succeeded, Some(bound_at)));
    assert!(of("pod-preempted-victim").meta.is_deleting);
    assert_eq!(of("pod-scheduled-not-started").started_at, None);
}

#[test]
fn recorded_machines_read_the_same_in_both_versions() {
    for name in ["machine-provisioning", "machine-running", "machineset", "machinedeployment"] {
        let versions = ["v1beta1", "v1beta2"].map(|version| format!("{name}-{version}"));
        let [old, new] = &versions;
        let same = match name {
            "machineset" => recorded::<MachineSet>(old) == recorded::<MachineSet>(new),
            "machinedeployment" => {
                recorded::<MachineDeployment>(old) == recorded::<MachineDeployment>(new)
            }
            _ => recorded::<Machine>(old) == recorded::<Machine>(new),
        };
        assert!(same, "{name}");
    }
    let Some(machine) = recorded::<Machine>("machine-provisioning-v1beta2") else { return };
    assert_eq!(machine.deployment.as_deref(), Some("gpu-a100"));
    assert_eq!(machine.set.as_deref(), Some("gpu-a100-7c9d4"));
    assert_eq!((machine.node, machine.failure, machine.provider_id.as_str()), (None, None, ""));
    let running = recorded::<Machine>("machine-running-v1beta2").unwrap();
    assert_eq!(running.node.as_deref(), Some("gpu-a100-7c9d4-x1"));
    assert!(recorded::<Machine>("machine-deleting-v1beta2").unwrap().meta.is_deleting);
    let deployment = recorded::<MachineDeployment>("machinedeployment-v1beta2").unwrap();
    assert_eq!((deployment.replicas, deployment.current_replicas), (Some(2), 2));
    assert!(deployment.is_observed && !deployment.is_paused);
    assert_eq!(deployment.template_labels["pool"], "gpu-a100");
    let set = recorded::<MachineSet>("machineset-v1beta2").unwrap();
    assert_eq!((set.deployment.as_deref(), set.replicas), (Some("gpu-a100"), 2));
    assert_eq!(set.revision, Some(1));
}

#[test]
fn recorded_nodes_tell_capacity_apart_from_what_is_allocatable() {
    let Some(node) = recorded::<Node>("node-3b-4-of-8-gpus") else { return };
    let gpu = "nvidia.com/gpu";
    assert_eq!((node.capacity.extended[gpu], node.allocatable.extended[gpu]), (8, 4));
    assert_eq!(node.allocatable.memory_bytes, 1140 << 30);
    assert_eq!(node.taints.len(), 2);
    assert_eq!(node.condition("Ready").unwrap().status, Some(true));
    assert_eq!(node.meta.annotations["cluster.x-k8s.io/machine"], "gpu-a100-7c9d4-x1");
    assert!(recorded::<Node>("node-8-to-be-deleted").unwrap().is_unschedulable);
}

#[test]
fn recorded_states_of_cluster_autoscaler_are_read() {
    let of = |name: &str| {
        fixture_text(&format!("cluster-autoscaler/status/{name}.yaml"))
            .map(|text| autoscaler_status(&text))
    };
    let Some(Autoscaler::Running { at, requests, backed_off }) = of("0-initializing") else {
        return;
    };
    // 2026-11-21 07:14:34.049756834 +0000 UTC
    assert_eq!(at, Timestamp(1_795_245_274_049));
    assert_eq!((requests.len(), backed_off.len()), (0, 0));
    let ours = "MachineDeployment/demo/gpu-a100".to_owned();
    let scaling = of("2-scale-up-in-progress").unwrap();
    assert!(matches!(scaling, Autoscaler::Running { requests, .. } if requests == [ours.clone()]));
    let failed = of("10-backoff-later").unwrap();
    assert!(
        matches!(failed, Autoscaler::Running { backed_off, .. } if backed_off == [ours.clone()])
    );
    let map = fixture("cluster-autoscaler/status/configmap-2-scale-up-in-progress.json").unwrap();
    let read = autoscaler(&serde_json::from_value(map).unwrap());
    assert!(matches!(read, Autoscaler::Running { requests, .. } if requests == [ours]));
}

#[test]
fn a_status_that_cannot_be_read_says_so() {
    for text in ["", "time: [", "time: soon", "- 1", "time: 2026-13-45 00:00:00 +0000 UTC"] {
        assert!(matches!(autoscaler_status(text), Autoscaler::Unreadable(_)), "{text:?}");
    }
}

/// Worked by hand as component-helpers does it: sidecars stay beside what is started after them.
#[test]
fn a_pod_asks_for_what_the_scheduler_reserves() {
    let sidecar = json!({"restartPolicy": "Always", "resources": asks("1", 0)});
    let spec = json!({
        "containers": [{"resources": asks("2", 1)}, {"resources": asks("500m", 1)}],
        "initContainers": [{"resources": asks("3", 0)}, sidecar, {"resources": asks("5", 4)}],
        "overhead": {"cpu": "250m"},
    });
    // Containers and sidecar: 2 + 0.5 + 1; steps: 3, then 1, then 1 + 5. Larger: 6. Overhead: 0.25.
    let asked = pod(spec).requests;
    assert_eq!((asked.cpu_milli, asked.extended["nvidia.com/gpu"]), (6250, 4));
    let limits = json!({"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}]});
    assert_eq!(pod(limits).requests.extended["nvidia.com/gpu"], 2);
    let whole = json!({
        "containers": [{"resources": asks("2", 1)}], "resources": {"requests": {"cpu": "7"}},
    });
    assert_eq!(pod(whole).requests.cpu_milli, 7000);
}

#[test]
fn models_come_from_selectors_and_single_affinity_terms() {
    let term = |values: Value| {
        json!({"matchExpressions": [
            {"key": "nvidia.com/gpu.product", "operator": "In", "values": values},
            {"key": "zone", "operator": "In", "values": ["a"]},
            {"key": "arch", "operator": "NotIn", "values": ["arm64"]},
        ]})
    };
    let required = |terms: Value| {
        let key = "requiredDuringSchedulingIgnoredDuringExecution";
        json!({"nodeSelector": {"disk": "ssd"},
               "affinity": {"nodeAffinity": {key: {"nodeSelectorTerms": terms}}}})
    };
    let one = pod(required(json!([term(json!(["H100", "A100"]))])));
    assert_eq!(one.gpu_models, ["A100", "H100"]);
    let labels: Vec<&str> = one.node_selector.keys().map(String::as_str).collect();
    assert_eq!(labels, ["disk", "zone"]);
    let two = pod(required(json!([term(json!(["H100"])), term(json!(["A100"]))])));
    assert_eq!(two.gpu_models, ["A100", "H100"]);
    assert_eq!(two.node_selector.len(), 1, "of two terms either would do");
    let plain = pod(json!({"nodeSelector": {"cluster-api/accelerator": "l40s"}}));
    assert_eq!((plain.gpu_models, plain.node_selector.len()), (vec!["l40s".to_owned()], 0));
}

#[test]
fn gangs_are_known_by_what_three_schedulers_write() {
    let of = |meta: Value| -> Option<Gang> {
        let pod: Pod = parse(json!({"metadata": meta, "spec": {}}));
        pod.gang
    };
    let gang = |name: &str, min_members| Some(Gang { name: name.to_owned(), min_members });
    assert_eq!(of(json!({"labels": {"scheduling.x-k8s.io/pod-group": "g"}})), gang("g", None));
    let old = json!({"labels": {"pod-group.scheduling.sigs.k8s.io": "g"}});
    assert_eq!(of(old), gang("g", None));
    let kueue = json!({
        "labels": {"kueue.x-k8s.io/pod-group-name": "k"},
        "annotations": {"kueue.x-k8s.io/pod-group-total-count": "4"},
    });
    assert_eq!(of(kueue), gang("k", Some(4)));
    assert_eq!(of(json!({"annotations": {"scheduling.k8s.io/group-name": "v"}})), gang("v", None));
    assert_eq!(of(json!({"name": "alone"})), None);
}

#[test]
fn why_a_machine_will_not_come_is_read_from_wherever_it_stands() {
    let of = |status: Value| -> Option<String> {
        let machine: Machine = parse(json!({"metadata": {}, "spec": {}, "status": status}));
        machine.failure
    };
    let condition = |kind: &str, reason: &str| json!({"conditions": [{"type": kind, "status": "False", "reason": reason, "message": "m"}]});
    assert_eq!(of(json!({"failureMessage": "no capacity"})).unwrap(), "no capacity");
    let moved = json!({"deprecated": {"v1beta1": {"failureMessage": "moved"}}});
    assert_eq!(of(moved).unwrap(), "moved");
    assert!(of(condition("InfrastructureReady", "InstanceProvisionFailed")).is_some());
    assert!(of(condition("HealthCheckSucceeded", "NodeStartupTimeout")).is_some());
    assert_eq!(of(condition("InfrastructureReady", "NotReady")), None, "not yet");
    assert_eq!(of(condition("NodeHealthy", "Failed")), None, "its node tells");
    assert!(of(json!({"phase": "Failed"})).is_some());
    assert_eq!(of(json!({"phase": "Pending"})), None);
}

#[test]
fn slices_and_priority_classes_are_read() {
    let slice: ResourceSlice = parse(json!({
        "metadata": {"name": "s"},
        "spec": {"driver": "gpu.nvidia.com", "nodeName": "n1", "devices": [{"name": "gpu-0"}, {}],
                 "pool": {"name": "n1", "generation": 3, "resourceSliceCount": 2}},
    }));
    assert_eq!((slice.node.as_deref(), slice.devices, slice.slices), (Some("n1"), 2, 2));
    let class = json!({
        "metadata": {"name": "high", "annotations": {"prewarm.dev/waiting-cost-ratio": "50"}}, "value": 1000,
    });
    let class = priority_class(serde_json::from_value(class).unwrap());
    assert_eq!((class.value, class.meta.annotations.len()), (1000, 1));
}

#[test]
fn annotations_are_bounded() {
    let long = "ü".repeat(1 << 20);
    let node: Node = parse(json!({
        "metadata": {"annotations": {"prewarm.dev/x": long, "other.io/y": "1"}}, "spec": {},
    }));
    assert_eq!(node.meta.annotations.len(), 1);
    assert_eq!(node.meta.annotations["prewarm.dev/x"].len(), 4096);
}

#[test]
fn durations_are_gos() {
    assert_eq!(go_duration("1h30m"), Some(Millis::from_mins(90)));
    assert_eq!((go_duration("2d"), go_duration("90")), (None, None));
}
