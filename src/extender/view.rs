//! A node as the extender sees it, digested once a change.
//!
//! Everything that leads to a refusal stands on the Node object (or on what passes with time), so that whatever
//! lifts it is a Node event and wakes the pods that wait for it.

use super::{
    ElasticBy, Policy, Taken,
    elastic::{ELASTIC, elasticity},
    reason,
};
use crate::{
    model::{
        NVIDIA_GPU, Pool,
        object::{GpuSlices, Node, Taint},
    },
    packing::{Mix, Room},
    readiness::{self, Readiness, WAITS_FOR_SAFE_LOAD, is_gpu_resource, is_repartitioning},
    time::Timestamp,
};
use std::{collections::BTreeMap, sync::Arc};

const PRODUCT_LABELS: [&str; 4] = [
    "nvidia.com/gpu.product",
    "cluster-api/accelerator",
    "gpu.nvidia.com/class",
    "amd.com/gpu.product-name",
];
/// Labels that say that a node has GPUs, or will have.
const GPU_LABELS: [&str; 4] = [
    "nvidia.com/gpu.present",
    "cluster-api/accelerator",
    "amd.com/gpu.family",
    "gpu.intel.com/product",
];
const UPGRADE_STATES: [&str; 2] =
    ["nvidia.com/gpu-driver-upgrade-state", "operator.amd.com/gpu-driver-upgrade-state"];
const DEPLOY: &str = "nvidia.com/gpu.deploy.";
const PAUSED: &str = "paused-for-driver-upgrade";
const MIG_STATE: &str = "nvidia.com/mig.config.state";
const MEMORY: &str = "nvidia.com/gpu.memory";
const CLIQUE: &str = "nvidia.com/gpu.clique";
const RESERVED_FOR: &str = "prewarm.dev/reserved-for";
const GPU_READY: &str = "nvidia.com/GPUReady";
const AMD_UNHEALTHY: &str = "amd-gpu-unhealthy";
/// cluster-autoscaler would like to remove the node.
const CANDIDATE: &str = "DeletionCandidateOfClusterAutoscaler";
const MIB: u64 = 1 << 20;
/// No node has more GPUs; thousandths of what a request may claim must not overflow.
const GPUS_MAX: u64 = 1_000_000;

/// What somebody who watches the cluster knows of one node.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// The node.
    pub node: &'a Node,
    /// How far it has come, see [`crate::readiness::readiness`].
    pub readiness: Readiness,
    /// Since when all its GPUs are allocatable.
    pub ready_since: Option<Timestamp>,
    /// When it was found to have started anew (`status.nodeInfo.bootID`), as long as neither its device plugin
    /// nor feature discovery has been heard of since.
    pub rebooted: Option<Timestamp>,
    /// Its devices by DRA.
    pub slices: Option<&'a GpuSlices>,
    /// What pods on it take that have not finished.
    pub pods: Vec<&'a Taken>,
    /// It is chosen to go.
    pub is_to_go: bool,
    /// Somebody scales its pool: it comes and goes with demand, unless policy or node say otherwise.
    pub is_scaled: bool,
    /// Price of a GPU-hour relative to others, in thousandths; 1000 where prices are unknown.
    pub price_milli: u32,
}

/// A GPU resource of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub resource: String,
    /// How many pods may use.
    pub allocatable: u64,
    /// Of those, how many no pod has.
    pub free: u64,
}

/// A refusal that passes with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub reason: &'static str,
}

/// What the extender knows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// It has GPUs or will have: only such nodes are checked.
    pub is_gpu: bool,
    /// Its taints that mark GPU nodes.
    pub taints: Vec<Taint>,
    /// GPU resources, sorted by name.
    pub offers: Vec<Offer>,
    /// Why no pod may use its GPUs now.
    pub lacks: Option<&'static str>,
    /// Why not yet.
    pub held: Option<Held>,
    /// A DRA driver publishes its devices: kube-scheduler gives them out for claims, and for GPU resources by name too
    /// (`DRAExtendedResource`).
    pub has_slices: bool,
    /// The driver has begun to publish them and has not finished.
    pub awaits_slices: bool,
    /// Names of its GPU model.
    pub models: Vec<String>,
    /// Memory of a GPU, if it tells.
    pub gpu_memory_mib: Option<u64>,
    /// Its NVLink domain, empty = none.
    pub clique: String,
    /// The gang (`namespace/name`) its domain is kept for.
    pub reserved_for: Option<String>,
    /// What is free, for scores.
    pub room: Room,
    /// Bits of its models; all bits = unknown.
    pub model_bits: u64,
    /// Loss by class of the mix (see [`Mix::loss`]); `None` = does not fit.
    pub losses: Arc<[Option<i64>]>,
    /// No pod uses its GPUs.
    pub is_idle: bool,
    /// It is chosen to go, or a candidate of cluster-autoscaler.
    pub is_to_go: bool,
    /// It comes and goes with demand.
    pub is_elastic: bool,
    /// Who says so, or that it does not.
    pub elastic_by: ElasticBy,
    /// See [`Seen::price_milli`].
    pub price_milli: u32,
    /// See [`Seen::ready_since`].
    pub ready_since: Option<Timestamp>,
    /// Members of gangs (`namespace/name`) on it.
    pub gangs: BTreeMap<String, u32>,
}

impl NodeView {
    /// How many of a GPU resource pods may use.
    pub fn allocatable(&self, resource: &str) -> u64 {
        let offer = self.offers.iter().find(|offer| offer.resource == resource);
        offer.map_or(0, |offer| offer.allocatable)
    }

    /// Scores anew against a mix.
    pub fn score(&mut self, mix: &Mix) {
        self.losses = mix.losses(&self.room, self.model_bits).into();
    }

    /// GPUs of all names that pods may use.
    pub fn gpus(&self) -> u32 {
        let sum = self.offers.iter().map(|offer| offer.allocatable).fold(0, u64::saturating_add);
        u32::try_from(sum).unwrap_or(u32::MAX)
    }
}

/// Whether [`view`] or [`readiness`](mod@readiness) looks at a label or an annotation with this key.
pub fn is_read(key: &str) -> bool {
    PRODUCT_LABELS.contains(&key)
        || GPU_LABELS.contains(&key)
        || UPGRADE_STATES.contains(&key)
        || matches!(key, MIG_STATE | MEMORY | CLIQUE | RESERVED_FOR | ELASTIC | WAITS_FOR_SAFE_LOAD)
        || readiness::reads_label(key)
}

/// Drops what neither [`view`] nor [`readiness`](mod@readiness) looks at: 5,000 nodes with all labels of feature discovery
/// are 25 MB. `keeps`: further labels that somebody needs.
///
/// No policy says what is dropped, for another one may come. Of conditions those stay that are true: any of them
/// may say that a GPU is broken, and few are true of a node that is well.
pub fn trim(node: &mut Node, keeps: impl Fn(&str) -> bool) {
    node.meta.labels.retain(|key, _| is_read(key) || keeps(key));
    node.meta.annotations.retain(|key, _| key == RESERVED_FOR || key == WAITS_FOR_SAFE_LOAD);
    node.meta.owner = None;
    node.provider_id = String::new();
    node.conditions
        .retain(|one| matches!(one.kind.as_str(), "Ready" | GPU_READY) || one.status == Some(true));
    for condition in &mut node.conditions {
        (condition.reason, condition.message) = (String::new(), String::new());
    }
    let is_needed = |name: &String, _: &mut u64| is_gpu_resource(name);
    node.capacity.extended.retain(is_needed);
    node.allocatable.extended.retain(is_needed);
}

/// Digests a node. Losses are left empty, see [`NodeView::score`].
pub fn view(seen: &Seen<'_>, policy: &Policy, model_bits: impl Fn(&[String]) -> u64) -> NodeView {
    let node = seen.node;
    let label = |key: &str| node.meta.labels.get(key).map_or("", String::as_str);
    let taints = node.taints.iter().filter(|taint| policy.gpu_taints.contains(&taint.key));
    let taints: Vec<Taint> = taints.cloned().collect();
    let offers = offers(seen);
    let models = models(node);
    let price = models.iter().find_map(|model| policy.prices_milli.get(model));
    let (is_elastic, elastic_by) = elasticity(policy.elastic, node, seen.is_scaled);
    let has_label = GPU_LABELS.iter().any(|key| !matches!(label(key), "" | "false"));
    let mut gangs = BTreeMap::new();
    for gang in seen.pods.iter().filter_map(|pod| pod.gang.clone()) {
        *gangs.entry(gang).or_default() += 1;
    }
    NodeView {
        name: node.meta.name.clone(),
        is_gpu: !offers.is_empty() || !taints.is_empty() || has_label || seen.slices.is_some(),
        taints,
        lacks: lacks(seen, policy, label),
        held: held(seen, policy),
        has_slices: seen.slices.is_some(),
        awaits_slices: seen.slices.is_some_and(|slices| !slices.is_complete),
        model_bits: if models.is_empty() { u64::MAX } else { model_bits(&models) },
        models,
        gpu_memory_mib: label(MEMORY).parse().ok(),
        clique: label(CLIQUE).to_owned(),
        reserved_for: node.meta.annotations.get(RESERVED_FOR).cloned(),
        room: room(seen, &offers),
        losses: Arc::default(),
        is_idle: offers.iter().all(|offer| offer.free >= offer.allocatable),
        is_to_go: seen.is_to_go || node.taints.iter().any(|taint| taint.key == CANDIDATE),
        is_elastic,
        elastic_by,
        price_milli: price.copied().unwrap_or(seen.price_milli),
        ready_since: seen.ready_since,
        gangs,
        offers,
    }
}

/// Names of the node's GPU model.
pub(super) fn models(node: &Node) -> Vec<String> {
    let named = PRODUCT_LABELS.iter().filter_map(|key| node.meta.labels.get(*key));
    named.filter(|model| !model.is_empty()).cloned().collect()
}

/// Why no pod may use the node's GPUs now, the most lasting reason first.
fn lacks<'a>(
    seen: &Seen<'_>,
    policy: &Policy,
    label: impl Fn(&str) -> &'a str,
) -> Option<&'static str> {
    if seen.readiness == Readiness::Leaving {
        return Some(reason::LEAVING);
    }
    let states = UPGRADE_STATES.map(&label);
    let labels = &seen.node.meta.labels;
    let is_paused = |(key, value): (&String, &String)| key.starts_with(DEPLOY) && value == PAUSED;
    let is_usable = |state: &&str| matches!(*state, "" | "upgrade-done" | "upgrade-required");
    let waits = seen.node.meta.annotations.get(WAITS_FOR_SAFE_LOAD);
    let waits = waits.is_some_and(|value| !value.is_empty());
    if states.contains(&"upgrade-failed") {
        return Some(reason::UPGRADE_FAILED);
    }
    if !states.iter().all(is_usable) || labels.iter().any(is_paused) || waits {
        return Some(reason::UPGRADE);
    }
    if label(MIG_STATE) == "failed" {
        return Some(reason::MIG_FAILED);
    }
    // `readiness` alone would not do: an upgrade that is required some day hides a partitioning there.
    if seen.readiness == Readiness::Repartitioning || is_repartitioning(seen.node) {
        return Some(reason::MIG);
    }
    let is_bad = |kind: &String| seen.node.condition(kind).and_then(|one| one.status) == Some(true);
    let is_tainted = seen.node.taints.iter().any(|taint| taint.key == AMD_UNHEALTHY);
    if is_tainted || policy.unhealthy_conditions.iter().any(is_bad) {
        return Some(reason::HEALTH);
    }
    let proof = seen.node.condition(GPU_READY).and_then(|one| one.status);
    (proof == Some(false)).then_some(reason::DRIVER)
}

fn held(seen: &Seen<'_>, policy: &Policy) -> Option<Held> {
    let doubt = seen
        .rebooted
        .map(|since| Held { until: since + policy.reboot_doubt, reason: reason::REBOOTED });
    let settling = seen
        .ready_since
        .map(|since| Held { until: since + policy.settle, reason: reason::SETTLING });
    doubt.into_iter().chain(settling).max_by_key(|held| held.until)
}

/// GPU resources, also those that will be there (capacity without allocatable).
fn offers(seen: &Seen<'_>) -> Vec<Offer> {
    let node = seen.node;
    let mut offers: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, &amount) in node.capacity.extended.iter().chain(&node.allocatable.extended) {
        if amount > 0 && is_gpu_resource(name) {
            offers.insert(name, node.allocatable.extended.get(name).copied().unwrap_or_default());
        }
    }
    let used =
        |name: &str| seen.pods.iter().map(|pod| pod.of_resource(name)).fold(0, u64::saturating_add);
    let offer = |(name, allocatable): (&str, u64)| Offer {
        resource: name.to_owned(),
        allocatable,
        free: allocatable.saturating_sub(used(name)),
    };
    offers.into_iter().map(offer).collect()
}

/// What is free: GPUs of all names together, they cannot be told apart here.
fn room(seen: &Seen<'_>, offers: &[Offer]) -> Room {
    let small = |amount: u64| u32::try_from(amount).unwrap_or(u32::MAX - 1);
    let all = |of: fn(&Offer) -> u64| offers.iter().map(of).fold(0, u64::saturating_add);
    let sum = |of| small(all(of).min(GPUS_MAX));
    let (mut cpu, mut memory) = (0_u64, 0_u64);
    for pod in &seen.pods {
        cpu = cpu.saturating_add(pod.cpu_milli);
        memory = memory.saturating_add(pod.memory_bytes.div_ceil(MIB));
    }
    let allocatable = &seen.node.allocatable;
    let left = |all: u64, used: u64| Some(small(all.saturating_sub(used)));
    let free = sum(|offer| offer.free);
    Room::empty_node(&Pool::new(NVIDIA_GPU, sum(|offer| offer.allocatable)), false).with_left(
        free,
        &[],
        left(allocatable.cpu_milli, cpu),
        left(allocatable.memory_bytes / MIB, memory),
    )
}
