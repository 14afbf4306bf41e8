//! A job: one row of a trace, one pod or one set of equal workers.
//!
//! Everything that decides *where* and *in which order* a job can run is its [`Shape`]; jobs of equal
//! shape are interchangeable for the scheduler. A job is 32 bytes, so ten million fit in memory.

use crate::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// Index into [`super::Trace::shapes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShapeId(pub u32);

/// Index into [`super::Trace::owners`]; 0 is "unknown".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerId(pub u32);

/// Index into [`super::Trace::gangs`]; [`GangId::NONE`] for a job that starts on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GangId(pub u32);

/// Index into [`super::Trace::kinds`]; 0 is "no kind given", 1 is `preexisting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KindId(pub u32);

impl GangId {
    /// Not a member of a gang.
    pub const NONE: Self = Self(u32::MAX);
}

impl KindId {
    /// The row gave no kind.
    pub const NONE: Self = Self(0);
    /// The job was running at second 0.
    pub const PREEXISTING: Self = Self(1);
}

/// What one job asks for. `workers` equal workers start all or none.
///
/// A worker larger than a node of its pool takes whole nodes and a remainder on one more; its CPU and
/// memory are split in proportion to the GPUs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Higher goes first.
    pub priority: i32,
    /// Workers of this job; 1 unless it is a gang of equal workers in one row.
    pub workers: u32,
    /// GPU devices per worker, at least 1.
    pub gpus: u32,
    /// Share of each device in thousandths, 1..=1000; below 1000 the device is shared.
    pub gpu_milli: u16,
    /// Milli-CPU per worker, 0 = not stated (needs none).
    pub cpu_milli: u32,
    /// MiB per worker, 0 = not stated (needs none).
    pub memory_mib: u32,
    /// Extended resource the devices are asked under ([`super::NVIDIA_GPU`] or a MIG shape).
    pub resource: String,
    /// Acceptable GPU models, sorted; empty = any.
    pub gpu_models: Vec<String>,
    /// Labels a node must have, sorted by key.
    pub node_selector: Vec<(String, String)>,
}

impl Shape {
    /// One worker of `gpus` whole GPUs of any model.
    pub fn whole_gpus(gpus: u32) -> Self {
        Self {
            priority: 0,
            workers: 1,
            gpus,
            gpu_milli: 1000,
            cpu_milli: 0,
            memory_mib: 0,
            resource: super::NVIDIA_GPU.to_owned(),
            gpu_models: Vec::new(),
            node_selector: Vec::new(),
        }
    }

    /// Demand of all workers together in thousandths of a GPU.
    pub fn demand_milli(&self) -> u64 {
        let devices = u64::from(self.workers) * u64::from(self.gpus);
        devices.saturating_mul(u64::from(self.gpu_milli))
    }
}

/// One job of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// When it was submitted.
    pub submit: Timestamp,
    /// How long it runs once started, without waiting; more than zero.
    pub duration: Millis,
    /// What it asks for.
    pub shape: ShapeId,
    /// Who submitted it.
    pub owner: OwnerId,
    /// The gang it starts with, or [`GangId::NONE`].
    pub gang: GangId,
    /// Free text of the row; [`KindId::PREEXISTING`] changes its meaning.
    pub kind: KindId,
}

impl Job {
    /// Already running at second 0: initial state, not an arrival.
    pub fn is_preexisting(&self) -> bool {
        self.kind == KindId::PREEXISTING
    }
}

/// Rows that start together: none before `min_members` of them are submitted and all waiting members
/// fit at once; later members then start on their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gang {
    /// The row's `gang_id`.
    pub name: String,
    /// Members needed for a start, at least 1.
    pub min_members: u32,
}
