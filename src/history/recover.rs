//! The trace: pods as jobs that hold their GPUs from their placement to their end, and the pools they ran in.
//!
//! - A job's duration is the time it held its GPUs, pulling its image included: that much a simulated node is
//!   busy with it too.
//! - A pod placed before the window is there at its beginning (`preexisting`), one that was waiting then is
//!   submitted at its beginning.
//! - A pod that never got a node and went again would have run for nobody knows how long: it is left out, here
//!   and in what really happened. One that still waits at the end is taken.
//! - With more than one pool a pod is bound to the one it ran in, for its constraints are not known.

use super::{
    node::{LeadSamples, NodeLife, lead_samples, mean_and_variation, median},
    plan::Window,
    pod::{End, PodLife},
    pools::{PoolRule, assign},
    resource::original_name,
};
use crate::{
    model::{
        GangId, Job, KindId, LeadTime, Pool, Shape, SkipReason, StageTime, Trace, TraceBuilder,
    },
    time::{Millis, Timestamp},
};
use std::collections::{BTreeMap, BTreeSet};

/// A pod as a job. Instants count from the start of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) submit: Timestamp,
    /// `None` = still waiting at the end.
    pub(super) start: Option<Timestamp>,
    /// The end of the window for those that go on.
    pub(super) end: Timestamp,
    pub(super) gpus: u32,
    pub(super) is_over: bool,
    pub(super) was_there: bool,
}

/// A node as it was paid for. Instants count from the start of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paid {
    pub(super) pool: usize,
    /// When it was asked for, as far as that is known, otherwise when it was registered.
    pub(super) asked: Timestamp,
    pub(super) usable: Timestamp,
    /// `None` = still there at the end.
    pub(super) gone: Option<Timestamp>,
    /// Registered within the window.
    pub(super) is_new: bool,
    pub(super) was_used: bool,
}

/// What a history amounts to. Instants count from the start of the window.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Demand.
    pub trace: Trace,
    /// Pools, as they were: limits are the fewest and most nodes seen, lead times those learned.
    pub pools: Vec<Pool>,
    /// How long their nodes took, in the order of the pools.
    pub leads: Vec<LeadSamples>,
    /// How many nodes each pool ever had.
    pub node_counts: Vec<u64>,
    /// Nodes with GPUs that no rule takes.
    pub foreign_nodes: u64,
    /// Pods that waited, never got a node, and went.
    pub given_up: u64,
    /// Jobs and nodes, for what really happened.
    pub(super) held: Vec<Held>,
    pub(super) nodes: Vec<Paid>,
}

/// Puts lives together.
pub fn recover(
    pods: &[PodLife],
    nodes: &[NodeLife],
    rules: &[PoolRule],
    window: Window,
    interval: Millis,
) -> Recovered {
    let assigned = assign(rules, nodes);
    let places: BTreeMap<&str, Option<usize>> =
        nodes.iter().zip(&assigned).map(|(node, &pool)| (node.name.as_str(), pool)).collect();
    let foreign = assigned.iter().filter(|pool| pool.is_none()).count() as u64;
    let own: Vec<(NodeLife, usize)> = nodes
        .iter()
        .zip(&assigned)
        .filter_map(|(node, pool)| Some((node.clone(), (*pool)?)))
        .collect();
    let mut taken =
        Taken { rules, window, held: Vec::new(), given_up: 0, builder: TraceBuilder::new() };
    for pod in pods {
        let place = match pod.node.as_deref().map(|node| places.get(node).copied().flatten()) {
            None => Place::Nowhere,
            Some(None) => Place::Foreign,
            Some(Some(at)) => Place::Pool(at),
        };
        taken.take(pod, place);
    }
    let (pools, leads): (Vec<Pool>, Vec<LeadSamples>) =
        (0..rules.len()).map(|at| pool(at, &rules[at], &own, pods, window, interval)).unzip();
    let used: BTreeSet<&str> = pods.iter().filter_map(|pod| pod.node.as_deref()).collect();
    let paid = |(node, pool): &(NodeLife, usize)| {
        let boot = median(&leads[*pool].boot).unwrap_or(Millis::ZERO);
        paid(node, *pool, boot, used.contains(node.name.as_str()), window)
    };
    Recovered {
        trace: taken.builder.build(),
        nodes: own.iter().map(paid).collect(),
        pools,
        leads,
        node_counts: (0..rules.len())
            .map(|at| own.iter().filter(|(_, pool)| *pool == at).count() as u64)
            .collect(),
        foreign_nodes: foreign,
        given_up: taken.given_up,
        held: taken.held,
    }
}

fn paid(node: &NodeLife, pool: usize, boot: Millis, was_used: bool, window: Window) -> Paid {
    let since = |at: Timestamp| Timestamp((at - window.from).0);
    let is_new = node.created > window.from;
    Paid {
        pool,
        asked: since(match node.asked() {
            _ if !is_new => node.created,
            Some(asked) => asked,
            None => node.created - boot,
        }),
        // What was there before the window had its GPUs.
        usable: since(node.gpu_ready.unwrap_or(node.created)),
        gone: node.gone.map(since),
        is_new,
        was_used,
    }
}

/// Where a pod ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nowhere, or nobody knows.
    Nowhere,
    /// On a node of no pool.
    Foreign,
    /// In a pool.
    Pool(usize),
}

struct Taken<'a> {
    rules: &'a [PoolRule],
    window: Window,
    held: Vec<Held>,
    given_up: u64,
    builder: TraceBuilder,
}

impl Taken<'_> {
    fn take(&mut self, pod: &PodLife, place: Place) {
        self.builder.count_row();
        if pod.is_of_node() || place == Place::Foreign {
            return self.builder.skip(SkipReason::NotAJob);
        }
        let Some(created) = pod.created else { return self.builder.skip(SkipReason::NoSubmitTime) };
        let Some(held) = self.held(pod, created) else { return };
        let bound = match place {
            Place::Pool(at) if self.rules.len() > 1 => Some(at),
            _ => None,
        };
        let shape = Shape {
            resource: original_name(&pod.resource),
            gpu_models: bound.map(|at| self.rules[at].name.clone()).into_iter().collect(),
            ..Shape::whole_gpus(pod.need)
        };
        let kind = match pod.owner_kind.as_str() {
            _ if held.was_there => KindId::PREEXISTING,
            "" => KindId::NONE,
            kind => self.builder.kind(kind),
        };
        let owner = format!(
            "{}/{}",
            pod.namespace,
            if pod.owner_name.is_empty() { &pod.name } else { &pod.owner_name }
        );
        let job = Job {
            submit: held.submit,
            duration: held.end - held.start.unwrap_or(held.submit),
            shape: self.builder.shape(&shape),
            owner: self.builder.owner(&owner),
            gang: GangId::NONE,
            kind,
        };
        self.held.push(held);
        self.builder.push(job);
    }

    fn held(&mut self, pod: &PodLife, created: Timestamp) -> Option<Held> {
        let Window { from, until } = self.window;
        let within = |at: Timestamp| Timestamp((at.max(from) - from).0);
        let over = pod.ended().filter(|&end| end < until);
        if over.is_some_and(|end| end <= from) || created >= until {
            self.builder.skip(SkipReason::NotAJob);
            return None;
        }
        let start = pod.scheduled.filter(|&at| at < until);
        if pod.end == End::Unknown {
            self.builder.skip(SkipReason::NoDuration);
            return None;
        }
        if start.is_none() && over.is_some() {
            self.given_up += 1;
            self.builder.skip(SkipReason::NoDuration);
            return None;
        }
        let (begin, end) = (start.unwrap_or(created).max(from), over.unwrap_or(until));
        if end <= begin {
            self.builder.skip(if end < begin {
                SkipReason::NegativeDuration
            } else {
                SkipReason::ZeroDuration
            });
            return None;
        }
        match pod.end {
            End::About(_) if over.is_some() => self.builder.adjust("end_between_two_scrapes"),
            _ if over.is_none() => self.builder.adjust("end_censored"),
            _ => {}
        }
        Some(Held {
            submit: within(created),
            start: start.map(within),
            end: within(end),
            gpus: pod.need,
            is_over: over.is_some(),
            was_there: start.is_some_and(|start| start < from),
        })
    }
}

fn pool(
    at: usize,
    rule: &PoolRule,
    nodes: &[(NodeLife, usize)],
    pods: &[PodLife],
    window: Window,
    interval: Millis,
) -> (Pool, LeadSamples) {
    let own = || nodes.iter().filter(|(_, pool)| *pool == at).map(|(node, _)| node);
    let leads = lead_samples(own(), pods, interval);
    let (least, most) = sizes(own(), window);
    let resource = own().next().map(|node| original_name(&node.resource));
    let pool = Pool {
        gpu_model: rule.name.clone(),
        min_nodes: least,
        max_nodes: Some(most.max(1)),
        lead_time: lead_time(&leads),
        resource: resource.unwrap_or_else(|| crate::model::NVIDIA_GPU.to_owned()),
        ..Pool::new(rule.name.clone(), rule.gpus)
    };
    (pool, leads)
}

/// Fewest and most nodes at one time.
fn sizes<'a>(nodes: impl Iterator<Item = &'a NodeLife>, window: Window) -> (u32, u32) {
    let mut changes: Vec<(Timestamp, i64)> = Vec::new();
    for node in nodes {
        changes.push((node.created.max(window.from), 1));
        changes.extend(node.gone.map(|gone| (gone, -1)));
    }
    changes.sort_unstable_by_key(|&(at, change)| (at, -change));
    let begin = changes.iter().take_while(|(at, _)| *at <= window.from);
    let mut size: i64 = begin.map(|(_, change)| change).sum();
    let (mut least, mut most) = (size, size);
    for (_, change) in changes.iter().skip_while(|(at, _)| *at <= window.from) {
        size += change;
        least = least.min(size);
        most = most.max(size);
    }
    (least.max(0) as u32, most.max(0) as u32)
}

/// What was learned, where there was something to learn from. Where Machines tell when nodes were asked for, the
/// first stage has its spread; otherwise the boot is one typical value, for it rests on guesses.
fn lead_time(leads: &LeadSamples) -> LeadTime {
    let default = LeadTime::default();
    let warm_up = mean_and_variation(&leads.warm_up);
    let (Some((ready, _)), Some((warm_up, cv))) = (mean_and_variation(&leads.ready), warm_up)
    else {
        return default;
    };
    let whole: Vec<Millis> =
        leads.nodes.iter().filter_map(|node| Some(node.boot? + node.ready)).collect();
    let spread = mean_and_variation(&whole).filter(|_| leads.of_machines == whole.len());
    let guessed = median(&leads.boot).map_or(default.provisioning.mean, |boot| boot + ready);
    LeadTime {
        provisioning: spread.map_or_else(
            || StageTime::fixed(guessed),
            |(mean, cv)| StageTime { mean, cv: cv.min(2.0) },
        ),
        warm_up: StageTime { mean: warm_up, cv: cv.min(2.0) },
    }
}
