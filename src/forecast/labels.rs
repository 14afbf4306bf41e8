//! By how much demand rose within a horizon: what a forecast made at an instant should have said.
//!
//! `Delta(t0, H) = max over 0 < s <= H of D(t0 + s) - D(t0)`, never below zero (time is continuous: just
//! after `t0` demand is still `D(t0)`), with D the uncapped demand, running and waiting, in thousandths
//! of a GPU. Several events of one instant count as one change.
//!
//! A label is known at `t0 + H` and not before: every function takes `now`, looks at no event after it
//! and says nothing about instants later than `now - H`. It is taken for granted that all events up to
//! and at `now` have been told.
//!
//! One pass over events and labels with a queue of falling peaks (the sliding-window maximum).

use super::events::{Event, Events};
use crate::time::{Millis, Timestamp};
use std::{collections::VecDeque, iter};

/// Spacing of labels. Half of it doubles work and memory for labels that overlap even more; twice as
/// much blurs bursts, which are often over in a minute.
pub const STEP: Millis = Millis::from_secs(60);

/// How far back quantiles look: 20,160 labels.
pub const LOOK_BACK: Millis = Millis::from_hours(14 * 24);

/// Which labels: the grid instants `t0 >= from` whose horizon has passed at `now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The earliest instant.
    pub from: Timestamp,
    /// The present.
    pub now: Timestamp,
    /// How long after an instant its label is known.
    pub horizon: Millis,
    /// Spacing of the grid, more than zero; its points are the multiples since zero.
    pub step: Millis,
}

impl Span {
    /// The labels of the last 14 days that are known at `now`.
    pub fn recent(now: Timestamp, horizon: Millis) -> Self {
        Self { from: now - LOOK_BACK, now, horizon, step: STEP }
    }

    /// First grid instant and number of grid instants about which `events` tell everything.
    pub fn grid(&self, events: &Events) -> (Timestamp, usize) {
        let first = self.from.max(events.known_since()).ceil_to(self.step);
        let room = (self.now - self.horizon) - first;
        let count = if room.0 < 0 { 0 } else { room.0 / self.step.0.max(1) + 1 };
        (first, count as usize)
    }
}

/// Labels of equally spaced instants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The instant of the first value.
    pub first: Timestamp,
    /// Spacing.
    pub step: Millis,
    /// One value per instant, oldest first.
    pub values: Vec<i64>,
}

/// The rise of demand after each instant of `span`, in thousandths of a GPU.
pub fn deltas(events: &Events, span: &Span) -> Labels {
    let (first, count) = span.grid(events);
    let mut level = events.demand_at(first);
    let mut past = events.window(first, span.now).peekable();
    let mut ahead = changes(events.window(first, span.now), level).peekable();
    let mut peaks: VecDeque<(Timestamp, i64)> = VecDeque::new();
    let mut values = Vec::with_capacity(count);
    for index in 0..count {
        let t0 = first + span.step * index as i64;
        while let Some(event) = past.next_if(|event| event.at <= t0) {
            level += event.milli;
        }
        while let Some(change) = ahead.next_if(|&(at, _)| at <= t0 + span.horizon) {
            while peaks.back().is_some_and(|&(_, peak)| peak <= change.1) {
                peaks.pop_back();
            }
            peaks.push_back(change);
        }
        while peaks.front().is_some_and(|&(at, _)| at <= t0) {
            peaks.pop_front();
        }
        values.push(peaks.front().map_or(0, |&(_, peak)| (peak - level).max(0)));
    }
    Labels { first, step: span.step, values }
}

/// Instants at which something happened, with the demand after all of it.
fn changes<'a>(
    events: impl Iterator<Item = &'a Event>,
    mut level: i64,
) -> impl Iterator<Item = (Timestamp, i64)> {
    let mut events = events.peekable();
    iter::from_fn(move || {
        let at = events.peek()?.at;
        while let Some(event) = events.next_if(|event| event.at == at) {
            level += event.milli;
        }
        Some((at, level))
    })
}

/// What came of one forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The rise that happened, in the unit of the forecast.
    pub label: i64,
    /// Jobs that came in the last step of the horizon, so that of forecasts made every step each job
    /// counts once.
    pub jobs: u32,
    /// Those of them for which the forecast had left room when they came.
    pub jobs_covered: u32,
    /// Thousandths of GPUs of `jobs`.
    pub milli: i64,
    /// Thousandths of GPUs of `jobs_covered`.
    pub milli_covered: i64,
}

/// What came of the forecast "demand will rise by at most `bound` thousandths" made at `t0` for
/// `horizon`. `None` as long as it is not known, or when events are missing.
///
/// Of jobs that come at the same instant those told first find room first; room that others leave at
/// that instant is there for all of them.
pub fn outcome(events: &Events, t0: Timestamp, bound: i64, span: &Span) -> Option<Outcome> {
    if t0 + span.horizon > span.now || t0 < events.known_since() {
        return None;
    }
    let end = t0 + span.horizon;
    let base = events.demand_at(t0);
    let level = changes(events.window(t0, end), base).map(|(_, level)| level).max();
    let mut outcome =
        Outcome { label: level.map_or(0, |l| (l - base).max(0)), ..Outcome::default() };
    let start = t0.max(end - span.step);
    let mut level = events.demand_at(start);
    let mut rest = events.window(start, end).peekable();
    let mut together: Vec<&Event> = Vec::new();
    while let Some(&&Event { at, .. }) = rest.peek() {
        together.clear();
        together.extend(iter::from_fn(|| rest.next_if(|event| event.at == at)));
        level += together.iter().map(|event| event.milli.min(0)).sum::<i64>();
        for event in together.iter().filter(|event| event.is_arrival()) {
            level += event.milli;
            let covered = level - base <= bound;
            outcome.jobs += 1;
            outcome.milli += event.milli;
            outcome.jobs_covered += u32::from(covered);
            outcome.milli_covered += if covered { event.milli } else { 0 };
        }
    }
    Some(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OwnerId, ShapeId};
    use proptest::prelude::*;

    fn events_of(jobs: &[(i64, i64, u64)], base: i64) -> Events {
        let mut events = Events::new(Timestamp::ZERO, base);
        for &(at, lasts, gpus) in jobs {
            let came = Event::arrival(Timestamp(at), gpus * 1000, ShapeId(0), OwnerId(0));
            events.push(came);
            events.push(came.finished(Timestamp(at + lasts)));
        }
        events
    }

    fn span(now: i64, horizon: i64) -> Span {
        Span {
            from: Timestamp::ZERO,
            now: Timestamp(now),
            horizon: Millis(horizon),
            step: Millis(10),
        }
    }

    #[test]
    fn the_rise_is_the_peak_and_not_the_sum() {
        // 2 GPUs over [5, 15), 3 over [15, 40): they replace each other.
        let events = events_of(&[(5, 10, 2), (15, 25, 3)], 4000);
        let labels = deltas(&events, &span(60, 20));
        assert_eq!(labels.first, Timestamp::ZERO);
        assert_eq!(labels.values, [3000, 1000, 0, 0, 0]);
    }

    #[test]
    fn coverage_by_job_counts_the_jobs_the_bound_had_room_for() {
        let events = events_of(&[(15, 100, 2), (17, 100, 1), (17, 100, 4)], 0);
        let seen = outcome(&events, Timestamp::ZERO, 3000, &span(20, 20)).unwrap();
        let expected =
            Outcome { label: 7000, jobs: 3, jobs_covered: 2, milli: 7000, milli_covered: 3000 };
        assert_eq!(seen, expected);
        assert_eq!(outcome(&events, Timestamp::ZERO, 3000, &span(19, 20)), None);
    }

    proptest! {
        #[test]
        fn the_rise_is_that_of_brute_force(
            jobs in prop::collection::vec((0i64..100, 0i64..40, 1u64..5), 0..12),
            horizon in 1i64..60,
            now in 0i64..150,
        ) {
            let events = events_of(&jobs, 9000);
            let labels = deltas(&events, &span(now, horizon));
            let expected: Vec<i64> = (0..=now / 10)
                .map(|index| Timestamp(index * 10))
                .take_while(|&t0| t0.0 + horizon <= now)
                .map(|t0| {
                    let at = |s| events.demand_at(t0 + Millis(s));
                    (0..=horizon).map(|s| at(s) - at(0)).max().unwrap()
                })
                .collect();
            for (index, &label) in expected.iter().enumerate() {
                let t0 = Timestamp(index as i64 * 10);
                let seen = outcome(&events, t0, 0, &span(now, horizon)).unwrap();
                prop_assert_eq!(seen.label, label);
            }
            prop_assert_eq!(labels.values, expected);
        }

        #[test]
        fn what_happens_after_now_changes_no_label(
            jobs in prop::collection::vec((0i64..100, 0i64..40, 1u64..5), 0..12),
            horizon in 1i64..60,
            now in 0i64..150,
        ) {
            let all = events_of(&jobs, 0);
            let mut told = Events::new(Timestamp::ZERO, 0);
            all.iter().filter(|event| event.at.0 <= now).for_each(|&event| told.push(event));
            let span = span(now, horizon);
            prop_assert_eq!(deltas(&all, &span), deltas(&told, &span));
            prop_assert_eq!(outcome(&all, Timestamp(now - horizon + 1), 0, &span), None);
        }

        #[test]
        fn labels_do_not_depend_on_what_was_forgotten(
            jobs in prop::collection::vec((0i64..100, 0i64..40, 1u64..5), 0..12),
            most in 1usize..20,
        ) {
            let all = events_of(&jobs, 0);
            let mut few = Events::bounded(Timestamp::ZERO, 0, Millis::MAX, most);
            all.iter().for_each(|&event| few.push(event));
            let (full, short) = (deltas(&all, &span(200, 30)), deltas(&few, &span(200, 30)));
            prop_assert_eq!(&full.values[full.values.len() - short.values.len()..], &short.values[..]);
        }
    }
}
