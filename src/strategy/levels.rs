//! Levels at which quantiles are read so that they hold as often as they promise.
//!
//! For each promise of a calibrated rule a forecast is noted every minute; whether it held is known a
//! horizon later and corrects the level ([`crate::forecast::calibration`]). Which level is in use changes
//! at full hours only, and two days of them are kept: a replay reads at every instant what was known then.
//!
//! Looks come at irregular instants. The minutes since the last one are gone through one by one, so that
//! it does not matter when looks come.
//!
//! # Source
//! Gibbs and Candes, "Adaptive Conformal Inference Under Distribution Shift" (2021), with delayed labels.

use super::{Candidate, Learned, SpareRule};
use crate::{
    forecast::{
        bins::{Calendar, Features, Scheme},
        calibration::{Calibrator, Promise},
        events::Events,
        labels::{STEP, Span, outcome},
        quantile::Table,
    },
    time::{Millis, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Minutes without a look beyond which nothing is forecast for those in between.
const MOST_MINUTES: i64 = 90;

/// How often the level in use changes.
const HOUR: Millis = Millis::from_hours(1);

/// Hours kept: a day with its warm-up, which may wait for its replay for another day.
const MOST_HOURS: usize = 52;

/// What corrects the levels of one pool. Plain data of bounded size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The last minute that was gone through.
    minute: Option<Timestamp>,
    kept: Vec<Corrected>,
}

/// One promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Corrected {
    scheme: Scheme,
    level: f64,
    calibrator: Calibrator,
    /// The level in use from an hour on, oldest first.
    hours: VecDeque<(Timestamp, f64)>,
}

impl Levels {
    /// For the calibrated rules among `candidates`, each promise once; nothing is corrected yet.
    pub(crate) fn of(candidates: &[Candidate]) -> Self {
        let kept = promises(candidates).into_iter().map(|(scheme, level)| Corrected {
            scheme,
            level,
            calibrator: Calibrator::new(Promise::new(level, Millis::ZERO)),
            hours: VecDeque::new(),
        });
        Self { minute: None, kept: kept.collect() }
    }

    /// The rule with the levels that were in use at `at`; as it is where it is not calibrated.
    pub(crate) fn rule(&self, rule: &SpareRule, at: Timestamp) -> SpareRule {
        if !rule.calibrated {
            return *rule;
        }
        let in_use = |level| self.in_use(rule.scheme, level, at);
        SpareRule { level: in_use(rule.level), keep: in_use(rule.keep), ..*rule }
    }

    fn in_use(&self, scheme: Scheme, level: f64, at: Timestamp) -> f64 {
        let kept = self.kept.iter().find(|kept| kept.is_of((scheme, level)));
        kept.map_or(level, |kept| kept.in_use(at))
    }

    /// Learns from what is known by now, and forecasts for the minutes since the last look.
    pub(super) fn advance(&mut self, now: Timestamp, events: &Events, learned: &Learned) {
        let Some(table) = learned.table.as_ref().filter(|_| !self.kept.is_empty()) else { return };
        let current = Timestamp(now.0.div_euclid(STEP.0) * STEP.0);
        let before = self.minute.replace(current).unwrap_or(current - STEP);
        let minutes = (current - before).0 / STEP.0;
        if !(1..=MOST_MINUTES).contains(&minutes) {
            return;
        }
        let calendar = Calendar::default();
        let situations = Features::sweep(events, before + STEP, STEP, minutes as usize, calendar);
        for kept in &mut self.kept {
            kept.calibrator.expect(learned.horizon);
            let mut at = before;
            for features in &situations {
                at += STEP;
                kept.pass(at, *features, events, (table, learned.horizon));
            }
        }
    }

    /// Whether it keeps the promises of these candidates and no others.
    pub(crate) fn are_of(&self, candidates: &[Candidate]) -> bool {
        let promises = promises(candidates);
        self.kept.len() == promises.len()
            && self.kept.iter().zip(promises).all(|(kept, promise)| kept.is_of(promise))
    }

    /// Whether what was kept can have been.
    pub(crate) fn are_sound(&self) -> bool {
        let is_level = |&(_, level): &(Timestamp, f64)| (0.0..=1.0).contains(&level);
        self.kept.iter().all(|kept| {
            kept.calibrator.is_sound(kept.level)
                && kept.hours.len() <= MOST_HOURS
                && kept.hours.iter().all(is_level)
                && kept.hours.iter().is_sorted_by_key(|&(at, _)| at)
        })
    }
}

impl Corrected {
    fn is_of(&self, (scheme, level): (Scheme, f64)) -> bool {
        self.scheme == scheme && self.level.total_cmp(&level).is_eq()
    }

    fn in_use(&self, at: Timestamp) -> f64 {
        let known = self.hours.partition_point(|&(from, _)| from <= at);
        known.checked_sub(1).map_or(self.level, |last| self.hours[last].1)
    }

    /// One minute: what is known by then is learned, then a forecast is made.
    fn pass(
        &mut self,
        at: Timestamp,
        features: Features,
        events: &Events,
        (table, horizon): (&Table, Millis),
    ) {
        // More may still be told of this very instant.
        let told = at - Millis(1);
        self.calibrator.settle(told, table.spread, |issued| {
            let span = Span { from: issued.at, now: told, horizon, step: STEP };
            outcome(events, issued.at, issued.bound, &span)
        });
        let quantile = |level| table.quantile(self.scheme, &features, level);
        let bound = self.calibrator.bound(quantile);
        self.calibrator.issue(at, bound);
        if at.0.rem_euclid(HOUR.0) == 0 {
            self.hours.push_back((at, self.calibrator.level()));
            while self.hours.len() > MOST_HOURS {
                self.hours.pop_front();
            }
        }
    }
}

/// What the calibrated rules promise, in the order of the candidates.
fn promises(candidates: &[Candidate]) -> Vec<(Scheme, f64)> {
    let mut promises: Vec<(Scheme, f64)> = Vec::new();
    for candidate in candidates {
        let Candidate::Quantile(rule) = candidate else { continue };
        for promise in [rule.level, rule.keep].map(|level| (rule.scheme, level)) {
            if rule.calibrated && !promises.contains(&promise) {
                promises.push(promise);
            }
        }
    }
    promises
}

#[cfg(test)]
mod tests;
