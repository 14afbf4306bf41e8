//! The world as a controller of all its pools sees it.

use super::{classes::Classes, fleet::Fleet, queue::Queue};
use crate::{
    model::{
        Action, Free, NodeId, NodeSnapshot, NodeStage, PoolSnapshot, Shape, Sight, Snapshot, Trace,
        Waiting,
    },
    packing::Room,
    time::Timestamp,
};
use std::sync::Arc;

/// Decides for all pools at once, from a snapshot.
pub trait Controller {
    /// What to do now, and when to look again although nothing happens. What the kernel does not know
    /// (replays, signals) may be filled in; it stays empty for the next look.
    fn decide(&mut self, now: Timestamp, snapshot: &mut Snapshot) -> (Vec<Action>, Timestamp);
}

/// A snapshot without content; its buffers are used again at every look.
pub(super) fn blank(shapes: &[Shape], pools: usize) -> Snapshot {
    Snapshot {
        pools: vec![PoolSnapshot::default(); pools],
        waiting: Vec::new(),
        shapes: Arc::from(shapes),
        sight: Sight::default(),
        replays: Vec::new(),
    }
}

/// Tells the nodes of a pool.
pub(super) fn tell_nodes(fleet: &Fleet, into: &mut Vec<NodeSnapshot>) {
    into.clear();
    let coming = fleet.coming.iter().map(|(&id, &(requested, ready))| NodeSnapshot {
        id: NodeId(id),
        stage: if ready.is_some() { NodeStage::Warming } else { NodeStage::Requested },
        since: ready.unwrap_or(requested),
        gpus: 0,
        free: Free::default(),
        idle_since: None,
    });
    into.extend(fleet.usable_nodes().map(|(id, node)| NodeSnapshot {
        id: NodeId(id),
        stage: NodeStage::Usable,
        since: node.usable_since,
        gpus: fleet.pool.gpus_per_node,
        free: free_of(&node.room),
        idle_since: node.is_idle().then_some(node.idle_since),
    }));
    into.extend(coming);
    into.sort_unstable_by_key(|node| node.id);
}

fn free_of(room: &Room) -> Free {
    let limited = |amount: u32| (amount != u32::MAX).then_some(amount);
    Free {
        gpus: room.whole,
        shared: room.devices().iter().copied().filter(|&left| left > 0 && left < 1000).collect(),
        cpu_milli: limited(room.cpu_milli),
        memory_mib: limited(room.memory_mib),
    }
}

/// Tells what waits.
pub(super) fn tell_waiting(
    queue: &Queue,
    classes: &Classes,
    trace: &Trace,
    into: &mut Vec<Waiting>,
) {
    into.clear();
    into.extend(queue.active.iter().filter_map(|&class| {
        let units = &queue.line(class).units;
        let oldest = trace.jobs[*units.front()? as usize].submit;
        Some(Waiting {
            jobs: classes.get(class).members.clone(),
            units: units.len() as u32,
            oldest,
        })
    }));
}
