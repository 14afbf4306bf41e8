//! Marks of ours where no pool looks any more: on nodes and MachineDeployments of pools that are gone, and on
//! pods that have their node.

use super::{fleet::beside, members::Members, pods::Pods, store::Store};
use crate::{
    live::{
        actuate::marks::{
            CORDONED, FLOOR, HOLD_DECISION, HOLD_UNTIL, MARKED, NUDGED_AT, OUR_DELAY,
            PENDING_HOLDS, POD_DELAY,
        },
        look::{PoolNode, WaitingPod},
    },
    model::{
        NodeId,
        object::{MachineDeployment, Node, Pod},
    },
    readiness::Readiness,
};
use std::collections::BTreeSet;

/// Nodes with a hold, a cordon or a marked Machine of ours; `pooled` are the uids of Machines of pools.
pub(super) fn nodes(
    pooled: &BTreeSet<&str>,
    members: &Members<'_>,
    nodes: &Store<Node>,
) -> Vec<PoolNode> {
    let id = NodeId(u32::MAX);
    let is_marked = |node: &Node| {
        [HOLD_UNTIL, HOLD_DECISION, NUDGED_AT, CORDONED]
            .iter()
            .any(|mark| node.meta.annotations.contains_key(*mark))
    };
    let strays = members.all().filter(|member| {
        let meta = &member.machine.meta;
        let has_mark = meta.annotations.contains_key(MARKED) || member.node.is_some_and(is_marked);
        has_mark && !pooled.contains(meta.uid.as_str())
    });
    let of_machines: BTreeSet<&str> =
        members.all().filter_map(|member| Some(member.node?.meta.name.as_str())).collect();
    let alone = nodes
        .values()
        .filter(|node| is_marked(node) && !of_machines.contains(node.meta.name.as_str()))
        .map(|node| beside(id, None, Some(node), Readiness::Leaving, None));
    strays
        .map(|member| beside(id, Some(member.machine), member.node, Readiness::Leaving, None))
        .chain(alone)
        .collect()
}

/// MachineDeployments with a floor or pending holds of ours that are not in `pooled` (`namespace/name`).
pub(super) fn deployments(
    pooled: &BTreeSet<String>,
    all: &Store<MachineDeployment>,
) -> Vec<MachineDeployment> {
    let is_marked = |one: &&MachineDeployment| {
        [FLOOR, PENDING_HOLDS].iter().any(|mark| one.meta.annotations.contains_key(*mark))
    };
    all.values()
        .filter(is_marked)
        .filter(|one| !pooled.contains(&one.meta.key()))
        .cloned()
        .collect()
}

/// Pods that have their node and still carry a delay of ours.
pub(super) fn delayed(pods: &Pods) -> Vec<WaitingPod> {
    let has_node = |pod: &&Pod| pod.node.is_some() && pod.meta.annotations.contains_key(OUR_DELAY);
    let pods = pods.tracked.values().map(|tracked| &tracked.pod).filter(has_node);
    pods.map(|pod| WaitingPod {
        namespace: pod.meta.namespace.clone(),
        name: pod.meta.name.clone(),
        uid: pod.meta.uid.clone(),
        resource_version: pod.meta.resource_version.clone(),
        created: pod.meta.created,
        pool: None,
        gpu_milli: 0,
        scale_up_delay: pod.meta.annotations.get(POD_DELAY).cloned(),
        is_delay_ours: true,
    })
    .collect()
}
