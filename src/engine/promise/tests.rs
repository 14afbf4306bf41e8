use super::*;
use crate::{
    forecast::{bins::Scheme, events::Event, quantile::Table},
    model::{Arrival, OwnerId, Pool, ShapeId},
    strategy::{Idle, Unit},
};

const HORIZON: Millis = Millis::from_mins(10);

fn minute(minute: i64) -> Timestamp {
    Timestamp::ZERO + Millis::from_mins(minute)
}

fn rule(level: f64, idle: i64) -> SpareRule {
    let idle = Idle::Fixed(Millis::from_mins(idle));
    SpareRule {
        level,
        keep: level,
        scheme: Scheme::All,
        unit: Unit::Nodes,
        idle,
        calibrated: false,
    }
}

/// Nothing but a table that says 4 GPUs in every situation.
fn four_gpus() -> Learned {
    Learned { table: Some(Table::uniform([4000; 8])), horizon: HORIZON, ..Learned::default() }
}

/// Jobs of so many GPUs at so many seconds, none of which ends.
fn events(jobs: &[(i64, u64)]) -> Events {
    let mut events = Events::new(Timestamp::ZERO, 0);
    for &(secs, gpus) in jobs {
        let at = Timestamp::from_secs(secs);
        events.push(Event::arrival(at, gpus * 1000, ShapeId(0), OwnerId(0)));
    }
    events
}

/// Looks at these instants.
fn run(looks: &[Timestamp], jobs: &[(i64, u64)]) -> Promises {
    let (rule, learned) = (rule(0.9, 10), four_gpus());
    let mut promises = Promises { kind: Some(Kind::of(&rule)), ..Promises::default() };
    for &now in looks {
        let told: Vec<_> =
            jobs.iter().copied().filter(|&(at, _)| Timestamp::from_secs(at) <= now).collect();
        let events = events(&told);
        promises.settle(now, Kind::of(&rule), &events, 8000.0);
        promises.issue(now, &rule, &events, (&learned, &Levels::default()));
    }
    promises
}

#[test]
fn a_forecast_is_judged_when_its_horizon_has_passed() {
    // 6 GPUs come at 12:30. Of the forecasts of minutes 0..=9 those of 3..=9 see them within 10 min.
    let jobs = [(750, 6)];
    let each: Vec<Timestamp> = (0..=19).map(minute).collect();
    let promises = run(&each, &jobs);
    // At minute 19 those up to minute 8 are known: minute 9 ends at this very instant.
    let tally = promises.totals.tally;
    assert_eq!((tally.labels, tally.held), (9, 3));
    assert_eq!((tally.jobs, tally.jobs_covered, tally.milli), (1, 0, 6000));
    let told = promises.report().unwrap();
    assert_eq!((told.bound_milli, told.labels, told.alarm), (4000, 9, Alarm::Quiet));
    assert_eq!((told.coverage_time, told.coverage_jobs), (Some(1.0 / 3.0), Some(0.0)));
    assert!((promises.totals.levels - 8.1).abs() < 1e-9);
}

#[test]
fn it_does_not_matter_when_looks_come() {
    let jobs = [(100, 2), (750, 6), (760, 1), (2000, 3)];
    // The last look settles what the one before noted late.
    let last = Timestamp::from_secs(3601);
    let each: Vec<Timestamp> = (0..=60).map(minute).chain([last]).collect();
    let few = [0, 59, 100, 750, 751, 2000, 3600, 3601].map(Timestamp::from_secs);
    assert_eq!(run(&each, &jobs), run(&few, &jobs));
}

#[test]
fn nobody_forecast_while_nobody_looked() {
    let promises = run(&[minute(0), minute(200), minute(201), minute(300)], &[]);
    // Of minute 0 and 201; the one of minute 300 is too long after.
    assert_eq!(promises.totals.tally.labels, 2);
}

#[test]
fn only_another_bound_starts_anew() {
    let mut learner = Learner::default();
    let arrival = Arrival {
        job: 0,
        at: minute(0),
        shape: ShapeId(0),
        owner: OwnerId(0),
        gpu_milli: 1000,
        is_running: false,
    };
    learner.recall(&[arrival], &[]);
    let settings = PoolSettings::new(Pool::new("p", 8), 20.0);
    let mut promises = run(&[minute(0), minute(1), minute(30)], &[]);
    let before = promises.clone();
    let mut choose = |candidate: &Candidate| {
        promises.advance(minute(30), candidate, &learner, &settings);
        (promises.kind, promises.open.len(), promises.totals)
    };
    let same = (before.kind, before.open.len(), before.totals);
    assert_eq!(choose(&Candidate::Quantile(rule(0.9, 60))), same);
    let other = rule(0.8, 60);
    assert_eq!(choose(&Candidate::Quantile(other)), (Some(Kind::of(&other)), 0, before.totals));
    let reactive = Candidate::Reactive { idle: Idle::Fixed(HORIZON) };
    assert_eq!(choose(&reactive), (None, 0, before.totals));
    assert_eq!(promises.report(), None);
}
