//! What a pool should have ready beyond waiting work.
//!
//! Three sources, kept apart and never added up: the strategy's quantile of the rise to come, work that
//! is scheduled, and outside signals. A node counts for all of them, so the largest wins. Scheduled work
//! is a floor of nodes from a lead time before its start until its end: once its jobs are there they run
//! on that very floor. It is prepared for only where that pays: `chance x kappa > 1`.

use super::decision::Speculative;
use crate::{
    model::PoolSnapshot,
    strategy::Want,
    time::{Millis, Timestamp},
};

/// A signal older than this says nothing any more.
const SIGNAL_AGE: Millis = Millis::from_mins(10);

/// What a pool wants, and where each part of it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) want: Want,
    pub(super) report: Speculative,
}

/// Joins what the strategy wants with schedule and signals.
pub(super) fn join(
    now: Timestamp,
    pool: &PoolSnapshot,
    strategy: Want,
    kappa: f64,
    lead: Millis,
) -> Wanted {
    let scheduled_nodes = scheduled(now, pool, kappa, lead);
    let signal_nodes = if kappa > 1.0 { signalled(now, pool) } else { 0 };
    let want = Want {
        floor_nodes: strategy.floor_nodes.max(scheduled_nodes),
        spare_nodes: strategy.spare_nodes.max(signal_nodes),
        keep_nodes: strategy.keep_nodes.max(signal_nodes),
        wake_at: strategy.wake_at.min(next_edge(now, pool, lead)),
        ..strategy
    };
    let report = Speculative {
        spare_nodes: strategy.spare_nodes,
        spare_milli: strategy.spare_milli,
        floor_nodes: strategy.floor_nodes,
        scheduled_nodes,
        signal_nodes,
        wanted_nodes: 0,
    };
    Wanted { want, report }
}

/// Nodes that occurrences under way or due within a lead time fill; overlapping ones add up.
fn scheduled(now: Timestamp, pool: &PoolSnapshot, kappa: f64, lead: Millis) -> u32 {
    let due = pool.scheduled.iter().filter(|occurrence| {
        let end = occurrence.start + occurrence.duration;
        (occurrence.start - lead..end).contains(&now) && occurrence.chance * kappa > 1.0
    });
    due.fold(0, |sum, occurrence| sum.saturating_add(occurrence.nodes))
}

fn signalled(now: Timestamp, pool: &PoolSnapshot) -> u32 {
    let fresh = pool.signals.iter().filter(|signal| now - signal.at <= SIGNAL_AGE);
    fresh.map(|signal| signal.nodes).max().unwrap_or_default()
}

/// When an occurrence becomes due or ends, or a signal grows too old.
fn next_edge(now: Timestamp, pool: &PoolSnapshot, lead: Millis) -> Timestamp {
    let due = pool.scheduled.iter().map(|occurrence| occurrence.start - lead);
    let ends = pool.scheduled.iter().map(|occurrence| occurrence.start + occurrence.duration);
    let stale = pool.signals.iter().map(|signal| signal.at + SIGNAL_AGE + Millis(1));
    let edges = due.chain(ends).chain(stale);
    edges.filter(|&at| at > now).min().unwrap_or(Timestamp::NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Occurrence, Signal};

    const LEAD: Millis = Millis::from_mins(10);

    fn secs(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn wanted(now: i64, pool: &PoolSnapshot, strategy: Want, kappa: f64) -> Wanted {
        join(secs(now), pool, strategy, kappa, LEAD)
    }

    fn nightly(chance: f64) -> PoolSnapshot {
        let duration = Millis::from_hours(1);
        let occurrence = Occurrence { start: secs(3600), duration, nodes: 3, chance };
        PoolSnapshot { scheduled: vec![occurrence], ..PoolSnapshot::default() }
    }

    #[test]
    fn scheduled_work_is_a_floor_from_a_lead_time_before_it_until_its_end() {
        let floor = |now| wanted(now, &nightly(1.0), Want::nothing(LEAD), 20.0).want.floor_nodes;
        assert_eq!([2999, 3000, 7199, 7200].map(floor), [0, 3, 3, 0]);
        let wake = wanted(0, &nightly(1.0), Want::nothing(LEAD), 20.0).want.wake_at;
        assert_eq!(wake, secs(3000));
    }

    #[test]
    fn work_that_seldom_comes_is_not_prepared_for() {
        let floor = |chance| {
            wanted(3600, &nightly(chance), Want::nothing(LEAD), 20.0).report.scheduled_nodes
        };
        assert_eq!([0.05, 0.06].map(floor), [0, 3]);
    }

    #[test]
    fn a_node_counts_for_strategy_and_signal_at_once() {
        let signal = Signal { name: "queue".into(), at: secs(0), nodes: 2 };
        let pool = PoolSnapshot { signals: vec![signal], ..PoolSnapshot::default() };
        let strategy = Want { spare_nodes: 3, keep_nodes: 3, ..Want::nothing(LEAD) };
        assert_eq!(wanted(60, &pool, strategy, 20.0).want.spare_nodes, 3);
        let nothing = Want::nothing(LEAD);
        assert_eq!(wanted(60, &pool, nothing, 20.0).want.spare_nodes, 2);
        assert_eq!(wanted(601, &pool, nothing, 20.0).want.spare_nodes, 0);
        assert_eq!(wanted(60, &pool, nothing, 1.0).want.spare_nodes, 0);
    }
}
