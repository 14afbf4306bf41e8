//! What one node has left.

use super::Part;
use crate::{model::Pool, units::GPU_MILLI};
use serde::{Deserialize, Serialize};

/// Which devices of a node a part sits on, bit `i` = device `i`; empty where devices are not told
/// apart.
pub type DeviceMask = u128;

/// Free capacity of one node.
///
/// Where no job shares a device, only their number counts and `devices` is empty. Otherwise
/// `devices[i]` is what is left of device `i` in thousandths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Room {
    /// Devices nobody uses.
    pub whole: u32,
    /// Thousandths of GPUs nobody uses, shared devices included.
    pub free_milli: u32,
    /// Milli-CPU nobody uses; `u32::MAX` = never the bottleneck.
    pub cpu_milli: u32,
    /// MiB nobody uses; `u32::MAX` = never the bottleneck.
    pub memory_mib: u32,
    devices: Vec<u16>,
}

impl Room {
    /// An empty node. `shared`: devices are told apart because some job takes less than a whole one.
    pub fn empty_node(pool: &Pool, shared: bool) -> Self {
        Self {
            whole: pool.gpus_per_node,
            free_milli: pool.gpus_per_node * 1000,
            cpu_milli: pool.cpu_milli.unwrap_or(u32::MAX),
            memory_mib: pool.memory_mib.unwrap_or(u32::MAX),
            devices: if shared { vec![1000; pool.gpus_per_node as usize] } else { Vec::new() },
        }
    }

    /// A node like this empty one of which only so much is left: whole devices, what is left of
    /// shared ones, milli-CPU and MiB (`None` = never the bottleneck).
    #[must_use]
    pub fn with_left(
        &self,
        whole: u32,
        shared: &[u16],
        cpu_milli: Option<u32>,
        memory_mib: Option<u32>,
    ) -> Self {
        let whole = whole.min(self.whole);
        let shared_milli: u32 = shared.iter().map(|&left| u32::from(left)).sum();
        let mut devices = Vec::new();
        if !self.devices.is_empty() {
            devices.extend(std::iter::repeat_n(1000, whole as usize));
            devices.extend(shared);
            devices.resize(self.devices.len(), 0);
        }
        Self {
            whole,
            free_milli: whole * 1000 + shared_milli,
            cpu_milli: cpu_milli.unwrap_or(u32::MAX),
            memory_mib: memory_mib.unwrap_or(u32::MAX),
            devices,
        }
    }

    /// Whether the part fits now.
    pub fn fits(&self, part: &Part) -> bool {
        let devices = if part.is_whole() {
            self.whole >= part.devices
        } else {
            self.free_milli >= part.demand_milli()
                && self.devices.iter().filter(|&&left| left >= part.milli).count()
                    >= part.devices as usize
        };
        devices && self.cpu_milli >= part.cpu_milli && self.memory_mib >= part.memory_mib
    }

    /// The most that one part could take, in thousandths of GPUs: whole devices together or, where there
    /// are none, what is left of one shared device. What is less than [`Part::least_piece`] cannot hold
    /// the part.
    pub fn largest_piece(&self) -> u32 {
        match self.whole {
            0 => self.devices.iter().copied().max().map_or(0, u32::from),
            whole => whole * 1000,
        }
    }

    /// How many equal parts fit now.
    pub fn count_fitting(&self, part: &Part) -> u32 {
        let mut room = self.clone();
        let mut count = 0;
        while room.fits(part) {
            room.take(part);
            count += 1;
        }
        count
    }

    /// Takes the part, which must fit. Shared devices: the tightest ones that fit, then the lowest.
    pub fn take(&mut self, part: &Part) -> DeviceMask {
        debug_assert!(self.fits(part), "taken without fitting");
        self.free_milli -= part.demand_milli();
        spend(&mut self.cpu_milli, part.cpu_milli);
        spend(&mut self.memory_mib, part.memory_mib);
        if self.devices.is_empty() {
            self.whole -= part.devices;
            return 0;
        }
        let mut mask = 0;
        for _ in 0..part.devices {
            let device = self.tightest(part.milli, mask);
            self.whole -= u32::from(self.devices[device] == 1000);
            self.devices[device] -= part.milli;
            mask |= 1 << device;
        }
        mask
    }

    /// Gives back what [`Room::take`] took.
    pub fn give(&mut self, part: &Part, mask: DeviceMask) {
        self.free_milli += part.demand_milli();
        gain(&mut self.cpu_milli, part.cpu_milli);
        gain(&mut self.memory_mib, part.memory_mib);
        if self.devices.is_empty() {
            self.whole += part.devices;
            return;
        }
        for device in (0..self.devices.len()).filter(|&device| mask & (1 << device) != 0) {
            self.devices[device] += part.milli;
            self.whole += u32::from(self.devices[device] == 1000);
        }
    }

    /// Whether this is what `taken` leaves of a node with so many devices, told apart: nothing can be given
    /// back twice and nothing is lost.
    pub(crate) fn is_rest_of<'a>(
        &self,
        gpus: u32,
        taken: impl Iterator<Item = (&'a Part, DeviceMask)>,
    ) -> bool {
        let mut devices: Vec<u64> = self.devices.iter().map(|&left| u64::from(left)).collect();
        let (mut cpu, mut memory) = (u64::from(self.cpu_milli), u64::from(self.memory_mib));
        for (part, mask) in taken {
            let seats = (0..devices.len()).filter(|&device| mask & (1 << device) != 0);
            if mask.count_ones() != part.devices || seats.clone().count() as u32 != part.devices {
                return false;
            }
            seats.for_each(|device| devices[device] += u64::from(part.milli));
            cpu += u64::from(part.cpu_milli);
            memory += u64::from(part.memory_mib);
        }
        let fits = |left: u32, all: u64| left == u32::MAX || all < u64::from(u32::MAX);
        let free: u32 = self.devices.iter().map(|&left| u32::from(left)).sum();
        devices.len() == gpus as usize
            && devices.iter().all(|&milli| milli == u64::from(GPU_MILLI))
            && self.whole as usize == self.devices.iter().filter(|&&left| left == 1000).count()
            && self.free_milli == free
            && fits(self.cpu_milli, cpu)
            && fits(self.memory_mib, memory)
    }

    /// What is left of each device, if devices are told apart.
    pub fn devices(&self) -> &[u16] {
        &self.devices
    }

    fn tightest(&self, milli: u16, taken: DeviceMask) -> usize {
        (0..self.devices.len())
            .filter(|&device| taken & (1 << device) == 0 && self.devices[device] >= milli)
            .min_by_key(|&device| self.devices[device])
            .unwrap_or_default()
    }
}

/// `u32::MAX` stands for "never the bottleneck" and stays.
fn spend(left: &mut u32, amount: u32) {
    if *left != u32::MAX {
        *left -= amount;
    }
}

fn gain(left: &mut u32, amount: u32) {
    if *left != u32::MAX {
        *left += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(devices: u32, milli: u16) -> Part {
        Part { devices, milli, cpu_milli: 0, memory_mib: 0 }
    }

    #[test]
    fn a_share_goes_to_the_tightest_device() {
        let mut room = Room::empty_node(&Pool::new("p", 2), true);
        let first = room.take(&part(1, 600));
        assert_eq!(room.take(&part(1, 300)), first);
        assert_eq!(room.devices(), [100, 1000]);
        assert_eq!((room.whole, room.free_milli), (1, 1100));
        assert!(!room.fits(&part(1, 1000)) || room.whole == 1);
    }

    #[test]
    fn free_thousandths_on_several_devices_do_not_add_up() {
        let mut room = Room::empty_node(&Pool::new("p", 2), true);
        room.take(&part(2, 600));
        assert_eq!(room.free_milli, 800);
        assert!(!room.fits(&part(1, 500)));
        assert!(room.fits(&part(2, 400)));
    }

    #[test]
    fn cpu_can_be_the_bottleneck() {
        let mut room =
            Room::empty_node(&Pool { cpu_milli: Some(1000), ..Pool::new("p", 8) }, false);
        let hungry = Part { cpu_milli: 600, ..part(1, 1000) };
        room.take(&hungry);
        assert!(!room.fits(&hungry));
        assert!(room.fits(&part(7, 1000)));
    }

    proptest! {
        #[test]
        fn giving_back_restores_the_room(sizes in prop::collection::vec((1u32..4, 1u16..=1000), 1..20)) {
            let empty = Room::empty_node(&Pool::new("p", 8), true);
            let mut room = empty.clone();
            let mut taken = Vec::new();
            for (devices, milli) in sizes {
                let part = part(devices, milli);
                if room.fits(&part) {
                    let mask = room.take(&part);
                    prop_assert_eq!(mask.count_ones(), devices);
                    taken.push((part, mask));
                }
                prop_assert_eq!(room.free_milli, room.devices().iter().map(|&d| u32::from(d)).sum::<u32>());
            }
            for (part, mask) in taken {
                room.give(&part, mask);
            }
            prop_assert_eq!(room, empty);
        }
    }
}
