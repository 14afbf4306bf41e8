//! Plays kubelets: nodes become Ready, their GPU driver makes GPUs allocatable, bound pods run and end.

use super::{
    Fault, FleetSettings, State,
    act::{Act, Place},
    capi,
    objects::{self, RUN_SECONDS, annotation, at, created, name, place, rfc3339, text},
    view::Seen,
};
use crate::time::{Millis, Timestamp};
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// What kubelets do next.
pub fn step(now: Timestamp, seen: &Seen, settings: &FleetSettings, state: &State) -> Vec<Act> {
    let nodes = seen.nodes.iter().filter_map(|node| progress(now, node, seen, settings, state));
    let pods = seen.pods.iter().filter_map(|pod| run(now, pod, seen, settings));
    nodes.chain(pods).collect()
}

/// A node on its way to all its GPUs.
fn progress(
    now: Timestamp,
    node: &DynamicObject,
    seen: &Seen,
    settings: &FleetSettings,
    state: &State,
) -> Option<Act> {
    let machine_key = annotation(node, "fleet.prewarm.dev/machine")?;
    let deployment = annotation(node, "fleet.prewarm.dev/deployment")?;
    let deployment = seen.deployments.iter().find(|other| objects::key(other) == deployment)?;
    let machine = seen.machines.iter().find(|machine| objects::key(machine) == machine_key)?;
    let (times, age) = (capi::times(deployment, settings), now - created(machine));
    let whole: u64 = annotation(node, "fleet.prewarm.dev/gpus")?.parse().ok()?;
    let fault = state.machine_faults.get(machine_key);
    let is_ready = age >= times.provisioning;
    let warm = age - times.provisioning;
    let half_at = Millis(times.warm_up.0 * i64::from(times.half_at_permille) / 1000);
    let gpus = match fault {
        _ if !is_ready => 0,
        Some(Fault::HalfForEver) if warm >= times.warm_up => whole / 2,
        Some(Fault::DriverStuck | Fault::HalfForEver) => 0,
        _ if warm >= times.warm_up => whole,
        _ if times.half_at_permille > 0 && warm >= half_at => whole / 2,
        _ => 0,
    };
    let resource = annotation(node, "fleet.prewarm.dev/gpu-type")?;
    let shown = at(node, "/status/allocatable").and_then(|amounts| amounts.get(resource));
    let shown: u64 = shown.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(0);
    let was_ready = objects::condition(node, "Ready").map(|(status, _)| status == "True");
    if was_ready == Some(is_ready) && shown == gpus {
        return None;
    }
    Some(Act::MergeStatus(
        place(objects::nodes(), node),
        node_status(now, is_ready, resource, gpus, node),
    ))
}

fn node_status(
    now: Timestamp,
    is_ready: bool,
    resource: &str,
    gpus: u64,
    node: &DynamicObject,
) -> Value {
    let since = match objects::condition(node, "Ready") {
        Some((status, since)) if (status == "True") == is_ready => since.to_owned(),
        _ => rfc3339(now),
    };
    let (status, reason) =
        if is_ready { ("True", "KubeletReady") } else { ("False", "KubeletNotReady") };
    let mut amounts = json!({ "cpu": "96", "memory": "1152Gi", "pods": "110" });
    if gpus > 0 {
        amounts[resource] = json!(gpus.to_string());
    }
    json!({
        "capacity": amounts, "allocatable": amounts,
        "conditions": [{
            "type": "Ready", "status": status, "reason": reason, "message": "",
            "lastTransitionTime": since, "lastHeartbeatTime": rfc3339(now),
        }],
    })
}

/// A bound pod starts, ends, and is deleted some time later; one whose node is gone is deleted.
fn run(now: Timestamp, pod: &DynamicObject, seen: &Seen, settings: &FleetSettings) -> Option<Act> {
    let node = text(pod, "/spec/nodeName");
    if node.is_empty() {
        return None;
    }
    let here = || place(objects::pods(), pod);
    let is_ours = |other: &str| seen.nodes.iter().any(|node| name(node) == other);
    match text(pod, "/status/phase") {
        "Succeeded" | "Failed" => {
            let ended = text(pod, "/status/containerStatuses/0/state/terminated/finishedAt");
            let ended: jiff::Timestamp = ended.parse().ok()?;
            let since = now - Timestamp(ended.as_millisecond());
            (since >= settings.keep_finished).then(|| Act::Delete(here()))
        }
        _ if !is_ours(node) => Some(Act::Delete(here())),
        "Running" => {
            let seconds: f64 = annotation(pod, RUN_SECONDS)?.parse().ok()?;
            let started: jiff::Timestamp = text(pod, "/status/startTime").parse().ok()?;
            let ends = Timestamp(started.as_millisecond()) + Millis((seconds * 1000.0) as i64);
            (now >= ends).then(|| Act::MergeStatus(here(), ended(&started.to_string(), ends)))
        }
        _ => Some(Act::MergeStatus(here(), started(now))),
    }
}

fn started(now: Timestamp) -> Value {
    let at = rfc3339(now);
    json!({
        "phase": "Running", "startTime": at,
        "containerStatuses": [{
            "name": "main", "image": "fleet", "imageID": "", "ready": true, "restartCount": 0,
            "state": { "running": { "startedAt": at } },
        }],
    })
}

fn ended(started: &str, at: Timestamp) -> Value {
    json!({
        "phase": "Succeeded",
        "containerStatuses": [{
            "name": "main", "image": "fleet", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "running": null, "terminated": {
                "exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": rfc3339(at),
            } },
        }],
    })
}

/// The place of a node.
pub fn node_place(name: &str) -> Place {
    Place { resource: objects::nodes(), namespace: String::new(), name: name.to_owned() }
}
