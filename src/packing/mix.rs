//! The typical mix of jobs, and how much of a node it cannot use.
//!
//! # Source
//! Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient
//! Descent", USENIX ATC 2023: the fragmentation of a node is what a job drawn from the mix cannot use of its
//! idle GPUs, on average.

use super::{Part, Room};
use std::cmp::Reverse;

/// More classes than this make scoring slow without changing it.
const CLASSES_MAX: usize = 32;
/// The classes kept make up so many percent of the jobs.
const COVERED_PERCENT: u64 = 95;

/// Jobs of one class that are expected on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// What one of them asks of a node, at least one device.
    pub part: Part,
    /// Bit `i`: takes GPU model number `i`. All bits = any.
    pub models: u64,
    /// How often, relative to the others.
    pub weight: u64,
}

/// What jobs are expected, most frequent class first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mix {
    classes: Vec<Class>,
}

impl Mix {
    /// The most frequent classes that together make up 95 % of all, at most 32.
    pub fn new(counts: impl IntoIterator<Item = Class>) -> Self {
        let mut classes: Vec<Class> =
            counts.into_iter().filter(|class| class.weight > 0 && class.part.devices > 0).collect();
        classes.sort_by_key(|&Class { part, models, weight }| (Reverse(weight), part, models));
        let all: u64 = classes.iter().fold(0, |sum, class| sum.saturating_add(class.weight));
        let mut covered: u64 = 0;
        let enough = classes.iter().position(|class| {
            covered = covered.saturating_add(class.weight);
            u128::from(covered) * 100 >= u128::from(all) * u128::from(COVERED_PERCENT)
        });
        classes.truncate(enough.map_or(CLASSES_MAX, |last| (last + 1).min(CLASSES_MAX)));
        Self { classes }
    }

    /// The classes, most frequent first.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Thousandths of GPUs of a node that jobs of the mix cannot use, summed over the weights. `model`: the
    /// node's own bit, all bits = unspecified.
    pub fn fragmentation(&self, room: &Room, model: u64) -> u128 {
        let of_class = |class: &Class| u128::from(class.weight) * useless(room, model, class);
        self.classes.iter().map(of_class).sum()
    }

    /// How much placing the part, which must fit, adds to the node's fragmentation.
    pub fn gradient(&self, room: &Room, model: u64, part: &Part) -> i128 {
        let mut after = room.clone();
        after.take(part);
        self.fragmentation(&after, model) as i128 - self.fragmentation(room, model) as i128
    }
}

fn useless(room: &Room, model: u64, class: &Class) -> u128 {
    if class.models & model == 0 || !room.fits(&class.part) {
        return u128::from(room.free_milli);
    }
    let too_little = |left: &&u16| **left < class.part.milli;
    room.devices().iter().filter(too_little).map(|&left| u128::from(left)).sum()
}
