//! What really happened, in the figures by which policies are compared.

use super::recover::{Held, Recovered};
use crate::{
    time::{Millis, Timestamp},
    units::{gpu_hours, node_hours},
};

/// What really happened from some instant of the window to its end. A node counts from its registration: what
/// was paid before is not in the metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actual {
    /// From registration to disappearance.
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
    /// Nodes registered in the window.
    pub node_starts: u64,
    /// Pods that had not ended.
    pub unfinished: u64,
    /// Of those, pods that had no node.
    pub unstarted: u64,
    /// The same by day (24 hours from the start of the trace): node-hours and waiting GPU-hours.
    pub days: Vec<(f64, f64)>,
}

const DAY: i64 = 24 * 3_600_000;

/// What happened from `from` to `until`, both counted from the start of the window.
pub fn actual(recovered: &Recovered, from: Timestamp, until: Timestamp) -> Actual {
    let mut sums = Actual::default();
    let days = (until.0 - 1).div_euclid(DAY) + 1;
    sums.days = vec![(0.0, 0.0); days.max(0) as usize];
    add_nodes(&mut sums, recovered, from, until);
    for held in &recovered.held {
        add_pod(&mut sums, held, from, until);
    }
    sums.waits_ms.sort_unstable();
    sums
}

fn add_nodes(sums: &mut Actual, recovered: &Recovered, from: Timestamp, until: Timestamp) {
    let origin = recovered.window.from;
    let since = |at: Timestamp| Timestamp((at - origin).0);
    for (node, pool) in &recovered.nodes {
        let gpus = i128::from(recovered.pools[*pool].gpus_per_node);
        let gone = node.gone.map_or(until, since);
        let life = overlap(since(node.created), gone, from, until);
        sums.node_hours += node_hours(i128::from(life.0));
        // What was there before the window had its GPUs.
        let usable = node.gpu_ready.map_or_else(|| since(node.created), since);
        let usable = i128::from(overlap(usable, gone, from, until).0);
        sums.ready_node_hours += node_hours(usable);
        sums.ready_gpu_hours += gpu_hours(usable * gpus * 1000);
        sums.node_starts += u64::from(since(node.created) >= from && since(node.created) < until);
        for (day, sum) in sums.days.iter_mut().enumerate() {
            let begin = Timestamp(day as i64 * DAY);
            let of_day =
                overlap(since(node.created).max(begin), gone.min(begin + Millis(DAY)), from, until);
            sum.0 += node_hours(i128::from(of_day.0));
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
            day.1 += hours;
        }
    }
}

fn overlap(begin: Timestamp, end: Timestamp, from: Timestamp, until: Timestamp) -> Millis {
    (end.min(until) - begin.max(from)).max(Millis::ZERO)
}
