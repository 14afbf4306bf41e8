//! Reactive scaling: nodes for what waits, nothing ahead of demand.

use super::{Credit, PoolView, Strategy, Timers, Want};
use crate::time::{Millis, Timestamp};

/// Idle nodes go after ten minutes unless said otherwise: cluster-autoscaler's
/// `scale-down-unneeded-time`.
pub const IDLE_DEFAULT: Millis = Millis::from_mins(10);

/// The ideal reactive scaler: warming nodes are counted, nothing waits on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Reactive {
    idle: Millis,
    credit: Credit,
}

impl Reactive {
    /// Idle nodes go after `idle`.
    pub const fn new(idle: Millis) -> Self {
        Self { idle, credit: Credit::UntilUsable }
    }

    /// The mistake of counting a node on its way only until it is Ready: while its GPUs are still
    /// coming the jobs that wait for them look as if they had nothing, and are bought another node.
    pub const fn overcreating(idle: Millis) -> Self {
        Self { idle, credit: Credit::UntilReady }
    }
}

impl Strategy for Reactive {
    fn timers(&self) -> Timers {
        Timers { credit: self.credit, ..Timers::default() }
    }

    fn want(&mut self, _: &PoolView<'_>) -> Want {
        Want::nothing(self.idle)
    }
}

/// Reactive scaling with the timers of cluster-autoscaler.
///
/// # Source
/// Kubernetes cluster-autoscaler FAQ and flags: `scan-interval` 10 s (the decision grid),
/// `scale-down-unneeded-time` 10 min, `scale-down-delay-after-add` 10 min; pods that ask for GPUs are
/// not looked at before they are 30 s old.
#[derive(Clone, Copy, Debug)]
pub struct ClusterAutoscaler {
    /// Idle nodes go after this long.
    pub idle: Millis,
    /// GPU pods younger than this are not looked at.
    pub pod_wait: Millis,
    /// No node goes before this much time after one was added.
    pub after_add: Millis,
}

impl Default for ClusterAutoscaler {
    fn default() -> Self {
        Self {
            idle: IDLE_DEFAULT,
            pod_wait: Millis::from_secs(30),
            after_add: Millis::from_mins(10),
        }
    }
}

impl Strategy for ClusterAutoscaler {
    fn timers(&self) -> Timers {
        Timers { pending_age: self.pod_wait, ..Timers::default() }
    }

    fn want(&mut self, view: &PoolView<'_>) -> Want {
        let free_at = view.last_create.map_or(Timestamp::ZERO, |at| at + self.after_add);
        if view.now < free_at {
            return Want { wake_at: free_at, ..Want::nothing(Millis::MAX) };
        }
        Want::nothing(self.idle)
    }
}

/// Reactive scaling above a floor that changes over time, known from outside.
#[derive(Clone, Debug)]
pub struct FollowFloor {
    steps: Vec<(Timestamp, u32)>,
    idle: Millis,
}

impl FollowFloor {
    /// `steps`: the floor from each instant on, ordered by time; 0 before the first.
    pub const fn new(steps: Vec<(Timestamp, u32)>, idle: Millis) -> Self {
        Self { steps, idle }
    }
}

impl Strategy for FollowFloor {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        let next = self.steps.partition_point(|&(at, _)| at <= view.now);
        Want {
            floor_nodes: next.checked_sub(1).map_or(0, |last| self.steps[last].1),
            wake_at: self.steps.get(next).map_or(Timestamp::NEVER, |&(at, _)| at),
            ..Want::nothing(self.idle)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::want::test_view;

    #[test]
    fn nothing_goes_soon_after_an_addition() {
        let mut autoscaler = ClusterAutoscaler::default();
        let added = PoolView {
            now: Timestamp::from_secs(3599),
            last_create: Some(Timestamp::from_secs(3000)),
            ..test_view()
        };
        let want = autoscaler.want(&added);
        assert_eq!((want.idle_timeout, want.wake_at), (Millis::MAX, Timestamp::from_secs(3600)));
        let later = PoolView { now: Timestamp::from_secs(3600), ..added };
        assert_eq!(autoscaler.want(&later), Want::nothing(IDLE_DEFAULT));
    }

    #[test]
    fn a_floor_holds_from_its_instant_on() {
        let steps = vec![(Timestamp::from_secs(10), 3), (Timestamp::from_secs(20), 1)];
        let mut follow = FollowFloor::new(steps, Millis::ZERO);
        let mut floor_at = |secs| {
            let want = follow.want(&PoolView { now: Timestamp::from_secs(secs), ..test_view() });
            (want.floor_nodes, want.wake_at)
        };
        assert_eq!(floor_at(9), (0, Timestamp::from_secs(10)));
        assert_eq!(floor_at(10), (3, Timestamp::from_secs(20)));
        assert_eq!(floor_at(25), (1, Timestamp::NEVER));
    }
}
