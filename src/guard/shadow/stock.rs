//! The nodes of the shadow.
//!
//! Scanned, not indexed: on a few hundred nodes a scan costs less than keeping an index true.

use super::ShadowWorld;
use crate::{
    model::Pool,
    packing::{Bins, DeviceMask, Fragments, Growing, Part, Room, pack_units},
    strategy::{PoolView, Want, settle::settle},
    time::Timestamp,
    units::MOST,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// Nodes are numbered in order of request: a lower number is an older node.
type NodeId = u64;

/// The parts of a job, and how many such jobs wait.
pub(super) type Waiting = (Vec<Part>, u32);

/// Where a part of a job sits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seat {
    node: NodeId,
    part: Part,
    mask: DeviceMask,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Node {
    id: NodeId,
    room: Room,
    /// Parts of jobs that run on it.
    parts: u32,
    idle_since: Timestamp,
}

/// All nodes, usable and on their way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stock {
    /// Usable ones, oldest first.
    nodes: Vec<Node>,
    /// Since when usable nodes are idle.
    idle: BTreeSet<(Timestamp, NodeId)>,
    /// When nodes on their way will be usable.
    in_flight: BTreeSet<(Timestamp, NodeId)>,
    next_id: NodeId,
    free_milli: u64,
}

impl Stock {
    pub(super) const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            idle: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            next_id: 0,
            free_milli: 0,
        }
    }

    pub(super) fn alive(&self) -> u32 {
        (self.nodes.len() + self.in_flight.len()) as u32
    }

    /// Whether nodes and the seats taken on them make up whole nodes, each known once.
    pub(super) fn is_sound<'a>(
        &self,
        seats: impl Iterator<Item = &'a Seat>,
        gpus_per_node: u32,
    ) -> bool {
        let mut taken: BTreeMap<NodeId, Vec<&Seat>> = BTreeMap::new();
        seats.for_each(|seat| taken.entry(seat.node).or_default().push(seat));
        let is_idle = |node: &Node| self.idle.contains(&(node.idle_since, node.id));
        let is_whole = |node: &Node| {
            let seats = taken.get(&node.id).map_or(&[][..], Vec::as_slice);
            let parts = seats.iter().map(|seat| (&seat.part, seat.mask));
            node.parts as usize == seats.len()
                && is_idle(node) == seats.is_empty()
                && node.room.is_rest_of(gpus_per_node, parts)
        };
        let free: u64 = self.nodes.iter().map(|node| u64::from(node.room.free_milli)).sum();
        let ids = self.nodes.iter().map(|node| node.id);
        self.nodes.is_sorted_by(|a, b| a.id < b.id)
            && ids
                .clone()
                .chain(self.in_flight.iter().map(|&(_, id)| id))
                .all(|id| id < self.next_id)
            && self.next_id <= MOST as u64
            && taken.keys().all(|id| self.nodes.binary_search_by_key(id, |node| node.id).is_ok())
            && self.nodes.iter().all(is_whole)
            && self.idle.len() == self.nodes.iter().filter(|node| node.parts == 0).count()
            && self.free_milli == free
    }

    pub(super) fn next_usable(&self) -> Timestamp {
        self.in_flight.first().map_or(Timestamp::NEVER, |&(at, _)| at)
    }

    /// The first instant after `since` from which on some node is idle.
    pub(super) fn next_idle_after(&self, since: Timestamp) -> Option<Timestamp> {
        let later = (Bound::Excluded((since, NodeId::MAX)), Bound::Unbounded);
        self.idle.range(later).next().map(|&(since, _)| since)
    }

    /// Nodes whose time has come are usable. Returns whether there were any.
    pub(super) fn bring_up(&mut self, now: Timestamp, pool: &Pool) -> bool {
        let mut any = false;
        while let Some(&(at, id)) = self.in_flight.first().filter(|&&(at, _)| at <= now) {
            self.in_flight.remove(&(at, id));
            self.insert(id, pool, now);
            any = true;
        }
        any
    }

    /// Usable nodes from nowhere, up to the pool's minimum.
    pub(super) fn fill_up(&mut self, pool: &Pool, now: Timestamp) {
        while (self.nodes.len() as u32) < pool.min_nodes {
            self.add_usable(pool, now);
        }
    }

    /// Usable nodes from nowhere for parts that do not fit; none if the pool may not grow that far.
    pub(super) fn add_for(&mut self, parts: &[Part], pool: &Pool, now: Timestamp) {
        let mut packed = [Growing::new(self.bins(), empty_node(pool), self.below_max(pool))];
        pack_units(&mut packed, &[0], &[parts.to_vec()], 1);
        for _ in 0..packed[0].new_nodes() {
            self.add_usable(pool, now);
        }
    }

    fn add_usable(&mut self, pool: &Pool, now: Timestamp) {
        let id = self.new_id();
        self.insert(id, pool, now);
    }

    fn new_id(&mut self) -> NodeId {
        self.next_id += 1;
        self.next_id - 1
    }

    fn insert(&mut self, id: NodeId, pool: &Pool, now: Timestamp) {
        let room = empty_node(pool);
        self.free_milli += u64::from(room.free_milli);
        self.idle.insert((now, id));
        // An older node may come up later than a newer one.
        let place = self.nodes.partition_point(|node| node.id < id);
        self.nodes.insert(place, Node { id, room, parts: 0, idle_since: now });
    }

    /// Seats all parts or none: each where the least is left over, ties to the oldest node.
    pub(super) fn seat(&mut self, parts: &[Part]) -> Option<Vec<Seat>> {
        let demand: u64 = parts.iter().map(|part| u64::from(part.demand_milli())).sum();
        if demand > self.free_milli {
            return None;
        }
        let mut seats = Vec::with_capacity(parts.len());
        for &part in parts {
            let fitting = self.nodes.iter_mut().filter(|node| node.room.fits(&part));
            let Some(node) = fitting.min_by_key(|node| node.room.free_milli) else {
                self.unseat(&seats);
                return None;
            };
            seats.push(Seat { node: node.id, part, mask: node.room.take(&part) });
        }
        for seat in &seats {
            if let Some(node) = find(&mut self.nodes, seat.node) {
                self.idle.remove(&(node.idle_since, node.id));
                node.parts += 1;
            }
        }
        self.free_milli -= demand;
        Some(seats)
    }

    /// Undoes a seating that was not completed.
    fn unseat(&mut self, seats: &[Seat]) {
        for seat in seats {
            if let Some(node) = find(&mut self.nodes, seat.node) {
                node.room.give(&seat.part, seat.mask);
            }
        }
    }

    /// A job is off its nodes.
    pub(super) fn give(&mut self, seats: &[Seat], now: Timestamp) {
        for seat in seats {
            let Some(node) = find(&mut self.nodes, seat.node) else { continue };
            node.room.give(&seat.part, seat.mask);
            node.parts -= 1;
            node.idle_since = now;
            if node.parts == 0 {
                self.idle.insert((now, node.id));
            }
            self.free_milli += u64::from(seat.part.demand_milli());
        }
    }

    /// Requests nodes for what waits (in packing order) or lets idle ones go, as
    /// [`crate::strategy::Reactive`] would.
    pub(super) fn scale(&mut self, now: Timestamp, waiting: &[Waiting], world: &ShadowWorld<'_>) {
        let want = Want::nothing(world.idle);
        let view = self.view(now, waiting, world);
        let plan = settle(&view, &want, self.idle.iter().map(|&(since, _)| since));
        for _ in 0..plan.create {
            let id = self.new_id();
            self.in_flight.insert((now + world.lead, id));
        }
        for _ in 0..plan.remove {
            self.remove_idlest();
        }
    }

    fn remove_idlest(&mut self) {
        let Some((_, id)) = self.idle.pop_first() else { return };
        let Ok(place) = self.nodes.binary_search_by_key(&id, |node| node.id) else { return };
        let node = self.nodes.remove(place);
        self.free_milli -= u64::from(node.room.free_milli);
    }

    fn view(
        &self,
        now: Timestamp,
        waiting: &[Waiting],
        world: &ShadowWorld<'_>,
    ) -> PoolView<'static> {
        let (firm_nodes, spare_milli, spare_nodes) = self.need(waiting, world.pool);
        PoolView {
            now,
            gpus_per_node: world.pool.gpus_per_node,
            lead_time: world.lead,
            min_nodes: world.pool.min_nodes,
            max_nodes: world.pool.max_nodes,
            usable_nodes: self.nodes.len() as u32,
            idle_nodes: self.idle.len() as u32,
            in_flight_nodes: self.in_flight.len() as u32,
            running_milli: 0,
            waiting_milli: 0,
            demand_integral: 0,
            firm_nodes,
            spare_milli,
            spare_nodes,
            fragments: Fragments::none(),
            arrivals: &[],
            finishes: &[],
            shapes: &[],
            last_create: None,
        }
    }

    /// Nodes missing for what waits; thousandths of GPUs and whole nodes left over then.
    fn need(&self, waiting: &[Waiting], pool: &Pool) -> (u32, u64, u32) {
        let empty = empty_node(pool);
        let coming = self.in_flight.len() as u32;
        let below_max = self.below_max(pool);
        // What waits does not fit on what is free, else it would have started.
        if waiting.is_empty() || (below_max == 0 && coming == 0) {
            let spare = self.free_milli + u64::from(coming) * u64::from(empty.free_milli);
            return (0, spare, self.idle.len() as u32 + coming);
        }
        let mut bins = self.bins();
        bins.add(&empty, coming);
        let mut packed = [Growing::new(bins, empty, below_max)];
        for (parts, jobs) in waiting {
            pack_units(&mut packed, &[0], std::slice::from_ref(parts), *jobs);
        }
        let [packed] = packed;
        (packed.new_nodes(), packed.bins().free_milli(), packed.empty_nodes())
    }

    fn below_max(&self, pool: &Pool) -> u32 {
        pool.max_nodes.map_or(u32::MAX, |max| max.saturating_sub(self.alive()))
    }

    /// What the usable nodes have left. Nodes that are full have no say.
    fn bins(&self) -> Bins {
        let rooms = self.nodes.iter().map(|node| &node.room);
        Bins::Rooms(rooms.filter(|room| room.free_milli > 0).cloned().collect())
    }
}

/// Devices are told apart: shapes that share them may come at any time.
fn empty_node(pool: &Pool) -> Room {
    Room::empty_node(pool, true)
}

fn find(nodes: &mut [Node], id: NodeId) -> Option<&mut Node> {
    let place = nodes.binary_search_by_key(&id, |node| node.id).ok()?;
    nodes.get_mut(place)
}
