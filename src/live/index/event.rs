//! News of objects.

use crate::{
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
}

impl Kind {
    /// All.
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
