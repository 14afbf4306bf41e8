//! News of objects.

use crate::{
    extender::Namespace,
    live::{look::Autoscaler, objects::PoolObject},
    model::object::{
        Machine, MachineDeployment, MachineSet, Node, Pod, PriorityClass, ResourceSlice,
    },
};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named as in the API")]
pub enum Kind {
    Pod,
    Node,
    MachineDeployment,
    MachineSet,
    Machine,
    PriorityClass,
    GpuPool,
    ResourceSlice,
    /// The ConfigMap of cluster-autoscaler.
    Autoscaler,
    /// For the extender alone.
    Namespace,
}

impl Kind {
    /// All that the index needs.
    pub const ALL: [Self; 9] = [
        Self::Pod,
        Self::Node,
        Self::MachineDeployment,
        Self::MachineSet,
        Self::Machine,
        Self::PriorityClass,
        Self::GpuPool,
        Self::ResourceSlice,
        Self::Autoscaler,
    ];
}

impl Kind {
    /// Its name, for messages and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Node => "Node",
            Self::MachineDeployment => "MachineDeployment",
            Self::MachineSet => "MachineSet",
            Self::Machine => "Machine",
            Self::PriorityClass => "PriorityClass",
            Self::GpuPool => "GpuPool",
            Self::ResourceSlice => "ResourceSlice",
            Self::Autoscaler => "Autoscaler",
            Self::Namespace => "Namespace",
        }
    }
}

/// News of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A pod is there, or is another.
    Pod(Box<Pod>),
    /// A pod is gone.
    PodGone {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// Uid; news about an older pod of that name is left alone. Empty = whichever.
        uid: String,
    },
    /// See above.
    Node(Box<Node>),
    /// See above.
    MachineDeployment(Box<MachineDeployment>),
    /// See above.
    MachineSet(Box<MachineSet>),
    /// See above.
    Machine(Box<Machine>),
    /// See above.
    PriorityClass(PriorityClass),
    /// See above.
    Pool(Box<PoolObject>),
    /// See above.
    Slice(Box<ResourceSlice>),
    /// Its ConfigMap, [`Autoscaler::Absent`] when it is gone.
    Autoscaler(Autoscaler),
    /// What it says about GPU nodes. The index has no use for it.
    Namespace(Box<Namespace>),
    /// An object of another kind than `Pod` is gone.
    Gone {
        /// Which kind.
        kind: Kind,
        /// `namespace/name`, or the name alone.
        key: String,
    },
    /// A list begins: what is not told again until it is complete is gone.
    Restarted(Kind),
    /// The list is complete.
    Synced(Kind),
}

impl Event {
    /// Of which kind it tells.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Pod(_) | Self::PodGone { .. } => Kind::Pod,
            Self::Node(_) => Kind::Node,
            Self::MachineDeployment(_) => Kind::MachineDeployment,
            Self::MachineSet(_) => Kind::MachineSet,
            Self::Machine(_) => Kind::Machine,
            Self::PriorityClass(_) => Kind::PriorityClass,
            Self::Pool(_) => Kind::GpuPool,
            Self::Slice(_) => Kind::ResourceSlice,
            Self::Autoscaler(_) => Kind::Autoscaler,
            Self::Namespace(_) => Kind::Namespace,
            Self::Gone { kind, .. } | Self::Restarted(kind) | Self::Synced(kind) => *kind,
        }
    }
}
