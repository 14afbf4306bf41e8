//! Does the time of day tell which shapes of jobs come next, better than what has come?
//!
//! At every full hour each rule says how the GPU jobs that arrive in the next six hours are spread over
//! shapes, from those that arrived before. It is charged the log loss, in bits, of each job that then arrives
//! (so each job counts six times), and the same for GPUs: how those asked for are spread over shapes. Settings are chosen on the first 40 % of a
//! trace, its first tenth unscored; told is the loss on the last 60 %. Nothing is known in advance.
//!
//! `cargo run --release --no-default-features --example mix_study -- FOLDER [file,..]` (traces of any format that
//! `prewarm import` reads).
//!
//! # Sources
//! Fading at a constant rate: exponential smoothing. Shrinkage with a pseudo-count: a Dirichlet prior. Recent
//! counts shrunk towards old ones: the cache model of Kuhn and De Mori, IEEE PAMI 1990. Experts weighted by past
//! loss, some weight shared each hour: Herbster and Warmuth, "Tracking the best expert", 1998.

#![allow(clippy::print_stdout, reason = "a study prints figures")]
#![allow(clippy::expect_used, reason = "a study that cannot go on stops")]

mod rules;

use prewarm::{
    model::Trace,
    sim::import::{Options, read_file},
};
use rayon::prelude::*;
use rules::{AHEAD, Rule, loss, rules, told};
use std::{
    env,
    fmt::Write as _,
    path::{Path, PathBuf},
};

const TRACES: [&str; 6] = [
    "philly_d00_52.csv.gz",
    "alibaba_v2023_d00_21.csv.gz",
    "openb/openb_pod_list_default.csv.gz",
    "openb/openb_pod_list_gpushare40.csv.gz",
    "servegen_replicas_d00_07.csv.gz",
    // Models are real, sizes and run times are invented.
    "alibaba_spotgpu2026_recon_d000_120.csv.gz",
];

/// Jobs that arrived, by hour and shape.
struct Arrivals {
    hours: Vec<Vec<f64>>,
    /// GPUs of a job of each shape.
    gpus: Vec<f64>,
    /// Up to here nothing is scored, up to there settings are chosen.
    begin: usize,
    split: usize,
}

impl Arrivals {
    fn of(trace: &Trace) -> Self {
        let gpus: Vec<f64> =
            trace.shapes.iter().map(|shape| shape.demand_milli() as f64 / 1000.0).collect();
        let mut hours: Vec<Vec<f64>> = Vec::new();
        let mut arrived = Vec::new();
        for job in trace.jobs.iter().filter(|job| !job.is_preexisting()) {
            let hour = job.submit.as_hours() as usize;
            hours.resize(hours.len().max(hour + 1), vec![0.0; gpus.len()]);
            hours[hour][job.shape.0 as usize] += 1.0;
            arrived.push(hour);
        }
        // Recordings may begin with a few jobs that are much older than all others.
        let first = arrived.get(arrived.len() / 100).copied().unwrap_or_default();
        let part = |percent: usize| first + (hours.len() - first) * percent / 100;
        let (begin, split) = (part(10), part(40));
        Self { hours, gpus, begin, split }
    }
}

/// Bits, and what they are a mean over: jobs, GPUs.
#[derive(Clone, Copy, Default)]
struct Charged {
    bits: [f64; 2],
    of: [f64; 2],
}

impl Charged {
    fn mean(&self, nth: usize) -> f64 {
        self.bits[nth] / self.of[nth]
    }
}

/// Losses where settings are chosen, and after it.
fn charge(rule: Rule, all: &Arrivals) -> [Charged; 2] {
    let mut forecaster = rule.forecaster(all.gpus.len());
    let mut charged = [Charged::default(); 2];
    for hour in 0..all.hours.len() {
        // Those of the first part are over when the second begins.
        let is_chosen_by = hour >= all.begin && hour + AHEAD <= all.split;
        if is_chosen_by || hour >= all.split {
            let expected = forecaster.expected(hour);
            let of_gpus: Vec<f64> =
                expected.iter().zip(&all.gpus).map(|(n, gpus)| n * gpus).collect();
            let (of_jobs, of_gpus) = (told(&expected), told(&of_gpus));
            let part = &mut charged[usize::from(!is_chosen_by)];
            for arrived in all.hours[hour..].iter().take(AHEAD) {
                part.bits[0] += loss(&of_jobs, arrived, |_| 1.0);
                part.bits[1] += loss(&of_gpus, arrived, |shape| all.gpus[shape]);
                part.of[0] += arrived.iter().sum::<f64>();
                part.of[1] += arrived.iter().zip(&all.gpus).map(|(n, gpus)| n * gpus).sum::<f64>();
            }
        }
        forecaster.note(hour, &all.hours[hour]);
    }
    charged
}

/// Losses of all rules on one trace.
struct Studied {
    name: String,
    charged: Vec<[Charged; 2]>,
}

impl Studied {
    /// How the loss of a rule compares with the plain rule's: by jobs, by GPUs.
    fn relative(&self, rule: usize, part: usize, weight: usize) -> f64 {
        let plain = self.charged[PLAIN][part].mean(weight);
        self.charged[rule][part].mean(weight) / plain
    }
}

/// Where [`rules`] has the plain rule.
const PLAIN: usize = 1;

/// Of each family, the rule with the least of something, in the order of the families.
fn best(rules: &[Rule], cost: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::new();
    for (nth, rule) in rules.iter().enumerate() {
        match best.iter_mut().find(|known| rules[**known].family() == rule.family()) {
            Some(known) if cost(nth) < cost(*known) => *known = nth,
            Some(_) => {}
            None => best.push(nth),
        }
    }
    best
}

fn study(path: &Path, rules: &[Rule]) -> Option<Studied> {
    let trace = match read_file(path, None, &Options::default(), &()) {
        Ok(trace) => trace,
        Err(error) => {
            println!("left out: {error}");
            return None;
        }
    };
    let arrivals = Arrivals::of(&trace);
    let charged: Vec<[Charged; 2]> =
        rules.par_iter().map(|&rule| charge(rule, &arrivals)).collect();
    if charged[PLAIN].iter().any(|part| part.of[0] == 0.0) || arrivals.gpus.len() < 2 {
        println!("left out: {}: one shape, or too few jobs", path.display());
        return None;
    }
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let [_, scored] = charged[PLAIN];
    let (shapes, jobs) = (arrivals.gpus.len(), scored.of[0] / AHEAD as f64);
    println!(
        "\n{name}: {shapes} shapes, {jobs:.0} jobs scored; settings chosen on the first 40 % by jobs"
    );
    println!("{:18} {:34} {:>7} {:>7} {:>7} {:>7}", "rule", "setting", "bits", "%", "by GPU", "%");
    let per_cent = |one: f64| (one - 1.0) * 100.0;
    let studied = Studied { name, charged };
    for nth in best(rules, |nth| studied.relative(nth, 0, 0)) {
        let [_, scored] = studied.charged[nth];
        let (by_job, by_gpu) = (studied.relative(nth, 1, 0), studied.relative(nth, 1, 1));
        println!(
            "{:18} {:34} {:7.3} {:+7.2} {:7.3} {:+7.2}",
            rules[nth].family(),
            rules[nth].to_string(),
            scored.mean(0),
            per_cent(by_job),
            scored.mean(1),
            per_cent(by_gpu)
        );
    }
    Some(studied)
}

/// What a program that knows no trace in advance could do: one setting for all.
fn one_for_all(rules: &[Rule], studied: &[Studied]) {
    let mean = |nth: usize, part: usize, weight: usize| {
        let logs = studied.iter().map(|one| one.relative(nth, part, weight).ln());
        (logs.sum::<f64>() / studied.len() as f64).exp()
    };
    println!(
        "\nOne setting for all, chosen on the first 40 % of all; % of the plain rule's loss on the last 60 %, by jobs / by GPUs"
    );
    for nth in best(rules, |nth| mean(nth, 0, 0)) {
        let mut line = format!("{:18} {:34}", rules[nth].family(), rules[nth].to_string());
        for one in studied {
            let told = [0, 1].map(|weight| (one.relative(nth, 1, weight) - 1.0) * 100.0);
            write!(line, " {:+7.2} /{:+7.2}", told[0], told[1]).ok();
        }
        println!("{line}");
    }
    let names: Vec<&str> = studied.iter().map(|one| one.name.as_str()).collect();
    println!("columns: {}", names.join(", "));
}

fn main() {
    let mut args = env::args().skip(1);
    let folder = PathBuf::from(args.next().expect("FOLDER is missing"));
    let files = args.next().unwrap_or_else(|| TRACES.join(","));
    let rules = rules();
    let study = |file: &str| study(&folder.join(file), &rules);
    let studied: Vec<Studied> = files.split(',').filter_map(study).collect();
    one_for_all(&rules, &studied);
}
