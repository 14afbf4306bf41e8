//! What pods take of each node.

use super::{pods::Pods, store::Store};
use crate::{
    model::object::{Node, Pod},
    readiness::is_gpu_resource,
};
use std::collections::BTreeMap;

/// What pods take of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Extended resources by name.
    pub(super) extended: BTreeMap<String, u64>,
    pub(super) cpu_milli: u64,
    pub(super) memory_bytes: u64,
    /// The share of DaemonSets and mirror pods, which every node of the pool has.
    pub(super) everywhere_cpu_milli: u64,
    /// See above.
    pub(super) everywhere_memory_bytes: u64,
    /// Pods that neither are everywhere nor expendable.
    pub(super) pods: u32,
    /// Of those the ones that ask for GPUs.
    pub(super) jobs: u32,
    /// Some pod has devices by DRA.
    pub(super) has_claims: bool,
}

impl Usage {
    fn add(&mut self, cpu_milli: u64, memory_bytes: u64, is_everywhere: bool) {
        self.cpu_milli = self.cpu_milli.saturating_add(cpu_milli);
        self.memory_bytes = self.memory_bytes.saturating_add(memory_bytes);
        if is_everywhere {
            self.everywhere_cpu_milli = self.everywhere_cpu_milli.saturating_add(cpu_milli);
            self.everywhere_memory_bytes =
                self.everywhere_memory_bytes.saturating_add(memory_bytes);
        } else {
            self.pods = self.pods.saturating_add(1);
        }
    }

    fn take(&mut self, pod: &Pod, is_everywhere: bool) {
        let requests = &pod.requests;
        self.add(requests.cpu_milli, requests.memory_bytes, is_everywhere);
        let has_claims = !pod.claims.is_empty();
        let asks = has_claims || requests.extended.keys().any(|name| is_gpu_resource(name));
        self.jobs += u32::from(asks && !is_everywhere);
        self.has_claims |= has_claims;
        for (resource, &count) in &requests.extended {
            match self.extended.get_mut(resource) {
                Some(sum) => *sum = sum.saturating_add(count),
                None => drop(self.extended.insert(resource.clone(), count)),
            }
        }
    }

    /// Devices of this resource in use.
    pub(super) fn gpus(&self, resource: &str) -> u32 {
        let count = self.extended.get(resource).copied().unwrap_or_default();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// By node, for nodes that are there. Pods that are being deleted count until they are gone, expendable
/// ones never.
pub(super) fn usage<'a>(
    pods: &Pods,
    nodes: &'a Store<Node>,
    expendable_below: i32,
) -> BTreeMap<&'a str, Usage> {
    let mut used: BTreeMap<&str, Usage> = BTreeMap::new();
    for other in pods.others.values() {
        let Some(name) = nodes.key(&other.node) else { continue };
        let node = used.entry(name).or_default();
        node.add(other.cpu_milli, other.memory_bytes, other.is_everywhere);
    }
    for tracked in pods.tracked.values() {
        let Some(name) = tracked.holds().and_then(|name| nodes.key(name)) else { continue };
        if !tracked.is_expendable(expendable_below) {
            used.entry(name).or_default().take(&tracked.pod, tracked.is_everywhere());
        }
    }
    used
}
