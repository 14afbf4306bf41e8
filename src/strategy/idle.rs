//! After how long idle nodes go: a fixed time, or the one that breaks even.
//!
//! A node that goes and is needed again costs its boot, a lead time `L`, and lets a share `phi` of its
//! GPUs wait as long, at `kappa` times their price: `L * (1 + kappa * phi)` of a node's time. The learned
//! idle gaps of its level say how long to wait before paying that.
//!
//! # Source
//! Ski rental; see [`crate::forecast::gaps`].

use super::{Learned, Learner, PoolView, Strategy, Want};
use crate::{forecast::gaps::IdleGaps, time::Millis};
use std::fmt;

/// When idle nodes go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Idle {
    /// After this long.
    Fixed(Millis),
    /// When keeping them has cost about as much as starting them again, the last in first.
    BreakEven {
        /// Cost of a waiting GPU-hour over the price of a GPU-hour.
        kappa: f64,
        /// Share of a node's GPUs that wait when it is needed again, 0..=1.
        phi: f64,
    },
}

impl fmt::Display for Idle {
    /// As the knobs of a policy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(span) => write!(f, "idle={span}"),
            Self::BreakEven { kappa, phi } => write!(f, "idle=break-even,kappa={kappa},phi={phi}"),
        }
    }
}

impl Idle {
    /// Only what waiting jobs need; idle nodes go by this rule.
    pub fn only(&self, learned: Option<&Learned>, view: &PoolView<'_>) -> Want {
        let (kappa, phi) = match *self {
            Self::Fixed(span) => return Want::nothing(span),
            Self::BreakEven { kappa, phi } => (kappa, phi),
        };
        let restart = Millis((view.lead_time.0 as f64 * (1.0 + kappa * phi)) as i64);
        let unknown = IdleGaps::default();
        let gaps = learned.map_or(&unknown, |learned| &learned.gaps);
        let top = view.alive_nodes();
        let timeout = gaps.timeout(top, restart);
        // Levels below may have to be waited for longer: they are looked at when those above are gone.
        let most_removals = (top + 1).saturating_sub(timeout.from);
        Want { most_removals, ..Want::nothing(timeout.after) }
    }
}

/// Reactive scaling with a learned idle time.
#[derive(Clone, Debug)]
pub struct LearnedIdle {
    idle: Idle,
    learner: Learner,
}

impl LearnedIdle {
    /// Knows nothing yet.
    pub fn new(idle: Idle) -> Self {
        Self { idle, learner: Learner::default() }
    }
}

impl Strategy for LearnedIdle {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        self.learner.observe(view);
        let want = self.idle.only(self.learner.learned().map(AsRef::as_ref), view);
        Want { wake_at: self.learner.next_refit(), ..want }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{strategy::want::test_view, time::Timestamp};

    #[test]
    fn without_gaps_an_idle_node_waits_as_long_as_a_start_is_worth() {
        // 540 s x (1 + 20 x 0.3) = 63 min.
        let want = Idle::BreakEven { kappa: 20.0, phi: 0.3 }.only(None, &test_view());
        assert_eq!(want.idle_timeout, Millis::from_mins(63));
        assert_eq!(Idle::Fixed(Millis(5)).only(None, &test_view()), Want::nothing(Millis(5)));
    }

    #[test]
    fn only_the_levels_that_share_the_timeout_of_the_last_go_at_once() {
        // One node is needed all day long, a second one every half hour for ten minutes, three more once:
        // the second has the gaps, the others go with it.
        let mut policy = LearnedIdle::new(Idle::BreakEven { kappa: 20.0, phi: 0.1 });
        let mut last = Want::nothing(Millis::ZERO);
        for round in 0..48 {
            for (minute, nodes) in [(0, if round == 0 { 5 } else { 2 }), (10, 1)] {
                let now = Timestamp::ZERO + Millis::from_mins(round * 30 + minute);
                let (usable_nodes, idle_nodes) = (5, 5 - nodes);
                let spare_nodes = idle_nodes;
                let view = PoolView { now, usable_nodes, idle_nodes, spare_nodes, ..test_view() };
                last = policy.want(&view);
            }
        }
        // A start is worth 27 min, gaps are 20: they are waited for, not longer.
        assert_eq!((last.idle_timeout, last.most_removals), (Millis::from_mins(25), 5));
    }
}
