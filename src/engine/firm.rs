//! What waiting work needs: packed onto what is free and what is on its way; the rest needs nodes now.
//!
//! A node on its way counts with all the GPUs it will have, once: one with 4 of its 8 GPUs allocatable
//! is a node of 8 of which some may be in use. Labels do not matter. A stuck node does not count.

use super::decision::FirmNeed;
use crate::{
    model::{NodeSnapshot, NodeStage, Pool, Shape, ShapeId, Snapshot},
    packing::{Bins, Fragments, Growing, Part, Room, pack_units, split},
};
use std::{cmp::Reverse, collections::BTreeMap};

/// A pool as work is packed onto it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolRoom<'a> {
    pub(super) pool: &'a Pool,
    pub(super) nodes: &'a [NodeSnapshot],
    /// By node, in the same order: not counted on.
    pub(super) stuck: &'a [bool],
    /// Nodes on their way that are not among `nodes`.
    pub(super) unseen: u32,
    /// Nodes that may be added.
    pub(super) growth: u32,
}

/// Units that need a place.
#[derive(Clone, Debug)]
struct Units {
    priority: i32,
    demand_milli: u64,
    count: u32,
    /// Pools that can hold one, in order of preference.
    pools: Vec<u32>,
    parts: Vec<Vec<Part>>,
}

/// What all pools need, and what of the waiting demand each is asked for first.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    pub(super) needs: Vec<FirmNeed>,
    /// What is free then on nodes that are not empty.
    pub(super) fragments: Vec<Fragments>,
    pub(super) waiting_milli: Vec<u64>,
}

/// Packs everything that waits. `queued_from`: queued work at least so likely counts as waiting.
pub(super) fn pack(snapshot: &Snapshot, rooms: &[PoolRoom<'_>], queued_from: &[f64]) -> Packed {
    let pools: Vec<&Pool> = rooms.iter().map(|room| room.pool).collect();
    let units = waiting_units(snapshot, &pools, queued_from);
    let mut waiting_milli = vec![0; rooms.len()];
    for unit in &units {
        if let Some(&home) = unit.pools.first() {
            let demand = unit.demand_milli.saturating_mul(u64::from(unit.count));
            let waiting: &mut u64 = &mut waiting_milli[home as usize];
            *waiting = waiting.saturating_add(demand);
        }
    }
    let is_shared = units.iter().flat_map(|unit| unit.parts.iter().flatten()).any(is_share)
        || rooms.iter().flat_map(|room| room.nodes).any(|node| !node.free.shared.is_empty());
    let mut packed: Vec<Growing> = rooms.iter().map(|room| growing(room, is_shared)).collect();
    let mut unplaced = vec![0; rooms.len()];
    for unit in &units {
        let placed = pack_units(&mut packed, &unit.pools, &unit.parts, unit.count);
        if let Some(&home) = unit.pools.first() {
            let unplaced: &mut u32 = &mut unplaced[home as usize];
            *unplaced = unplaced.saturating_add(unit.count - placed);
        }
    }
    let need = |(pool, unplaced_units): (&Growing, u32)| FirmNeed {
        nodes: pool.new_nodes(),
        spare_milli: pool.bins().free_milli(),
        spare_nodes: pool.empty_nodes(),
        unplaced_units,
    };
    let fragments = packed.iter().map(Growing::fragments).collect();
    Packed { needs: packed.iter().zip(unplaced).map(need).collect(), fragments, waiting_milli }
}

/// Everything that waits and fits somewhere, larger units of the same priority first.
fn waiting_units(snapshot: &Snapshot, pools: &[&Pool], queued_from: &[f64]) -> Vec<Units> {
    let waiting = snapshot.waiting.iter().map(|waiting| (&waiting.jobs, waiting.units));
    let queued = snapshot.pools.iter().zip(queued_from).flat_map(|(pool, &from)| {
        let likely = pool.queued.iter().filter(move |queued| queued.chance >= from);
        likely.map(|queued| (&queued.jobs, queued.units))
    });
    // Equal units are split once, and in whatever order they are told they are packed in the same.
    let mut equal: BTreeMap<&[ShapeId], u32> = BTreeMap::new();
    for (jobs, units) in waiting.chain(queued) {
        let known = equal.entry(jobs.as_slice()).or_default();
        *known = known.saturating_add(units);
    }
    let mut all: Vec<Units> = equal
        .into_iter()
        .filter_map(|(jobs, units)| units_of(jobs, units, &snapshot.shapes, pools))
        .collect();
    all.sort_by_key(|unit| (Reverse(unit.priority), Reverse(unit.demand_milli)));
    all
}

fn units_of(jobs: &[ShapeId], units: u32, shapes: &[Shape], pools: &[&Pool]) -> Option<Units> {
    let members: Vec<&Shape> =
        jobs.iter().filter_map(|shape| shapes.get(shape.0 as usize)).collect();
    let parts: Vec<Vec<Part>> = pools.iter().map(|pool| parts_on(&members, pool)).collect();
    let holds = |(pool, parts): (u32, &Vec<Part>)| (!parts.is_empty()).then_some(pool);
    let fitting: Vec<u32> = (0..).zip(&parts).filter_map(holds).collect();
    (!fitting.is_empty() && units > 0).then(|| Units {
        priority: members.iter().map(|shape| shape.priority).max().unwrap_or_default(),
        demand_milli: members.iter().fold(0, |sum, shape| sum.saturating_add(shape.demand_milli())),
        count: units,
        pools: fitting,
        parts,
    })
}

/// What a unit asks of the nodes of a pool, largest first; nothing if the pool cannot hold all of it.
fn parts_on(members: &[&Shape], pool: &Pool) -> Vec<Part> {
    let split = members.iter().map(|shape| split(shape, pool)).collect::<Option<Vec<_>>>();
    let mut parts: Vec<Part> = split.unwrap_or_default().into_iter().flatten().collect();
    parts.sort_by_key(|part| Reverse(*part));
    parts
}

fn is_share(part: &Part) -> bool {
    !part.is_whole()
}

fn growing(room: &PoolRoom<'_>, is_shared: bool) -> Growing {
    let empty = Room::empty_node(room.pool, is_shared);
    let counted = room.nodes.iter().zip(room.stuck).filter(|(_, stuck)| !**stuck);
    let unseen = std::iter::repeat_n(&empty, room.unseen as usize).cloned();
    let rooms = counted.map(|(node, _)| room_of(node, &empty)).chain(unseen);
    let is_simple = !is_shared && room.pool.cpu_milli.is_none() && room.pool.memory_mib.is_none();
    let bins = if is_simple { levels(rooms, &empty) } else { Bins::Rooms(rooms.collect()) };
    Growing::new(bins, empty, room.growth)
}

fn levels(rooms: impl Iterator<Item = Room>, empty: &Room) -> Bins {
    let mut levels = vec![0; empty.whole as usize + 1];
    rooms.for_each(|room| levels[room.whole.min(empty.whole) as usize] += 1);
    Bins::Levels(levels)
}

/// What a node has or will have left.
fn room_of(node: &NodeSnapshot, empty: &Room) -> Room {
    if node.stage == NodeStage::Requested {
        return empty.clone();
    }
    let coming = empty.whole.saturating_sub(node.gpus);
    let free = &node.free;
    // Nothing is told of a node on which nothing can run yet: it has all an empty one has.
    let cpu_milli = free.cpu_milli.or(Some(empty.cpu_milli));
    let memory_mib = free.memory_mib.or(Some(empty.memory_mib));
    empty.with_left(free.gpus.saturating_add(coming), &free.shared, cpu_milli, memory_mib)
}

#[cfg(test)]
mod agreement;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Free, NodeId, PoolSnapshot, Waiting},
        time::Timestamp,
    };
    use std::sync::Arc;

    fn node(id: u32, stage: NodeStage, gpus: u32, free: u32) -> NodeSnapshot {
        let free = Free { gpus: free, ..Free::default() };
        let since = Timestamp::ZERO;
        NodeSnapshot { id: NodeId(id), stage, since, gpus, free, idle_since: None }
    }

    fn waiting(shape: u32, units: u32) -> Waiting {
        Waiting { jobs: vec![ShapeId(shape)], units, oldest: Timestamp::ZERO }
    }

    /// Shapes 0..: 1, 4, 8 and 16 whole GPUs.
    fn snapshot(waiting: Vec<Waiting>) -> Snapshot {
        let shapes: Vec<Shape> = [1, 4, 8, 16].map(Shape::whole_gpus).into();
        let pools = vec![PoolSnapshot::default()];
        Snapshot { pools, waiting, shapes: Arc::from(shapes), ..Snapshot::default() }
    }

    fn need(nodes: &[NodeSnapshot], stuck: &[bool], waiting: Vec<Waiting>) -> FirmNeed {
        let pool = Pool::new("p", 8);
        let rooms = [PoolRoom { pool: &pool, nodes, stuck, unseen: 0, growth: 100 }];
        pack(&snapshot(waiting), &rooms, &[1.0]).needs[0]
    }

    #[test]
    fn a_half_warm_node_is_credited_four_and_four() {
        let half = node(0, NodeStage::Warming, 4, 4);
        let two_fours = need(std::slice::from_ref(&half), &[false], vec![waiting(1, 2)]);
        assert_eq!((two_fours.nodes, two_fours.spare_milli), (0, 0));
        let three = need(std::slice::from_ref(&half), &[false], vec![waiting(1, 3)]);
        assert_eq!((three.nodes, three.spare_milli), (1, 4000));
        // Its first four are in use: only the other four are to come.
        let busy = node(0, NodeStage::Warming, 4, 0);
        assert_eq!(need(&[busy], &[false], vec![waiting(1, 2)]).nodes, 1);
    }

    #[test]
    fn a_node_is_credited_once_whatever_its_stage() {
        for stage in [NodeStage::Requested, NodeStage::Warming] {
            let nodes = [node(0, stage, 0, 0)];
            assert_eq!(need(&nodes, &[false], vec![waiting(2, 1)]).nodes, 0);
            assert_eq!(need(&nodes, &[false], vec![waiting(2, 2)]).nodes, 1);
        }
    }

    #[test]
    fn a_stuck_node_is_replaced() {
        let nodes = [node(0, NodeStage::Requested, 0, 0)];
        assert_eq!(need(&nodes, &[true], vec![waiting(2, 1)]).nodes, 1);
    }

    #[test]
    fn larger_work_is_packed_first_and_a_gang_whole_or_not_at_all() {
        let nodes = [node(0, NodeStage::Usable, 8, 8)];
        // 16 GPUs take the empty node and a new one; the single GPU needs one more.
        let packed = need(&nodes, &[false], vec![waiting(0, 1), waiting(3, 1)]);
        assert_eq!((packed.nodes, packed.spare_milli, packed.unplaced_units), (2, 7000, 0));
    }

    #[test]
    fn what_no_pool_may_grow_for_is_counted() {
        let pool = Pool::new("p", 8);
        let rooms = [PoolRoom { pool: &pool, nodes: &[], stuck: &[], unseen: 0, growth: 1 }];
        let packed = pack(&snapshot(vec![waiting(2, 3)]), &rooms, &[1.0]);
        assert_eq!((packed.needs[0].nodes, packed.needs[0].unplaced_units), (1, 2));
        assert_eq!(packed.waiting_milli, [24_000]);
    }
}
