//! The nodes of one pool, indexed by what they have left.

use super::{free_index::FreeIndex, outcome::PoolTotals};
use crate::{
    lead_time::draw,
    model::Pool,
    packing::{DeviceMask, Part, Room},
    time::{Millis, Timestamp},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// Index of a node in [`super::Outcome::nodes`]: nodes are numbered in order of request, so a lower
/// number is an older node.
pub(super) type NodeId = u32;

/// After a refused request the pool is left alone for this long, twice as long after each further one.
const BACKOFF_FIRST: Millis = Millis::from_mins(2);
const BACKOFF_MAX: Millis = Millis::from_mins(30);

/// A usable node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) room: Room,
    running_jobs: u32,
    pub(super) usable_since: Timestamp,
    pub(super) idle_since: Timestamp,
}

impl Node {
    pub(super) const fn is_idle(&self) -> bool {
        self.running_jobs == 0
    }
}

/// One pool at work.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) pool: Pool,
    /// Only the number of whole free devices decides whether a job fits.
    pub(super) is_simple: bool,
    pub(super) empty_node: Room,
    nodes: BTreeMap<NodeId, Node>,
    /// The usable nodes.
    pub(super) by_free: FreeIndex,
    idle: BTreeSet<(Timestamp, NodeId)>,
    /// Nodes on their way: when each was requested and when it became Ready.
    pub(super) coming: BTreeMap<NodeId, (Timestamp, Option<Timestamp>)>,
    pub(super) provisioning: u32,
    pub(super) warming: u32,
    pub(super) draining: u32,
    pub(super) free_milli: u64,
    pub(super) running_milli: u64,
    pub(super) last_create: Option<Timestamp>,
    pub(super) backoff_until: Timestamp,
    backoff: Millis,
    lead_rng: ChaCha8Rng,
    failure_rng: ChaCha8Rng,
    /// A request was refused or a node failed since a controller last looked.
    pub(super) has_refused: bool,
    pub(super) totals: PoolTotals,
    /// Usable nodes that have got room since the last [`Fleet::forget_grown`].
    grown: BTreeSet<NodeId>,
}

/// A node that was asked for, with the instants of its next stages.
pub(super) enum Requested {
    /// It will be Ready, then usable.
    ComesUp { ready: Timestamp, usable: Timestamp },
    /// It will turn out to have failed.
    Fails { at: Timestamp },
}

impl Fleet {
    pub(super) fn new(pool: &Pool, index: u32, seed: u64, shared: bool, is_simple: bool) -> Self {
        let stream = |purpose: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(u64::from(index) * 2 + purpose);
            rng
        };
        let empty_node = Room::empty_node(pool, shared);
        Self {
            pool: pool.clone(),
            is_simple,
            by_free: FreeIndex::new(&empty_node),
            empty_node,
            nodes: BTreeMap::new(),
            idle: BTreeSet::new(),
            coming: BTreeMap::new(),
            provisioning: 0,
            warming: 0,
            draining: 0,
            free_milli: 0,
            running_milli: 0,
            last_create: None,
            backoff_until: Timestamp::ZERO,
            backoff: BACKOFF_FIRST,
            lead_rng: stream(0),
            failure_rng: stream(1),
            has_refused: false,
            totals: PoolTotals::default(),
            grown: BTreeSet::new(),
        }
    }

    pub(super) fn usable(&self) -> u32 {
        self.nodes.len() as u32
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.provisioning + self.warming
    }

    pub(super) fn alive(&self) -> u32 {
        self.usable() + self.in_flight()
    }

    pub(super) fn idle_count(&self) -> u32 {
        self.idle.len() as u32
    }

    /// Nodes neither come nor go.
    pub(super) fn is_fixed(&self) -> bool {
        self.pool.max_nodes == Some(self.pool.min_nodes)
    }

    /// Since when idle nodes are idle, longest first.
    pub(super) fn idle_since(&self) -> impl Iterator<Item = Timestamp> {
        self.idle.iter().map(|&(since, _)| since)
    }

    /// The first instant after `since` from which on some node is idle.
    pub(super) fn next_idle_after(&self, since: Timestamp) -> Option<Timestamp> {
        let later = (Bound::Excluded((since, NodeId::MAX)), Bound::Unbounded);
        self.idle.range(later).next().map(|&(since, _)| since)
    }

    /// What a usable node has left.
    pub(super) fn room(&self, id: NodeId) -> &Room {
        &self.nodes[&id].room
    }

    /// Nothing runs on this usable node.
    pub(super) fn is_idle(&self, id: NodeId) -> bool {
        self.nodes[&id].is_idle()
    }

    /// Whether parts that fitted nowhere at the last look may fit now. A quick answer: `true` may
    /// be wrong.
    pub(super) fn may_fit_now(&self, parts: &[Part]) -> bool {
        match parts {
            [part] if !self.is_simple => self.grown.iter().any(|id| self.room(*id).fits(part)),
            _ => true,
        }
    }

    /// What waits has been looked at.
    pub(super) fn forget_grown(&mut self) {
        self.grown.clear();
    }

    fn note_grown(&mut self, id: NodeId) {
        // Where all nodes are alike, finding one is as quick as this.
        if !self.is_simple {
            self.grown.insert(id);
        }
    }

    /// Can new nodes be asked for at all?
    pub(super) fn can_grow(&self, now: Timestamp) -> bool {
        now >= self.backoff_until && self.pool.max_nodes.is_none_or(|max| self.alive() < max)
    }

    /// Asks the provider for a node. `None` = refused, and the pool backs off.
    pub(super) fn request(&mut self, now: Timestamp) -> Option<Requested> {
        let billed = self.alive() + self.draining;
        if self.pool.supply_at(now).is_some_and(|supply| billed >= supply) {
            self.totals.refused += 1;
            self.has_refused = true;
            self.backoff_until = now + self.backoff;
            self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
            return None;
        }
        self.backoff = BACKOFF_FIRST;
        self.last_create = Some(now);
        self.provisioning += 1;
        self.note_peak();
        let ready = now + draw(self.pool.lead_time.provisioning, &mut self.lead_rng);
        let usable = ready + draw(self.pool.lead_time.warm_up, &mut self.lead_rng);
        if self.draws_failure() {
            return Some(Requested::Fails { at: ready });
        }
        Some(Requested::ComesUp { ready, usable })
    }

    fn draws_failure(&mut self) -> bool {
        // 53 bits make a double in [0, 1) exactly.
        self.pool.failure_rate > 0.0
            && ((self.failure_rng.next_u64() >> 11) as f64) / ((1u64 << 53) as f64)
                < self.pool.failure_rate
    }

    fn note_peak(&mut self) {
        self.totals.peak_nodes = self.totals.peak_nodes.max(self.alive() + self.draining);
    }

    /// A node that exists from the start.
    pub(super) fn add_existing(&mut self, id: NodeId, now: Timestamp) {
        self.insert(id, now);
        self.note_peak();
    }

    /// A node that was asked for has got its number.
    pub(super) fn awaits(&mut self, id: NodeId, now: Timestamp) {
        self.coming.insert(id, (now, None));
    }

    pub(super) fn became_ready(&mut self, id: NodeId, now: Timestamp) {
        self.provisioning -= 1;
        self.warming += 1;
        if let Some((_, ready)) = self.coming.get_mut(&id) {
            *ready = Some(now);
        }
    }

    pub(super) fn failed(&mut self, id: NodeId) {
        self.provisioning -= 1;
        self.coming.remove(&id);
        self.has_refused = true;
    }

    pub(super) fn became_usable(&mut self, id: NodeId, now: Timestamp) {
        self.warming -= 1;
        self.coming.remove(&id);
        self.insert(id, now);
    }

    fn insert(&mut self, id: NodeId, now: Timestamp) {
        let room = self.empty_node.clone();
        self.free_milli += u64::from(room.free_milli);
        self.by_free.insert(spot(&room), id);
        self.idle.insert((now, id));
        self.nodes.insert(id, Node { room, running_jobs: 0, usable_since: now, idle_since: now });
        self.note_grown(id);
    }

    /// The usable nodes, by number.
    pub(super) fn usable_nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(&id, node)| (id, node))
    }

    /// The node idle longest.
    pub(super) fn idlest(&self) -> Option<NodeId> {
        self.idle.first().map(|&(_, id)| id)
    }

    /// Takes a node out of service if nothing runs on it.
    pub(super) fn drain(&mut self, id: NodeId) -> Option<NodeId> {
        let node = self.nodes.get(&id).filter(|node| node.is_idle())?;
        self.idle.remove(&(node.idle_since, id));
        let node = self.nodes.remove(&id)?;
        self.by_free.remove(spot(&node.room), id);
        self.grown.remove(&id);
        self.free_milli -= u64::from(node.room.free_milli);
        self.draining += 1;
        Some(id)
    }

    /// Puts a part of a job on a node where it fits.
    pub(super) fn take(&mut self, id: NodeId, part: &Part) -> DeviceMask {
        self.change(id, |node, idle| {
            if node.running_jobs == 0 {
                idle.remove(&(node.idle_since, id));
            }
            node.running_jobs += 1;
            node.room.take(part)
        })
    }

    /// Takes a part of a job off its node.
    pub(super) fn give(&mut self, id: NodeId, part: &Part, mask: DeviceMask, now: Timestamp) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.idle_since = now;
        }
        self.undo_take(id, part, mask);
        self.note_grown(id);
    }

    /// As if the part had never been taken.
    pub(super) fn undo_take(&mut self, id: NodeId, part: &Part, mask: DeviceMask) {
        self.change(id, |node, idle| {
            node.running_jobs -= 1;
            if node.running_jobs == 0 {
                idle.insert((node.idle_since, id));
            }
            node.room.give(part, mask);
        });
    }

    /// Changes a node and keeps the index and the sums true.
    fn change<T>(
        &mut self,
        id: NodeId,
        change: impl FnOnce(&mut Node, &mut BTreeSet<(Timestamp, NodeId)>) -> T,
    ) -> T {
        let node = self.nodes.get_mut(&id).expect("jobs run on usable nodes only");
        let old = spot(&node.room);
        let result = change(node, &mut self.idle);
        let new = spot(&node.room);
        if old != new {
            self.by_free.remove(old, id);
            self.by_free.insert(new, id);
        }
        let (old_free, new_free) = (u64::from(old.0), u64::from(new.0));
        self.free_milli = self.free_milli + new_free - old_free;
        self.running_milli = self.running_milli + old_free - new_free;
        result
    }

    pub(super) fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.nodes.values().map(|node| &node.room)
    }
}

/// Place of a node in the index: what is free in all and in one piece.
fn spot(room: &Room) -> (u32, u32) {
    (room.free_milli, room.largest_piece())
}
