//! What one stage of one pool has taught: masses of durations on the grid, a prior, forgetting.
//!
//! A finished node leaves an event of mass 1 in the bin of its duration; one that failed or was given up
//! leaves a censored mass at its age. All masses shrink with time (half-life 14 days) and with every new
//! event (half-life 200 events), so the table is bounded and follows a new image or machine type. On top
//! lies a prior of a few pseudo-events, which is not forgotten: an idle pool goes back to it.
//!
//! A node on its way that is older than two medians (three in a stage never seen) is hopeless: were it kept at
//! risk, it alone would hold up the tail of the curve and never be called stuck. Younger ones are kept, so a
//! batch of which only the quick ones are there is not called stuck.
//!
//! A shift is noticed by where new durations fall in the distribution learned before them: evenly if
//! nothing changed, near the top if the stage became slower. While they do not, the past fades by a tenth
//! with every event.
//!
//! Instants may come out of order; time that goes backwards forgets nothing.

use super::{
    failures::Failures,
    grid::{BINS, GRID_END, bin_of, in_bins},
    prior::log_normal,
    survival::Survival,
};
use crate::time::{Millis, Timestamp};

/// How a stage learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    /// Mass of the prior. Twice as much follows a wrong prior half as fast; half as much lets three odd
    /// nodes make the distribution.
    pub pseudo_events: f64,
    /// Spread of the logarithm of durations in the prior.
    pub sigma: f64,
    /// Time in which a mass halves; zero or less = never.
    pub half_life: Millis,
    /// Later events by which a mass halves; zero or less = never.
    pub half_life_events: f64,
    /// A node is stuck when fewer than this share of nodes were ever so old.
    pub stuck_share: f64,
}

impl Default for Learning {
    fn default() -> Self {
        Self {
            pseudo_events: 5.0,
            sigma: 0.25,
            half_life: Millis::from_hours(14 * 24),
            half_life_events: 200.0,
            stuck_share: 0.01,
        }
    }
}

/// How recent durations differ from what was learned before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// The stage takes less time than it used to.
    Faster,
    /// The stage takes more time than it used to.
    Slower,
}

/// Weight of the newest duration in the surprise.
const SURPRISE_WEIGHT: f64 = 0.125;
/// Surprise that counts as a shift: four standard deviations of an average with that weight over values
/// spread evenly on (-1/2, 1/2). Seven slow nodes in a row reach it.
const SURPRISE_LIMIT: f64 = 0.3;
/// What remains of the past with each event while the stage is shifted.
const SHIFTED_KEEP: f64 = 0.9;
/// Masses below this are nothing.
const NEGLIGIBLE: f64 = 1e-9;

/// What one stage has taught.
#[derive(Clone, Debug, PartialEq)]
pub struct StageTable {
    learning: Learning,
    /// Pseudo-events per bin, then beyond the grid.
    prior: Vec<f64>,
    /// Mass of finished nodes per bin.
    pub(super) events: Vec<f64>,
    /// Mass of nodes last seen at the end of each bin, then of those seen beyond the grid.
    pub(super) leaving: Vec<f64>,
    pub(super) failures: Failures,
    /// Running mean of where durations fell in the distribution known before them, less 1/2.
    pub(super) surprise: f64,
    /// The instant for which the masses hold.
    pub(super) as_of: Option<Timestamp>,
}

impl StageTable {
    /// A stage that is believed to take `median` and was never seen.
    pub fn new(median: Millis, learning: Learning) -> Self {
        let mass =
            if learning.pseudo_events.is_finite() { learning.pseudo_events.max(0.0) } else { 0.0 };
        let mut prior = log_normal(median, learning.sigma);
        for share in &mut prior {
            *share *= mass;
        }
        Self {
            learning,
            prior,
            events: vec![0.0; BINS],
            leaving: vec![0.0; BINS + 1],
            failures: Failures::default(),
            surprise: 0.0,
            as_of: None,
        }
    }

    /// A node went through the stage in `duration`. Negative ones count as zero, those beyond the grid as
    /// "longer than the grid".
    pub fn record(&mut self, duration: Millis, now: Timestamp) {
        self.forget_until(now);
        let fell = self.place_of(duration);
        self.surprise += SURPRISE_WEIGHT * (fell - 0.5 - self.surprise);
        let keep = self.keep_per_event();
        self.failures = self.failures.scaled(keep);
        self.failures.succeeded += 1.0;
        self.scale_durations(if self.shift().is_some() { keep * SHIFTED_KEEP } else { keep });
        match bin_of(duration) {
            Some(bin) => self.events[bin] += 1.0,
            None => self.leaving[BINS] += 1.0,
        }
    }

    /// A node of this age failed in the stage.
    pub fn record_failure(&mut self, age: Millis, now: Timestamp) {
        self.forget_until(now);
        let keep = self.keep_per_event();
        self.failures = self.failures.scaled(keep);
        self.failures.failed += 1.0;
        self.scale_durations(keep);
        censor(&mut self.leaving, age);
    }

    /// A node of this age was given up by us: it neither finished nor failed.
    pub fn record_given_up(&mut self, age: Millis, now: Timestamp) {
        self.forget_until(now);
        self.scale_durations(self.keep_per_event());
        censor(&mut self.leaving, age);
    }

    /// What is known at `now`, with nodes of these ages still in the stage (right-censored there). Hopeless
    /// ones are left out: a node that will never finish says nothing about those that do.
    pub fn estimate(&self, now: Timestamp, in_flight: &[Millis]) -> StageEstimate {
        let keep = self.keep_until(now);
        let events = self.events_with_prior(keep);
        let mut leaving = self.leaving_with_prior(keep);
        let median = Survival::kaplan_meier(&events, &leaving).quantile(0.5);
        let ignorance = self.ignorance(keep);
        let hopeless = times(median, 2.0 + ignorance);
        in_flight.iter().filter(|age| **age < hopeless).for_each(|age| censor(&mut leaving, *age));
        let survival = Survival::kaplan_meier(&events, &leaving);
        let stuck_after = self.stuck_after(&survival, ignorance);
        StageEstimate { survival, stuck_after, failure: self.failures.scaled(keep).probability() }
    }

    /// Whether recent durations differ from what was learned before them.
    pub fn shift(&self) -> Option<Shift> {
        match self.surprise {
            high if high > SURPRISE_LIMIT => Some(Shift::Slower),
            low if low < -SURPRISE_LIMIT => Some(Shift::Faster),
            _ => None,
        }
    }

    /// Mass of the durations that are remembered, without the prior; at most about 290 with the default
    /// forgetting.
    pub fn evidence(&self) -> f64 {
        self.events.iter().sum::<f64>() + self.leaving[BINS]
    }

    /// The age that only `stuck_share` of nodes reach; while few were seen, at least up to three times the
    /// median: the spread of the prior is a guess, and a replacement costs a node.
    fn stuck_after(&self, survival: &Survival, ignorance: f64) -> Option<Millis> {
        let median = survival.quantile(0.5);
        if median >= GRID_END {
            return None;
        }
        let rare = survival.fewer_than(self.learning.stuck_share).unwrap_or(GRID_END);
        Some(rare.max(times(median, 1.0 + 2.0 * ignorance)).min(GRID_END))
    }

    /// The prior's share of all mass: 1 for a stage that was never seen.
    fn ignorance(&self, keep: f64) -> f64 {
        let believed: f64 = self.prior.iter().sum();
        believed / (believed + self.evidence() * keep).max(NEGLIGIBLE)
    }

    /// Where a duration falls in the distribution learned so far, 0..1; the middle of its bin's share.
    fn place_of(&self, duration: Millis) -> f64 {
        let curve =
            Survival::kaplan_meier(&self.events_with_prior(1.0), &self.leaving_with_prior(1.0));
        let edges = curve.at_edges();
        let bin = bin_of(duration).unwrap_or(BINS);
        1.0 - f64::midpoint(edges[bin], edges.get(bin + 1).copied().unwrap_or_default())
    }

    fn events_with_prior(&self, keep: f64) -> Vec<f64> {
        self.events.iter().zip(&self.prior).map(|(seen, prior)| seen * keep + prior).collect()
    }

    fn leaving_with_prior(&self, keep: f64) -> Vec<f64> {
        let mut leaving: Vec<f64> = self.leaving.iter().map(|mass| mass * keep).collect();
        leaving[BINS] += self.prior[BINS];
        leaving
    }

    /// What remains of the masses at `now`.
    fn keep_until(&self, now: Timestamp) -> f64 {
        let past = self.as_of.map_or(Millis::ZERO, |as_of| now - as_of);
        if past.0 <= 0 || self.learning.half_life.0 <= 0 {
            return 1.0;
        }
        (-(past.0 as f64 / self.learning.half_life.0 as f64)).exp2()
    }

    fn keep_per_event(&self) -> f64 {
        let events = self.learning.half_life_events;
        if events > 0.0 { (-1.0 / events).exp2() } else { 1.0 }
    }

    fn forget_until(&mut self, now: Timestamp) {
        let keep = self.keep_until(now);
        self.scale_durations(keep);
        self.failures = self.failures.scaled(keep);
        self.as_of = Some(self.as_of.map_or(now, |as_of| as_of.max(now)));
    }

    fn scale_durations(&mut self, keep: f64) {
        for mass in self.events.iter_mut().chain(&mut self.leaving) {
            *mass *= keep;
            if *mass < NEGLIGIBLE {
                *mass = 0.0;
            }
        }
    }
}

fn times(span: Millis, factor: f64) -> Millis {
    Millis((span.0 as f64 * factor) as i64)
}

/// Adds a node last seen at `age`: at risk in all bins before it and in the passed part of its own.
fn censor(leaving: &mut [f64], age: Millis) {
    let bins = in_bins(age);
    if bins >= BINS as f64 {
        leaving[BINS] += 1.0;
        return;
    }
    let bin = bins as usize;
    let passed = bins - bin as f64;
    leaving[bin] += passed;
    if bin > 0 {
        leaving[bin - 1] += 1.0 - passed;
    }
}

/// What is known of a stage at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct StageEstimate {
    survival: Survival,
    stuck_after: Option<Millis>,
    failure: f64,
}

impl StageEstimate {
    /// The curve of the nodes that do not fail.
    pub const fn survival(&self) -> &Survival {
        &self.survival
    }

    /// Age from which a node of the stage is stuck; `None` when most nodes take longer than the grid.
    pub const fn stuck_after(&self) -> Option<Millis> {
        self.stuck_after
    }

    /// Whether a node of this age should no longer be counted on.
    pub fn is_stuck(&self, age: Millis) -> bool {
        self.stuck_after.is_some_and(|limit| age >= limit)
    }

    /// Probability that a node in the stage fails there.
    pub const fn failure(&self) -> f64 {
        self.failure
    }

    /// Probability that a node of this age, if it does not fail, leaves the stage within `horizon`; 0 for
    /// one older than any.
    pub fn leaves_within(&self, age: Millis, horizon: Millis) -> f64 {
        let age = age.max(Millis::ZERO);
        let alive = self.survival.survival(age);
        let later = self.survival.survival(age + horizon.max(Millis::ZERO));
        if alive > 0.0 { ((alive - later) / alive).clamp(0.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn secs(secs: i64) -> Millis {
        Millis::from_secs(secs)
    }

    fn without_prior() -> StageTable {
        let learning = Learning {
            pseudo_events: 0.0,
            half_life: Millis::ZERO,
            half_life_events: 0.0,
            ..Learning::default()
        };
        StageTable::new(secs(300), learning)
    }

    #[test]
    fn two_events_and_one_on_its_way_give_the_textbook_curve() {
        let mut table = without_prior();
        table.record(secs(10), Timestamp::ZERO);
        table.record(secs(30), Timestamp::ZERO);
        let before = table.estimate(Timestamp::ZERO, &[]);
        assert!((before.survival().survival(secs(10)) - 0.5).abs() < 1e-12);
        let with = table.estimate(Timestamp::ZERO, &[secs(15)]);
        assert!((with.survival().survival(secs(10)) - 2.0 / 3.0).abs() < 1e-12);
        assert!((with.survival().survival(secs(29)) - 2.0 / 3.0 * 0.2).abs() < 1e-12);
        assert!(with.survival().survival(secs(30)).abs() < 1e-12);
    }

    #[test]
    fn given_up_nodes_count_like_those_on_their_way() {
        let (mut kept, mut given_up) = (without_prior(), without_prior());
        for table in [&mut kept, &mut given_up] {
            table.record(secs(100), Timestamp::ZERO);
            table.record(secs(200), Timestamp::ZERO);
        }
        given_up.record_given_up(secs(150), Timestamp::ZERO);
        let (kept, given_up) =
            (kept.estimate(Timestamp::ZERO, &[secs(150)]), given_up.estimate(Timestamp::ZERO, &[]));
        assert_eq!(kept.survival(), given_up.survival());
    }

    #[test]
    fn a_cold_stage_is_its_prior() {
        let estimate =
            StageTable::new(secs(300), Learning::default()).estimate(Timestamp::ZERO, &[]);
        let read = [0.1, 0.5, 0.9].map(|q| estimate.survival().quantile(q).as_secs_f64());
        // 300 exp(-+0.25 x 1.2816).
        for (read, expected) in read.into_iter().zip([217.8, 300.0, 413.3]) {
            assert!((read - expected).abs() < 1.0, "{read} {expected}");
        }
        // Three medians, as nothing was seen.
        assert_eq!(estimate.stuck_after().map(|age| age.0 / 10_000), Some(90));
    }

    #[test]
    fn a_pool_long_idle_goes_back_to_its_prior() {
        let mut table = StageTable::new(secs(300), Learning::default());
        (0..100).for_each(|_| table.record(secs(600), Timestamp::ZERO));
        let median = |days: i64| {
            table.estimate(Timestamp::from_secs(days * DAY), &[]).survival().quantile(0.5)
        };
        assert!(median(0) > secs(590), "{}", median(0));
        assert!(median(365) < secs(305), "{}", median(365));
    }

    #[test]
    fn masses_halve_with_the_half_life() {
        let learning = Learning { half_life_events: 0.0, ..Learning::default() };
        let mut table = StageTable::new(secs(300), learning);
        table.record(secs(300), Timestamp::ZERO);
        table.record(secs(300), Timestamp::from_secs(14 * DAY));
        assert!((table.evidence() - 1.5).abs() < 1e-9);
        // Time that goes back forgets nothing.
        table.record(secs(300), Timestamp::from_secs(-900 * DAY));
        assert!((table.evidence() - 2.5).abs() < 1e-9);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut table = StageTable::new(secs(300), Learning::default());
        (0..5000).for_each(|_| table.record(secs(300), Timestamp::ZERO));
        // 1 / (1 - 2^(-1/200)) = 289.
        assert!((table.evidence() - 289.0).abs() < 1.0, "{}", table.evidence());
    }

    #[test]
    fn a_node_that_never_finishes_becomes_stuck_even_in_a_cold_stage() {
        let table = StageTable::new(secs(300), Learning::default());
        let ages = [secs(20_000), secs(100)];
        let estimate = table.estimate(Timestamp::ZERO, &ages);
        assert!(estimate.is_stuck(ages[0]));
        assert!(!estimate.is_stuck(ages[1]));
        assert!((estimate.survival().quantile(0.5) - secs(300)).0.abs() < 10_000);
    }

    #[test]
    fn an_experienced_stage_calls_stuck_what_one_in_a_hundred_reaches() {
        let mut table = without_prior();
        (0..1000).for_each(|node| table.record(secs(200 + node / 10), Timestamp::ZERO));
        let stuck_after = table.estimate(Timestamp::ZERO, &[]).stuck_after().unwrap();
        // Evenly over 200..300 s: 1 % are older than 299 s.
        assert!((stuck_after - secs(299)).0.abs() <= 2_000, "{stuck_after}");
    }

    #[test]
    fn constant_durations_are_no_shift_and_slower_ones_are() {
        let mut table = StageTable::new(secs(300), Learning::default());
        (0..300).for_each(|_| table.record(secs(300), Timestamp::ZERO));
        assert_eq!(table.shift(), None);
        (0..10).for_each(|_| table.record(secs(600), Timestamp::ZERO));
        assert_eq!(table.shift(), Some(Shift::Slower));
        let mut table = StageTable::new(secs(300), Learning::default());
        (0..300).for_each(|_| table.record(secs(300), Timestamp::ZERO));
        (0..10).for_each(|_| table.record(secs(60), Timestamp::ZERO));
        assert_eq!(table.shift(), Some(Shift::Faster));
    }

    #[test]
    fn failures_raise_the_risk_and_are_forgotten() {
        let mut table = StageTable::new(secs(300), Learning::default());
        let cold = table.estimate(Timestamp::ZERO, &[]).failure();
        (0..20).for_each(|_| table.record_failure(secs(300), Timestamp::ZERO));
        let now = table.estimate(Timestamp::ZERO, &[]).failure();
        let later = table.estimate(Timestamp::from_secs(365 * DAY), &[]).failure();
        assert!(now > 0.45 && now < 0.55, "{now}");
        assert!((later - cold).abs() < 1e-3, "{later} {cold}");
    }
}
