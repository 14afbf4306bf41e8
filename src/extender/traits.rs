//! What answers about a node rest on, apart from time. Nodes of a pool are alike, so a request needs one verdict and
//! one rank a kind of node and not one a node.

use super::NodeView;
use crate::{model::object::Taint, packing::Room};
use std::{collections::BTreeMap, sync::Arc};

/// Beyond so many kinds they are counted anew: most are of nodes that have changed since.
const KINDS: usize = 4096;

/// What verdicts rest on, apart from time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Traits {
    is_gpu: bool,
    taints: Vec<Taint>,
    /// Names of GPU resources, and whether any are allocatable.
    offers: Vec<(String, bool)>,
    lacks: Option<&'static str>,
    has_slices: bool,
    awaits_slices: bool,
    models: Vec<String>,
    gpu_memory_mib: Option<u64>,
    clique: String,
    reserved_for: Option<String>,
}

impl Traits {
    pub(super) fn of(node: &NodeView) -> Self {
        let offers = node.offers.iter();
        Self {
            is_gpu: node.is_gpu,
            taints: node.taints.clone(),
            offers: offers.map(|one| (one.resource.clone(), one.allocatable > 0)).collect(),
            lacks: node.lacks,
            has_slices: node.has_slices,
            awaits_slices: node.awaits_slices,
            models: node.models.clone(),
            gpu_memory_mib: node.gpu_memory_mib,
            clique: node.clique.clone(),
            reserved_for: node.reserved_for.clone(),
        }
    }
}

/// What the place of a node among others rests on, apart from time and gangs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    room: Room,
    model_bits: u64,
    price_milli: u32,
    is_idle: bool,
    is_to_go: bool,
    is_elastic: bool,
}

impl Standing {
    pub(super) fn of(node: &NodeView) -> Self {
        Self {
            room: node.room.clone(),
            model_bits: node.model_bits,
            price_milli: node.price_milli,
            is_idle: node.is_idle,
            is_to_go: node.is_to_go,
            is_elastic: node.is_elastic,
        }
    }
}

/// Kinds of nodes by number of the node.
#[derive(Clone, Debug)]
pub(super) struct Kinds<T> {
    known: Arc<BTreeMap<Arc<T>, u32>>,
    of: Vec<u32>,
}

/// The node must be looked at itself.
const NONE: u32 = u32::MAX;

impl<T> Default for Kinds<T> {
    fn default() -> Self {
        Self { known: Arc::default(), of: Vec::new() }
    }
}

impl<T: Ord> Kinds<T> {
    /// The node of this number is like this now; `None` = it has no kind.
    pub(super) fn put(&mut self, number: usize, like: Option<T>) {
        if self.of.len() <= number {
            self.of.resize(number + 1, NONE);
        }
        self.of[number] = like.map_or(NONE, |like| self.kind(like));
    }

    fn kind(&mut self, like: T) -> u32 {
        if let Some(&kind) = self.known.get(&like) {
            return kind;
        }
        let kind = self.known.len() as u32;
        Arc::make_mut(&mut self.known).insert(Arc::new(like), kind);
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
    #[inline]
    pub(super) fn of(&self, number: u32) -> Option<usize> {
        self.of.get(number as usize).copied().filter(|&kind| kind != NONE).map(|kind| kind as usize)
    }
}
