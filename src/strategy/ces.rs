//! A forecast decides when nodes may go; they come reactively, with a buffer.
//!
//! # Source
//! Helios' Cluster Energy Saving service (Hu et al., SC'21): nodes are powered off when recent use has
//! fallen, the forecast of the next three hours is lower still and the last six hours do not rise; when
//! use exceeds what is on, use plus a buffer is powered on and held for two hours. Its gradient-boosted
//! trees are replaced here by a regression on the same features (time of day, latest value): see
//! [`crate::forecast::Seasonal`].

use super::{PoolView, Strategy, Want};
use crate::{
    forecast::{DemandHistory, Seasonal},
    time::{Millis, Timestamp},
};
use std::collections::VecDeque;

const BIN: Millis = Millis::from_mins(10);
const BINS_A_DAY: usize = 144;
const HISTORY_BINS: usize = BINS_A_DAY * 14;
/// The next three hours.
const FUTURE_BINS: usize = 18;
/// The last half hour.
const RECENT_BINS: usize = 3;
/// The last six hours.
const TREND_BINS: usize = 36;
/// Two hours.
const HOLD: Millis = Millis::from_mins(120);

/// Reactive on, forecast off.
#[derive(Clone, Debug)]
pub struct EnergySaver {
    buffer: u32,
    threshold: f64,
    history: DemandHistory,
    active: u32,
    hold_until: Timestamp,
    judged_bin: i64,
}

impl EnergySaver {
    /// `buffer`: nodes kept beyond use (Helios: 5). `threshold`: fall in nodes that counts (Helios: 1).
    pub const fn new(buffer: u32, threshold: f64) -> Self {
        Self {
            buffer,
            threshold,
            history: DemandHistory::new(BIN, HISTORY_BINS),
            active: 0,
            hold_until: Timestamp::ZERO,
            judged_bin: 0,
        }
    }

    fn may_shrink(&self, node_milli: f64) -> bool {
        let means = self.history.means();
        let first_bin = self.history.current() - means.len() as i64;
        let first_slot = first_bin.rem_euclid(BINS_A_DAY as i64) as usize;
        let Some(model) = Seasonal::fit(means, first_slot, BINS_A_DAY) else { return false };
        let now = means[means.len() - 1] / node_milli;
        let future = (1..=FUTURE_BINS).map(|ahead| model.ahead(ahead)).sum::<f64>()
            / FUTURE_BINS as f64
            / node_milli;
        let recent = mean_of_last(means, 1, RECENT_BINS) / node_milli;
        let is_rising = mean_of_last(means, 0, TREND_BINS / 2)
            > mean_of_last(means, TREND_BINS / 2, TREND_BINS / 2);
        recent - now >= self.threshold && now - future >= self.threshold && !is_rising
    }
}

/// Mean of `count` bins that end `skip` bins before the latest.
fn mean_of_last(means: &VecDeque<f64>, skip: usize, count: usize) -> f64 {
    let taken: Vec<f64> = means.iter().rev().skip(skip).take(count).copied().collect();
    taken.iter().sum::<f64>() / taken.len().max(1) as f64
}

impl Strategy for EnergySaver {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        self.history.note(view.now, view.demand_integral);
        let used = view.alive_nodes() - view.idle_nodes.min(view.alive_nodes()) + view.firm_nodes;
        if used > self.active {
            self.active = used + self.buffer;
            self.hold_until = view.now + HOLD;
        }
        let bin = self.history.current();
        if bin != self.judged_bin && view.now >= self.hold_until {
            self.judged_bin = bin;
            if self.may_shrink(view.node_milli() as f64) {
                self.active = self.active.min(used + self.buffer);
            }
        }
        Want {
            floor_nodes: self.active,
            wake_at: self.history.next_edge(),
            ..Want::nothing(Millis::ZERO)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::want::test_view;

    /// Days of 20 nodes from 8 to 18, which then fall to 4 within four hours; looked at every ten
    /// minutes.
    fn floor_over_days(days: i64) -> Vec<u32> {
        let mut policy = EnergySaver::new(2, 1.0);
        let (mut integral, mut floors) = (0, Vec::new());
        for bin in 0..days * 144 {
            let busy = match bin % 144 {
                48..108 => 20,
                slot @ 108..132 => 20 - (slot - 108) * 16 / 24,
                _ => 4,
            };
            let view = PoolView {
                now: Timestamp::from_secs(bin * 600),
                demand_integral: integral,
                usable_nodes: busy as u32,
                ..test_view()
            };
            floors.push(policy.want(&view).floor_nodes);
            integral += i128::from(busy) * 8000 * 600_000;
        }
        floors
    }

    #[test]
    fn use_beyond_what_is_on_switches_on_use_and_buffer() {
        let floors = floor_over_days(1);
        assert_eq!((floors[0], floors[48]), (6, 22));
        // Without a day of history nothing goes.
        assert_eq!(floors[143], 22);
    }

    #[test]
    fn a_known_evening_lets_nodes_go() {
        let floors = floor_over_days(4);
        let fourth_day = 3 * 144;
        assert_eq!(floors[fourth_day + 108], 22);
        // Half-way down, with eight nodes' fall to come.
        assert!(floors[fourth_day + 122] <= 16, "{:?}", &floors[fourth_day + 100..]);
    }
}
