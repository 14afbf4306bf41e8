//! How long the extender takes for one request, 5,000 nodes known: body in, body out, without the network.

#![allow(clippy::expect_used, reason = "a bench that cannot go on stops")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use prewarm::{
    extender::{ExtenderSnapshot, Filtered, Nudger, Policy, Seen, Taken},
    live::{
        extender::{
            Meters,
            answer::{filter_told, prioritize_body},
            feed::Feed,
            seen,
        },
        index::Event,
    },
    model::object::{Effect, Meta, Node, Pod, Resources, Taint, Unscheduled},
    packing::Part,
    time::Timestamp,
};
use serde_json::json;
use std::{hint::black_box, sync::Arc};

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
        let busy = Taken::of(&pod(nth as u64 % 8));
        let ready_since = Some(Timestamp::ZERO);
        snapshot.set_node(&Seen { ready_since, ..seen(&node(nth), vec![&busy], None) });
    }
    snapshot
}

fn node(nth: usize) -> Node {
    let all = Resources {
        cpu_milli: 96_000,
        memory_bytes: 1 << 40,
        extended: [("nvidia.com/gpu".to_owned(), 8)].into(),
    };
    let taint =
        Taint { key: "nvidia.com/gpu".into(), value: String::new(), effect: Effect::NoSchedule };
    Node {
        meta: Meta { name: name(nth), ..Meta::default() },
        taints: vec![taint],
        capacity: all.clone(),
        allocatable: all,
        ..Node::default()
    }
}

/// The same nodes, four kinds of jobs to come.
fn feed() -> Feed {
    let mut feed = Feed::new(Policy::default());
    for nth in 0..NODES {
        feed.apply(Event::Node(Box::new(node(nth))), NOW);
        let mut busy = pod(1 << (nth % 4));
        (busy.meta.name, busy.node) = (format!("pod-{nth}"), Some(name(nth)));
        feed.apply(Event::Pod(Box::new(busy)), NOW);
    }
    feed.publish(NOW);
    feed
}

/// A request as Go writes it.
fn body(nodes: &str) -> Vec<u8> {
    let amounts = json!({"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"});
    let pod = json!({
        "metadata": {"name": "p", "namespace": "ml", "uid": "2d48dd7b-4801-4bcc-8b3c-f7733b846e45"},
        "spec": {"containers": [{"name": "c", "image": "x", "resources": {"requests": amounts, "limits": amounts}}]},
        "status": {"phase": "Pending"},
    });
    format!("{{\"Pod\":{pod},{nodes}}}").into_bytes()
}

/// Names in no order: kube-scheduler's goroutines shuffle them.
fn by_name(names: usize) -> Vec<u8> {
    let names: Vec<String> =
        (0..names).map(|nth| name(nth * 1_009 % names * (NODES / names))).collect();
    body(&format!("\"Nodes\":null,\"NodeNames\":{}", json!(names)))
}

/// Nodes of 14 KB each, most of it images.
fn in_full(count: usize) -> Vec<u8> {
    let amounts = json!({"cpu": "96", "memory": "1Ti", "nvidia.com/gpu": "8"});
    let status = json!({
        "capacity": amounts, "allocatable": amounts,
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}],
        "images": vec![json!({"names": ["x".repeat(200)], "sizeBytes": 123_456_789}); 60],
    });
    let node = |nth| {
        format!("{{\"metadata\":{{\"name\":\"{}\"}},\"spec\":{{}},\"status\":{status}}}", name(nth))
    };
    let nodes: Vec<String> = (0..count).map(node).collect();
    let nodes = nodes.join(",");
    body(&format!("\"Nodes\":{{\"metadata\":{{}},\"items\":[{nodes}]}},\"NodeNames\":null"))
}

fn requests(criterion: &mut Criterion) {
    let (snapshot, meters) = (snapshot(), Meters::default());
    let mut group = criterion.benchmark_group("extender");
    for names in [1, 500, 1_000, 5_000] {
        let body = by_name(names);
        group.bench_with_input(BenchmarkId::new("filter", names), &body, |bencher, body| {
            bencher.iter(|| {
                let note = |_, _, filtered: &Filtered<'_>| meters.note_filtered(filtered);
                filter_told(black_box(body), &snapshot, NOW, note).expect("an answer")
            });
        });
        group.bench_with_input(BenchmarkId::new("prioritize", names), &body, |bencher, body| {
            bencher.iter(|| prioritize_body(black_box(body), &snapshot, NOW).expect("an answer"));
        });
    }
    let body = in_full(NODES);
    group.sample_size(10);
    group.bench_function("filter in full", |bencher| {
        let note = |_, _, _: &Filtered<'_>| {};
        bencher.iter(|| filter_told(black_box(&body), &snapshot, NOW, note).expect("an answer"));
    });
    let (mut feed, mut is_strict) = (feed(), false);
    group.bench_function("another policy", |bencher| {
        bencher.iter(|| {
            is_strict = !is_strict;
            feed.set_policy(Policy { is_strict, ..Policy::default() });
            feed.publish(NOW).expect("news")
        });
    });
    group.bench_function("publish", |bencher| bencher.iter(|| black_box(snapshot.clone())));
    group.finish();
}

/// Pods that some scheduler's extender has refused and for which no node has room: the usual case of a full cluster.
fn waiting(count: u64) -> Vec<Arc<Pod>> {
    let message =
        "0/5000 nodes are available: 1 node is being removed, 4999 Insufficient nvidia.com/gpu.";
    let one = |nth| Pod {
        meta: Meta { name: format!("p-{nth}"), uid: format!("uid-{nth}"), ..Meta::default() },
        unscheduled: Some(Unscheduled::Unschedulable(message.to_owned())),
        ..pod(9 + nth % 8)
    };
    (0..count).map(|nth| Arc::new(one(nth))).collect()
}

/// What the thread beside the server does whenever something has changed.
fn look(criterion: &mut Criterion) {
    let (before, pods) = (snapshot(), waiting(500));
    let mut after = before.clone();
    after.remove_node(&name(7));
    let (before, after) = (Arc::new(before), Arc::new(after));
    criterion.bench_function("extender/look at 500 pods that wait", |bencher| {
        let mut nudger = Nudger::default();
        let mut looks = 0;
        bencher.iter(|| {
            looks += 1;
            let snapshot = if looks % 2 == 0 { &before } else { &after };
            nudger.look(Timestamp(looks * 10_000), snapshot, pods.iter())
        });
    });
}

criterion_group!(benches, requests, look);
criterion_main!(benches);
