//! How fast the extender answers over loopback: a server of its own with 5,000 GPU nodes known and 100 changes of
//! pods a second, and a client that asks as kube-scheduler does.
//!
//! `cargo run --release --example extender_load -- [NODES [PROGRAM]]`. `PROGRAM`: this one, built from another version; then
//! that is the server, so that two versions can be compared with one client.
//!
//! The server is another process, so that its memory and its time on the processor are its own. Its times come
//! from its own histogram (last byte of a request to the answer), interpolated; the client's are round trips.

#![allow(clippy::print_stdout, reason = "a benchmark prints figures")]
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a benchmark reads clocks and stops if it must"
)]

use prewarm::{
    live::{
        clock::Clock,
        extender::{
            EVERY, ExtenderSettings, Meters, PolicySource, Settings, feed,
            keep::{self, Footing},
        },
        index::Event,
        metrics,
        vitals::Vitals,
        watch::Watches,
    },
    model::object::{Condition, Effect, Meta, Node, Pod, Resources, Taint},
};
use serde_json::{Value, json};
use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const CHANGES_A_SECOND: u64 = 100;
/// Requests a measurement, after a tenth as many to warm up.
const REQUESTS: usize = 5_000;

fn main() {
    let mut args = env::args().skip(1);
    match args.next().as_deref() {
        Some("serve") => serve(args.next().and_then(|text| text.parse().ok()).expect("nodes")),
        first => {
            let nodes = first.and_then(|text| text.parse().ok()).unwrap_or(5_000);
            let program = args.next().map(PathBuf::from);
            measure(nodes, &program.unwrap_or_else(|| env::current_exe().expect("this program")));
        }
    }
}

// ---- the server

fn name(nth: usize) -> String {
    format!("gpu-pool-a100-md-0-{nth:05}-x7k2p-9fjq4")
}

fn resources(gpus: u64) -> Resources {
    let extended = [("nvidia.com/gpu".to_owned(), gpus)].into();
    Resources { cpu_milli: 12_000 * gpus, memory_bytes: gpus << 37, extended }
}

/// A node with the labels that feature discovery writes.
fn node(nth: usize) -> Node {
    let key = "nvidia.com/gpu".to_owned();
    let labels =
        (0..40).map(|label| (format!("nvidia.com/label-{label}"), "some value".to_owned()));
    let product = ("nvidia.com/gpu.product".to_owned(), "NVIDIA-A100-SXM4-80GB".to_owned());
    let labels = labels.chain([product, ("nvidia.com/gpu.memory".to_owned(), "81920".to_owned())]);
    Node {
        meta: Meta { name: name(nth), labels: labels.collect(), ..Meta::default() },
        taints: vec![Taint { key, value: String::new(), effect: Effect::NoSchedule }],
        conditions: vec![Condition {
            kind: "Ready".into(),
            status: Some(true),
            ..Condition::default()
        }],
        capacity: resources(8),
        allocatable: resources(8),
        ..Node::default()
    }
}

fn pod(nth: u64, on: usize, gpus: u64) -> Pod {
    Pod {
        meta: Meta {
            name: format!("train-{nth}"),
            namespace: "ml".into(),
            uid: format!("2d48dd7b-4801-4bcc-8b3c-{nth:012}"),
            ..Meta::default()
        },
        node: Some(name(on)),
        requests: resources(gpus),
        ..Pod::default()
    }
}

fn serve(nodes: usize) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (sender, events) = mpsc::channel(1_000);
        let (clock, meters) = (Clock::system(), Meters::default());
        let mut registry = metrics::registry();
        meters.register(&mut registry);
        let (watches, vitals) = (Watches::default(), Arc::new(Vitals::new(clock)));
        let footing = Footing { events, watches, meters, found: None, vitals, clock };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let listen = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let settings = ExtenderSettings {
            listen: listen.clone(),
            policy: PolicySource::default(),
            tls: None,
            look_every: EVERY,
            limits: Settings::default(),
        };
        let stop = CancellationToken::new();
        let _extender = keep::start(settings, footing, stop).await.expect("an extender");
        fill(&sender, nodes).await;
        tokio::spawn(change(sender, nodes));
        println!("{listen} {}", echo());
        // The client asks for the metrics by a line.
        tokio::task::spawn_blocking(move || {
            for _ in std::io::stdin().lock().lines() {
                let mut text = String::new();
                prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
                print!("{text}");
                std::io::stdout().flush().expect("a reader");
            }
        })
        .await
        .expect("a reader");
    });
}

/// What the same bytes cost without an extender: a thread that reads a request to its end and sends its body back.
fn echo() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.expect("a connection");
            socket.set_nodelay(true).expect("TCP_NODELAY");
            let mut buffer = Vec::new();
            while let Some((start, end)) = read_request(&mut socket, &mut buffer) {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", end - start);
                // Head and body in one write, as the extender's.
                buffer.splice(..start, head.bytes());
                socket.write_all(&buffer).expect("a client");
            }
        }
    });
    address
}

/// Where in `buffer` the body is.
fn read_request(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(usize, usize)> {
    buffer.clear();
    let mut piece = vec![0; 1 << 18];
    loop {
        let count = socket.read(&mut piece).ok().filter(|&count| count > 0)?;
        buffer.extend_from_slice(&piece[..count]);
        if let Some((start, length)) = head(buffer)
            && buffer.len() >= start + length
        {
            return Some((start, start + length));
        }
    }
}

/// The length of a head and of the body after it.
fn head(text: &[u8]) -> Option<(usize, usize)> {
    let end = text.windows(4).position(|four| four == b"\r\n\r\n")?;
    let told = String::from_utf8_lossy(&text[..end]).to_lowercase();
    let length = told.lines().find_map(|line| line.strip_prefix("content-length: "));
    Some((end + 4, length?.trim().parse().ok()?))
}

async fn fill(sender: &mpsc::Sender<Event>, nodes: usize) {
    let send = async |event| sender.send(event).await.expect("the feed");
    for kind in feed::KINDS {
        send(Event::Restarted(kind)).await;
    }
    for nth in 0..nodes {
        send(Event::Node(Box::new(node(nth)))).await;
        send(Event::Pod(Box::new(pod(nth as u64, nth, nth as u64 % 8)))).await;
        // What else runs on a node: daemons without GPUs.
        for daemon in 1..8 {
            send(Event::Pod(Box::new(pod((daemon * nodes + nth) as u64, nth, 0)))).await;
        }
    }
    for kind in feed::KINDS {
        send(Event::Synced(kind)).await;
    }
}

/// Pods that come and go, all over the cluster.
async fn change(sender: mpsc::Sender<Event>, nodes: usize) {
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / CHANGES_A_SECOND));
    for nth in 0_u64.. {
        tick.tick().await;
        let one = pod(1_000_000 + nth / 2, (nth / 2) as usize * 7919 % nodes, 1);
        let event = if nth % 2 == 0 {
            Event::Pod(Box::new(one))
        } else {
            let Meta { namespace, name, uid, .. } = one.meta;
            Event::PodGone { namespace, name, uid }
        };
        if sender.send(event).await.is_err() {
            return;
        }
    }
}

// ---- the client

struct Server {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    address: String,
    /// Older versions have none.
    echo: Option<String>,
}

impl Server {
    fn start(nodes: usize, program: &Path) -> Self {
        let mut child = Command::new(program)
            .args(["serve", &nodes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let mut lines = BufReader::new(child.stdout.take().expect("its output"));
        let mut address = String::new();
        lines.read_line(&mut address).expect("its address");
        let mut addresses = address.split_whitespace().map(str::to_owned);
        let (address, echo) = (addresses.next().expect("its address"), addresses.next());
        Self { child, lines, address, echo }
    }

    /// Counts by upper bound of one verb's histogram.
    fn histogram(&mut self, verb: &str) -> Vec<(f64, u64)> {
        let stdin = self.child.stdin.as_mut().expect("its input");
        stdin.write_all(b"\n").expect("its input");
        let start = "prewarm_extender_seconds_bucket{le=\"";
        let mut buckets = Vec::new();
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).expect("its metrics");
            if line.starts_with("# EOF") {
                return buckets;
            }
            let Some(rest) = line.strip_prefix(start) else { continue };
            if !rest.contains(&format!("verb=\"{verb}\"")) {
                continue;
            }
            let bound = rest.split('"').next().expect("a bound");
            let count = rest.trim().rsplit(' ').next().expect("a count");
            let bound = bound.parse().unwrap_or(f64::INFINITY);
            buckets.push((bound, count.parse().expect("a number")));
        }
    }

    /// Resident memory in MiB: now and at most.
    fn memory(&self) -> (u64, u64) {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let kib = |key: &str| {
            let line = text.lines().find(|line| line.starts_with(key)).expect("a line");
            line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("KiB")
                / 1024
        };
        (kib("VmRSS:"), kib("VmHWM:"))
    }

    /// Seconds on processors so far.
    fn processor(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        let fields: Vec<&str> = text.rsplit(") ").next().expect("fields").split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("ticks");
        // Fields 14 and 15, in hundredths of a second.
        (ticks(11) + ticks(12)) / 100.0
    }
}

fn pod_json() -> Value {
    let amounts = json!({"cpu": "12", "memory": "128Gi", "nvidia.com/gpu": "1"});
    let env: Vec<Value> = (0..60)
        .map(|nth| json!({"name": format!("VARIABLE_{nth}"), "value": "a value of some length"}))
        .collect();
    json!({
        "metadata": {"name": "train-0", "namespace": "ml", "uid": "2d48dd7b-4801-4bcc-8b3c-f7733b846e45",
            "labels": {"app": "train", "team": "research"}},
        "spec": {
            "containers": [{"name": "main", "image": "registry.example/train:1", "env": env,
                "resources": {"requests": amounts, "limits": amounts}}],
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "schedulerName": "prewarm-gpu",
        },
        "status": {"phase": "Pending"},
    })
}

/// A request as Go writes it.
fn args(nodes: &str) -> String {
    format!("{{\"Pod\":{},{nodes}}}", pod_json())
}

/// Names in no order: kube-scheduler's goroutines shuffle them.
fn by_name(count: usize, nodes: usize) -> String {
    let names: Vec<String> =
        (0..count).map(|nth| name(nth * 1_009 % count * (nodes / count))).collect();
    args(&format!("\"Nodes\":null,\"NodeNames\":{}", json!(names)))
}

/// Nodes of 14 KB each, most of it images and managed fields.
fn in_full(count: usize) -> String {
    let amounts = json!({"cpu": "96", "memory": "1152Gi", "nvidia.com/gpu": "8", "pods": "110"});
    let labels: serde_json::Map<String, Value> =
        (0..45).map(|nth| (format!("nvidia.com/label-{nth}"), json!("some value"))).collect();
    let images: Vec<Value> = (0..50)
        .map(|nth| {
            let digest = "sha256:".to_owned() + &"0123456789abcdef".repeat(4);
            let image = format!("registry.example/some/where/image-{nth}");
            json!({"names": [format!("{image}@{digest}"), format!("{image}:v1.2.3")], "sizeBytes": 123_456_789})
        })
        .collect();
    let managed: Vec<Value> = ["kubelet", "gpu-feature-discovery", "gpu-operator"]
        .map(|manager| {
            let key = |kind: &str| (format!("k:{{\"type\":\"{kind}\"}}"), json!({"f:lastHeartbeatTime": {}, "f:status": {}}));
            let conditions: serde_json::Map<String, Value> =
                ["DiskPressure", "MemoryPressure", "PIDPressure", "Ready"].map(key).into_iter().collect();
            json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {"f:conditions": conditions, "f:images": {}}}})
        })
        .into();
    let conditions = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map(|kind| {
        let status = if kind == "Ready" { "True" } else { "False" };
        json!({"type": kind, "status": status, "lastHeartbeatTime": "2026-01-01T00:00:00Z",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "KubeletHasIt", "message": "as the kubelet says"})
    });
    let spec = json!({"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]});
    let status = json!({"capacity": amounts, "allocatable": amounts, "conditions": conditions,
        "nodeInfo": {"bootID": "x", "kernelVersion": "6.8.0", "osImage": "Ubuntu 24.04"}, "images": images});
    // Go writes the name first.
    let node = |nth: usize| {
        format!(
            "{{\"metadata\":{{\"name\":\"{}\",\"uid\":\"2d48dd7b-4801-4bcc-8b3c-f7733b846e45\",\"labels\":{},\"managedFields\":{}}},\"spec\":{spec},\"status\":{status}}}",
            name(nth),
            json!(labels),
            json!(managed)
        )
    };
    let nodes: Vec<String> = (0..count).map(node).collect();
    let nodes = nodes.join(",");
    args(&format!("\"Nodes\":{{\"metadata\":{{}},\"items\":[{nodes}]}},\"NodeNames\":null"))
}

struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn new(address: &str) -> Self {
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_nodelay(true).expect("TCP_NODELAY");
        Self { socket, buffer: vec![0; 1 << 20] }
    }

    /// One round trip; the length of the answer.
    fn ask(&mut self, request: &[u8]) -> usize {
        self.socket.write_all(request).expect("a server");
        let (mut whole, mut read) = (None, 0);
        loop {
            let free = &mut self.buffer[if whole.is_none() { read } else { 0 }..];
            let count = self.socket.read(free).expect("an answer");
            assert!(count > 0, "closed");
            read += count;
            if whole.is_none() {
                assert!(self.buffer.starts_with(b"HTTP/1.1 200"), "not answered");
                whole = head(&self.buffer[..read]).map(|(start, length)| start + length);
            }
            if whole.is_some_and(|whole| read >= whole) {
                return read;
            }
        }
    }
}

fn request(verb: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /v1/{verb} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn quantile(sorted: &[f64], at: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * at) as usize]
}

/// The quantile of what came between two histograms, in microseconds.
fn between(before: &[(f64, u64)], after: &[(f64, u64)], at: f64) -> f64 {
    let earlier = |nth: usize| before.get(nth).map_or(0, |&(_, count)| count);
    let counts: Vec<(f64, u64)> = after
        .iter()
        .enumerate()
        .map(|(nth, &(bound, count))| (bound, count - earlier(nth)))
        .collect();
    let wanted = counts.last().map_or(0, |&(_, count)| count) as f64 * at;
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in counts {
        let count = count as f64;
        if count >= wanted {
            return (low + (bound - low) * (wanted - below) / (count - below).max(1.0)) * 1e6;
        }
        (low, below) = (bound, count);
    }
    f64::INFINITY
}

fn row(server: &mut Server, what: &str, verb: &str, body: &str, requests: usize) {
    let request = request(verb, body);
    let mut client = Client::new(&server.address);
    for _ in 0..requests.div_ceil(10) {
        client.ask(&request);
    }
    let (before, processor) = (server.histogram(verb), server.processor());
    let (begun, mut times, mut length) = (Instant::now(), Vec::with_capacity(requests), 0);
    for _ in 0..requests {
        let asked = Instant::now();
        length = client.ask(&request);
        times.push(asked.elapsed().as_secs_f64() * 1e6);
    }
    let rate = requests as f64 / begun.elapsed().as_secs_f64();
    let (after, processor) = (server.histogram(verb), server.processor() - processor);
    times.sort_by(f64::total_cmp);
    println!(
        "{what:<26} {:>9} B {:>9} B   server p50 {:>8.1} us   client p50 {:>8.1} us  p99 {:>8.1} us   {rate:>7.0}/s   processor {:>8.1} us",
        request.len(),
        length,
        between(&before, &after, 0.5),
        quantile(&times, 0.5),
        quantile(&times, 0.99),
        processor / requests as f64 * 1e6,
    );
}

/// The same bytes there and back, and nothing done with them.
fn floor(server: &Server, what: &str, body: &str, requests: usize) {
    let Some(echo) = &server.echo else { return };
    let (request, mut client) = (request("echo", body), Client::new(echo));
    let mut times: Vec<f64> = (0..requests + requests.div_ceil(10))
        .map(|_| {
            let asked = Instant::now();
            client.ask(&request);
            asked.elapsed().as_secs_f64() * 1e6
        })
        .skip(requests.div_ceil(10))
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{what:<26} there and back, nothing done: client p50 {:>8.1} us  p99 {:>8.1} us",
        quantile(&times, 0.5),
        quantile(&times, 0.99)
    );
}

/// Eight connections for three seconds.
fn together(server: &Server, body: &str) {
    let (request, address) = (request("filter", body), server.address.clone());
    let (begun, processor) = (Instant::now(), server.processor());
    let ends = begun + Duration::from_secs(3);
    let ask = || {
        let mut client = Client::new(&address);
        let mut count = 0_u64;
        while Instant::now() < ends {
            client.ask(&request);
            count += 1;
        }
        count
    };
    let count: u64 = thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).sum()
    });
    let (seconds, busy) = (begun.elapsed().as_secs_f64(), server.processor() - processor);
    println!(
        "filter 500, 8 connections: {:.0}/s; the server was busy on {:.2} cores: {:.0} requests a core-second",
        count as f64 / seconds,
        busy / seconds,
        count as f64 / busy,
    );
}

fn measure(nodes: usize, program: &Path) {
    let mut server = Server::start(nodes, program);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{nodes} nodes known, {CHANGES_A_SECOND} changes of pods a second; load before: {}",
        load.trim()
    );
    thread::sleep(Duration::from_secs(2));
    for verb in ["filter", "prioritize"] {
        for names in [1, 500, 1_000, nodes] {
            let requests = if names > 1_000 { REQUESTS / 5 } else { REQUESTS };
            row(&mut server, &format!("{verb} {names}"), verb, &by_name(names, nodes), requests);
        }
    }
    together(&server, &by_name(500, nodes));
    let (now, most) = server.memory();
    println!("memory of the server: {now} MiB, at most {most} MiB");
    row(&mut server, &format!("filter {nodes} in full"), "filter", &in_full(nodes), 20);
    let (now, most) = server.memory();
    println!("memory of the server after that: {now} MiB, at most {most} MiB");
    for (names, requests) in [(500, REQUESTS), (nodes, REQUESTS / 5)] {
        floor(&server, &format!("{names} names"), &by_name(names, nodes), requests);
    }
    floor(&server, &format!("{nodes} in full"), &in_full(nodes), 20);
    let busy = server.processor();
    thread::sleep(Duration::from_secs(5));
    println!(
        "without requests the server is busy on {:.3} cores",
        (server.processor() - busy) / 5.0
    );
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load after: {}", load.trim());
    server.child.kill().ok();
    server.child.wait().ok();
}
