//! Keeps spare what demand will rise by within a lead time, with a given probability, given what is
//! going on right now.
//!
//! Every minute of the last 14 days tells by how much demand rose in the lead time that followed. Those
//! rises, grouped by the situation of their minute (how many GPUs had just arrived, the hour, what
//! owners were doing), give the quantile of the rise to come. The first job of a burst cannot be
//! foreseen; that it goes on can.
//!
//! The strategy learns only from what it has seen: a rise is known a lead time after its minute.
//!
//! # Source
//! Newsvendor quantile with conditional empirical distributions; see [`crate::forecast::quantile`].

use super::{PoolView, Strategy, Want};
use crate::{
    forecast::{
        bins::{BURST_WINDOW, Calendar, Features, REPEAT_WINDOW, Scheme},
        events::{Event, Events},
        labels::{Span, deltas},
        quantile::Table,
    },
    model::{OwnerId, ShapeId},
    time::{Millis, Timestamp},
};

/// How often the quantiles are taken anew.
const REFIT: Millis = Millis::from_hours(6);

/// Time that passes until a rise is noticed: one decision interval.
const NOTICE: Millis = Millis::from_secs(15);

/// What the rise is kept ready in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// GPUs wherever they are free: enough where jobs are small.
    Gpus,
    /// Whole empty nodes: what large jobs need.
    Nodes,
}

/// Reactive scaling with a conditional quantile of the coming rise as spare.
#[derive(Clone, Debug)]
pub struct ConditionalQuantile {
    level: f64,
    scheme: Scheme,
    unit: Unit,
    idle: Millis,
    events: Option<Events>,
    demand: i64,
    table: Option<Table>,
    refit_at: Timestamp,
}

impl ConditionalQuantile {
    /// `level`: probability with which the spare suffices, 0..=1.
    pub const fn new(level: f64, scheme: Scheme, unit: Unit, idle: Millis) -> Self {
        Self {
            level,
            scheme,
            unit,
            idle,
            events: None,
            demand: 0,
            table: None,
            refit_at: Timestamp::ZERO,
        }
    }

    /// Notes what came, and what must have ended since for demand to be what it is.
    fn observe(&mut self, view: &PoolView<'_>) {
        let now_milli = view.demand_milli() as i64;
        let events = self.events.get_or_insert_with(|| Events::new(view.now, now_milli));
        let is_first = self.refit_at == Timestamp::ZERO;
        if is_first {
            self.refit_at = view.now + REFIT;
            self.demand = now_milli;
            return;
        }
        let mut expected = self.demand;
        for arrival in view.arrivals {
            expected += arrival.gpu_milli as i64;
            events.push(Event::arrival(
                arrival.at,
                arrival.gpu_milli,
                arrival.shape,
                arrival.owner,
            ));
        }
        if expected > now_milli {
            let ended = Event {
                at: view.now,
                arrived: Timestamp(i64::MIN),
                milli: now_milli - expected,
                shape: ShapeId(0),
                owner: OwnerId(0),
            };
            events.push(ended);
        }
        self.demand = now_milli;
    }

    fn refit(&mut self, view: &PoolView<'_>) {
        let Some(events) = self.events.as_mut().filter(|_| view.now >= self.refit_at) else {
            return;
        };
        self.refit_at = view.now + REFIT;
        events.forget(view.now);
        let span = Span::recent(view.now, view.lead_time + NOTICE);
        let labels = deltas(events, &span);
        let count = labels.values.len();
        let features =
            Features::sweep(events, labels.first, labels.step, count, Calendar::default());
        self.table = Table::fit(&features, &labels.values, None);
    }

    /// When the situation may change although nothing happens.
    fn next_change(&self, now: Timestamp, events: &Events) -> Timestamp {
        let oldest = events.window(now - BURST_WINDOW, now).find(|event| event.is_arrival());
        let burst_ends = oldest.map_or(Timestamp::NEVER, |event| event.at + BURST_WINDOW);
        let newest = events.iter().next_back().filter(|event| event.at > now - REPEAT_WINDOW);
        let repeat_ends = newest.map_or(Timestamp::NEVER, |event| event.at + REPEAT_WINDOW);
        let next_hour = (now + Millis(1)).ceil_to(Millis::from_hours(1));
        burst_ends.min(repeat_ends).min(next_hour).min(self.refit_at)
    }
}

impl Strategy for ConditionalQuantile {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        self.observe(view);
        self.refit(view);
        let nothing = Want::nothing(self.idle);
        let Some(events) = &self.events else { return nothing };
        let want = Want { wake_at: self.next_change(view.now, events), ..nothing };
        let Some(table) = &self.table else { return want };
        let features = Features::at(events, view.now, Calendar::default());
        let rise = table.quantile(self.scheme, &features, self.level).max(0) as u64;
        match self.unit {
            Unit::Gpus => Want { spare_milli: rise, ..want },
            Unit::Nodes => Want { spare_nodes: rise.div_ceil(view.node_milli()) as u32, ..want },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{Arrival, want::test_view};

    /// Every hour 16 GPUs arrive, followed by 16 more five minutes later; each runs 20 minutes.
    /// Returns the spare wanted at the given seconds of the last hour.
    fn spare(policy: &mut ConditionalQuantile, hours: i64, looks: &[i64]) -> Vec<u64> {
        let mut found = Vec::new();
        for hour in 0..hours {
            let mut steps = vec![0, 300, 1200, 1500];
            if hour == hours - 1 {
                steps.extend(looks);
                steps.sort_unstable();
            }
            for secs in steps {
                let now = Timestamp::from_secs(hour * 3600 + secs);
                let running = |from: i64| (from..from + 1200).contains(&secs);
                let running_milli =
                    [0, 300].into_iter().filter(|&from| running(from)).count() as u64 * 16_000;
                let arrival =
                    Arrival { at: now, shape: ShapeId(0), owner: OwnerId(1), gpu_milli: 16_000 };
                let arrivals = if [0, 300].contains(&secs) { &[arrival][..] } else { &[] };
                let view = PoolView { now, running_milli, arrivals, ..test_view() };
                let want = policy.want(&view);
                if hour == hours - 1 && looks.contains(&secs) {
                    found.push(want.spare_milli);
                }
            }
        }
        found
    }

    #[test]
    fn the_second_half_of_a_burst_is_expected_after_the_first() {
        let mut policy =
            ConditionalQuantile::new(0.9, Scheme::Burst, Unit::Gpus, Millis::from_mins(10));
        // 100 s after the first half: the second is due. 700 s after the last arrival: nothing is.
        let found = spare(&mut policy, 48, &[100, 1900]);
        assert_eq!(found[0], 16_000);
        assert!(found[1] < 16_000 * 3, "{found:?}");
    }

    #[test]
    fn without_conditions_the_spare_does_not_depend_on_the_moment() {
        let mut policy =
            ConditionalQuantile::new(0.9, Scheme::All, Unit::Gpus, Millis::from_mins(10));
        let found = spare(&mut policy, 48, &[100, 1900]);
        assert_eq!(found[0], found[1]);
    }

    #[test]
    fn before_the_first_fit_it_is_reactive() {
        let mut policy =
            ConditionalQuantile::new(0.9, Scheme::Burst, Unit::Gpus, Millis::from_mins(10));
        assert_eq!(spare(&mut policy, 4, &[100]), [0]);
    }

    #[test]
    fn whole_nodes_are_rounded_up() {
        let mut policy =
            ConditionalQuantile::new(0.9, Scheme::All, Unit::Nodes, Millis::from_mins(10));
        policy.table = Some(Table::uniform([9000; 8]));
        policy.refit_at = Timestamp::NEVER;
        assert_eq!(policy.want(&test_view()).spare_nodes, 2);
    }
}
