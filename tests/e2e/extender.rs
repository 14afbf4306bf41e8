//! The extender at work: a scheduler asks it as kube-scheduler does, a controller or a sidecar answers.

use crate::stage::{Setup, Stage, Told, http_get, needs_embedded, stays, until};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use prewarm::{
    extender::Policy,
    fleet::{
        extender::{ExtenderAt, request},
        jobs, objects,
    },
    live::{
        clock::Clock,
        extender::{EVERY, ExtenderSettings, Settings, sidecar},
        gpu_pool::Mode,
    },
    time::Millis,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn settings(listen: &str, policy: Policy) -> ExtenderSettings {
    let (policy, limits) = (policy.into(), Settings::default());
    ExtenderSettings { listen: listen.to_owned(), policy, tls: None, look_every: EVERY, limits }
}

/// A stage whose scheduler asks `address` and waits for its answers.
async fn stage(address: &str) -> Stage {
    let extender = ExtenderAt { address: address.to_owned(), is_ignorable: false };
    let setup =
        Setup { extender: Some(extender), step: Duration::from_millis(10), ..Setup::default() };
    Stage::start(setup).await
}

/// The name of the one node once all its GPUs are allocatable.
async fn ready_node(stage: &Stage) -> String {
    until("a node has its GPUs", 30, || async {
        let nodes = stage.nodes().await;
        nodes.iter().any(|node| node.data["status"]["allocatable"]["nvidia.com/gpu"] == "8")
    })
    .await;
    objects::name(&stage.nodes().await[0]).to_owned()
}

async fn patch_node(stage: &Stage, name: &str, body: Value) {
    let nodes: Api<DynamicObject> = Api::all_with(stage.client.clone(), &objects::nodes());
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(body)).await.unwrap();
}

async fn patch_node_status(stage: &Stage, name: &str, body: Value) {
    let nodes: Api<DynamicObject> = Api::all_with(stage.client.clone(), &objects::nodes());
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(body)).await.unwrap();
}

async fn is_bound(stage: &Stage, pod: &str) -> bool {
    let found = stage.objects(&objects::pods()).get_opt(pod).await.unwrap();
    found.is_some_and(|pod| pod.data["spec"]["nodeName"].is_string())
}

/// Why a pod has no node, as the scheduler wrote it.
async fn message(stage: &Stage, pod: &str) -> String {
    let found = stage.objects(&objects::pods()).get(pod).await.unwrap();
    found.data["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned()
}

/// Whether there is an Event for this reason about the pod.
async fn is_told(stage: &Stage, pod: &str, reason: &str) -> bool {
    let kind = kube::core::GroupVersionKind::gvk("", "v1", "Event");
    let events = kube::api::ApiResource::from_gvk_with_plural(&kind, "events");
    let events = stage.objects(&events).list(&ListParams::default()).await.unwrap();
    events.items.iter().any(|event| {
        objects::text(event, "/reason") == reason
            && objects::text(event, "/involvedObject/name") == pod
    })
}

/// How long until the pod has a node, at most ten seconds.
async fn time_to_bind(stage: &Stage, pod: &str) -> Duration {
    let begun = Instant::now();
    until("the pod has a node", 10, || is_bound(stage, pod)).await;
    begun.elapsed()
}

async fn metric(controller: &crate::stage::Controller, start: &str) -> String {
    let (_, text) = controller.get("/metrics").await;
    text.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_keeps_squatters_off_and_lets_pods_in_when_the_driver_is_there() {
    let address = free_address();
    let stage = stage(&address).await;
    stage.deployment("a100", (1, 2)).await;
    stage.pool("a100", Mode::Active).await;
    let extender = Some(settings(&address, Policy::default()));
    let controller = stage.controller(Told { extender, ..Told::default() });
    let node = ready_node(&stage).await;

    // Nothing asks for a GPU: no node for it, and the reason stands in its condition.
    stage.pod("squatter", 0, None).await;
    until("the squatter is refused", 10, || async {
        message(&stage, "squatter").await.contains("1 pod requests no GPU")
    })
    .await;

    // The operator is at work: the pod waits, although eight GPUs are allocatable.
    let upgrade =
        |to: &str| json!({"metadata": {"labels": {"nvidia.com/gpu-driver-upgrade-state": to}}});
    patch_node(&stage, &node, upgrade("validation-required")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.pod("train", 8, None).await;
    stays("the pod waits", 2, || async { !is_bound(&stage, "train").await }).await;
    assert!(message(&stage, "train").await.contains("GPU driver upgrade in progress"));
    let key = format!("{}/train", stage.namespace);
    let (code, told) = http_get(&address, &format!("/explain?pod={key}&node={node}"));
    assert_eq!(code, 200, "{told}");
    assert!(told.contains("GPU driver upgrade in progress"), "{told}");
    patch_node(&stage, &node, upgrade("upgrade-done")).await;
    let took = time_to_bind(&stage, "train").await;
    println!("bound {took:?} after the driver was done");
    assert!(took < Duration::from_secs(1), "{took:?}");
    stays("the squatter waits", 1, || async { !is_bound(&stage, "squatter").await }).await;

    let verdicts = metric(&controller, "prewarm_extender_verdicts_total").await;
    assert!(verdicts.contains("pod requests no GPU") && verdicts.contains("pass"), "{verdicts}");
    let requests = metric(&controller, "prewarm_extender_requests_total").await;
    assert!(requests.contains("verb=\"filter\",result=\"ok\""), "{requests}");
    controller.stop().await;
    assert_eq!(http_get(&address, "/explain?pod=x").0, 0, "it has closed");
    stage.end().await;
}

/// The doubt after a reboot ends by time: no event of the cluster tells, the controller touches the Node. In
/// Shadow it does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_time_alone_opens_is_touched_in_active_only() {
    for mode in [Mode::Active, Mode::Shadow] {
        let address = free_address();
        let stage = stage(&address).await;
        stage.deployment("a100", (1, 1)).await;
        stage.pool("a100", mode).await;
        let policy = Policy { reboot_doubt: Millis::from_secs(4), ..Policy::default() };
        let extender = Some(settings(&address, policy));
        let controller = stage.controller(Told { extender, ..Told::default() });
        let node = ready_node(&stage).await;
        let boot = |id: &str| json!({"status": {"nodeInfo": {"bootID": id}}});
        patch_node_status(&stage, &node, boot("first")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        patch_node_status(&stage, &node, boot("second")).await;
        let rebooted = Instant::now();
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.pod("train", 8, None).await;
        until("the pod is refused", 3, || async {
            message(&stage, "train").await.contains("GPU state not confirmed after a reboot")
        })
        .await;
        let nudges = || metric(&controller, "prewarm_extender_nudges_total");
        if mode == Mode::Active {
            until("the pod has a node", 10, || is_bound(&stage, "train")).await;
            let late = rebooted.elapsed().saturating_sub(Duration::from_secs(4));
            println!("bound {late:?} after the end of the doubt");
            assert!(late < Duration::from_secs(1), "{late:?}");
            assert!(nudges().await.contains("done"), "{}", nudges().await);
            let touched = &stage.nodes().await[0];
            assert!(objects::annotation(touched, "prewarm.dev/nudged-at").is_some());
            until("the pod is told", 5, || is_told(&stage, "train", "NodeOpenAgain")).await;
        } else {
            stays("the pod waits", 6, || async { !is_bound(&stage, "train").await }).await;
            assert!(nudges().await.contains("not_active"), "{}", nudges().await);
            let stranded = metric(&controller, "prewarm_extender_stranded_pods").await;
            assert!(stranded.ends_with(" 1"), "{stranded}");
        }
        controller.stop().await;
        stage.end().await;
    }
}

/// Two nodes, with three and five GPUs free, jobs of 3 to come. On nodes that stay a job of one GPU leaves the three
/// alone. The pool may have two to three nodes, so its nodes come and go, and the fuller one is filled up, unless
/// the nodes themselves say that they stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_fills_up_the_nodes_of_a_pool_that_is_scaled() {
    let address = free_address();
    let stage = stage(&address).await;
    stage.deployment("a100", (2, 3)).await;
    stage.pool("a100", Mode::Shadow).await;
    let is_ready =
        |node: &DynamicObject| node.data["status"]["allocatable"]["nvidia.com/gpu"] == "8";
    until("both nodes have their GPUs", 30, || async {
        stage.nodes().await.iter().filter(|node| is_ready(node)).count() == 2
    })
    .await;
    let nodes = stage.nodes().await;
    let (fuller, other) = (objects::name(&nodes[0]), objects::name(&nodes[1]));
    for (pod, gpus, node) in [("a", 3, fuller), ("b", 2, fuller), ("c", 3, other)] {
        let mut body = jobs::gpu_pod(&stage.namespace, pod, gpus, None);
        body["spec"]["nodeName"] = json!(node);
        let pod: DynamicObject = serde_json::from_value(body).unwrap();
        stage.objects(&objects::pods()).create(&PostParams::default(), &pod).await.unwrap();
    }
    let extender = Some(settings(&address, Policy::default()));
    let controller = stage.controller(Told { extender, ..Told::default() });
    // It fits nowhere and waits, so that it can be explained.
    stage.pod("huge", 9, None).await;
    let say = async |word: Value| {
        for node in [fuller, other] {
            let body = json!({"metadata": {"labels": {"prewarm.dev/elastic": word}}});
            patch_node(&stage, node, body).await;
        }
    };
    let told = async |by: &str| {
        let told = |node| {
            http_get(&address, &format!("/explain?pod={}/huge&node={node}", stage.namespace))
        };
        let is_told =
            |(code, text): (u16, String)| code == 200 && text.contains(&format!("\"by\":\"{by}\""));
        until(by, 10, || async { [fuller, other].into_iter().all(|node| is_told(told(node))) })
            .await;
    };
    let place = async |pod: &str| {
        stage.pod(pod, 1, None).await;
        until("the pod has a node", 10, || is_bound(&stage, pod)).await;
        let found = stage.objects(&objects::pods()).get(pod).await.unwrap();
        found.data["spec"]["nodeName"].as_str().unwrap().to_owned()
    };
    say(json!("false")).await;
    told("node").await;
    assert_eq!(place("first").await, other);
    say(Value::Null).await;
    told("controller").await;
    assert_eq!(place("second").await, fuller);
    controller.stop().await;
    stage.end().await;
}

/// Without a controller: answers, metrics, health, an end in good order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_answers_packs_and_tells_of_itself() {
    if !needs_embedded("a_sidecar_answers_packs_and_tells_of_itself") {
        return;
    }
    let (address, health) = (free_address(), free_address());
    let stage = stage(&address).await;
    stage.deployment("a100", (2, 2)).await;
    ready_node(&stage).await;
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let (client, settings) = (stage.client.clone(), settings(&address, Policy::default()));
        let (health, stop) = (health.clone(), stop.clone());
        async move { sidecar::run(&client, settings, &health, Clock::system(), stop).await }
    });
    until("it is ready", 10, || async { http_get(&health, "/readyz").0 == 200 }).await;
    assert_eq!(http_get(&health, "/livez").0, 200);
    for pod in 0..2 {
        stage.pod(&format!("train-{pod}"), 4, None).await;
    }
    until("both run", 20, || async { stage.running(2).await == 2 }).await;
    let on = async |pod: &str| {
        let found = stage.objects(&objects::pods()).get(pod).await.unwrap();
        found.data["spec"]["nodeName"].as_str().unwrap().to_owned()
    };
    assert_eq!(on("train-0").await, on("train-1").await, "packed onto one node");
    let (_, metrics) = http_get(&health, "/metrics");
    for name in [
        "prewarm_build_info",
        "prewarm_extender_requests_total",
        "prewarm_extender_seconds_bucket",
        "prewarm_extender_verdicts_total",
        "prewarm_extender_snapshot_age_seconds",
        "prewarm_extender_stranded_pods",
        "prewarm_extender_nodes 2",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name}:\n{metrics}");
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(6), task).await.unwrap().unwrap().unwrap();
    assert_eq!(http_get(&address, "/explain?pod=x").0, 0);
    stage.end().await;
}

/// What the fleet's scheduler sends is what kube-scheduler was recorded to send.
#[test]
fn requests_are_as_recorded() {
    let beside = || std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    let folder = std::env::var_os("PREWARM_FIXTURES").map_or_else(beside, Into::into);
    for verb in ["filter", "prioritize"] {
        let file = |kind: &str| folder.join(format!("extender/ncc-true/v1_{verb}.1.{kind}"));
        let Ok(recorded) = std::fs::read_to_string(file("request.json")) else {
            println!("skipped: no recordings (PREWARM_FIXTURES names the folder)");
            return;
        };
        let recorded: Value = serde_json::from_str(&recorded).unwrap();
        let mut pod = recorded["Pod"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        let pod: DynamicObject = serde_json::from_value(pod).unwrap();
        let names: Vec<String> = serde_json::from_value(recorded["NodeNames"].clone()).unwrap();
        let headers = std::fs::read_to_string(file("headers.txt")).unwrap();
        let host = headers.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap().trim();
        let sent = request(host, &format!("/v1/{verb}"), &pod, &names);
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        let is_length = |line: &&str| line.starts_with("Content-Length: ");
        let lines = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !is_length(line) && !line.trim().is_empty());
            lines.map(|line| line.trim().to_owned()).collect()
        };
        assert_eq!(lines(head), lines(&headers));
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), recorded);
    }
}
