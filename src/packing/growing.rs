//! Nodes that waiting jobs are packed onto, and as many new ones as that takes.
//!
//! What exists is filled first, best fit; a new node is added only for what fits nowhere else.

use super::{Bins, Part, Room};

/// Nodes of one pool while jobs are packed onto them.
#[derive(Clone, Debug)]
pub struct Growing<'a> {
    bins: Bins,
    empty: &'a Room,
    new_nodes: u32,
    most: u32,
}

/// The part and how many of it, if all parts are equal.
pub fn equal_parts(parts: &[Part]) -> Option<(Part, u32)> {
    let first = *parts.first()?;
    parts.iter().all(|part| *part == first).then_some((first, parts.len() as u32))
}

impl<'a> Growing<'a> {
    /// Starts from `bins`; up to `most` nodes like `empty` may be added.
    pub fn new(bins: Bins, empty: &'a Room, most: u32) -> Self {
        Self { bins, empty, new_nodes: 0, most }
    }

    /// Nodes added so far.
    pub fn new_nodes(&self) -> u32 {
        self.new_nodes
    }

    /// Thousandths of GPUs left over, new nodes included.
    pub fn free_milli(&self) -> u64 {
        self.bins.free_milli()
    }

    /// Whole empty nodes left over, new ones included.
    pub fn empty_nodes(&self) -> u32 {
        self.bins.empty_nodes(self.empty)
    }

    /// Packs up to `units` jobs of these parts each; returns how many found a place.
    pub fn pack(&mut self, parts: &[Part], units: u32) -> u32 {
        let Some((part, each)) = equal_parts(parts) else {
            let one = |nodes: &mut Self| nodes.place_all(parts) || nodes.grow_for(parts);
            return (0..units).find(|_| !one(self)).unwrap_or(units);
        };
        let placed = self.fill(&part, each, units);
        placed + self.grow_and_fill(&part, each, units - placed)
    }

    /// Places all parts or none, without new nodes beyond those added already.
    pub fn place_all(&mut self, parts: &[Part]) -> bool {
        self.bins.place_all(parts)
    }

    /// Adds as many new nodes as the parts need, or none if the pool may not grow that far.
    pub fn grow_for(&mut self, parts: &[Part]) -> bool {
        let added = self.bins.grow_for(parts, self.empty, self.most - self.new_nodes);
        self.new_nodes += added.unwrap_or(0);
        added.is_some()
    }

    /// Places up to `units` units of `each` equal parts on what there is; returns how many.
    pub fn fill(&mut self, part: &Part, each: u32, units: u32) -> u32 {
        if each == 1 {
            return self.bins.place_many(part, units);
        }
        let units = self.bins.count_fitting(part, units.saturating_mul(each)) / each;
        self.bins.place_many(part, units * each);
        units
    }

    /// Adds as many new nodes as these units need, and at most as many as the pool may grow; returns how
    /// many units found a place.
    pub fn grow_and_fill(&mut self, part: &Part, each: u32, units: u32) -> u32 {
        let most = self.most - self.new_nodes;
        if units == 0 || most == 0 {
            return 0;
        }
        let on_new = u64::from(self.empty.count_fitting(part));
        let wanted = u64::from(units.saturating_mul(each));
        let free = if each == 1 { 0 } else { u64::from(self.bins.count_fitting(part, each)) };
        let units = wanted.min(free + u64::from(most) * on_new) / u64::from(each);
        let parts = units * u64::from(each);
        let nodes = parts.saturating_sub(free).div_ceil(on_new) as u32;
        self.bins.add(self.empty, nodes);
        self.new_nodes += nodes;
        self.bins.place_many(part, parts as u32);
        units as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pool;
    use proptest::prelude::*;

    fn whole(devices: u32) -> Part {
        Part { devices, milli: 1000, cpu_milli: 0, memory_mib: 0 }
    }

    #[test]
    fn what_exists_is_filled_before_nodes_are_added() {
        let empty = Room::empty_node(&Pool::new("p", 8), false);
        let mut bins = Bins::Levels(vec![0; 9]);
        bins.add(&empty, 1);
        let mut nodes = Growing::new(bins, &empty, 9);
        // Two on the node that is there, the third on a new one.
        assert_eq!((nodes.pack(&[whole(4)], 3), nodes.new_nodes()), (3, 1));
        // 8 and 2: one more node for the 8, the 2 fits beside the third.
        assert_eq!((nodes.pack(&[whole(8), whole(2)], 1), nodes.new_nodes()), (1, 2));
        assert_eq!((nodes.free_milli(), nodes.empty_nodes()), (2000, 0));
    }

    proptest! {
        #[test]
        fn equal_units_at_once_are_packed_as_one_by_one(
            free in prop::collection::vec(1u32..=8, 0..6),
            size in 1u32..=8, each in 1usize..4, units in 0u32..12, most in 0u32..8,
        ) {
            let empty = Room::empty_node(&Pool::new("p", 8), false);
            let mut bins = Bins::Levels(vec![0; 9]);
            for free in free {
                let mut room = empty.clone();
                if free < 8 {
                    room.take(&whole(8 - free));
                }
                bins.add(&room, 1);
            }
            let parts = vec![whole(size); each];
            let mut one_by_one = Growing::new(bins.clone(), &empty, most);
            let placed = (0..units).take_while(|_| one_by_one.place_all(&parts) || one_by_one.grow_for(&parts));
            let placed = placed.count() as u32;
            let mut at_once = Growing::new(bins, &empty, most);
            prop_assert_eq!(at_once.pack(&parts, units), placed);
            prop_assert_eq!(at_once.new_nodes(), one_by_one.new_nodes());
            prop_assert_eq!(at_once.free_milli(), one_by_one.free_milli());
        }
    }
}
