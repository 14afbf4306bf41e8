//! What the index is told once.

use crate::{
    live::objects::CapiKeys,
    model::{Shape, ShapeId},
};
use serde::{Deserialize, Serialize};

/// Settings of the index.
#[derive(Clone, Debug)]
pub struct IndexSettings {
    /// Names under the group of Cluster API in use.
    pub keys: CapiKeys,
    /// MachineDeployments with node group annotations and evidence of GPUs are pools without a `GpuPool`.
    pub discovery: bool,
    /// Most nodes of all pools together.
    pub max_nodes: Option<u32>,
    /// Pods below this priority are expendable: neither demand nor use. As cluster-autoscaler's
    /// `--expendable-pods-priority-cutoff`.
    pub expendable_below: i32,
    /// Numbers that a kept memory of the engine knows, so that they keep their meaning.
    pub seeds: Seeds,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            keys: CapiKeys::default(),
            discovery: true,
            max_nodes: None,
            expendable_below: -10,
            seeds: Seeds::default(),
        }
    }
}

/// Where numbering goes on after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeds {
    /// What shape ids stand for.
    pub shapes: Vec<Shape>,
    /// The next job.
    pub next_job: u32,
    /// The next node.
    pub next_node: u32,
    /// The next owner; 0 is nobody.
    pub next_owner: u32,
}

/// Numbers given to what is known of another time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// By place among its shapes.
    pub shapes: Vec<ShapeId>,
    /// The number of its job 0.
    pub first_job: u32,
    /// The number of its owner 0, whom nobody else has.
    pub first_owner: u32,
}
