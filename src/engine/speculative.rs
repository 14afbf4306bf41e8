//! What a pool should have ready beyond waiting work.
//!
//! Three sources, kept apart and never added up: the strategy's quantile of the rise to come, work that
//! is scheduled, and outside signals. A node counts for all of them, so the largest wins. Scheduled work
//! is a floor of nodes from a lead time before its start until its end: once its jobs are there they run
//! on that very floor. It is prepared for only where that pays: `chance x kappa > 1`.

use super::{
    decision::Speculative,
    signals::{self, SignalReport},
};
use crate::{
    model::{MAX_NODES, Occurrence},
    strategy::Want,
    time::{Millis, Timestamp},
    units::GPU_MILLI,
};

/// What a pool wants, and where each part of it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) want: Want,
    pub(super) report: Speculative,
}

/// What is known of the time ahead, apart from the strategy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead<'a> {
    pub(super) scheduled: &'a [Occurrence],
    pub(super) signals: &'a [SignalReport],
    pub(super) kappa: f64,
    /// What a node takes, with little left to chance.
    pub(super) lead: Millis,
    pub(super) gpus_per_node: u32,
}

/// Joins what the strategy wants with schedule and signals.
pub(super) fn join(now: Timestamp, ahead: &Ahead<'_>, strategy: Want) -> Wanted {
    let scheduled_nodes = ahead.scheduled_nodes(now);
    let signal_nodes = if ahead.kappa > 1.0 { ahead.signal_nodes() } else { 0 };
    let want = Want {
        floor_nodes: strategy.floor_nodes.max(scheduled_nodes),
        spare_nodes: strategy.spare_nodes.max(signal_nodes),
        keep_nodes: strategy.keep_nodes.max(signal_nodes),
        wake_at: strategy.wake_at.min(ahead.next_edge(now)),
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

impl Ahead<'_> {
    /// Nodes that occurrences under way or due within a lead time fill; overlapping ones add up.
    fn scheduled_nodes(&self, now: Timestamp) -> u32 {
        let due = self.scheduled.iter().filter(|occurrence| {
            let end = occurrence.start + occurrence.duration;
            (occurrence.start - self.lead..end).contains(&now)
                && occurrence.chance * self.kappa > 1.0
        });
        due.fold(0, |sum, occurrence| sum.saturating_add(occurrence.nodes))
    }

    /// Empty nodes for what the signal asks for that asks for most.
    fn signal_nodes(&self) -> u32 {
        let most = self.signals.iter().map(|signal| signal.asks_milli).max().unwrap_or_default();
        let node_milli = u64::from(self.gpus_per_node.max(1)) * u64::from(GPU_MILLI);
        most.div_ceil(node_milli).min(u64::from(MAX_NODES)) as u32
    }

    /// When an occurrence becomes due or ends, or a signal grows too old.
    fn next_edge(&self, now: Timestamp) -> Timestamp {
        let due = self.scheduled.iter().map(|occurrence| occurrence.start - self.lead);
        let ends = self.scheduled.iter().map(|occurrence| occurrence.start + occurrence.duration);
        let next = due.chain(ends).filter(|&at| at > now).min();
        next.unwrap_or(Timestamp::NEVER).min(signals::next_look(now, self.signals))
    }
}

#[cfg(test)]
mod tests {
    use super::super::signals::SignalState;
    use super::*;

    const LEAD: Millis = Millis::from_mins(10);

    fn secs(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn wanted(
        now: i64,
        ahead: (&[Occurrence], &[SignalReport]),
        strategy: Want,
        kappa: f64,
    ) -> Wanted {
        let (scheduled, signals) = ahead;
        let ahead = Ahead { scheduled, signals, kappa, lead: LEAD, gpus_per_node: 8 };
        join(secs(now), &ahead, strategy)
    }

    fn nightly(chance: f64) -> [Occurrence; 1] {
        [Occurrence { start: secs(3600), duration: Millis::from_hours(1), nodes: 3, chance }]
    }

    #[test]
    fn scheduled_work_is_a_floor_from_a_lead_time_before_it_until_its_end() {
        let floor =
            |now| wanted(now, (&nightly(1.0), &[]), Want::nothing(LEAD), 20.0).want.floor_nodes;
        assert_eq!([2999, 3000, 7199, 7200].map(floor), [0, 3, 3, 0]);
        let wake = wanted(0, (&nightly(1.0), &[]), Want::nothing(LEAD), 20.0).want.wake_at;
        assert_eq!(wake, secs(3000));
    }

    #[test]
    fn work_that_seldom_comes_is_not_prepared_for() {
        let floor = |chance| {
            wanted(3600, (&nightly(chance), &[]), Want::nothing(LEAD), 20.0).report.scheduled_nodes
        };
        assert_eq!([0.05, 0.06].map(floor), [0, 3]);
    }

    #[test]
    fn a_node_counts_for_strategy_and_signal_at_once() {
        let signal = SignalReport {
            name: "queue".into(),
            value: Some(9.0),
            age: Some(Millis::from_secs(20)),
            state: SignalState::Useful,
            asks_milli: 8001,
            study: None,
        };
        let signals = [signal];
        let wanted = |strategy, kappa| wanted(60, (&[], &signals), strategy, kappa).want;
        let strategy = Want { spare_nodes: 3, keep_nodes: 3, ..Want::nothing(LEAD) };
        assert_eq!(wanted(strategy, 20.0).spare_nodes, 3);
        assert_eq!(wanted(Want::nothing(LEAD), 20.0).spare_nodes, 2);
        assert_eq!(wanted(Want::nothing(LEAD), 1.0).spare_nodes, 0);
        // Every minute is noted; read at 40 s, after two minutes nothing new is asked for.
        assert_eq!(wanted(strategy, 20.0).wake_at, secs(120));
        let wake = |now| self::wanted(now, (&[], &signals), strategy, 20.0).want.wake_at;
        assert_eq!(wake(30), secs(60));
    }
}
