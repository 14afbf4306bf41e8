//! Time and memory at 5,000 nodes and 150,000 pods; run with `--ignored --nocapture`, in release.
#![allow(clippy::print_stdout, reason = "a measurement prints figures")]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use super::*;
use std::{fs, time::Instant};

/// Resident memory in MiB (Linux).
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// `gpu_nodes` of all nodes have GPUs, in pools of 100.
fn big(
    nodes: usize,
    gpu_nodes: usize,
    pods: usize,
    gpu_pods: usize,
) -> impl Iterator<Item = Event> {
    let pools = gpu_nodes.div_ceil(100);
    let groups = (0..pools).map(|pool| deployment(&format!("pool-{pool}"), 100).into());
    let machines = (0..gpu_nodes)
        .map(|number| machine(&format!("n{number}"), &format!("pool-{}", number / 100), 0).into());
    let nodes_told = (0..nodes).map(move |number| {
        let mut one = node(&format!("n{number}"), 300, 8);
        if number >= gpu_nodes {
            (one.meta.labels, one.capacity, one.allocatable) =
                (Strings::new(), amounts(0), amounts(0));
        }
        for label in 0..20 {
            one.meta.labels.insert(format!("example.com/label-{label}"), format!("value-{label}"));
        }
        one.into()
    });
    let pods_told = (0..pods).map(move |number| {
        let name = format!("pod-{number}");
        if number < gpu_pods / 2 {
            return bound(pod(&name, 310, 1), &format!("n{}", number % gpu_nodes), 320).into();
        }
        if number < gpu_pods {
            return pod(&name, 330 + (number % 60) as i64, 1 + (number % 8) as u64).into();
        }
        bound(pod(&name, 310, 0), &format!("n{}", number % nodes), 320).into()
    });
    groups.chain(machines).chain(nodes_told).chain(pods_told)
}

fn measure(nodes: usize, gpu_nodes: usize, pods: usize, gpu_pods: usize) {
    let empty = resident();
    let began = Instant::now();
    let mut index = Index::new(IndexSettings::default());
    for event in big(nodes, gpu_nodes, pods, gpu_pods) {
        if matches!(event, Event::Pod(_)) && !index.is_kind_synced(Kind::Node) {
            let others = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Pod);
            tell(&mut index, others.map(Event::Synced));
        }
        index.apply(event);
    }
    index.apply(Event::Synced(Kind::Pod));
    let (told, listed) = (began.elapsed(), resident());
    let began = Instant::now();
    look(&mut index, 400);
    let first = began.elapsed();
    let mut times: Vec<f64> = (0..40)
        .map(|step| {
            let gone = Event::PodGone {
                namespace: "ml".into(),
                name: format!("pod-{step}"),
                uid: String::new(),
            };
            index.apply(gone);
            let began = Instant::now();
            let told = look(&mut index, 410 + step);
            let took = began.elapsed().as_secs_f64() * 1000.0;
            drop(told);
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{nodes} nodes ({gpu_nodes} GPU), {pods} pods ({gpu_pods} GPU): all news {told:.0?}, first look {first:.1?}, \
         looks p50 {:.1} ms, max {:.1} ms; resident {empty:.0} -> {listed:.0} MiB listed, {:.0} after looks; \
         bystanders kept {}",
        times[20],
        times[39],
        resident(),
        index.pods.others.values().count(),
    );
}

#[test]
#[ignore = "measures; takes seconds"]
fn big_clusters() {
    measure(1000, 1000, 5000, 5000);
    measure(5000, 500, 150_000, 2000);
}
