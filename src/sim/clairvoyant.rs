//! The clairvoyant reference: what a scaler could do that knows the future.
//!
//! First the trace is run in a world whose nodes come up at once and go when idle: `M(t)`, the nodes
//! it has, is what placement needs when nobody waits. Then the floor `max of M over [t, t + L]` is
//! followed in the real world, so that every node is asked for one lead time before it is needed. A node
//! needed again within a lead time is kept by the same maximum, which is what min(gap, boot) says.
//! What placement does differently in the real world is left to reactive scaling.

use crate::{
    model::{LeadTime, Pool, StageTime, Trace},
    strategy::Strategy,
    time::{Millis, Timestamp},
    world::{self, NodeLife, Setup},
};

/// A step function: the value from each instant on. Ordered by time, values differ.
pub type Steps = Vec<(Timestamp, u32)>;

/// The nodes each pool should have at each instant, with full knowledge of the trace.
///
/// `react` builds the strategy of the world without lead times (reactive, no idle time). `None` if the
/// run was interrupted.
pub fn floors(
    trace: &Trace,
    setup: &Setup,
    react: &dyn Fn() -> Box<dyn Strategy>,
    go_on: &dyn Fn(Timestamp) -> bool,
) -> Option<Vec<Steps>> {
    let instant = Setup {
        pools: setup.pools.iter().map(without_delay).collect(),
        decision_every: Millis::ZERO,
        series_bin: None,
        ..setup.clone()
    };
    let mut strategies: Vec<_> = setup.pools.iter().map(|_| react()).collect();
    let outcome = world::run(trace, &instant, &mut strategies, go_on);
    if outcome.is_partial {
        return None;
    }
    let floor = |(index, pool): (u32, &Pool)| {
        let ahead = pool.lead_time.mean() + setup.decision_every;
        widest_ahead(&nodes_over_time(&outcome.nodes, index), ahead)
    };
    Some((0..).zip(&setup.pools).map(floor).collect())
}

fn without_delay(pool: &Pool) -> Pool {
    let at_once = StageTime::fixed(Millis::ZERO);
    Pool {
        lead_time: LeadTime { provisioning: at_once, warm_up: at_once },
        drain: Millis::ZERO,
        failure_rate: 0.0,
        supply: Vec::new(),
        ..pool.clone()
    }
}

/// How many nodes of a pool exist at each instant.
fn nodes_over_time(nodes: &[NodeLife], pool: u32) -> Steps {
    let mut changes: Vec<(Timestamp, i64)> = Vec::new();
    for node in nodes.iter().filter(|node| node.pool == pool) {
        changes.push((node.requested, 1));
        changes.extend(Some((node.gone, -1)).filter(|&(gone, _)| gone != Timestamp::NEVER));
    }
    changes.sort_unstable();
    let mut count = 0i64;
    let mut steps = Steps::new();
    for same_instant in changes.chunk_by(|a, b| a.0 == b.0) {
        count += same_instant.iter().map(|&(_, change)| change).sum::<i64>();
        push_step(&mut steps, same_instant[0].0, count as u32);
    }
    steps
}

fn push_step(steps: &mut Steps, at: Timestamp, value: u32) {
    if steps.last().map_or(0, |&(_, last)| last) != value {
        steps.push((at, value));
    }
}

/// `max of steps over [t, t + ahead]` for every `t`: rises come earlier by `ahead`, and a fall counts
/// only if nothing as high follows within `ahead`. One sweep that counts the values in sight.
fn widest_ahead(steps: &Steps, ahead: Millis) -> Steps {
    let mut changes: Vec<(Timestamp, i64)> = Vec::new();
    // Each value holds over [from, until) and is in sight over [from - ahead, until).
    let mut in_sight: std::collections::BTreeMap<u32, u32> = std::collections::BTreeMap::new();
    for (index, &(from, value)) in steps.iter().enumerate() {
        changes.push((from - ahead, i64::from(value)));
        changes.extend(steps.get(index + 1).map(|&(until, _)| (until, -i64::from(value))));
    }
    changes.sort_unstable_by_key(|&(at, change)| (at, change));
    let mut widest = Steps::new();
    for same_instant in changes.chunk_by(|a, b| a.0 == b.0) {
        for &(_, change) in same_instant {
            let value = change.unsigned_abs() as u32;
            if change > 0 {
                *in_sight.entry(value).or_default() += 1;
            } else if let Some(count) = in_sight.get_mut(&value) {
                *count -= 1;
                if *count == 0 {
                    in_sight.remove(&value);
                }
            }
        }
        let highest = in_sight.last_key_value().map_or(0, |(&value, _)| value);
        push_step(&mut widest, same_instant[0].0, highest);
    }
    widest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(points: &[(i64, u32)]) -> Steps {
        points.iter().map(|&(secs, value)| (Timestamp::from_secs(secs), value)).collect()
    }

    #[test]
    fn a_rise_is_seen_one_lead_time_ahead() {
        let floor = widest_ahead(&steps(&[(1000, 2), (1100, 0)]), Millis::from_secs(540));
        assert_eq!(floor, steps(&[(460, 2), (1100, 0)]));
    }

    #[test]
    fn a_gap_shorter_than_the_lead_time_is_bridged() {
        let demand = steps(&[(0, 3), (100, 1), (500, 3), (600, 1)]);
        let floor = widest_ahead(&demand, Millis::from_secs(540));
        assert_eq!(floor, steps(&[(-540, 3), (600, 1)]));
    }

    #[test]
    fn a_longer_gap_is_not() {
        let demand = steps(&[(0, 3), (100, 1), (1000, 3), (1100, 0)]);
        let floor = widest_ahead(&demand, Millis::from_secs(540));
        assert_eq!(floor, steps(&[(-540, 3), (100, 1), (460, 3), (1100, 0)]));
    }
}
