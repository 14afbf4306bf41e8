//! Jobs that wait in the shadow, by shape: where the first of a shape does not fit, no other does.

use super::{ShadowWorld, parts, stock::Waiting};
use crate::{model::ShapeId, strategy::Arrival, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// A waiting job in its place: jobs of a shape start in the order of their arrival.
pub(super) type Place = (Timestamp, u32);

/// The first job of a shape; the least of these is tried first.
pub(super) type Head = Reverse<(Reverse<i32>, Place, ShapeId)>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Queue {
    lines: BTreeMap<ShapeId, BTreeSet<Place>>,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { lines: BTreeMap::new() }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All waiting jobs.
    pub(super) fn places(&self) -> impl Iterator<Item = (ShapeId, Place)> {
        self.lines.iter().flat_map(|(&shape, line)| line.iter().map(move |&place| (shape, place)))
    }

    /// Shapes of which jobs wait.
    pub(super) fn shapes(&self) -> impl Iterator<Item = ShapeId> {
        self.lines.keys().copied()
    }

    /// The job waits. Returns its shape if it is the first of it.
    pub(super) fn join(&mut self, arrival: &Arrival) -> Option<ShapeId> {
        let line = self.lines.entry(arrival.shape).or_default();
        let place = (arrival.at, arrival.job);
        line.insert(place);
        (line.first() == Some(&place)).then_some(arrival.shape)
    }

    /// The job waits no more.
    pub(super) fn leave(&mut self, shape: ShapeId, place: Place) {
        if let Some(line) = self.lines.get_mut(&shape) {
            line.remove(&place);
            if line.is_empty() {
                self.lines.remove(&shape);
            }
        }
    }

    /// The first job of a shape: by priority, arrival and id.
    pub(super) fn head(&self, shape: ShapeId, world: &ShadowWorld<'_>) -> Option<Head> {
        let place = *self.lines.get(&shape)?.first()?;
        let priority = world.shapes.get(shape.0 as usize).map_or(0, |shape| shape.priority);
        Some(Reverse((Reverse(priority), place, shape)))
    }

    /// Parts of waiting jobs and how many jobs there are of them: by priority, then larger ones first.
    pub(super) fn in_packing_order(&self, world: &ShadowWorld<'_>) -> Vec<Waiting> {
        let mut order: Vec<_> = self
            .lines
            .iter()
            .filter_map(|(&id, line)| Some((world.shapes.get(id.0 as usize)?, id, line.len())))
            .collect();
        order.sort_by_key(|&(shape, id, _)| {
            (Reverse(shape.priority), Reverse(shape.demand_milli()), id)
        });
        let of_shape = |(_, id, count)| Some((parts(id, world)?, count as u32));
        order.into_iter().filter_map(of_shape).collect()
    }
}
