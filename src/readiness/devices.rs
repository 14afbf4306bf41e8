//! How many devices of a node are allocatable, of how many, in whatever way the node offers them.
//!
//! Sources: NVIDIA k8s-device-plugin (MIG strategies `single` and `mixed`, time-slicing with and without
//! renamed resources), cluster-autoscaler `utils/gpu` (names of GPU resources), DRA ResourceSlices.

use super::Expected;
use crate::model::object::{GpuSlices, Node};

/// Names under which whole GPUs are asked for.
const WHOLE: [&str; 6] = [
    "nvidia.com/gpu",
    "nvidia.com/gpu.shared",
    "amd.com/gpu",
    "habana.ai/gaudi",
    "gpu.intel.com/xe",
    "gpu.intel.com/i915",
];
const MIG: &str = "nvidia.com/mig-";
const SHARED: &str = "nvidia.com/gpu.shared";
const REPLICAS: &str = "nvidia.com/gpu.replicas";
const COUNT: &str = "nvidia.com/gpu.count";

/// Whether a resource is a GPU or a part of one, by its name. AMD's partitions (`amd.com/cpx_nps1`) count.
pub fn is_gpu_resource(name: &str) -> bool {
    let is_amd_partition = name.strip_prefix("amd.com/").is_some_and(|kind| kind.contains("_nps"));
    WHOLE.contains(&name) || name.starts_with(MIG) || is_amd_partition
}

/// Whether [`devices`] looks at this label.
pub(super) fn reads_label(key: &str) -> bool {
    matches!(key, REPLICAS | COUNT)
}

/// Devices that are allocatable now, and how many there will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Devices {
    /// Allocatable.
    pub gpus: u32,
    /// Of so many, at least 1.
    pub of: u32,
}

/// Devices of a node, in the first of these ways that it shows: the pool's own resource; MIG slices, of
/// which there are as many as its capacity says; time-shared devices; DRA, once all slices are there.
pub fn devices(node: &Node, expected: Expected<'_>, slices: Option<&GpuSlices>) -> Devices {
    let allocatable = |name: &str| count(node.allocatable.extended.get(name));
    let capacity = |name: &str| count(node.capacity.extended.get(name));
    let own = expected.resource;
    if capacity(own) > 0 || allocatable(own) > 0 {
        let of = expected.gpus.saturating_mul(replicas(node, expected.gpus));
        return Devices { gpus: allocatable(own), of: of.max(1) };
    }
    let mig = || node.capacity.extended.keys().filter(|name| name.starts_with(MIG));
    let slots: u32 = mig().fold(0, |sum, name| sum.saturating_add(capacity(name)));
    if slots > 0 {
        let gpus = mig().fold(0, |sum: u32, name| sum.saturating_add(allocatable(name)));
        return Devices { gpus, of: slots };
    }
    if capacity(SHARED) > 0 {
        return Devices { gpus: allocatable(SHARED), of: capacity(SHARED) };
    }
    let published = slices.filter(|slices| slices.is_complete).map_or(0, |slices| slices.devices);
    Devices { gpus: published, of: expected.gpus.max(1) }
}

/// Each device counts so often when it is shared in time under its own name. Where the pool says how many
/// shares a node has, it is told so already.
fn replicas(node: &Node, expected: u32) -> u32 {
    let number = |key: &str| node.meta.labels.get(key).and_then(|text| text.parse::<u32>().ok());
    match (number(REPLICAS), number(COUNT)) {
        (Some(replicas), Some(physical)) if physical == expected => replicas.clamp(1, 64),
        _ => 1,
    }
}

fn count(amount: Option<&u64>) -> u32 {
    amount.map_or(0, |&amount| u32::try_from(amount).unwrap_or(u32::MAX))
}
