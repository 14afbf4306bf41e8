//! At least the forecast from the same hour of past days.
//!
//! # Source
//! AWS EC2 Auto Scaling, "Predictive scaling": up to 14 days of history, at least 24 h; an hourly
//! forecast of 48 h, refreshed every 6 h; scales out only; capacity = max(forecast, reactive); started
//! ahead by `SchedulingBufferTime` (300 s).

use super::{PoolView, Strategy, Want};
use crate::{
    forecast::DemandHistory,
    time::{Millis, Timestamp},
};

const HOUR: Millis = Millis::from_hours(1);
const HOURS_A_DAY: i64 = 24;
const HISTORY_DAYS: i64 = 14;
const FORECAST_HOURS: i64 = 48;
const REFRESH: Millis = Millis::from_hours(6);

/// Reactive scaling above an hourly forecast.
#[derive(Clone, Debug)]
pub struct HourlyProfile {
    idle: Millis,
    buffer: Millis,
    history: DemandHistory,
    /// Forecast demand by hour in thousandths of a GPU, from `plan_start` on.
    plan: Vec<f64>,
    plan_start: i64,
    refresh_at: Timestamp,
}

impl HourlyProfile {
    /// `buffer`: capacity is there so much before the hour it is forecast for.
    pub const fn new(idle: Millis, buffer: Millis) -> Self {
        Self {
            idle,
            buffer,
            history: DemandHistory::new(HOUR, (HISTORY_DAYS * HOURS_A_DAY) as usize),
            plan: Vec::new(),
            plan_start: 0,
            refresh_at: Timestamp::ZERO,
        }
    }

    fn refresh(&mut self, now: Timestamp) {
        if now < self.refresh_at || (self.history.means().len() as i64) < HOURS_A_DAY {
            return;
        }
        self.refresh_at = now + REFRESH;
        self.plan_start = self.history.current();
        self.plan = (0..FORECAST_HOURS).map(|ahead| self.mean_of_hour(ahead)).collect();
    }

    /// Mean of the bins that lie a whole number of days before the hour.
    fn mean_of_hour(&self, ahead: i64) -> f64 {
        let means = self.history.means();
        let index = means.len() as i64 + ahead;
        let same_hour = (1..).map(|day| index - day * HOURS_A_DAY).take_while(|&bin| bin >= 0);
        let known = same_hour.filter_map(|bin| means.get(bin as usize));
        let (sum, count) = known.fold((0.0, 0u32), |(sum, count), mean| (sum + mean, count + 1));
        sum / f64::from(count.max(1))
    }

    fn forecast_at(&self, at: Timestamp) -> f64 {
        let hour = at.0.div_euclid(HOUR.0) - self.plan_start;
        usize::try_from(hour).ok().and_then(|hour| self.plan.get(hour)).copied().unwrap_or_default()
    }
}

impl Strategy for HourlyProfile {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        self.history.note(view.now, view.demand_integral);
        self.refresh(view.now);
        let ahead = view.now + view.lead_time + self.buffer;
        let milli = self.forecast_at(view.now).max(self.forecast_at(ahead));
        let to_next_hour = Millis(HOUR.0 - ahead.0.rem_euclid(HOUR.0));
        Want {
            floor_nodes: (milli / view.node_milli() as f64).ceil() as u32,
            wake_at: self.history.next_edge().min(view.now + to_next_hour),
            ..Want::nothing(self.idle)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::want::test_view;

    /// 32 GPUs from 9 to 17, none otherwise.
    fn office_hours(hour: i64) -> i128 {
        if (9..17).contains(&hour.rem_euclid(24)) { 32_000 } else { 0 }
    }

    fn floor_on_third_day(secs: i64) -> u32 {
        let mut policy = HourlyProfile::new(Millis::from_mins(10), Millis::from_secs(300));
        let mut integral = 0;
        for hour in 0..48 {
            let now = Timestamp::from_secs(hour * 3600);
            policy.want(&PoolView { now, demand_integral: integral, ..test_view() });
            integral += office_hours(hour) * 3_600_000;
        }
        let now = Timestamp::from_secs(48 * 3600 + secs);
        policy.want(&PoolView { now, demand_integral: integral, ..test_view() }).floor_nodes
    }

    #[test]
    fn nodes_are_asked_for_a_lead_time_and_a_buffer_before_the_hour() {
        // 540 s + 300 s before nine o'clock.
        assert_eq!(floor_on_third_day(9 * 3600 - 841), 0);
        assert_eq!(floor_on_third_day(9 * 3600 - 840), 4);
        assert_eq!(floor_on_third_day(12 * 3600), 4);
        assert_eq!(floor_on_third_day(17 * 3600), 0);
    }

    #[test]
    fn the_first_day_is_not_forecast() {
        let mut policy = HourlyProfile::new(Millis::from_mins(10), Millis::ZERO);
        for hour in 0..23 {
            let now = Timestamp::from_secs(hour * 3600);
            let integral = i128::from(hour) * 3_600_000 * 8000;
            let want = policy.want(&PoolView { now, demand_integral: integral, ..test_view() });
            assert_eq!(want.floor_nodes, 0);
        }
    }
}
