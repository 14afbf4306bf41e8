//! Which nodes go: those idle longest, as many as the one arithmetic of strategies leaves over, within the
//! pace of removals, and none that became usable a short time ago. When the ledger is used up, idle nodes
//! beyond what a reactive controller has go at once, also those: a hold must not cost more than the credit.

use super::{Place, decision::ScaleDown, guarded::Guards, memory::PoolMemory};
use crate::{
    model::{NodeId, NodeSnapshot, NodeStage},
    strategy::Want,
    time::{Millis, Timestamp},
};

/// A usable node on which nothing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IdleNode {
    pub(super) since: Timestamp,
    id: NodeId,
    /// It stays until then, unless the ledger is used up.
    held_until: Timestamp,
}

impl IdleNode {
    /// When it may go if nothing needs it.
    fn expiry(&self, want: &Want) -> Timestamp {
        (self.since + want.idle_timeout).max(self.held_until)
    }
}

/// Idle usable nodes, idle longest first.
pub(super) fn idle_nodes(nodes: &[NodeSnapshot], min_hold: Millis) -> Vec<IdleNode> {
    let usable = nodes.iter().filter(|node| node.stage == NodeStage::Usable);
    let idle_node = |node: &NodeSnapshot| {
        let held_until = node.since + min_hold;
        node.idle_since.map(|since| IdleNode { since, id: node.id, held_until })
    };
    let mut idle: Vec<_> = usable.filter_map(idle_node).collect();
    idle.sort_unstable();
    idle
}

/// Which nodes go: none while others are asked for, which would chase each other, and none while the
/// cluster is not seen. `remove`: how many the strategy leaves over.
pub(super) fn choose(
    place: &Place<'_>,
    want: &Want,
    (create, remove): (u32, u32),
    idle: &[IdleNode],
    guards: &mut Guards,
    memory: &PoolMemory,
) -> ScaleDown {
    if create > 0 || !guards.verdict.may_shed() {
        return ScaleDown { idle_timeout: want.idle_timeout, ..ScaleDown::default() };
    }
    let may_go = |node: &IdleNode| guards.verdict.may_remove() && node.expiry(want) <= place.now;
    let (ripe, held): (Vec<&IdleNode>, Vec<&IdleNode>) = idle.iter().partition(|node| may_go(node));
    let paced = guards.pace_down(place, (remove, ripe.len() as u32), memory);
    let shed = guards.shed(place, memory, idle.len() as u32).saturating_sub(paced);
    let nodes = ripe.into_iter().chain(held).take((paced + shed) as usize);
    ScaleDown { nodes: nodes.map(|node| node.id).collect(), idle_timeout: want.idle_timeout, shed }
}

/// When the next idle node has been idle, and there, for long enough.
pub(super) fn next_expiry(now: Timestamp, want: &Want, idle: &[IdleNode]) -> Timestamp {
    let expiries = idle.iter().map(|node| node.expiry(want));
    expiries.filter(|&at| at > now).min().unwrap_or(Timestamp::NEVER)
}
