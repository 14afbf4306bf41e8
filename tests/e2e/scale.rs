//! The controller as a process of its own beside 5,000 nodes and 150,000 pods: memory, start, processor time,
//! reaction. Takes minutes, so it is run on request:
//! `cargo test --release --test e2e -- --ignored --nocapture scale`.

use crate::stage::{Setup, Stage, core, create, until};
use prewarm::{
    fleet::{jobs, objects},
    live::gpu_pool::Mode,
};
use serde_json::{Value, json};
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const NODES: usize = 5000;
const PODS: usize = 150_000;
const GPU_PODS: usize = 2000;

fn node(number: usize) -> Value {
    let is_gpu = number < 250;
    let mut amounts = json!({ "cpu": "96", "memory": "1152Gi", "pods": "110" });
    if is_gpu {
        amounts["nvidia.com/gpu"] = json!("8");
    }
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": format!("node-{number:05}"), "labels": {
            "kubernetes.io/hostname": format!("node-{number:05}"), "topology.kubernetes.io/zone": "a",
            "node.kubernetes.io/instance-type": "large", "kubernetes.io/arch": "amd64",
        } },
        // Only for what runs there already.
        "spec": {
            "providerID": format!("fleet:////node-{number:05}"),
            "taints": [{ "key": "load", "effect": "NoSchedule" }],
        },
        "status": { "capacity": amounts, "allocatable": amounts, "conditions": [
            { "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
              "lastTransitionTime": "2026-01-01T00:00:00Z", "lastHeartbeatTime": "2026-01-01T00:00:00Z" },
        ] },
    })
}

fn pod(namespace: &str, number: usize) -> Value {
    let is_gpu = number < GPU_PODS;
    let mut pod = jobs::gpu_pod(namespace, &format!("pod-{number:06}"), 1, None);
    if !is_gpu {
        pod["spec"]["containers"][0]["resources"] =
            json!({ "requests": { "cpu": "500m", "memory": "1Gi" } });
    }
    let node = if is_gpu { number / 8 } else { 250 + number % (NODES - 250) };
    pod["spec"]["nodeName"] = json!(format!("node-{node:05}"));
    pod["metadata"]["labels"] = json!({ "app": format!("app-{}", number % 500) });
    pod["status"] = json!({ "phase": "Running", "startTime": "2026-01-01T00:00:00Z" });
    pod
}

struct Process(Child);

impl Process {
    /// Resident memory in MiB.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Processor time in seconds.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; see the module"]
async fn scale_five_thousand_nodes_and_a_hundred_and_fifty_thousand_pods() {
    let stage = Stage::start(Setup::default()).await;
    // The fleet would play all these pods; here they only stand there.
    let others = format!("{}-load", stage.namespace);
    create(&stage.client, &core("Namespace", "namespaces"), "", jobs::namespace(&others)).await;
    let begun = Instant::now();
    let nodes = (0..NODES).map(node);
    let pods = (0..PODS).map(|number| pod(&others, number));
    stage.api.as_ref().unwrap().seed(nodes.chain(pods)).unwrap();
    println!("{NODES} nodes and {PODS} pods made in {:?}", begun.elapsed());
    stage.deployment("a100", (0, 50)).await;
    stage.pool("a100", Mode::Active).await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, stage.api.as_ref().unwrap().kubeconfig("")).unwrap();
    let begun = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["run", "--leader-elect=false", "--listen", "127.0.0.1:0", "--namespace", &stage.own])
        .args(["--log", "warn", "--kubeconfig"])
        .arg(&kubeconfig)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let process = Process(child);
    until("the first decision shows", 60, || async { stage.status("a100").await.is_some() }).await;
    println!("start to first decision: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20));
    println!("memory after the lists: {} MiB", process.memory());
    load(&stage, &others, &process).await;
    reactions(&stage).await;
    println!("memory at the end: {} MiB", process.memory());
    assert!(process.memory() <= 150);
    drop(process);
    stage.end().await;
}

/// Fifty changes of pods a second for a minute.
async fn load(stage: &Stage, others: &str, process: &Process) {
    let (begun, cpu) = (Instant::now(), process.cpu());
    let pods: kube::Api<kube::api::DynamicObject> =
        kube::Api::namespaced_with(stage.client.clone(), others, &objects::pods());
    let mut changes = 0_u32;
    while begun.elapsed() < Duration::from_mins(1) {
        let number = changes as usize * 31 % PODS;
        let body = json!({ "metadata": { "labels": { "change": changes.to_string() } } });
        let params = kube::api::PatchParams::default();
        pods.patch(&format!("pod-{number:06}"), &params, &kube::api::Patch::Merge(body))
            .await
            .unwrap();
        changes += 1;
        let due = Duration::from_millis(20) * changes;
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
    }
    let share = (process.cpu() - cpu) / begun.elapsed().as_secs_f64();
    println!("{changes} changes of pods in a minute: {:.1} % of a core", share * 100.0);
    assert!(share <= 0.05, "{share}");
}

/// From a new pod to the raised replicas.
async fn reactions(stage: &Stage) {
    let mut took = Vec::new();
    for number in 0..20 {
        let before = stage.replicas("a100").await;
        stage.pod(&format!("train-{number}"), 8, None).await;
        let begun = Instant::now();
        while stage.replicas("a100").await == before {
            assert!(begun.elapsed() < Duration::from_secs(10), "no reaction");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    println!("pod to write: median {:?}, longest of 20 {:?}", took[10], took[19]);
    assert!(took[19] <= Duration::from_secs(1));
}
