//! How much of a cluster's GPUs each way of placing jobs can give out: the packing benchmark of FGD.
//!
//! Jobs of a real trace arrive in random order and never leave, until as many GPUs have been asked for as
//! the cluster has (then 130 % of it); what does not fit is turned away. The figure is the share of all GPUs
//! given out. Nodes and jobs: Alibaba GPU trace 2023, `openb_*.csv[.gz]`.
//!
//! `cargo run --release --no-default-features --example openb -- FOLDER [mix,..] [placement,..] [seeds] [first seed] [jobs an hour]`
//!
//! Without jobs an hour all arrive at once, and what has come counts the same however long ago. With them the jobs
//! to come are learned as they are elsewhere, old ones fading: a handicap here, where the order is random. 8 GPU
//! jobs an hour arrived in the trace.
//!
//! # Source
//! Weng et al., USENIX ATC 2023, section 6 and the simulator that goes with it: each job of the trace once,
//! and random ones again until the load is 130 %, shuffled; ten seeds, the mean. Jobs of the typical mix are
//! learned from the arrivals (there: known from the whole trace).

#![allow(clippy::print_stdout, reason = "a benchmark prints figures")]
#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on stops")]

use prewarm::{
    forecast::shape_mix::ShapeMix,
    model::Pool,
    packing::{Class, LOSS_STEP, Mix, Part, Room},
    time::Timestamp,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

#[derive(Clone)]
struct Node {
    room: Room,
    gpus: u32,
    model: u64,
    is_used: bool,
}

/// A class of equal jobs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    part: Part,
    models: u64,
}

struct Input {
    nodes: Vec<Node>,
    /// Classes, and the class of each job in the trace.
    classes: Vec<Job>,
    jobs: Vec<usize>,
}

/// Lower is better; ties go to the node listed first.
type Score = fn(&Node, &Job, &Mix, &mut ChaCha8Rng) -> (i128, i128);

const PLACEMENTS: [(&str, Score); 8] = [
    ("random", |_, _, _, rng| (i128::from(rng.next_u32()), 0)),
    ("spread", |node, _, _, _| (-i128::from(node.room.free_milli), 0)),
    ("dot-product", dot_product),
    ("gpu-clustering", clustering),
    ("gpu-packing", gpu_packing),
    ("best-fit", best_fit),
    ("fgd", |node, job, mix, _| (mix.gradient(&node.room, node.model, &job.part), 0)),
    ("prewarm", prewarm_score),
];

/// As the extender and `simulate --placement prewarm` score.
fn prewarm_score(node: &Node, job: &Job, mix: &Mix, _: &mut ChaCha8Rng) -> (i128, i128) {
    let loss = mix.loss(&node.room, node.model, &job.part).div_euclid(LOSS_STEP);
    (i128::from(loss) * 2 + i128::from(!node.is_used), i128::from(node.room.free_milli))
}

const CPU_MOST: i128 = 128_000;
const GPU_MOST: i128 = 8_000;

fn dot_product(node: &Node, job: &Job, _: &Mix, _: &mut ChaCha8Rng) -> (i128, i128) {
    let cpu = i128::from(node.room.cpu_milli) * i128::from(job.part.cpu_milli);
    let gpu = i128::from(node.room.free_milli) * i128::from(job.part.demand_milli());
    (cpu * GPU_MOST * GPU_MOST + gpu * CPU_MOST * CPU_MOST, 0)
}

/// Jobs of a kind together: sharing jobs on devices that are shared already.
fn clustering(node: &Node, job: &Job, mix: &Mix, rng: &mut ChaCha8Rng) -> (i128, i128) {
    let has_shared = node.room.devices().iter().any(|&left| left < 1000 && left > 0);
    let differs = has_shared == job.part.is_whole();
    (i128::from(differs), best_fit(node, job, mix, rng).0)
}

fn gpu_packing(node: &Node, job: &Job, _: &Mix, _: &mut ChaCha8Rng) -> (i128, i128) {
    let mut tightest =
        node.room.devices().iter().filter(|&&left| left >= job.part.milli && left < 1000);
    let tier = match tightest.next() {
        Some(_) if !job.part.is_whole() => 0,
        _ if node.is_used => 1,
        _ => 2,
    };
    let tightest = node.room.devices().iter().filter(|&&left| left >= job.part.milli).min();
    let left = if tier == 0 {
        tightest.map_or(0, |&left| i128::from(left))
    } else {
        i128::from(node.room.free_milli)
    };
    (tier, left)
}

fn best_fit(node: &Node, job: &Job, _: &Mix, _: &mut ChaCha8Rng) -> (i128, i128) {
    let cpu = i128::from(node.room.cpu_milli) - i128::from(job.part.cpu_milli);
    let gpu = i128::from(node.room.free_milli) - i128::from(job.part.demand_milli());
    (cpu * GPU_MOST + gpu * CPU_MOST, 0)
}

/// Share of GPUs given out when as many were asked for as there are, and at the end, in thousandths of a
/// percent.
fn run(input: &Input, score: Score, per_hour: i64, seed: u64) -> (f64, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let order = arrivals(input, &mut rng);
    let mut nodes = input.nodes.clone();
    let capacity: u64 = nodes.iter().map(|node| u64::from(node.gpus) * 1000).sum();
    let (mut arrived, mut placed, mut at_full) = (0, 0, None);
    let (mut mix, mut shapes) = (Mix::default(), ShapeMix::default());
    let mut gpu_jobs = 0;
    let mut memo: Vec<Memo> = vec![Memo::default(); input.classes.len()];
    let mut changed: Vec<usize> = Vec::new();
    for class in order {
        let job = input.classes[class];
        let now = Timestamp(i64::checked_div(gpu_jobs * 3_600_000, per_hour).unwrap_or_default());
        if job.part.devices > 0 {
            shapes.note(class, now);
            gpu_jobs += 1;
        }
        if let Some(expected) = shapes.news(now) {
            mix = learned(input, &expected);
            for memo in &mut memo {
                memo.scores.clear();
            }
        }
        let of = |node: &Node, rng: &mut ChaCha8Rng| {
            let fits = job.models & node.model != 0 && node.room.fits(&job.part);
            fits.then(|| score(node, &job, &mix, rng))
        };
        let memo = &mut memo[class];
        if memo.scores.is_empty() {
            memo.scores = nodes.iter().map(|node| of(node, &mut rng)).collect();
        } else {
            for &node in &changed[memo.seen..] {
                memo.scores[node] = of(&nodes[node], &mut rng);
            }
        }
        memo.seen = changed.len();
        arrived += u64::from(job.part.demand_milli());
        let best =
            memo.scores.iter().enumerate().filter_map(|(at, score)| Some(((*score)?, at))).min();
        if let Some((_, at)) = best {
            nodes[at].room.take(&job.part);
            nodes[at].is_used = true;
            placed += u64::from(job.part.demand_milli());
            changed.push(at);
        }
        if arrived >= capacity && at_full.is_none() {
            at_full = Some(placed);
        }
    }
    let share = |placed: u64| placed as f64 * 100.0 / capacity as f64;
    (share(at_full.unwrap_or(placed)), share(placed))
}

/// Scores of all nodes for one class, and how many changes they have seen.
#[derive(Clone, Default)]
struct Memo {
    scores: Vec<Option<(i128, i128)>>,
    seen: usize,
}

fn learned(input: &Input, expected: &[(usize, u64)]) -> Mix {
    let class = |&(class, weight): &(usize, u64)| {
        let Job { part, models } = input.classes[class];
        Class { part, models, weight }
    };
    let gpus = |node: &Node| u64::from(node.gpus);
    let supply =
        |models| input.nodes.iter().filter(|node| node.model & models != 0).map(gpus).sum();
    Mix::with_supply(expected.iter().map(class), supply)
}

/// Each job once and random ones again until 130 % of the GPUs are asked for, shuffled.
fn arrivals(input: &Input, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let capacity: u64 = input.nodes.iter().map(|node| u64::from(node.gpus) * 1000).sum();
    let milli = |class: usize| u64::from(input.classes[class].part.demand_milli());
    let mut order = input.jobs.clone();
    let mut load: u64 = order.iter().map(|&class| milli(class)).sum();
    while load * 10 < capacity * 13 {
        let again = input.jobs[below(rng, input.jobs.len())];
        load += milli(again);
        order.push(again);
    }
    for at in (1..order.len()).rev() {
        order.swap(at, below(rng, at + 1));
    }
    order
}

fn below(rng: &mut ChaCha8Rng, end: usize) -> usize {
    ((u128::from(rng.next_u64()) * end as u128) >> 64) as usize
}

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let zipped = PathBuf::from(format!("{}.gz", path.display()));
    let reader: Box<dyn Read> = if zipped.exists() {
        Box::new(flate2::read::GzDecoder::new(File::open(zipped).expect("cannot be opened")))
    } else {
        Box::new(File::open(path).unwrap_or_else(|why| panic!("{}: {why}", path.display())))
    };
    let mut reader = csv::Reader::from_reader(reader);
    let names = reader.headers().expect("no header").clone();
    let row = |row: csv::StringRecord| {
        names.iter().map(str::to_owned).zip(row.iter().map(str::to_owned)).collect()
    };
    reader.records().map(|one| row(one.expect("a row that cannot be read"))).collect()
}

fn number(row: &BTreeMap<String, String>, name: &str) -> u32 {
    row.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn read(folder: &Path, mix: &str) -> Input {
    let mut models: Vec<String> = Vec::new();
    let mut bit = |name: &str| {
        if name.is_empty() {
            return u64::MAX;
        }
        let at = models.iter().position(|known| known == name).unwrap_or_else(|| {
            models.push(name.to_owned());
            models.len() - 1
        });
        1 << at
    };
    let nodes = rows(&folder.join("openb_node_list_all_node.csv")).into_iter().map(|row| {
        let gpus = number(&row, "gpu");
        let pool = Pool {
            cpu_milli: Some(number(&row, "cpu_milli")),
            memory_mib: Some(number(&row, "memory_mib")),
            ..Pool::new("", gpus)
        };
        let room = Room::empty_node(&pool, true);
        Node { room, gpus, model: bit(&row["model"]), is_used: false }
    });
    let nodes: Vec<Node> = nodes.collect();
    let jobs: Vec<Job> = rows(&folder.join(format!("openb_pod_list_{mix}.csv")))
        .into_iter()
        .map(|row| {
            let devices = number(&row, "num_gpu");
            let milli = if devices == 0 { 1000 } else { number(&row, "gpu_milli") as u16 };
            let spec = row.get("gpu_spec").map_or("", String::as_str);
            Job {
                part: Part {
                    devices,
                    milli,
                    cpu_milli: number(&row, "cpu_milli"),
                    memory_mib: number(&row, "memory_mib"),
                },
                models: spec.split('|').map(&mut bit).fold(0, |sum, bit| sum | bit),
            }
        })
        .collect();
    let mut classes = jobs.clone();
    classes.sort_unstable();
    classes.dedup();
    let of = |job: &Job| classes.binary_search(job).expect("every job has its class");
    let jobs = jobs.iter().map(of).collect();
    Input { nodes, classes, jobs }
}

fn main() {
    let mut args = env::args().skip(1);
    let folder = PathBuf::from(args.next().expect("FOLDER is missing"));
    let mixes = args.next().unwrap_or_else(|| "default,gpushare40,multigpu20".to_owned());
    let wanted = args.next().unwrap_or_default();
    let seeds: u64 = args.next().map_or(10, |text| text.parse().expect("seeds: a number"));
    let first: u64 = args.next().map_or(42, |text| text.parse().expect("first seed: a number"));
    let per_hour: i64 = args.next().map_or(0, |text| text.parse().expect("jobs an hour: a number"));
    for mix in mixes.split(',') {
        let input = read(&folder, mix);
        for (name, score) in PLACEMENTS {
            if !wanted.is_empty() && !wanted.split(',').any(|one| one == name) {
                continue;
            }
            let run = |seed| run(&input, score, per_hour, first + seed);
            let runs: Vec<(f64, f64)> = (0..seeds).into_par_iter().map(run).collect();
            let mean = |of: fn(&(f64, f64)) -> f64| runs.iter().map(of).sum::<f64>() / seeds as f64;
            println!("{mix:14} {name:14} {:6.2} {:6.2}", mean(|run| run.0), mean(|run| run.1));
        }
    }
}
