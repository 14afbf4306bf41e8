//! Strategies that keep a fixed amount or share of capacity spare.

use super::{PoolView, Strategy, Want};
use crate::{
    time::{Millis, Timestamp},
    units::GPU_MILLI,
};

/// Keeps so much spare, whatever the demand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Headroom {
    /// Devices, wherever they are free.
    Gpus(u32),
    /// Whole empty nodes.
    Nodes(u32),
}

/// Reactive scaling with a fixed headroom.
#[derive(Clone, Copy, Debug)]
pub struct FixedHeadroom {
    headroom: Headroom,
    idle: Millis,
}

impl FixedHeadroom {
    /// Idle nodes beyond the headroom go after `idle`.
    pub const fn new(headroom: Headroom, idle: Millis) -> Self {
        Self { headroom, idle }
    }
}

impl Strategy for FixedHeadroom {
    fn want(&mut self, _: &PoolView<'_>) -> Want {
        let want = Want::nothing(self.idle);
        match self.headroom {
            Headroom::Gpus(gpus) => {
                Want { spare_milli: u64::from(gpus) * u64::from(GPU_MILLI), ..want }
            }
            Headroom::Nodes(nodes) => Want { spare_nodes: nodes, ..want },
        }
    }
}

/// Keeps a share of all requests (running and waiting) spare.
///
/// # Source
/// redhat-cop proactive-node-scaling-operator, `watermarkPercentage`.
#[derive(Clone, Copy, Debug)]
pub struct Watermark {
    share: f64,
    idle: Millis,
}

impl Watermark {
    /// `share` of the requests, 0.2 = 20 %.
    pub const fn new(share: f64, idle: Millis) -> Self {
        Self { share, idle }
    }
}

impl Strategy for Watermark {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        let spare = (view.demand_milli() as f64 * self.share).round();
        Want { spare_milli: spare as u64, ..Want::nothing(self.idle) }
    }
}

/// Grows when utilisation is above `up`, so far that it is at `up` again; shrinks when it has been
/// below `down` for `hold`, so far that it is half-way between the two.
///
/// # Source
/// Atlassian escalator: scale-up and scale-down thresholds on utilisation.
#[derive(Clone, Copy, Debug)]
pub struct Hysteresis {
    up: f64,
    down: f64,
    hold: Millis,
    below_since: Option<Timestamp>,
}

impl Hysteresis {
    /// Thresholds as shares of the capacity, `0 < down < up <= 1`.
    pub const fn new(up: f64, down: f64, hold: Millis) -> Self {
        Self { up, down, hold, below_since: None }
    }

    fn nodes_for(view: &PoolView<'_>, utilisation: f64) -> u32 {
        (view.demand_milli() as f64 / (view.node_milli() as f64 * utilisation)).ceil() as u32
    }
}

impl Strategy for Hysteresis {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        let capacity = u64::from(view.alive_nodes()) * view.node_milli();
        let is_below = (view.demand_milli() as f64) < self.down * capacity as f64;
        if !is_below {
            self.below_since = None;
            let floor_nodes = Self::nodes_for(view, self.up);
            return Want { floor_nodes, ..Want::nothing(Millis::MAX) };
        }
        let ripe_at = *self.below_since.get_or_insert(view.now) + self.hold;
        if view.now < ripe_at {
            return Want { wake_at: ripe_at, ..Want::nothing(Millis::MAX) };
        }
        let floor_nodes = Self::nodes_for(view, f64::midpoint(self.up, self.down));
        Want { floor_nodes, ..Want::nothing(Millis::ZERO) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::want::test_view;

    fn demand(gpus: u64, nodes: u32) -> PoolView<'static> {
        PoolView { running_milli: gpus * 1000, usable_nodes: nodes, ..test_view() }
    }

    #[test]
    fn a_watermark_is_a_share_of_running_and_waiting() {
        let view = PoolView { waiting_milli: 20_000, ..demand(80, 10) };
        assert_eq!(Watermark::new(0.2, Millis::ZERO).want(&view).spare_milli, 20_000);
    }

    #[test]
    fn above_the_upper_threshold_it_grows_back_to_it() {
        let mut policy = Hysteresis::new(0.8, 0.5, Millis::from_mins(10));
        // 72 of 80 GPUs: 90 %. 72 / (8 * 0.8) = 11.25 nodes.
        assert_eq!(policy.want(&demand(72, 10)).floor_nodes, 12);
    }

    #[test]
    fn below_the_lower_threshold_it_shrinks_only_after_the_hold() {
        let mut policy = Hysteresis::new(0.8, 0.5, Millis::from_mins(10));
        let low = demand(16, 10);
        assert_eq!(policy.want(&low).idle_timeout, Millis::MAX);
        let later = PoolView { now: low.now + Millis::from_mins(10), ..low };
        // 16 / (8 * 0.65) = 3.08 nodes.
        let want = policy.want(&later);
        assert_eq!((want.floor_nodes, want.idle_timeout), (4, Millis::ZERO));
        assert_eq!(policy.want(&demand(60, 10)).idle_timeout, Millis::MAX);
    }
}
