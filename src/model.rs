//! What a cluster and its demand *are*: jobs, gangs, shapes, pools. Plain data, no behaviour beyond
//! looking at itself, no file formats.

mod job;
pub mod object;
mod pool;
mod snapshot;
mod trace;

pub use job::{Gang, GangId, Job, KindId, OwnerId, Shape, ShapeId};
pub use pool::{LeadTime, MAX_DEVICES, MAX_NODES, Pool, StageTime, SupplyLimit};
pub use snapshot::{
    Action, Arrival, DayCost, Finish, Free, NodeId, NodeSnapshot, NodeStage, Occurrence,
    PoolSnapshot, Queued, ReadValue, Reading, ReplayedDay, Sight, SignalPast, Snapshot, Waiting,
};
pub use trace::{SkipReason, Trace, TraceBuilder};

/// The resource name of a whole NVIDIA GPU; MIG slices have names of their own
/// (`nvidia.com/mig-1g.10gb`).
pub const NVIDIA_GPU: &str = "nvidia.com/gpu";
