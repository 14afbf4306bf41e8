//! How high demand will be at most within a lead time, where it follows the hours of the week: a profile,
//! a deviation from it that fades, and what such forecasts missed in the past.
//!
//! Demand is taken as its mean over whole hours: the profile is the level of an hour, and what rises
//! above it for minutes is what the residuals are for; a profile of maxima would count it twice. Between
//! the middles of two hours the profile is a straight line. `forecast(t + s) = profile(t + s) + fade(s) *
//! (now - profile(t))`, where `fade` loses by the hour what [`Seasonal`] found. The residual is the highest
//! demand that came less the highest forecast, of every tenth minute; its own hour has no say in the
//! profile it is compared with, or two weeks would look twice as regular as they are.
//!
//! Output is in thousandths of a GPU. Only the past enters: no event after `now`, no residual before its
//! horizon has passed.
//!
//! # Source
//! Seasonal means with AR(1) errors and empirical prediction intervals; Hyndman and Athanasopoulos,
//! "Forecasting: Principles and Practice", 3rd ed., chapters 5 and 10.

use super::{
    Seasonal,
    events::Events,
    labels::{Span, deltas},
    quantile::{LEVELS, Row},
};
use crate::{
    time::{Millis, Timestamp},
    units::is_amount,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const HOUR: Millis = Millis::from_hours(1);
const DAY: usize = 24;
const WEEK: usize = 7 * DAY;

/// Whole hours without which there is no profile: three days.
pub const FEWEST_HOURS: usize = 3 * DAY;

/// How far back it looks: four weeks.
pub const LOOK_BACK: Millis = Millis::from_hours(4 * WEEK as i64);

/// Spacing of residuals, and how often a forecast is worth another look.
pub const STEP: Millis = Millis::from_mins(10);

/// A fitted model: plain data of at most 168 hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Mean demand by hour since time zero, modulo a day or, from two weeks on, a week.
    hours: Vec<i64>,
    /// Share of a deviation that is left after an hour, 0..=1.
    rho: f64,
    /// What forecasts missed, at [`LEVELS`].
    residuals: Row,
}

impl Profile {
    /// The model of what is known at `now`, with residuals of forecasts for the next `horizon`. `None`
    /// with fewer than [`FEWEST_HOURS`].
    pub fn fit(events: &Events, now: Timestamp, horizon: Millis) -> Option<Self> {
        let (first, means) = hourly_means(events, now);
        if means.len() < FEWEST_HOURS {
            return None;
        }
        let season = if means.len() < 2 * WEEK { DAY } else { WEEK };
        let slot = first.rem_euclid(season as i64) as usize;
        let seasonal = Seasonal::fit(&means, slot, season)?;
        let hours = (0..season).map(|hour| seasonal.profile(hour).round() as i64).collect();
        let mut profile = Self { hours, rho: seasonal.rho(), residuals: Row::default() };
        profile.residuals = nearest_ranks(profile.misses(events, now, horizon, first, &means))?;
        Some(profile)
    }

    /// How high demand will be at most within `horizon`, with probability `level` (0..=1, up to the next
    /// of [`LEVELS`]); `current_milli` is the demand now.
    pub fn demand(&self, now: Timestamp, horizon: Millis, current_milli: i64, level: f64) -> i64 {
        let wanted = (level * 1000.0).round() as u32;
        let place = LEVELS.iter().position(|&known| known >= wanted).unwrap_or(LEVELS.len() - 1);
        let highest = self.highest(now, horizon, current_milli as f64, &|hour| self.hour(hour));
        highest.ceil() as i64 + self.residuals[place]
    }

    /// Whether what was kept can have been: a day or a week of hours.
    pub(crate) fn is_sound(&self) -> bool {
        [DAY, WEEK].contains(&self.hours.len())
            && (0.0..=1.0).contains(&self.rho)
            && self.hours.iter().chain(&self.residuals).all(|&milli| is_amount(milli))
    }

    fn hour(&self, hour: i64) -> f64 {
        self.hours[hour.rem_euclid(self.hours.len() as i64) as usize] as f64
    }

    /// The highest forecast of the horizon: at its ends or at a bend of the profile.
    fn highest(
        &self,
        now: Timestamp,
        horizon: Millis,
        current: f64,
        hour: &impl Fn(i64) -> f64,
    ) -> f64 {
        let deviation = current - line(now, hour);
        let end = now + horizon;
        let bend = (now + Millis(HOUR.0 / 2)).ceil_to(HOUR) - Millis(HOUR.0 / 2);
        let bends = (0..).map(|index| bend + HOUR * index).take_while(|&at| at < end);
        let ahead = bends.chain([end]).map(|at| line(at, hour) + self.fade(at - now) * deviation);
        ahead.fold(current, f64::max)
    }

    /// Share of a deviation left after `span`: `rho` to the power of whole hours, linear in between.
    fn fade(&self, span: Millis) -> f64 {
        let whole = i32::try_from(span.0 / HOUR.0).unwrap_or(i32::MAX);
        let part = (span.0 % HOUR.0) as f64 / HOUR.0 as f64;
        self.rho.powi(whole) * (1.0 - (1.0 - self.rho) * part)
    }

    /// What forecasts would have missed. `means` are those of the hours from `first` on.
    fn misses(
        &self,
        events: &Events,
        now: Timestamp,
        horizon: Millis,
        first: i64,
        means: &VecDeque<f64>,
    ) -> Vec<i64> {
        // A mean of n values without one of them: n / (n - 1) times as far from that one.
        let seasons = (means.len() / self.hours.len()) as f64;
        let without = |hour: i64| {
            let profile = self.hour(hour);
            let known = usize::try_from(hour - first).ok().and_then(|index| means.get(index));
            known.map_or(profile, |mean| mean - (mean - profile) * seasons / (seasons - 1.0))
        };
        let from = Timestamp::ZERO + HOUR * first;
        let labels = deltas(events, &Span { from, now, horizon, step: STEP });
        let mut demand = events.demand_at(labels.first);
        let mut past = events.window(labels.first, now).peekable();
        let mut misses = Vec::with_capacity(labels.values.len());
        for (index, rise) in labels.values.iter().enumerate() {
            let at = labels.first + STEP * index as i64;
            while let Some(event) = past.next_if(|event| event.at <= at) {
                demand += event.milli;
            }
            let forecast = self.highest(at, horizon, demand as f64, &without).ceil() as i64;
            misses.push(demand + rise - forecast);
        }
        misses
    }
}

/// The straight line through the middles of the hours.
fn line(at: Timestamp, hour: &impl Fn(i64) -> f64) -> f64 {
    let since = at.0 - HOUR.0 / 2;
    let (before, part) = (since.div_euclid(HOUR.0), since.rem_euclid(HOUR.0));
    let from = hour(before);
    from + (hour(before + 1) - from) * part as f64 / HOUR.0 as f64
}

/// Mean demand of the whole hours known, and the number of the first one since time zero.
fn hourly_means(events: &Events, now: Timestamp) -> (i64, VecDeque<f64>) {
    let first = events.known_since().max(now - LOOK_BACK).ceil_to(HOUR);
    let mut demand = events.demand_at(first);
    let mut past = events.window(first, now).peekable();
    let mut means = VecDeque::new();
    let mut start = first;
    while start + HOUR <= now {
        let end = start + HOUR;
        let (mut at, mut integral) = (start, 0i128);
        while let Some(event) = past.next_if(|event| event.at <= end) {
            integral += i128::from(demand) * i128::from((event.at - at).0);
            demand += event.milli;
            at = event.at;
        }
        integral += i128::from(demand) * i128::from((end - at).0);
        means.push_back(integral as f64 / HOUR.0 as f64);
        start = end;
    }
    (first.0.div_euclid(HOUR.0), means)
}

/// The values at [`LEVELS`]; `None` without values.
fn nearest_ranks(mut values: Vec<i64>) -> Option<Row> {
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    let rank = |level: u32| (values.len() * level as usize).div_ceil(1000);
    Some(LEVELS.map(|level| values[rank(level).saturating_sub(1).min(last)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        forecast::events::Event,
        model::{OwnerId, ShapeId},
    };

    const LEAD: Millis = Millis::from_mins(10);

    fn hours(hours: i64) -> Timestamp {
        Timestamp::ZERO + HOUR * hours
    }

    /// 8 GPUs all the time and 16 more from 9 to 17 o'clock.
    fn office(days: i64) -> Events {
        let mut events = Events::new(Timestamp::ZERO, 8000);
        for day in 0..days {
            let came = Event::arrival(hours(day * 24 + 9), 16_000, ShapeId(0), OwnerId(0));
            events.push(came);
            events.push(came.finished(hours(day * 24 + 17)));
        }
        events
    }

    #[test]
    fn a_daily_cycle_is_expected_a_lead_time_ahead() {
        let profile = Profile::fit(&office(5), hours(5 * 24), LEAD).unwrap();
        let at =
            |hour: i64, current| profile.highest(hours(hour), LEAD, current, &|h| profile.hour(h));
        // Without deviations nothing is left of one. Between 8:30 and 9:30 the line goes from 8 to 24
        // GPUs: 9:00 is 16, 9:10 is 16 + 16 / 6.
        assert!(profile.rho.abs() < 1e-9);
        let expected = 16_000.0 + 16_000.0 / 6.0 - 8000.0 * (5.0 / 6.0);
        assert!((at(5 * 24 + 9, 8000.0) - expected).abs() < 1.0, "{}", at(5 * 24 + 9, 8000.0));
        // In the middle of the night nothing is.
        assert!((at(5 * 24 + 3, 8000.0) - 8000.0).abs() < 1e-9);
    }

    #[test]
    fn flat_demand_wants_what_there_is() {
        let events = Events::new(Timestamp::ZERO, 8000);
        let profile = Profile::fit(&events, hours(100), LEAD).unwrap();
        for level in [0.5, 0.98, 1.0] {
            assert_eq!(profile.demand(hours(100), LEAD, 8000, level), 8000);
        }
    }

    #[test]
    fn the_future_does_not_count() {
        let known = office(5);
        let mut more = known.clone();
        more.push(Event::arrival(hours(121), 64_000, ShapeId(0), OwnerId(0)));
        assert_eq!(Profile::fit(&known, hours(120), LEAD), Profile::fit(&more, hours(120), LEAD));
    }

    #[test]
    fn three_days_are_needed_and_two_weeks_are_told_apart() {
        assert!(Profile::fit(&office(2), hours(71), LEAD).is_none());
        assert_eq!(Profile::fit(&office(3), hours(72), LEAD).unwrap().hours.len(), 24);
        assert_eq!(Profile::fit(&office(14), hours(14 * 24), LEAD).unwrap().hours.len(), 168);
    }

    #[test]
    fn an_hour_is_its_mean() {
        // 16 GPUs from half past nine on: half of them in that hour.
        let mut events = Events::new(Timestamp::ZERO, 0);
        let half = hours(9) + Millis::from_mins(30);
        events.push(Event::arrival(half, 16_000, ShapeId(0), OwnerId(0)));
        let (first, means) = hourly_means(&events, hours(11) + LEAD);
        assert_eq!((first, means.len()), (0, 11));
        assert_eq!([8, 9, 10].map(|hour| means[hour] as i64), [0, 8000, 16_000]);
    }

    #[test]
    fn it_survives_being_written_down() {
        let profile = Profile::fit(&office(5), hours(120), LEAD).unwrap();
        let written = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&written).unwrap(), profile);
    }
}
