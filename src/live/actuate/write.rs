//! Every write there is. What is not in this enum is never written.

use super::marks;
use crate::time::{Millis, Timestamp};
use std::fmt;

/// An object as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Empty for Nodes.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `resourceVersion` the decision was made on; the write is refused if it is another one by now.
    pub version: String,
}

/// One change of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Notes on the MachineDeployment which nodes are to be held; `None` = forget it.
    NoteHolds {
        /// The MachineDeployment.
        target: Object,
        /// See [`marks::Pending`].
        pending: Option<String>,
    },
    /// Changes the replicas of the MachineDeployment.
    Scale {
        /// The MachineDeployment.
        target: Object,
        /// Replicas before.
        from: u32,
        /// Replicas after.
        to: u32,
    },
    /// Raises or lowers cluster-autoscaler's min-size to a value above the user's.
    Floor {
        /// The MachineDeployment.
        target: Object,
        /// Min-size before.
        from: u32,
        /// Min-size after; never above the max-size.
        to: u32,
        /// The user's own min-size; `None` = there was none.
        user_min: Option<u32>,
        /// When it was raised.
        since: Timestamp,
        /// When it ends.
        until: Timestamp,
    },
    /// Gives the user's min-size back.
    FloorRestore {
        /// The MachineDeployment.
        target: Object,
        /// What becomes of the min-size.
        min: Restored,
    },
    /// Keeps cluster-autoscaler from removing a node.
    HoldNode {
        /// The Node.
        node: Object,
        /// When the hold ends.
        until: Timestamp,
        /// By which decision.
        decision: String,
    },
    /// Ends a hold of ours.
    ReleaseNode {
        /// The Node.
        node: Object,
        /// There is one; otherwise there is only something to forget.
        is_held: bool,
        /// Also forget that it was ever held or touched.
        forget: bool,
    },
    /// Hides a waiting pod from cluster-autoscaler until it has this age.
    DelayPod {
        /// The Pod.
        pod: Object,
        /// The age.
        delay: Millis,
        /// By which decision.
        decision: String,
    },
    /// Shows a pod to cluster-autoscaler again.
    UndelayPod {
        /// The Pod.
        pod: Object,
    },
    /// No new pods for a node that is to go.
    Cordon {
        /// The Node.
        node: Object,
        /// By which decision.
        decision: String,
    },
    /// Takes a cordon of ours back.
    Uncordon {
        /// The Node.
        node: Object,
    },
    /// Changes nothing but an annotation, so that kube-scheduler asks again about pods that were refused.
    TouchNode {
        /// The Node.
        node: Object,
        /// Now.
        at: Timestamp,
    },
    /// When replicas go down, this Machine goes first.
    MarkMachine {
        /// The Machine.
        machine: Object,
        /// By which decision.
        decision: String,
    },
    /// Takes a mark of ours back.
    UnmarkMachine {
        /// The Machine.
        machine: Object,
    },
}

/// What becomes of the min-size when our floor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The user's value.
    To(u32),
    /// There was none.
    Removed,
    /// Somebody has changed it since: it is theirs.
    Untouched,
}

impl Write {
    /// The object that is written.
    pub const fn object(&self) -> &Object {
        match self {
            Self::NoteHolds { target, .. }
            | Self::Scale { target, .. }
            | Self::Floor { target, .. }
            | Self::FloorRestore { target, .. } => target,
            Self::HoldNode { node, .. }
            | Self::ReleaseNode { node, .. }
            | Self::Cordon { node, .. }
            | Self::Uncordon { node }
            | Self::TouchNode { node, .. } => node,
            Self::DelayPod { pod, .. } | Self::UndelayPod { pod } => pod,
            Self::MarkMachine { machine, .. } | Self::UnmarkMachine { machine } => machine,
        }
    }

    /// One word for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoteHolds { .. } => "note_holds",
            Self::Scale { .. } => "scale",
            Self::Floor { .. } => "floor",
            Self::FloorRestore { .. } => "floor_restore",
            Self::HoldNode { .. } => "hold_node",
            Self::ReleaseNode { .. } => "release_node",
            Self::DelayPod { .. } => "delay_pod",
            Self::UndelayPod { .. } => "undelay_pod",
            Self::Cordon { .. } => "cordon",
            Self::Uncordon { .. } => "uncordon",
            Self::TouchNode { .. } => "touch_node",
            Self::MarkMachine { .. } => "mark_machine",
            Self::UnmarkMachine { .. } => "unmark_machine",
        }
    }

    /// It only takes back something of ours.
    pub const fn is_undo(&self) -> bool {
        matches!(
            self,
            Self::NoteHolds { pending: None, .. }
                | Self::FloorRestore { .. }
                | Self::ReleaseNode { .. }
                | Self::UndelayPod { .. }
                | Self::Uncordon { .. }
                | Self::UnmarkMachine { .. }
        )
    }

    /// It asks for nodes.
    pub const fn is_raise(&self) -> bool {
        matches!(self, Self::Scale { from, to, .. } | Self::Floor { from, to, .. } if *from < *to)
    }

    /// If it fails, what comes after it for the same pool is not written. Pods come and go while we write,
    /// and a node without a hold is held at the next look: those stop nothing.
    pub const fn stops_pool(&self) -> bool {
        !self.is_undo()
            && !matches!(
                self,
                Self::DelayPod { .. } | Self::HoldNode { .. } | Self::TouchNode { .. }
            )
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}", self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

impl fmt::Display for Write {
    /// One sentence without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoteHolds { target, pending: Some(pending) } => {
                write!(f, "note on {target} which nodes to hold: {pending}")
            }
            Self::NoteHolds { target, pending: None } => {
                write!(f, "forget which nodes of {target} to hold")
            }
            Self::Scale { target, from, to } => {
                write!(f, "set replicas of {target} from {from} to {to}")
            }
            Self::Floor { target, from, to, until, .. } => {
                let until = marks::rfc3339(*until);
                write!(
                    f,
                    "set cluster-autoscaler's minimum of {target} from {from} to {to} until {until}"
                )
            }
            Self::FloorRestore { target, min } => {
                write!(f, "take our minimum off {target}")?;
                match min {
                    Restored::To(min) => write!(f, ": it was {min} before"),
                    Restored::Removed => write!(f, ": it had none before"),
                    Restored::Untouched => write!(f, ", where somebody has set another since"),
                }
            }
            Self::HoldNode { node, until, .. } => {
                let until = marks::rfc3339(*until);
                write!(f, "keep node {node} from cluster-autoscaler until {until}")
            }
            Self::ReleaseNode { node, .. } => write!(f, "let cluster-autoscaler have node {node}"),
            Self::DelayPod { pod, delay, .. } => {
                let delay = marks::go_duration(*delay);
                write!(f, "hide pod {pod} from cluster-autoscaler until it is {delay} old")
            }
            Self::UndelayPod { pod } => write!(f, "show pod {pod} to cluster-autoscaler again"),
            Self::Cordon { node, .. } => write!(f, "cordon node {node}, which is to go"),
            Self::Uncordon { node } => write!(f, "uncordon node {node}, which stays"),
            Self::TouchNode { node, .. } => {
                write!(f, "touch node {node}, so that pods that wait are looked at again")
            }
            Self::MarkMachine { machine, .. } => {
                write!(f, "mark machine {machine} to be deleted first")
            }
            Self::UnmarkMachine { machine } => write!(f, "take the mark off machine {machine}"),
        }
    }
}
