//! The event loop.

use super::{
    attribution::Attribution,
    classes::{ClassId, Classes},
    controller::{self, Controller},
    fleet::{Fleet, NodeId, Requested},
    need::{self, Need},
    outcome::{NodeLife, Outcome},
    placement::{Seats, Typical, find, seat_all},
    queue::{JobId, Queue},
    series::{Level, Recorder},
    setup::{Placement, Setup},
};
use crate::{
    model::{Action, Shape, Snapshot, Trace},
    packing::split,
    strategy::{
        Arrival, Finish, PoolView, Strategy, Timers,
        settle::{Plan, settle},
    },
    time::{Millis, Timestamp},
};
use smallvec::SmallVec;
use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

/// How many steps pass between two looks at the interruption flag.
const STEPS_PER_LOOK: u32 = 128;

/// Simulates the trace with one strategy per pool.
///
/// `go_on` is asked now and then with the instant reached; `false` ends the run there and marks it
/// partial. Rows marked preexisting run from second 0 on nodes that exist then; min nodes exist too.
///
/// # Panics
/// If there is not exactly one strategy per pool.
pub fn run(
    trace: &Trace,
    setup: &Setup,
    strategies: &mut [Box<dyn Strategy>],
    go_on: &dyn Fn(Timestamp) -> bool,
) -> Outcome {
    assert_eq!(strategies.len(), setup.pools.len(), "one strategy per pool");
    let mut world = World::new(trace, setup, Brain::Strategies(strategies));
    world.populate();
    world.run(go_on);
    world.finish()
}

/// As [`run`], with one controller for all pools.
pub fn run_controlled(
    trace: &Trace,
    setup: &Setup,
    controller: &mut dyn Controller,
    go_on: &dyn Fn(Timestamp) -> bool,
) -> Outcome {
    let mut world = World::new(trace, setup, Brain::Controller(controller));
    world.populate();
    world.run(go_on);
    world.finish()
}

/// Who decides.
enum Brain<'a> {
    /// One strategy per pool.
    Strategies(&'a mut [Box<dyn Strategy>]),
    /// One controller for all.
    Controller(&'a mut dyn Controller),
}

/// What a node does next, in the order it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Failed,
    Ready,
    Usable,
    Gone,
}

#[derive(Debug)]
struct Running {
    pool: u32,
    seats: Seats,
}

struct World<'a> {
    trace: &'a Trace,
    setup: &'a Setup,
    brain: Brain<'a>,
    snapshot: Snapshot,
    timers: Timers,
    now: Timestamp,
    classes: Classes,
    fleets: Vec<Fleet>,
    queue: Queue,
    typical: Typical,
    /// Index of the next arrival in the trace.
    next_job: usize,
    running: Vec<Running>,
    free_slots: Vec<u32>,
    ends: BinaryHeap<Reverse<(Timestamp, JobId, u32)>>,
    node_events: BinaryHeap<Reverse<(Timestamp, NodeId, Stage)>>,
    lives: Vec<NodeLife>,
    starts: Vec<Timestamp>,
    /// Demand waiting by preferred pool.
    waiting_milli: Vec<u64>,
    demand_integral: Vec<i128>,
    arrivals: Vec<Vec<Arrival>>,
    finishes: Vec<Vec<Finish>>,
    /// Classes in which something arrived at this instant behind nobody.
    fresh: BTreeSet<ClassId>,
    capacity_grew: bool,
    is_dirty: bool,
    /// The next instant at which a strategy wants to look although nothing happened.
    wake_at: Timestamp,
    /// The instant of the last decision.
    decided_at: Option<Timestamp>,
    attribution: Attribution,
    recorder: Option<Recorder>,
    events: u64,
    is_partial: bool,
}

impl<'a> World<'a> {
    fn new(trace: &'a Trace, setup: &'a Setup, brain: Brain<'a>) -> Self {
        let timers = match &brain {
            Brain::Strategies(strategies) => strategies.first().map(|first| first.timers()),
            Brain::Controller(_) => None,
        }
        .unwrap_or_default();
        let pools = setup.pools.len();
        let fleet = |(index, pool)| {
            let fits = |shape: &&Shape| split(shape, pool).is_some();
            let shared = trace.shapes.iter().filter(fits).any(|shape| shape.gpu_milli < 1000);
            let is_simple = !shared && pool.cpu_milli.is_none() && pool.memory_mib.is_none();
            Fleet::new(pool, index, setup.seed, shared, is_simple)
        };
        Self {
            trace,
            setup,
            brain,
            snapshot: controller::blank(&trace.shapes, pools),
            timers,
            now: Timestamp::ZERO,
            classes: Classes::new(trace, &setup.pools),
            fleets: (0u32..).zip(&setup.pools).map(fleet).collect(),
            queue: Queue::new(trace, setup.score_from),
            typical: Typical::default(),
            next_job: 0,
            running: Vec::new(),
            free_slots: Vec::new(),
            ends: BinaryHeap::new(),
            node_events: BinaryHeap::new(),
            lives: Vec::new(),
            starts: vec![Timestamp::NEVER; trace.jobs.len()],
            waiting_milli: vec![0; pools],
            demand_integral: vec![0; pools],
            arrivals: vec![Vec::new(); pools],
            finishes: vec![Vec::new(); pools],
            fresh: BTreeSet::new(),
            capacity_grew: false,
            is_dirty: true,
            wake_at: Timestamp::NEVER,
            decided_at: None,
            attribution: Attribution::new(),
            recorder: setup.series_bin.map(|bin| Recorder::new(bin, setup.end)),
            events: 0,
            is_partial: false,
        }
    }

    /// The world at second 0: preexisting jobs, larger ones first, on nodes made for them, and the
    /// minimum of nodes.
    fn populate(&mut self) {
        let jobs = &self.trace.jobs;
        let mut existing: Vec<JobId> =
            (0u32..).zip(jobs).filter(|(_, job)| job.is_preexisting()).map(|(id, _)| id).collect();
        let size = |id: JobId| self.trace.shape(&jobs[id as usize]).demand_milli();
        existing.sort_by_key(|&id| Reverse((size(id), jobs[id as usize].duration, Reverse(id))));
        for id in existing {
            self.place_existing(id);
        }
        for pool in 0..self.fleets.len() {
            while self.fleets[pool].usable() < self.fleets[pool].pool.min_nodes {
                self.add_existing_node(pool);
            }
        }
    }

    /// A job that does not fit even then (no pool for it, or the maximum reached) waits like one that
    /// arrives at second 0.
    fn place_existing(&mut self, id: JobId) {
        self.note_arrival(id);
        let class = self.trace.jobs[id as usize].shape.0;
        if self.try_start(class, &[id]) {
            return;
        }
        for pool in self.classes.get(class).pools.clone() {
            let fleet = &self.fleets[pool as usize];
            let parts = &self.classes.get(class).bare_parts[pool as usize];
            let Some(nodes) = need::new_nodes_for(fleet, parts) else { continue };
            for _ in 0..nodes {
                self.add_existing_node(pool as usize);
            }
            if self.try_start(class, &[id]) {
                return;
            }
        }
        self.submit(id);
    }

    fn add_existing_node(&mut self, pool: usize) {
        let id = self.new_life(pool);
        let life = &mut self.lives[id as usize];
        (life.ready, life.usable) = (Timestamp::ZERO, Timestamp::ZERO);
        self.fleets[pool].add_existing(id, Timestamp::ZERO);
        self.capacity_grew = true;
    }

    fn new_life(&mut self, pool: usize) -> NodeId {
        self.lives.push(NodeLife {
            pool: pool as u32,
            requested: self.now,
            ready: Timestamp::NEVER,
            usable: Timestamp::NEVER,
            drained: Timestamp::NEVER,
            gone: Timestamp::NEVER,
            used: false,
            failed: false,
        });
        (self.lives.len() - 1) as NodeId
    }

    fn run(&mut self, go_on: &dyn Fn(Timestamp) -> bool) {
        let mut steps = 0u32;
        loop {
            let next = self.next_instant();
            if next >= self.setup.end {
                self.advance(self.setup.end);
                return;
            }
            self.advance(next);
            self.step();
            steps += 1;
            if steps.is_multiple_of(STEPS_PER_LOOK) && !go_on(self.now) {
                self.is_partial = true;
                return;
            }
        }
    }

    fn next_instant(&self) -> Timestamp {
        let arrival = self.next_arrival().map_or(Timestamp::NEVER, |job| job.submit);
        let end = self.ends.peek().map_or(Timestamp::NEVER, |Reverse((at, ..))| *at);
        let node = self.node_events.peek().map_or(Timestamp::NEVER, |Reverse((at, ..))| *at);
        arrival.min(end).min(node).min(self.next_decision())
    }

    /// At most one decision is made at an instant, however fast nodes come.
    fn next_decision(&self) -> Timestamp {
        let at = if self.is_dirty { self.now } else { self.wake_at };
        let is_made = self.decided_at == Some(self.now);
        let earliest = if is_made { self.now + Millis(1) } else { self.now };
        at.max(earliest).ceil_to(self.setup.decision_every)
    }

    fn next_arrival(&self) -> Option<&crate::model::Job> {
        self.trace.jobs.get(self.next_job)
    }

    /// Time passes with nothing changed.
    fn advance(&mut self, to: Timestamp) {
        let span = to - self.now;
        if span == Millis::ZERO {
            return;
        }
        for (pool, fleet) in self.fleets.iter().enumerate() {
            let demand = fleet.running_milli + self.waiting_milli[pool];
            self.demand_integral[pool] += i128::from(demand) * i128::from(span.0);
        }
        self.attribution.advance(span);
        if self.recorder.is_some() {
            let level = self.level();
            if let Some(recorder) = &mut self.recorder {
                recorder.add(self.now, to, level);
            }
        }
        self.now = to;
    }

    fn level(&self) -> Level {
        let sum = |of: &dyn Fn(&Fleet) -> u64| self.fleets.iter().map(of).sum::<u64>();
        let nodes =
            |fleet: &Fleet, count: u32| u64::from(count) * u64::from(fleet.empty_node.free_milli);
        Level {
            demand: sum(&|fleet| fleet.running_milli) + self.queue.waiting_milli,
            usable: sum(&|fleet| nodes(fleet, fleet.usable())),
            warming: sum(&|fleet| nodes(fleet, fleet.in_flight())),
            waiting: self.queue.waiting_milli,
        }
    }

    /// Everything that happens at this instant.
    fn step(&mut self) {
        self.end_jobs();
        self.change_nodes();
        self.take_arrivals();
        self.schedule();
        if self.next_decision() <= self.now {
            self.decide();
        } else {
            self.attribution.refresh(self.now, &self.queue, &self.classes, &self.fleets);
        }
    }

    fn end_jobs(&mut self) {
        while let Some(&Reverse((at, id, slot))) = self.ends.peek() {
            if at > self.now {
                break;
            }
            self.ends.pop();
            let job = &mut self.running[slot as usize];
            let fleet = &mut self.fleets[job.pool as usize];
            for seat in job.seats.drain(..) {
                fleet.give(seat.node, &seat.part, seat.mask, self.now);
            }
            self.free_slots.push(slot);
            if let Some(home) = self.home(id) {
                let started = self.starts[id as usize];
                self.finishes[home].push(Finish { job: id, started, at: self.now });
            }
            self.events += 1;
            self.capacity_grew = true;
            self.is_dirty = true;
        }
    }

    fn change_nodes(&mut self) {
        while let Some(&Reverse((at, id, stage))) = self.node_events.peek() {
            if at > self.now {
                break;
            }
            self.node_events.pop();
            self.change_node(id, stage);
            self.events += 1;
            self.is_dirty = true;
        }
    }

    fn change_node(&mut self, id: NodeId, stage: Stage) {
        let life = &mut self.lives[id as usize];
        let fleet = &mut self.fleets[life.pool as usize];
        match stage {
            Stage::Failed => {
                (life.failed, life.gone) = (true, self.now);
                fleet.failed(id);
            }
            Stage::Ready => {
                life.ready = self.now;
                fleet.became_ready(id, self.now);
            }
            Stage::Usable => {
                life.usable = self.now;
                fleet.became_usable(id, self.now);
                self.capacity_grew = true;
            }
            Stage::Gone => {
                life.gone = self.now;
                fleet.draining -= 1;
            }
        }
    }

    fn take_arrivals(&mut self) {
        while let Some(job) = self.next_arrival() {
            if job.submit > self.now {
                break;
            }
            let id = self.next_job as JobId;
            self.next_job += 1;
            if !self.trace.jobs[id as usize].is_preexisting() {
                self.note_arrival(id);
                self.submit(id);
            }
        }
    }

    /// The pool that a job would go to first.
    fn home(&self, id: JobId) -> Option<usize> {
        let class = self.classes.get(self.trace.jobs[id as usize].shape.0);
        class.pools.first().map(|&pool| pool as usize)
    }

    /// Tells strategies and the fragmentation statistics of an arrival.
    fn note_arrival(&mut self, id: JobId) {
        let job = &self.trace.jobs[id as usize];
        let class = self.classes.get(job.shape.0);
        let Some(&home) = class.pools.first() else { return };
        self.arrivals[home as usize].push(Arrival {
            job: id,
            at: self.now,
            shape: job.shape,
            owner: job.owner,
            gpu_milli: class.demand_milli,
            is_running: job.is_preexisting(),
        });
        self.typical.note(&class.bare_parts[home as usize][0], self.now);
    }

    fn submit(&mut self, id: JobId) {
        self.is_dirty = true;
        let pools = &self.setup.pools;
        let Some(class) = self.queue.submit(id, self.trace, &mut self.classes, pools) else {
            return;
        };
        if let Some(&home) = self.classes.get(class).pools.first() {
            self.waiting_milli[home as usize] += self.classes.get(class).demand_milli;
        }
        // Behind others of its class, or ahead of them as an older gang: tried only if it is first.
        if self.queue.line(class).units.len() == 1 {
            self.fresh.insert(class);
        }
    }

    /// Starts what fits, by priority, submit time and id. Without new capacity only newcomers can fit;
    /// and if the first unit of a class does not fit, no other of its class does.
    fn schedule(&mut self) {
        let mut tried = std::mem::take(&mut self.fresh);
        if self.capacity_grew {
            tried.extend(self.queue.active.iter().filter(|&&class| self.may_fit_now(class)));
            self.capacity_grew = false;
            self.fleets.iter_mut().for_each(Fleet::forget_grown);
        }
        let mut heads: BinaryHeap<_> =
            tried.into_iter().filter_map(|class| self.head(class)).collect();
        while let Some(Reverse((_, first, class))) = heads.pop() {
            if self.start_unit(class, first) {
                heads.extend(self.head(class));
            }
        }
    }

    fn may_fit_now(&self, class: ClassId) -> bool {
        let class = self.classes.get(class);
        let parts = |pool: u32| &class.bare_parts[pool as usize];
        class.pools.iter().any(|&pool| self.fleets[pool as usize].may_fit_now(parts(pool)))
    }

    /// The first unit of a class, in the order in which units are tried.
    fn head(&self, class: ClassId) -> Option<Reverse<(Reverse<i32>, JobId, ClassId)>> {
        let first = *self.queue.line(class).units.front()?;
        Some(Reverse((Reverse(self.classes.get(class).priority), first, class)))
    }

    fn start_unit(&mut self, class: ClassId, first: JobId) -> bool {
        let jobs = self.queue.jobs_of(first);
        if !self.try_start(class, &jobs) {
            return false;
        }
        self.queue.pop(class, self.trace);
        let of_class = self.classes.get(class);
        if let Some(&home) = of_class.pools.first() {
            self.waiting_milli[home as usize] -= of_class.demand_milli;
        }
        self.attribution.started(class, of_class.demand_milli);
        true
    }

    /// Seats the jobs of one unit on the first pool with room and starts them.
    fn try_start(&mut self, class: ClassId, jobs: &[JobId]) -> bool {
        let Some((pool, seats)) = self.seat(class, jobs.len()) else { return false };
        for (&job, seats) in jobs.iter().zip(seats) {
            self.start(job, pool, seats);
        }
        true
    }

    fn seat(&mut self, class: ClassId, jobs: usize) -> Option<(u32, SmallVec<[Seats; 1]>)> {
        let class = self.classes.get(class);
        let (placement, typical) = (self.setup.placement, &self.typical);
        class.pools.iter().find_map(|&pool| {
            let parts = &class.parts[pool as usize];
            let fleet = &mut self.fleets[pool as usize];
            if fleet.free_milli < class.demand_milli {
                return None;
            }
            let mut seat = |placement| {
                seat_all(fleet, parts, jobs, |fleet, part| find(fleet, part, placement, typical))
            };
            // Parts of different sizes may fit tightly although they do not fit as preferred. The need
            // is packed tightly, so nobody would ask for the node that the preference lacks.
            let is_mixed = parts.iter().any(|(_, part)| *part != parts[0].1);
            let seats = seat(placement).or_else(|| {
                if is_mixed && placement != Placement::BestFit {
                    seat(Placement::BestFit)
                } else {
                    None
                }
            })?;
            Some((pool, seats))
        })
    }

    fn start(&mut self, id: JobId, pool: u32, seats: Seats) {
        for seat in &seats {
            self.lives[seat.node as usize].used = true;
        }
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.running.push(Running { pool, seats: Seats::new() });
            (self.running.len() - 1) as u32
        });
        self.running[slot as usize] = Running { pool, seats };
        self.starts[id as usize] = self.now;
        self.ends.push(Reverse((self.now + self.trace.jobs[id as usize].duration, id, slot)));
        self.events += 1;
        self.is_dirty = true;
    }

    /// Asks the strategies and carries out what they want. A refused request is followed by another
    /// look, so that waiting jobs spill over to the next pool at once.
    fn decide(&mut self) {
        self.decided_at = Some(self.now);
        for _ in 0..=self.fleets.len() {
            self.is_dirty = false;
            let need = self.look();
            self.wake_at = need.next_ripe.unwrap_or(Timestamp::NEVER);
            let refused = match self.brain {
                Brain::Strategies(_) => self.ask_strategies(&need),
                Brain::Controller(_) => self.ask_controller(),
            };
            if !refused {
                self.attribution.decided(&need, &self.classes);
                break;
            }
        }
        self.attribution.refresh(self.now, &self.queue, &self.classes, &self.fleets);
    }

    /// Returns whether the provider refused a request.
    fn ask_controller(&mut self) -> bool {
        self.tell();
        let Brain::Controller(controller) = &mut self.brain else { return false };
        let (actions, wake_at) = controller.decide(self.now, &mut self.snapshot);
        self.wake_at = self.wake_at.min(wake_at.max(self.now + Millis(1)));
        let mut refused = false;
        for action in actions {
            match action {
                Action::Create { pool, nodes } => refused |= self.create(pool as usize, nodes),
                Action::Remove { pool, node } => self.remove(pool as usize, node.0),
            }
        }
        refused
    }

    /// Writes what is to be seen now into the snapshot.
    fn tell(&mut self) {
        for (pool, fleet) in self.fleets.iter_mut().enumerate() {
            let told = &mut self.snapshot.pools[pool];
            controller::tell_nodes(fleet, &mut told.nodes);
            told.running_milli = fleet.running_milli;
            told.was_refused = std::mem::take(&mut fleet.has_refused);
            told.arrivals.clear();
            told.finishes.clear();
            std::mem::swap(&mut told.arrivals, &mut self.arrivals[pool]);
            std::mem::swap(&mut told.finishes, &mut self.finishes[pool]);
        }
        controller::tell_waiting(
            &self.queue,
            &self.classes,
            self.trace,
            &mut self.snapshot.waiting,
        );
    }

    /// Returns whether the provider refused a request.
    fn ask_strategies(&mut self, need: &Need) -> bool {
        let mut refused = false;
        for pool in 0..self.fleets.len() {
            refused |= self.decide_pool(pool, need);
        }
        refused
    }

    fn look(&self) -> Need {
        need::look(self.now, &self.fleets, &self.queue, self.trace, &self.classes, self.timers)
    }

    /// Returns whether the provider refused a request.
    fn decide_pool(&mut self, pool: usize, need: &Need) -> bool {
        let mut arrivals = std::mem::take(&mut self.arrivals[pool]);
        let mut finishes = std::mem::take(&mut self.finishes[pool]);
        let view = self.view(pool, need, &arrivals, &finishes);
        let Brain::Strategies(strategies) = &mut self.brain else { return false };
        let want = strategies[pool].want(&view);
        let fleet = &self.fleets[pool];
        let plan = settle(&view, &want, fleet.idle_since());
        let next_expiry = fleet
            .next_idle_after(self.now - want.idle_timeout)
            .map(|since| since + want.idle_timeout);
        let grows_again = Some(fleet.backoff_until).filter(|&until| until > self.now);
        arrivals.clear();
        finishes.clear();
        (self.arrivals[pool], self.finishes[pool]) = (arrivals, finishes);
        let shrinks_on = Some(self.now + Millis(1))
            .filter(|_| plan.remove > 0 && plan.remove == want.most_removals);
        let wakes = [Some(want.wake_at), next_expiry, grows_again, shrinks_on];
        let future = wakes.into_iter().flatten().filter(|&at| at > self.now).min();
        self.wake_at = self.wake_at.min(future.unwrap_or(Timestamp::NEVER));
        self.carry_out(pool, plan)
    }

    fn view<'v>(
        &self,
        pool: usize,
        need: &'v Need,
        arrivals: &'v [Arrival],
        finishes: &'v [Finish],
    ) -> PoolView<'v>
    where
        'a: 'v,
    {
        let fleet = &self.fleets[pool];
        let need = &need.pools[pool];
        PoolView {
            now: self.now,
            gpus_per_node: fleet.pool.gpus_per_node,
            lead_time: fleet.pool.lead_time.mean(),
            min_nodes: fleet.pool.min_nodes,
            max_nodes: fleet.pool.max_nodes,
            usable_nodes: fleet.usable(),
            idle_nodes: fleet.idle_count(),
            in_flight_nodes: fleet.in_flight(),
            running_milli: fleet.running_milli,
            waiting_milli: self.waiting_milli[pool],
            demand_integral: self.demand_integral[pool],
            firm_nodes: need.firm_nodes,
            spare_milli: need.spare_milli,
            spare_nodes: need.spare_nodes,
            fragments: &need.fragments,
            arrivals,
            finishes,
            shapes: &self.trace.shapes,
            last_create: fleet.last_create,
        }
    }

    fn carry_out(&mut self, pool: usize, plan: Plan) -> bool {
        if self.now >= self.fleets[pool].backoff_until && self.create(pool, plan.create) {
            return true;
        }
        for _ in 0..plan.remove {
            let Some(id) = self.fleets[pool].idlest() else { break };
            self.remove(pool, id);
        }
        false
    }

    /// Returns whether the provider refused a request; the rest is not asked for then.
    fn create(&mut self, pool: usize, nodes: u32) -> bool {
        for _ in 0..nodes {
            let Some(requested) = self.fleets[pool].request(self.now) else { return true };
            self.await_node(pool, &requested);
        }
        false
    }

    /// Removes a node unless something runs on it.
    fn remove(&mut self, pool: usize, id: NodeId) {
        let Some(id) = self.fleets[pool].drain(id) else { return };
        self.lives[id as usize].drained = self.now;
        let gone = self.now + self.fleets[pool].pool.drain;
        self.node_events.push(Reverse((gone, id, Stage::Gone)));
    }

    fn await_node(&mut self, pool: usize, requested: &Requested) {
        let id = self.new_life(pool);
        self.fleets[pool].awaits(id, self.now);
        match *requested {
            Requested::Fails { at } => self.node_events.push(Reverse((at, id, Stage::Failed))),
            Requested::ComesUp { ready, usable } => {
                self.node_events.push(Reverse((ready, id, Stage::Ready)));
                self.node_events.push(Reverse((usable, id, Stage::Usable)));
            }
        }
    }

    fn finish(self) -> Outcome {
        Outcome {
            starts: self.starts,
            nodes: self.lives,
            causes: self.attribution.causes,
            pools: self.fleets.iter().map(|fleet| fleet.totals).collect(),
            series: self.recorder.map(Recorder::finish),
            events: self.events,
            ended_at: self.now,
            is_partial: self.is_partial,
        }
    }
}
