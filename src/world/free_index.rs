//! Usable nodes by what they have free, so that looking for a place does not look at every node.
//!
//! Nodes with equally much free stand on one level. A tree of maxima over the levels knows the largest
//! piece (see [`Room::largest_piece`]) to be had on each, which leads to the first and the last level
//! with a node that may fit in O(log levels). What the piece does not tell (CPU, memory, several shared
//! devices) is checked node by node.

use super::fleet::NodeId;
use crate::packing::Room;
use std::collections::BTreeSet;

#[derive(Debug)]
pub(super) struct FreeIndex {
    /// Thousandths of a GPU from one level to the next: 1, or 1000 where no device is shared.
    step: u32,
    /// By level: the largest piece and the number of each node.
    levels: Vec<BTreeSet<(u32, NodeId)>>,
    /// Entry 1 is the root, `2i` and `2i + 1` are below `i`, level `l` is entry `largest.len() / 2 + l`.
    /// 0 = nothing free.
    largest: Vec<u32>,
}

impl FreeIndex {
    /// For nodes that are like `empty_node` when nothing runs on them.
    pub(super) fn new(empty_node: &Room) -> Self {
        let step = if empty_node.devices().is_empty() { 1000 } else { 1 };
        let levels = (empty_node.free_milli / step) as usize + 1;
        Self {
            step,
            levels: vec![BTreeSet::new(); levels],
            largest: vec![0; levels.next_power_of_two() * 2],
        }
    }

    pub(super) fn insert(&mut self, (free_milli, piece): (u32, u32), id: NodeId) {
        let level = self.level(free_milli);
        self.levels[level].insert((piece, id));
        self.note_largest(level);
    }

    pub(super) fn remove(&mut self, (free_milli, piece): (u32, u32), id: NodeId) {
        let level = self.level(free_milli);
        self.levels[level].remove(&(piece, id));
        self.note_largest(level);
    }

    /// Nodes on each level; where no device is shared, level `f` has `f` devices free.
    pub(super) fn counts(&self) -> impl Iterator<Item = u32> {
        self.levels.iter().map(|nodes| nodes.len() as u32)
    }

    /// The levels from `least_milli` on with a node that has such a piece, fullest nodes first.
    pub(super) fn ascending(&self, least_milli: u32, piece: u32) -> impl Iterator<Item = usize> {
        let first = self.next(least_milli.div_ceil(self.step) as usize, piece);
        std::iter::successors(first, move |&level| self.next(level + 1, piece))
    }

    /// The same levels, emptiest nodes first.
    pub(super) fn descending(&self, least_milli: u32, piece: u32) -> impl Iterator<Item = usize> {
        let least = least_milli.div_ceil(self.step) as usize;
        let emptiest = self.previous(self.levels.len() - 1, piece);
        std::iter::successors(emptiest, move |&level| self.previous(level.checked_sub(1)?, piece))
            .take_while(move |&level| level >= least)
    }

    /// The oldest node of a level that has such a piece and `fits`.
    pub(super) fn oldest(
        &self,
        level: usize,
        piece: u32,
        fits: impl Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        let nodes = &self.levels[level];
        let mut oldest: Option<NodeId> = None;
        let mut next = nodes.range((piece, 0)..).next();
        while let Some(&(piece, _)) = next {
            let older = (piece, 0)..(piece, oldest.unwrap_or(NodeId::MAX));
            oldest = nodes.range(older).map(|&(_, id)| id).find(|&id| fits(id)).or(oldest);
            next = nodes.range((piece + 1, 0)..).next();
        }
        oldest
    }

    /// All nodes of a level that have such a piece.
    pub(super) fn nodes(&self, level: usize, piece: u32) -> impl Iterator<Item = NodeId> {
        self.levels[level].range((piece, 0)..).map(|&(_, id)| id)
    }

    fn level(&self, free_milli: u32) -> usize {
        (free_milli / self.step) as usize
    }

    fn note_largest(&mut self, level: usize) {
        let largest = self.levels[level].last().map_or(0, |&(piece, _)| piece);
        let mut at = self.largest.len() / 2 + level;
        self.largest[at] = largest;
        while at > 1 {
            at /= 2;
            let largest = self.largest[2 * at].max(self.largest[2 * at + 1]);
            if self.largest[at] == largest {
                break;
            }
            self.largest[at] = largest;
        }
    }

    /// The first level from `from` on with such a piece.
    fn next(&self, from: usize, piece: u32) -> Option<usize> {
        if from >= self.levels.len() {
            return None;
        }
        let leaves = self.largest.len() / 2;
        let mut at = leaves + from;
        while self.largest[at] < piece {
            // Up while there is nothing to the right, then to the right.
            at >>= at.trailing_ones();
            if at == 0 {
                return None;
            }
            at += 1;
        }
        while at < leaves {
            at *= 2;
            at += usize::from(self.largest[at] < piece);
        }
        Some(at - leaves)
    }

    /// The last level up to `from` with such a piece.
    fn previous(&self, from: usize, piece: u32) -> Option<usize> {
        let leaves = self.largest.len() / 2;
        let mut at = leaves + from;
        while self.largest[at] < piece {
            // Up while there is nothing to the left, then to the left.
            at >>= at.trailing_zeros();
            if at == 1 {
                return None;
            }
            at -= 1;
        }
        while at < leaves {
            at = 2 * at + 1;
            at -= usize::from(self.largest[at] < piece);
        }
        Some(at - leaves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Pool, packing::Part};
    use proptest::prelude::*;
    use std::cmp::Reverse;

    fn part() -> impl Strategy<Value = Part> {
        let milli = prop_oneof![Just(1000u16), 1u16..1000, Just(500)];
        (1u32..4, milli, 0u32..3000).prop_map(|(devices, milli, cpu_milli)| Part {
            devices,
            milli,
            cpu_milli,
            memory_mib: 0,
        })
    }

    fn spot(room: &Room) -> (u32, u32) {
        (room.free_milli, room.largest_piece())
    }

    proptest! {
        /// Against a look at every node: most and least left over, ties to the oldest.
        #[test]
        fn the_index_finds_what_a_look_at_every_node_finds(
            nodes in 1usize..12,
            is_shared in any::<bool>(),
            taken in prop::collection::vec((any::<prop::sample::Index>(), part()), 0..60),
            wanted in prop::collection::vec(part(), 1..8),
        ) {
            let pool = Pool { cpu_milli: Some(9000), ..Pool::new("p", 4) };
            let whole = |part: Part| Part { milli: if is_shared { part.milli } else { 1000 }, ..part };
            let empty = Room::empty_node(&pool, is_shared);
            let mut rooms = vec![empty.clone(); nodes];
            let mut index = FreeIndex::new(&empty);
            for (id, room) in (0u32..).zip(&rooms) {
                index.insert(spot(room), id);
            }
            for (at, part) in taken {
                let (id, part) = (at.index(nodes), whole(part));
                if rooms[id].fits(&part) {
                    index.remove(spot(&rooms[id]), id as u32);
                    rooms[id].take(&part);
                    index.insert(spot(&rooms[id]), id as u32);
                }
            }
            for part in wanted.into_iter().map(whole) {
                let fits = |id: NodeId| rooms[id as usize].fits(&part);
                let all = || (0..nodes as u32).filter(|&id| fits(id));
                let free = |id: u32| rooms[id as usize].free_milli;
                let (least, piece) = (part.demand_milli(), part.least_piece());
                let found = index.ascending(least, piece).find_map(|l| index.oldest(l, piece, fits));
                prop_assert_eq!(found, all().min_by_key(|&id| (free(id), id)));
                let found = index.descending(least, piece).find_map(|l| index.oldest(l, piece, fits));
                prop_assert_eq!(found, all().min_by_key(|&id| (Reverse(free(id)), id)));
                let mut listed: Vec<NodeId> = index
                    .ascending(least, piece)
                    .flat_map(|l| index.nodes(l, piece))
                    .filter(|&id| fits(id))
                    .collect();
                listed.sort_unstable();
                prop_assert_eq!(listed, all().collect::<Vec<_>>());
            }
        }
    }

    /// The piece alone rules out nodes that have enough free in crumbs.
    #[test]
    fn crumbs_are_not_looked_at() {
        let empty = Room::empty_node(&Pool::new("p", 2), true);
        let mut crumbs = empty.clone();
        crumbs.take(&Part { devices: 2, milli: 600, cpu_milli: 0, memory_mib: 0 });
        let mut index = FreeIndex::new(&empty);
        (0..1000).for_each(|id| index.insert(spot(&crumbs), id));
        assert_eq!(index.ascending(500, 500).count(), 0);
        assert_eq!(index.ascending(400, 400).count(), 1);
        assert_eq!(index.descending(500, 500).count(), 0);
    }
}
