//! What pods ask of pools: waiting and held-back units, and what came and went since the last look.
//!
//! A pod is demand from the moment it is there, before the scheduler has said anything of it; only where it
//! could also find its place on GPU nodes that no pool scales, the scheduler is waited for. One that is
//! nominated has its place, which is being cleared: no node is needed. One that is held back by a gate
//! (Kueue and others) may or may not be admitted soon: it is told as queued, at evens.

use super::{
    findings::{Findings, Note},
    fit::{fit, shape_on},
    places::{Place, Places},
    pods::{Job, Pods, Tracked, ended},
    pools::Plan,
    shapes::{Owners, Shapes},
    store::Store,
};
use crate::{
    engine::PoolSettings,
    live::{
        actuate::marks::{OUR_DELAY, POD_DELAY},
        look::WaitingPod,
    },
    model::{
        Arrival, Finish, PoolSnapshot, Queued, ShapeId, Waiting,
        object::{Node, Pod, Unscheduled},
    },
    readiness::is_gpu_resource,
    time::Timestamp,
};
use std::{cmp::Reverse, collections::BTreeMap};

/// Chance that work which is held back is admitted within a lead time.
const EVENS: f64 = 0.5;
/// Pods named in findings.
const NAMED: usize = 20;

/// What is needed to number pods.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) now: Timestamp,
    /// The last look.
    pub(super) before: Option<Timestamp>,
    pub(super) plans: &'a [Plan<'a>],
    pub(super) pools: &'a [PoolSettings],
    /// Changes when what pools hold does.
    pub(super) generation: u64,
    pub(super) expendable_below: i32,
    pub(super) nodes: &'a Store<Node>,
    pub(super) places: Places<'a>,
}

/// Numbers that are given out.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub(super) shapes: Shapes,
    pub(super) owners: Owners,
    pub(super) next_job: u32,
}

/// What waits, by unit.
#[derive(Debug, Default)]
pub(super) struct Demand {
    pub(super) waiting: Vec<Waiting>,
    pub(super) pods: Vec<WaitingPod>,
    /// By pool: whole GPUs that pods ask of it first.
    pub(super) pending_gpus: Vec<u64>,
}

/// Pods that start together.
#[derive(Debug, Default)]
struct Unit {
    jobs: Vec<ShapeId>,
    oldest: Option<Timestamp>,
    priority: i32,
    home: usize,
    /// A member fits nowhere.
    is_stuck: bool,
    is_gated: bool,
}

impl Desk<'_> {
    /// Brings where pods fit up to date.
    pub(super) fn place(&self, pods: &mut Pods, numbers: &mut Numbers) {
        let stale = |tracked: &&mut Tracked| {
            tracked.fit.is_none_or(|(generation, _)| generation != self.generation)
        };
        let gone = pods.gone.iter_mut().filter(|tracked| tracked.job.is_none());
        let mut all: Vec<&mut Tracked> =
            pods.tracked.values_mut().chain(gone).filter(stale).collect();
        // In the order of creation, so that numbers do not depend on the order of news.
        all.sort_by(|a, b| age(&a.pod).cmp(&age(&b.pod)));
        for tracked in all {
            let fit = fit(&tracked.pod, self.plans, self.pools, &mut numbers.shapes);
            tracked.fit = Some((self.generation, fit));
        }
    }

    /// Tells pools what came and went.
    pub(super) fn log(&self, pods: &mut Pods, numbers: &mut Numbers, told: &mut [PoolSnapshot]) {
        self.move_away(pods, told);
        let mut gone = std::mem::take(&mut pods.gone);
        let mut fresh: Vec<&mut Tracked> =
            pods.tracked.values_mut().chain(&mut gone).filter(|one| self.is_new_job(one)).collect();
        fresh.sort_by(|a, b| age(&a.pod).cmp(&age(&b.pod)));
        for tracked in fresh {
            self.arrive(tracked, numbers, told);
        }
        for tracked in pods.tracked.values_mut() {
            tracked.was_gated = tracked.is_gated();
        }
        let over =
            pods.tracked.values_mut().filter(|tracked| tracked.is_over() && !tracked.is_told);
        for tracked in over.chain(&mut gone) {
            self.finish(tracked, told);
        }
        for pool in told {
            pool.arrivals.sort_by_key(|arrival| (arrival.at, arrival.job));
            pool.finishes.sort_by_key(|finish| (finish.at, finish.job));
        }
    }

    /// Who found a place with nodes of another pool or of none ends here without having run.
    fn move_away(&self, pods: &mut Pods, told: &mut [PoolSnapshot]) {
        for tracked in pods.tracked.values_mut().filter(|tracked| !tracked.is_told) {
            let (Some(job), Some(node)) = (&tracked.job, &tracked.pod.node) else { continue };
            let pool = self.plans.iter().position(|plan| plan.key == job.pool);
            let has_left = match self.places.of(node) {
                Place::Pool(other) => Some(other) != pool,
                Place::Elsewhere => true,
                Place::Unknown => false,
            };
            if !has_left {
                continue;
            }
            if let Some(pool) = pool {
                let at = tracked.pod.scheduled_at.map_or(self.now, |at| at.min(self.now));
                told[pool].finishes.push(Finish { job: job.number, started: at, at });
            }
            tracked.job = None;
        }
    }

    /// Where it runs, or fits first.
    fn pool_of(&self, tracked: &Tracked) -> Option<usize> {
        let home = tracked.fit.and_then(|(_, fit)| fit.home).map(|(pool, _)| pool);
        match tracked.pod.node.as_deref().map(|node| self.places.of(node)) {
            None => home,
            Some(Place::Pool(pool)) => Some(pool),
            Some(Place::Elsewhere | Place::Unknown) => None,
        }
    }

    /// Its pool and shape. What runs on a pool's nodes fits there, whatever is known of it.
    fn job(&self, tracked: &Tracked, numbers: &mut Numbers) -> Option<(usize, ShapeId)> {
        let pool = self.pool_of(tracked)?;
        match tracked.fit.and_then(|(_, fit)| fit.home) {
            Some(home) if home.0 == pool => Some(home),
            _ => {
                let shape = shape_on(&tracked.pod, pool, self.plans, self.pools)?;
                Some((pool, numbers.shapes.number(shape)))
            }
        }
    }

    fn is_new_job(&self, tracked: &Tracked) -> bool {
        let is_held = tracked.is_gated()
            || self.may_go_elsewhere(&tracked.pod)
            || (tracked.pod.node.is_none() && tracked.pod.meta.is_deleting);
        tracked.job.is_none()
            && !is_held
            && !tracked.is_everywhere()
            && !tracked.is_expendable(self.expendable_below)
            && self.pool_of(tracked).is_some()
    }

    fn arrive(&self, tracked: &mut Tracked, numbers: &mut Numbers, told: &mut [PoolSnapshot]) {
        let Some((pool, shape)) = self.job(tracked, numbers) else { return };
        let pod = &tracked.pod;
        let is_first_look = self.before.is_none();
        // Nobody runs at the first look of something that ended before.
        if is_first_look && tracked.is_over() {
            tracked.is_told = true;
            return;
        }
        let created = pod.meta.created.min(self.now);
        let at = if tracked.was_gated {
            self.now
        } else {
            self.before.map_or(created, |before| created.max(before))
        };
        let number = numbers.next_job;
        numbers.next_job = numbers.next_job.wrapping_add(1);
        told[pool].arrivals.push(Arrival {
            job: number,
            at,
            shape,
            owner: numbers.owners.number(pod.meta.owner.as_ref().map(|owner| owner.uid.as_str())),
            gpu_milli: numbers.shapes.get(shape).map_or(0, crate::model::Shape::demand_milli),
            is_running: is_first_look && pod.node.is_some(),
        });
        tracked.job = Some(Job { number, pool: self.plans[pool].key.clone() });
    }

    fn finish(&self, tracked: &mut Tracked, told: &mut [PoolSnapshot]) {
        let Some(job) = tracked.job.as_ref().filter(|_| !tracked.is_told) else { return };
        tracked.is_told = true;
        let Some(pool) = self.plans.iter().position(|plan| plan.key == job.pool) else { return };
        let (started, at) = ended(&tracked.pod, self.now);
        told[pool].finishes.push(Finish { job: job.number, started, at });
    }

    /// Units that wait, in the order in which they are served, and those that are held back.
    pub(super) fn demand(
        &self,
        pods: &Pods,
        told: &mut [PoolSnapshot],
        findings: &mut Findings,
    ) -> Demand {
        let mut demand = Demand { pending_gpus: vec![0; self.plans.len()], ..Demand::default() };
        let mut units: BTreeMap<(&str, &str, bool), Unit> = BTreeMap::new();
        let mut strangers = Vec::new();
        for (key, tracked) in pods.tracked.iter().filter(|(_, one)| self.is_waiting(one)) {
            let pod = &tracked.pod;
            let home = tracked.fit.and_then(|(_, fit)| fit.home);
            let is_gated = tracked.is_gated();
            let asks = || pod.requests.extended.keys().any(|name| is_gpu_resource(name));
            if home.is_none() && !asks() {
                continue;
            }
            let gang =
                pod.gang.as_ref().map(|gang| (pod.meta.namespace.as_str(), &*gang.name, true));
            let unit = units.entry(gang.unwrap_or((key, "", false))).or_default();
            unit.add(pod, home, is_gated);
            if is_gated {
                continue;
            }
            match home {
                Some((pool, _)) => demand.pending_gpus[pool] += self.gpus(pod, pool),
                None => strangers.push(key),
            }
            demand.pods.push(self.waiting_pod(pod, home.map(|(pool, _)| pool)));
        }
        demand.pods.sort_by(|a, b| {
            (a.created, &a.namespace, &a.name).cmp(&(b.created, &b.namespace, &b.name))
        });
        homeless(&strangers, findings);
        let (gated, waiting): (Vec<Unit>, Vec<Unit>) =
            units.into_values().filter(|unit| !unit.is_stuck).partition(|unit| unit.is_gated);
        demand.waiting = serve_in_order(waiting);
        for unit in serve_in_order_by_home(gated) {
            let (home, waiting) = unit;
            let queued = Queued { jobs: waiting.jobs, units: waiting.units, chance: EVENS };
            told[home].queued.push(queued);
        }
        demand
    }

    /// The scheduler has not said whether nodes that no pool scales can hold it.
    fn may_go_elsewhere(&self, pod: &Pod) -> bool {
        self.places.has_strangers
            && pod.node.is_none()
            && matches!(pod.unscheduled, None | Some(Unscheduled::NotSeen))
    }

    fn is_waiting(&self, tracked: &Tracked) -> bool {
        let pod = &tracked.pod;
        let has_place =
            pod.nominated_node.as_deref().is_some_and(|node| self.nodes.get(node).is_some());
        pod.node.is_none()
            && !self.may_go_elsewhere(pod)
            && !tracked.is_over()
            && !pod.meta.is_deleting
            && !has_place
            && !tracked.is_everywhere()
            && !tracked.is_expendable(self.expendable_below)
    }

    fn gpus(&self, pod: &Pod, pool: usize) -> u64 {
        let resource = &self.plans[pool].hardware.resource;
        pod.requests.extended.get(resource).copied().unwrap_or_default()
    }

    fn waiting_pod(&self, pod: &Pod, pool: Option<usize>) -> WaitingPod {
        let any = || pod.requests.extended.iter().filter(|(name, _)| is_gpu_resource(name));
        let gpus = pool.map_or_else(
            || any().fold(0, |sum: u64, (_, &count)| sum.saturating_add(count)),
            |pool| self.gpus(pod, pool),
        );
        let meta = &pod.meta;
        WaitingPod {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            created: meta.created,
            pool,
            gpu_milli: gpus.saturating_mul(1000),
            scale_up_delay: meta.annotations.get(POD_DELAY).cloned(),
            is_delay_ours: meta.annotations.contains_key(OUR_DELAY),
        }
    }
}

impl Unit {
    fn add(&mut self, pod: &Pod, home: Option<(usize, ShapeId)>, is_gated: bool) {
        let created = pod.meta.created;
        self.oldest = Some(self.oldest.map_or(created, |oldest| oldest.min(created)));
        self.priority =
            if self.jobs.is_empty() { pod.priority } else { self.priority.max(pod.priority) };
        self.is_gated |= is_gated;
        match home {
            Some((pool, shape)) => {
                self.home = if self.jobs.is_empty() { pool } else { self.home.max(pool) };
                self.jobs.push(shape);
            }
            None => self.is_stuck = true,
        }
    }
}

/// Equal units together; higher priority first, then the older.
fn serve_in_order(units: Vec<Unit>) -> Vec<Waiting> {
    serve_in_order_by_home(units).into_iter().map(|(_, waiting)| waiting).collect()
}

fn serve_in_order_by_home(units: Vec<Unit>) -> Vec<(usize, Waiting)> {
    let mut equal: BTreeMap<Vec<ShapeId>, (i32, usize, Waiting)> = BTreeMap::new();
    for mut unit in units {
        unit.jobs.sort_unstable();
        let oldest = unit.oldest.unwrap_or_default();
        let first = || {
            let waiting = Waiting { jobs: unit.jobs.clone(), units: 0, oldest };
            (unit.priority, unit.home, waiting)
        };
        let (_, _, waiting) = equal.entry(unit.jobs.clone()).or_insert_with(first);
        waiting.units = waiting.units.saturating_add(1);
        waiting.oldest = waiting.oldest.min(oldest);
    }
    let mut all: Vec<(i32, usize, Waiting)> = equal.into_values().collect();
    all.sort_by(|a, b| {
        (Reverse(a.0), a.2.oldest, &a.2.jobs).cmp(&(Reverse(b.0), b.2.oldest, &b.2.jobs))
    });
    all.into_iter().map(|(_, home, waiting)| (home, waiting)).collect()
}

fn homeless(pods: &[&String], findings: &mut Findings) {
    for key in pods.iter().take(NAMED) {
        let what = format!(
            "pod {key} fits no pool: look at its GPU count and resource, node selector, tolerations, CPU and memory"
        );
        findings.add(None, Note::new("FitsNoPool", what));
    }
    if let Some(more) = pods.len().checked_sub(NAMED).filter(|&more| more > 0) {
        findings.add(None, Note::new("FitsNoPool", format!("and {more} more pods fit no pool")));
    }
}

fn age(pod: &Pod) -> (Timestamp, &str, &str, &str) {
    let meta = &pod.meta;
    (meta.created, &meta.namespace, &meta.name, &meta.uid)
}
