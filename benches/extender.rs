//! How long the extender takes for one request, 5,000 nodes known: body in, body out, without the network.

#![allow(clippy::expect_used, reason = "a bench that cannot go on stops")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use prewarm::{
    extender::{ExtenderSnapshot, Filtered, Policy, Taken},
    live::extender::{
        Meters,
        answer::{filter_body, prioritize_body},
        seen,
    },
    model::object::{Effect, Meta, Node, Pod, Resources, Taint},
    packing::Part,
    time::Timestamp,
};
use serde_json::json;
use std::hint::black_box;

const NODES: usize = 5_000;
const NOW: Timestamp = Timestamp(1);

fn name(nth: usize) -> String {
    format!("gpu-pool-a100-md-0-{nth:05}-x7k2p-9fjq4-abcde")
}

fn pod(gpus: u64) -> Pod {
    let extended = [("nvidia.com/gpu".to_owned(), gpus)].into();
    let requests = Resources { cpu_milli: 8000 * gpus, memory_bytes: gpus << 35, extended };
    Pod { requests, ..Pod::default() }
}

fn snapshot() -> ExtenderSnapshot {
    let mut snapshot = ExtenderSnapshot::new(Policy::default());
    snapshot.is_synced = true;
    let part = |gpus: u32| Part {
        devices: gpus,
        milli: 1000,
        cpu_milli: 8000 * gpus,
        memory_mib: 32_768 * gpus,
    };
    let mix = [
        (part(1), Vec::new(), 70),
        (part(2), Vec::new(), 10),
        (part(4), Vec::new(), 10),
        (part(8), Vec::new(), 10),
    ];
    snapshot.set_mix(&mix);
    for nth in 0..NODES {
        let all = Resources {
            cpu_milli: 96_000,
            memory_bytes: 1 << 40,
            extended: [("nvidia.com/gpu".to_owned(), 8)].into(),
        };
        let taint = Taint {
            key: "nvidia.com/gpu".into(),
            value: String::new(),
            effect: Effect::NoSchedule,
        };
        let node = Node {
            meta: Meta { name: name(nth), ..Meta::default() },
            taints: vec![taint],
            capacity: all.clone(),
            allocatable: all,
            ..Node::default()
        };
        let busy = Taken::of(&pod(nth as u64 % 8));
        snapshot.set_node(&seen(&node, vec![&busy], None));
    }
    snapshot
}

fn body(names: usize) -> Vec<u8> {
    let names: Vec<String> = (0..names).map(|nth| name(nth * (NODES / names))).collect();
    let amounts = json!({"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"});
    let body = json!({
        "Pod": {
            "metadata": {"name": "p", "namespace": "ml", "uid": "2d48dd7b-4801-4bcc-8b3c-f7733b846e45"},
            "spec": {"containers": [{"name": "c", "image": "x", "resources": {"requests": amounts, "limits": amounts}}]},
            "status": {"phase": "Pending"},
        },
        "Nodes": null,
        "NodeNames": names,
    });
    serde_json::to_vec(&body).expect("JSON of a value")
}

fn requests(criterion: &mut Criterion) {
    let (snapshot, meters) = (snapshot(), Meters::default());
    let mut group = criterion.benchmark_group("extender");
    for names in [1, 500, 1_000, 5_000] {
        let body = body(names);
        group.bench_with_input(BenchmarkId::new("filter", names), &body, |bencher, body| {
            bencher.iter(|| {
                let note = |_, _, filtered: &Filtered<'_>| meters.note_filtered(filtered);
                filter_body(black_box(body), &snapshot, NOW, note).expect("an answer")
            });
        });
        group.bench_with_input(BenchmarkId::new("prioritize", names), &body, |bencher, body| {
            bencher.iter(|| prioritize_body(black_box(body), &snapshot, NOW).expect("an answer"));
        });
    }
    group.bench_function("publish", |bencher| bencher.iter(|| black_box(snapshot.clone())));
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
