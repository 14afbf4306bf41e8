//! What a signal was, minute by minute.

use super::{MINUTE, SPAN};
use crate::{
    time::{Millis, Timestamp},
    units::is_mass,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Most samples: a week of minutes.
const MOST: usize = (SPAN.0 / MINUTE.0) as usize;

/// One sample at every whole minute, of the last seven days at most. Samples have four significant digits, so that
/// a week of noise stays small when it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Number of the minute of the first sample.
    first: i64,
    /// `None` where nothing was read.
    samples: VecDeque<Option<f32>>,
}

impl Track {
    /// Whether what was kept can have been.
    pub(crate) fn is_sound(&self) -> bool {
        let is_sane = |sample: &Option<f32>| sample.is_none_or(|units| is_mass(units.into()));
        self.samples.len() <= MOST
            && self.first.unsigned_abs() <= 1 << 50
            && self.samples.iter().all(is_sane)
    }

    /// The minute after the last sample; `None` before the first.
    pub fn next(&self) -> Option<Timestamp> {
        (!self.samples.is_empty()).then(|| instant(self.first + self.samples.len() as i64))
    }

    /// The first sample's minute.
    pub fn first(&self) -> Timestamp {
        instant(self.first)
    }

    /// Samples, and minutes without one in between.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// There is none yet.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Notes the whole minutes up to `until` that have no sample yet: `value` gives them.
    pub fn note(&mut self, until: Timestamp, value: impl Fn(Timestamp) -> Option<f64>) {
        let last = minute(until);
        let next = self.next().map_or(last, minute).max(last - MOST as i64 + 1);
        for at in next..=last {
            self.push(at, value(instant(at)));
        }
    }

    fn push(&mut self, at: i64, value: Option<f64>) {
        let missing = at - (self.first + self.samples.len() as i64);
        if self.samples.is_empty() || missing >= MOST as i64 {
            self.samples.clear();
            if value.is_none() {
                return;
            }
            self.first = at;
        } else {
            (0..missing).for_each(|_| self.samples.push_back(None));
        }
        self.samples.push_back(value.map(short));
        while self.samples.len() > MOST {
            self.samples.pop_front();
            self.first += 1;
        }
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Option<f64>> + '_ {
        self.samples.iter().map(|sample| sample.map(f64::from))
    }

    /// The lowest sample since `from`, and zero if that is before the first: what was not seen has not stood.
    pub fn lowest_since(&self, from: Timestamp) -> Option<f64> {
        let start = minute(from.ceil_to(MINUTE)) - self.first;
        if start < 0 {
            return Some(0.0);
        }
        let since = self.samples.range((start as usize).min(self.samples.len())..);
        since.flatten().copied().reduce(f32::min).map(f64::from)
    }
}

/// Four significant digits.
fn short(value: f64) -> f32 {
    if value <= 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powi(3 - value.log10().floor() as i32);
    ((value * scale).round() / scale) as f32
}

fn minute(at: Timestamp) -> i64 {
    at.0.div_euclid(MINUTE.0)
}

fn instant(minute: i64) -> Timestamp {
    Timestamp::ZERO + Millis(MINUTE.0.saturating_mul(minute))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::ZERO + Millis::from_mins(minutes)
    }

    #[test]
    fn every_minute_has_one_sample_and_gaps_stay_gaps() {
        let mut track = Track::default();
        // A gap before the first sample is none.
        track.note(at(3), |_| None);
        assert!(track.is_empty());
        track.note(at(4) + Millis(59_999), |_| Some(1.0));
        track.note(at(7), |minute| (minute != at(6)).then_some(2.0));
        track.note(at(7), |_| Some(9.0));
        let samples: Vec<_> = track.samples().collect();
        assert_eq!(samples, [Some(1.0), Some(2.0), None, Some(2.0)]);
        assert_eq!((track.first(), track.next()), (at(4), Some(at(8))));
    }

    #[test]
    fn a_week_is_kept() {
        let mut track = Track::default();
        track.note(at(0), |_| Some(0.0));
        track.note(at(20_000), |minute| Some(minute.as_secs_f64() / 60.0));
        assert_eq!((track.len(), track.first()), (MOST, at(20_001 - MOST as i64)));
        assert_eq!(track.samples().next(), Some(Some(9921.0)));
        // Longer than that without a look: what was is forgotten.
        track.note(at(60_000), |minute| (minute == at(60_000)).then_some(5.0));
        assert_eq!(track.samples().flatten().collect::<Vec<_>>(), [5.0]);
    }

    #[test]
    fn samples_have_four_digits() {
        let shortened = [0.0, 1e-9, 0.123_456, 7.0, 12_345.6, 9999.9].map(|v| short(v).to_string());
        assert_eq!(shortened, ["0", "0.000000001", "0.1235", "7", "12350", "10000"]);
    }

    #[test]
    fn what_has_stood_is_the_lowest() {
        let mut track = Track::default();
        for (minute, value) in [(10, 5.0), (11, 3.0), (12, 4.0), (13, 6.0)] {
            track.note(at(minute), |_| Some(value));
        }
        let lowest = [13, 12, 11, 10, 9].map(|minute| track.lowest_since(at(minute)));
        assert_eq!(lowest, [6.0, 4.0, 3.0, 3.0, 0.0].map(Some));
        assert_eq!(track.lowest_since(at(14)), None);
        // The sample at 12 minutes is older than 12.5 minutes.
        assert_eq!(track.lowest_since(at(12) + Millis::from_secs(30)), Some(6.0));
    }
}
