//! The back-test of a large history, measured: 30 days and 200,000 pods in at most 3 minutes and 1 GB.
//!
//! Not run by itself, for it takes minutes and a few gigabytes of disk:
//!
//!     cargo test --release --test history_scale -- --ignored --nocapture
//!
//! `PREWARM_SCALE_PODS` and `PREWARM_SCALE_DAYS` make it smaller.
#![cfg(feature = "prometheus")]
#![allow(clippy::too_many_lines, reason = "one family of series after the other")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "measures, and says what is skipped"
)]
#![allow(clippy::float_cmp, clippy::match_bool, reason = "counts as floats; tables of cases")]

#[path = "support/prometheus.rs"]
mod prometheus;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{
    fmt::Write as _,
    fs,
    io::{self, BufWriter, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// 2026-10-01T00:00:00Z.
const START: i64 = 1_790_812_800;
const STEP: i64 = 240;
const PER_NODE: u64 = 8;

struct Pod {
    number: u64,
    created: i64,
    scheduled: i64,
    end: i64,
    gone: i64,
    gpus: u64,
    node: u64,
}

/// Pods whose rate follows the hour of the day; most live for minutes, some for hours.
fn pods(count: u64, days: i64, nodes: u64) -> Vec<Pod> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut below = |n: u64| (u64::from(rng.next_u32()) * n) >> 32;
    (0..count)
        .map(|number| {
            let day = below(days as u64) as i64;
            // The sum of two uniform draws has its peak at noon.
            let second = (below(43_200) + below(43_200)) as i64;
            let created = START + day * 86_400 + second;
            let wait = if below(5) == 0 { below(600) } else { 2 } as i64;
            let run = 60 + below(600) + if below(20) == 0 { below(14_400) } else { 0 };
            let end = created + wait + run as i64;
            let gone = end + if below(2) == 0 { 5 } else { 300 };
            Pod {
                number,
                created,
                scheduled: created + wait,
                end,
                gone,
                gpus: 1 << below(3),
                node: below(nodes),
            }
        })
        .collect()
}

/// Takes labels, the span in which they are exported, and the value.
type Put<'a> = &'a mut dyn FnMut(&str, i64, i64, i64);

fn write(out: &mut fs::File, count: u64, days: i64) -> io::Result<()> {
    let nodes = (count / 4000 / days as u64 * 30).max(4);
    let pods = pods(count, days, nodes);
    let end = START + days * 86_400;
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let scrapes = |from: i64, until: i64| {
        let first = START + (from - START + STEP - 1).div_euclid(STEP) * STEP;
        (first..until.min(end)).step_by(STEP as usize)
    };
    let mut text = String::new();
    let mut family = |name: &str, row: &dyn Fn(&Pod, Put<'_>)| {
        writeln!(out, "# TYPE {name} gauge")?;
        for pod in &pods {
            let Pod { number, .. } = pod;
            text.clear();
            row(pod, &mut |labels, from, until, value| {
                for at in scrapes(from, until) {
                    writeln!(
                        text,
                        "{name}{{namespace=\"ml\",pod=\"train-{number}\",uid=\"00000000-0000-4000-8000-{number:012}\"{labels}}} {value} {at}"
                    )
                    .unwrap();
                }
            });
            out.write_all(text.as_bytes())?;
        }
        Ok::<(), io::Error>(())
    };
    family("kube_pod_created", &|pod, put| {
        put("", pod.created, pod.gone, pod.created);
    })?;
    family("kube_pod_container_resource_requests", &|pod, put| {
        let of = |node: String| {
            format!(",container=\"main\"{node},resource=\"nvidia_com_gpu\",unit=\"integer\"")
        };
        put(&of(String::new()), pod.created, pod.scheduled, pod.gpus as i64);
        put(&of(format!(",node=\"gpu-{}\"", pod.node)), pod.scheduled, pod.gone, pod.gpus as i64);
    })?;
    family("kube_pod_status_phase", &|pod, put| {
        put(",phase=\"Succeeded\"", pod.created, pod.end, 0);
        put(",phase=\"Succeeded\"", pod.end, pod.gone, 1);
    })?;
    family("kube_pod_status_scheduled_time", &|pod, put| {
        put("", pod.scheduled, pod.gone, pod.scheduled);
    })?;
    family("kube_pod_container_state_started", &|pod, put| {
        put(",container=\"main\"", pod.scheduled, pod.end, pod.scheduled + 5);
    })?;
    family("kube_pod_completion_time", &|pod, put| {
        put("", pod.end, pod.gone, pod.end);
    })?;
    family("kube_pod_owner", &|pod, put| {
        let owner = format!(
            ",owner_kind=\"Job\",owner_name=\"sweep-{}\",owner_is_controller=\"true\"",
            pod.number % 500
        );
        put(&owner, pod.created, pod.gone, 1);
    })?;
    for name in [
        "kube_node_created",
        "kube_node_labels",
        "kube_node_status_allocatable",
        "kube_node_status_condition",
    ] {
        writeln!(out, "# TYPE {name} gauge")?;
        for node in 0..nodes {
            // A third of the nodes is a day old, and a new one takes its place.
            let lives: Vec<(i64, i64)> = match node % 3 {
                0 => (0..days)
                    .map(|day| (START + day * 86_400 + 600, START + (day + 1) * 86_400))
                    .collect(),
                _ => vec![(START - 86_400, end)],
            };
            for (nth, (from, until)) in lives.into_iter().enumerate() {
                let (labels, delay, value) = match name {
                    "kube_node_created" => ("", 0, from),
                    "kube_node_labels" => (",label_cluster_api_accelerator=\"a100\"", 0, 1),
                    "kube_node_status_allocatable" => {
                        (",resource=\"nvidia_com_gpu\",unit=\"integer\"", 300, PER_NODE as i64)
                    }
                    _ => (",condition=\"Ready\",status=\"true\"", 30, 1),
                };
                let name_of_node =
                    if nth == 0 { format!("gpu-{node}") } else { format!("gpu-{node}-{nth}") };
                for at in scrapes((from + delay).max(START), until) {
                    writeln!(out, "{name}{{node=\"{name_of_node}\"{labels}}} {value} {at}")?;
                }
            }
        }
    }
    out.write_all(b"# EOF\n")?;
    out.flush()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Peak of resident memory in MiB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).map_or(0, |kib| kib.parse::<u64>().unwrap() / 1024)
}

#[test]
#[ignore = "takes minutes and gigabytes of disk"]
fn a_large_history_is_quick_and_small() {
    let (count, days) = (number("PREWARM_SCALE_PODS", 200_000), number("PREWARM_SCALE_DAYS", 30));
    let begun = Instant::now();
    let Some(server) = prometheus::with_history(|out| write(out, count, days as i64)) else {
        return;
    };
    println!("history made in {:.0?}", begun.elapsed());
    let until = START + days as i64 * 86_400;
    let begun = Instant::now();
    let mut run = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["backtest", "--output", "json", "--prometheus", &server.url])
        .args(["--since", &format!("{days}d"), "--until"])
        .arg(jiff::Timestamp::from_second(until).unwrap().to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = run.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        serde_json::from_reader::<_, serde_json::Value>(output).unwrap()
    });
    let mut most = 0;
    let status = loop {
        most = most.max(peak(run.id()));
        if let Some(status) = run.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let took = begun.elapsed();
    let report = reader.join().unwrap();
    assert!(status.success());
    println!(
        "{} of {count} pods, {days} days: {took:.1?}, {most} MiB",
        report["trace"]["gpu_jobs"]
    );
    assert!(report["trace"]["gpu_jobs"].as_u64().unwrap() > count * 9 / 10);
    assert!(most < 1024, "{most} MiB");
    assert!(took < Duration::from_mins(3), "{took:?}");
}
