//! A Pod.

use super::{Meta, Resources, Strings, node::Effect};
use crate::time::Timestamp;

/// Phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named as in the API")]
pub enum PodPhase {
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

/// Why a pending pod has no node, by its condition `PodScheduled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unscheduled {
    /// The scheduler has not looked at it yet.
    NotSeen,
    /// No node fits; the scheduler's message.
    Unschedulable(String),
    /// It waits for scheduling gates to be removed.
    Gated,
    /// Something went wrong while scheduling it.
    SchedulerError(String),
}

/// One of the pod's tolerations.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Toleration {
    /// Key; empty with `exists` tolerates everything.
    pub key: String,
    /// `operator: Exists` (any value) instead of `Equal`.
    pub exists: bool,
    /// Value, for `Equal`.
    pub value: String,
    /// `None` = all effects.
    pub effect: Option<Effect>,
}

/// The group a pod starts with: all or none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gang {
    /// Unique within the namespace.
    pub name: String,
    /// Members needed for a start, if the pod tells.
    pub min_members: Option<u32>,
}

/// A Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Metadata.
    pub meta: Meta,
    /// Phase.
    pub phase: PodPhase,
    /// Its node, once bound.
    pub node: Option<String>,
    /// The node the scheduler is clearing for it.
    pub nominated_node: Option<String>,
    /// Why it has no node; `None` once it has one.
    pub unscheduled: Option<Unscheduled>,
    /// What it asks for: the larger of the sum of its containers and each init container (with sidecars as
    /// the scheduler counts them), plus overhead.
    pub requests: Resources,
    /// Names of its ResourceClaims (DRA), with the device count asked for where the pod tells.
    pub claims: Vec<String>,
    /// `spec.nodeSelector` and required node affinity terms that are plain `key In [value]`.
    pub node_selector: Strings,
    /// Acceptable GPU models, from the selector or affinity on product and accelerator labels; empty = any.
    pub gpu_models: Vec<String>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Higher goes first.
    pub priority: i32,
    /// Name of its priority class.
    pub priority_class: String,
    /// Whose scheduler it is.
    pub scheduler: String,
    /// The group it starts with.
    pub gang: Option<Gang>,
    /// When it was bound to its node.
    pub scheduled_at: Option<Timestamp>,
    /// When its containers started (`status.startTime` where nothing better is known).
    pub started_at: Option<Timestamp>,
    /// When the last container ended.
    pub finished_at: Option<Timestamp>,
}
