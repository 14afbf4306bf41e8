//! Objects a test or a demonstration starts with: namespaces, MachineDeployments, pods that ask for GPUs.

use super::objects::{CAPI, GPU_COUNT, GPU_TYPE, RUN_SECONDS};
use serde_json::{Value, json};

/// A pod that asks for GPUs and tolerates the taint of GPU nodes.
pub fn gpu_pod(namespace: &str, name: &str, gpus: u32, run_seconds: Option<f64>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "restartPolicy": "Never",
            "tolerations": [{ "key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule" }],
            "containers": [{
                "name": "main", "image": "registry.example/train:1",
                "resources": {
                    "requests": { "nvidia.com/gpu": gpus.to_string() },
                    "limits": { "nvidia.com/gpu": gpus.to_string() },
                },
            }],
        },
    });
    if let Some(seconds) = run_seconds {
        pod["metadata"]["annotations"] = json!({ RUN_SECONDS: seconds.to_string() });
    }
    pod
}

/// A MachineDeployment of GPU nodes with cluster-autoscaler's annotations.
pub fn gpu_deployment(namespace: &str, name: &str, gpus: u32, (min, max): (u32, u32)) -> Value {
    json!({
        "apiVersion": format!("{CAPI}/v1beta2"), "kind": "MachineDeployment",
        "metadata": {
            "name": name, "namespace": namespace,
            "labels": { "cluster.x-k8s.io/cluster-name": "fleet" },
            "annotations": {
                "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size": min.to_string(),
                "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size": max.to_string(),
                GPU_COUNT: gpus.to_string(),
                GPU_TYPE: "nvidia.com/gpu",
                "capacity.cluster-autoscaler.kubernetes.io/cpu": "96",
                "capacity.cluster-autoscaler.kubernetes.io/memory": "1152Gi",
            },
        },
        "spec": {
            "clusterName": "fleet", "replicas": min,
            "selector": { "matchLabels": { "pool": name } },
            "template": {
                "metadata": { "labels": { "pool": name, "cluster-api/accelerator": name } },
                "spec": {
                    "clusterName": "fleet", "bootstrap": { "dataSecretName": "bootstrap" },
                    "infrastructureRef": {
                        "apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "FleetMachineTemplate",
                        "name": name,
                    },
                },
            },
        },
    })
}

/// A namespace.
pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}
