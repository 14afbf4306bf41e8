//! Is the forecast worth anything? Its pinball loss over the last seven days against that of the
//! unconditional quantile, the best constant.

use crate::{
    forecast::pinball::pinball,
    time::{Millis, Timestamp},
    units::{MOST, is_mass},
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Days compared, the day that is running included.
pub const DAYS: i64 = 7;
/// Fewer labels than this say nothing: one a minute for a day.
pub const LEAST_LABELS: u64 = 1440;

const DAY: Millis = Millis::from_hours(24);

/// Sums of one day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Day {
    number: i64,
    labels: u64,
    active: f64,
    unconditional: f64,
}

/// The comparison: at most [`DAYS`] sums.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Skill {
    days: VecDeque<Day>,
}

impl Skill {
    /// Whether what was kept can have been.
    pub(crate) fn is_sound(&self) -> bool {
        let is_day = |day: &Day| {
            day.labels <= MOST as u64 && is_mass(day.active) && is_mass(day.unconditional)
        };
        self.days.len() <= DAYS as usize && self.days.iter().all(is_day)
    }

    /// A label is known: what was, and what the two bounds at level `q` (0..1) had been, all in one unit.
    /// Labels come in order of time; one of an earlier day counts for the latest.
    pub fn note(&mut self, at: Timestamp, q: f64, label: f64, active: f64, unconditional: f64) {
        let number = at.0.div_euclid(DAY.0);
        if self.days.back().is_none_or(|day| day.number < number) {
            self.days.push_back(Day { number, labels: 0, active: 0.0, unconditional: 0.0 });
        }
        let Some(day) = self.days.back_mut() else { return };
        day.labels += 1;
        day.active += pinball(q, label, active);
        day.unconditional += pinball(q, label, unconditional);
        let oldest = day.number - DAYS + 1;
        while self.days.front().is_some_and(|day| day.number < oldest) {
            self.days.pop_front();
        }
    }

    /// Starts anew: another strategy is active, whose bounds are not comparable.
    pub fn forget(&mut self) {
        self.days.clear();
    }

    /// By how much the active bound's mean loss lies below that of the constant, in the labels' unit;
    /// below zero = worse than it. `None` while fewer than [`LEAST_LABELS`] are known.
    pub fn skill(&self) -> Option<f64> {
        let labels: u64 = self.days.iter().map(|day| day.labels).sum();
        let saved: f64 = self.days.iter().map(|day| day.unconditional - day.active).sum();
        (labels >= LEAST_LABELS).then(|| saved / labels as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minute(minute: i64) -> Timestamp {
        Timestamp::ZERO + Millis::from_mins(minute)
    }

    #[test]
    fn it_tells_how_much_better_than_a_constant() {
        let mut skill = Skill::default();
        // The label alternates between 0 and 4. The active bound knows it; the constant 4 is right every
        // other time and costs 0.1 * 4 at the others: 0.2 on average.
        for at in 0..LEAST_LABELS as i64 {
            assert_eq!(skill.skill(), None);
            let label = if at % 2 == 0 { 0.0 } else { 4.0 };
            skill.note(minute(at), 0.9, label, label, 4.0);
        }
        assert!((skill.skill().unwrap() - 0.2).abs() < 1e-9);
        skill.forget();
        assert_eq!(skill.skill(), None);
    }

    #[test]
    fn only_seven_days_count() {
        let mut skill = Skill::default();
        let mut day = |number: i64, active: f64| {
            (0..1440).for_each(|at| skill.note(minute(number * 1440 + at), 0.5, 0.0, active, 2.0));
            (skill.days.len(), skill.skill().unwrap())
        };
        // A first day on which the active bound is off by 8 (loss 4 against 1), then perfect days (0).
        assert_eq!(day(0, 8.0).1.round() as i64, -3);
        for number in 1..7 {
            day(number, 0.0);
        }
        let (days, skill) = day(7, 0.0);
        assert_eq!(days, 7);
        assert!((skill - 1.0).abs() < 1e-9);
    }

    proptest! {
        /// The mean loss is smallest at the quantile, so a constant there has no skill against itself
        /// and any other constant has none either.
        #[test]
        fn no_constant_beats_the_quantile(mut labels in prop::collection::vec(0u32..50, 100..300), q in 0.05f64..0.95, other in 0u32..50) {
            labels.sort_unstable();
            let rank = ((labels.len() as f64 * q).ceil() as usize).clamp(1, labels.len());
            let quantile = f64::from(labels[rank - 1]);
            let mut skill = Skill::default();
            for round in 0..15 {
                for (at, &label) in labels.iter().enumerate() {
                    let at = minute(round * 300 + at as i64);
                    skill.note(at, q, f64::from(label), f64::from(other), quantile);
                }
            }
            prop_assert!(skill.skill().unwrap() <= 1e-9);
        }
    }
}
