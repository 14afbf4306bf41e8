//! What objects of a cluster tell, trimmed to what somebody here uses. Facts only: what they mean (is a
//! node ready? is a pod demand?) is for others to say.
//!
//! Field names follow the Kubernetes API; instants count from the Unix epoch.

mod machine;
mod node;
mod pod;

pub use machine::{Condition, Machine, MachineDeployment, MachineSet};
pub use node::{Effect, GpuSlices, Node, ResourceSlice, Taint};
pub use pod::{Gang, Pod, PodPhase, Toleration, Unscheduled};

use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Labels or annotations.
pub type Strings = BTreeMap<String, String>;

/// Metadata that every object has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Empty for objects of the cluster as a whole.
    pub namespace: String,
    /// Unique within namespace and kind.
    pub name: String,
    /// Unique for ever: an object made anew under an old name has another one.
    pub uid: String,
    /// What a write with a precondition must name.
    pub resource_version: String,
    /// When it was made.
    pub created: Timestamp,
    /// It is being deleted.
    pub is_deleting: bool,
    /// Labels.
    pub labels: Strings,
    /// Annotations, for pods and nodes only those of `prewarm.dev`, `cluster.x-k8s.io` and
    /// `cluster-autoscaler.kubernetes.io`.
    pub annotations: Strings,
    /// The controlling owner.
    pub owner: Option<Owner>,
}

impl Meta {
    /// `namespace/name`, or the name alone.
    pub fn key(&self) -> String {
        if self.namespace.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }
}

/// Whoever controls an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Such as `Job`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Amounts of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// Extended resources by name (`nvidia.com/gpu`, `nvidia.com/mig-1g.10gb`), whole numbers.
    pub extended: BTreeMap<String, u64>,
}

/// A PriorityClass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriorityClass {
    /// Metadata; annotations as for pods.
    pub meta: Meta,
    /// Priority of its pods.
    pub value: i32,
}
