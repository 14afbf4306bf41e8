//! The shadow: what a reactive controller would have at every instant, kept up step by step on the pool's
//! real events.
//!
//! It is the lower guard (never fewer nodes than this) and the base of the spending ledger. Its pool is
//! one of its own: jobs go there by best fit, nodes are requested for what waits and come up after the
//! lead time, idle ones go after a time-out. [`crate::world`] with [`crate::strategy::Reactive`] does the
//! same on jobs known to their end; here a job's run time is known only once it has really ended.
//!
//! A job that started later here than in reality ends later here by as much; one that started earlier
//! ends when the real one does, since nothing is known of it before. So the shadow can hold a node a
//! little longer than a reactive controller would, never shorter.
//!
//! Not modelled: refused and failed requests, draining nodes, gangs of several rows (each row starts on
//! its own).

mod queue;
mod stock;

#[cfg(test)]
mod tests;

use crate::{
    model::{Pool, Shape, ShapeId},
    packing::{Part, split},
    strategy::{Arrival, Finish, IDLE_DEFAULT},
    time::{Millis, Timestamp},
    world::Setup,
};
use queue::{Place, Queue};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};
use stock::{Seat, Stock};

/// Most jobs that wait here although they have really ended; more are forgotten.
const MOST_OWED: u32 = 1 << 16;

/// What the shadow is told at each step besides the events.
#[derive(Clone, Copy, Debug)]
pub struct ShadowWorld<'a> {
    /// The pool: size of its nodes, minimum, maximum.
    pub pool: &'a Pool,
    /// What shape ids stand for.
    pub shapes: &'a [Shape],
    /// From the request of a node until its GPUs are usable.
    pub lead: Millis,
    /// Idle nodes go after this long.
    pub idle: Millis,
    /// Spacing of decisions.
    pub grid: Millis,
}

impl<'a> ShadowWorld<'a> {
    /// With the pool's mean lead time, idle nodes kept for [`IDLE_DEFAULT`], decisions every
    /// [`Setup::DECISION_EVERY`].
    pub fn new(pool: &'a Pool, shapes: &'a [Shape]) -> Self {
        let lead = pool.lead_time.mean();
        Self { pool, shapes, lead, idle: IDLE_DEFAULT, grid: Setup::DECISION_EVERY }
    }
}

/// A job that has not ended here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    at: Timestamp,
    shape: ShapeId,
    /// How long it ran in reality, once that is known.
    run_time: Option<Millis>,
    /// Since when and where it runs here.
    running: Option<(Timestamp, Vec<Seat>)>,
}

/// A reactive controller and its pool, in lock-step with reality. Memory: the jobs that have not ended
/// and the nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    now: Timestamp,
    /// Integral of [`Shadow::alive`] since the start.
    node_ms: i128,
    stock: Stock,
    jobs: BTreeMap<u32, Job>,
    queue: Queue,
    /// Running jobs whose end is known and still to come.
    ends: BTreeSet<(Timestamp, u32)>,
    /// Jobs that wait here and have really ended.
    owed: u32,
    decide_at: Timestamp,
    has_begun: bool,
}

impl Shadow {
    /// Nothing exists; the first [`Shadow::advance`] brings what runs already and the minimum of nodes.
    pub const fn new(start: Timestamp) -> Self {
        Self {
            now: start,
            node_ms: 0,
            stock: Stock::new(),
            jobs: BTreeMap::new(),
            queue: Queue::new(),
            ends: BTreeSet::new(),
            owed: 0,
            decide_at: start,
            has_begun: false,
        }
    }

    /// Nodes that exist or are on their way.
    pub fn alive(&self) -> u32 {
        self.stock.alive()
    }

    /// Integral of [`Shadow::alive`] since the start, in node-milliseconds.
    pub fn node_ms(&self) -> i128 {
        self.node_ms
    }

    /// Whether what was kept can have been: every job waits or sits somewhere, once, and what nodes have
    /// left and what sits on them make up whole nodes.
    pub(crate) fn is_sound(&self, gpus_per_node: u32) -> bool {
        let running = |job: &&Job| job.running.is_some();
        let is_over = |job: &Job| job.run_time.is_some();
        let waits = |&(shape, (at, id)): &(ShapeId, Place)| {
            let found = self.jobs.get(&id).filter(|job| job.running.is_none());
            found.is_some_and(|job| (job.shape, job.at) == (shape, at))
        };
        let ends = |&(_, id): &(Timestamp, u32)| {
            self.jobs.get(&id).is_some_and(|job| job.running.is_some() && is_over(job))
        };
        let seated = self.jobs.values().filter(running);
        let waiting = self.jobs.len() - seated.clone().count();
        let owed = self.jobs.values().filter(|job| job.running.is_none() && is_over(job)).count();
        let seats = seated.clone().flat_map(|job| job.running.iter().flat_map(|(_, seats)| seats));
        self.queue.places().count() == waiting
            && self.queue.places().all(|place| waits(&place))
            && self.ends.len() == seated.filter(|job| is_over(job)).count()
            && self.ends.iter().all(ends)
            && self.owed as usize == owed
            && self.node_ms.unsigned_abs() <= 1 << 100
            && self.stock.is_sound(seats, gpus_per_node)
    }

    /// The next instant at which something changes by itself: a node becomes usable, a job ends, a
    /// decision is due. [`Timestamp::NEVER`] if nothing will.
    pub fn next_change(&self) -> Timestamp {
        let end = self.ends.first().map_or(Timestamp::NEVER, |&(at, _)| at);
        end.min(self.stock.next_usable()).min(self.decide_at)
    }

    /// Jobs not known to have ended, in order of their ids. A job that vanished unseen stays here for
    /// good: whoever lost sight of jobs compares and tells of their ends.
    pub fn unfinished(&self) -> impl Iterator<Item = u32> {
        self.jobs.iter().filter(|(_, job)| job.run_time.is_none()).map(|(&id, _)| id)
    }

    /// Goes on to `now`, working off the events told and its own in order of time.
    ///
    /// Events lie between the last look and `now`, each list in order of time; older ones count as of the
    /// last look, later ones as of `now`. A job that is known already does not arrive again. A job that
    /// was withdrawn without having run is a finish that started when it ended.
    pub fn advance(
        &mut self,
        now: Timestamp,
        mut arrivals: &[Arrival],
        mut finishes: &[Finish],
        world: &ShadowWorld<'_>,
    ) {
        loop {
            let arrival = arrivals.first().map_or(Timestamp::NEVER, |arrival| arrival.at.min(now));
            let finish = finishes.first().map_or(Timestamp::NEVER, |finish| finish.at.min(now));
            let next = self.next_change().min(arrival).min(finish).max(self.now);
            if next > now {
                break;
            }
            self.pass(next);
            let until = if next == now { Timestamp::NEVER } else { next };
            let begun = split_off(&mut arrivals, |arrival| arrival.at <= until);
            let ended = split_off(&mut finishes, |finish| finish.at <= until);
            self.step(begun, ended, world);
        }
        self.pass(now);
    }

    /// Time passes with nothing changed.
    fn pass(&mut self, to: Timestamp) {
        if to > self.now {
            self.node_ms += i128::from(self.alive()) * i128::from((to - self.now).0);
            self.now = to;
        }
    }

    /// Everything that happens at this instant, in the order of [`crate::world`].
    fn step(&mut self, arrivals: &[Arrival], finishes: &[Finish], world: &ShadowWorld<'_>) {
        let mut grew = self.end_jobs(finishes);
        grew |= self.stock.bring_up(self.now, world.pool);
        let mut tried = self.take_arrivals(arrivals, world);
        // A job can come and be gone between two looks.
        grew |= self.end_jobs(finishes);
        if grew {
            tried.extend(self.queue.shapes());
        }
        let started = self.schedule(tried, world);
        if grew || started || !arrivals.is_empty() || !finishes.is_empty() {
            self.decide_at = self.decide_at.min(self.now);
        }
        self.decide_at = self.decide_at.ceil_to(world.grid);
        if self.decide_at <= self.now {
            self.decide(world);
        }
    }

    /// Returns whether room was made.
    fn end_jobs(&mut self, finishes: &[Finish]) -> bool {
        for finish in finishes {
            self.hear(finish);
        }
        let mut grew = false;
        while let Some(&(at, id)) = self.ends.first().filter(|&&(at, _)| at <= self.now) {
            self.ends.remove(&(at, id));
            let running = self.jobs.remove(&id).and_then(|job| job.running);
            if let Some((_, seats)) = running {
                self.stock.give(&seats, self.now);
                grew = true;
            }
        }
        grew
    }

    /// A job has really ended. Hearing it twice changes nothing.
    fn hear(&mut self, finish: &Finish) {
        let Some(job) = self.jobs.get_mut(&finish.job) else { return };
        if job.run_time.is_some() {
            return;
        }
        // What was running when first seen counts from then on.
        let run_time = finish.at - finish.started.max(job.at);
        job.run_time = Some(run_time);
        if let Some((since, _)) = job.running {
            self.ends.insert(((since + run_time).max(self.now), finish.job));
        } else if run_time <= Millis::ZERO || self.owed >= MOST_OWED {
            let (shape, place) = (job.shape, (job.at, finish.job));
            self.jobs.remove(&finish.job);
            self.queue.leave(shape, place);
        } else {
            self.owed += 1;
        }
    }

    /// Returns the shapes of which the first waiting job is new.
    fn take_arrivals(
        &mut self,
        arrivals: &[Arrival],
        world: &ShadowWorld<'_>,
    ) -> BTreeSet<ShapeId> {
        let mut fresh = BTreeSet::new();
        for arrival in arrivals.iter().filter(|arrival| arrival.is_running) {
            if self.enter(arrival, world) && !self.place_running(arrival, world) {
                fresh.extend(self.queue.join(arrival));
            }
        }
        if !self.has_begun {
            self.has_begun = true;
            self.stock.fill_up(world.pool, self.now);
        }
        for arrival in arrivals.iter().filter(|arrival| !arrival.is_running) {
            if self.enter(arrival, world) {
                fresh.extend(self.queue.join(arrival));
            }
        }
        fresh
    }

    /// Takes note of a job, unless it is known already or no node of the pool could ever hold it.
    fn enter(&mut self, arrival: &Arrival, world: &ShadowWorld<'_>) -> bool {
        let is_new = !self.jobs.contains_key(&arrival.job) && parts(arrival.shape, world).is_some();
        if is_new {
            let (at, shape) = (arrival.at, arrival.shape);
            self.jobs.insert(arrival.job, Job { at, shape, run_time: None, running: None });
        }
        is_new
    }

    /// Puts a job that runs already on usable nodes, made for it if need be.
    fn place_running(&mut self, arrival: &Arrival, world: &ShadowWorld<'_>) -> bool {
        let Some(parts) = parts(arrival.shape, world) else { return false };
        let seats = self.stock.seat(&parts).or_else(|| {
            self.stock.add_for(&parts, world.pool, self.now);
            self.stock.seat(&parts)
        });
        let Some(seats) = seats else { return false };
        if let Some(job) = self.jobs.get_mut(&arrival.job) {
            job.running = Some((self.now, seats));
        }
        true
    }

    /// Starts what fits of these shapes, by priority, arrival and id. Where the first of a shape does not
    /// fit, no other does.
    fn schedule(&mut self, tried: BTreeSet<ShapeId>, world: &ShadowWorld<'_>) -> bool {
        let mut heads: BinaryHeap<_> =
            tried.into_iter().filter_map(|shape| self.queue.head(shape, world)).collect();
        let mut started = false;
        while let Some(Reverse((_, place, shape))) = heads.pop() {
            if self.start(shape, place, world) {
                started = true;
                heads.extend(self.queue.head(shape, world));
            }
        }
        started
    }

    fn start(&mut self, shape: ShapeId, place: Place, world: &ShadowWorld<'_>) -> bool {
        let Some(seats) = parts(shape, world).and_then(|parts| self.stock.seat(&parts)) else {
            return false;
        };
        self.queue.leave(shape, place);
        let Some(job) = self.jobs.get_mut(&place.1) else { return false };
        job.running = Some((self.now, seats));
        if let Some(run_time) = job.run_time {
            self.ends.insert((self.now + run_time, place.1));
            self.owed -= 1;
        }
        true
    }

    /// Requests nodes for what waits, or lets idle ones go.
    fn decide(&mut self, world: &ShadowWorld<'_>) {
        let waiting = self.queue.in_packing_order(world);
        self.stock.scale(self.now, &waiting, world);
        let expiry = self.stock.next_idle_after(self.now - world.idle);
        self.decide_at = expiry.map_or(Timestamp::NEVER, |since| since + world.idle);
        self.decide_at = self.decide_at.ceil_to(world.grid);
    }
}

fn parts(shape: ShapeId, world: &ShadowWorld<'_>) -> Option<Vec<Part>> {
    split(world.shapes.get(shape.0 as usize)?, world.pool)
}

/// The events at the front that are due.
fn split_off<'a, T>(events: &mut &'a [T], is_due: impl Fn(&T) -> bool) -> &'a [T] {
    let due = events.iter().take_while(|event| is_due(event)).count();
    let (now, later) = events.split_at(due);
    *events = later;
    now
}
