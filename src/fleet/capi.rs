//! Plays Cluster API: a MachineSet a MachineDeployment, Machines by replicas, deletion in Cluster API's order,
//! and the states Machines go through.
//!
//! # Source
//! Cluster API, `machineset_deletion_order.go` (annotated Machines first, then those without a node).

use super::{
    Fault, FleetSettings, NodeTimes, State,
    act::{Act, Place},
    objects::{
        self, CAPI, DELETE_MACHINE, GPU_COUNT, annotation, at, created, key, label, name, place,
        rfc3339, text,
    },
    view::Seen,
};
use crate::time::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use std::sync::Arc;

/// What Cluster API does next.
pub fn step(now: Timestamp, seen: &Seen, settings: &FleetSettings, state: &mut State) -> Vec<Act> {
    let mut acts = Vec::new();
    for deployment in &seen.deployments {
        if deployment.metadata.deletion_timestamp.is_some() {
            continue;
        }
        acts.extend(machine_set(deployment, seen));
        let machines = machines_of(deployment, seen);
        if !is_paused(deployment) {
            acts.extend(replicas(now, deployment, &machines, seen, settings, state));
        }
        for machine in &machines {
            acts.extend(progress(now, deployment, machine, seen, settings, state));
        }
        acts.extend(deployment_status(deployment, &machines, seen));
    }
    acts
}

/// How nodes of a deployment come up.
pub fn times(deployment: &DynamicObject, settings: &FleetSettings) -> NodeTimes {
    settings.times.get(&key(deployment)).copied().unwrap_or(settings.default_times)
}

fn is_paused(deployment: &DynamicObject) -> bool {
    at(deployment, "/spec/paused").and_then(Value::as_bool).unwrap_or_default()
        || annotation(deployment, "cluster.x-k8s.io/paused").is_some()
}

/// Its machines that are not being deleted, by name.
pub fn machines_of(deployment: &DynamicObject, seen: &Seen) -> Vec<Arc<DynamicObject>> {
    let of_deployment = |machine: &&Arc<DynamicObject>| {
        machine.metadata.namespace == deployment.metadata.namespace
            && label(machine, "cluster.x-k8s.io/deployment-name") == Some(name(deployment))
            && machine.metadata.deletion_timestamp.is_none()
    };
    seen.machines.iter().filter(of_deployment).cloned().collect()
}

fn set_name(deployment: &DynamicObject) -> String {
    format!("{}-set", name(deployment))
}

fn owner(of: &DynamicObject, kind: &str) -> Value {
    json!([{
        "apiVersion": format!("{CAPI}/v1beta2"), "kind": kind, "name": name(of),
        "uid": of.metadata.uid.clone().unwrap_or_default(), "controller": true,
    }])
}

fn machine_set(deployment: &DynamicObject, seen: &Seen) -> Option<Act> {
    let (wanted, namespace) = (set_name(deployment), &deployment.metadata.namespace);
    let replicas = at(deployment, "/spec/replicas").cloned().unwrap_or_else(|| json!(0));
    let there =
        seen.sets.iter().find(|set| name(set) == wanted && set.metadata.namespace == *namespace);
    let place = Place {
        resource: objects::sets(),
        namespace: namespace.clone().unwrap_or_default(),
        name: wanted.clone(),
    };
    match there {
        Some(set) if at(set, "/spec/replicas") == Some(&replicas) => None,
        Some(_) => Some(Act::Merge(place, json!({ "spec": { "replicas": replicas } }))),
        None => Some(Act::Create(
            place,
            json!({
                "apiVersion": format!("{CAPI}/v1beta2"), "kind": "MachineSet",
                "metadata": {
                    "name": wanted, "namespace": namespace,
                    "labels": { "cluster.x-k8s.io/deployment-name": name(deployment) },
                    "annotations": { "machinedeployment.clusters.x-k8s.io/revision": "1" },
                    "ownerReferences": owner(deployment, "MachineDeployment"),
                },
                "spec": {
                    "clusterName": text(deployment, "/spec/clusterName"), "replicas": replicas,
                    "selector": at(deployment, "/spec/selector").cloned().unwrap_or_else(|| json!({})),
                    "template": at(deployment, "/spec/template").cloned().unwrap_or_else(|| json!({})),
                },
            }),
        )),
    }
}

fn replicas(
    now: Timestamp,
    deployment: &DynamicObject,
    machines: &[Arc<DynamicObject>],
    seen: &Seen,
    settings: &FleetSettings,
    state: &mut State,
) -> Vec<Act> {
    let wanted =
        at(deployment, "/spec/replicas").and_then(Value::as_u64).unwrap_or_default() as usize;
    // What was asked for at the last step may not have been seen yet.
    for machine in &seen.machines {
        state.asked.remove(&key(machine));
    }
    let own = key(deployment);
    let asked = state.asked.values().filter(|of| **of == own).count();
    if machines.len() + asked < wanted {
        let missing = wanted - machines.len() - asked;
        return (0..missing).map(|_| create_machine(now, deployment, seen, state)).collect();
    }
    let mut going: Vec<&Arc<DynamicObject>> = machines.iter().collect();
    going.sort_by_key(|machine| (deletion_class(machine), name(machine).to_owned()));
    let excess = machines.len().saturating_sub(wanted);
    going
        .into_iter()
        .take(excess)
        .flat_map(|machine| delete(now, machine, settings, state))
        .collect()
}

/// Lower goes first.
fn deletion_class(machine: &DynamicObject) -> u8 {
    match (annotation(machine, DELETE_MACHINE), at(machine, "/status/nodeRef/name")) {
        (Some(_), _) => 0,
        (None, None) => 1,
        (None, Some(_)) => 2,
    }
}

fn delete(
    now: Timestamp,
    machine: &DynamicObject,
    _settings: &FleetSettings,
    state: &mut State,
) -> Vec<Act> {
    if let Some(life) = state.lives.get_mut(&key(machine)) {
        life.1 = Some(now);
    }
    let node = text(machine, "/status/nodeRef/name");
    let node = (!node.is_empty()).then(|| {
        Act::Delete(Place {
            resource: objects::nodes(),
            namespace: String::new(),
            name: node.to_owned(),
        })
    });
    let machine = Act::Delete(place(objects::machines(), machine));
    std::iter::once(machine).chain(node).collect()
}

fn create_machine(
    now: Timestamp,
    deployment: &DynamicObject,
    seen: &Seen,
    state: &mut State,
) -> Act {
    state.last_number += 1;
    let machine = format!("{}-{:05}", name(deployment), state.last_number);
    let namespace = deployment.metadata.namespace.clone().unwrap_or_default();
    let machine_key = format!("{namespace}/{machine}");
    if !state.faults.is_empty() {
        let fault = state.faults.remove(0);
        state.machine_faults.insert(machine_key.clone(), fault);
    }
    state.lives.insert(machine_key.clone(), (now, None));
    state.asked.insert(machine_key, key(deployment));
    let set = set_name(deployment);
    let owner = seen.sets.iter().find(|other| name(other) == set);
    let owner = owner.map_or_else(|| json!([]), |set| owner_of_set(set));
    Act::Create(
        Place {
            resource: objects::machines(),
            namespace: namespace.clone(),
            name: machine.clone(),
        },
        json!({
            "apiVersion": format!("{CAPI}/v1beta2"), "kind": "Machine",
            "metadata": {
                "name": machine, "namespace": namespace, "ownerReferences": owner,
                "labels": {
                    "cluster.x-k8s.io/deployment-name": name(deployment),
                    "cluster.x-k8s.io/set-name": set,
                    "cluster.x-k8s.io/cluster-name": text(deployment, "/spec/clusterName"),
                },
            },
            "spec": {
                "clusterName": text(deployment, "/spec/clusterName"),
                "bootstrap": { "dataSecretName": "bootstrap" },
                "infrastructureRef": {
                    "apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "FleetMachine", "name": machine,
                },
            },
        }),
    )
}

fn owner_of_set(set: &DynamicObject) -> Value {
    owner(set, "MachineSet")
}

/// Where a Machine is on its way.
fn progress(
    now: Timestamp,
    deployment: &DynamicObject,
    machine: &DynamicObject,
    seen: &Seen,
    settings: &FleetSettings,
    state: &State,
) -> Vec<Act> {
    let (times, age) = (times(deployment, settings), now - created(machine));
    let fault = state.machine_faults.get(&key(machine));
    let phase = text(machine, "/status/phase");
    let here = || place(objects::machines(), machine);
    match fault {
        Some(Fault::CreationFails) if age > times.register && phase != "Failed" => {
            let message = "the provider has no capacity for this machine";
            let failed =
                condition("InfrastructureReady", "False", "ProvisioningFailed", message, now);
            return vec![Act::MergeStatus(
                here(),
                json!({ "phase": "Failed", "conditions": [failed],
                    "deprecated": { "v1beta1": { "failureReason": "CreateError", "failureMessage": message } } }),
            )];
        }
        Some(Fault::CreationFails | Fault::NeverRegisters) => return Vec::new(),
        _ => {}
    }
    if phase.is_empty() {
        return vec![Act::MergeStatus(here(), json!({ "phase": "Provisioning" }))];
    }
    if age < times.register || phase == "Running" {
        return Vec::new();
    }
    let provider = format!("fleet:////{}", name(machine));
    let node_there = seen.nodes.iter().any(|node| name(node) == name(machine));
    let mut acts = Vec::new();
    if text(machine, "/spec/providerID").is_empty() {
        acts.push(Act::Merge(here(), json!({ "spec": { "providerID": provider } })));
    }
    if !node_there {
        acts.push(node(deployment, machine, &provider, settings));
    }
    let ready = condition("InfrastructureReady", "True", "Provisioned", "", now);
    acts.push(Act::MergeStatus(
        here(),
        json!({
            "phase": "Running", "nodeRef": { "name": name(machine) }, "conditions": [ready],
            "initialization": { "infrastructureProvisioned": true, "bootstrapDataSecretCreated": true },
        }),
    ));
    acts
}

/// A condition as Cluster API writes it.
pub fn condition(kind: &str, status: &str, reason: &str, message: &str, at: Timestamp) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": rfc3339(at),
    })
}

fn node(
    deployment: &DynamicObject,
    machine: &DynamicObject,
    provider: &str,
    settings: &FleetSettings,
) -> Act {
    let mut labels = serde_json::Map::new();
    labels.insert("kubernetes.io/hostname".to_owned(), json!(name(machine)));
    labels.insert("fleet.prewarm.dev/node".to_owned(), json!("true"));
    let template = at(deployment, "/spec/template/metadata/labels").and_then(Value::as_object);
    for (key, value) in template.into_iter().flatten() {
        if key != objects::ACCELERATOR || settings.label_accelerator {
            labels.insert(key.clone(), value.clone());
        }
    }
    let place = Place {
        resource: objects::nodes(),
        namespace: String::new(),
        name: name(machine).to_owned(),
    };
    let body = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name(machine), "labels": labels,
            "annotations": {
                "cluster.x-k8s.io/machine": name(machine),
                "cluster.x-k8s.io/cluster-namespace": machine.metadata.namespace,
                "fleet.prewarm.dev/gpus": annotation(deployment, GPU_COUNT).unwrap_or("8"),
                "fleet.prewarm.dev/gpu-type":
                    annotation(deployment, objects::GPU_TYPE).unwrap_or("nvidia.com/gpu"),
                "fleet.prewarm.dev/machine": key(machine),
                "fleet.prewarm.dev/deployment": key(deployment),
            },
        },
        "spec": {
            "providerID": provider,
            "taints": [{ "key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule" }],
        },
    });
    Act::Create(place, body)
}

fn deployment_status(
    deployment: &DynamicObject,
    machines: &[Arc<DynamicObject>],
    seen: &Seen,
) -> Option<Act> {
    let is_ready = |machine: &&Arc<DynamicObject>| {
        let node = seen.nodes.iter().find(|node| name(node) == name(machine));
        node.and_then(|node| objects::condition(node, "Ready"))
            .is_some_and(|(status, _)| status == "True")
    };
    let ready = machines.iter().filter(is_ready).count();
    let wanted = at(deployment, "/spec/replicas").and_then(Value::as_u64).unwrap_or_default();
    let phase = match (machines.len() as u64).cmp(&wanted) {
        std::cmp::Ordering::Less => "ScalingUp",
        std::cmp::Ordering::Equal => "Running",
        std::cmp::Ordering::Greater => "ScalingDown",
    };
    let status = json!({
        "replicas": machines.len(), "readyReplicas": ready, "availableReplicas": ready,
        "upToDateReplicas": machines.len(), "phase": phase,
        "observedGeneration": deployment.metadata.generation.unwrap_or_default(),
        "selector": format!("cluster.x-k8s.io/deployment-name={}", name(deployment)),
    });
    let there = at(deployment, "/status").and_then(Value::as_object);
    let is_same = status
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, value)| there.and_then(|there| there.get(key)) == Some(value));
    (!is_same).then(|| Act::MergeStatus(place(objects::deployments(), deployment), status))
}
