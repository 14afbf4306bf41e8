use super::*;
use crate::{
    forecast::{events::Event, quantile::Table},
    model::{OwnerId, ShapeId},
    strategy::{Idle, Unit},
};
use proptest::prelude::*;

const HORIZON: Millis = Millis::from_mins(10);

fn minute(minute: i64) -> Timestamp {
    Timestamp::ZERO + Millis::from_mins(minute)
}

fn rule(level: f64, keep: f64, calibrated: bool) -> SpareRule {
    let idle = Idle::Fixed(Millis::from_mins(10));
    SpareRule { level, keep, scheme: Scheme::All, unit: Unit::Nodes, idle, calibrated }
}

/// Nothing but a table that says 4 GPUs in every situation.
fn four_gpus() -> Learned {
    Learned { table: Some(Table::uniform([4000; 8])), horizon: HORIZON, ..Learned::default() }
}

/// Looks at these seconds; `jobs` of so many GPUs come at so many seconds and never end.
fn run(looks: &[i64], jobs: &[(i64, u64)]) -> Levels {
    let mut levels = Levels::of(&[Candidate::Quantile(rule(0.9, 0.9, true))]);
    for &now in looks {
        let mut events = Events::new(Timestamp::ZERO, 0);
        for &(at, gpus) in jobs.iter().filter(|job| job.0 <= now) {
            let at = Timestamp::from_secs(at);
            events.push(Event::arrival(at, gpus * 1000, ShapeId(0), OwnerId(0)));
        }
        levels.advance(Timestamp::from_secs(now), &events, &four_gpus());
    }
    levels
}

fn each_minute(minutes: i64) -> Vec<i64> {
    (0..=minutes).map(|minute| minute * 60).collect()
}

fn level(levels: &Levels, at: Timestamp) -> f64 {
    levels.rule(&rule(0.9, 0.9, true), at).level
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
}

#[test]
fn forecasts_that_hold_lower_the_level_hour_by_hour() {
    let levels = run(&each_minute(130), &[]);
    // At minute 60 the forecasts of minutes 0..=49 are known, at minute 120 those of 0..=109. Each held:
    // alpha grows by a tenth (a step of a horizon of ten) of 0.005 times 0.1.
    assert_near(level(&levels, minute(59)), 0.9);
    assert_near(level(&levels, minute(60)), 0.9 - 50.0 * 5e-5);
    assert_near(level(&levels, minute(119)), 0.9 - 50.0 * 5e-5);
    assert_near(level(&levels, minute(125)), 0.9 - 110.0 * 5e-5);
}

#[test]
fn a_miss_raises_the_level() {
    // 8 GPUs at 30:30 are missed by the forecasts of minutes 21..=30, ten of those known at minute 60.
    let levels = run(&each_minute(60), &[(1830, 8)]);
    assert_near(level(&levels, minute(60)), 0.9 - 40.0 * 5e-5 + 10.0 * 5e-4 * 0.9);
}

#[test]
fn only_calibrated_rules_are_corrected() {
    let levels = run(&each_minute(60), &[]);
    let plain = rule(0.9, 0.9, false);
    assert_eq!(levels.rule(&plain, minute(60)), plain);
    let unknown = rule(0.8, 0.95, true);
    assert_eq!(levels.rule(&unknown, minute(60)), unknown);
}

#[test]
fn each_promise_is_kept_once_and_only_for_calibrated_rules() {
    let both = [rule(0.9, 0.99, true), rule(0.99, 0.99, true), rule(0.7, 0.8, false)];
    let candidates = both.map(Candidate::Quantile);
    let levels = Levels::of(&candidates);
    assert_eq!(levels.kept.len(), 2);
    assert!(levels.are_of(&candidates) && levels.are_of(&candidates[..1]));
    assert!(!levels.are_of(&candidates[1..]));
    assert!(!Levels::default().are_of(&candidates));
}

#[test]
fn four_days_take_no_more_memory_than_two() {
    let levels = run(&each_minute(4 * 1440), &[]);
    let kept = &levels.kept[0];
    assert_eq!(kept.hours.len(), MOST_HOURS);
    assert!(kept.calibrator.state().open.len() <= 12);
    assert!(levels.are_sound());
}

#[test]
fn nobody_forecast_while_nobody_looked() {
    let levels = run(&[0, 200 * 60, 201 * 60, 300 * 60], &[]);
    assert_eq!(levels.kept[0].calibrator.state().open.len(), 1);
}

#[test]
fn another_horizon_gives_up_what_is_open() {
    let mut levels = run(&each_minute(30), &[]);
    let events = Events::new(Timestamp::ZERO, 0);
    let longer = Learned { horizon: Millis::from_mins(20), ..four_gpus() };
    levels.advance(minute(31), &events, &longer);
    let state = levels.kept[0].calibrator.state();
    // Minutes 20..=30 were open; what was learned stays.
    assert_eq!((state.open.len(), state.unsettled), (1, 11));
    assert!(state.alpha > 0.1);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut levels = run(&each_minute(130), &[]);
    assert!(levels.are_sound());
    levels.kept[0].hours[1].1 = f64::NAN;
    assert!(!levels.are_sound());
    let mut levels = run(&each_minute(130), &[]);
    levels.kept[0].level = 0.8;
    assert!(!levels.are_sound());
}

proptest! {
    /// It does not matter when looks come, nor whether it was written down in between.
    #[test]
    fn looks_and_restarts_change_nothing(
        jobs in prop::collection::vec((1i64..9000, 1u64..9), 0..12),
        looks in prop::collection::vec(0i64..9000, 0..9),
        restart in 0i64..150,
    ) {
        let mut jobs = jobs;
        jobs.sort_unstable();
        // Often enough for all minutes to be gone through, and at the end.
        let mut few: Vec<i64> = looks.into_iter().chain([0, 4000, 8000, 9001]).collect();
        few.sort_unstable();
        let mut each = each_minute(150);
        each.push(9001);
        let whole = run(&each, &jobs);
        prop_assert_eq!(&run(&few, &jobs), &whole);
        let kept = serde_json::to_string(&run(&each_minute(restart), &jobs)).unwrap();
        let mut restored: Levels = serde_json::from_str(&kept).unwrap();
        for now in each.into_iter().filter(|&now| now > restart * 60) {
            let mut events = Events::new(Timestamp::ZERO, 0);
            for &(at, gpus) in jobs.iter().filter(|job| job.0 <= now) {
                let at = Timestamp::from_secs(at);
                events.push(Event::arrival(at, gpus * 1000, ShapeId(0), OwnerId(0)));
            }
            restored.advance(Timestamp::from_secs(now), &events, &four_gpus());
        }
        prop_assert_eq!(restored, whole);
    }
}
