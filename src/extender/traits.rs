//! What verdicts about a node rest on, apart from time. Nodes of a pool are alike, so a request needs one verdict a
//! kind of node and not one a node.

use super::NodeView;
use crate::model::object::Taint;
use std::{collections::BTreeMap, sync::Arc};

/// Beyond so many kinds they are counted anew: most are of nodes that have changed since.
const KINDS: usize = 4096;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Traits {
    is_gpu: bool,
    taints: Vec<Taint>,
    /// Names of GPU resources, and whether any are allocatable.
    offers: Vec<(String, bool)>,
    lacks: Option<&'static str>,
    awaits_slices: bool,
    models: Vec<String>,
    gpu_memory_mib: Option<u64>,
    clique: String,
    reserved_for: Option<String>,
}

impl Traits {
    fn of(node: &NodeView) -> Self {
        let offers = node.offers.iter();
        Self {
            is_gpu: node.is_gpu,
            taints: node.taints.clone(),
            offers: offers.map(|one| (one.resource.clone(), one.allocatable > 0)).collect(),
            lacks: node.lacks,
            awaits_slices: node.awaits_slices,
            models: node.models.clone(),
            gpu_memory_mib: node.gpu_memory_mib,
            clique: node.clique.clone(),
            reserved_for: node.reserved_for.clone(),
        }
    }
}

/// Kinds of nodes by number of the node.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    known: Arc<BTreeMap<Traits, u32>>,
    of: Vec<u32>,
}

/// A node for which time matters has no kind.
const NONE: u32 = u32::MAX;

impl Kinds {
    /// The node of this number is `node` now.
    pub(super) fn put(&mut self, number: usize, node: &NodeView) {
        if self.of.len() <= number {
            self.of.resize(number + 1, NONE);
        }
        self.of[number] = if node.held.is_some() { NONE } else { self.kind(Traits::of(node)) };
    }

    fn kind(&mut self, traits: Traits) -> u32 {
        if let Some(&kind) = self.known.get(&traits) {
            return kind;
        }
        let kind = self.known.len() as u32;
        Arc::make_mut(&mut self.known).insert(traits, kind);
        kind
    }

    /// Too many: all nodes have to be put anew.
    pub(super) fn is_overgrown(&self) -> bool {
        self.known.len() > KINDS.max(2 * self.of.len())
    }

    /// Kinds are below this.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// The kind of the node of this number; `None` = it must be looked at itself.
    pub(super) fn of(&self, number: u32) -> Option<usize> {
        self.of.get(number as usize).copied().filter(|&kind| kind != NONE).map(|kind| kind as usize)
    }
}
