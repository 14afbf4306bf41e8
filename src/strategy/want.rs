//! What a strategy sees and what it answers.

use crate::{
    model::{Arrival, Finish, Shape},
    packing::Fragments,
    time::{Millis, Timestamp},
};

/// How long a node on its way counts as capacity to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// Until its GPUs are usable: the truth.
    UntilUsable,
    /// Until it is Ready although its GPUs are not: the mistake that buys nodes twice.
    UntilReady,
}

/// Fixed properties of a strategy that the caller needs before it can build a [`PoolView`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Jobs younger than this are not yet counted as firm need.
    pub pending_age: Millis,
    /// How nodes on their way are counted.
    pub credit: Credit,
    /// Whether [`PoolView::fragments`] is looked at.
    pub fragments: bool,
}

impl Default for Timers {
    /// No artificial wait; warming nodes counted; no fragments.
    fn default() -> Self {
        Self { pending_age: Millis::ZERO, credit: Credit::UntilUsable, fragments: false }
    }
}

/// One pool as its strategy sees it. Nothing here knows the future.
#[derive(Clone, Debug)]
pub struct PoolView<'a> {
    /// The instant of the decision.
    pub now: Timestamp,
    /// Devices per node.
    pub gpus_per_node: u32,
    /// Mean time from request to usable GPUs.
    pub lead_time: Millis,
    /// Nodes that always stay.
    pub min_nodes: u32,
    /// Most nodes.
    pub max_nodes: Option<u32>,
    /// Nodes whose GPUs can be used.
    pub usable_nodes: u32,
    /// Usable nodes on which nothing runs.
    pub idle_nodes: u32,
    /// Nodes requested and not yet usable.
    pub in_flight_nodes: u32,
    /// Thousandths of GPUs in use.
    pub running_milli: u64,
    /// Thousandths of GPUs that waiting jobs ask of this pool.
    pub waiting_milli: u64,
    /// Integral of (running + waiting) over time since the start, in milli-GPU-milliseconds: the
    /// difference of two looks divided by the time between them is the exact mean demand.
    pub demand_integral: i128,
    /// Nodes that the waiting jobs need beyond everything that exists or is on its way (credited as
    /// [`Timers::credit`] says).
    pub firm_nodes: u32,
    /// Free thousandths of GPUs once all waiting jobs have found their place on usable nodes, nodes
    /// on their way and `firm_nodes` new ones.
    pub spare_milli: u64,
    /// Whole empty nodes among `spare_milli`.
    pub spare_nodes: u32,
    /// What of `spare_milli` is not on empty nodes. Nothing for a strategy that did not ask for it
    /// ([`Timers::fragments`]).
    pub fragments: &'a Fragments,
    /// Jobs submitted to this pool since the last look, in order; the first look also tells of those
    /// that were running already.
    pub arrivals: &'a [Arrival],
    /// Jobs of this pool that ended since the last look, in order.
    pub finishes: &'a [Finish],
    /// What shape ids stand for.
    pub shapes: &'a [Shape],
    /// When a node was last requested.
    pub last_create: Option<Timestamp>,
}

impl PoolView<'_> {
    /// Nodes that exist or are on their way.
    pub fn alive_nodes(&self) -> u32 {
        self.usable_nodes + self.in_flight_nodes
    }

    /// Nodes on which something runs or that waiting jobs need, those to be created included.
    pub fn needed_nodes(&self) -> u32 {
        (self.alive_nodes() + self.firm_nodes).saturating_sub(self.spare_nodes)
    }

    /// Demand in thousandths of a GPU: running and waiting.
    pub fn demand_milli(&self) -> u64 {
        self.running_milli.saturating_add(self.waiting_milli)
    }

    /// Thousandths of a GPU on one node.
    pub fn node_milli(&self) -> u64 {
        u64::from(self.gpus_per_node) * u64::from(crate::units::GPU_MILLI)
    }
}

/// What a strategy wants beyond what waiting jobs need anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// At least so many nodes, those on their way included.
    pub floor_nodes: u32,
    /// At least so much left over (in thousandths of a GPU) once waiting jobs are served.
    pub spare_milli: u64,
    /// At least so many whole empty nodes left over.
    pub spare_nodes: u32,
    /// Nodes are created up to `spare_milli`, but none goes below this; less than `spare_milli` means the
    /// same.
    pub keep_milli: u64,
    /// As `keep_milli`, in whole empty nodes.
    pub keep_nodes: u32,
    /// A node that ran nothing for this long goes, if floor and spare allow. [`Millis::MAX`] = no node
    /// goes.
    pub idle_timeout: Millis,
    /// At most so many nodes go in one look; if so many do, the next look follows at once.
    pub most_removals: u32,
    /// Look again at this instant even if nothing happens.
    pub wake_at: Timestamp,
}

impl Want {
    /// Only what waiting jobs need; idle nodes go after `idle_timeout`.
    pub const fn nothing(idle_timeout: Millis) -> Self {
        Self {
            floor_nodes: 0,
            spare_milli: 0,
            spare_nodes: 0,
            keep_milli: 0,
            keep_nodes: 0,
            idle_timeout,
            most_removals: u32::MAX,
            wake_at: Timestamp::NEVER,
        }
    }
}

/// A way to scale one pool.
///
/// `want` is called on the decision grid after every change and at the instants it asked for. It may
/// remember; it must not read a clock or draw random numbers.
pub trait Strategy: Send {
    /// Properties that do not change during a run.
    fn timers(&self) -> Timers {
        Timers::default()
    }

    /// What the pool should have now.
    fn want(&mut self, view: &PoolView<'_>) -> Want;
}

/// A pool at second 3600 in which nothing exists and nothing waits.
#[cfg(test)]
pub(crate) fn test_view() -> PoolView<'static> {
    PoolView {
        now: Timestamp::from_secs(3600),
        gpus_per_node: 8,
        lead_time: Millis::from_secs(540),
        min_nodes: 0,
        max_nodes: None,
        usable_nodes: 0,
        idle_nodes: 0,
        in_flight_nodes: 0,
        running_milli: 0,
        waiting_milli: 0,
        demand_integral: 0,
        firm_nodes: 0,
        spare_milli: 0,
        spare_nodes: 0,
        fragments: Fragments::none(),
        arrivals: &[],
        finishes: &[],
        shapes: &[],
        last_create: None,
    }
}
