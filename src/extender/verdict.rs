//! May this pod go to this node? The order of checks is fixed, the first that fails gives the reason.
//!
//! A reject without a cure by eviction must be *unresolvable*: kube-scheduler would otherwise evict pods on
//! the node for nothing (its preemption does not ask extenders which nodes they refuse).

use super::{Ask, NodeView, Policy, reason};
use crate::time::Timestamp;

/// What comes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// No eviction would help (`FailedAndUnresolvableNodes`).
    Unresolvable,
    /// Pods that leave could make it possible (`FailedNodes`).
    Resolvable,
}

/// Whether a pod may go to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Pass,
    /// It may not.
    Reject {
        /// Whether eviction could help.
        class: Rejection,
        /// One of [`reason::ALL`].
        reason: &'static str,
    },
}

/// One check; `Some` = it fails, for this reason.
pub(super) type Check = fn(&Ask, &NodeView, &Policy, Timestamp) -> Option<&'static str>;

/// What is checked on GPU nodes for pods that are not exempt, in this order. All but the last are
/// unresolvable.
pub(super) const CHECKS: [(&str, Check); 10] = [
    ("namespace", |ask, node, policy, _| ask.namespace.refusal(&node.taints, policy)),
    ("asks for a GPU", squatter),
    ("node", |_, node, _, _| node.lacks),
    ("time", |_, node, _, now| node.held.filter(|held| now < held.until).map(|held| held.reason)),
    ("DRA devices", devices),
    ("GPU resource", resource),
    ("GPU model", model),
    ("GPU memory", memory),
    ("NVLink domain", clique),
    ("reservation", reserved),
];

/// Whether the pod may go to the node at `now`.
pub fn verdict(ask: &Ask, node: &NodeView, policy: &Policy, now: Timestamp) -> Verdict {
    if !node.is_gpu || ask.is_exempt {
        return Verdict::Pass;
    }
    let refusal = CHECKS.iter().find_map(|(_, check)| check(ask, node, policy, now));
    refusal.map_or(Verdict::Pass, rejection)
}

/// A reject for this reason.
pub(super) fn rejection(reason: &'static str) -> Verdict {
    let is_curable = reason == reason::RESERVED;
    let class = if is_curable { Rejection::Resolvable } else { Rejection::Unresolvable };
    Verdict::Reject { class, reason }
}

fn squatter(ask: &Ask, _: &NodeView, policy: &Policy, _: Timestamp) -> Option<&'static str> {
    (policy.refuses_squatters && !ask.needs_gpu_node).then_some(reason::SQUATTER)
}

/// Claims, and resources that no device plugin of the node offers, are given out of its slices.
fn devices(ask: &Ask, node: &NodeView, _: &Policy, _: Timestamp) -> Option<&'static str> {
    let uses_slices = ask.has_claims || ask.gpus.iter().any(|(name, _)| is_by_slices(node, name));
    (uses_slices && node.awaits_slices).then_some(reason::DRA)
}

/// kube-scheduler turns the request for this resource into a claim on this node (KEP-5004: where no device plugin
/// offers it).
fn is_by_slices(node: &NodeView, resource: &str) -> bool {
    node.has_slices && node.offers.iter().all(|offer| offer.resource != resource)
}

/// The resource must be allocatable at all. How much of it is free is kube-scheduler's to say.
fn resource(ask: &Ask, node: &NodeView, _: &Policy, _: Timestamp) -> Option<&'static str> {
    let is_lacking =
        |(name, _): &&(String, u64)| node.allocatable(name) == 0 && !is_by_slices(node, name);
    let (name, _) = ask.gpus.iter().find(is_lacking)?;
    let is_coming = node.offers.iter().any(|offer| offer.resource == *name)
        || node.offers.iter().all(|offer| offer.allocatable == 0);
    Some(if is_coming { reason::DRIVER } else { reason::RESOURCE })
}

/// Only a node that tells its model can have the wrong one.
fn model(ask: &Ask, node: &NodeView, _: &Policy, _: Timestamp) -> Option<&'static str> {
    let is_known = !ask.models.is_empty() && !node.models.is_empty();
    let accepts = || node.models.iter().any(|model| ask.models.contains(model));
    (is_known && !accepts()).then_some(reason::MODEL)
}

fn memory(ask: &Ask, node: &NodeView, _: &Policy, _: Timestamp) -> Option<&'static str> {
    node.gpu_memory_mib.filter(|&memory| memory < ask.gpu_memory_mib).map(|_| reason::MEMORY)
}

fn clique(ask: &Ask, node: &NodeView, _: &Policy, _: Timestamp) -> Option<&'static str> {
    (!ask.clique.is_empty() && ask.clique != node.clique).then_some(reason::CLIQUE)
}

fn reserved(ask: &Ask, node: &NodeView, _: &Policy, _: Timestamp) -> Option<&'static str> {
    let owner = node.reserved_for.as_deref()?;
    let own = ask.gang.as_ref().map(|(gang, _)| gang.as_str());
    (own != Some(owner)).then_some(reason::RESERVED)
}
