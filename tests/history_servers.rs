//! Histories as other exporters and other servers give them.
//!
//! The metric of kube-scheduler and labels named `exported_*` are read from the real Prometheus. Thanos, Mimir and
//! VictoriaMetrics are emulated in front of it: what their documentation says that is different (paths, tenants,
//! partial answers, limits) is done here. Without `prometheus` and `promtool`, or without the recorded history
//! (`PREWARM_FIXTURES`), a test says so and does nothing.
#![cfg(feature = "prometheus")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "reads the environment, and says what is skipped"
)]

#[path = "support/http.rs"]
mod http;
#[path = "support/prometheus.rs"]
mod prometheus;

use http::{Reply, Request, Server, passed_on};
use prewarm::{
    history::{End, GpuMetric, PodLife, Scrapes, Sight, Window, node_lives, pod_lives},
    prometheus::{Client, Reading, Settings, Wanted, read, survey},
    time::{Millis, Timestamp},
};
use serde_json::Value;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

/// 2026-10-01T00:00:00Z, when the recorded history begins.
const START: i64 = 1_790_812_800;
const DAY: i64 = 86_400;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(START + seconds)
}

/// Lives of pods, and the names of nodes with when they became Ready.
async fn lives(
    url: &str,
    wanted: &Wanted,
    days: i64,
) -> (Vec<PodLife>, Vec<(String, Option<Timestamp>)>) {
    let client = Client::new(Settings::new(url).unwrap()).unwrap();
    let window = Window { from: at(0), until: at(days * DAY) };
    let found = survey(&client, wanted, window).await.unwrap();
    let piece = Millis::from_hours(24);
    let reading = Reading { source: &found.source, window, piece, store: None };
    let (facts, remarks) = read(&client, reading, &|_, _| true).await.unwrap();
    assert!(remarks.is_empty(), "{remarks:?}");
    assert_eq!(facts.strange(), 0);
    let interval = found.source.interval;
    let text = Sight::Scraped.text(&found.source);
    let looks = client.range(&text, window.from, window.until, interval).await.unwrap();
    let scrapes = Scrapes::new(&looks.data.into_series(), interval);
    let nodes = node_lives(&facts, &scrapes, window).into_iter();
    (pod_lives(&facts, &scrapes), nodes.map(|node| (node.name, node.ready)).collect())
}

/// Half an hour a pod: seen first after a minute, placed after five, last seen after 25.
fn of_scheduler(out: &mut File) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    let labels = |pod: &str, node: &str, resource: &str| {
        format!(
            "namespace=\"ml\",pod=\"{pod}\",node=\"{node}\",scheduler=\"default-scheduler\",priority=\"0\",\
             resource=\"{resource}\",unit=\"\""
        )
    };
    writeln!(out, "# TYPE kube_pod_resource_request gauge")?;
    for number in 0..48_i64 {
        let pod = format!("train-{number}");
        for minute in 1..=25 {
            let node = if minute < 5 { "" } else { "gpu-0" };
            let labels = labels(&pod, node, "nvidia.com/gpu");
            let (gpus, at) = (1 + number % 2, START + number * 1800 + minute * 60);
            writeln!(out, "kube_pod_resource_request{{{labels}}} {gpus} {at}")?;
        }
    }
    for minute in 0..1440 {
        let (labels, at) = (labels("web", "cpu-0", "cpu"), START + minute * 60);
        writeln!(out, "kube_pod_resource_request{{{labels}}} 2 {at}")?;
    }
    for (name, labels, value) in [
        ("kube_node_created", "node=\"gpu-0\"", START - DAY),
        (
            "kube_node_status_allocatable",
            "node=\"gpu-0\",resource=\"nvidia_com_gpu\",unit=\"integer\"",
            8,
        ),
    ] {
        writeln!(out, "# TYPE {name} gauge")?;
        for minute in 0..1440 {
            writeln!(out, "{name}{{{labels}}} {value} {}", START + minute * 60)?;
        }
    }
    out.write_all(b"# EOF\n")?;
    out.flush()
}

#[tokio::test]
async fn what_kube_scheduler_says_is_enough() {
    let Some(server) = prometheus::with_history(of_scheduler) else { return };
    let wanted = Wanted { metric: GpuMetric::Scheduler, resource: None };
    let (pods, nodes) = lives(&server.url, &wanted, 1).await;
    assert_eq!(pods.len(), 48);
    for pod in &pods {
        let number: i64 = pod.name.strip_prefix("train-").unwrap().parse().unwrap();
        let since = |seconds| at(number * 1800 + seconds);
        assert_eq!(pod.gpus, 1 + (number % 2) as u32, "{}", pod.name);
        assert_eq!((pod.created, pod.scheduled), (Some(since(60)), Some(since(300))));
        // Gone between the scrapes of the 25th and of the 26th minute.
        assert_eq!(pod.end, End::About(since(1530)), "{}", pod.name);
        assert_eq!(pod.node.as_deref(), Some("gpu-0"));
    }
    assert_eq!(nodes, [("gpu-0".to_owned(), None)]);

    let run = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["backtest", "--prometheus", &server.url, "--gpu-metric", "scheduler"])
        .args(["--since", "1d", "--until", "2026-10-02", "--score-from", "0h"])
        .args(["--policy", "reactive", "--output", "json"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let actual = &report["policies"][0];
    // 24 pods of one GPU and 24 of two, 1230 s each; each waited for 240 s.
    let busy = actual["busy_gpu_hours"].as_f64().unwrap();
    assert!((busy - 72.0 * 1230.0 / 3600.0).abs() < 1e-6, "{busy}");
    let hours = actual["waiting_gpu_hours"].as_f64().unwrap();
    assert!((hours - 72.0 * 240.0 / 3600.0).abs() < 1e-6, "{hours}");
}

/// Labels of a series, from when to when it is there, and its value.
type Row = (String, i64, i64, i64);
/// Names of a node and its Machine; when it was asked for, registered, and gone.
type Node = (&'static str, &'static str, i64, i64, i64);

/// A day of a MachineDeployment `gpu` that has one node, and from hours 6 to 12 three; Machines are created when
/// it is raised, registered after 150 and 170 s, Ready after 60 s more and with GPUs after 240 s more.
fn of_cluster_api(out: &mut File) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    let (six, twelve, end) = (6 * 3600, 12 * 3600, DAY);
    let nodes: [Node; 3] = [
        ("ip-10-0-0-1", "gpu-7d9f-aaaaa", -DAY, -DAY, end),
        ("ip-10-0-0-2", "gpu-7d9f-bbbbb", six, six + 150, twelve),
        ("ip-10-0-0-3", "gpu-7d9f-ccccc", six, six + 170, twelve),
    ];
    let of_capi = "namespace=\"default\",cluster_name=\"prod\"";
    let mut family = |name: &str, rows: Vec<Row>| {
        writeln!(out, "# TYPE {name} gauge")?;
        for (labels, from, until, value) in rows {
            for at in (0..DAY).step_by(60).filter(|at| (from..until).contains(at)) {
                writeln!(out, "{name}{{{labels}}} {value} {}", START + at)?;
            }
        }
        Ok::<(), io::Error>(())
    };
    let sizes = [(0, six, 1), (six, twelve, 3), (twelve, end, 1)];
    let size = |(from, until, value)| (format!("{of_capi},name=\"gpu\""), from, until, value);
    family("capi_machinedeployment_spec_replicas", sizes.map(size).to_vec())?;
    let each = |row: &dyn Fn(&Node) -> Row| nodes.iter().map(row).collect::<Vec<_>>();
    family(
        "capi_machine_created",
        each(&|&(_, machine, asked, _, gone)| {
            (format!("{of_capi},name=\"{machine}\""), asked, gone, START + asked)
        }),
    )?;
    family(
        "capi_machine_status_noderef",
        each(&|&(node, machine, _, came, gone)| {
            (format!("{of_capi},name=\"{machine}\",node_name=\"{node}\""), came, gone, 1)
        }),
    )?;
    family(
        "kube_node_created",
        each(&|&(node, _, _, came, gone)| (format!("node=\"{node}\""), came, gone, START + came)),
    )?;
    family(
        "kube_node_status_condition",
        each(&|&(node, _, _, came, gone)| {
            let labels = format!("node=\"{node}\",condition=\"Ready\",status=\"true\"");
            (labels, came + 60, gone, 1)
        }),
    )?;
    let gpus = "resource=\"nvidia_com_gpu\",unit=\"integer\"";
    family(
        "kube_node_status_allocatable",
        each(&|&(node, _, _, came, gone)| (format!("node=\"{node}\",{gpus}"), came + 300, gone, 8)),
    )?;
    let pod = "namespace=\"ml\",pod=\"train\",uid=\"u\"";
    family(
        "kube_pod_container_resource_requests",
        vec![(format!("{pod},container=\"main\",node=\"ip-10-0-0-1\",{gpus}"), 3600, 7200, 4)],
    )?;
    family("kube_pod_created", vec![(pod.to_owned(), 3600, 7200, START + 3600)])?;
    family("kube_pod_status_scheduled_time", vec![(pod.to_owned(), 3600, 7200, START + 3601)])?;
    out.write_all(b"# EOF\n")?;
    out.flush()
}

#[test]
fn cluster_api_tells_how_many_nodes_were_asked_for_and_when() {
    let Some(server) = prometheus::with_history(of_cluster_api) else { return };
    let run = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["backtest", "--prometheus", &server.url, "--since", "1d", "--until", "2026-10-02"])
        .args(["--policy", "reactive", "--score-from", "0h", "--output", "json"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let asked = &report["past"]["asked_for"][0];
    assert_eq!(asked["machine_deployment"], "prod/gpu");
    assert_eq!((&asked["least_nodes"], &asked["most_nodes"]), (&1.into(), &3.into()));
    assert_eq!(asked["raised_by_nodes"], 2);
    // One node for 24 h and two for 6 h; sizes are seen every two minutes, the first one two minutes late.
    let hours = asked["node_hours"].as_f64().unwrap();
    assert!((hours - 36.0).abs() < 0.1, "{hours}");
    // The same nodes, each from its Machine's creation until half a minute after its last scrape.
    let paid = report["policies"][0]["node_hours"].as_f64().unwrap();
    assert!((paid - 36.0).abs() < 0.05, "{paid}");
    let caveats = report["caveats"].to_string();
    // 160 s until registered on average, then Ready within a minute: the middle of two scrapes.
    assert!(caveats.contains("learned from 2 nodes and the Machines of 2"), "{caveats}");
    let settings = report["past"]["settings"][0].as_str().unwrap();
    assert!(
        settings.contains("maxReplicas: 3") && settings.contains("minReplicas: 1"),
        "{settings}"
    );
}

/// The recorded history up to some day, each line changed.
fn recorded(out: &mut File, days: i64, change: &dyn Fn(&str) -> String) -> io::Result<()> {
    let packed = File::open(prometheus::fixtures().join("history.om.gz"))?;
    let mut out = io::BufWriter::new(out);
    for line in BufReader::new(flate2::read::GzDecoder::new(packed)).lines() {
        let line = line?;
        let stamp = line.rsplit(' ').next().and_then(|stamp| stamp.parse::<f64>().ok());
        if line.starts_with('#') || stamp.is_some_and(|stamp| stamp < (START + days * DAY) as f64) {
            writeln!(out, "{}", change(&line))?;
        }
    }
    out.flush()
}

fn is_recorded() -> bool {
    let is_there = prometheus::fixtures().join("history.om.gz").is_file();
    if !is_there {
        println!("skipped: no history to back-fill (set PREWARM_FIXTURES)");
    }
    is_there
}

/// A target without `honor_labels`: its own namespace, pod and container take the names.
fn exported(line: &str) -> String {
    let Some((metric, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) else {
        return line.to_owned();
    };
    let mut rest = format!(",{rest}");
    for label in ["namespace", "pod", "container"] {
        rest = rest.replace(&format!(",{label}=\""), &format!(",exported_{label}=\""));
    }
    format!(
        "{metric}{{namespace=\"monitoring\",pod=\"state-metrics-0\",container=\"state-metrics\"{rest}"
    )
}

#[tokio::test]
async fn exported_labels_tell_the_same() {
    if !is_recorded() {
        return;
    }
    let Some(plain) = prometheus::with_history(|out| recorded(out, 2, &str::to_owned)) else {
        return;
    };
    let Some(other) = prometheus::with_history(|out| recorded(out, 2, &exported)) else { return };
    let expected = lives(&plain.url, &Wanted::default(), 2).await;
    assert!(expected.0.len() > 200, "{}", expected.0.len());
    assert!(expected.1.iter().any(|(_, ready)| ready.is_some()));
    assert_eq!(lives(&other.url, &Wanted::default(), 2).await, expected);
}

fn backtest(url: &str, more: &[&str]) -> Value {
    let run = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["backtest", "--prometheus", url, "--since", "2d", "--until", "2026-10-03"])
        .args(["--policy", "reactive", "--output", "json"])
        .args(more)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

/// The seconds that a query's range selector looks back.
fn looks_back(request: &Request) -> i64 {
    let query = request.field("query").unwrap_or_default();
    let spans = query.split('[').skip(1).filter_map(|rest| rest.split_once("s]"));
    spans.filter_map(|(seconds, _)| seconds.parse().ok()).max().unwrap_or(0)
}

/// An answer with something more at its beginning.
fn with(reply: Reply, more: &str) -> Reply {
    let Reply::Full(status, headers, body) = reply else { return reply };
    let body = String::from_utf8(body).unwrap();
    let body =
        body.replacen("{\"status\":\"success\",", &format!("{{\"status\":\"success\",{more},"), 1);
    Reply::Full(status, headers, body.into_bytes())
}

/// # Source
/// Thanos, "Querier" (`warnings` of a partial response); Grafana Mimir, "HTTP API" (prefix, `X-Scope-OrgID`) and
/// "Runbooks" (texts of errors); VictoriaMetrics, "Cluster version" (URL format, `isPartial`) and
/// "Troubleshooting".
#[test]
fn servers_that_are_different_tell_the_same_and_what_is_odd_is_shown() {
    if !is_recorded() {
        return;
    }
    let Some(real) = prometheus::with_history(|out| recorded(out, 2, &str::to_owned)) else {
        return;
    };
    let port: u16 = real.url.rsplit(':').next().unwrap().parse().unwrap();
    let expected = backtest(&real.url, &[]);
    let same = |name: &str, found: &Value| {
        assert_eq!(found["policies"], expected["policies"], "{name}");
        assert_eq!(found["trace"], expected["trace"], "{name}");
    };
    let caveats = |report: &Value| report["caveats"].to_string();
    assert!(!caveats(&expected).contains("partial"), "{}", caveats(&expected));

    let thanos = Server::start(move |request| {
        let warning =
            "\"warnings\":[\"No StoreAPIs matched for this query: store 10.0.0.7 is down\"]";
        with(passed_on(request, port, "/thanos"), warning)
    });
    let report = backtest(&format!("{}/thanos", thanos.url()), &[]);
    same("Thanos", &report);
    assert!(caveats(&report).contains("store 10.0.0.7 is down"), "{}", caveats(&report));

    let asked = AtomicUsize::new(0);
    let mimir = Server::start(move |request| {
        if request.header("x-scope-orgid") != Some("team-a") {
            return Reply::Full(401, Vec::new(), b"no org id\n".to_vec());
        }
        let refused = |status, kind: &str, text: &str| {
            let body =
                format!("{{\"status\":\"error\",\"errorType\":\"{kind}\",\"error\":\"{text}\"}}");
            Reply::status(status, &body)
        };
        if asked.fetch_add(1, Ordering::SeqCst) == 3 {
            return refused(429, "too_many_requests", "too many outstanding requests");
        }
        let text = request.field("query").unwrap_or_default();
        if text.starts_with("kube_pod_container") && looks_back(request) > 6 * 3600 {
            return refused(
                422,
                "execution",
                "the query exceeded the maximum number of chunks (limit: 2000000 chunks) \
                 (err-mimir-max-chunks-per-query). Consider reducing the time range",
            );
        }
        passed_on(request, port, "/prometheus")
    });
    let url = format!("{}/prometheus", mimir.url());
    let report = backtest(&url, &["--prometheus-tenant", "team-a"]);
    same("Mimir", &report);
    let samples = mimir.seen();
    let samples = samples.iter().filter(|request| {
        request.field("query").is_some_and(|text| text.starts_with("kube_pod_container"))
    });
    let too_long = samples.filter(|request| looks_back(request) > 6 * 3600).count();
    assert!(too_long <= 6, "what is too long is learned once: {too_long}");

    let victoria = Server::start(move |request| {
        with(passed_on(request, port, "/select/0/prometheus"), "\"isPartial\":true")
    });
    let report = backtest(&format!("{}/select/0/prometheus", victoria.url()), &[]);
    same("VictoriaMetrics", &report);
    assert!(caveats(&report).contains("partial response"), "{}", caveats(&report));

    // Without the prefix nobody is there, and without a tenant nobody may ask.
    for (url, says) in [(victoria.url(), "prefix"), (url, "not allowed")] {
        let run = Command::new(env!("CARGO_BIN_EXE_prewarm"))
            .args(["backtest", "--prometheus", &url])
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(2), "{message}");
        assert!(message.contains(says), "{message}");
    }
}
