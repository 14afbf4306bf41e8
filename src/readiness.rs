//! How far a GPU node has come, by what its objects show.
//!
//! The rule counts devices: a node is usable when as many GPUs are allocatable as a node of its pool has,
//! whatever its labels say. Source of the stages: NVIDIA GPU operator (order of its operands), Kubernetes
//! device plugins (`status.allocatable`), Cluster API (Machine phases).

mod devices;
#[cfg(test)]
mod tests;

pub use devices::{Devices, devices, is_gpu_resource};

use crate::model::{
    NodeStage,
    object::{Condition, Effect, GpuSlices, Machine, Node},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a GPU node has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Readiness {
    /// Replicas were raised; no Machine is there yet.
    #[default]
    Requested,
    /// A Machine is there, its node has not registered.
    Provisioning,
    /// The Node is there and not Ready.
    Registered,
    /// The Node is Ready; nothing shows that a driver is being installed.
    KubeReady,
    /// The Node is Ready and GPU software is being installed.
    DriverInstalling,
    /// Some of its GPUs are allocatable, or all of them while a startup taint still keeps pods away.
    Partial {
        /// So many.
        gpus: u32,
        /// Of so many.
        of: u32,
    },
    /// All GPUs are allocatable.
    Allocatable,
    /// All GPUs are allocatable and the operator's validator has passed.
    Validated,
    /// GPUs are gone for a while: the driver is being upgraded.
    Upgrading,
    /// GPUs are gone for a while: they are being partitioned anew.
    Repartitioning,
    /// Ready once, and some GPUs are gone for no known reason.
    Degraded {
        /// So many are left.
        gpus: u32,
        /// Of so many.
        of: u32,
    },
    /// It is being removed.
    Leaving,
    /// It will not come.
    Failed(String),
}

/// What a node of the pool has when it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// Devices.
    pub gpus: u32,
    /// What they are asked under.
    pub resource: &'a str,
}

/// Taint prefixes that keep pods away until somebody has prepared the node.
const STARTUP_TAINTS: [&str; 4] = [
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
    "node.cluster.x-k8s.io/uninitialized",
    "node.cloudprovider.kubernetes.io/uninitialized",
];
/// cluster-autoscaler is about to remove the node.
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
/// Taints of AMD's GPU operator: a device is broken, devices are being partitioned.
const AMD_UNHEALTHY: &str = "amd-gpu-unhealthy";
const AMD_PARTITIONING: &str = "amd-dcm";
const UPGRADE_STATE: &str = "nvidia.com/gpu-driver-upgrade-state";
const MIG_STATE: &str = "nvidia.com/mig.config.state";
/// Labels that say which of the operator's parts run on a node (`nvidia.com/gpu.deploy.device-plugin`), and their value
/// while MIG is configured.
const DEPLOY: &str = "nvidia.com/gpu.deploy.";
const PAUSED_FOR_MIG: &str = "paused-for-mig-change";
/// Annotation of a Node whose driver waits until pods have left before it is loaded (NVIDIA's k8s-operator-libs,
/// `upgrade/consts.go`).
pub const WAITS_FOR_SAFE_LOAD: &str = "nvidia.com/gpu-driver-upgrade.driver-wait-for-safe-load";
/// Condition of the node problem detector that NVIDIA's example for cluster-autoscaler sets.
const GPU_READY: &str = "nvidia.com/GPUReady";
/// Labels that show that GPU software is meant to come.
const DRIVER_LABELS: [&str; 7] = [
    "nvidia.com/gpu.deploy.driver",
    "gpu.deploy.driver",
    "nvidia.com/gpu.present",
    "feature.node.kubernetes.io/pci-10de.present",
    "feature.node.kubernetes.io/pci-0302_10de.present",
    "feature.node.kubernetes.io/pci-0300_10de.present",
    "feature.node.kubernetes.io/amd-gpu",
];

/// How far a node has come.
///
/// `slices`: its devices by DRA; `has_been_ready`: all its GPUs were allocatable before, so that missing
/// ones are lost, not coming.
pub fn readiness(
    machine: Option<&Machine>,
    node: Option<&Node>,
    expected: Expected<'_>,
    slices: Option<&GpuSlices>,
    has_been_ready: bool,
) -> Readiness {
    if machine.is_some_and(is_going) || node.is_some_and(is_node_going) {
        return Readiness::Leaving;
    }
    if let Some(failure) = machine.and_then(|machine| machine.failure.as_ref()) {
        return Readiness::Failed(failure.clone());
    }
    match (machine, node) {
        (None, None) => Readiness::Requested,
        (Some(_), None) if has_been_ready => Readiness::Degraded { gpus: 0, of: expected.gpus },
        (Some(_), None) => Readiness::Provisioning,
        (_, Some(node)) => of_node(node, devices(node, expected, slices), has_been_ready),
    }
}

fn of_node(node: &Node, devices: Devices, has_been_ready: bool) -> Readiness {
    let Devices { gpus, of } = devices;
    let is_ready = node.condition("Ready").and_then(|one| one.status) == Some(true);
    if !is_ready {
        let lost = Readiness::Degraded { gpus: 0, of };
        return if has_been_ready { lost } else { Readiness::Registered };
    }
    match label(node, UPGRADE_STATE) {
        "" | "upgrade-done" => {}
        "upgrade-failed" => return Readiness::Degraded { gpus, of },
        _ => return Readiness::Upgrading,
    }
    if is_repartitioning(node) {
        return Readiness::Repartitioning;
    }
    if has_taint(node, AMD_UNHEALTHY) {
        return Readiness::Degraded { gpus: gpus.min(of.saturating_sub(1)), of };
    }
    let proof = node.condition(GPU_READY).and_then(|one: &Condition| one.status);
    let is_held = proof == Some(false) || has_startup_taint(node);
    match gpus {
        _ if gpus >= of && !is_held => {
            if proof == Some(true) {
                Readiness::Validated
            } else {
                Readiness::Allocatable
            }
        }
        _ if has_been_ready => Readiness::Degraded { gpus, of },
        0 if is_driver_coming(node) => Readiness::DriverInstalling,
        0 => Readiness::KubeReady,
        _ => Readiness::Partial { gpus: gpus.min(of), of },
    }
}

/// Whether the node's GPUs are being partitioned anew (NVIDIA's mig-parted, AMD's device config manager).
pub fn is_repartitioning(node: &Node) -> bool {
    let is_paused =
        |(key, value): (&String, &String)| key.starts_with(DEPLOY) && value == PAUSED_FOR_MIG;
    matches!(label(node, MIG_STATE), "pending" | "rebooting")
        || has_taint(node, AMD_PARTITIONING)
        || node.meta.labels.iter().any(is_paused)
}

/// On a Machine that we mark for deletion, beside Cluster API's annotation.
const OWN_MARK: &str = "prewarm.dev/delete-machine";

fn is_going(machine: &Machine) -> bool {
    // Our own mark is a step of a removal that may yet be taken back; lower replicas are what makes it go.
    let is_ours = machine.meta.annotations.contains_key(OWN_MARK);
    let marked = |key: &String| !is_ours && key.ends_with("/delete-machine");
    machine.meta.is_deleting
        || matches!(machine.phase.as_str(), "Deleting" | "Deleted")
        || machine.meta.annotations.keys().any(marked)
}

fn is_node_going(node: &Node) -> bool {
    node.meta.is_deleting || has_taint(node, TO_BE_DELETED)
}

/// Whether a taint that is there only until the node is prepared keeps pods away.
pub fn has_startup_taint(node: &Node) -> bool {
    let keeps_away = |effect| effect != Effect::PreferNoSchedule;
    node.taints.iter().any(|taint| keeps_away(taint.effect) && is_startup_taint(&taint.key))
}

/// Whether a taint with this key is there only until the node is prepared.
pub fn is_startup_taint(key: &str) -> bool {
    STARTUP_TAINTS.iter().any(|prefix| key.starts_with(prefix))
}

fn is_driver_coming(node: &Node) -> bool {
    let wanted = |key: &&str| !matches!(label(node, key), "" | "false");
    DRIVER_LABELS.iter().any(wanted)
        || node.capacity.extended.iter().any(|(name, &count)| count > 0 && is_gpu_resource(name))
}

fn has_taint(node: &Node, key: &str) -> bool {
    node.taints.iter().any(|taint| taint.key == key)
}

fn label<'a>(node: &'a Node, key: &str) -> &'a str {
    node.meta.labels.get(key).map_or("", String::as_str)
}

impl Readiness {
    /// As the engine counts it; `None` = not at all.
    ///
    /// GPUs that are gone for a while or for good do not send a node back to the nodes on their way: how
    /// long it will take has nothing to do with how long a new node takes. It stays usable with fewer GPUs
    /// free, and those of an upgrade or a partitioning are counted on as coming back.
    pub const fn stage(&self) -> Option<NodeStage> {
        match self {
            Self::Requested | Self::Provisioning | Self::Registered => Some(NodeStage::Requested),
            Self::KubeReady | Self::DriverInstalling | Self::Partial { .. } => {
                Some(NodeStage::Warming)
            }
            Self::Allocatable
            | Self::Validated
            | Self::Upgrading
            | Self::Repartitioning
            | Self::Degraded { .. } => Some(NodeStage::Usable),
            Self::Leaving | Self::Failed(_) => None,
        }
    }

    /// All GPUs are there.
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Allocatable | Self::Validated)
    }

    /// It is on its way.
    pub const fn is_coming(&self) -> bool {
        matches!(self.stage(), Some(NodeStage::Requested | NodeStage::Warming))
    }

    /// GPUs it lacks will be back without anybody's doing.
    pub const fn comes_back(&self) -> bool {
        matches!(self, Self::Upgrading | Self::Repartitioning)
    }
}

impl fmt::Display for Readiness {
    /// A sentence without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => write!(f, "asked for, no Machine yet"),
            Self::Provisioning => write!(f, "the Machine is being made"),
            Self::Registered => write!(f, "the Node has registered and is not Ready"),
            Self::KubeReady => write!(f, "the Node is Ready, nothing of its GPUs is seen"),
            Self::DriverInstalling => write!(f, "the GPU driver is being installed"),
            Self::Partial { gpus, of } if gpus == of => {
                write!(f, "all {of} GPUs are allocatable, a startup taint keeps pods away")
            }
            Self::Partial { gpus, of } => write!(f, "{gpus} of {of} GPUs are allocatable"),
            Self::Allocatable => write!(f, "all GPUs are allocatable"),
            Self::Validated => write!(f, "all GPUs are allocatable and checked"),
            Self::Upgrading => write!(f, "the GPU driver is being upgraded"),
            Self::Repartitioning => write!(f, "the GPUs are being partitioned anew"),
            Self::Degraded { gpus, of } => write!(f, "{gpus} of {of} GPUs are left"),
            Self::Leaving => write!(f, "it is being removed"),
            Self::Failed(why) => write!(f, "it will not come: {why}"),
        }
    }
}

/// Whether [`readiness`] looks at this label.
pub fn reads_label(key: &str) -> bool {
    matches!(key, UPGRADE_STATE | MIG_STATE | "cluster-api/accelerator")
        || key.starts_with(DEPLOY)
        || DRIVER_LABELS.contains(&key)
        || devices::reads_label(key)
}

/// Whether a node has GPUs, or is labelled as if.
pub fn is_gpu_node(node: &Node) -> bool {
    !label(node, "cluster-api/accelerator").is_empty() || is_driver_coming(node)
}
