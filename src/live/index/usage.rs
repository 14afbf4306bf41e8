//! What pods take of each node.

use super::pods::Pods;
use crate::readiness::is_gpu_resource;
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

    /// Devices of this resource in use.
    pub(super) fn gpus(&self, resource: &str) -> u32 {
        let count = self.extended.get(resource).copied().unwrap_or_default();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// By node. Pods that are being deleted count until they are gone, expendable ones never.
pub(super) fn usage(pods: &Pods, expendable_below: i32) -> BTreeMap<String, Usage> {
    let mut nodes: BTreeMap<String, Usage> = BTreeMap::new();
    for other in pods.others.values() {
        let node = at(&mut nodes, &other.node);
        node.add(other.cpu_milli, other.memory_bytes, other.is_everywhere);
    }
    for tracked in pods.tracked.values() {
        let Some(name) = tracked.holds() else { continue };
        if tracked.is_expendable(expendable_below) {
            continue;
        }
        let (requests, is_everywhere) = (&tracked.pod.requests, tracked.is_everywhere());
        let node = at(&mut nodes, name);
        node.add(requests.cpu_milli, requests.memory_bytes, is_everywhere);
        let has_claims = !tracked.pod.claims.is_empty();
        let asks = has_claims || requests.extended.keys().any(|name| is_gpu_resource(name));
        node.jobs += u32::from(asks && !is_everywhere);
        node.has_claims |= has_claims;
        for (resource, &count) in &requests.extended {
            let sum = node.extended.entry(resource.clone()).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    nodes
}

fn at<'a>(nodes: &'a mut BTreeMap<String, Usage>, name: &str) -> &'a mut Usage {
    if !nodes.contains_key(name) {
        nodes.insert(name.to_owned(), Usage::default());
    }
    nodes.entry(name.to_owned()).or_default()
}
