//! Numbers for shapes and owners: stable from look to look, bounded.

use crate::model::{OwnerId, Shape, ShapeId};
use std::{collections::BTreeMap, sync::Arc};

/// From here on CPU and memory of new shapes are rounded up, so that equal jobs share a shape.
const EXACT: usize = 4000;
/// From here on a new shape is taken for the smallest known one that can stand for it.
const MOST: usize = 8000;
const CPU_STEP: u32 = 4000;
const MEMORY_STEP: u32 = 16 * 1024;
/// Owners remembered at one time.
const MOST_OWNERS: usize = 50_000;

/// Shapes by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Shapes {
    numbers: BTreeMap<Shape, ShapeId>,
    all: Vec<Shape>,
    shared: Arc<[Shape]>,
}

impl Shapes {
    pub(super) fn new(seeds: Vec<Shape>) -> Self {
        let numbers = seeds.iter().cloned().zip((0..).map(ShapeId)).collect();
        Self { numbers, shared: Arc::from(&seeds[..]), all: seeds }
    }

    pub(super) fn number(&mut self, mut shape: Shape) -> ShapeId {
        if self.all.len() >= EXACT && !self.numbers.contains_key(&shape) {
            shape.cpu_milli = shape.cpu_milli.div_ceil(CPU_STEP).saturating_mul(CPU_STEP);
            shape.memory_mib = shape.memory_mib.div_ceil(MEMORY_STEP).saturating_mul(MEMORY_STEP);
        }
        if let Some(&known) = self.numbers.get(&shape) {
            return known;
        }
        if let Some(like) = (self.all.len() >= MOST).then(|| self.like(&shape)).flatten() {
            return like;
        }
        let number = ShapeId(self.all.len() as u32);
        self.numbers.insert(shape.clone(), number);
        self.all.push(shape);
        number
    }

    /// Of the same resource and placement, with the fewest GPUs that suffice.
    fn like(&self, shape: &Shape) -> Option<ShapeId> {
        let is_like = |known: &&Shape| {
            known.resource == shape.resource
                && known.gpus >= shape.gpus
                && known.node_selector == shape.node_selector
                && known.gpu_models == shape.gpu_models
        };
        let least = self.all.iter().filter(is_like).min_by_key(|known| {
            (known.gpus, known.priority.abs_diff(shape.priority), known.cpu_milli)
        });
        least.and_then(|known| self.numbers.get(known).copied())
    }

    pub(super) fn get(&self, number: ShapeId) -> Option<&Shape> {
        self.all.get(number.0 as usize)
    }

    /// All shapes, copied only when there are new ones.
    pub(super) fn shared(&mut self) -> Arc<[Shape]> {
        if self.shared.len() != self.all.len() {
            self.shared = Arc::from(&self.all[..]);
        }
        Arc::clone(&self.shared)
    }
}

/// Owners by uid. If there are too many, all are forgotten: a returning one is somebody new.
#[derive(Clone, Debug)]
pub(super) struct Owners {
    numbers: BTreeMap<String, OwnerId>,
    next: u32,
}

impl Owners {
    pub(super) fn new(next: u32) -> Self {
        Self { numbers: BTreeMap::new(), next: next.max(1) }
    }

    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    pub(super) fn number(&mut self, uid: Option<&str>) -> OwnerId {
        let Some(uid) = uid.filter(|uid| !uid.is_empty()) else { return OwnerId(0) };
        if let Some(&known) = self.numbers.get(uid) {
            return known;
        }
        if self.numbers.len() >= MOST_OWNERS {
            self.numbers.clear();
        }
        let number = OwnerId(self.next);
        self.next = self.next.checked_add(1).unwrap_or(1);
        self.numbers.insert(uid.to_owned(), number);
        number
    }
}
