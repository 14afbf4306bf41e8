//! Nodes go: by us, step by step, or by cluster-autoscaler once our hold is released.

use crate::{
    stage::{Setup, Stage, Told, needs_embedded, until},
    traces::{foreign_writes, held, until_clean},
};
use prewarm::{
    embedded_api::Verdict,
    fleet::jobs,
    live::gpu_pool::{Actuation, Backend, Mode, ScaleDownBy},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

const BY_US: Actuation = Actuation { backend: Backend::Replicas, scale_down: ScaleDownBy::Prewarm };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_node_is_cordoned_marked_and_removed_in_this_order() {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = Stage::start(Setup::fast(60.0).with_users(&["controller"])).await;
    stage.deployment("a100", (0, 5)).await;
    stage.fast_pool("a100", Mode::Active, BY_US).await;
    let controller = stage.controller_as("controller", Told::default());
    stage.pods(2, Some(120.0)).await;
    until("both nodes are asked for", 10, || async { stage.replicas("a100").await == 2 }).await;
    until("and go when idle", 90, || async {
        stage.replicas("a100").await == 0 && stage.nodes().await.is_empty()
    })
    .await;
    let writes = foreign_writes(&stage, "controller");
    let place = |what: &str| writes.iter().rposition(|write| write.starts_with(what)).unwrap();
    let node = "patch nodes/ a100-00001";
    assert!(place(node) < place("patch machines/ a100-00001"), "{writes:#?}");
    assert!(place("patch machines/") < place("patch machinedeployments/scale"), "{writes:#?}");
    assert_eq!(stage.fleet.machines_made(), 2);
    until_clean(&stage, 60).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_comes_between_cordon_and_removal_gets_the_node_back() {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = Stage::start(Setup::fast(60.0).with_users(&["controller"])).await;
    stage.deployment("a100", (0, 5)).await;
    stage.fast_pool("a100", Mode::Active, BY_US).await;
    // The mark fails until the pod is there: so the node stays cordoned.
    let may_mark = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&may_mark);
    stage.faults().before_write(move |write| {
        let is_mark = write.user == "controller" && write.resource == "machines";
        if is_mark && !shared.load(Ordering::SeqCst) {
            Verdict::Refuse(500)
        } else {
            Verdict::Allow
        }
    });
    let controller = stage.controller_as("controller", Told::default());
    stage.pods(1, Some(120.0)).await;
    let is_cordoned = || async {
        let nodes = stage.nodes().await;
        nodes.iter().any(|node| node.data["spec"]["unschedulable"] == true)
    };
    until("the idle node is cordoned", 90, is_cordoned).await;
    stage.pod("late", 8, None).await;
    until("the node is given back", 20, || async { !is_cordoned().await }).await;
    may_mark.store(true, Ordering::SeqCst);
    until("the late pod runs", 30, || async { stage.phase("late").await == "Running" }).await;
    assert_eq!((stage.replicas("a100").await, stage.fleet.machines_made()), (1, 1));
    until_clean(&stage, 60).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_removes_nodes_the_pool_says_so() {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = Stage::start(Setup::fast(60.0)).await;
    stage.deployment("a100", (0, 5)).await;
    let by_autoscaler = Actuation { scale_down: ScaleDownBy::ClusterAutoscaler, ..BY_US };
    stage.fast_pool("a100", Mode::Active, by_autoscaler).await;
    let controller = stage.controller(Told::default());
    stage.pods(1, Some(120.0)).await;
    until("the pool says so", 90, || async {
        let acting = stage.condition("a100", "Actuating").await;
        acting.is_some_and(|(_, reason)| reason == "NobodyRemoves")
    })
    .await;
    assert_eq!(held(&stage).await, 0, "the hold is released all the same");
    assert_eq!(stage.replicas("a100").await, 1);
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_pod_of_others_without_gpus_is_not_removed() {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = Stage::start(Setup::fast(60.0)).await;
    stage.deployment("a100", (0, 5)).await;
    stage.fast_pool("a100", Mode::Active, BY_US).await;
    let controller = stage.controller(Told::default());
    stage.pods(2, Some(300.0)).await;
    until("both run", 20, || async { stage.running(2).await == 2 }).await;
    let job = stage.objects(&prewarm::fleet::objects::pods()).get("train-0").await.unwrap();
    let node = job.data["spec"]["nodeName"].as_str().unwrap().to_owned();
    let mut pod = jobs::gpu_pod(&stage.namespace, "web", 8, None);
    pod["spec"]["containers"][0]["resources"] = serde_json::json!({});
    pod["spec"]["nodeName"] = node.clone().into();
    crate::stage::create(&stage.client, &prewarm::fleet::objects::pods(), &stage.namespace, pod)
        .await;
    until("the other node goes", 90, || async { stage.nodes().await.len() == 1 }).await;
    crate::stage::stays("this one stays", 5, || async {
        stage.nodes().await.iter().any(|one| one.metadata.name.as_ref() == Some(&node))
    })
    .await;
    controller.stop().await;
    stage.end().await;
}
