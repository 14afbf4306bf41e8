//! What the chosen forecast promised, and whether it kept it.
//!
//! While the chosen strategy keeps a quantile ready, a forecast is noted for every whole minute: "within
//! the horizon demand rises by at most this much". Once the horizon has passed it is known whether that
//! held ([`crate::forecast::labels::outcome`]), how many of the jobs that came found room under the bound,
//! and whether the quantile without any condition would have done better ([`crate::guard::skill`]).
//!
//! Looks come at irregular instants, mostly when jobs do. Forecasts are noted for the minutes since the
//! last look, each with the situation of its minute, so that neither quiet nor busy times count more
//! than they last. Only the table of quantiles is that of the look, at most an hour younger.
//!
//! What is judged is the strategy that was chosen, also while a guard follows another one in its place:
//! otherwise a bad week could never be made good again.

use super::PoolSettings;
use crate::{
    forecast::{
        bins::{Calendar, Features, Scheme},
        coverage::{Alarm, Coverage, Tally},
        events::Events,
        labels::{LOOK_BACK, STEP, Span, outcome},
    },
    guard::skill::Skill,
    strategy::{Candidate, Learned, Learner, Levels, SpareRule},
    time::{Millis, Timestamp},
    units::{is_amount, is_mass},
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Minutes without a look beyond which the forecasts in between are left out: nobody was there to make
/// them. The situation is looked at at least every hour.
const MOST_MINUTES: i64 = 90;

/// Forecasts open at once: three hours' worth, far beyond any lead time that can be learned.
const MOST_OPEN: usize = 180;

/// What was promised and kept, for the report of a look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promised {
    /// Share of forecasts that shall hold, 0..=1.
    pub level: f64,
    /// The latest bound of the rise within the horizon, in thousandths of GPUs.
    pub bound_milli: i64,
    /// Share of the last day's forecasts that held.
    pub coverage_time: Option<f64>,
    /// Share of the jobs of the last day that came within the bound.
    pub coverage_jobs: Option<f64>,
    /// The same, weighed by their GPUs.
    pub coverage_gpu: Option<f64>,
    /// Forecasts of the last day whose outcome is known.
    pub labels: u32,
    /// Whether they held too rarely or too often for chance to explain it.
    pub alarm: Alarm,
    /// By how many nodes its mean pinball loss lies below that of the unconditional quantile over the
    /// last week; below zero = worse. `None` until a day is known.
    pub skill: Option<f64>,
}

/// Sums over all forecasts so far, whatever was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// What came of them.
    pub(crate) tally: Tally,
    /// Sum of the levels promised.
    pub(crate) levels: f64,
    /// How many were settled while the alarm rang.
    pub(crate) alarmed: u32,
    /// How many were settled while the forecast had no skill.
    pub(crate) unskilled: u32,
}

impl Totals {
    /// What came after `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            tally: self.tally.less(&before.tally),
            levels: self.levels - before.levels,
            alarmed: self.alarmed - before.alarmed,
            unskilled: self.unskilled - before.unskilled,
        }
    }
}

/// What makes bounds comparable: the idle time of a rule does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Kind {
    level: f64,
    scheme: Scheme,
    #[serde(default)]
    calibrated: bool,
}

impl Kind {
    fn of(rule: &SpareRule) -> Self {
        Self { level: rule.level, scheme: rule.scheme, calibrated: rule.calibrated }
    }
}

/// A forecast whose outcome is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    at: Timestamp,
    horizon: Millis,
    bound: i64,
    /// What the quantile without condition said.
    unconditional: i64,
}

/// The promises of one pool. Plain data of bounded size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Promises {
    kind: Option<Kind>,
    /// The last minute that was looked at.
    minute: Option<Timestamp>,
    open: VecDeque<Open>,
    coverage: Coverage,
    pub(super) skill: Skill,
    pub(super) totals: Totals,
}

impl Promises {
    /// Settles what is known by now and notes the forecasts of the minutes since the last look. To be
    /// called once the learner has seen the look.
    pub(super) fn advance(
        &mut self,
        now: Timestamp,
        chosen: &Candidate,
        learner: &Learner,
        settings: &PoolSettings,
    ) {
        let Candidate::Quantile(rule) = chosen else { return self.forget() };
        let kind = Kind::of(rule);
        if self.kind != Some(kind) {
            self.forget();
            self.kind = Some(kind);
        }
        let (Some(events), Some(known)) = (learner.events(), learner.learned()) else { return };
        self.settle(now, kind, events, f64::from(settings.pool.gpus_per_node) * 1000.0);
        self.issue(now, rule, events, (known, learner.levels()));
    }

    /// Whether what was kept can have been.
    pub(super) fn is_sound(&self) -> bool {
        let Totals { tally, levels, alarmed, unskilled } = &self.totals;
        let is_open = |open: &Open| {
            is_amount(open.bound)
                && is_amount(open.unconditional)
                && (Millis::ZERO..=LOOK_BACK).contains(&open.horizon)
        };
        self.open.len() <= MOST_OPEN
            && self.open.iter().all(is_open)
            && self.kind.is_none_or(|kind| (0.0..=1.0).contains(&kind.level))
            && self.coverage.is_sound()
            && self.skill.is_sound()
            && tally.is_sound()
            && is_mass(*levels)
            && (*alarmed).max(*unskilled) <= tally.labels
    }

    /// What is to be told of it; `None` while nothing was promised.
    pub(super) fn report(&self) -> Option<Promised> {
        let kind = self.kind?;
        let last = self.open.back()?;
        let day = self.coverage.total();
        Some(Promised {
            level: kind.level,
            bound_milli: last.bound,
            coverage_time: day.by_time(),
            coverage_jobs: day.by_job(),
            coverage_gpu: day.by_gpu(),
            labels: day.labels,
            alarm: self.coverage.alarm(kind.level, STEP, last.horizon),
            skill: self.skill.skill(),
        })
    }

    /// Another strategy is chosen: bounds are not comparable.
    fn forget(&mut self) {
        *self = Self { totals: self.totals, ..Self::default() };
    }

    fn settle(&mut self, now: Timestamp, kind: Kind, events: &Events, node_milli: f64) {
        // More may still be told of this very instant.
        let told = now - Millis(1);
        while let Some(open) = self.open.pop_front_if(|first| first.at + first.horizon <= told) {
            let span = Span { from: open.at, now: told, horizon: open.horizon, step: STEP };
            let Some(outcome) = outcome(events, open.at, open.bound, &span) else { continue };
            self.coverage.note(open.at, open.bound, &outcome);
            let nodes = |milli: i64| milli as f64 / node_milli;
            let (label, bound) = (nodes(outcome.label), nodes(open.bound));
            self.skill.note(open.at, kind.level, label, bound, nodes(open.unconditional));
            let totals = &mut self.totals;
            totals.tally.note(open.bound, &outcome);
            totals.levels += kind.level;
            let alarm = self.coverage.alarm(kind.level, STEP, open.horizon);
            totals.alarmed += u32::from(alarm != Alarm::Quiet);
            totals.unskilled += u32::from(self.skill.skill().is_some_and(|skill| skill < 0.0));
        }
    }

    fn issue(
        &mut self,
        now: Timestamp,
        rule: &SpareRule,
        events: &Events,
        (learned, levels): (&Learned, &Levels),
    ) {
        let current = Timestamp(now.0.div_euclid(STEP.0) * STEP.0);
        let before = self.minute.replace(current).unwrap_or(current - STEP);
        let minutes = (current - before).0 / STEP.0;
        if !(1..=MOST_MINUTES).contains(&minutes) {
            return;
        }
        let calendar = Calendar::default();
        let situations = Features::sweep(events, before + STEP, STEP, minutes as usize, calendar);
        for (index, features) in situations.iter().enumerate() {
            let at = before + STEP * (index as i64 + 1);
            let Some(bound) = rule.bound(learned, features, levels.rule(rule, at).level) else {
                return;
            };
            let plain = SpareRule { scheme: Scheme::All, ..*rule };
            let unconditional = plain.bound(learned, features, rule.level).unwrap_or(bound);
            self.open.push_back(Open { at, horizon: learned.horizon, bound, unconditional });
        }
        while self.open.len() > MOST_OPEN {
            self.open.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
