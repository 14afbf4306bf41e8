//! A pool: a MachineDeployment of equal GPU nodes, with its price, limits and way of coming up.

use super::NVIDIA_GPU;
use crate::time::{Millis, Timestamp};

use serde::{Deserialize, Serialize};

/// Most devices a node can have (a whole node of MIG slices has 56): which of them a job shares is
/// remembered in a mask of so many bits.
pub const MAX_DEVICES: u32 = 128;

/// Most nodes that can be asked for as the minimum or the maximum of a pool.
pub const MAX_NODES: u32 = 1_000_000;

/// A span that is fixed or drawn anew for each node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageTime {
    /// Mean of the draw.
    pub mean: Millis,
    /// Coefficient of variation of a log-normal draw; 0 = always the mean.
    pub cv: f64,
}

impl StageTime {
    /// Always `mean`.
    pub const fn fixed(mean: Millis) -> Self {
        Self { mean, cv: 0.0 }
    }
}

/// From the request of a node to its first usable GPU, in two stages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeadTime {
    /// Request until the node is Ready (its GPUs are not).
    pub provisioning: StageTime,
    /// Node Ready until its GPUs are allocatable (driver, device plugin).
    pub warm_up: StageTime,
}

impl LeadTime {
    /// Sum of the mean stages.
    pub fn mean(&self) -> Millis {
        self.provisioning.mean + self.warm_up.mean
    }
}

impl Default for LeadTime {
    /// 5 minutes to boot, 4 more for the driver.
    fn default() -> Self {
        Self {
            provisioning: StageTime::fixed(Millis::from_secs(300)),
            warm_up: StageTime::fixed(Millis::from_secs(240)),
        }
    }
}

/// From `from` until `until` (exclusive) the provider lets the pool have at most `nodes` nodes; a
/// request beyond that is refused at once and costs nothing. `nodes == 0` is a stock-out. Nodes that
/// exist stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplyLimit {
    /// First instant of the window.
    pub from: Timestamp,
    /// End of the window, exclusive.
    pub until: Timestamp,
    /// Most nodes the pool can have while it grows within the window.
    pub nodes: u32,
}

/// A pool of equal nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Unique name.
    pub name: String,
    /// Devices per node, at least 1.
    pub gpus_per_node: u32,
    /// What the devices are asked under.
    pub resource: String,
    /// GPU model, empty = unspecified (matches every constraint).
    pub gpu_model: String,
    /// Allocatable milli-CPU of a node; `None` = never the bottleneck.
    pub cpu_milli: Option<u32>,
    /// Allocatable MiB of a node; `None` = never the bottleneck.
    pub memory_mib: Option<u32>,
    /// Node labels, sorted by key.
    pub labels: Vec<(String, String)>,
    /// Price of a node-hour; 1 = the unit all costs are given in.
    pub price: f64,
    /// Nodes that are always kept.
    pub min_nodes: u32,
    /// Most nodes, `None` = no maximum.
    pub max_nodes: Option<u32>,
    /// How long nodes take to come up.
    pub lead_time: LeadTime,
    /// From the decision to remove a node until it is gone and no longer billed.
    pub drain: Millis,
    /// Share of creations that fail (0..1), found out when the node should have been Ready; billed
    /// until then.
    pub failure_rate: f64,
    /// Windows of limited supply, ordered, not overlapping.
    pub supply: Vec<SupplyLimit>,
}

impl Pool {
    /// A pool without maximum, constraint or fault; price 1 and the default lead time.
    pub fn new(name: impl Into<String>, gpus_per_node: u32) -> Self {
        Self {
            name: name.into(),
            gpus_per_node,
            resource: NVIDIA_GPU.to_owned(),
            gpu_model: String::new(),
            cpu_milli: None,
            memory_mib: None,
            labels: Vec::new(),
            price: 1.0,
            min_nodes: 0,
            max_nodes: None,
            lead_time: LeadTime::default(),
            drain: Millis::ZERO,
            failure_rate: 0.0,
            supply: Vec::new(),
        }
    }

    /// Nodes the provider lets the pool have at `now`, `None` = as many as wanted.
    pub fn supply_at(&self, now: Timestamp) -> Option<u32> {
        let next = self.supply.partition_point(|limit| limit.until <= now);
        self.supply.get(next).filter(|limit| limit.from <= now).map(|limit| limit.nodes)
    }
}
