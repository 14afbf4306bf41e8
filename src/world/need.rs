//! How many nodes the waiting jobs need, and what is left over: packs what waits onto what is there
//! and what is on its way; the rest needs new nodes, pool by pool in order of preference.
//!
//! Larger jobs of the same priority are packed first (first-fit decreasing), as cluster-autoscaler's
//! estimator does.

use super::{
    classes::{ClassId, Classes},
    fleet::Fleet,
    queue::Queue,
};
use crate::{
    model::Trace,
    packing::{Bins, Fragments, Growing, Part, pack_units},
    strategy::{Credit, Timers},
    time::Timestamp,
};
use std::cmp::Reverse;

/// The need of one pool.
#[derive(Clone, Debug, Default)]
pub(super) struct PoolNeed {
    pub(super) firm_nodes: u32,
    pub(super) spare_milli: u64,
    pub(super) spare_nodes: u32,
    /// What is free on nodes that are not empty, if somebody asked.
    pub(super) fragments: Fragments,
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
        let pools = fleets.iter().map(|fleet| nothing_placed(fleet, timers)).collect();
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
        let of_class = classes.get(class);
        let placed = packed.as_mut().map_or(0, |packed| {
            pack_units(packed, &of_class.pools, &of_class.bare_parts, considered)
        });
        need.classes.push(ClassNeed { class, considered, unplaced: considered - placed });
    }
    need.pools = match packed {
        Some(packed) => packed.iter().map(|pool| need_of(pool, timers)).collect(),
        None => fleets.iter().map(|fleet| nothing_placed(fleet, timers)).collect(),
    };
    need
}

fn credited(fleet: &Fleet, credit: Credit) -> u32 {
    match credit {
        Credit::UntilUsable => fleet.in_flight(),
        Credit::UntilReady => fleet.provisioning,
    }
}

fn nothing_placed(fleet: &Fleet, timers: Timers) -> PoolNeed {
    let coming = credited(fleet, timers.credit);
    let fragments = timers.fragments.then(|| bins_of(fleet).fragments(&fleet.empty_node));
    PoolNeed {
        firm_nodes: 0,
        spare_milli: fleet.free_milli + u64::from(coming) * u64::from(fleet.empty_node.free_milli),
        spare_nodes: fleet.idle_count() + coming,
        fragments: fragments.unwrap_or_default(),
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

/// The pool with what is free on it and on its way.
fn growing(fleet: &Fleet, credit: Credit, now: Timestamp) -> Growing {
    let mut bins = bins_of(fleet);
    bins.add(&fleet.empty_node, credited(fleet, credit));
    let growth = if fleet.can_grow(now) { below_max(fleet) } else { 0 };
    Growing::new(bins, fleet.empty_node.clone(), growth)
}

/// What the usable nodes have left. Nodes that are full have no say.
fn bins_of(fleet: &Fleet) -> Bins {
    if fleet.is_simple {
        return Bins::Levels(fleet.by_free.counts().collect());
    }
    Bins::Rooms(fleet.rooms().filter(|room| room.free_milli > 0).cloned().collect())
}

fn need_of(pool: &Growing, timers: Timers) -> PoolNeed {
    PoolNeed {
        firm_nodes: pool.new_nodes(),
        spare_milli: pool.bins().free_milli(),
        spare_nodes: pool.empty_nodes(),
        fragments: if timers.fragments { pool.fragments() } else { Fragments::default() },
    }
}
