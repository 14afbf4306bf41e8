//! What the index hands to the controller at one instant: the engine's snapshot and settings, and beside
//! them whatever is needed to carry a decision out and to tell people about it.

use super::gpu_pool::GpuPoolSpec;
use crate::{
    engine::Settings,
    model::{
        NodeId, Snapshot,
        object::{Machine, MachineDeployment},
    },
    readiness::Readiness,
    time::{Millis, Timestamp},
};
use std::sync::Arc;

/// Everything about one instant.
#[derive(Clone, Debug)]
pub struct Look {
    /// For the engine.
    pub snapshot: Snapshot,
    /// For the engine, pools in the order of `snapshot.pools`.
    pub settings: Settings,
    /// Beside each pool of the snapshot.
    pub pools: Vec<PoolLook>,
    /// Pods that are demand and have no node, oldest first.
    pub waiting: Vec<WaitingPod>,
    /// Pods that have their node and still carry a scale-up delay of ours.
    pub delayed_pods: Vec<WaitingPod>,
    /// Nodes with a mark of ours (hold, cordon, Machine marked for deletion) that are of no pool any more.
    pub stray_nodes: Vec<PoolNode>,
    /// MachineDeployments with a mark of ours (floor, pending holds) that are of no pool any more.
    pub stray_deployments: Vec<MachineDeployment>,
    /// What cluster-autoscaler says of itself.
    pub autoscaler: Autoscaler,
    /// Odd things that somebody should know of; one line each, no two the same.
    pub findings: Vec<Finding>,
}

/// One pool beside its part of the snapshot.
#[derive(Clone, Debug)]
pub struct PoolLook {
    /// Namespace and name of the GpuPool object (made or to be made).
    pub namespace: String,
    /// See `namespace`.
    pub name: String,
    /// The GpuPool exists in the cluster; otherwise it was discovered and is to be made.
    pub exists: bool,
    /// uid of the GpuPool object, empty until it exists.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// Its settings, defaults filled in.
    pub spec: GpuPoolSpec,
    /// What it scales; `None` = not found.
    pub target: Option<Target>,
    /// All nodes and machines of the pool, also those being removed, ordered by `id`.
    pub nodes: Vec<PoolNode>,
    /// Whole GPUs that pods waiting for this pool first ask for.
    pub pending_gpus: u64,
}

/// The MachineDeployment of a pool and what stands against writing to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The object.
    pub deployment: MachineDeployment,
    /// Node group limits of cluster-autoscaler: (min, max); `None` = not one of its groups.
    pub autoscaler_limits: Option<(u32, u32)>,
    /// An annotation that cluster-autoscaler cannot parse, or min above max.
    pub annotation_fault: Option<String>,
    /// An older MachineSet still has replicas.
    pub is_rolling_out: bool,
    /// A Cluster topology owns the replicas (label `topology.cluster.x-k8s.io/owned`).
    pub is_topology_owned: bool,
}

/// A node of a pool on its way, in use, or going.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "marks, each there or not")]
pub struct PoolNode {
    /// As in the snapshot; stable for as long as the controller runs.
    pub id: NodeId,
    /// The Machine, if there is one.
    pub machine: Option<Arc<Machine>>,
    /// Name of the Node, once registered.
    pub node: Option<String>,
    /// `resourceVersion` of the Node.
    pub node_version: String,
    /// How far it has come.
    pub readiness: Readiness,
    /// When cluster-autoscaler may remove it again: our hold's expiry, as written on the Node.
    pub hold_until: Option<Timestamp>,
    /// The decision that held it, as written on the Node; it stays there when the hold has ended.
    pub hold_decision: Option<String>,
    /// The Node was touched by us so that kube-scheduler asks again; that stays there too.
    pub is_touched: bool,
    /// The Node has cluster-autoscaler's `scale-down-disabled: "true"`.
    pub is_scale_down_disabled: bool,
    /// Cordoned by anybody (`spec.unschedulable`).
    pub is_unschedulable: bool,
    /// Cordoned by us (our annotation says so).
    pub is_cordoned_by_us: bool,
    /// Pods on it that are not of a DaemonSet, mirror pods or finished; for the check before a removal.
    pub pods: u32,
}

/// A pod without a node.
#[derive(Clone, Debug)]
pub struct WaitingPod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// `resourceVersion`.
    pub resource_version: String,
    /// When it was made.
    pub created: Timestamp,
    /// Index of the pool it would be served by first; `None` = fits none.
    pub pool: Option<usize>,
    /// GPUs, in thousandths.
    pub gpu_milli: u64,
    /// `cluster-autoscaler.kubernetes.io/pod-scale-up-delay`, if it has one.
    pub scale_up_delay: Option<String>,
    /// Our annotation that says we wrote the delay.
    pub is_delay_ours: bool,
}

/// cluster-autoscaler as its status ConfigMap shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Autoscaler {
    /// No ConfigMap: not there, or ended in good order.
    #[default]
    Absent,
    /// It wrote its status last at `at`.
    Running {
        /// `time` of the status.
        at: Timestamp,
        /// By node group id (`MachineDeployment/ns/name`): it has a request of its own under way.
        requests: Vec<String>,
        /// Groups in back-off.
        backed_off: Vec<String>,
    },
    /// Its status cannot be read.
    Unreadable(String),
}

/// Something odd in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Which pool it is about; `None` = the cluster.
    pub pool: Option<usize>,
    /// One word for conditions and metrics: `BadAnnotation`, `UnknownResource`, ...
    pub reason: &'static str,
    /// What is wrong with which object and field, and what to do.
    pub message: String,
}

/// How long a picture may be old before it counts as stale.
pub const STALE_AFTER: Millis = Millis::from_secs(60);
