//! Pods wait, nodes are bought: once, and enough.

use crate::stage::{Setup, Stage, Told, stays, until};
use prewarm::{
    fleet::{NodeTimes, objects},
    live::gpu_pool::Mode,
    time::Millis,
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_pod_gets_its_node_within_a_second_of_asking_and_only_one() {
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("a100", (0, 5)).await;
    stage.pool("a100", Mode::Active).await;
    let controller = stage.controller(Told::default());
    until("the pool is known", 10, || async { stage.status("a100").await.is_some() }).await;
    stage.pod("train", 8, None).await;
    let asked = std::time::Instant::now();
    until("replicas are raised", 5, || async { stage.replicas("a100").await == 1 }).await;
    println!("pod created to replicas raised: {:?}", asked.elapsed());
    until("the pod runs", 30, || async { stage.phase("train").await == "Running" }).await;
    stays("one node is enough", 2, || async { stage.replicas("a100").await == 1 }).await;
    assert_eq!(stage.fleet.machines_made(), 1);
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nine_pods_share_two_pools_when_the_first_is_full() {
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("a", (0, 5)).await;
    stage.deployment("b", (0, 5)).await;
    stage.pool("a", Mode::Active).await;
    stage.pool("b", Mode::Active).await;
    let controller = stage.controller(Told::default());
    for number in 0..9 {
        stage.pod(&format!("train-{number}"), 8, None).await;
    }
    until("all nine run", 40, || async {
        let mut running = 0;
        for number in 0..9 {
            running += u32::from(stage.phase(&format!("train-{number}")).await == "Running");
        }
        running == 9
    })
    .await;
    assert_eq!(stage.replicas("a").await + stage.replicas("b").await, 9);
    assert_eq!(stage.fleet.machines_made(), 9);
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_bought_twice_while_nodes_warm_up() {
    let times = NodeTimes { warm_up: Millis::from_secs(6), ..Setup::default().times };
    let stage = Stage::start(Setup { times, ..Setup::default() }).await;
    stage.deployment("a100", (0, 9)).await;
    stage.pool("a100", Mode::Active).await;
    let controller = stage.controller(Told::default());
    for number in 0..3 {
        stage.pod(&format!("train-{number}"), 8, None).await;
    }
    until("three nodes are asked for", 10, || async { stage.replicas("a100").await == 3 }).await;
    stays("and never more", 8, || async { stage.replicas("a100").await <= 3 }).await;
    until("all run", 30, || async { stage.phase("train-2").await == "Running" }).await;
    assert_eq!(stage.fleet.machines_made(), 3);
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_without_the_accelerator_label_are_counted_by_their_gpus() {
    let times = NodeTimes { half_at_permille: 500, ..Setup::default().times };
    let setup = Setup { times, label_accelerator: false, ..Setup::default() };
    let stage = Stage::start(setup).await;
    stage.deployment("a100", (0, 9)).await;
    stage.pool("a100", Mode::Active).await;
    let controller = stage.controller(Told::default());
    // Two halves of one node: the first four GPUs come earlier.
    stage.pod("first", 4, None).await;
    stage.pod("second", 4, None).await;
    until("both run", 30, || async {
        stage.phase("first").await == "Running" && stage.phase("second").await == "Running"
    })
    .await;
    assert_eq!(stage.fleet.machines_made(), 1);
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_rolling_out_and_topology_owned_deployments_are_left_alone_and_said_so() {
    let stage = Stage::start(Setup::default()).await;
    for name in ["paused", "owned"] {
        stage.deployment(name, (0, 5)).await;
    }
    stage.annotate("paused", json!({ "cluster.x-k8s.io/paused": "" })).await;
    let labels = json!({ "metadata": { "labels": { "topology.cluster.x-k8s.io/owned": "" } } });
    let params = kube::api::PatchParams::default();
    let deployments = stage.objects(&objects::deployments());
    deployments.patch("owned", &params, &kube::api::Patch::Merge(labels)).await.unwrap();
    stage.pool("paused", Mode::Active).await;
    stage.pool("owned", Mode::Active).await;
    let controller = stage.controller(Told::default());
    stage.pod("train", 8, None).await;
    stage.pod("train-2", 8, None).await;
    until("the conditions say why", 10, || async {
        let paused = stage.condition("paused", "Actuating").await;
        let owned = stage.condition("owned", "Actuating").await;
        let words = [paused, owned];
        words[0].as_ref().is_some_and(|(status, reason)| status == "False" && reason == "Paused")
            || words[1].as_ref().is_some_and(|(_, reason)| reason == "TopologyOwned")
    })
    .await;
    assert_eq!((stage.replicas("paused").await, stage.replicas("owned").await), (0, 0));
    controller.stop().await;
    stage.end().await;
}
