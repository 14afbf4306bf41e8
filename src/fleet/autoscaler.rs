//! Plays cluster-autoscaler, as far as it matters to whoever shares a fleet with it: it buys for pods that it
//! sees uncovered, removes idle nodes, keeps minimums, and says how it is doing.
//!
//! # Source
//! cluster-autoscaler 1.36, provider clusterapi: pods younger than `new-pod-scale-up-delay` or their own
//! `pod-scale-up-delay` are not seen; nodes that are coming count only in groups for which it has a request of
//! its own; a node is idle from its registration on; one bad min or max stops it for all groups.

use super::{
    State,
    act::{Act, Place},
    capi,
    objects::{
        self, DELETE_MACHINE, GPU_COUNT, GPU_TYPE, annotation, at, created, key, name, place,
    },
    scheduler::{Room, gpus, is_using, is_waiting},
    view::Seen,
};
use crate::time::{Millis, Timestamp};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Keeps a node.
const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
/// Hides a young pod.
const POD_DELAY: &str = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay";

/// Its flags.
#[derive(Clone, Copy, Debug)]
pub struct AutoscalerSettings {
    /// `--scan-interval`.
    pub scan: Millis,
    /// `--new-pod-scale-up-delay`.
    pub pod_age: Millis,
    /// `--scale-down-unneeded-time`.
    pub idle: Millis,
    /// `--max-node-provision-time`: a request is forgotten after it.
    pub provision: Millis,
    /// `--enforce-node-group-min-size`.
    pub enforces_min: bool,
}

impl Default for AutoscalerSettings {
    fn default() -> Self {
        Self {
            scan: Millis::from_secs(10),
            pod_age: Millis::from_secs(30),
            idle: Millis::from_mins(10),
            provision: Millis::from_mins(15),
            enforces_min: false,
        }
    }
}

/// What it remembers, and what it did.
#[derive(Debug, Default)]
pub struct Memory {
    last_scan: Option<Timestamp>,
    /// By group: when it asked last, while not all of its nodes are ready.
    requests: BTreeMap<String, Timestamp>,
    has_status: bool,
    /// Nodes it asked for, in all.
    pub bought: u64,
    /// Nodes it removed, in all.
    pub removed: u64,
}

/// One MachineDeployment with limits.
struct Group<'a> {
    deployment: &'a DynamicObject,
    key: String,
    min: u64,
    max: u64,
    replicas: u64,
    machines: Vec<Arc<DynamicObject>>,
    ready: Vec<&'a DynamicObject>,
}

/// What cluster-autoscaler does next.
pub fn step(
    now: Timestamp,
    seen: &Seen,
    settings: AutoscalerSettings,
    state: &mut State,
) -> Vec<Act> {
    let memory = &mut state.autoscaler;
    if memory.last_scan.is_some_and(|last| now - last < settings.scan) {
        return Vec::new();
    }
    memory.last_scan = Some(now);
    let Some(mut groups) = groups(seen) else { return vec![status(now, &[], memory)] };
    for group in &groups {
        let is_done = group.ready.len() as u64 >= group.replicas;
        let asked = memory.requests.get(&group.key);
        if is_done || asked.is_some_and(|&asked| now - asked >= settings.provision) {
            memory.requests.remove(&group.key);
        }
    }
    let mut acts = buy(now, seen, settings, &mut groups, memory);
    if acts.is_empty() {
        acts = remove(now, seen, settings, &groups, memory);
    }
    acts.push(status(now, &groups, memory));
    acts
}

/// All groups; `None` if one of them cannot be read, which stops everything.
fn groups(seen: &Seen) -> Option<Vec<Group<'_>>> {
    let mut groups = Vec::new();
    for deployment in &seen.deployments {
        let limit = |which: &str| {
            let name = format!("{}/cluster-api-autoscaler-node-group-{which}-size", objects::CAPI);
            annotation(deployment, &name)
        };
        let (Some(min), Some(max)) = (limit("min"), limit("max")) else { continue };
        let (min, max) = (min.parse().ok()?, max.parse().ok()?);
        if min > max {
            return None;
        }
        let machines = capi::machines_of(deployment, seen);
        let is_own = |node: &&Arc<DynamicObject>| {
            annotation(node, "fleet.prewarm.dev/deployment") == Some(&key(deployment))
        };
        let ready =
            seen.nodes.iter().filter(is_own).map(AsRef::as_ref).filter(|node| has_gpus(node));
        groups.push(Group {
            deployment,
            key: key(deployment),
            min,
            max,
            replicas: at(deployment, "/spec/replicas").and_then(Value::as_u64).unwrap_or_default(),
            machines,
            ready: ready.collect(),
        });
    }
    Some(groups)
}

/// Ready, and at least one GPU is allocatable: a labelled node without any counts as not started.
fn has_gpus(node: &DynamicObject) -> bool {
    let is_ready = objects::condition(node, "Ready").is_some_and(|(status, _)| status == "True");
    let resource = annotation(node, "fleet.prewarm.dev/gpu-type").unwrap_or_default();
    let amounts = at(node, "/status/allocatable");
    is_ready && amounts.and_then(|amounts| amounts.get(resource)).is_some()
}

type Amounts = BTreeMap<String, u64>;

fn take(free: &mut Amounts, wanted: &Amounts) -> bool {
    let fits =
        wanted.iter().all(|(name, amount)| free.get(name).is_some_and(|free| free >= amount));
    for (name, amount) in wanted.iter().filter(|_| fits) {
        if let Some(free) = free.get_mut(name) {
            *free -= amount;
        }
    }
    fits
}

/// An empty node of a group.
fn template(deployment: &DynamicObject) -> Amounts {
    let count = annotation(deployment, GPU_COUNT).and_then(|text| text.parse().ok()).unwrap_or(0);
    let kind = annotation(deployment, GPU_TYPE).unwrap_or("nvidia.com/gpu");
    Amounts::from([(kind.to_owned(), count)])
}

fn buy(
    now: Timestamp,
    seen: &Seen,
    settings: AutoscalerSettings,
    groups: &mut [Group<'_>],
    memory: &mut Memory,
) -> Vec<Act> {
    let mut rooms: Vec<Room<'_>> = seen.nodes.iter().filter_map(|node| Room::of(node)).collect();
    for pod in seen.pods.iter().filter(|pod| is_using(pod)) {
        let node = objects::text(pod, "/spec/nodeName");
        if let Some(room) = rooms.iter_mut().find(|room| name(room.node) == node) {
            room.take(&gpus(pod));
        }
    }
    let mut coming: Vec<Amounts> = Vec::new();
    for group in groups.iter().filter(|group| memory.requests.contains_key(&group.key)) {
        let count = group.replicas.saturating_sub(group.ready.len() as u64);
        coming.extend(std::iter::repeat_n(template(group.deployment), count as usize));
    }
    let mut more = vec![0_u64; groups.len()];
    for pod in seen.pods.iter().filter(|pod| is_waiting(pod) && is_seen(now, pod, settings)) {
        let wanted = gpus(pod);
        if let Some(room) = rooms.iter_mut().find(|room| room.fits(pod, &wanted)) {
            room.take(&wanted);
        } else if !coming.iter_mut().any(|free| take(free, &wanted)) {
            let with_room = groups.iter().zip(&mut more).find(|(group, more)| {
                group.replicas + **more < group.max
                    && take(&mut template(group.deployment), &wanted)
            });
            if let Some((group, more)) = with_room {
                let mut free = template(group.deployment);
                take(&mut free, &wanted);
                coming.push(free);
                *more += 1;
            }
        }
    }
    let mut acts = Vec::new();
    for (group, more) in groups.iter_mut().zip(more) {
        let least = if settings.enforces_min { group.min } else { 0 };
        let wanted = (group.replicas + more).max(least);
        if wanted > group.replicas {
            tracing::debug!(
                group = group.key,
                from = group.replicas,
                to = wanted,
                "autoscaler buys"
            );
            memory.bought += wanted - group.replicas;
            memory.requests.insert(group.key.clone(), now);
            group.replicas = wanted;
            acts.push(scale(group.deployment, wanted));
        }
    }
    acts
}

fn is_seen(now: Timestamp, pod: &DynamicObject, settings: AutoscalerSettings) -> bool {
    let own = annotation(pod, POD_DELAY).and_then(|text| text.strip_suffix('s')?.parse().ok());
    let delay = own.map_or(settings.pod_age, |own| Millis::from_secs(own).max(settings.pod_age));
    now - created(pod) >= delay
}

fn scale(deployment: &DynamicObject, replicas: u64) -> Act {
    Act::Merge(
        place(objects::deployments(), deployment),
        json!({ "spec": { "replicas": replicas } }),
    )
}

/// At most one node of each group at a scan.
fn remove(
    now: Timestamp,
    seen: &Seen,
    settings: AutoscalerSettings,
    groups: &[Group<'_>],
    memory: &mut Memory,
) -> Vec<Act> {
    let mut acts = Vec::new();
    for group in groups {
        if group.replicas <= group.min || group.machines.len() as u64 != group.replicas {
            continue;
        }
        let idle = |node: &&&DynamicObject| {
            let used =
                seen.pods.iter().filter(|pod| objects::text(pod, "/spec/nodeName") == name(node));
            let ended = used.clone().filter_map(|pod| {
                let path = "/status/containerStatuses/0/state/terminated/finishedAt";
                let ended: jiff::Timestamp = objects::text(pod, path).parse().ok()?;
                Some(Timestamp(ended.as_millisecond()))
            });
            let since = ended.max().unwrap_or_else(|| created(node));
            let is_kept = annotation(node, SCALE_DOWN_DISABLED) == Some("true");
            !is_kept && !used.clone().any(|pod| is_using(pod)) && now - since >= settings.idle
        };
        let Some(node) = group.ready.iter().find(idle) else { continue };
        let Some(machine) = group.machines.iter().find(|machine| name(machine) == name(node))
        else {
            continue;
        };
        tracing::debug!(node = name(node), "autoscaler removes");
        memory.removed += 1;
        let mark = json!({ "metadata": { "annotations": { DELETE_MACHINE: "autoscaler" } } });
        acts.push(Act::Merge(place(objects::machines(), machine), mark));
        acts.push(scale(group.deployment, group.replicas - 1));
    }
    acts
}

fn status(now: Timestamp, groups: &[Group<'_>], memory: &mut Memory) -> Act {
    let groups: Vec<Value> = groups
        .iter()
        .map(|group| {
            let is_asked = memory.requests.contains_key(&group.key);
            let state = if is_asked { "InProgress" } else { "NoActivity" };
            json!({
                "name": format!("MachineDeployment/{}", group.key),
                "health": {
                    "status": "Healthy", "minSize": group.min, "maxSize": group.max,
                    "cloudProviderTarget": group.replicas,
                },
                "scaleUp": { "status": state },
            })
        })
        .collect();
    status_map(now, &groups, std::mem::replace(&mut memory.has_status, true))
}

/// The ConfigMap in which it says how it is doing, at that instant (JSON is YAML).
pub fn status_map(now: Timestamp, groups: &[Value], is_there: bool) -> Act {
    let at = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let time = at.to_string().replace('T', " ").replace('Z', " +0000 UTC");
    let text = json!({ "time": time, "autoscalerStatus": "Running", "nodeGroups": groups });
    let kind = GroupVersionKind::gvk("", "v1", "ConfigMap");
    let place = Place {
        resource: ApiResource::from_gvk_with_plural(&kind, "configmaps"),
        namespace: "kube-system".to_owned(),
        name: "cluster-autoscaler-status".to_owned(),
    };
    let data = json!({ "status": text.to_string() });
    if is_there {
        return Act::Merge(place, json!({ "data": data }));
    }
    let metadata = json!({ "name": place.name, "namespace": place.namespace });
    let body =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data });
    Act::Create(place, body)
}
