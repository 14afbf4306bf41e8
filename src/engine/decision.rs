//! What was decided and why: one report per step and pool.

use super::{promise::Promised, signals::SignalReport};
use crate::{
    forecast::drift::Shift,
    guard::{
        ladder::{Cause, Rung},
        limits::Binding,
    },
    model::{Action, NodeId},
    time::{Millis, Timestamp},
};
use serde::{Deserialize, Serialize};

/// A decision about all pools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do, in order.
    pub actions: Vec<Action>,
    /// When to look again although nothing happens.
    pub wake_at: Timestamp,
    /// Why, by pool.
    pub why: Vec<PoolReport>,
    /// Pools of which a day is over and waits to be replayed.
    pub replays_due: Vec<u32>,
}

/// Every step about one pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolReport {
    /// What was seen.
    pub observed: Observed,
    /// What waiting work needs.
    pub firm: FirmNeed,
    /// Which strategy is followed.
    pub selected: Selected,
    /// What its forecast promised and kept, if it has one.
    #[serde(default)]
    pub promised: Option<Promised>,
    /// When the rate of arrivals was last found to have changed for good, and which way. Told, not acted
    /// upon: spells of busy and quiet hours look the same.
    #[serde(default)]
    pub drifted: Option<(Timestamp, Shift)>,
    /// Outside signals, in the order of the settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<SignalReport>,
    /// What is wanted beyond waiting work.
    pub speculative: Speculative,
    /// What the guards said.
    pub guarded: Guarded,
    /// What goes.
    pub scale_down: ScaleDown,
    /// Nodes to request.
    pub create: u32,
    /// Nodes the pool has once all this is done.
    pub target_nodes: u32,
}

/// What was seen of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Nodes with all GPUs allocatable.
    pub usable_nodes: u32,
    /// Of those, nodes on which nothing runs.
    pub idle_nodes: u32,
    /// Nodes asked for and not Ready.
    pub requested_nodes: u32,
    /// Nodes that are Ready without all their GPUs.
    pub warming_nodes: u32,
    /// Of the nodes on their way, those that take longer than 99 of 100: not counted on any more.
    pub stuck_nodes: u32,
    /// Nodes asked for since what is seen was seen: on their way, but not among those above.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unseen_nodes: u32,
    /// Thousandths of GPUs in use.
    pub running_milli: u64,
    /// Thousandths of GPUs that waiting work asks of this pool first.
    pub waiting_milli: u64,
    /// Median of the learned lead time.
    pub lead_median: Millis,
    /// Its 90 % quantile.
    pub lead_p90: Millis,
    /// Nodes on their way expected within the median lead time, failures considered.
    pub ready_mean: f64,
    /// How many of them come with 95 % certainty.
    pub ready_p05: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What waiting work needs beyond everything that exists or is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirmNeed {
    /// Nodes to ask for now.
    pub nodes: u32,
    /// Free thousandths of GPUs once all that waits has its place.
    pub spare_milli: u64,
    /// Whole empty nodes among them.
    pub spare_nodes: u32,
    /// Units for which no pool may grow.
    pub unplaced_units: u32,
}

/// Which strategy is followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selected {
    /// Index into the candidates.
    pub candidate: usize,
    /// Its name.
    pub name: String,
    /// Days of history that speak for it.
    pub days: usize,
    /// Cost of a waiting GPU-hour over the price of a GPU-hour, as the pool's jobs weigh it.
    pub kappa: f64,
}

/// What is wanted beyond waiting work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speculative {
    /// By the strategy: whole nodes to have spare.
    pub spare_nodes: u32,
    /// By the strategy: thousandths of GPUs to have spare.
    pub spare_milli: u64,
    /// By the strategy: nodes in all.
    pub floor_nodes: u32,
    /// By the schedule: nodes in all.
    pub scheduled_nodes: u32,
    /// By outside signals: whole nodes to have spare.
    pub signal_nodes: u32,
    /// Nodes to ask for ahead of demand, before the guards.
    pub wanted_nodes: u32,
}

/// What the guards said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guarded {
    /// How far what is seen and forecast is trusted.
    pub rung: Rung,
    /// Why not further.
    pub causes: Vec<Cause>,
    /// Nodes the shadow reactive controller has.
    pub shadow_nodes: u32,
    /// Nodes that run something, that waiting work is packed onto, or that are on their way for it.
    #[serde(default)]
    pub needed_nodes: u32,
    /// Node-milliseconds the ledger still holds.
    pub credit_node_ms: i128,
    /// Nodes that may be asked for ahead of demand.
    pub allowed_nodes: u32,
    /// Every limit that made a difference.
    pub bindings: Vec<Binding>,
}

/// What goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleDown {
    /// Nodes to remove.
    pub nodes: Vec<NodeId>,
    /// Idle for so long and not needed, a node goes.
    pub idle_timeout: Millis,
    /// How many of `nodes` go only because the ledger is used up.
    pub shed: u32,
}
