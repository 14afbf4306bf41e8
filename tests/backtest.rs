//! `prewarm backtest` as people meet it: against nothing, against something else, and against the real
//! Prometheus with a recorded history (skipped with a line where that is not installed or not there).
#![cfg(feature = "prometheus")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "measures, and says what is skipped"
)]
#![allow(clippy::float_cmp, clippy::match_bool, reason = "counts as floats; tables of cases")]

#[path = "support/http.rs"]
mod http;
#[path = "support/prometheus.rs"]
mod prometheus;

use http::{Reply, Request, Server, passed_on};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const EMPTY: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;

fn backtest(url: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prewarm"));
    command.args(["backtest", "--prometheus", url]).args(more);
    command.env_remove("PREWARM_PROMETHEUS_TOKEN").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_prometheus_without_the_series_is_told_what_to_do() {
    let server = Server::start(|_| Reply::json(EMPTY));
    let output = backtest(&server.url(), &[]);
    let page = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{page}{}", text(&output.stderr));
    for part in [
        "kube_pod_created",
        "kube_node_status_allocatable",
        "install kube-state-metrics",
        "--metric-labels-allowlist",
    ] {
        assert!(page.contains(part), "{part} is missing in:\n{page}");
    }
    assert_eq!(page.matches("install kube-state-metrics").count(), 2, "once a list:\n{page}");
}

#[test]
fn what_is_not_prometheus_is_named_without_the_password() {
    let server = Server::start(|_| {
        let html = vec![("Content-Type", "text/html".to_owned())];
        Reply::Full(200, html, b"<title>Log in</title>".to_vec())
    });
    let output = backtest(&format!("http://amy:s3cret@127.0.0.1:{}", server.port), &[]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("Log in") && !message.contains("s3cret"), "{message}");
    assert!(server.seen()[0].header("authorization").is_some());
    for (flags, says) in [
        (["--until", "soon"], "2026-03-02"),
        (["--since", "1m"], "--since"),
        (["--chunk", "1s"], "--chunk"),
        (["--pool", "a100"], "NAME=GPUS"),
        (["--gpu-hour-price", "free"], "no price"),
        (["--prometheus-header", "novalue"], "Name: value"),
        (["--prometheus-ca", "/nowhere/ca.pem"], "/nowhere/ca.pem"),
    ] {
        let output = backtest(&server.url(), &flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(text(&output.stderr).contains(says), "{flags:?}: {}", text(&output.stderr));
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_slow_reading() {
    let late = Reply::Late(Duration::from_secs(20), Box::new(Reply::json(EMPTY)));
    let server = Server::start(move |_| late.clone());
    let run = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["backtest", "--prometheus", &server.url()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while server.seen().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let begun = Instant::now();
    let id = run.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(text(&output.stderr).contains("--cache"));
}

#[test]
fn the_last_weeks_are_compared_with_what_happened() {
    let Some(real) = prometheus::with_recorded_history() else { return };
    let port: u16 = real.url.rsplit(':').next().unwrap().parse().unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (now.clone(), most.clone());
    let server = Server::start(move |request| {
        let (now, most) = &counters;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let reply = passed_on(request, port, "");
        now.fetch_sub(1, Ordering::SeqCst);
        reply
    });
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cache, trace, page) = (path("answers"), path("jobs.csv"), path("page.html"));
    let flags = [
        ["--until", "2026-10-16"],
        ["--since", "15d"],
        ["--policy", "reactive,watermark:0.2,clairvoyant"],
        ["--gpu-hour-price", "2.5"],
        ["--cache", &cache],
        ["--save-trace", &trace],
        ["--report", &page],
        ["--output", "json"],
    ]
    .concat();
    let output = backtest(&server.url(), &flags);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();

    let actual = &report["policies"][0];
    assert_eq!(actual["name"], "actual");
    // The mean over the scored part of the history; that over all of it is 35.7 s.
    let wait = actual["wait_seconds"]["mean"].as_f64().unwrap();
    assert!((30.0..45.0).contains(&wait), "{wait}");
    let saving = &report["past"]["savings"][1];
    assert_eq!(saving["policy"], "watermark:0.2");
    let hours = |policy: &Value| policy["node_hours"].as_f64().unwrap() * 8.0;
    let saved = hours(actual) - hours(&report["policies"][2]);
    let told = |figure: &Value| figure["mid"].as_f64().unwrap();
    assert!((told(&saving["gpu_hours"]) - saved).abs() < 1e-6, "days add up to the whole");
    assert!((told(&saving["money"]) - saved * 2.5).abs() < 1e-6);
    assert!(saving["gpu_hours"]["low"].as_f64().unwrap() < saved);
    let waiting = |policy: &Value| policy["waiting_gpu_hours"].as_f64().unwrap();
    let spared = waiting(actual) - waiting(&report["policies"][2]);
    assert!((told(&saving["waiting_gpu_hours"]) - spared).abs() < 1e-6);
    assert!(fs::read_to_string(&page).unwrap().contains("Against what really happened"));

    // Politeness.
    assert!(most.load(Ordering::SeqCst) <= 4, "{most:?} queries at once");
    let seen = server.seen();
    let number = |request: &Request, name| request.field(name).unwrap().parse::<f64>().unwrap();
    for range in seen.iter().filter(|request| request.line.contains("query_range")) {
        let points = (number(range, "end") - number(range, "start")) / number(range, "step") + 1.0;
        assert!(points <= 11_000.0, "{points}");
    }

    // What is kept is not asked for again, and gives the same.
    let again = backtest(&server.url(), &flags);
    assert_eq!(text(&again.stdout), text(&output.stdout));
    let asked_again = server.seen().len() - seen.len();
    assert!(asked_again < 30, "{asked_again} of {} queries again", seen.len());

    // The trace is one that `simulate` takes.
    let simulated = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["simulate", "--trace", &trace, "--policy", "reactive", "--output", "json"])
        .output()
        .unwrap();
    let simulated: Value = serde_json::from_slice(&simulated.stdout).unwrap();
    assert_eq!(simulated["trace"]["gpu_jobs"], report["trace"]["gpu_jobs"]);
    settings_are_a_gpu_pool(report["past"]["settings"][0].as_str().unwrap());
}

#[cfg(feature = "live")]
fn settings_are_a_gpu_pool(yaml: &str) {
    let pool: prewarm::live::gpu_pool::GpuPool = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(pool.metadata.name.as_deref(), Some("a100"));
    assert_eq!((pool.spec.limits.min_replicas, pool.spec.limits.max_replicas), (Some(3), Some(8)));
    assert!(yaml.contains("mode: Shadow"));
}

#[cfg(not(feature = "live"))]
fn settings_are_a_gpu_pool(_yaml: &str) {}

#[test]
fn pools_that_no_node_belongs_to_are_refused_with_those_that_are_there() {
    let Some(real) = prometheus::with_recorded_history() else { return };
    let flags =
        ["--until", "2026-10-03", "--since", "2d", "--pool", "h100=8:cluster-api/accelerator=h100"];
    let output = backtest(&real.url, &flags);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("--pool a100=8:cluster_api_accelerator=a100"), "{message}");
}
