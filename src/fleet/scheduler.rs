//! Plays kube-scheduler: binds waiting pods to the fullest node on which they fit, and says so where none does.

use super::{
    State,
    act::Act,
    objects::{self, at, created, name, place, rfc3339, text},
    view::Seen,
};
use crate::time::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the scheduler does next.
pub fn step(now: Timestamp, seen: &Seen, state: &mut State) -> Vec<Act> {
    let (mut rooms, waiting) = rooms_and_waiting(seen);
    waiting.into_iter().filter_map(|pod| schedule(now, pod, &mut rooms, state)).collect()
}

/// What is free, and the pods that wait in the order of their turn.
pub(super) fn rooms_and_waiting(seen: &Seen) -> (Vec<Room<'_>>, Vec<&DynamicObject>) {
    let mut rooms: Vec<Room<'_>> = seen.nodes.iter().filter_map(|node| Room::of(node)).collect();
    for pod in seen.pods.iter().filter(|pod| is_using(pod)) {
        let node = text(pod, "/spec/nodeName");
        if let Some(room) = rooms.iter_mut().find(|room| name(room.node) == node) {
            room.take(&gpus(pod));
        }
    }
    let mut waiting: Vec<&DynamicObject> =
        seen.pods.iter().map(AsRef::as_ref).filter(|pod| is_waiting(pod)).collect();
    waiting
        .sort_by_key(|pod| (std::cmp::Reverse(priority(pod)), created(pod), name(pod).to_owned()));
    (rooms, waiting)
}

fn schedule(
    now: Timestamp,
    pod: &DynamicObject,
    rooms: &mut [Room<'_>],
    state: &mut State,
) -> Option<Act> {
    let wanted = gpus(pod);
    let fits = rooms.iter_mut().filter(|room| room.fits(pod, &wanted));
    let fullest = fits.min_by_key(|room| (room.left(&wanted), name(room.node).to_owned()));
    if let Some(room) = fullest {
        room.take(&wanted);
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        state.waits.entry(uid).or_insert_with(|| now - created(pod));
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        return Some(Act::Bind(namespace, name(pod).to_owned(), name(room.node).to_owned()));
    }
    if objects::condition(pod, "PodScheduled").is_some() {
        return None;
    }
    let nodes = rooms.len();
    let resource = wanted.keys().next().cloned().unwrap_or_default();
    let message = format!("0/{nodes} nodes are available: {nodes} Insufficient {resource}.");
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": rfc3339(now),
    });
    let status = json!({ "phase": "Pending", "conditions": [condition] });
    Some(Act::MergeStatus(place(objects::pods(), pod), status))
}

pub(super) fn is_using(pod: &DynamicObject) -> bool {
    !text(pod, "/spec/nodeName").is_empty()
        && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

pub(super) fn is_waiting(pod: &DynamicObject) -> bool {
    let is_gated = at(pod, "/spec/schedulingGates")
        .and_then(Value::as_array)
        .is_some_and(|gates| !gates.is_empty());
    text(pod, "/spec/nodeName").is_empty()
        && matches!(text(pod, "/status/phase"), "" | "Pending")
        && pod.metadata.deletion_timestamp.is_none()
        && !is_gated
}

fn priority(pod: &DynamicObject) -> i64 {
    at(pod, "/spec/priority").and_then(Value::as_i64).unwrap_or_default()
}

/// Extended resources a pod asks for.
pub(super) fn gpus(pod: &DynamicObject) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    let containers = at(pod, "/spec/containers").and_then(Value::as_array);
    for container in containers.into_iter().flatten() {
        let requests = container.pointer("/resources/requests").and_then(Value::as_object);
        let limits = container.pointer("/resources/limits").and_then(Value::as_object);
        for (resource, amount) in requests.or(limits).into_iter().flatten() {
            let amount = amount.as_str().and_then(|text| text.parse().ok()).or(amount.as_u64());
            if let (true, Some(amount)) = (resource.contains('/'), amount) {
                *sums.entry(resource.clone()).or_default() += amount;
            }
        }
    }
    sums
}

/// What is free on a node that takes pods.
pub(super) struct Room<'a> {
    pub(super) node: &'a DynamicObject,
    free: BTreeMap<String, u64>,
}

impl<'a> Room<'a> {
    pub(super) fn of(node: &'a DynamicObject) -> Option<Self> {
        let is_ready =
            objects::condition(node, "Ready").is_some_and(|(status, _)| status == "True");
        let is_cordoned =
            at(node, "/spec/unschedulable").and_then(Value::as_bool).unwrap_or_default();
        if !is_ready || is_cordoned || node.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let amounts = at(node, "/status/allocatable").and_then(Value::as_object);
        let amounts = amounts.into_iter().flatten().filter(|(name, _)| name.contains('/'));
        let free = amounts
            .filter_map(|(name, amount)| Some((name.clone(), amount.as_str()?.parse().ok()?)))
            .collect();
        Some(Self { node, free })
    }

    pub(super) fn fits(&self, pod: &DynamicObject, wanted: &BTreeMap<String, u64>) -> bool {
        let has_room = wanted
            .iter()
            .all(|(name, amount)| self.free.get(name).is_some_and(|free| free >= amount));
        has_room && self.is_selected(pod) && self.is_tolerated(pod)
    }

    fn is_selected(&self, pod: &DynamicObject) -> bool {
        let selector = at(pod, "/spec/nodeSelector").and_then(Value::as_object);
        selector
            .into_iter()
            .flatten()
            .all(|(key, value)| objects::label(self.node, key) == value.as_str())
    }

    fn is_tolerated(&self, pod: &DynamicObject) -> bool {
        let taints = at(self.node, "/spec/taints").and_then(Value::as_array);
        let tolerations = at(pod, "/spec/tolerations").and_then(Value::as_array);
        let tolerates = |taint: &Value| {
            tolerations.into_iter().flatten().any(|toleration| {
                let key = toleration["key"].as_str().unwrap_or_default();
                let is_key = key.is_empty() || toleration["key"] == taint["key"];
                let is_any = toleration["operator"] == "Exists";
                is_key && (is_any || toleration["value"] == taint["value"])
            })
        };
        let hard = |taint: &&Value| taint["effect"] != "PreferNoSchedule";
        taints.into_iter().flatten().filter(hard).all(tolerates)
    }

    fn left(&self, wanted: &BTreeMap<String, u64>) -> u64 {
        wanted.iter().map(|(name, amount)| self.free.get(name).unwrap_or(&0) - amount).sum()
    }

    pub(super) fn take(&mut self, wanted: &BTreeMap<String, u64>) {
        for (name, amount) in wanted {
            if let Some(free) = self.free.get_mut(name) {
                *free = free.saturating_sub(*amount);
            }
        }
    }
}
