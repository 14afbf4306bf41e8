//! The model against simulated pools whose truth is known.

use super::{LeadTimeModel, LeadTimePrior, LeadTimes, Learning, Shift, Stage, draw};
use crate::{
    model::StageTime,
    time::{Millis, Timestamp},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

const SEEDS: u64 = 12;
const ASKED: Timestamp = Timestamp::from_secs(10 * 86_400);

fn stage(mean_secs: i64) -> StageTime {
    StageTime { mean: Millis::from_secs(mean_secs), cv: 0.25 }
}

/// The two true stages; far from the prior (300 s and 220 s).
fn truth() -> [StageTime; 2] {
    [stage(420), stage(150)]
}

fn total(rng: &mut ChaCha8Rng) -> Millis {
    let [first, second] = truth();
    draw(first, rng) + draw(second, rng)
}

/// The model after `done` nodes came up and with another half of that on its way, requested one after the
/// other so that all ages occur: those that would have finished are recorded, the others are asked with.
fn learned(seed: u64, done: usize) -> LeadTimes {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut model = LeadTimeModel::default();
    let mut in_flight = Vec::new();
    let [first, second] = truth();
    let long_ago = Millis::from_hours(5);
    // The last nodes: one every 8 s over the longest lead time, of which some are already there.
    let recent = (0..done as i64 / 2).map(|node| Millis(node * 1_200_000 / (done as i64 / 2)));
    for age in std::iter::repeat_n(long_ago, done).chain(recent) {
        let (ready, warm) = (draw(first, &mut rng), draw(second, &mut rng));
        if age < ready {
            in_flight.push((Stage::Provisioning, age));
            continue;
        }
        model.record(Stage::Provisioning, ready, ASKED);
        if age - ready < warm {
            in_flight.push((Stage::WarmUp, age - ready));
        } else {
            model.record(Stage::WarmUp, warm, ASKED);
        }
    }
    model.at(ASKED, &in_flight)
}

/// Quantiles of the true lead time, by drawing.
fn true_quantile(q: f64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(4711);
    let mut draws: Vec<f64> = (0..40_000).map(|_| total(&mut rng).as_secs_f64()).collect();
    draws.sort_by(f64::total_cmp);
    draws[(q * draws.len() as f64) as usize]
}

#[test]
fn quantiles_are_within_a_few_percent_of_the_truth() {
    for (q, allowed) in [(0.5, 0.04), (0.9, 0.06)] {
        let truth = true_quantile(q);
        let errors: Vec<f64> = (0..SEEDS)
            .map(|seed| learned(seed, 200).quantile(q).as_secs_f64() / truth - 1.0)
            .collect();
        let bias = errors.iter().sum::<f64>() / SEEDS as f64;
        println!("q {q}: truth {truth:.0} s, bias {bias:.4}, errors {errors:.3?}");
        assert!(errors.iter().all(|error| error.abs() < allowed), "{q}: {errors:?}");
        assert!(bias.abs() < 0.02, "{q}: {bias}");
    }
}

#[test]
fn quantiles_cover_fresh_requests_as_often_as_they_say() {
    for q in [0.1, 0.5, 0.9, 0.99] {
        let mut covered = 0_u32;
        for seed in 0..SEEDS {
            let promised = learned(seed, 200).quantile(q);
            let mut rng = ChaCha8Rng::seed_from_u64(1000 + seed);
            covered += (0..2000).filter(|_| total(&mut rng) <= promised).count() as u32;
        }
        let coverage = f64::from(covered) / (2000 * SEEDS) as f64;
        println!("q {q}: coverage {coverage:.4}");
        assert!((coverage - q).abs() < 0.03, "{q}: {coverage}");
    }
}

/// A batch asked about halfway: only the quick ones are there. Without the others the median would be
/// theirs.
#[test]
fn the_nodes_still_on_their_way_keep_the_quick_ones_from_fooling_the_model() {
    let learning = Learning { pseudo_events: 0.0, ..Learning::default() };
    let (mut naive_error, mut error) = (0.0, 0.0);
    for seed in 0..SEEDS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut model = LeadTimeModel::new(LeadTimePrior::default(), learning);
        let age = Millis::from_secs(450);
        let mut in_flight = Vec::new();
        for _ in 0..100 {
            match draw(stage(420), &mut rng) {
                done if done <= age => model.record(Stage::Provisioning, done, ASKED),
                _ => in_flight.push((Stage::Provisioning, age)),
            }
        }
        assert!(in_flight.len() > 20, "about a third is on its way");
        // The true median is 420 / sqrt(1 + 0.25^2).
        let truth = 420.0 / 1.0625_f64.sqrt();
        let median = |in_flight: &[(Stage, Millis)]| {
            let times = model.at(ASKED, in_flight);
            times.stage(Stage::Provisioning).survival().quantile(0.5).as_secs_f64() / truth - 1.0
        };
        naive_error += median(&[]) / SEEDS as f64;
        error += median(&in_flight) / SEEDS as f64;
    }
    assert!(naive_error < -0.05, "{naive_error}");
    assert!(error.abs() < 0.02, "{error}");
}

#[test]
fn as_many_nodes_come_in_time_as_was_said() {
    let (mut expected, mut came, mut fewer) = (0.0, 0.0, 0);
    let [first, second] = truth();
    let (rounds, horizon) = (400, Millis::from_secs(300));
    for round in 0..rounds {
        let times = learned(round % SEEDS, 200);
        let mut rng = ChaCha8Rng::seed_from_u64(5000 + round);
        let (mut nodes, mut ready) = (Vec::new(), 0_u32);
        for node in 0..30 {
            let age = Millis::from_secs(node * 17);
            let (provisioning, warm) = (draw(first, &mut rng), draw(second, &mut rng));
            let left = provisioning + warm - age;
            if left.0 <= 0 {
                continue;
            }
            nodes.push(if age < provisioning {
                (Stage::Provisioning, age)
            } else {
                (Stage::WarmUp, age - provisioning)
            });
            ready += u32::from(left <= horizon);
        }
        let said = times.ready_within(&nodes, horizon);
        // The drawn nodes do not fail, the model has seen none fail in about 250.
        expected += said.mean;
        came += f64::from(ready);
        fewer += u32::from(ready < said.quantile05);
    }
    let ratio = expected / came;
    println!("expected / came {ratio:.4}, fewer than promised in {fewer} of {rounds}");
    assert!((ratio - 1.0).abs() < 0.04, "{ratio}");
    // At most 5 % may fall short: a count of nodes is coarse, so fewer do. 400 rounds allow +-2.2 %.
    assert!(f64::from(fewer) / (rounds as f64) < 0.08, "{fewer}");
}

#[test]
fn after_a_shift_the_model_says_so_and_follows_within_the_forgetting_time() {
    for seed in 0..SEEDS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut model = LeadTimeModel::default();
        let mut now = Timestamp::ZERO;
        let mut run = |mean: i64, nodes: usize, model: &mut LeadTimeModel| {
            let mut seen = Vec::new();
            for _ in 0..nodes {
                // Ten a day.
                now += Millis::from_mins(144);
                model.record(Stage::Provisioning, draw(stage(mean), &mut rng), now);
                seen.extend(model.stage(Stage::Provisioning).shift());
            }
            let times = model.at(now, &[]);
            (seen, times.stage(Stage::Provisioning).survival().quantile(0.5).as_secs_f64())
        };
        let (seen, median) = run(309, 300, &mut model);
        assert!(seen.is_empty(), "seed {seed}: nothing shifted");
        assert!((median / 300.0 - 1.0).abs() < 0.1, "seed {seed}: {median}");
        // 140 nodes are 14 days.
        let (seen, median) = run(618, 140, &mut model);
        assert!(!seen.is_empty() && seen.iter().all(|shift| *shift == Shift::Slower), "{seen:?}");
        assert!((median / 600.0 - 1.0).abs() < 0.1, "seed {seed}: {median}");
        assert_eq!(model.stage(Stage::Provisioning).shift(), None, "seed {seed}: it has followed");
        let (_, median) = run(309, 140, &mut model);
        assert!((median / 300.0 - 1.0).abs() < 0.1, "seed {seed}: {median} on the way back");
    }
}
