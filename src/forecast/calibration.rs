//! Makes a quantile mean what it says, from what came of earlier forecasts.
//!
//! Every step a bound is issued; whether it held is known one horizon later, and only then it teaches
//! (delayed feedback). Two ways, `e = 1` for a miss, `alpha* = 1 - q`:
//!
//! - [`Method::Level`]: `alpha += gamma (alpha* - e)`, kept within 0.001..0.5; the next bound is the
//!   (1 - alpha) quantile of the table. Adaptive conformal inference (Gibbs and Candes 2021): the share
//!   of misses over n forecasts is within `1 / (gamma n)` of alpha*, however labels shift, as long as
//!   some level within the clip covers them.
//! - [`Method::Offset`]: `b += eta s (e - alpha*)`, with s the usual size of a change; the bound is the
//!   quantile plus b. Reaches beyond the largest label ever seen (the P of conformal PID, 2023).
//!
//! Labels overlap, so both steps are scaled by spacing / horizon. When the bound is zero already and
//! holds, it cannot be lowered: alpha then only goes back to alpha* and not beyond, and b not below 0.
//! Otherwise a quiet month would have to be unlearned before the first burst is believed.

use super::{
    coverage::{Alarm, Coverage, overlap},
    labels::{LOOK_BACK, Outcome, STEP},
};
use crate::{
    time::{Millis, Timestamp},
    units::is_amount,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Step of the level per independent label. Twice as much follows faster and is as much noisier.
pub const GAMMA: f64 = 0.005;
/// Step of the offset per independent label, in usual changes.
pub const ETA: f64 = 0.05;
/// Bounds of alpha: the table has no level beyond, and a median is the least one can promise.
pub const ALPHA: (f64, f64) = (0.001, 0.5);

/// How bounds are corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// By asking for another quantile.
    Level,
    /// By adding to the quantile.
    Offset,
}

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// Share of forecasts that shall hold, 0..1.
    pub level: f64,
    /// How long after a forecast its label is known.
    pub horizon: Millis,
    /// Spacing of forecasts, more than zero.
    pub step: Millis,
    /// Least size of a change, in the unit of labels: a pool without history has no usual one.
    pub unit: i64,
    /// How bounds are corrected.
    pub method: Method,
}

impl Promise {
    /// `level` over `horizon`, corrected by the level of the quantile, every 60 s, in whole GPUs.
    pub const fn new(level: f64, horizon: Millis) -> Self {
        Self { level, horizon, step: STEP, unit: 1000, method: Method::Level }
    }
}

/// A forecast whose label is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// When it was made.
    pub at: Timestamp,
    /// What it said.
    pub bound: i64,
}

/// What has been learned. Plain data of bounded size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Level in use is 1 - alpha.
    pub alpha: f64,
    /// Added to bounds.
    pub offset: f64,
    /// Forecasts still open, oldest first; at most a horizon's worth.
    pub open: VecDeque<Issued>,
    /// Forecasts that were never settled: nobody asked in time, or the history was gone.
    pub unsettled: u64,
    /// How often forecasts held in the last day.
    pub coverage: Coverage,
}

/// Keeps one promise of one way of forecasting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibrator {
    promise: Promise,
    state: State,
}

impl Calibrator {
    /// Nothing learned: the promised level as it is.
    pub fn new(promise: Promise) -> Self {
        let alpha = (1.0 - promise.level).clamp(ALPHA.0, ALPHA.1);
        let (open, coverage) = (VecDeque::new(), Coverage::default());
        Self::resume(promise, State { alpha, offset: 0.0, open, unsettled: 0, coverage })
    }

    /// Goes on where `state` ends.
    pub const fn resume(promise: Promise, state: State) -> Self {
        Self { promise, state }
    }

    /// What has been learned.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The level in use, 0..=1.
    pub fn level(&self) -> f64 {
        match self.promise.method {
            Method::Level => 1.0 - self.state.alpha,
            Method::Offset => self.promise.level,
        }
    }

    /// From now on labels are known after `horizon`. Forecasts for another one are not comparable: those
    /// still open are given up.
    pub fn expect(&mut self, horizon: Millis) {
        if self.promise.horizon != horizon {
            self.promise.horizon = horizon;
            self.state.unsettled += self.state.open.len() as u64;
            self.state.open.clear();
        }
    }

    /// Whether what was kept can have been, for a promise of `level` as [`Promise::new`] makes it.
    pub(crate) fn is_sound(&self, level: f64) -> bool {
        let State { alpha, offset, open, coverage, .. } = &self.state;
        let horizon = self.promise.horizon;
        self.promise == Promise::new(level, horizon)
            && (Millis::ZERO..=LOOK_BACK).contains(&horizon)
            && (ALPHA.0..=ALPHA.1).contains(alpha)
            && is_amount(*offset as i64)
            && open.len() as i64 <= self.most_open()
            && open.iter().all(|issued| is_amount(issued.bound))
            && coverage.is_sound()
    }

    const fn most_open(&self) -> i64 {
        let step = self.promise.step.0;
        self.promise.horizon.0 / (if step > 1 { step } else { 1 }) + 2
    }

    /// The bound to use now, not below zero, given the quantiles of the situation.
    pub fn bound(&self, quantile: impl FnOnce(f64) -> i64) -> i64 {
        let bound = match self.promise.method {
            Method::Level => quantile(self.level()),
            Method::Offset => quantile(self.level()) + self.state.offset.ceil() as i64,
        };
        bound.max(0)
    }

    /// Remembers that `bound` was forecast at `at`, to learn from it later. One per step counts; says
    /// whether this one does.
    pub fn issue(&mut self, at: Timestamp, bound: i64) -> bool {
        if self.state.open.back().is_some_and(|last| at - last.at < self.promise.step) {
            return false;
        }
        self.state.open.push_back(Issued { at, bound });
        while self.state.open.len() as i64 > self.most_open() {
            self.state.open.pop_front();
            self.state.unsettled += 1;
        }
        true
    }

    /// Learns from all forecasts whose label is known at `now`; `outcome` is asked about those and no
    /// others ([`super::labels::outcome`] with their instant and bound). `spread` is the usual size of a
    /// change. Call before issuing the forecast of `now`. Returns how many were settled.
    pub fn settle(
        &mut self,
        now: Timestamp,
        spread: i64,
        mut outcome: impl FnMut(&Issued) -> Option<Outcome>,
    ) -> usize {
        let horizon = self.promise.horizon;
        let mut settled = 0;
        while let Some(issued) = self.state.open.pop_front_if(|first| first.at + horizon <= now) {
            let Some(outcome) = outcome(&issued) else {
                self.state.unsettled += 1;
                continue;
            };
            self.learn(&issued, &outcome, spread);
            settled += 1;
        }
        settled
    }

    /// Whether the promise was kept over the last day.
    pub fn alarm(&self) -> Alarm {
        let Promise { level, step, horizon, .. } = self.promise;
        self.state.coverage.alarm(level, step, horizon)
    }

    fn learn(&mut self, issued: &Issued, outcome: &Outcome, spread: i64) {
        let target = 1.0 - self.promise.level;
        let missed = outcome.label > issued.bound;
        let at_floor = issued.bound <= 0 && !missed;
        let worth = overlap(self.promise.step, self.promise.horizon);
        let surplus = target - f64::from(u8::from(missed));
        let state = &mut self.state;
        match self.promise.method {
            Method::Level => {
                let most = if at_floor { state.alpha.max(target) } else { ALPHA.1 };
                let next = state.alpha + worth * GAMMA * surplus;
                state.alpha = next.min(most).clamp(ALPHA.0, ALPHA.1);
            }
            Method::Offset => {
                let least = if at_floor { state.offset.min(0.0) } else { f64::MIN };
                let size = spread.max(self.promise.unit) as f64;
                state.offset = (state.offset - worth * ETA * size * surplus).max(least);
            }
        }
        state.coverage.note(issued.at, issued.bound, outcome);
    }
}

#[cfg(test)]
mod tests;
