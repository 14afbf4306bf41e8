//! Pools while waiting work is packed onto them: first onto what exists, then onto new nodes.

use super::{Bins, Fragments, Part, Room};

/// What a pool has left, and by how many nodes it may grow.
#[derive(Clone, Debug)]
pub struct Growing {
    bins: Bins,
    empty_node: Room,
    new_nodes: u32,
    most_new: u32,
}

impl Growing {
    /// `bins`: what is left on nodes that exist or are on their way; new nodes are like `empty_node`.
    pub const fn new(bins: Bins, empty_node: Room, most_new: u32) -> Self {
        Self { bins, empty_node, new_nodes: 0, most_new }
    }

    /// New nodes that what was packed needs.
    pub const fn new_nodes(&self) -> u32 {
        self.new_nodes
    }

    /// What is left, new nodes included.
    pub const fn bins(&self) -> &Bins {
        &self.bins
    }

    /// Whole empty nodes left.
    pub fn empty_nodes(&self) -> u32 {
        self.bins.empty_nodes(&self.empty_node)
    }

    /// What is left on nodes that are not empty.
    pub fn fragments(&self) -> Fragments {
        self.bins.fragments(&self.empty_node)
    }

    /// Adds as many new nodes as the parts need, or none if the pool may not grow that far.
    fn grow_for(&mut self, parts: &[Part]) -> bool {
        let most = self.most_new - self.new_nodes;
        let added = self.bins.grow_for(parts, &self.empty_node, most);
        self.new_nodes += added.unwrap_or(0);
        added.is_some()
    }

    /// Places up to `units` units of `each` equal parts on what there is; returns how many.
    fn fill(&mut self, part: &Part, each: u32, units: u32) -> u32 {
        if each == 1 {
            return self.bins.place_many(part, units);
        }
        let units = self.bins.count_fitting(part, units.saturating_mul(each)) / each;
        self.bins.place_many(part, units * each);
        units
    }

    /// Adds as many new nodes as these units need, and at most as many as the pool may grow; returns how
    /// many units found a place.
    fn grow_and_fill(&mut self, part: &Part, each: u32, units: u32) -> u32 {
        let most = self.most_new - self.new_nodes;
        if units == 0 || most == 0 {
            return 0;
        }
        let on_new = u64::from(self.empty_node.count_fitting(part));
        let wanted = u64::from(units.saturating_mul(each));
        let free = if each == 1 { 0 } else { u64::from(self.bins.count_fitting(part, each)) };
        let units = wanted.min(free + u64::from(most) * on_new) / u64::from(each);
        let parts = units * u64::from(each);
        let nodes = parts.saturating_sub(free).div_ceil(on_new) as u32;
        self.bins.add(&self.empty_node, nodes);
        self.new_nodes += nodes;
        self.bins.place_many(part, parts as u32);
        units as u32
    }
}

/// Packs up to `units` equal units; returns how many found a place. `pools`: indices of the pools that
/// can hold a unit, in order of preference; `parts[pool]`: what a unit asks for there, largest first.
pub fn pack_units(packed: &mut [Growing], pools: &[u32], parts: &[Vec<Part>], units: u32) -> u32 {
    let equal = |&pool: &u32| {
        let parts = &parts[pool as usize];
        parts.iter().all(|part| *part == parts[0]).then_some((pool, parts[0], parts.len() as u32))
    };
    match pools.iter().map(equal).collect::<Option<Vec<_>>>() {
        Some(equal) => pack_equal_parts(packed, &equal, units),
        None => (0..units).find(|_| !pack_unit(packed, pools, parts)).unwrap_or(units),
    }
}

fn pack_unit(packed: &mut [Growing], pools: &[u32], parts: &[Vec<Part>]) -> bool {
    let parts = |pool: u32| parts[pool as usize].as_slice();
    pools.iter().any(|&pool| packed[pool as usize].bins.place_all(parts(pool)))
        || pools.iter().any(|&pool| packed[pool as usize].grow_for(parts(pool)))
}

/// The same, all units at once, where a unit is so many equal parts on each of its pools: first what
/// exists is filled, pool by pool, then the pools grow.
fn pack_equal_parts(packed: &mut [Growing], pools: &[(u32, Part, u32)], units: u32) -> u32 {
    let mut left = units;
    for &(pool, part, each) in pools {
        left -= packed[pool as usize].fill(&part, each, left);
    }
    for &(pool, part, each) in pools {
        left -= packed[pool as usize].grow_and_fill(&part, each, left);
    }
    units - left
}
