//! New nodes are kept from cluster-autoscaler for a while: `scale-down-disabled` on the Node with an end of
//! our own beside it. (cluster-autoscaler's idle clock runs from the registration of a node, while its driver
//! is still being installed; without a hold a warm node lives for minutes only.)
//!
//! A Node cannot be annotated before it registers. So the raise notes on the MachineDeployment, in a write
//! before the raise itself, how many nodes are to be held until when ([`Pending`]); each look holds those that
//! have registered since.

use super::{
    marks::{self, Pending},
    orders::Plan,
    pool::{self, Scene},
    write::Write,
};
use crate::{live::look::PoolNode, model::object::MachineDeployment, time::Timestamp};

/// Notes of more raises than that are not kept; the oldest goes.
const MOST_PENDING: usize = 16;

/// Ends our hold of a node, if there is one; `forget` also removes the memory that it was held or touched.
pub(super) fn release(node: &PoolNode, forget: bool) -> Option<Write> {
    let is_held = node.hold_until.is_some();
    let is_remembered = node.hold_decision.is_some() || node.is_touched;
    let object = pool::node_object(node).filter(|_| is_held || (forget && is_remembered))?;
    Some(Write::ReleaseNode { node: object, is_held, forget })
}

/// Forgets which nodes are to be held.
pub(super) fn forget_pending(deployment: &MachineDeployment) -> Option<Write> {
    let is_there = deployment.meta.annotations.contains_key(marks::PENDING_HOLDS);
    is_there.then(|| Write::NoteHolds { target: pool::object(&deployment.meta), pending: None })
}

/// Forgets it once no entry is of use any more.
pub(super) fn forget_if_over(scene: &Scene<'_>) -> Option<Write> {
    let deployment = &scene.target.deployment;
    let is_over = open(scene).is_empty();
    forget_pending(deployment).filter(|_| is_over)
}

/// Entries that have not ended.
fn open(scene: &Scene<'_>) -> Vec<Pending> {
    let mut open = Pending::read(&scene.target.deployment.meta.annotations);
    open.retain(|pending| pending.until > scene.now);
    open
}

/// The note for `count` more nodes, until `until`. Older entries that no node is coming for are cut: a
/// raise that was noted and never written must not hold somebody else's nodes. `None` = it stands there
/// already: a raise was noted, and not written because somebody else wrote in between.
pub(super) fn note(scene: &Scene<'_>, count: u32, until: Timestamp) -> Option<Write> {
    let mut entries = open(scene);
    let mut coming = coming_without_hold(scene, &entries);
    let left = |entry: &Pending| entry.count.saturating_sub(taken(scene, entry));
    if entries.iter().map(left).sum::<u32>() == coming.saturating_add(count) {
        return None;
    }
    for entry in entries.iter_mut().rev() {
        let taken = taken(scene, entry);
        let left = entry.count.saturating_sub(taken).min(coming);
        coming -= left;
        entry.count = taken + left;
    }
    entries.retain(|entry| entry.count > taken(scene, entry));
    entries.push(Pending {
        decision: scene.decision.clone(),
        count,
        since: newest_machine(scene),
        until,
    });
    let oldest = entries.len().saturating_sub(MOST_PENDING);
    let pending = Pending::write(&entries[oldest..]);
    Some(Write::NoteHolds { target: scene.object(), pending })
}

/// When the newest Machine was made, by the API server's clock: what comes is newer.
fn newest_machine(scene: &Scene<'_>) -> Timestamp {
    let machines = scene.pool.nodes.iter().filter_map(|node| node.machine.as_ref());
    machines.map(|machine| machine.meta.created).max().unwrap_or(Timestamp::ZERO)
}

/// Nodes that one of these entries may be meant for and that none has had; asked for is enough.
fn coming_without_hold(scene: &Scene<'_>, entries: &[Pending]) -> u32 {
    let is_coming = |node: &&PoolNode| {
        let is_new = node.machine.is_none() || entries.iter().any(|entry| is_meant(node, entry));
        is_new && !pool::is_gone(node) && node.hold_decision.is_none() && node.pods == 0
    };
    scene.pool.nodes.iter().filter(is_coming).count() as u32
}

fn is_meant(node: &PoolNode, entry: &Pending) -> bool {
    let made = node.machine.as_ref().map(|machine| machine.meta.created);
    !pool::is_gone(node) && made.is_some_and(|made| made > entry.since)
}

/// How many nodes an entry has had: held by it, now or before, or in use before they could be held.
fn taken(scene: &Scene<'_>, entry: &Pending) -> u32 {
    let is_taken = |node: &&PoolNode| match &node.hold_decision {
        Some(decision) => *decision == entry.decision,
        None => node.pods > 0 && is_meant(node, entry),
    };
    scene.pool.nodes.iter().filter(is_taken).count() as u32
}

/// Holds the nodes that have registered since they were noted.
pub(super) fn place(scene: &Scene<'_>, plan: &mut Plan) {
    let mut placed = Vec::new();
    for entry in open(scene) {
        let mut left = entry.count.saturating_sub(taken(scene, &entry));
        for node in &scene.pool.nodes {
            let Some(object) = pool::node_object(node).filter(|_| left > 0) else { continue };
            if !may_hold(scene, node) || !is_meant(node, &entry) || placed.contains(&node.id) {
                continue;
            }
            left -= 1;
            placed.push(node.id);
            let (until, decision) = (entry.until, entry.decision.clone());
            plan.add(Some(scene.index), Some(Write::HoldNode { node: object, until, decision }));
        }
    }
}

/// Nobody uses it, nobody keeps it, it is not to go.
fn may_hold(scene: &Scene<'_>, node: &PoolNode) -> bool {
    node.hold_decision.is_none()
        && node.pods == 0
        && !node.is_scale_down_disabled
        && !node.is_cordoned_by_us
        && !scene.orders.remove.contains(&node.id)
}
