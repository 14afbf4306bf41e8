//! What the decision engine sees of a cluster at one instant, and what it may ask for.
//!
//! Whoever builds a snapshot (the simulation kernel, the live controller) tells facts only; what follows
//! from them is the engine's business. Nothing here knows the future.

use super::{OwnerId, Shape, ShapeId};
use crate::{
    time::{Millis, Timestamp},
    units::is_mass,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A node, numbered in order of request: a lower number is an older node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NodeStage {
    /// Asked for, not Ready yet.
    Requested,
    /// Ready; of its GPUs none or not all are allocatable yet, whatever its labels say.
    Warming,
    /// All GPUs allocatable.
    Usable,
}

/// What of a node is not in use, counting only GPUs that are allocatable now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Free {
    /// Devices nobody uses.
    pub gpus: u32,
    /// What is left of each shared device, in thousandths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<u16>,
    /// Milli-CPU, `None` = never the bottleneck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_milli: Option<u32>,
    /// MiB, `None` = never the bottleneck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
}

/// One node of a pool that is not being removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSnapshot {
    /// Which.
    pub id: NodeId,
    /// How far it has come.
    pub stage: NodeStage,
    /// Since when it is in this stage.
    pub since: Timestamp,
    /// Allocatable GPUs: 0 while requested, up to the pool's GPUs per node.
    pub gpus: u32,
    /// What of it is not in use.
    pub free: Free,
    /// Since when nothing runs on it; `None` = something does, or it is not usable yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Timestamp>,
}

/// A job that was submitted to the pool since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Which job, unique within the pool.
    pub job: u32,
    /// When.
    pub at: Timestamp,
    /// What it asks for.
    pub shape: ShapeId,
    /// Who.
    pub owner: OwnerId,
    /// Demand in thousandths of a GPU, all workers together.
    pub gpu_milli: u64,
    /// It ran already when it was first seen.
    #[serde(default)]
    pub is_running: bool,
}

/// A job of the pool that ended since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// Which job.
    pub job: u32,
    /// When it had started.
    pub started: Timestamp,
    /// When it ended.
    pub at: Timestamp,
}

/// Waiting units that are interchangeable: single jobs of one shape, or gangs of equal make-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Shapes of the jobs of one unit, sorted; one for a job on its own. They start together.
    pub jobs: Vec<ShapeId>,
    /// How many.
    pub units: u32,
    /// When the oldest was submitted.
    pub oldest: Timestamp,
}

/// Work that a queue holds back and that has no pods yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// Shapes of the jobs of one unit, sorted.
    pub jobs: Vec<ShapeId>,
    /// How many.
    pub units: u32,
    /// Probability that it is admitted within a lead time, 0..=1; 1 for work that has its quota.
    pub chance: f64,
}

/// One coming occurrence of scheduled work, or of capacity that somebody scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Occurrence {
    /// When it starts.
    pub start: Timestamp,
    /// How long it is expected to last.
    pub duration: Millis,
    /// Nodes it fills.
    pub nodes: u32,
    /// Probability that it takes place, 0..=1.
    pub chance: f64,
}

/// The last answer to one of a pool's signals: metrics that move before jobs do. It stays until there is another
/// one; a query that fails leaves it, so that its age grows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Its name in the settings.
    pub name: String,
    /// When it was read.
    pub at: Timestamp,
    /// What was read.
    pub value: ReadValue,
}

/// What a signal said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum ReadValue {
    /// A number, not below zero.
    Units(f64),
    /// The query gave nothing.
    Absent,
    /// Not finite, below zero, beyond all measure, or more than one series.
    Absurd,
}

/// What a signal was before the look, at a fixed distance; told once, when its source is new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalPast {
    /// Its name in the settings.
    pub name: String,
    /// When the first value was.
    pub from: Timestamp,
    /// Time between two values.
    pub every: Millis,
    /// Values in order, where there was one.
    pub values: Vec<Option<f64>>,
}

impl ReadValue {
    /// What the samples of an instant query say: one, or none, is what there should be.
    pub fn of(samples: &[f64]) -> Self {
        match samples {
            [] => Self::Absent,
            &[units] if is_mass(units) => Self::Units(units),
            _ => Self::Absurd,
        }
    }

    /// The number, if it is one that can be.
    pub fn units(self) -> Option<f64> {
        match self {
            Self::Units(units) if is_mass(units) => Some(units),
            _ => None,
        }
    }
}

/// One pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolSnapshot {
    /// All nodes that are not being removed, by id.
    pub nodes: Vec<NodeSnapshot>,
    /// Thousandths of GPUs in use.
    pub running_milli: u64,
    /// Jobs submitted to this pool since the last look, in order.
    pub arrivals: Vec<Arrival>,
    /// Jobs of this pool that ended since the last look, in order.
    pub finishes: Vec<Finish>,
    /// The provider refused a node, or one failed, since the last look.
    #[serde(default, skip_serializing_if = "is_false")]
    pub was_refused: bool,
    /// Work without pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queued: Vec<Queued>,
    /// Scheduled work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheduled: Vec<Occurrence>,
    /// The last answer to each outside signal; names that the settings do not know are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<Reading>,
    /// What signals were before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signal_pasts: Vec<SignalPast>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How fresh what is seen is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Age of the view of pods and nodes.
    pub view_age: Millis,
    /// Writes or reads of the API fail.
    pub api_fails: bool,
}

/// The cluster at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Pools in order of preference, as in the settings.
    pub pools: Vec<PoolSnapshot>,
    /// What waits, in the order in which it is served.
    pub waiting: Vec<Waiting>,
    /// What shape ids stand for. Ids keep their meaning from look to look; new ones are appended.
    pub shapes: Arc<[Shape]>,
    /// How fresh all this is.
    pub sight: Sight,
    /// Replays that were asked for by an earlier decision and are done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<ReplayedDay>,
}

/// What the engine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Request nodes of a pool (index into the settings).
    Create {
        /// Which pool.
        pool: u32,
        /// How many.
        nodes: u32,
    },
    /// Remove a usable node on which nothing runs.
    Remove {
        /// Which pool.
        pool: u32,
        /// Which node.
        node: NodeId,
    },
}

/// What a candidate strategy would have cost on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DayCost {
    /// Nodes, from request to termination.
    pub node_hours: f64,
    /// GPUs that waiting jobs asked for.
    pub waiting_gpu_hours: f64,
}

/// A day of a pool lived again with each candidate strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayedDay {
    /// Index of the pool.
    pub pool: u32,
    /// When the day ended.
    pub ends: Timestamp,
    /// By candidate.
    pub costs: Vec<DayCost>,
}
