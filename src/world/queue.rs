//! Jobs that wait, in order of priority, submit time, id; no job stands in the way of another.

use super::classes::{ClassId, Classes};
use crate::{
    model::{GangId, Job, Trace},
    time::Timestamp,
};
use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Index into [`Trace::jobs`]; lower = submitted earlier.
pub(super) type JobId = u32;

/// The jobs that start together.
pub(super) type Unit = SmallVec<[JobId; 1]>;

/// Waiting members of one class.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// By the id of the unit's first job.
    pub(super) units: VecDeque<JobId>,
    /// Demand of those that are scored, in thousandths of a GPU.
    pub(super) scored_milli: u64,
}

/// A gang whose members are still coming.
#[derive(Debug, Default)]
struct Forming {
    members: Vec<JobId>,
    /// It has started, or ran already at second 0; later members go on their own.
    is_open: bool,
}

/// All that waits.
#[derive(Debug)]
pub(super) struct Queue {
    lines: Vec<Line>,
    /// Classes with waiting members.
    pub(super) active: BTreeSet<ClassId>,
    forming: Vec<Forming>,
    /// Members of gangs that wait as one, by first job.
    gangs: BTreeMap<JobId, Vec<JobId>>,
    /// Waiting demand in thousandths of a GPU, gangs that are still forming included.
    pub(super) waiting_milli: u64,
    /// Demand of scored members of forming gangs.
    pub(super) forming_scored_milli: u64,
    score_from: Timestamp,
}

impl Queue {
    pub(super) fn new(trace: &Trace, score_from: Timestamp) -> Self {
        let mut forming: Vec<_> = trace.gangs.iter().map(|_| Forming::default()).collect();
        for job in trace.jobs.iter().filter(|job| job.is_preexisting()) {
            if let Some(gang) = forming.get_mut(job.gang.0 as usize) {
                gang.is_open = true;
            }
        }
        Self {
            lines: Vec::new(),
            active: BTreeSet::new(),
            forming,
            gangs: BTreeMap::new(),
            waiting_milli: 0,
            forming_scored_milli: 0,
            score_from,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    pub(super) fn line(&self, class: ClassId) -> &Line {
        &self.lines[class as usize]
    }

    /// Takes in a job. Returns the class in which a unit now waits, if one does.
    pub(super) fn submit(
        &mut self,
        id: JobId,
        trace: &Trace,
        classes: &mut Classes,
        pools: &[crate::model::Pool],
    ) -> Option<ClassId> {
        let job = &trace.jobs[id as usize];
        self.waiting_milli += trace.shape(job).demand_milli();
        if job.gang == GangId::NONE || self.forming[job.gang.0 as usize].is_open {
            let class = job.shape.0;
            self.join(class, id, self.scored(job, trace));
            return Some(class);
        }
        self.forming_scored_milli += self.scored(job, trace);
        let forming = &mut self.forming[job.gang.0 as usize];
        forming.members.push(id);
        if forming.members.len() < trace.gangs[job.gang.0 as usize].min_members as usize {
            return None;
        }
        let class = self.complete(job.gang, trace, classes, pools);
        Some(class)
    }

    /// Enough members are here: from now on they wait as one.
    fn complete(
        &mut self,
        gang: GangId,
        trace: &Trace,
        classes: &mut Classes,
        pools: &[crate::model::Pool],
    ) -> ClassId {
        let forming = &mut self.forming[gang.0 as usize];
        forming.is_open = true;
        let mut members = std::mem::take(&mut forming.members);
        members.sort_by_key(|&id| (trace.jobs[id as usize].shape, id));
        let shapes = members.iter().map(|&id| trace.jobs[id as usize].shape).collect();
        let class = classes.gang(shapes, trace, pools);
        let first = members.iter().copied().min().unwrap_or_default();
        let scored = members.iter().map(|&id| self.scored(&trace.jobs[id as usize], trace)).sum();
        self.forming_scored_milli -= scored;
        self.gangs.insert(first, members);
        self.join(class, first, scored);
        class
    }

    fn scored(&self, job: &Job, trace: &Trace) -> u64 {
        if job.submit >= self.score_from { trace.shape(job).demand_milli() } else { 0 }
    }

    fn join(&mut self, class: ClassId, first: JobId, scored_milli: u64) {
        if self.lines.len() <= class as usize {
            self.lines.resize_with(class as usize + 1, Line::default);
        }
        let line = &mut self.lines[class as usize];
        let place = line.units.partition_point(|&other| other < first);
        line.units.insert(place, first);
        line.scored_milli += scored_milli;
        self.active.insert(class);
    }

    /// The jobs of a unit: the members of a gang, or the job alone. Ordered as the parts of its class
    /// count them.
    pub(super) fn jobs_of(&self, first: JobId) -> Unit {
        self.gangs.get(&first).map_or_else(|| smallvec![first], |jobs| jobs.as_slice().into())
    }

    /// The first unit of a class has started.
    pub(super) fn pop(&mut self, class: ClassId, trace: &Trace) {
        let line = &mut self.lines[class as usize];
        let Some(first) = line.units.pop_front() else { return };
        if line.units.is_empty() {
            self.active.remove(&class);
        }
        let jobs = self.jobs_of(first);
        self.gangs.remove(&first);
        for id in jobs {
            let job = &trace.jobs[id as usize];
            self.waiting_milli -= trace.shape(job).demand_milli();
            let scored = self.scored(job, trace);
            self.lines[class as usize].scored_milli -= scored;
        }
    }
}
