//! Nodes that somebody should look at.

use super::{
    findings::{Findings, Note},
    pools::{ACCELERATOR, Plan},
};
use crate::model::object::Node;
use std::collections::BTreeSet;

/// GPU resources that cluster-autoscaler counts before it calls a labelled node ready.
const KNOWN_TO_AUTOSCALER: [&str; 5] = [
    "nvidia.com/gpu",
    "amd.com/gpu",
    "habana.ai/gaudi",
    "gpu.intel.com/xe",
    "microsoft.com/directx",
];

/// GPU nodes in no pool, and those that cluster-autoscaler will never call ready (its issue 8095).
pub(super) fn nodes<'a>(
    plans: &[Plan<'_>],
    gpu_nodes: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) {
    let mut pooled = BTreeSet::new();
    for (pool, plan) in plans.iter().enumerate() {
        let mut nodes = plan.members.iter().filter_map(|member| member.node);
        pooled.extend(nodes.clone().map(|node| node.meta.name.as_str()));
        if let Some(node) = nodes.find(|node| is_unready_for_ever(node)) {
            let what = format!(
                "node {} has its GPUs as slices or shares only: cluster-autoscaler counts it as unready and \
                 stops scaling when there are several",
                node.meta.name
            );
            findings.add(Some(pool), Note::new("UnreadyForAutoscaler", what));
        }
    }
    let lost: Vec<&str> = gpu_nodes.filter(|name| !pooled.contains(name)).collect();
    if let Some(first) = lost.first() {
        let what = format!("{} GPU nodes are of no pool, such as {first}", lost.len());
        findings.add(None, Note::new("NodeOfNoPool", what));
    }
}

fn is_unready_for_ever(node: &Node) -> bool {
    let has = |name: &str| node.capacity.extended.get(name).is_some_and(|&count| count > 0);
    let is_parted = |name: &String| {
        (name.starts_with("nvidia.com/mig-") || name == "nvidia.com/gpu.shared") && has(name)
    };
    node.meta.labels.contains_key(ACCELERATOR)
        && node.capacity.extended.keys().any(is_parted)
        && !KNOWN_TO_AUTOSCALER.iter().any(|name| has(name))
}
