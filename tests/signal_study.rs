//! Which signals the study finds useful: drawn ones, of which the answer is known, and signals made from recorded
//! demand (first 40 % of each trace).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "a measurement prints figures")]

mod support;

use prewarm::{
    forecast::{
        events::{Event, Events},
        leading::{Case, MINUTE, Study, Track, study, worth::Word},
    },
    model::{OwnerId, ShapeId, Trace},
    sim::{
        arrivals,
        import::{self, Options},
        scenario,
    },
    time::{Millis, Timestamp},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal, Uniform};

const LEAD: Millis = Millis::from_mins(12);

fn at(minute: i64) -> Timestamp {
    Timestamp::ZERO + MINUTE * minute
}

/// Demand by the event.
struct World {
    jobs: Vec<(Timestamp, Millis, u64)>,
    /// By the minute, in GPUs.
    demand: Vec<f64>,
    /// GPUs that came in the minute before.
    came: Vec<f64>,
}

impl World {
    fn of(trace: &Trace, share: f64) -> Self {
        let last = trace.jobs.iter().map(|job| job.submit).max().unwrap();
        let end = Timestamp((last.0 as f64 * share) as i64);
        let jobs = trace.jobs.iter().filter(|job| job.submit <= end);
        let jobs = jobs.map(|job| {
            (job.submit.max(Timestamp::ZERO), job.duration, trace.shape(job).demand_milli())
        });
        let jobs: Vec<_> = jobs.collect();
        let minutes = (end.0 / MINUTE.0) as usize;
        let mut world = Self { jobs, demand: vec![0.0; minutes + 2], came: vec![0.0; minutes + 2] };
        for &(submit, lasts, milli) in &world.jobs {
            let gpus = milli as f64 / 1000.0;
            let minute = |t: Timestamp| (t.ceil_to(MINUTE).0 / MINUTE.0) as usize;
            world.came[minute(submit).min(minutes + 1)] += gpus;
            world.demand[minute(submit).min(minutes + 1)] += gpus;
            world.demand[minute(submit + lasts).min(minutes + 1)] -= gpus;
        }
        let mut level = 0.0;
        for change in &mut world.demand {
            level += *change;
            *change = level;
        }
        world
    }

    fn minutes(&self) -> i64 {
        self.demand.len() as i64 - 1
    }

    fn demand_at(&self, minute: i64) -> f64 {
        self.demand[minute.clamp(0, self.minutes()) as usize].max(0.0)
    }

    fn came(&self, after: i64, until: i64) -> f64 {
        ((after + 1).max(0)..=until.min(self.minutes())).map(|m| self.came[m as usize]).sum()
    }

    fn events(&self, until: Timestamp) -> Events {
        let mut events = Events::new(Timestamp::ZERO, 0);
        let mut all = Vec::new();
        for &(submit, lasts, milli) in self.jobs.iter().filter(|job| job.0 <= until) {
            let came = Event::arrival(submit, milli, ShapeId(0), OwnerId(0));
            all.push(came);
            all.push(came.finished(submit + lasts));
        }
        all.retain(|event| event.at <= until);
        all.sort_by_key(|event| event.at);
        for event in all {
            events.push(event);
        }
        events
    }

    fn study(
        &self,
        signal: &[f64],
        (from, until): (i64, i64),
        (gpus, level): (f64, f64),
    ) -> Option<Study> {
        let mut track = Track::default();
        (from..=until).for_each(|m| track.note(at(m), |_| signal.get(m as usize).copied()));
        let now = at(until);
        let word = Word { gpus_per_unit: gpus, max_gpus: None };
        study(&Case {
            now,
            track: &track,
            events: &self.events(now),
            word,
            lead: LEAD,
            told_lead: None,
            level,
            was_useful: false,
        })
    }
}

/// A named signal: GPUs for each unit, and its value by the minute.
struct Drawn {
    name: &'static str,
    gpus_per_unit: f64,
    values: Vec<f64>,
}

fn signals(world: &World, seed: u64) -> Vec<Drawn> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = move || -> f64 { StandardNormal.sample(&mut rng) };
    let mut rng = ChaCha8Rng::seed_from_u64(seed + 1);
    let mut uniform = move || Uniform::new(0.0, 1.0).unwrap().sample(&mut rng);
    let minutes = 0..=world.minutes();
    let mean = world.demand.iter().sum::<f64>() / world.demand.len() as f64;
    let mut drawn = Vec::new();
    let mut add = |name, gpus_per_unit, value: &mut dyn FnMut(i64) -> f64| {
        let values = minutes.clone().map(|m| value(m).max(0.0)).collect();
        drawn.push(Drawn { name, gpus_per_unit, values });
    };
    add("+queue 12m", 1.0, &mut |m| world.came(m, m + 12));
    add("+queue 25m", 1.0, &mut |m| world.came(m, m + 25));
    add("+queue 12m x2", 2.0, &mut |m| world.came(m, m + 12));
    add("+queue 12m +noise", 1.0, &mut |m| {
        (world.came(m, m + 12) * (1.0 + 0.3 * normal())).round()
    });
    add("+queue 12m 60%", 1.0, &mut |m| {
        (m + 1..=m + 12).filter(|m| m % 5 < 3).map(|m| world.came(m - 1, m)).sum()
    });
    add("+users 12m", 4.0, &mut |m| world.demand_at(m + 12) / 4.0);
    add("+users 12m 5%", 4.0, &mut |m| world.demand_at(m + 12) / 4.0 * (1.0 + 0.05 * normal()));
    add("+users 12m 20%", 4.0, &mut |m| world.demand_at(m + 12) / 4.0 * (1.0 + 0.2 * normal()));
    add("+shift 30m", 1.0, &mut |m| world.demand_at(m + 30));
    add("-constant", 1.0, &mut |_| 7.0);
    add("-uniform", 1.0, &mut |_| 2.0 * mean * uniform());
    add("-small noise", 1.0, &mut |_| 8.0 * uniform());
    add("-copy", 1.0, &mut |m| world.demand_at(m));
    add("-copy x1.2", 1.2, &mut |m| world.demand_at(m));
    add("-copy 10%", 1.0, &mut |m| world.demand_at(m) * (1.0 + 0.1 * normal()));
    add("-copy 2%", 1.05, &mut |m| world.demand_at(m) * (1.0 + 0.02 * normal()));
    add("-behind 10m", 1.0, &mut |m| world.demand_at(m - 10));
    add("-came 12m", 1.0, &mut |m| world.came(m - 12, m));
    add("-came 12m noise", 1.0, &mut |m| world.came(m - 12, m) * (1.0 + 0.3 * normal()));
    let mut walk = mean;
    add("-walk", 1.0, &mut |_| {
        walk = (walk + mean * 0.02 * normal()).max(0.0);
        walk
    });
    let mut walk = 0.0;
    add("-walk small", 1.0, &mut |_| {
        walk = (walk + 0.5 * normal()).clamp(0.0, 30.0);
        walk
    });
    add("-other day", 1.0, &mut |m| world.demand_at((m + 2000) % world.minutes()));
    add("-other queue", 1.0, &mut |m| {
        world.came((m + 2000) % world.minutes(), (m + 2012) % world.minutes())
    });
    drawn
}

const DRAWN: &str = "
end: 8d
startsAt: 2026-01-05T00:00:00Z
pools: [{name: p0}]
policies: [reactive]
arrivals:
- name: even
  owners: 30
  sizes: {1: 0.7, 2: 0.1, 4: 0.1, 8: 0.1}
  duration: {logNormal: {median: 25m, sigma: 1.2, max: 2d}}
  KIND
";

const OFFICE: &str = "profile: {perHour: 40, hours: [0, 0, 0, 0, 0, 0, 0.02, 0.1, 0.8, 1, 1, 1, 0.6, 0.8, 1, 1, 0.8, \
                      0.5, 0.2, 0.1, 0, 0, 0, 0]}";

fn drawn_world(kind: &str) -> World {
    let text = DRAWN.replace("KIND", kind);
    let scenario = scenario::check("drawn.yaml", &text).unwrap();
    World::of(&arrivals::of_scenario(&scenario), 1.0)
}

/// What leads is found with its lag, what does not is not; office hours, two days, at kappa 20.
#[test]
fn what_leads_is_told_from_what_does_not() {
    let world = drawn_world(OFFICE);
    let until = 3 * 1440;
    for signal in signals(&world, 7) {
        let terms = (signal.gpus_per_unit, 0.95);
        let study = world.study(&signal.values, (1440, until), terms).unwrap();
        let lag = match signal.name {
            name if name.contains("25m") => 25,
            name if name.contains("30m") => 30,
            _ => 12,
        };
        let name = signal.name;
        if name.starts_with('+') {
            assert!((study.lag_minutes - lag).abs() <= 1, "{name}: {study:?}");
        } else {
            assert!(!study.is_useful, "{name}: {study:?}");
        }
        let must_be_useful =
            ["+queue 12m", "+queue 25m", "+queue 12m +noise", "+users 12m", "+users 12m 5%"];
        if must_be_useful.contains(&name) {
            assert!(study.is_useful, "{name}: {study:?}");
        }
    }
}

#[test]
#[ignore = "prints the table from which margins were chosen"]
fn margins() {
    let mut worlds = vec![
        ("poisson".to_owned(), drawn_world("poisson: {perHour: 20}")),
        ("bursts".to_owned(), drawn_world("bursts: {perHour: 20}")),
        ("rare".to_owned(), drawn_world("bursts: {perHour: 3}")),
        (
            "office".to_owned(),
            drawn_world(
                "profile: {perHour: 40, hours: [0,0,0,0,0,0,0.02,0.1,0.8,1,1,1,0.6,0.8,1,1,0.8,0.5,0.2,0.1,0,0,0,0]}",
            ),
        ),
    ];
    if let Some(folder) = support::traces() {
        for file in ["philly_d00_52", "alibaba_v2023_d00_21", "servegen_replicas_d00_07"] {
            let path = folder.join(format!("{file}.csv.gz"));
            let trace = import::read_file(&path, None, &Options::default(), &());
            worlds.insert(0, (file.to_owned(), World::of(&trace.unwrap(), 0.4)));
        }
    }
    println!(
        "world signal hours kappa n useful% leads% | skill p10 p50 p90 | lag p10 p50 p90 | corr p50 | better%"
    );
    for (world_name, world) in &worlds {
        let drawn = signals(world, 7);
        for &hours in &[6, 24, 168] {
            let length = hours * 60 + LEAD.0 / MINUTE.0;
            if length > world.minutes() {
                continue;
            }
            let room = world.minutes() - length;
            let starts: Vec<i64> = (0..4).map(|nth| room * nth / 3).collect();
            let count = if room < 60 { 1 } else { 4 };
            for signal in &drawn {
                let kappas: &[f64] = if hours == 24 { &[5.0, 20.0, 100.0] } else { &[20.0] };
                for &kappa in kappas {
                    let terms = (signal.gpus_per_unit, 1.0 - 1.0 / kappa);
                    let studies = starts[..count].iter().filter_map(|&from| {
                        world.study(&signal.values, (from, from + length), terms)
                    });
                    let studies: Vec<Study> = studies.collect();
                    report(
                        &format!("{world_name} {} {hours} {kappa}", signal.name.replace(' ', "_")),
                        &studies,
                    );
                }
            }
        }
    }
}

fn report(name: &str, studies: &[Study]) {
    let n = studies.len();
    if n == 0 {
        println!("{name} 0");
        return;
    }
    let share = |found: &dyn Fn(&Study) -> bool| {
        100 * studies.iter().filter(|study| found(study)).count() / n
    };
    let quantiles = |of: &dyn Fn(&Study) -> f64| {
        let mut all: Vec<f64> = studies.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        [n / 10, n / 2, n * 9 / 10].map(|place| all[place.min(n - 1)])
    };
    let [s1, s5, s9] = quantiles(&|study| study.skill);
    let [l1, l5, l9] = quantiles(&|study| f64::from(study.lag_minutes));
    println!(
        "{name} {n} {} {} | {s1:.2} {s5:.2} {s9:.2} | {l1} {l5} {l9} | {:.2} | {}",
        share(&|study| study.is_useful),
        share(&|study| study.lag_minutes > 0),
        quantiles(&|study| study.correlation)[1],
        share(&|study| study.better_gpus_per_unit.is_some()),
    );
}
