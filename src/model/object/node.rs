//! A Node.

use super::{Meta, Resources, machine::Condition};
use serde::{Deserialize, Serialize};

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in the API")]
pub enum Effect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value, often empty.
    #[serde(default)]
    pub value: String,
    /// Effect.
    pub effect: Effect,
}

/// One ResourceSlice; those of one driver and pool name add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSlice {
    /// Metadata, without annotations.
    pub meta: Meta,
    /// The driver, such as `gpu.nvidia.com`.
    pub driver: String,
    /// Whose devices; `None` = of no single node.
    pub node: Option<String>,
    /// `spec.pool.name`.
    pub pool: String,
    /// Generation of the pool; older slices do not count.
    pub generation: i64,
    /// Slices the pool has in this generation.
    pub slices: u32,
    /// Devices in this slice.
    pub devices: u32,
}

/// Devices of a node that a DRA driver has published (`resource.k8s.io` ResourceSlices).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuSlices {
    /// The driver, such as `gpu.nvidia.com`.
    pub driver: String,
    /// Devices in all slices of the newest generation of the pool.
    pub devices: u32,
    /// All slices the pool says it has are there.
    pub is_complete: bool,
}

/// A Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Metadata.
    pub meta: Meta,
    /// The provider's name of the machine, empty if there is none.
    pub provider_id: String,
    /// Cordoned.
    pub is_unschedulable: bool,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Conditions (heartbeats left out).
    pub conditions: Vec<Condition>,
    /// `status.nodeInfo.bootID`: another one after each start of the machine; empty = not told.
    pub boot_id: String,
    /// What the machine has.
    pub capacity: Resources,
    /// What pods may use of it.
    pub allocatable: Resources,
}

impl Node {
    /// The condition of that type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}
