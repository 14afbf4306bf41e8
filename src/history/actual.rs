//! What really happened, in the figures by which policies are compared.

use super::recover::{Held, Recovered};
use crate::{
    time::{Millis, Timestamp},
    units::{gpu_hours, node_hours},
};

/// What really happened from some instant of the window to its end. A node of the window counts from when it
/// was asked for, as far as that is known (see [`super::LeadSamples::boot`]), otherwise from its registration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actual {
    /// From request to disappearance.
    pub node_hours: f64,
    /// Of those, from the first GPUs on.
    pub ready_node_hours: f64,
    /// GPUs on them.
    pub ready_gpu_hours: f64,
    /// GPUs held by pods.
    pub busy_gpu_hours: f64,
    /// GPUs asked for by waiting pods.
    pub waiting_gpu_hours: f64,
    /// Waiting times of the pods created in the window, ascending.
    pub waits_ms: Vec<i64>,
    /// Nodes asked for in the whole window.
    pub node_starts: u64,
    /// Of those, the ones asked for from the instant on.
    pub late_starts: u64,
    /// Pods that had not ended.
    pub unfinished: u64,
    /// Of those, pods that had no node.
    pub unstarted: u64,
    /// Of the nodes asked for in the whole window, those that no pod ran on.
    pub unused_starts: u64,
    /// By day: 24 hours from the start of the trace.
    pub days: Vec<Day>,
}

/// What a day cost. Waiting belongs to the day of the submission.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Day {
    /// GPU-hours of all nodes, idle or not.
    pub gpu_hours: f64,
    /// GPU-hours waited for.
    pub waiting_gpu_hours: f64,
}

const DAY: i64 = 24 * 3_600_000;

/// What happened from `from` to `until`, both counted from the start of the window.
pub fn actual(recovered: &Recovered, from: Timestamp, until: Timestamp) -> Actual {
    let mut sums = Actual::default();
    let days = (until.0 - 1).div_euclid(DAY) + 1;
    sums.days = vec![Day::default(); days.max(0) as usize];
    add_nodes(&mut sums, recovered, from, until);
    for held in &recovered.held {
        add_pod(&mut sums, held, from, until);
    }
    sums.waits_ms.sort_unstable();
    sums
}

fn add_nodes(sums: &mut Actual, recovered: &Recovered, from: Timestamp, until: Timestamp) {
    for node in &recovered.nodes {
        let gpus = f64::from(recovered.pools[node.pool].gpus_per_node);
        let gone = node.gone.unwrap_or(until);
        sums.node_hours += hours(overlap(node.asked, gone, from, until));
        let usable = hours(overlap(node.usable, gone, from, until));
        sums.ready_node_hours += usable;
        sums.ready_gpu_hours += usable * gpus;
        let is_new = node.is_new && node.asked < until;
        sums.node_starts += u64::from(is_new);
        sums.late_starts += u64::from(is_new && node.asked >= from);
        sums.unused_starts += u64::from(is_new && !node.was_used);
        for (day, sum) in sums.days.iter_mut().enumerate() {
            let begin = Timestamp(day as i64 * DAY);
            let end = begin + Millis(DAY);
            let of_day = overlap(node.asked.max(begin), gone.min(end), from, until);
            sum.gpu_hours += hours(of_day) * gpus;
        }
    }
}

fn add_pod(sums: &mut Actual, held: &Held, from: Timestamp, until: Timestamp) {
    if held.submit >= until {
        return;
    }
    let milli = i128::from(held.gpus) * 1000;
    let start = held.start.unwrap_or(until).min(until);
    sums.busy_gpu_hours += gpu_hours(milli * i128::from(overlap(start, held.end, from, until).0));
    sums.unfinished += u64::from(!held.is_over || held.end > until);
    sums.unstarted += u64::from(held.start.is_none_or(|start| start >= until));
    if held.submit >= from && !held.was_there {
        let wait = start - held.submit;
        let hours = gpu_hours(milli * i128::from(wait.0));
        sums.waiting_gpu_hours += hours;
        sums.waits_ms.push(wait.0);
        if let Some(day) = sums.days.get_mut(held.submit.0.div_euclid(DAY) as usize) {
            day.waiting_gpu_hours += hours;
        }
    }
}

fn hours(span: Millis) -> f64 {
    node_hours(i128::from(span.0))
}

fn overlap(begin: Timestamp, end: Timestamp, from: Timestamp, until: Timestamp) -> Millis {
    (end.min(until) - begin.max(from)).max(Millis::ZERO)
}
