//! Many nodes at once: would these parts fit, and what is left then?
//!
//! Best fit: a part goes where the least would be left over. Where only the number of free devices
//! matters, nodes with equally many are interchangeable and a count per level is enough: a placement
//! costs O(devices per node) however many nodes there are.

use super::{Part, Room};

/// What is left on a set of nodes of one pool.
#[derive(Clone, Debug)]
pub enum Bins {
    /// `levels[f]` nodes have `f` whole devices free; no other dimension matters.
    Levels(Vec<u32>),
    /// Each node with all its dimensions.
    Rooms(Vec<Room>),
}

/// A state to fall back to when not all parts of a job find their place.
#[derive(Debug)]
pub struct Checkpoint(Bins);

impl Bins {
    /// Adds `count` nodes like `node`.
    pub fn add(&mut self, node: &Room, count: u32) {
        match self {
            Self::Levels(levels) => levels[node.whole as usize] += count,
            Self::Rooms(rooms) => {
                rooms.extend(std::iter::repeat_n(node, count as usize).cloned());
            }
        }
    }

    /// Places all parts or none.
    pub fn place_all(&mut self, parts: &[Part]) -> bool {
        if let [part] = parts {
            return self.place(part);
        }
        let before = self.checkpoint();
        for part in parts {
            if !self.place(part) {
                self.restore(before);
                return false;
            }
        }
        true
    }

    /// Places a part where the least is left over.
    pub fn place(&mut self, part: &Part) -> bool {
        match self {
            Self::Levels(levels) => {
                let need = part.devices as usize;
                let Some(level) = (need..levels.len()).find(|&level| levels[level] > 0) else {
                    return false;
                };
                levels[level] -= 1;
                levels[level - need] += 1;
                true
            }
            Self::Rooms(rooms) => {
                let best = (0..rooms.len())
                    .filter(|&node| rooms[node].fits(part))
                    .min_by_key(|&node| rooms[node].free_milli);
                best.map(|node| rooms[node].take(part)).is_some()
            }
        }
    }

    /// Remembers the state.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.clone())
    }

    /// Goes back to a state.
    pub fn restore(&mut self, before: Checkpoint) {
        *self = before.0;
    }

    /// Free thousandths of GPUs.
    pub fn free_milli(&self) -> u64 {
        match self {
            Self::Levels(levels) => {
                levels.iter().zip(0u64..).map(|(&nodes, free)| u64::from(nodes) * free * 1000).sum()
            }
            Self::Rooms(rooms) => rooms.iter().map(|room| u64::from(room.free_milli)).sum(),
        }
    }

    /// Nodes on which nothing is.
    pub fn empty_nodes(&self, node: &Room) -> u32 {
        match self {
            Self::Levels(levels) => levels[node.whole as usize],
            Self::Rooms(rooms) => rooms.iter().filter(|room| *room == node).count() as u32,
        }
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

    fn both(free: &[u32]) -> (Bins, Bins) {
        let mut levels = Bins::Levels(vec![0; 9]);
        let mut rooms = Bins::Rooms(Vec::new());
        for &free in free {
            let mut room = Room::empty_node(&Pool::new("p", 8), false);
            room.take(&whole(8 - free));
            levels.add(&room, 1);
            rooms.add(&room, 1);
        }
        (levels, rooms)
    }

    #[test]
    fn a_gang_is_placed_whole_or_not_at_all() {
        let (mut levels, _) = both(&[8, 4]);
        let before = levels.free_milli();
        assert!(!levels.place_all(&[whole(8), whole(8)]));
        assert_eq!(levels.free_milli(), before);
        assert!(levels.place_all(&[whole(8), whole(4)]));
        assert_eq!(levels.free_milli(), 0);
    }

    proptest! {
        #[test]
        fn levels_and_rooms_agree(
            free in prop::collection::vec(0u32..=8, 0..12),
            jobs in prop::collection::vec(prop::collection::vec(1u32..=8, 1..4), 0..20),
        ) {
            let (mut levels, mut rooms) = both(&free);
            for job in jobs {
                let parts: Vec<Part> = job.into_iter().map(whole).collect();
                prop_assert_eq!(levels.place_all(&parts), rooms.place_all(&parts));
                prop_assert_eq!(levels.free_milli(), rooms.free_milli());
            }
        }
    }
}
