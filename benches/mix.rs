//! What it costs to keep scores true: all nodes anew when other jobs are expected, and one node that changed.
//!
//! 5,000 nodes of 8 GPUs and four models, each used by a few pods out of 64 shapes; the same 64 shapes are expected.

#![allow(clippy::print_stdout, reason = "a bench prints figures")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use prewarm::{
    extender::{ExtenderSnapshot, Policy, Seen, Taken},
    model::object::{Meta, Node, Pod, Resources},
    packing::Part,
    readiness::Readiness,
    time::Timestamp,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{collections::BTreeSet, hint::black_box};

const NODES: usize = 5_000;
const SHAPES: u32 = 64;
const MODELS: [&str; 4] = ["Tesla-T4", "A100-SXM4-80GB", "H100-80GB-HBM3", "L40S"];

/// One to eight GPUs with CPU and memory of eight sizes each.
fn shape(nth: u32) -> Part {
    let (devices, size) = ([1, 1, 1, 1, 2, 2, 4, 8][nth as usize % 8], 1 + nth / 8);
    Part {
        devices,
        milli: 1000,
        cpu_milli: devices * size * 1500,
        memory_mib: (devices * size) << 13,
    }
}

/// Half of the shapes insist on a model.
fn expected(weight: u64) -> Vec<(Part, Vec<String>, u64)> {
    let models = |nth: u32| match nth % 2 {
        0 => Vec::new(),
        _ => vec![MODELS[nth as usize / 2 % MODELS.len()].to_owned()],
    };
    (0..SHAPES).map(|nth| (shape(nth), models(nth), weight + u64::from(nth))).collect()
}

fn node(nth: usize) -> Node {
    let all = Resources {
        cpu_milli: 96_000,
        memory_bytes: 1 << 40,
        extended: [("nvidia.com/gpu".to_owned(), 8)].into(),
    };
    let model = MODELS[nth % MODELS.len()].to_owned();
    let labels = [("nvidia.com/gpu.product".to_owned(), model)].into();
    Node {
        meta: Meta { name: format!("gpu-{nth:05}"), labels, ..Meta::default() },
        capacity: all.clone(),
        allocatable: all,
        ..Node::default()
    }
}

fn pod(part: &Part) -> Taken {
    let extended = [("nvidia.com/gpu".to_owned(), u64::from(part.devices))].into();
    let (cpu_milli, memory_bytes) = (u64::from(part.cpu_milli), u64::from(part.memory_mib) << 20);
    Taken::of(&Pod { requests: Resources { cpu_milli, memory_bytes, extended }, ..Pod::default() })
}

/// Pods that together take at most so many GPUs.
fn pods(rng: &mut ChaCha8Rng, most: u32) -> Vec<Taken> {
    let (mut left, mut pods) = (most, Vec::new());
    while left > 0 {
        let part = shape(rng.next_u32() % SHAPES);
        if part.devices > left {
            break;
        }
        left -= part.devices;
        pods.push(pod(&part));
    }
    pods
}

fn seen<'a>(node: &'a Node, pods: &'a [Taken]) -> Seen<'a> {
    Seen {
        node,
        readiness: Readiness::Validated,
        ready_since: Some(Timestamp::ZERO),
        rebooted: None,
        slices: None,
        pods: pods.iter().collect(),
        is_to_go: false,
        is_scaled: false,
        price_milli: 1000,
    }
}

fn scores(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mix");
    group.sample_size(10);
    // At most so many GPUs of a node are used: the fewer, the more nodes are alike.
    for most in [0, 2, 8] {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut snapshot = ExtenderSnapshot::new(Policy::default());
        for nth in 0..NODES {
            snapshot.set_node(&seen(&node(nth), &pods(&mut rng, most)));
        }
        let rooms: BTreeSet<_> = snapshot.nodes().map(|one| (&one.room, one.model_bits)).collect();
        println!("{most} GPUs used at most: {} rooms differ", rooms.len());
        let mixes = [expected(100), expected(200)];
        // As published: what changes has to be copied.
        let (mut turn, mut published) = (0, snapshot.clone());
        group.bench_function(BenchmarkId::new("set_mix", most), |bencher| {
            bencher.iter(|| {
                turn += 1;
                snapshot.set_mix(black_box(&mixes[turn % 2]));
                published = snapshot.clone();
            });
        });
        drop(published);
        let (node, pods) = (node(17), pods(&mut rng, most));
        group.bench_function(BenchmarkId::new("set_node", most), |bencher| {
            bencher.iter(|| snapshot.set_node(black_box(&seen(&node, &pods))));
        });
    }
    group.finish();
}

criterion_group!(benches, scores);
criterion_main!(benches);
