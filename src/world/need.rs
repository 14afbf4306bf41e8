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
    packing::Bins,
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

/// A pool while waiting jobs are packed onto it.
struct Packed<'a> {
    fleet: &'a Fleet,
    bins: Bins,
    new_nodes: u32,
    /// New nodes that may be asked for.
    growth: u32,
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
        let pools = fleets.iter().map(|fleet| nothing_waits(fleet, timers.credit)).collect();
        return Need { pools, ..Need::default() };
    }
    let mut packed: Vec<_> =
        fleets.iter().map(|fleet| Packed::new(fleet, timers.credit, now)).collect();
    let mut need = Need::default();
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
        let placed = pack_class(&mut packed, classes.get(class), considered);
        need.classes.push(ClassNeed { class, considered, unplaced: considered - placed });
    }
    need.pools = packed.iter().map(Packed::need).collect();
    need
}

fn credited(fleet: &Fleet, credit: Credit) -> u32 {
    match credit {
        Credit::UntilUsable => fleet.in_flight(),
        Credit::UntilReady => fleet.provisioning,
    }
}

fn nothing_waits(fleet: &Fleet, credit: Credit) -> PoolNeed {
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
fn pack_class(packed: &mut [Packed<'_>], class: &Class, units: u32) -> u32 {
    for placed in 0..units {
        let on_existing = class
            .pools
            .iter()
            .any(|&pool| packed[pool as usize].bins.place_all(&class.bare_parts[pool as usize]));
        let found = on_existing
            || class
                .pools
                .iter()
                .any(|&pool| packed[pool as usize].grow_for(&class.bare_parts[pool as usize]));
        if !found {
            return placed;
        }
    }
    units
}

impl<'a> Packed<'a> {
    fn new(fleet: &'a Fleet, credit: Credit, now: Timestamp) -> Self {
        let mut bins = if fleet.is_simple {
            Bins::Levels(fleet.by_free.iter().map(|nodes| nodes.len() as u32).collect())
        } else {
            Bins::Rooms(fleet.rooms().cloned().collect())
        };
        bins.add(&fleet.empty_node, credited(fleet, credit));
        let below_max = fleet.pool.max_nodes.map_or(u32::MAX, |m| m.saturating_sub(fleet.alive()));
        let growth = if fleet.can_grow(now) { below_max } else { 0 };
        Self { fleet, bins, new_nodes: 0, growth }
    }

    /// Adds as many new nodes as the parts need, or none if the pool may not grow that far.
    fn grow_for(&mut self, parts: &[crate::packing::Part]) -> bool {
        let most = (parts.len() as u32).min(self.growth - self.new_nodes);
        let before = self.bins.checkpoint();
        for added in 1..=most {
            self.bins.add(&self.fleet.empty_node, 1);
            if self.bins.place_all(parts) {
                self.new_nodes += added;
                return true;
            }
        }
        self.bins.restore(before);
        false
    }

    fn need(&self) -> PoolNeed {
        PoolNeed {
            firm_nodes: self.new_nodes,
            spare_milli: self.bins.free_milli(),
            spare_nodes: self.bins.empty_nodes(&self.fleet.empty_node),
        }
    }
}
