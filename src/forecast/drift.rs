//! Has the rate of arrivals changed for good? Page-Hinkley on `log(1 + arrivals per 10 minutes)`.
//!
//! Sums how far the values lie above (below) their mean so far, less a tolerance a value; the sum minus
//! its smallest value so far is the evidence, and beyond [`LAMBDA`] it is a change. After an alarm it
//! starts anew. The logarithm keeps one burst from being taken for a change: a hundredfold burst is worth
//! 4.6 once, a rate three times as high 1.1 every 10 minutes (25 of them, some four hours).
//!
//! Source: Page (1954), Continuous inspection schemes. Not told by it: cycles. A daily cycle far above
//! and below its mean gathers evidence too, and so do busy and quiet spells of many hours: on a trace of
//! training jobs (Philly, 52 days) it rings once a day. There it tells spells, not new regimes; do not
//! throw history away on its word alone.

use crate::time::{Millis, Timestamp};

use serde::{Deserialize, Serialize};

/// Most intervals without a look that are made up for: four weeks.
const MOST_INTERVALS: i64 = 28 * 24 * 6;

/// Width of the intervals in which arrivals are counted.
pub const INTERVAL: Millis = Millis::from_mins(10);
/// Tolerance a value: changes of the rate below 5 % are none.
pub const DELTA: f64 = 0.05;
/// Evidence that makes an alarm. Half of it notices twice as fast and takes cycles for changes.
pub const LAMBDA: f64 = 25.0;

/// Which way the rate went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shift {
    /// More arrivals than before.
    Up,
    /// Fewer arrivals than before.
    Down,
}

/// The test, both ways at once. Plain data of fixed size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PageHinkley {
    /// Values since the last alarm.
    pub values: u32,
    /// Their mean.
    pub mean: f64,
    /// Evidence for more, never below zero.
    pub up: f64,
    /// Evidence for fewer, never below zero.
    pub down: f64,
}

impl PageHinkley {
    /// Takes the arrivals of one more interval.
    pub fn note(&mut self, arrivals: u32) -> Option<Shift> {
        let value = f64::from(arrivals).ln_1p();
        self.values = self.values.saturating_add(1);
        self.mean += (value - self.mean) / f64::from(self.values);
        let above = value - self.mean;
        // Sum less its minimum so far, kept as one number that does not fall below zero.
        self.up = (self.up + above - DELTA).max(0.0);
        self.down = (self.down - above - DELTA).max(0.0);
        let shift = match (self.up > LAMBDA, self.down > LAMBDA) {
            (true, _) => Shift::Up,
            (_, true) => Shift::Down,
            _ => return None,
        };
        *self = Self::default();
        Some(shift)
    }
}

/// Counts arrivals into intervals and asks the test whenever one is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The test.
    pub test: PageHinkley,
    /// Interval being counted, since zero.
    pub interval: Option<i64>,
    /// Arrivals in it.
    pub arrivals: u32,
    /// When the last change was noticed: what was before it no longer counts.
    pub since: Option<(Timestamp, Shift)>,
}

impl Drift {
    /// Goes on to `now`; says whether a change was noticed on the way. Call before [`Drift::arrival`].
    pub fn advance(&mut self, now: Timestamp) -> Option<Shift> {
        let current = now.0.div_euclid(INTERVAL.0);
        let mut noticed = None;
        // Longer silence than this says no more.
        let oldest = current.saturating_sub(MOST_INTERVALS);
        let mut interval = self.interval.unwrap_or(current).clamp(oldest, current);
        while interval < current {
            interval += 1;
            if let Some(shift) = self.test.note(std::mem::take(&mut self.arrivals)) {
                self.since = Some((Timestamp(interval * INTERVAL.0), shift));
                noticed = Some(shift);
            }
        }
        self.interval = Some(interval);
        noticed
    }

    /// A job came, at the instant last advanced to.
    pub fn arrival(&mut self) {
        self.arrivals = self.arrivals.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng, SeedableRng},
    };
    use rand_distr::{Distribution, Poisson};

    const DAY: u32 = 144;

    fn poisson(rng: &mut impl Rng, mean: f64) -> u32 {
        Poisson::new(mean).unwrap().sample(rng) as u32
    }

    #[test]
    fn stationary_arrivals_raise_no_alarm_in_a_month() {
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for mean in [0.3, 2.0, 12.0, 80.0] {
                let mut test = PageHinkley::default();
                let noticed = (0..30 * DAY).find_map(|_| test.note(poisson(&mut rng, mean)));
                assert_eq!(noticed, None, "seed {seed}, mean {mean}");
            }
        }
    }

    #[test]
    fn three_times_as_many_are_noticed_within_a_day_and_a_third_as_well() {
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for (before, after, shift) in [(4.0, 12.0, Shift::Up), (12.0, 4.0, Shift::Down)] {
                let mut test = PageHinkley::default();
                for _ in 0..7 * DAY {
                    assert_eq!(test.note(poisson(&mut rng, before)), None);
                }
                let noticed = (0..DAY).find_map(|_| test.note(poisson(&mut rng, after)));
                assert_eq!(noticed, Some(shift), "seed {seed}");
                assert_eq!(test.values, 0, "starts anew");
            }
        }
    }

    #[test]
    fn one_burst_is_no_change() {
        let mut test = PageHinkley::default();
        let counts = (0..200).map(|i| if i % 100 == 50 { 10_000 } else { 3 });
        assert!(counts.map(|count| test.note(count)).all(|noticed| noticed.is_none()));
    }

    #[test]
    fn silence_counts_as_intervals_without_arrivals() {
        let mut drift = Drift::default();
        let mut at = Timestamp::ZERO;
        for _ in 0..DAY * 7 {
            assert_eq!(drift.advance(at), None);
            (0..20).for_each(|_| drift.arrival());
            at += INTERVAL;
        }
        assert_eq!(drift.advance(at + INTERVAL * i64::from(DAY)), Some(Shift::Down));
        let (since, shift) = drift.since.unwrap();
        assert_eq!(shift, Shift::Down);
        assert!(since > at && since < at + Millis::from_hours(3), "{since:?}");
    }
}
