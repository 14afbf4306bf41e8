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

use prewarm::{
    model::Trace,
    sim::import::{Options, read_file},
};
use rayon::prelude::*;
use std::{
    env,
    fmt::{self, Write as _},
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

/// Hours that are foretold.
const AHEAD: usize = 6;
/// Of each forecast, so much is spread evenly over so many shapes: what was never seen is possible.
const FLOOR: f64 = 0.01;
const SHAPES: f64 = 256.0;
/// Arrivals after which the present rule halves all counts.
const REMEMBERED: u32 = 20_000;

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

/// A way to foretell shapes, with its settings. Half-lives in hours, 0 = nothing fades.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// All counts so far.
    All,
    /// All counts, halved after so many arrivals.
    Halved { after: u32 },
    /// Counts that fade with time.
    Fading { half_life: u32 },
    /// Counts that fade with time, shrunk towards another such rule.
    Recent { half_life: u32, pseudo: u32, towards: u32 },
    /// Counts of the same hours of day, shrunk towards counts of all hours. `weekend`: which day of seven is the
    /// first of two that are kept apart; `None` = all days are alike.
    ByHour { weekend: Option<usize>, half_life: u32, pseudo: u32, towards: u32 },
    /// The mean of what is said by counts that fade fast and slowly, each shrunk towards the slower one before it.
    Spans { pseudo: u32 },
    /// Some of the others, weighted by past loss to this power, of which so much is shared evenly each hour.
    Experts { rate: f64, share: f64 },
}

impl Rule {
    fn family(self) -> &'static str {
        match self {
            Self::All => "all so far",
            Self::Halved { after } if after == REMEMBERED => "present rule",
            Self::Halved { .. } => "halved by number",
            Self::Fading { .. } => "fading with time",
            Self::Recent { .. } => "recent, shrunk",
            Self::ByHour { weekend: None, .. } => "hour of day",
            Self::ByHour { .. } => "hour and weekend",
            Self::Spans { .. } => "mean of spans",
            Self::Experts { .. } => "experts",
        }
    }

    fn forecaster(self, shapes: usize) -> Box<dyn Forecaster> {
        let counts = |half_life: u32| Counts::new(shapes, half_life, u32::MAX);
        match self {
            Self::All => Box::new(counts(0)),
            Self::Halved { after } => Box::new(Counts::new(shapes, 0, after)),
            Self::Fading { half_life } => Box::new(counts(half_life)),
            Self::Recent { half_life, pseudo, towards } => {
                let (near, far) = (counts(half_life), counts(towards));
                Box::new(Shrunk { near, far, pseudo: f64::from(pseudo) })
            }
            Self::ByHour { weekend, half_life, pseudo, towards } => {
                let near = Slots { slots: vec![counts(half_life); 48], weekend };
                Box::new(Shrunk { near, far: counts(towards), pseudo: f64::from(pseudo) })
            }
            Self::Spans { pseudo } => {
                let spans = SPANS.map(counts).to_vec();
                Box::new(Spans { spans, pseudo: f64::from(pseudo) })
            }
            Self::Experts { rate, share } => {
                let experts = EXPERTS.iter().map(|rule| rule.forecaster(shapes));
                let experts: Vec<_> = experts.collect();
                let (weights, said) = (vec![0.0; experts.len()], Vec::new());
                Box::new(Experts { experts, said, weights, rate, share })
            }
        }
    }
}

/// Half-lives of [`Rule::Spans`], slowest first.
const SPANS: [u32; 7] = [0, 720, 168, 72, 24, 6, 1];

const EXPERTS: [Rule; 8] = [
    Rule::All,
    Rule::Fading { half_life: 6 },
    Rule::Fading { half_life: 24 },
    Rule::Fading { half_life: 72 },
    Rule::Fading { half_life: 168 },
    Rule::Fading { half_life: 720 },
    Rule::ByHour { weekend: None, half_life: 336, pseudo: 300, towards: 0 },
    Rule::ByHour { weekend: None, half_life: 336, pseudo: 1000, towards: 72 },
];

/// All rules with all settings.
fn rules() -> Vec<Rule> {
    let mut rules = vec![Rule::All, Rule::Halved { after: REMEMBERED }];
    rules.extend([250, 1000, 4000].map(|after| Rule::Halved { after }));
    let half_lives = [6, 24, 72, 168, 720];
    rules.extend(half_lives.map(|half_life| Rule::Fading { half_life }));
    for pseudo in [3, 10, 30, 100, 300, 1000] {
        for towards in [0, 720, 168, 72] {
            for half_life in [1, 3, 6, 12, 24, 72] {
                if towards == 0 || half_life < towards {
                    rules.push(Rule::Recent { half_life, pseudo, towards });
                }
            }
            for half_life in [0, 336] {
                for weekend in std::iter::once(None).chain((0..7).map(Some)) {
                    rules.push(Rule::ByHour { weekend, half_life, pseudo, towards });
                }
            }
        }
    }
    rules.extend([1, 3, 10, 30, 100].map(|pseudo| Rule::Spans { pseudo }));
    for rate in [1.0, 0.3, 0.1, 0.03, 0.01] {
        rules.extend([0.0, 0.01, 0.1, 0.3].map(|share| Rule::Experts { rate, share }));
    }
    rules
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |half_life: u32| match half_life {
            0 => "all".to_owned(),
            hours => format!("{hours} h"),
        };
        match *self {
            Self::All => Ok(()),
            Self::Halved { after } => write!(out, "after {after}"),
            Self::Fading { half_life } => write!(out, "{}", span(half_life)),
            Self::Recent { half_life, pseudo, towards } => {
                write!(out, "{}, {pseudo} of {}", span(half_life), span(towards))
            }
            Self::ByHour { weekend, half_life, pseudo, towards } => {
                write!(out, "{}, {pseudo} of {}", span(half_life), span(towards))?;
                weekend.map_or(Ok(()), |day| write!(out, ", from day {day}"))
            }
            Self::Spans { pseudo } => write!(out, "{pseudo} of the slower"),
            Self::Experts { rate, share } => write!(out, "rate {rate}, share {share}"),
        }
    }
}

/// Learns hour by hour.
trait Forecaster {
    /// What came within this hour.
    fn note(&mut self, hour: usize, arrived: &[f64]);

    /// Counts, on whatever scale, of what comes from the beginning of this hour on.
    fn expected(&self, hour: usize) -> Vec<f64>;
}

#[derive(Clone)]
struct Counts {
    counts: Vec<f64>,
    kept: f64,
    halved_at: f64,
    /// Hours up to here have faded.
    faded: usize,
}

impl Counts {
    fn new(shapes: usize, half_life: u32, halved_at: u32) -> Self {
        let kept = if half_life > 0 { 0.5_f64.powf(1.0 / f64::from(half_life)) } else { 1.0 };
        Self { counts: vec![0.0; shapes], kept, halved_at: f64::from(halved_at), faded: 0 }
    }
}

impl Forecaster for Counts {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        let kept = self.kept.powi((hour - self.faded) as i32);
        self.faded = hour;
        for (count, new) in self.counts.iter_mut().zip(arrived) {
            *count = *count * kept + new;
        }
        if self.counts.iter().sum::<f64>() >= self.halved_at {
            self.counts.iter_mut().for_each(|count| *count /= 2.0);
        }
    }

    fn expected(&self, _: usize) -> Vec<f64> {
        self.counts.clone()
    }
}

/// Counts by hour of day, of two kinds of days if there are.
struct Slots {
    slots: Vec<Counts>,
    weekend: Option<usize>,
}

impl Slots {
    fn slot(&self, hour: usize) -> usize {
        let is_weekend = self.weekend.is_some_and(|day| (hour / 24 + 7 - day) % 7 < 2);
        hour % 24 + 24 * usize::from(is_weekend)
    }
}

impl Forecaster for Slots {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        let slot = self.slot(hour);
        self.slots[slot].note(hour, arrived);
    }

    fn expected(&self, hour: usize) -> Vec<f64> {
        let slots = (hour..hour + AHEAD).map(|hour| &self.slots[self.slot(hour)].counts);
        slots.fold(vec![0.0; self.slots[0].counts.len()], |sum, slot| added(&sum, slot, 1.0))
    }
}

struct Shrunk<T> {
    near: T,
    far: Counts,
    pseudo: f64,
}

impl<T: Forecaster> Forecaster for Shrunk<T> {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        self.near.note(hour, arrived);
        self.far.note(hour, arrived);
    }

    fn expected(&self, hour: usize) -> Vec<f64> {
        added(&self.near.expected(hour), &shares(&self.far.counts), self.pseudo)
    }
}

struct Spans {
    spans: Vec<Counts>,
    pseudo: f64,
}

impl Forecaster for Spans {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        self.spans.iter_mut().for_each(|span| span.note(hour, arrived));
    }

    fn expected(&self, _: usize) -> Vec<f64> {
        let mut slower = vec![0.0; self.spans[0].counts.len()];
        let mut sum = slower.clone();
        for span in &self.spans {
            slower = shares(&added(&span.counts, &slower, self.pseudo));
            sum = added(&sum, &slower, 1.0);
        }
        sum
    }
}

struct Experts {
    experts: Vec<Box<dyn Forecaster>>,
    /// What they said of this hour.
    said: Vec<Vec<f64>>,
    /// Logarithms to base 2.
    weights: Vec<f64>,
    rate: f64,
    share: f64,
}

impl Forecaster for Experts {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        for (weight, said) in self.weights.iter_mut().zip(&self.said) {
            *weight -= self.rate * loss(said, arrived, |_| 1.0);
        }
        let all = self.plain();
        let shared = self.share / all.len() as f64;
        self.weights =
            all.iter().map(|weight| (weight * (1.0 - self.share) + shared).log2()).collect();
        self.experts.iter_mut().for_each(|expert| expert.note(hour, arrived));
        self.said = self.experts.iter().map(|one| told(&one.expected(hour + 1))).collect();
    }

    fn expected(&self, hour: usize) -> Vec<f64> {
        let said = self.experts.iter().map(|expert| shares(&expert.expected(hour)));
        let said: Vec<Vec<f64>> = said.collect();
        let none = vec![0.0; said[0].len()];
        said.iter().zip(self.plain()).fold(none, |sum, (one, weight)| added(&sum, one, weight))
    }
}

impl Experts {
    /// Weights that sum up to 1.
    fn plain(&self) -> Vec<f64> {
        let best = self.weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = self.weights.iter().map(|weight| (weight - best).exp2()).collect();
        shares(&weights)
    }
}

fn added(one: &[f64], other: &[f64], times: f64) -> Vec<f64> {
    one.iter().zip(other).map(|(one, other)| one + other * times).collect()
}

fn shares(counts: &[f64]) -> Vec<f64> {
    let sum: f64 = counts.iter().sum();
    counts.iter().map(|count| if sum > 0.0 { count / sum } else { 0.0 }).collect()
}

/// The probability of each shape, never nought.
fn told(counts: &[f64]) -> Vec<f64> {
    let of = |share: &f64| share * (1.0 - FLOOR) + FLOOR / SHAPES;
    shares(counts).iter().map(of).collect()
}

/// Bits of all that arrived.
fn loss(told: &[f64], arrived: &[f64], weight: impl Fn(usize) -> f64) -> f64 {
    let of = |shape: usize| match arrived[shape] {
        0.0 => 0.0,
        count => -count * told[shape].log2() * weight(shape),
    };
    (0..told.len()).map(of).sum()
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
    /// How the loss of a rule compares with the present rule's: by jobs, by GPUs.
    fn relative(&self, rule: usize, part: usize, weight: usize) -> f64 {
        let present = self.charged[PRESENT][part].mean(weight);
        self.charged[rule][part].mean(weight) / present
    }
}

/// Where [`rules`] has the present rule.
const PRESENT: usize = 1;

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
    if charged[PRESENT].iter().any(|part| part.of[0] == 0.0) || arrivals.gpus.len() < 2 {
        println!("left out: {}: one shape, or too few jobs", path.display());
        return None;
    }
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let [_, scored] = charged[PRESENT];
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
        "\nOne setting for all, chosen on the first 40 % of all; % of the present rule's loss on the last 60 %, by jobs / by GPUs"
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
