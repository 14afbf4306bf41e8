//! What a node of a pool has: as declared, and where nodes are there, as they show.

use super::{capacity::Declared, findings::Note, members::Member, usage::Usage};
use crate::{
    model::{
        MAX_DEVICES, NVIDIA_GPU,
        object::{Effect, GpuSlices, Node, Strings, Taint},
    },
    readiness::{is_gpu_resource, is_startup_taint},
};
use std::collections::{BTreeMap, BTreeSet};

/// GPUs of a node about which nothing is known.
const GUESS: u32 = 8;
const COUNT_LABEL: &str = "nvidia.com/gpu.count";
/// Labels that name the model, the first being what cluster-autoscaler goes by.
const MODELS: [&str; 3] =
    [super::pools::ACCELERATOR, "nvidia.com/gpu.product", "gpu.nvidia.com/class"];
/// Taints that say what happens to one node, not what the pool is for.
const PASSING: [&str; 6] = [
    "node.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "ToBeDeletedByClusterAutoscaler",
    "DeletionCandidateOfClusterAutoscaler",
    "amd-gpu-unhealthy",
    "amd-dcm",
];

/// What a node of a pool has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hardware {
    pub(super) resource: String,
    pub(super) gpus: u32,
    pub(super) cpu_milli: Option<u32>,
    pub(super) memory_mib: Option<u32>,
    pub(super) labels: Strings,
    /// All names its model goes by.
    pub(super) models: BTreeSet<String>,
    pub(super) taints: BTreeSet<Taint>,
}

/// What nodes of a pool showed while there were some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// The resource most of them have, and how many of it.
    pub(super) gpus: Option<(String, u32)>,
    cpu_milli: Option<u32>,
    memory_mib: Option<u32>,
}

impl Shown {
    /// What is seen now, and what was seen before where nothing is seen.
    pub(super) fn update(
        &mut self,
        members: &[Member<'_>],
        slices: &BTreeMap<&str, GpuSlices>,
        usage: &BTreeMap<&str, Usage>,
    ) {
        let live: Vec<&Node> = members.iter().filter_map(|member| member.node).collect();
        if let Some(gpus) = most_common(&live, slices) {
            self.gpus = Some(gpus);
        }
        let complete = live.iter().filter(|node| has_all(node));
        let (mut cpu, mut memory) = (None, None);
        for node in complete {
            let taken = usage.get(node.meta.name.as_str()).cloned().unwrap_or_default();
            let left = node.allocatable.cpu_milli.saturating_sub(taken.everywhere_cpu_milli);
            cpu = Some(cpu.map_or(left, |least: u64| least.min(left)));
            let left = node.allocatable.memory_bytes.saturating_sub(taken.everywhere_memory_bytes);
            memory = Some(memory.map_or(left, |least: u64| least.min(left)));
        }
        self.cpu_milli = cpu.map(clip).or(self.cpu_milli);
        self.memory_mib = memory.map(|bytes| clip(bytes >> 20)).or(self.memory_mib);
    }
}

/// All devices it has registered are allocatable.
fn has_all(node: &Node) -> bool {
    let gpus = || node.capacity.extended.iter().filter(|(name, _)| is_gpu_resource(name));
    gpus().next().is_some()
        && gpus().all(|(name, count)| node.allocatable.extended.get(name) == Some(count))
}

/// The GPU resource and count that most nodes have. What is registered counts (`capacity`), not what is
/// allocatable already: a node half way up would otherwise pass for a smaller one.
fn most_common(nodes: &[&Node], slices: &BTreeMap<&str, GpuSlices>) -> Option<(String, u32)> {
    let mut counts: BTreeMap<(&str, u64), u32> = BTreeMap::new();
    for node in nodes {
        let gpus = node.capacity.extended.iter();
        let most = gpus.filter(|(name, count)| **count > 0 && is_gpu_resource(name));
        let dra = || {
            let slices = slices.get(node.meta.name.as_str()).filter(|slices| slices.is_complete);
            slices.map(|slices| (NVIDIA_GPU, u64::from(slices.devices)))
        };
        let most =
            most.map(|(name, &count)| (name.as_str(), count)).max_by_key(|&(_, count)| count);
        if let Some(has) = most.or_else(dra) {
            *counts.entry(has).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|&((_, gpus), nodes)| (nodes, gpus));
    most.map(|((name, gpus), _)| (name.to_owned(), clip(gpus)))
}

fn clip(amount: u64) -> u32 {
    u32::try_from(amount).unwrap_or(u32::MAX)
}

impl Hardware {
    pub(super) fn new(
        declared: &Declared,
        shown: &Shown,
        members: &[Member<'_>],
        notes: &mut Vec<Note>,
    ) -> Self {
        let live: Vec<&Node> = members.iter().filter_map(|member| member.node).collect();
        let mut labels = declared.labels.clone();
        labels.extend(common_labels(&live));
        let models = MODELS.iter().filter_map(|key| labels.get(*key)).cloned();
        let models: BTreeSet<String> = models.filter(|model| !model.is_empty()).collect();
        let mut taints: BTreeSet<Taint> = declared.taints.iter().cloned().collect();
        taints.extend(common_taints(&live));
        taints.retain(|taint| taint.effect != Effect::PreferNoSchedule && !is_passing(&taint.key));
        let resource = declared.resource.clone();
        let resource = resource.or_else(|| shown.gpus.as_ref().map(|(name, _)| name.clone()));
        Self {
            resource: resource.unwrap_or_else(|| NVIDIA_GPU.to_owned()),
            gpus: gpus(declared, shown, &labels, notes),
            cpu_milli: shown.cpu_milli.or(declared.cpu_milli),
            memory_mib: shown.memory_mib.or(declared.memory_mib),
            labels,
            models,
            taints,
        }
    }

    /// The one name of its model that the engine is told.
    pub(super) fn model(&self) -> String {
        MODELS.iter().find_map(|key| self.labels.get(*key)).cloned().unwrap_or_default()
    }
}

fn gpus(declared: &Declared, shown: &Shown, labels: &Strings, notes: &mut Vec<Note>) -> u32 {
    let is_own = |name: &str| declared.resource.as_deref().is_none_or(|own| own == name);
    let learned = shown.gpus.as_ref().filter(|(name, _)| is_own(name)).map(|&(_, gpus)| gpus);
    if let (Some(told), Some(seen)) = (declared.gpus, learned)
        && told != seen
    {
        let what = format!(
            "gpu-count says {told}, nodes have {seen}; {told} is used, which is wrong for either \
             cluster-autoscaler or the nodes"
        );
        notes.push(Note::new("GpuCountMismatch", what));
    }
    let label = || labels.get(COUNT_LABEL).and_then(|text| text.parse().ok());
    let known = declared.gpus.or(learned).or_else(label).filter(|&gpus| gpus > 0);
    let gpus = known.unwrap_or_else(|| {
        let what = format!(
            "GPUs per node are not known, {GUESS} are assumed; set capacity.cluster-autoscaler.kubernetes.io/gpu-count"
        );
        notes.push(Note::new("UnknownGpuCount", what));
        GUESS
    });
    if gpus > MAX_DEVICES {
        let what = format!("{gpus} GPUs per node are more than the {MAX_DEVICES} a node can have");
        notes.push(Note::bad_annotation(what));
    }
    gpus.min(MAX_DEVICES)
}

/// Labels with the same value on all nodes.
fn common_labels(nodes: &[&Node]) -> Strings {
    let Some((first, rest)) = nodes.split_first() else { return Strings::new() };
    let mut common = first.meta.labels.clone();
    common.remove("kubernetes.io/hostname");
    for node in rest {
        keep_common(&mut common, &node.meta.labels);
    }
    common
}

/// Keeps what both have. Both are in order, so they are walked side by side.
fn keep_common(common: &mut Strings, other: &Strings) {
    let mut other = other.iter().peekable();
    common.retain(|key, value| {
        while other.next_if(|(next, _)| *next < key).is_some() {}
        other.peek() == Some(&(key, &*value))
    });
}

fn common_taints(nodes: &[&Node]) -> Vec<Taint> {
    let Some((first, rest)) = nodes.split_first() else { return Vec::new() };
    let on_all = |taint: &&Taint| rest.iter().all(|node| node.taints.contains(taint));
    first.taints.iter().filter(on_all).cloned().collect()
}

fn is_passing(key: &str) -> bool {
    is_startup_taint(key) || PASSING.iter().any(|prefix| key.starts_with(prefix))
}
