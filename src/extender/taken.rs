//! What a pod takes of its node: the few facts of a placed pod that are kept, 40,000 of them in a large cluster.

use crate::{model::object::Pod, readiness::is_gpu_resource};

/// What a pod takes of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// GPU resources by name, sorted.
    pub gpus: Vec<(String, u64)>,
    /// Thousandths of a CPU.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// The group it started with (`namespace/name`).
    pub gang: Option<String>,
}

impl Taken {
    /// What this pod takes.
    pub fn of(pod: &Pod) -> Self {
        let asked = pod.requests.extended.iter();
        let asked = asked.filter(|(name, amount)| **amount > 0 && is_gpu_resource(name));
        Self {
            gpus: asked.map(|(name, &amount)| (name.clone(), amount)).collect(),
            cpu_milli: pod.requests.cpu_milli,
            memory_bytes: pod.requests.memory_bytes,
            gang: pod.gang.as_ref().map(|gang| format!("{}/{}", pod.meta.namespace, gang.name)),
        }
    }

    /// Of one GPU resource.
    pub(super) fn of_resource(&self, resource: &str) -> u64 {
        self.gpus.iter().find(|(name, _)| name == resource).map_or(0, |&(_, amount)| amount)
    }
}
