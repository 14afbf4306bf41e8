//! Which nodes go: those idle longest, as many as the one arithmetic of strategies leaves over, within the
//! pace of removals. When the ledger is used up, idle nodes beyond what a reactive controller has go at
//! once.

use super::{Place, decision::ScaleDown, guarded::Guards, memory::PoolMemory};
use crate::{
    model::{NodeId, NodeSnapshot, NodeStage},
    strategy::Want,
    time::Timestamp,
};

/// Idle usable nodes, idle longest first.
pub(super) fn idle_nodes(nodes: &[NodeSnapshot]) -> Vec<(Timestamp, NodeId)> {
    let usable = nodes.iter().filter(|node| node.stage == NodeStage::Usable);
    let mut idle: Vec<_> =
        usable.filter_map(|node| node.idle_since.map(|since| (since, node.id))).collect();
    idle.sort_unstable();
    idle
}

/// Which nodes go: none while others are asked for, which would chase each other, and none while the
/// cluster is not seen. `remove`: how many the strategy leaves over.
pub(super) fn choose(
    place: &Place<'_>,
    want: &Want,
    (create, remove): (u32, u32),
    idle: &[(Timestamp, NodeId)],
    guards: &mut Guards,
    memory: &PoolMemory,
) -> ScaleDown {
    if create > 0 || !guards.verdict.may_remove() {
        return ScaleDown { idle_timeout: want.idle_timeout, ..ScaleDown::default() };
    }
    let paced = guards.pace_down(place, remove, memory);
    let shed = guards.shed(place, memory, idle.len() as u32).saturating_sub(paced);
    let nodes = idle.iter().take((paced + shed) as usize).map(|&(_, id)| id).collect();
    ScaleDown { nodes, idle_timeout: want.idle_timeout, shed }
}

/// When the next idle node has been idle for long enough.
pub(super) fn next_expiry(now: Timestamp, want: &Want, idle: &[(Timestamp, NodeId)]) -> Timestamp {
    let expiries = idle.iter().map(|&(since, _)| since + want.idle_timeout);
    expiries.filter(|&at| at > now).min().unwrap_or(Timestamp::NEVER)
}
