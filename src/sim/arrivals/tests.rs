//! Statistics of each source against its parameters, and what the draws hang on.

use super::*;
use crate::config::scenario::parse;

/// A run from Monday 2026-01-05 00:00 UTC with these sources.
fn scenario(end: &str, sources: &str) -> Scenario {
    let text = format!("end: {end}\npools: [{{name: a}}]\narrivals:\n{sources}\n");
    parse("test.yaml", &text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn drawn(end: &str, sources: &str) -> Trace {
    of_scenario(&scenario(end, sources))
}

fn seconds(trace: &Trace) -> Vec<i64> {
    trace.jobs.iter().map(|job| job.submit.0 / 1000).collect()
}

/// Jobs in each bin of `width` milliseconds.
fn counts(trace: &Trace, width: i64, bins: usize) -> Vec<f64> {
    let mut counts = vec![0.0; bins];
    for job in &trace.jobs {
        counts[(job.submit.0 / width) as usize] += 1.0;
    }
    counts
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, squares / (values.len() as f64 - 1.0))
}

const MINUTE: i64 = 60_000;

#[test]
fn poisson_arrivals_have_their_rate_and_no_more_variance_than_chance() {
    let trace = drawn("100d", "- {name: p, duration: 5m, poisson: {perHour: 12}}");
    // 28,800 jobs with a standard deviation of 170.
    assert!((trace.jobs.len() as f64 - 28_800.0).abs() < 4.0 * 170.0, "{}", trace.jobs.len());
    let (mean, variance) = mean_and_variance(&counts(&trace, 5 * MINUTE, 28_800));
    // The ratio has a standard deviation of sqrt(2 / 28,800) = 0.008.
    assert!((variance / mean - 1.0).abs() < 0.04, "{}", variance / mean);
}

#[test]
fn sizes_owners_and_run_times_follow_their_weights() {
    let trace = drawn(
        "100d",
        "- name: mix\n  owners: 4\n  sizes: {1: 7, 8: 3, 4: 0}\n  duration: {logNormal: {median: \
         20m, sigma: 1.5, max: 10d}}\n  poisson: {perHour: 10}",
    );
    let jobs = trace.jobs.len() as f64;
    let share = |test: &dyn Fn(&Job) -> bool| {
        trace.jobs.iter().filter(|job| test(job)).count() as f64 / jobs
    };
    // 24,000 jobs: standard deviation of a share at most 0.0033.
    assert!((share(&|job| trace.shape(job).gpus == 8) - 0.3).abs() < 0.013);
    assert!(share(&|job| trace.shape(job).gpus == 4) == 0.0);
    for owner in ["mix-1", "mix-4"] {
        assert!((share(&|job| trace.owners[job.owner.0 as usize] == owner) - 0.25).abs() < 0.013);
    }
    assert!((share(&|job| job.duration < Millis::from_mins(20)) - 0.5).abs() < 0.013);
    // One sigma above the median: 84 %.
    let above = Millis((20.0 * 60_000.0 * 1.5_f64.exp()) as i64);
    assert!((share(&|job| job.duration < above) - 0.841).abs() < 0.013);
}

#[test]
fn a_log_normal_run_time_can_be_given_by_mean_and_spread() {
    let trace = drawn(
        "100d",
        "- {name: p, duration: {logNormal: {mean: 1h, cv: 0.5}}, poisson: {perHour: 10}}",
    );
    let hours: Vec<_> = trace.jobs.iter().map(|job| job.duration.as_hours()).collect();
    let (mean, variance) = mean_and_variance(&hours);
    // 24,000 draws: standard error of the mean 0.5 / 155.
    assert!((mean - 1.0).abs() < 0.013, "{mean}");
    assert!((variance.sqrt() / mean - 0.5).abs() < 0.03, "{variance}");
}

/// Share of jobs with another job of the same owner and shape at most 60 s away.
fn repeat_share(trace: &Trace) -> f64 {
    let mut jobs = trace.jobs.clone();
    jobs.sort_by_key(|job| (job.owner, job.shape, job.submit));
    let near = |a: &Job, b: &Job| {
        (a.owner, a.shape) == (b.owner, b.shape) && (b.submit - a.submit).0 <= MINUTE
    };
    let repeated = (0..jobs.len()).filter(|&nth| {
        nth > 0 && near(&jobs[nth - 1], &jobs[nth])
            || nth + 1 < jobs.len() && near(&jobs[nth], &jobs[nth + 1])
    });
    repeated.count() as f64 / jobs.len() as f64
}

#[test]
fn bursts_repeat_and_clump_as_real_training_jobs_do() {
    let source = "- {name: b, owners: 50, sizes: {1: 0.7, 8: 0.3}, duration: 10m, \
                  bursts: {perHour: 50}}";
    let trace = drawn("60d", source);
    // 72,000 jobs in bursts of 2.45: variance of the count = jobs * E[L^2]/E[L] = 72,000 * 6.9.
    let jobs = trace.jobs.len() as f64;
    assert!((jobs - 72_000.0).abs() < 4.0 * 705.0, "{jobs}");
    assert!((repeat_share(&trace) - 0.71).abs() < 0.02, "{}", repeat_share(&trace));
    let (mean, variance) = mean_and_variance(&counts(&trace, 5 * MINUTE, 60 * 288));
    assert!((4.0..135.0).contains(&(variance / mean)), "{}", variance / mean);
}

#[test]
fn the_share_of_repeated_jobs_can_be_set() {
    for share in [0.0, 0.3, 1.0] {
        let source = format!(
            "- {{name: b, owners: 500, duration: 10m, bursts: {{perHour: 10, repeatShare: {share}}}}}"
        );
        let found = repeat_share(&drawn("60d", &source));
        assert!((found - share).abs() < 0.02, "{share}: {found}");
    }
}

#[test]
fn jobs_of_a_gang_burst_share_their_gang() {
    let source = "- {name: b, duration: 10m, gang: true, bursts: {perHour: 2, repeatShare: 1}}";
    let trace = drawn("10d", source);
    assert!(!trace.gangs.is_empty());
    for (nth, gang) in trace.gangs.iter().enumerate() {
        let members = trace.jobs.iter().filter(|job| job.gang.0 as usize == nth).count();
        assert!(members >= 2 && members == gang.min_members as usize, "{gang:?}");
    }
}

#[test]
fn a_profile_follows_hours_and_weekdays() {
    let hours: Vec<_> = (0..24).map(|hour| if hour < 8 { "0" } else { "1" }).collect();
    let source = format!(
        "- {{name: d, duration: 5m, profile: {{perHour: 60, hours: [{}], weekdays: {{sat: 0.5, sun: 0}}}}}}",
        hours.join(", ")
    );
    let trace = drawn("70d", &source);
    let mut by_day = [0.0; 7];
    for job in &trace.jobs {
        let day = job.submit.0 / (1440 * MINUTE);
        by_day[(day % 7) as usize] += 1.0;
        assert!(job.submit.0 / (60 * MINUTE) % 24 >= 8, "nobody comes before 8 o'clock");
    }
    // 10 of each weekday with 16 hours of 60 jobs: 9,600 +- 98.
    for (day, factor) in [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0].into_iter().enumerate() {
        let expected: f64 = 9_600.0 * factor;
        assert!((by_day[day] - expected).abs() <= 4.0 * expected.sqrt(), "{day}: {by_day:?}");
    }
}

#[test]
fn a_profile_goes_by_the_clock_of_its_time_zone() {
    let hours: Vec<_> = (0..24).map(|hour| if hour == 9 { "1" } else { "0" }).collect();
    let source = format!(
        "- {{name: d, duration: 5m, profile: {{perHour: 60, hours: [{}], timeZone: America/New_York}}}}",
        hours.join(", ")
    );
    // 9 o'clock in New York in January is 14 o'clock UTC.
    let trace = drawn("7d", &source);
    assert!(trace.jobs.len() > 200);
    assert!(trace.jobs.iter().all(|job| job.submit.0 / (60 * MINUTE) % 24 == 14));
}

#[test]
fn a_schedule_keeps_its_local_time_when_the_clocks_change() {
    let text = "startsAt: 2026-03-28T00:00:00Z\nend: 3d\npools: [{name: a}]\narrivals:\n- name: \
                nightly\n  duration: 1h\n  cron: {schedule: 0 9 * * *, timeZone: Europe/Berlin}\n";
    let trace = of_scenario(&parse("x.yaml", text).unwrap());
    // Summer time begins on Sunday the 29th: 9 o'clock is 8 UTC on Saturday and 7 UTC after it.
    assert_eq!(seconds(&trace), [8 * 3600, (24 + 7) * 3600, (48 + 7) * 3600]);
}

#[test]
fn a_schedule_leaves_out_weekends_and_the_skipped_share() {
    let trace = drawn(
        "70d",
        "- {name: c, duration: 1h, cron: {schedule: 30 2 * * 1-5, jobs: 3, jitter: 1m}}",
    );
    assert_eq!(trace.jobs.len(), 50 * 3);
    let starts = 150 * MINUTE..151 * MINUTE;
    for job in &trace.jobs {
        assert!(starts.contains(&(job.submit.0 % (1440 * MINUTE))), "{job:?}");
    }
    let skipping =
        drawn("100d", "- {name: c, duration: 5m, cron: {schedule: '0 * * * *', skipRate: 0.25}}");
    // 2,400 occurrences, 1,800 +- 21 of which happen.
    let jobs = skipping.jobs.len() as f64;
    assert!((jobs - 1800.0).abs() < 85.0, "{jobs}");
}

#[test]
fn a_rollout_adds_in_batches() {
    let trace =
        drawn("1d", "- {name: r, gpus: 2, rollout: {at: 1h, replicas: 5, batch: 2, every: 10m}}");
    assert_eq!(seconds(&trace), [3600, 3600, 4200, 4200, 4800]);
    let runs_on = |job: &Job| job.submit + job.duration > Timestamp(24 * 60 * MINUTE);
    assert!(trace.jobs.iter().all(runs_on));
}

#[test]
fn a_replacement_overlaps_with_what_it_replaces() {
    let trace = drawn(
        "1d",
        "- {name: r, rollout: {at: 1h, replicas: 2, batch: 1, every: 10m, replace: true, overlap: \
         15m}}",
    );
    let old: Vec<_> =
        trace.jobs.iter().filter(|job| job.is_preexisting()).map(|job| job.duration).collect();
    assert_eq!(old, [Millis::from_mins(75), Millis::from_mins(85)]);
    assert_eq!(seconds(&trace), [0, 0, 3600, 4200]);
}

#[test]
fn written_jobs_are_taken_as_they_are() {
    let trace = drawn(
        "1d",
        "- name: hand\n  duration: 30m\n  priority: 3\n  jobs:\n  - {at: 1h, count: 2, every: 10s, \
         gpus: 8, gang: g, owner: amy}\n  - {preexisting: true, gpuMilli: 500, duration: 2h, \
         gpuModels: [T4, A10]}\n  - {at: 2h, resource: nvidia.com/mig-1g.10gb, workers: 3, cpu: \
         500m, memory: 1Gi}",
    );
    assert_eq!(seconds(&trace), [0, 3600, 3610, 7200]);
    let [old, first, second, last] = &trace.jobs[..] else { panic!("{trace:?}") };
    assert!(old.is_preexisting() && old.duration == Millis::from_mins(120));
    let shared = Shape {
        priority: 3,
        gpu_milli: 500,
        gpu_models: vec!["A10".to_owned(), "T4".to_owned()],
        ..Shape::whole_gpus(1)
    };
    assert_eq!(trace.shape(old), &shared);
    assert_eq!(first.gang, second.gang);
    assert_eq!(trace.gangs[first.gang.0 as usize].min_members, 2);
    assert_eq!(trace.owners[first.owner.0 as usize], "amy");
    let slices = Shape {
        priority: 3,
        workers: 3,
        cpu_milli: 500,
        memory_mib: 1024,
        resource: "nvidia.com/mig-1g.10gb".to_owned(),
        ..Shape::whole_gpus(1)
    };
    assert_eq!((trace.shape(last), last.duration), (&slices, Millis::from_mins(30)));
}

const A: &str =
    "- {name: a, owners: 5, duration: {exponential: {mean: 1h}}, poisson: {perHour: 5}}";
const B: &str = "- {name: b, owners: 5, duration: 7m, bursts: {perHour: 5}}";

#[test]
fn the_same_seed_gives_the_same_trace() {
    let one = scenario("10d", &format!("{A}\n{B}"));
    assert_eq!(of_scenario(&one), of_scenario(&one));
    let other = Scenario { seed: 2, ..one.clone() };
    assert_ne!(of_scenario(&one).jobs, of_scenario(&other).jobs);
}

#[test]
fn the_order_of_the_sources_and_further_ones_do_not_change_a_source() {
    let both = drawn("10d", &format!("{A}\n{B}"));
    assert_eq!(both, drawn("10d", &format!("{B}\n{A}")));
    let of_a = |trace: &Trace| {
        let jobs = trace
            .jobs
            .iter()
            .map(|job| (job.submit, job.duration, trace.owners[job.owner.0 as usize].clone()));
        jobs.filter(|(_, _, owner)| owner.starts_with("a-")).collect::<Vec<_>>()
    };
    assert_eq!(of_a(&drawn("10d", A)), of_a(&both));
}

#[test]
fn the_mix_of_sizes_does_not_move_the_arrivals() {
    let one = drawn("10d", "- {name: p, duration: 5m, poisson: {perHour: 12}}");
    let mix =
        drawn("10d", "- {name: p, duration: 1h, sizes: {1: 1, 2: 1}, poisson: {perHour: 12}}");
    assert_eq!(seconds(&one), seconds(&mix));
}

#[test]
fn a_rate_of_zero_gives_no_jobs() {
    assert!(drawn("1d", "- {name: p, duration: 5m, poisson: {perHour: 0}}").jobs.is_empty());
}
