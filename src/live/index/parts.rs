//! Small parts of a picture.

use super::{
    hardware::{Hardware, Shown},
    pools::Plan,
    store::Store,
    usage::Usage,
};
use crate::{
    live::look::{PoolLook, PoolNode, Target},
    model::object::{GpuSlices, Node},
};
use std::collections::{BTreeMap, BTreeSet};

/// What nodes have, as far as they show it.
pub(super) fn learn(
    shown: &mut BTreeMap<String, Shown>,
    plans: &mut [Plan<'_>],
    slices: &BTreeMap<&str, GpuSlices>,
    usage: &BTreeMap<&str, Usage>,
) {
    for plan in plans {
        let shown = shown.entry(plan.key.clone()).or_default();
        shown.update(plan.members, slices, usage);
        plan.hardware = Hardware::new(&plan.declared, shown, plan.members, &mut plan.notes);
    }
}

/// Nodes that are of no pool and show no GPU.
pub(super) fn strangers(
    plans: &[Plan<'_>],
    nodes: &Store<Node>,
    gpu_nodes: &BTreeSet<String>,
) -> BTreeSet<String> {
    let members = plans.iter().flat_map(|plan| plan.members).filter_map(|member| member.node);
    let members: BTreeSet<&str> = members.map(|node| node.meta.name.as_str()).collect();
    let is_strange =
        |name: &&String| !members.contains(name.as_str()) && !gpu_nodes.contains(*name);
    nodes.iter().map(|(name, _)| name).filter(is_strange).cloned().collect()
}

pub(super) fn running_milli(plan: &Plan<'_>, usage: &BTreeMap<&str, Usage>) -> u64 {
    let nodes = plan.members.iter().filter_map(|member| member.node);
    let used = nodes.filter_map(|node| usage.get(node.meta.name.as_str()));
    used.fold(0, |sum: u64, usage| {
        sum.saturating_add(u64::from(usage.gpus(&plan.hardware.resource)) * 1000)
    })
}

pub(super) fn pool_look(
    plan: &Plan<'_>,
    target: Option<Target>,
    nodes: Vec<PoolNode>,
    pending_gpus: u64,
) -> PoolLook {
    let (namespace, name) = plan.key.split_once('/').unwrap_or(("", plan.key.as_str()));
    PoolLook {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        exists: plan.object.is_some(),
        uid: plan.object.map(|object| object.meta.uid.clone()).unwrap_or_default(),
        generation: plan.object.map_or(0, |object| object.generation),
        spec: plan.spec.clone(),
        target,
        nodes,
        pending_gpus,
    }
}
