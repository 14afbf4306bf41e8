//! Waiting jobs that are interchangeable: equal shape, equal parts on every pool.
//!
//! If one member of a class does not fit, no other does; that is what keeps a long queue cheap. A gang
//! that starts as one is a class by the multiset of its members' shapes.

use crate::{
    model::{Pool, Shape, ShapeId, Trace},
    packing::{Part, split},
};
use std::collections::HashMap;

/// Index into [`Classes`].
pub(super) type ClassId = u32;

/// What a member of the class asks for.
#[derive(Debug)]
pub(super) struct Class {
    /// Shapes of its jobs, sorted.
    pub(super) members: Vec<ShapeId>,
    pub(super) priority: i32,
    pub(super) demand_milli: u64,
    /// Pools that can hold it, in order of preference.
    pub(super) pools: Vec<u32>,
    /// By pool index: every part with the place of its job in the gang (0 for a job on its own);
    /// largest parts first. Empty where the pool cannot hold it.
    pub(super) parts: Vec<Vec<(u32, Part)>>,
    /// The same without the jobs, for packing.
    pub(super) bare_parts: Vec<Vec<Part>>,
}

/// All classes of a run: first one per shape (class id = shape id), then one per distinct gang.
#[derive(Debug)]
pub(super) struct Classes {
    classes: Vec<Class>,
    gangs: HashMap<Vec<ShapeId>, ClassId>,
}

impl Classes {
    pub(super) fn new(trace: &Trace, pools: &[Pool]) -> Self {
        let of_shape = |(id, shape): (u32, &Shape)| {
            Class::new(vec![ShapeId(id)], std::slice::from_ref(shape), pools)
        };
        let classes = (0u32..).zip(&trace.shapes).map(of_shape).collect();
        Self { classes, gangs: HashMap::new() }
    }

    pub(super) fn get(&self, class: ClassId) -> &Class {
        &self.classes[class as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The class of a gang whose members have these shapes (sorted).
    pub(super) fn gang(&mut self, shapes: Vec<ShapeId>, trace: &Trace, pools: &[Pool]) -> ClassId {
        if let Some(&known) = self.gangs.get(&shapes) {
            return known;
        }
        let members: Vec<Shape> =
            shapes.iter().map(|shape| trace.shapes[shape.0 as usize].clone()).collect();
        let class = self.classes.len() as ClassId;
        self.classes.push(Class::new(shapes.clone(), &members, pools));
        self.gangs.insert(shapes, class);
        class
    }
}

impl Class {
    fn new(ids: Vec<ShapeId>, members: &[Shape], pools: &[Pool]) -> Self {
        let parts: Vec<_> = pools.iter().map(|pool| parts_on(members, pool)).collect();
        Self {
            members: ids,
            priority: members.iter().map(|shape| shape.priority).max().unwrap_or_default(),
            demand_milli: members.iter().map(Shape::demand_milli).sum(),
            pools: (0..)
                .zip(&parts)
                .filter(|(_, parts)| !parts.is_empty())
                .map(|(i, _)| i)
                .collect(),
            bare_parts: parts.iter().map(|on| on.iter().map(|&(_, part)| part).collect()).collect(),
            parts,
        }
    }
}

fn parts_on(members: &[Shape], pool: &Pool) -> Vec<(u32, Part)> {
    let mut parts = Vec::new();
    for (place, shape) in (0u32..).zip(members) {
        let Some(of_member) = split(shape, pool) else { return Vec::new() };
        parts.extend(of_member.into_iter().map(|part| (place, part)));
    }
    parts.sort_by(|(_, a), (_, b)| b.cmp(a));
    parts
}
