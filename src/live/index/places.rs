//! Which pool a pod with a node is of: the one whose node it runs on, whatever other pools could hold it.
//!
//! Clusters have GPU nodes that no pool scales. What runs there is nobody's demand: taken for a pool's, its
//! nodes would be bought a second time.

use super::{pools::Plan, store::Store};
use crate::model::object::Node;
use std::collections::{BTreeMap, BTreeSet};

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Of this pool.
    Pool(usize),
    /// Of no pool.
    Elsewhere,
    /// Not heard of (yet): watches of pods and nodes do not wait for each other.
    Unknown,
}

/// Nodes by name.
#[derive(Debug)]
pub(super) struct Places<'a> {
    pools: BTreeMap<&'a str, usize>,
    nodes: &'a Store<Node>,
    /// GPU nodes that no pool scales exist.
    pub(super) has_strangers: bool,
}

impl<'a> Places<'a> {
    /// `gpu_nodes`: names of nodes that show GPUs.
    pub(super) fn new(
        plans: &'a [Plan<'_>],
        nodes: &'a Store<Node>,
        gpu_nodes: &BTreeSet<String>,
    ) -> Self {
        let mut pools = BTreeMap::new();
        for (pool, plan) in plans.iter().enumerate() {
            for node in plan.members.iter().filter_map(|member| member.node) {
                pools.insert(node.meta.name.as_str(), pool);
            }
        }
        let has_strangers = gpu_nodes.iter().any(|name| !pools.contains_key(name.as_str()));
        Self { pools, nodes, has_strangers }
    }

    /// Where that node is.
    pub(super) fn of(&self, node: &str) -> Place {
        match self.pools.get(node) {
            Some(&pool) => Place::Pool(pool),
            None if self.nodes.get(node).is_some() => Place::Elsewhere,
            None => Place::Unknown,
        }
    }
}
