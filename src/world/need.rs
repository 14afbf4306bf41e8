//! How many nodes the waiting jobs need, and what is left over: packs what waits onto what is there
//! and what is on its way; the rest needs new nodes, pool by pool in order of preference.
//!
//! Larger jobs of the same priority are packed first (first-fit decreasing), as cluster-autoscaler's
//! estimator does.

use super::{
    classes::{Class, ClassId, Classes},
    fleet::Fleet,
    queue::Queue,
};
use crate::{
    model::Trace,
    packing::{Bins, Growing, Part, equal_parts},
    strategy::{Credit, Timers},
    time::Timestamp,
};
use std::cmp::Reverse;

/// The need of one pool.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PoolNeed {
    pub(super) firm_nodes: u32,
    pub(super) spare_milli: u64,
    pub(super) spare_nodes: u32,
}

/// What a look at the queue found about one class.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassNeed {
    pub(super) class: ClassId,
    /// Units old enough to be looked at.
    pub(super) considered: u32,
    /// Of those, units for which no pool may grow any more.
    pub(super) unplaced: u32,
}

/// The need of all pools at one instant.
#[derive(Debug, Default)]
pub(super) struct Need {
    pub(super) pools: Vec<PoolNeed>,
    pub(super) classes: Vec<ClassNeed>,
    /// When the next unit becomes old enough to be looked at.
    pub(super) next_ripe: Option<Timestamp>,
}

pub(super) fn look(
    now: Timestamp,
    fleets: &[Fleet],
    queue: &Queue,
    trace: &Trace,
    classes: &Classes,
    timers: Timers,
) -> Need {
    if queue.is_empty() {
        let pools = fleets.iter().map(|fleet| nothing_placed(fleet, timers.credit)).collect();
        return Need { pools, ..Need::default() };
    }
    let mut need = Need::default();
    // What waits does not fit on what is free, else it would have started.
    let is_full =
        fleets.iter().all(|fleet| !fleet.can_grow(now) && credited(fleet, timers.credit) == 0);
    let mut packed: Option<Vec<_>> =
        (!is_full).then(|| fleets.iter().map(|fleet| growing(fleet, timers.credit, now)).collect());
    for class in in_packing_order(queue, classes) {
        let units = &queue.line(class).units;
        let is_ripe = |&first: &u32| trace.jobs[first as usize].submit + timers.pending_age <= now;
        let considered =
            if timers.pending_age.0 == 0 { units.len() } else { units.partition_point(is_ripe) };
        if let Some(&unripe) = units.get(considered) {
            let ripe_at = trace.jobs[unripe as usize].submit + timers.pending_age;
            need.next_ripe = Some(need.next_ripe.map_or(ripe_at, |at| at.min(ripe_at)));
        }
        let considered = considered as u32;
        let placed =
            packed.as_mut().map_or(0, |packed| pack_class(packed, classes.get(class), considered));
        need.classes.push(ClassNeed { class, considered, unplaced: considered - placed });
    }
    need.pools = match packed {
        Some(packed) => packed.iter().map(need_of).collect(),
        None => fleets.iter().map(|fleet| nothing_placed(fleet, timers.credit)).collect(),
    };
    need
}

fn credited(fleet: &Fleet, credit: Credit) -> u32 {
    match credit {
        Credit::UntilUsable => fleet.in_flight(),
        Credit::UntilReady => fleet.provisioning,
    }
}

fn nothing_placed(fleet: &Fleet, credit: Credit) -> PoolNeed {
    let coming = credited(fleet, credit);
    PoolNeed {
        firm_nodes: 0,
        spare_milli: fleet.free_milli + u64::from(coming) * u64::from(fleet.empty_node.free_milli),
        spare_nodes: fleet.idle_count() + coming,
    }
}

fn in_packing_order(queue: &Queue, classes: &Classes) -> Vec<ClassId> {
    let mut order: Vec<ClassId> = queue.active.iter().copied().collect();
    order.sort_by_key(|&id| {
        let class = classes.get(id);
        (Reverse(class.priority), Reverse(class.demand_milli), id)
    });
    order
}

/// Packs up to `units` units of a class; returns how many found a place.
fn pack_class(packed: &mut [Growing<'_>], class: &Class, units: u32) -> u32 {
    let parts = |pool: u32| class.bare_parts[pool as usize].as_slice();
    let equal = |&pool: &u32| Some((pool, equal_parts(parts(pool))?));
    match class.pools.iter().map(equal).collect::<Option<Vec<_>>>() {
        Some(pools) => pack_equal_parts(packed, &pools, units),
        None => (0..units).find(|_| !pack_unit(packed, class)).unwrap_or(units),
    }
}

fn pack_unit(packed: &mut [Growing<'_>], class: &Class) -> bool {
    let parts = |pool: u32| class.bare_parts[pool as usize].as_slice();
    class.pools.iter().any(|&pool| packed[pool as usize].place_all(parts(pool)))
        || class.pools.iter().any(|&pool| packed[pool as usize].grow_for(parts(pool)))
}

/// The same, all units at once, where a unit is so many equal parts on each of its pools: first what
/// exists is filled, pool by pool, then the pools grow.
fn pack_equal_parts(packed: &mut [Growing<'_>], pools: &[(u32, (Part, u32))], units: u32) -> u32 {
    let mut left = units;
    for &(pool, (part, each)) in pools {
        left -= packed[pool as usize].fill(&part, each, left);
    }
    for &(pool, (part, each)) in pools {
        left -= packed[pool as usize].grow_and_fill(&part, each, left);
    }
    units - left
}

/// How many nodes beyond the usable ones a pool needs for parts that do not fit there; `None` if its
/// maximum forbids it.
pub(super) fn new_nodes_for(fleet: &Fleet, parts: &[Part]) -> Option<u32> {
    let below_max = below_max(fleet);
    if parts.len() == 1 {
        // Asked only when it fits nowhere, which at second 0 is often.
        return (below_max > 0).then_some(1);
    }
    bins_of(fleet).grow_for(parts, &fleet.empty_node, below_max)
}

fn below_max(fleet: &Fleet) -> u32 {
    fleet.pool.max_nodes.map_or(u32::MAX, |max| max.saturating_sub(fleet.alive()))
}

fn growing(fleet: &Fleet, credit: Credit, now: Timestamp) -> Growing<'_> {
    let mut bins = bins_of(fleet);
    bins.add(&fleet.empty_node, credited(fleet, credit));
    let growth = if fleet.can_grow(now) { below_max(fleet) } else { 0 };
    Growing::new(bins, &fleet.empty_node, growth)
}

/// What the usable nodes have left. Nodes that are full have no say.
fn bins_of(fleet: &Fleet) -> Bins {
    if fleet.is_simple {
        return Bins::Levels(fleet.by_free.iter().map(|nodes| nodes.len() as u32).collect());
    }
    Bins::Rooms(fleet.rooms().filter(|room| room.free_milli > 0).cloned().collect())
}

fn need_of(packed: &Growing<'_>) -> PoolNeed {
    PoolNeed {
        firm_nodes: packed.new_nodes(),
        spare_milli: packed.free_milli(),
        spare_nodes: packed.empty_nodes(),
    }
}
