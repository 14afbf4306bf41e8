//! What a run leaves behind: when each job started, how long each node lived, what waiting was for.

use crate::time::{Millis, Timestamp};

/// One node from request to termination. Instants that were not reached are [`Timestamp::NEVER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLife {
    /// Index of its pool.
    pub pool: u32,
    /// Billing starts.
    pub requested: Timestamp,
    /// Node Ready, GPUs not yet.
    pub ready: Timestamp,
    /// GPUs usable.
    pub usable: Timestamp,
    /// Removal decided; nothing starts here any more.
    pub drained: Timestamp,
    /// Billing ends.
    pub gone: Timestamp,
    /// Something ran on it.
    pub used: bool,
    /// It never came up.
    pub failed: bool,
}

/// Why a job waits at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitCause {
    /// Its nodes are on their way.
    Lead,
    /// Enough GPUs are free, but not in one place.
    Fragmentation,
    /// Its pools have their maximum of nodes.
    Max,
    /// The provider has no nodes.
    StockOut,
    /// Nothing has been asked for yet: the strategy has not looked, or waits on purpose.
    Undecided,
    /// No pool can ever run it, or its gang is incomplete.
    Unplaceable,
}

impl WaitCause {
    /// All causes, in the order of [`Causes`].
    pub const ALL: [Self; 6] = [
        Self::Lead,
        Self::Fragmentation,
        Self::Max,
        Self::StockOut,
        Self::Undecided,
        Self::Unplaceable,
    ];

    /// Stable key for reports.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Fragmentation => "fragmentation",
            Self::Max => "max",
            Self::StockOut => "stock_out",
            Self::Undecided => "undecided",
            Self::Unplaceable => "unplaceable",
        }
    }
}

/// Waiting by cause, in milli-GPU-milliseconds, indexed as [`WaitCause::ALL`]. Only the waiting of
/// jobs submitted in the scored window counts, so the sum is the total waiting of the score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes(pub [i128; 6]);

impl Causes {
    /// Adds waiting to a cause.
    pub fn add(&mut self, cause: WaitCause, milli_gpu_ms: i128) {
        self.0[cause as usize] += milli_gpu_ms;
    }

    /// Waiting of one cause.
    pub fn get(&self, cause: WaitCause) -> i128 {
        self.0[cause as usize]
    }
}

/// Counts of one pool over the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolTotals {
    /// Requests the provider refused.
    pub refused: u64,
    /// Most nodes at one time.
    pub peak_nodes: u32,
}

/// Means over equal bins of time, for plots. All vectors have one entry per bin, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Width of a bin.
    pub bin: Millis,
    /// Demand in GPUs: running and waiting.
    pub demand_gpus: Vec<f32>,
    /// GPUs on usable nodes.
    pub usable_gpus: Vec<f32>,
    /// GPUs on nodes that are on their way (provisioning or warming).
    pub warming_gpus: Vec<f32>,
    /// GPUs that waiting jobs ask for.
    pub waiting_gpus: Vec<f32>,
}

/// All that a run leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Start of each job of the trace, [`Timestamp::NEVER`] = did not start.
    pub starts: Vec<Timestamp>,
    /// Every node, in order of request.
    pub nodes: Vec<NodeLife>,
    /// What waiting was for.
    pub causes: Causes,
    /// Counts by pool.
    pub pools: Vec<PoolTotals>,
    /// Over time, if asked for.
    pub series: Option<Series>,
    /// Job starts, job ends and node transitions that were worked off.
    pub events: u64,
    /// Where the run ended: its planned end, or earlier if it was interrupted.
    pub ended_at: Timestamp,
    /// It was interrupted.
    pub is_partial: bool,
}
