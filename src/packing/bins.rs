//! Many nodes at once: would these parts fit, and what is left then?
//!
//! Best fit: a part goes where the least would be left over. Where only the number of free devices
//! matters, nodes with equally many are interchangeable and a count per level is enough: a placement
//! costs O(devices per node) however many nodes there are.

use super::{DeviceMask, Part, Room};
use crate::units::GPU_MILLI;
use std::collections::BTreeMap;

/// What is left on a set of nodes of one pool.
#[derive(Clone, Debug)]
pub enum Bins {
    /// `levels[f]` nodes have `f` whole devices free; no other dimension matters.
    Levels(Vec<u32>),
    /// Each node with all its dimensions.
    Rooms(Vec<Room>),
}

/// What is free on nodes that are not empty, CPU and memory left aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragments {
    /// Entry `d`: nodes with `d` whole devices free. Entry 0 is zero: those nodes have no say.
    pub nodes: Vec<u32>,
    /// Shared devices of which something is left: (thousandths, devices), smallest first.
    pub devices: Vec<(u32, u32)>,
}

impl Fragments {
    /// Nothing is free, or nobody looked.
    pub fn none() -> &'static Self {
        static NONE: Fragments = Fragments { nodes: Vec::new(), devices: Vec::new() };
        &NONE
    }
}

/// Where a part was placed, and what it takes to undo that.
#[derive(Clone, Copy, Debug)]
enum Spot {
    Level(usize),
    Room(usize, DeviceMask),
}

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
        match parts {
            [part] => self.place(part).is_some(),
            _ => {
                demand_milli(parts) <= self.free_milli()
                    && self.place_or_grow(parts, None).is_some()
            }
        }
    }

    /// Places all parts or none, on up to `most` new nodes like `node` where nothing else is left.
    /// Returns how many were added.
    ///
    /// A new node is taken last, since on no node more would be left over: adding it only when a part
    /// fits nowhere else comes to the same as having had it from the start.
    pub fn grow_for(&mut self, parts: &[Part], node: &Room, most: u32) -> Option<u32> {
        self.place_or_grow(parts, Some((node, most)))
    }

    fn place_or_grow(&mut self, parts: &[Part], growth: Option<(&Room, u32)>) -> Option<u32> {
        let (mut added, mut spots) = (0, Vec::with_capacity(parts.len()));
        for part in parts {
            let spot = self.place(part).or_else(|| {
                let (node, _) = growth.filter(|&(_, most)| added < most)?;
                self.add(node, 1);
                added += 1;
                self.place(part)
            });
            let Some(spot) = spot else {
                self.undo(parts, &spots);
                growth.inspect(|(node, _)| self.take_away(node, added));
                return None;
            };
            spots.push(spot);
        }
        Some(added)
    }

    /// Places up to `count` equal parts; returns how many found a place.
    ///
    /// The node where the least is left over stays that until the part no longer fits there, so each
    /// node is filled in turn.
    pub fn place_many(&mut self, part: &Part, count: u32) -> u32 {
        let Self::Rooms(rooms) = self else {
            return (0..count).take_while(|_| self.place(part).is_some()).count() as u32;
        };
        let mut fitting: Vec<usize> =
            (0..rooms.len()).filter(|&node| rooms[node].fits(part)).collect();
        fitting.sort_by_key(|&node| rooms[node].free_milli);
        let mut placed = 0;
        for node in fitting {
            while placed < count && rooms[node].fits(part) {
                rooms[node].take(part);
                placed += 1;
            }
        }
        placed
    }

    /// How many equal parts would find a place, counted up to `most`.
    pub fn count_fitting(&self, part: &Part, most: u32) -> u32 {
        let (mut count, most) = (0u64, u64::from(most));
        match self {
            Self::Levels(levels) => {
                for (&nodes, free) in levels.iter().zip(0u32..) {
                    count += u64::from(nodes) * u64::from(free / part.devices);
                }
            }
            Self::Rooms(rooms) => {
                let mut rooms = rooms.iter().filter(|room| room.fits(part));
                while let Some(room) = rooms.next().filter(|_| count < most) {
                    count += u64::from(room.count_fitting(part));
                }
            }
        }
        count.min(most) as u32
    }

    /// Places a part where the least is left over.
    fn place(&mut self, part: &Part) -> Option<Spot> {
        match self {
            Self::Levels(levels) => {
                let need = part.devices as usize;
                let level = (need..levels.len()).find(|&level| levels[level] > 0)?;
                levels[level] -= 1;
                levels[level - need] += 1;
                Some(Spot::Level(level))
            }
            Self::Rooms(rooms) => {
                let fitting = (0..rooms.len()).filter(|&node| rooms[node].fits(part));
                let node = fitting.min_by_key(|&node| rooms[node].free_milli)?;
                Some(Spot::Room(node, rooms[node].take(part)))
            }
        }
    }

    fn undo(&mut self, parts: &[Part], spots: &[Spot]) {
        for (part, spot) in parts.iter().zip(spots).rev() {
            match (&mut *self, *spot) {
                (Self::Levels(levels), Spot::Level(level)) => {
                    levels[level] += 1;
                    levels[level - part.devices as usize] -= 1;
                }
                (Self::Rooms(rooms), Spot::Room(node, mask)) => rooms[node].give(part, mask),
                _ => {}
            }
        }
    }

    /// Undoes [`Bins::add`].
    fn take_away(&mut self, node: &Room, count: u32) {
        match self {
            Self::Levels(levels) => levels[node.whole as usize] -= count,
            Self::Rooms(rooms) => rooms.truncate(rooms.len() - count as usize),
        }
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

    /// What is free on nodes that are not like the empty `node`.
    pub fn fragments(&self, node: &Room) -> Fragments {
        let mut nodes = vec![0; node.whole as usize + 1];
        let mut shared = BTreeMap::new();
        match self {
            Self::Levels(levels) => {
                nodes.iter_mut().zip(levels).for_each(|(count, &nodes)| *count = nodes);
                nodes[node.whole as usize] = 0;
            }
            Self::Rooms(rooms) => {
                for room in rooms.iter().filter(|room| *room != node) {
                    nodes[room.whole.min(node.whole) as usize] += 1;
                    let devices = room.devices().iter().map(|&left| u32::from(left));
                    for left in devices.filter(|left| (1..GPU_MILLI).contains(left)) {
                        *shared.entry(left).or_default() += 1;
                    }
                }
            }
        }
        nodes[0] = 0;
        Fragments { nodes, devices: shared.into_iter().collect() }
    }

    /// Nodes on which nothing is.
    pub fn empty_nodes(&self, node: &Room) -> u32 {
        match self {
            Self::Levels(levels) => levels[node.whole as usize],
            Self::Rooms(rooms) => rooms.iter().filter(|room| *room == node).count() as u32,
        }
    }
}

fn demand_milli(parts: &[Part]) -> u64 {
    parts.iter().map(|part| u64::from(part.demand_milli())).sum()
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

    fn place_in_tightest(rooms: &mut [Room], part: &Part) -> bool {
        let fitting = rooms.iter_mut().filter(|room| room.fits(part));
        fitting.min_by_key(|room| room.free_milli).map(|room| room.take(part)).is_some()
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

    #[test]
    fn new_nodes_are_only_added_for_what_fits_nowhere_else() {
        let (levels, rooms) = both(&[8, 3]);
        let node = Room::empty_node(&Pool::new("p", 8), false);
        for mut bins in [levels, rooms] {
            let before = bins.free_milli();
            assert_eq!(bins.grow_for(&[whole(8), whole(8), whole(8), whole(3)], &node, 1), None);
            assert_eq!(bins.free_milli(), before);
            assert_eq!(bins.grow_for(&[whole(8), whole(8), whole(8), whole(3)], &node, 9), Some(2));
            assert_eq!(bins.free_milli(), 0);
        }
    }

    proptest! {
        #[test]
        fn many_at_once_are_placed_as_one_by_one(
            taken in prop::collection::vec(prop::collection::vec(1u16..1000, 0..6), 0..12),
            (devices, milli) in (1u32..3, 1u16..=1000),
            count in 0u32..40,
        ) {
            let node = Room::empty_node(&Pool::new("p", 4), true);
            let mut rooms = vec![node.clone(); taken.len()];
            for (room, shares) in rooms.iter_mut().zip(taken) {
                for milli in shares {
                    let share = Part { milli, ..whole(1) };
                    if room.fits(&share) {
                        room.take(&share);
                    }
                }
            }
            let part = Part { milli, ..whole(devices) };
            let mut one_by_one = rooms.clone();
            let placed = (0..count).take_while(|_| place_in_tightest(&mut one_by_one, &part)).count();
            let mut at_once = Bins::Rooms(rooms);
            prop_assert_eq!(at_once.place_many(&part, count) as usize, placed);
            let Bins::Rooms(at_once) = at_once else { unreachable!() };
            prop_assert_eq!(at_once, one_by_one);
        }

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
