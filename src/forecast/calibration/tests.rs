use super::*;
use crate::forecast::{
    bins::{Features, Scheme},
    quantile::Table,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

const MINUTE: Millis = Millis::from_secs(60);
const HORIZON: Millis = Millis::from_mins(9);

fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn label(label: i64) -> Outcome {
    Outcome { label, ..Outcome::default() }
}

/// Feeds `labels` one a minute against bounds from `quantile`; the misses.
fn missed(
    calibrator: &mut Calibrator,
    labels: &[i64],
    spread: i64,
    quantile: impl Fn(f64) -> i64,
) -> Vec<bool> {
    let at = |index: usize| Timestamp::ZERO + MINUTE * index as i64;
    let mut misses = Vec::new();
    for now in 0..labels.len() {
        calibrator.settle(at(now), spread, |issued| {
            assert!(issued.at + HORIZON <= at(now), "peeked");
            Some(label(labels[(issued.at.0 / MINUTE.0) as usize]))
        });
        let bound = calibrator.bound(&quantile);
        assert!(calibrator.issue(at(now), bound));
        misses.push(labels[now] > bound);
    }
    misses
}

fn coverage(misses: &[bool]) -> f64 {
    1.0 - misses.iter().filter(|&&missed| missed).count() as f64 / misses.len() as f64
}

/// 0..10,000 uniformly, times a factor that an adversary flips every ten days.
fn shifting(seed: u64, factors: [f64; 2]) -> Vec<i64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..400_000)
        .map(|minute| {
            let factor = factors[minute / 14_400 % 2];
            (unit(&mut rng) * 10_000.0 * factor) as i64
        })
        .collect()
}

fn uniform(level: f64) -> i64 {
    (level * 10_000.0).ceil() as i64
}

#[test]
fn a_shifted_quantile_keeps_its_promise_in_the_long_run() {
    // Without correction 0.9 of the table holds for 0.9 / 1.08 = 83 % and 0.9 / 0.8 > 100 %.
    for seed in 0..5 {
        let labels = shifting(seed, [0.8, 0.98]);
        let mut calibrator = Calibrator::new(Promise::new(0.9, HORIZON));
        let share = coverage(&missed(&mut calibrator, &labels, 0, uniform));
        assert!((share - 0.9).abs() < 0.01, "{share}");
        let fixed = labels.iter().filter(|&&label| label <= uniform(0.9)).count() as f64;
        assert!((fixed / labels.len() as f64 - 0.9).abs() > 0.04, "nothing to correct");
    }
}

#[test]
fn an_offset_keeps_the_promise_beyond_everything_seen() {
    for level in [0.5, 0.9, 0.95] {
        let labels = shifting(7, [0.7, 3.0]);
        let promise = Promise { method: Method::Offset, ..Promise::new(level, HORIZON) };
        let misses = missed(&mut Calibrator::new(promise), &labels, 8000, uniform);
        let share = coverage(&misses);
        assert!((share - level).abs() < 0.01, "{share} for {level}");
    }
}

#[test]
fn nobody_beats_the_guarantee_even_by_answering_the_bound() {
    // Misses whenever the bound is below 0.97 of the table, holds whenever above: the worst case.
    let mut calibrator = Calibrator::new(Promise::new(0.9, HORIZON));
    let misses = missed(&mut calibrator, &vec![9700; 200_000], 0, uniform);
    let gamma = GAMMA * overlap(MINUTE, HORIZON);
    assert!((coverage(&misses) - 0.9).abs() < 1.0 / (gamma * 200_000.0) + 0.001);
}

#[test]
fn quiet_weeks_need_not_be_unlearned() {
    let mut calibrator = Calibrator::new(Promise::new(0.9, HORIZON));
    missed(&mut calibrator, &vec![0; 40_000], 0, |_| 0);
    assert!((calibrator.state().alpha - 0.1).abs() < 1e-9);
    let mut offset =
        Calibrator::new(Promise { method: Method::Offset, ..Promise::new(0.9, HORIZON) });
    missed(&mut offset, &vec![0; 40_000], 0, |_| 0);
    assert!(offset.state().offset.abs() < 1e-9);
}

#[test]
fn a_label_teaches_at_its_horizon_and_not_a_tick_earlier() {
    let mut calibrator = Calibrator::new(Promise::new(0.9, HORIZON));
    calibrator.issue(Timestamp::ZERO, 5);
    let early = HORIZON - Millis(1);
    let peeked = |_: &Issued| -> Option<Outcome> { panic!("asked too early") };
    assert_eq!(calibrator.settle(Timestamp::ZERO + early, 0, peeked), 0);
    assert_eq!(calibrator, {
        let mut same = Calibrator::new(Promise::new(0.9, HORIZON));
        same.issue(Timestamp::ZERO, 5);
        same
    });
    assert_eq!(calibrator.settle(Timestamp::ZERO + HORIZON, 0, |_| Some(label(6))), 1);
    assert!((calibrator.state().alpha - (0.1 - 0.9 * GAMMA / 9.0)).abs() < 1e-12);
    assert_eq!(calibrator.settle(Timestamp::NEVER, 0, peeked), 0);
}

#[test]
fn memory_is_bounded_when_nobody_settles() {
    let mut calibrator = Calibrator::new(Promise::new(0.9, HORIZON));
    for second in 0..100_000 {
        calibrator.issue(Timestamp::from_secs(second), 1);
        assert!(calibrator.state().open.len() <= 11);
    }
    assert_eq!(calibrator.state().unsettled, 1667 - 11);
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    let labels = shifting(3, [0.8, 0.98]);
    let promise = Promise::new(0.9, HORIZON);
    let run = |restart_at: usize| {
        let mut calibrator = Calibrator::new(promise);
        for index in 0..5000 {
            if index == restart_at {
                calibrator = Calibrator::resume(promise, calibrator.state().clone());
            }
            let now = Timestamp::ZERO + MINUTE * index as i64;
            let known = |issued: &Issued| labels[(issued.at.0 / MINUTE.0) as usize];
            calibrator.settle(now, 0, |issued| Some(label(known(issued))));
            let bound = calibrator.bound(uniform);
            calibrator.issue(now, bound);
        }
        calibrator
    };
    assert_eq!(run(2500), run(usize::MAX));
    assert!(run(0).state().alpha < 0.5 && run(0).state().open.len() == 9, "something is open");
}

/// Peaks over the horizon of what a Poisson-like pool adds: overlapping labels as in life.
fn overlapping(rng: &mut ChaCha8Rng, minutes: usize, factor: f64) -> Vec<i64> {
    let arrivals: Vec<i64> =
        (0..minutes + 9).map(|_| i64::from(unit(rng) < 0.15 * factor) * 1000).collect();
    arrivals.windows(9).take(minutes).map(|window| window.iter().sum()).collect()
}

#[test]
fn the_alarm_is_quiet_while_arrivals_are_steady_and_rings_within_a_day_of_a_step() {
    let week = 7 * 1440;
    for seed in 0..20 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let history = overlapping(&mut rng, 2 * week, 1.0);
        let situations = vec![Features::default(); history.len()];
        let table = Table::fit(&situations, &history, None).unwrap();
        let quantile = |level| table.quantile(Scheme::All, &Features::default(), level);
        let mut calibrator = Calibrator::new(Promise::new(0.9, HORIZON));
        let labels = overlapping(&mut rng, week, 1.0);
        for day in labels.chunks(1440) {
            let mut today = Calibrator::new(Promise::new(0.9, HORIZON));
            missed(&mut today, day, 0, quantile);
            assert_eq!(today.alarm(), Alarm::Quiet, "seed {seed}");
            calibrator = today;
        }
        let mut after = Calibrator::resume(Promise::new(0.9, HORIZON), calibrator.state().clone());
        after.state.open.clear();
        missed(&mut after, &overlapping(&mut rng, 1440, 3.0), 0, quantile);
        assert_eq!(after.alarm(), Alarm::TooLow, "seed {seed}");
    }
}
