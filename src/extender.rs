//! What a scheduler is told about GPU nodes: which may take a pod, which should, which it is worth clearing.
//!
//! Pure functions over an immutable snapshot; nothing here writes, reserves or waits. A request is a pod (an
//! [`Ask`]) and a list of nodes. kube-scheduler has already seen to resources, taints and affinity; this adds
//! what it cannot know: how far drivers have come, who may use GPU nodes, which nodes are worth keeping free.
//!
//! Source: kube-scheduler 1.36 `pkg/scheduler/extender.go` (when verbs are called and what a reject causes).

mod access;
mod arrivals;
mod ask;
mod boots;
mod elastic;
mod explain;
mod filter;
mod names;
mod nudge;
mod pages;
mod policy;
mod preempt;
mod prioritize;
pub mod reason;
mod snapshot;
mod taken;
#[cfg(test)]
mod tests;
mod traits;
mod verdict;
mod view;

pub use access::{Listed, Namespace};
pub use arrivals::Arrivals;
pub use ask::Ask;
pub use boots::Boots;
pub use elastic::ElasticBy;
pub use explain::{Explanation, Finding, explain};
pub use filter::{Filtered, filter};
pub use names::Asked;
pub use nudge::{Answered, Nudge, Nudger, Stranded};
pub use policy::Policy;
pub use preempt::preempt;
pub use prioritize::{MAX_SCORE, prioritize};
pub use snapshot::ExtenderSnapshot;
pub use taken::Taken;
pub use verdict::{Rejection, Verdict, verdict};
pub use view::{Held, NodeView, Offer, Seen, is_read, trim, view};
