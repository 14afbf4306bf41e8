//! What is asked for, what is planned, what is refused and why.

use super::write::Write;
use crate::{model::NodeId, time::Millis};
use std::fmt;

/// Which decision a write belongs to; written into annotations, Events and the decision log.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecisionId {
    /// Rises with every decision.
    pub counter: u64,
    /// A few letters that tell decisions of different processes apart; letters, digits and `-` only.
    pub digest: String,
}

impl fmt::Display for DecisionId {
    /// `17-ab12cd34`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.counter, self.digest)
    }
}

/// What the engine decided, as far as it is to be carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Of the decision.
    pub id: DecisionId,
    /// In the order of the look's pools.
    pub pools: Vec<PoolOrders>,
}

/// Orders for one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolOrders {
    /// Nodes to request.
    pub create: u32,
    /// Nodes that are to go.
    pub remove: Vec<NodeId>,
    /// For how long after the lead time new nodes are kept from cluster-autoscaler.
    pub hold: Millis,
    /// 90 % quantile of the lead time.
    pub lead_p90: Millis,
}

impl PoolOrders {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.create == 0 && self.remove.is_empty()
    }
}

/// How far writing goes: the kill switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// Nothing is written, nothing is taken back.
    Off,
    /// Writes are told and not sent.
    DryRun,
    /// Writes are sent.
    #[default]
    Active,
}

/// Settings of all pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActuationSettings {
    /// See [`Position`].
    pub switch: Position,
    /// Group of Cluster API and prefix of its annotations, `cluster.x-k8s.io`.
    pub group: String,
    /// Kind of what is scaled, as in cluster-autoscaler's names of node groups.
    pub scalable: String,
    /// cluster-autoscaler runs with `--enforce-node-group-min-size=true`: a raised min-size makes it buy.
    /// Only then does `Auto` choose `Floor`.
    pub floor_enforced: bool,
    /// Waiting pods that nodes are coming for are hidden from cluster-autoscaler (`pod-scale-up-delay`).
    pub delay_pods: bool,
    /// Added to the 90 % quantile of the lead time before cluster-autoscaler may look at a pod again.
    pub margin: Millis,
    /// cluster-autoscaler has so long to act on a floor; then `/scale` is patched.
    pub floor_fallback: Millis,
    /// A floor above the registered nodes for so long goes down again, well before the 15 minutes after which
    /// it would stop cluster-autoscaler for all groups.
    pub floor_freeze: Millis,
    /// A status of cluster-autoscaler older than this counts as no cluster-autoscaler.
    pub autoscaler_silent: Millis,
    /// Pods written to in one plan; the rest has its turn at the next look.
    pub most_pods: usize,
}

impl Default for ActuationSettings {
    fn default() -> Self {
        Self {
            switch: Position::Active,
            group: "cluster.x-k8s.io".to_owned(),
            scalable: "MachineDeployment".to_owned(),
            floor_enforced: false,
            delay_pods: true,
            margin: Millis::from_secs(60),
            floor_fallback: Millis::from_secs(60),
            floor_freeze: Millis::from_mins(10),
            autoscaler_silent: Millis::from_mins(10),
            most_pods: 200,
        }
    }
}

/// What to write, in order, and what is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Of the decision this carries out.
    pub id: DecisionId,
    /// In order.
    pub writes: Vec<Step>,
    /// For conditions and Events.
    pub refusals: Vec<Refusal>,
}

/// One write and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Index of the pool; `None` = of no pool any more.
    pub pool: Option<usize>,
    /// The write.
    pub write: Write,
}

impl Plan {
    /// Nothing yet.
    pub fn new(id: DecisionId) -> Self {
        Self { id, ..Self::default() }
    }

    pub(super) fn add(&mut self, pool: Option<usize>, write: Option<Write>) {
        self.writes.extend(write.map(|write| Step { pool, write }));
    }

    pub(super) fn refuse(
        &mut self,
        pool: Option<usize>,
        reason: Reason,
        message: impl Into<String>,
    ) {
        self.refusals.push(Refusal { pool, reason, message: message.into() });
    }
}

/// Something that was not done, or that somebody should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which pool; `None` = all.
    pub pool: Option<usize>,
    /// One word.
    pub reason: Reason,
    /// A sentence for people: what, why, what to do.
    pub message: String,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Why something was not done, in one word for conditions and metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name),* }

        impl Reason {
            /// The word.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

reasons! {
    /// The kill switch is off.
    SwitchedOff,
    /// Nothing is sent.
    DryRun,
    /// The view of the cluster is too old to write on.
    StaleLook,
    /// The pool's mode is not `Active`.
    NotActive,
    /// The pool has no MachineDeployment.
    TargetMissing,
    /// The MachineDeployment is being deleted.
    Deleting,
    /// The MachineDeployment is paused.
    Paused,
    /// An older MachineSet still has replicas.
    RollingOut,
    /// A Cluster topology sets the replicas and would revert us.
    TopologyOwned,
    /// `spec.replicas` is not set.
    NoReplicas,
    /// An annotation of this group cannot be read by cluster-autoscaler.
    BadAnnotation,
    /// No more nodes than the maximum.
    AtMaximum,
    /// No fewer nodes than the minimum.
    AtMinimum,
    /// cluster-autoscaler may buy nodes for pods that nodes are coming for. Told; nothing is refused.
    AutoscalerMayBuyAgain,
    /// `Floor` was asked for and cannot be used now; `Replicas` is. Told; nothing is refused.
    FloorNotUsed,
    /// cluster-autoscaler is to remove nodes and is not there.
    NobodyRemoves,
    /// Somebody else keeps this node.
    HeldByOthers,
}

impl Reason {
    /// Only told: what was ordered is done nevertheless.
    pub const fn is_notice(self) -> bool {
        matches!(self, Self::AutoscalerMayBuyAgain | Self::FloorNotUsed)
    }
}
