//! How far a GPU node has come, by what its objects show.
//!
//! The rule counts devices: a node is usable when as many GPUs are allocatable as a node of its pool has,
//! whatever its labels say. Source of the stages: NVIDIA GPU operator (order of its operands), Kubernetes
//! device plugins (`status.allocatable`), Cluster API (Machine phases).

use serde::{Deserialize, Serialize};

/// How far a GPU node has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Readiness {
    /// Replicas were raised; no Machine is there yet.
    #[default]
    Requested,
    /// A Machine is there, its node has not registered.
    Provisioning,
    /// The Node is there and not Ready.
    Registered,
    /// The Node is Ready; nothing shows that a driver is being installed.
    KubeReady,
    /// The Node is Ready and GPU software is being installed.
    DriverInstalling,
    /// Some of its GPUs are allocatable.
    Partial {
        /// So many.
        gpus: u32,
        /// Of so many.
        of: u32,
    },
    /// All GPUs are allocatable.
    Allocatable,
    /// All GPUs are allocatable and the operator's validator has passed.
    Validated,
    /// GPUs are gone for a while: the driver is being upgraded.
    Upgrading,
    /// GPUs are gone for a while: they are being partitioned anew.
    Repartitioning,
    /// Ready once, and some GPUs are gone for no known reason.
    Degraded {
        /// So many are left.
        gpus: u32,
        /// Of so many.
        of: u32,
    },
    /// It is being removed.
    Leaving,
    /// It will not come.
    Failed(String),
}
