//! Nodes by stage, and what the lead time of the pool is by now.

use super::{decision::Observed, memory::PoolMemory, settings::PoolSettings};
use crate::{
    guard::{ledger::Ledger, shadow::Shadow},
    model::{MAX_NODES, NodeStage, PoolSnapshot},
    selector::DAY,
    time::{Millis, Timestamp},
};

/// What was seen of a pool, and what follows from it at once.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) observed: Observed,
    /// By node: takes too long to be counted on.
    pub(super) stuck: Vec<bool>,
    /// Nodes that may be added for waiting work.
    pub(super) growth: u32,
    /// Cost of a waiting GPU-hour over the price of a GPU-hour.
    pub(super) kappa: f64,
}

/// Looks at a pool, of which the picture is `age` old, and learns its lead time.
///
/// What was asked for since the picture was taken is on its way although it is not in it, and how long a
/// node takes is judged by the instant of the picture: otherwise whoever is blind would buy twice.
pub(super) fn observe(
    now: Timestamp,
    age: Millis,
    told: &PoolSnapshot,
    settings: &PoolSettings,
    memory: &mut PoolMemory,
) -> Seen {
    let kept = &mut memory.kept;
    if kept.started.is_none() {
        kept.started = Some(now);
        kept.next_day = now + DAY;
        kept.shadow = Shadow::new(now);
        kept.ledger = Ledger::new(now, settings.ledger);
    }
    let usable_before = memory.lead.became_usable(&told.nodes);
    if told.was_refused {
        kept.back_off.failed(now);
    } else if usable_before {
        kept.back_off.succeeded();
    }
    let is_open = !kept.back_off.blocks(now);
    let seen_at = now - age.max(Millis::ZERO);
    kept.flights.observe(&told.nodes, seen_at, told.was_refused);
    let (unseen_nodes, _) = kept.flights.unseen();
    memory.lead.observe(seen_at, &told.nodes);
    let is_stuck = |node| memory.lead.is_stuck(seen_at, node);
    let stuck: Vec<bool> = told.nodes.iter().map(is_stuck).collect();
    let lead = memory.lead.times();
    let median = lead.quantile(0.5);
    let (ready_mean, ready_p05) = memory.lead.ready_within_median(seen_at, median);
    let in_stage = |stage| told.nodes.iter().filter(|node| node.stage == stage).count() as u32;
    let alive = (told.nodes.len() as u32).saturating_add(unseen_nodes);
    let below_max = settings.pool.max_nodes.unwrap_or(MAX_NODES).saturating_sub(alive);
    let observed = Observed {
        usable_nodes: in_stage(NodeStage::Usable),
        idle_nodes: told.nodes.iter().filter(|node| node.idle_since.is_some()).count() as u32,
        requested_nodes: in_stage(NodeStage::Requested),
        warming_nodes: in_stage(NodeStage::Warming),
        stuck_nodes: stuck.iter().filter(|stuck| **stuck).count() as u32,
        unseen_nodes,
        running_milli: told.running_milli,
        waiting_milli: 0,
        lead_median: median,
        lead_p90: lead.quantile(0.9),
        ready_mean,
        ready_p05,
    };
    let kappa = memory.kept.mix.kappa(settings);
    Seen { observed, stuck, growth: if is_open { below_max } else { 0 }, kappa }
}
