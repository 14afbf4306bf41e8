//! Which node takes a part of a job.

use super::{
    fleet::{Fleet, NodeId},
    setup::Placement,
};
use crate::packing::{DeviceMask, Part, Room};
use smallvec::{SmallVec, smallvec};
use std::cmp::Reverse;

/// Where one part of a job sits.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) node: NodeId,
    pub(super) part: Part,
    pub(super) mask: DeviceMask,
}

/// Where all parts of one job sit.
pub(super) type Seats = SmallVec<[Seat; 1]>;

/// The shapes seen so far and how often: what fragmentation is measured against.
///
/// # Source
/// Weng et al., USENIX ATC 2023: typical pods are the most frequent shapes that make up 95 % of the
/// workload. Here they are learned from the arrivals up to now, so nothing is known in advance.
#[derive(Debug, Default)]
pub(super) struct Typical {
    counts: Vec<(Part, u64)>,
    top: Vec<(Part, u64)>,
    seen: u64,
    next_refresh: u64,
}

/// More classes than this make scoring slow without changing it.
const TYPICAL_MAX: usize = 32;

impl Typical {
    /// Counts an arrival by its largest part.
    pub(super) fn note(&mut self, part: &Part) {
        match self.counts.binary_search_by_key(part, |&(known, _)| known) {
            Ok(at) => self.counts[at].1 += 1,
            Err(at) => self.counts.insert(at, (*part, 1)),
        }
        self.seen += 1;
        if self.seen >= self.next_refresh {
            self.refresh();
        }
    }

    /// Every 5 % more arrivals: the mix changes slowly.
    fn refresh(&mut self) {
        self.next_refresh = self.seen + self.seen / 20 + 1;
        self.top.clone_from(&self.counts);
        self.top.sort_by_key(|&(part, count)| (Reverse(count), part));
        let mut covered = 0;
        let enough = self.top.iter().position(|&(_, count)| {
            covered += count;
            covered * 100 >= self.seen * 95
        });
        self.top.truncate(enough.map_or(TYPICAL_MAX, |last| (last + 1).min(TYPICAL_MAX)));
    }

    /// Thousandths of GPUs of the node that a typical job cannot use, summed over arrivals.
    fn fragmentation(&self, room: &Room) -> u128 {
        self.top.iter().map(|(part, count)| u128::from(*count) * useless(room, part)).sum()
    }

    /// How much placing the part on the node adds to its fragmentation.
    fn gradient(&self, room: &Room, part: &Part) -> i128 {
        let mut after = room.clone();
        after.take(part);
        self.fragmentation(&after) as i128 - self.fragmentation(room) as i128
    }
}

fn useless(room: &Room, part: &Part) -> u128 {
    if !room.fits(part) {
        return u128::from(room.free_milli);
    }
    room.devices().iter().filter(|&&left| left < part.milli).map(|&left| u128::from(left)).sum()
}

/// The node for a part, if any has room now.
pub(super) fn find(
    fleet: &Fleet,
    part: &Part,
    placement: Placement,
    typical: &Typical,
) -> Option<NodeId> {
    let (least, piece) = (part.demand_milli(), part.least_piece());
    let by_free = &fleet.by_free;
    let fits = |node: NodeId| fleet.is_simple || fleet.room(node).fits(part);
    let oldest = |level: usize| by_free.oldest(level, piece, fits);
    match placement {
        Placement::BestFit => by_free.ascending(least, piece).find_map(oldest),
        Placement::Spread => by_free.descending(least, piece).find_map(oldest),
        Placement::Fgd => by_free
            .ascending(least, piece)
            .flat_map(|level| candidates(fleet, level, piece))
            .filter(|&node| fits(node))
            .min_by_key(|&node| {
                let room = fleet.room(node);
                (typical.gradient(room, part), room.free_milli, node)
            }),
    }
}

/// Nodes of a level that need looking at: the oldest where all are alike, else all.
fn candidates(fleet: &Fleet, level: usize, piece: u32) -> impl Iterator<Item = NodeId> {
    let count = if fleet.is_simple { 1 } else { usize::MAX };
    fleet.by_free.nodes(level, piece).take(count)
}

/// Seats all parts or none. The result has one entry per job of the gang.
pub(super) fn seat_all(
    fleet: &mut Fleet,
    parts: &[(u32, Part)],
    jobs: usize,
    find: impl Fn(&Fleet, &Part) -> Option<NodeId>,
) -> Option<SmallVec<[Seats; 1]>> {
    if !has_whole_nodes(fleet, parts) {
        return None;
    }
    let mut seats: SmallVec<[Seats; 1]> = smallvec![Seats::new(); jobs];
    for (job, part) in parts {
        let Some(node) = find(fleet, part) else {
            unseat(fleet, &seats);
            return None;
        };
        let mask = fleet.take(node, part);
        seats[*job as usize].push(Seat { node, part: *part, mask });
    }
    Some(seats)
}

/// A quick look before anything is moved.
fn has_whole_nodes(fleet: &Fleet, parts: &[(u32, Part)]) -> bool {
    let whole_nodes = parts
        .iter()
        .take_while(|(_, part)| part.devices == fleet.pool.gpus_per_node && part.is_whole());
    whole_nodes.count() <= fleet.idle_count() as usize
}

/// Undoes a seating that was not completed. Nodes that were idle are idle since the same instant as
/// before.
fn unseat(fleet: &mut Fleet, seats: &[Seats]) {
    for seat in seats.iter().flatten() {
        fleet.undo_take(seat.node, &seat.part, seat.mask);
    }
}
