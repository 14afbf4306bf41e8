//! How often forecasts held over the last day: by time, by job and by GPU.
//!
//! Jobs cluster where forecasts miss, so a bound that holds 95 % of the time can still leave one job in
//! five without a GPU: all three shares are published. Kept as sums per hour, so the memory is a few
//! hundred numbers whatever the spacing of forecasts.
//!
//! The alarm asks whether the share of forecasts that held is further from the promised quantile than
//! chance explains: `|coverage - q| > 3 sqrt(q (1 - q) / n_eff)`. Labels overlap, so `n_eff` is their
//! number times spacing / horizon. Labels are lumpy (often zero): a bound that equals many labels rightly
//! holds more often than promised. So "too often" is judged by the labels strictly below the bound and
//! "too rarely" by those at most the bound; for a bound that is the true quantile, q lies between.

use super::labels::Outcome;
use crate::{
    time::{Millis, Timestamp},
    units::MOST,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Hours kept.
const HOURS: i64 = 24;
const HOUR: i64 = 3_600_000;

/// Independent labels below which there is no alarm: less than two hours at a horizon of 9 min.
pub const MIN_EFFECTIVE: f64 = 12.0;

/// Sums over some forecasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Forecasts whose label is known.
    pub labels: u32,
    /// Of those, label at most the bound.
    pub held: u32,
    /// Of those, label less than the bound.
    pub below: u32,
    /// Jobs that came.
    pub jobs: u64,
    /// Jobs for which there was room.
    pub jobs_covered: u64,
    /// Thousandths of GPUs that came.
    pub milli: i64,
    /// Thousandths of GPUs for which there was room.
    pub milli_covered: i64,
}

impl Tally {
    /// Share of forecasts that held; `None` before the first.
    pub fn by_time(&self) -> Option<f64> {
        share(f64::from(self.held), f64::from(self.labels))
    }

    /// Share of jobs for which there was room.
    pub fn by_job(&self) -> Option<f64> {
        share(self.jobs_covered as f64, self.jobs as f64)
    }

    /// Share of GPUs for which there was room.
    pub fn by_gpu(&self) -> Option<f64> {
        share(self.milli_covered as f64, self.milli as f64)
    }

    /// What this tally has beyond an earlier state of it.
    #[must_use]
    pub const fn less(&self, before: &Self) -> Self {
        Self {
            labels: self.labels - before.labels,
            held: self.held - before.held,
            below: self.below - before.below,
            jobs: self.jobs - before.jobs,
            jobs_covered: self.jobs_covered - before.jobs_covered,
            milli: self.milli - before.milli,
            milli_covered: self.milli_covered - before.milli_covered,
        }
    }

    /// Takes what came of `bound`.
    pub fn note(&mut self, bound: i64, outcome: &Outcome) {
        self.labels += 1;
        self.held += u32::from(outcome.label <= bound);
        self.below += u32::from(outcome.label < bound);
        self.jobs += u64::from(outcome.jobs);
        self.jobs_covered += u64::from(outcome.jobs_covered);
        self.milli += outcome.milli;
        self.milli_covered += outcome.milli_covered;
    }

    /// Whether what was kept can have been.
    pub(crate) fn is_sound(&self) -> bool {
        let parts = [(self.held, self.labels), (self.below, self.labels)];
        let most = MOST as u64;
        parts.into_iter().all(|(part, of)| part <= of)
            && self.labels <= 1 << 30
            && self.jobs_covered <= self.jobs
            && self.jobs <= most
            && (0..=self.milli).contains(&self.milli_covered)
            && self.milli <= MOST << 20
    }

    fn add(mut self, other: &Self) -> Self {
        self.labels += other.labels;
        self.held += other.held;
        self.below += other.below;
        self.jobs += other.jobs;
        self.jobs_covered += other.jobs_covered;
        self.milli += other.milli;
        self.milli_covered += other.milli_covered;
        self
    }
}

fn share(part: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| part / of)
}

/// What the last day says about a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alarm {
    /// Nothing that chance does not explain.
    Quiet,
    /// Forecasts hold too rarely: demand has grown wilder.
    TooLow,
    /// Forecasts hold too often: demand has calmed down.
    TooHigh,
}

/// Tallies of the last 24 hours. Plain data of bounded size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// (hour since zero, tally), oldest first; at most 25.
    pub hours: VecDeque<(i64, Tally)>,
}

impl Coverage {
    /// Whether what was kept can have been: a day of hours.
    pub(crate) fn is_sound(&self) -> bool {
        self.hours.len() <= HOURS as usize + 1
            && self.hours.iter().all(|(_, tally)| tally.is_sound())
    }

    /// Takes what came of the bound that was forecast at `at`. Instants must not go back by an hour.
    pub fn note(&mut self, at: Timestamp, bound: i64, outcome: &Outcome) {
        let hour = at.0.div_euclid(HOUR);
        match self.hours.back_mut() {
            Some((last, tally)) if *last >= hour => tally.note(bound, outcome),
            _ => {
                let mut tally = Tally::default();
                tally.note(bound, outcome);
                self.hours.push_back((hour, tally));
            }
        }
        while self.hours.front().is_some_and(|&(first, _)| first < hour - HOURS) {
            self.hours.pop_front();
        }
    }

    /// The sums of the last day.
    pub fn total(&self) -> Tally {
        self.hours.iter().fold(Tally::default(), |sum, (_, tally)| sum.add(tally))
    }

    /// Whether the promise `level` (0..1) is kept by forecasts made every `step` for `horizon`.
    pub fn alarm(&self, level: f64, step: Millis, horizon: Millis) -> Alarm {
        let total = self.total();
        let labels = f64::from(total.labels);
        let effective = labels * overlap(step, horizon);
        if effective < MIN_EFFECTIVE {
            return Alarm::Quiet;
        }
        let slack = 3.0 * (level * (1.0 - level) / effective).sqrt();
        if f64::from(total.held) / labels < level - slack {
            Alarm::TooLow
        } else if f64::from(total.below) / labels > level + slack {
            Alarm::TooHigh
        } else {
            Alarm::Quiet
        }
    }
}

/// How much of an independent label each of labels `step` apart is worth, 0..=1.
pub fn overlap(step: Millis, horizon: Millis) -> f64 {
    if horizon.0 <= step.0 { 1.0 } else { step.0 as f64 / horizon.0 as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = Millis::from_secs(60);

    fn label(label: i64) -> Outcome {
        Outcome { label, ..Outcome::default() }
    }

    /// A day of labels of which every `nth` is `2` and the others `usual`, against a bound of 1.
    fn day(nth: i64, usual: i64) -> Coverage {
        let mut coverage = Coverage::default();
        for minute in 0..1440 {
            let value = if minute % nth == 0 { 2 } else { usual };
            coverage.note(Timestamp::ZERO + MINUTE * minute, 1, &label(value));
        }
        coverage
    }

    #[test]
    fn shares_by_time_job_and_gpu_differ_when_misses_are_where_jobs_are() {
        let mut coverage = Coverage::default();
        for minute in 0..9 {
            coverage.note(Timestamp::from_secs(minute * 60), 1000, &label(0));
        }
        let burst =
            Outcome { label: 8000, jobs: 4, jobs_covered: 1, milli: 8000, milli_covered: 1000 };
        coverage.note(Timestamp::from_secs(540), 1000, &burst);
        let total = coverage.total();
        assert_eq!(total.by_time(), Some(0.9));
        assert_eq!(total.by_job(), Some(0.25));
        assert_eq!(total.by_gpu(), Some(0.125));
        assert_eq!(Tally::default().by_job(), None);
    }

    #[test]
    fn a_day_is_remembered_and_no_more() {
        let mut coverage = Coverage::default();
        for minute in 0..60 * 24 * 40 {
            coverage.note(Timestamp::ZERO + MINUTE * minute, 0, &label(i64::from(minute < 60)));
            assert!(coverage.hours.len() <= 25);
        }
        assert_eq!(coverage.total().by_time(), Some(1.0));
        assert_eq!(coverage.total().labels, 25 * 60);
    }

    #[test]
    fn the_alarm_knows_chance_from_change() {
        let alarm = |coverage: Coverage| coverage.alarm(0.9, MINUTE, MINUTE * 9);
        assert_eq!(alarm(day(10, 0)), Alarm::Quiet);
        assert_eq!(alarm(day(3, 0)), Alarm::TooLow);
        assert_eq!(alarm(day(1440, 0)), Alarm::TooHigh);
        // As seldom missed, but the labels equal the bound: no smaller bound would do.
        assert_eq!(alarm(day(1440, 1)), Alarm::Quiet);
    }

    #[test]
    fn a_few_labels_raise_no_alarm() {
        let mut coverage = Coverage::default();
        for minute in 0..100 {
            coverage.note(Timestamp::ZERO + MINUTE * minute, 0, &label(1));
        }
        assert_eq!(coverage.alarm(0.5, MINUTE, MINUTE * 9), Alarm::Quiet);
        for minute in 100..110 {
            coverage.note(Timestamp::ZERO + MINUTE * minute, 0, &label(1));
        }
        assert_eq!(coverage.alarm(0.5, MINUTE, MINUTE * 9), Alarm::TooLow);
    }
}
