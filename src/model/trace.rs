//! A trace: demand over time, in a canonical order that does not depend on the order of the rows.

use super::{Gang, GangId, Job, KindId, OwnerId, Shape, ShapeId};
use crate::time::{Millis, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// Why a row of a trace was not taken. Shown with its count in every report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// Asks for no GPU.
    NoGpu,
    /// Ran for no time at all.
    ZeroDuration,
    /// Ended before it started, or a negative run time.
    NegativeDuration,
    /// No submit time, so nobody knows when it came.
    NoSubmitTime,
    /// No run time and no end: it never ran, or ran past the end of the recording.
    NoDuration,
    /// Not a job that takes part (a step row of Slurm, a pool's total line).
    NotAJob,
}

impl SkipReason {
    /// Stable key for reports.
    pub const fn key(self) -> &'static str {
        match self {
            Self::NoGpu => "no_gpu",
            Self::ZeroDuration => "zero_duration",
            Self::NegativeDuration => "negative_duration",
            Self::NoSubmitTime => "no_submit_time",
            Self::NoDuration => "no_duration",
            Self::NotAJob => "not_a_job",
        }
    }
}

/// Demand over time. Instants count from the start of the trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Jobs in canonical order: by submit time, then by everything else.
    pub jobs: Vec<Job>,
    /// Distinct shapes, sorted.
    pub shapes: Vec<Shape>,
    /// Distinct owners, sorted; entry 0 is the empty name.
    pub owners: Vec<String>,
    /// Distinct kinds; entry 0 is empty, entry 1 `preexisting`, the rest sorted.
    pub kinds: Vec<String>,
    /// Gangs, sorted by name.
    pub gangs: Vec<Gang>,
    /// Rows read, skipped ones included.
    pub rows: u64,
    /// Rows not taken, by reason.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// Rows taken after a correction (for example an end censored by the recording), by what was done.
    pub adjusted: BTreeMap<&'static str, u64>,
}

impl Trace {
    /// The shape of a job.
    pub fn shape(&self, job: &Job) -> &Shape {
        &self.shapes[job.shape.0 as usize]
    }
}

/// Collects rows in any order and yields the canonical [`Trace`].
#[derive(Debug)]
pub struct TraceBuilder {
    trace: Trace,
    shape_ids: HashMap<Shape, ShapeId>,
    owner_ids: HashMap<String, OwnerId>,
    kind_ids: HashMap<String, KindId>,
    gang_ids: HashMap<String, GangId>,
}

impl Default for TraceBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl TraceBuilder {
    /// An empty trace.
    pub fn new() -> Self {
        let names = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        Self {
            trace: Trace {
                owners: names(&[""]),
                kinds: names(&["", "preexisting"]),
                ..Trace::default()
            },
            shape_ids: HashMap::new(),
            owner_ids: HashMap::from([(String::new(), OwnerId(0))]),
            kind_ids: HashMap::from([
                (String::new(), KindId::NONE),
                ("preexisting".to_owned(), KindId::PREEXISTING),
            ]),
            gang_ids: HashMap::new(),
        }
    }

    /// Counts a row as read, whatever becomes of it.
    pub fn count_row(&mut self) {
        self.trace.rows += 1;
    }

    /// Counts a row as not taken.
    pub fn skip(&mut self, reason: SkipReason) {
        *self.trace.skipped.entry(reason).or_default() += 1;
    }

    /// Counts a row as corrected; `what` is a stable key for reports.
    pub fn adjust(&mut self, what: &'static str) {
        *self.trace.adjusted.entry(what).or_default() += 1;
    }

    /// Takes a job.
    pub fn push(&mut self, job: Job) {
        self.trace.jobs.push(job);
    }

    /// The earliest submission so far.
    pub fn earliest_submit(&self) -> Option<Timestamp> {
        self.trace.jobs.iter().map(|job| job.submit).min()
    }

    /// Moves every job taken so far in time.
    pub fn shift(&mut self, span: Millis) {
        for job in &mut self.trace.jobs {
            job.submit += span;
        }
    }

    /// The id of a shape, new or known.
    pub fn shape(&mut self, shape: &Shape) -> ShapeId {
        if let Some(&id) = self.shape_ids.get(shape) {
            return id;
        }
        let id = ShapeId(self.trace.shapes.len() as u32);
        self.trace.shapes.push(shape.clone());
        self.shape_ids.insert(shape.clone(), id);
        id
    }

    /// The id of an owner, new or known.
    pub fn owner(&mut self, name: &str) -> OwnerId {
        if let Some(&id) = self.owner_ids.get(name) {
            return id;
        }
        let id = OwnerId(self.trace.owners.len() as u32);
        self.trace.owners.push(name.to_owned());
        self.owner_ids.insert(name.to_owned(), id);
        id
    }

    /// The id of a kind, new or known.
    pub fn kind(&mut self, name: &str) -> KindId {
        if let Some(&id) = self.kind_ids.get(name) {
            return id;
        }
        let id = KindId(self.trace.kinds.len() as u32);
        self.trace.kinds.push(name.to_owned());
        self.kind_ids.insert(name.to_owned(), id);
        id
    }

    /// The id of a gang, new or known; the largest `min_members` of its rows counts.
    pub fn gang(&mut self, name: &str, min_members: u32) -> GangId {
        if let Some(&id) = self.gang_ids.get(name) {
            let gang = &mut self.trace.gangs[id.0 as usize];
            gang.min_members = gang.min_members.max(min_members);
            return id;
        }
        let id = GangId(self.trace.gangs.len() as u32);
        self.trace.gangs.push(Gang { name: name.to_owned(), min_members: min_members.max(1) });
        self.gang_ids.insert(name.to_owned(), id);
        id
    }

    /// A gang of its own, also where another of that name is known.
    fn new_gang(&mut self, gang: &Gang) -> GangId {
        let mut name = gang.name.clone();
        for nth in 2.. {
            if !self.gang_ids.contains_key(&name) {
                break;
            }
            name = format!("{}#{nth}", gang.name);
        }
        self.gang(&name, gang.min_members)
    }

    /// Adds all jobs and counts of another trace. Owners of one name are one owner, but gangs of one
    /// name stay apart: a number counts gangs in every trace anew.
    pub fn extend(&mut self, other: &Trace) {
        self.trace.rows += other.rows;
        for (&why, rows) in &other.skipped {
            *self.trace.skipped.entry(why).or_default() += rows;
        }
        for (&what, rows) in &other.adjusted {
            *self.trace.adjusted.entry(what).or_default() += rows;
        }
        let gangs: Vec<GangId> = other.gangs.iter().map(|gang| self.new_gang(gang)).collect();
        for job in &other.jobs {
            let job = Job {
                shape: self.shape(other.shape(job)),
                owner: self.owner(&other.owners[job.owner.0 as usize]),
                kind: self.kind(&other.kinds[job.kind.0 as usize]),
                gang: gangs.get(job.gang.0 as usize).copied().unwrap_or(GangId::NONE),
                ..*job
            };
            self.push(job);
        }
    }

    /// Puts everything in canonical order.
    pub fn build(self) -> Trace {
        let mut trace = self.trace;
        let shapes = sort_table(&mut trace.shapes, 0);
        let owners = sort_table(&mut trace.owners, 1);
        let kinds = sort_table(&mut trace.kinds, 2);
        let gangs = sort_gangs(&mut trace.gangs);
        for job in &mut trace.jobs {
            job.shape = ShapeId(shapes[job.shape.0 as usize]);
            job.owner = OwnerId(owners[job.owner.0 as usize]);
            job.kind = KindId(kinds[job.kind.0 as usize]);
            if job.gang != GangId::NONE {
                job.gang = GangId(gangs[job.gang.0 as usize]);
            }
        }
        trace
            .jobs
            .sort_unstable_by_key(|j| (j.submit, j.shape, j.duration, j.owner, j.gang, j.kind));
        trace
    }
}

/// Sorts the entries after the first `fixed`; the result maps old places to new ones.
fn sort_table<T: Ord + Clone>(table: &mut Vec<T>, fixed: usize) -> Vec<u32> {
    let mut order: Vec<usize> = (0..table.len()).collect();
    order[fixed..].sort_by(|&a, &b| table[a].cmp(&table[b]));
    *table = order.iter().map(|&old| table[old].clone()).collect();
    invert(&order)
}

fn sort_gangs(gangs: &mut Vec<Gang>) -> Vec<u32> {
    let mut order: Vec<usize> = (0..gangs.len()).collect();
    order.sort_by(|&a, &b| gangs[a].name.cmp(&gangs[b].name));
    *gangs = order.iter().map(|&old| gangs[old].clone()).collect();
    invert(&order)
}

fn invert(order: &[usize]) -> Vec<u32> {
    let mut new_place = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        new_place[old] = new as u32;
    }
    new_place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(rows: &[(i64, u32, &str)]) -> Trace {
        let mut builder = TraceBuilder::new();
        for &(submit, gpus, owner) in rows {
            let job = Job {
                submit: Timestamp::from_secs(submit),
                duration: Millis::from_secs(60),
                shape: builder.shape(&Shape::whole_gpus(gpus)),
                owner: builder.owner(owner),
                gang: GangId::NONE,
                kind: KindId::NONE,
            };
            builder.push(job);
        }
        builder.build()
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter() {
        let rows = [(5, 8, "zoe"), (0, 1, "amy"), (5, 2, "amy"), (5, 8, "amy")];
        let mut reversed = rows;
        reversed.reverse();
        assert_eq!(built(&rows), built(&reversed));
        assert_eq!(built(&rows).jobs[0].submit, Timestamp::ZERO);
    }

    #[test]
    fn gangs_of_one_name_in_two_traces_are_two_gangs() {
        let of_gang = || {
            let mut builder = TraceBuilder::new();
            let gang = builder.gang("1", 2);
            let shape = builder.shape(&Shape::whole_gpus(1));
            let (submit, duration) = (Timestamp::ZERO, Millis::from_secs(1));
            let (owner, kind) = (OwnerId(0), KindId::NONE);
            (0..2).for_each(|_| builder.push(Job { submit, duration, shape, owner, gang, kind }));
            builder.build()
        };
        let mut both = TraceBuilder::new();
        both.extend(&of_gang());
        both.extend(&of_gang());
        let both = both.build();
        let members = |gang| both.jobs.iter().filter(|job| job.gang == GangId(gang)).count();
        assert_eq!((both.gangs.len(), members(0), members(1)), (2, 2, 2));
    }

    #[test]
    fn a_job_is_small() {
        assert_eq!(size_of::<Job>(), 32);
    }
}
