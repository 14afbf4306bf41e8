//! Which node takes a part of a job.

use super::{
    fleet::{Fleet, NodeId},
    setup::Placement,
};
use crate::{
    forecast::shape_mix::ShapeMix,
    packing::{Class, DeviceMask, LOSS_STEP, Mix, Part},
    time::Timestamp,
};
use smallvec::{SmallVec, smallvec};

/// Where one part of a job sits.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) node: NodeId,
    pub(super) part: Part,
    pub(super) mask: DeviceMask,
}

/// Where all parts of one job sit.
pub(super) type Seats = SmallVec<[Seat; 1]>;

/// The jobs to come: what fragmentation is measured against. Learned from the arrivals up to now, so nothing
/// is known in advance.
#[derive(Debug, Default)]
pub(super) struct Typical {
    shapes: ShapeMix<Part>,
    mix: Mix,
}

impl Typical {
    /// Counts an arrival by its largest part.
    pub(super) fn note(&mut self, part: &Part, now: Timestamp) {
        self.shapes.note(*part, now);
        if let Some(expected) = self.shapes.news(now) {
            let class = |(part, weight)| Class { part, models: u64::MAX, weight };
            self.mix = Mix::new(expected.into_iter().map(class));
        }
    }
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
        Placement::Prewarm if fleet.is_simple || !fleet.is_fixed() => {
            by_free.ascending(least, piece).find_map(oldest)
        }
        Placement::BestFit => by_free.ascending(least, piece).find_map(oldest),
        Placement::Spread => by_free.descending(least, piece).find_map(oldest),
        Placement::Fgd => by_free
            .ascending(least, piece)
            .flat_map(|level| candidates(fleet, level, piece))
            .filter(|&node| fits(node))
            .min_by_key(|&node| {
                let room = fleet.room(node);
                (typical.mix.gradient(room, u64::MAX, part), room.free_milli, node)
            }),
        Placement::Prewarm => by_free
            .ascending(least, piece)
            .flat_map(|level| by_free.nodes(level, piece))
            .filter(|&node| fits(node))
            .min_by_key(|&node| {
                let room = fleet.room(node);
                let loss = typical.mix.loss(room, u64::MAX, part).div_euclid(LOSS_STEP);
                (loss, fleet.is_idle(node), room.free_milli, node)
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
