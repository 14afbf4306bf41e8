//! Nodes that do not come as they should: their driver hangs, half of their GPUs never show, they never
//! register, the provider refuses them.

use crate::stage::{Setup, Stage, Told, needs_embedded, stays, until};
use prewarm::{
    fleet::Fault,
    live::gpu_pool::{Actuation, Mode},
};

/// One pod, and first nodes with these faults.
async fn with_faults(speed: f64, faults: &[Fault]) -> Stage {
    let stage = Stage::start(Setup::fast(speed)).await;
    stage.deployment("a100", (0, 9)).await;
    stage.fast_pool("a100", Mode::Active, Actuation::default()).await;
    stage.fleet.next_machines_fail(faults.iter().copied());
    stage
}

/// The one pod runs on the second Machine, and no third is ever made.
async fn replaced_once(faults: &[Fault]) {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = with_faults(120.0, faults).await;
    let controller = stage.controller(Told::default());
    stage.pod("train", 8, None).await;
    until("a second Machine is made", 60, || async { stage.fleet.machines_made() == 2 }).await;
    until("the pod runs", 30, || async { stage.phase("train").await == "Running" }).await;
    stays("no third Machine in half an hour", 15, || async { stage.fleet.machines_made() == 2 })
        .await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_driver_hangs_is_replaced_once() {
    replaced_once(&[Fault::DriverStuck]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stays_half_warm_is_replaced_once() {
    replaced_once(&[Fault::HalfForEver]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_never_registers_is_replaced_once() {
    replaced_once(&[Fault::NeverRegisters]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_machines_are_asked_for_again_with_pauses_that_the_pool_tells() {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = with_faults(120.0, &[Fault::CreationFails; 40]).await;
    let controller = stage.controller(Told::default());
    stage.pod("train", 8, None).await;
    until("a first Machine has failed and the pool tells of the pause", 30, || async {
        stage.condition("a100", "Limited").await.is_some_and(|(status, _)| status == "True")
    })
    .await;
    // Half an hour: without a pause there would be one a minute.
    tokio::time::sleep(std::time::Duration::from_secs(15)).await;
    let made = stage.fleet.machines_made();
    println!("machines made for one pod in half an hour of refusals: {made}");
    assert!((2..=8).contains(&made), "{made}");
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_during_warm_up_buys_for_the_new_pods_only() {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = with_faults(60.0, &[]).await;
    let controller = stage.controller(Told::default());
    stage.pods(2, None).await;
    until("the first two nodes have registered", 15, || async { stage.nodes().await.len() == 2 })
        .await;
    for number in 0..3 {
        stage.pod(&format!("burst-{number}"), 8, None).await;
    }
    until("three more are asked for", 10, || async { stage.replicas("a100").await == 5 }).await;
    until("all run", 20, || async {
        stage.running(2).await == 2 && stage.phase("burst-2").await == "Running"
    })
    .await;
    assert_eq!((stage.replicas("a100").await, stage.fleet.machines_made()), (5, 5));
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_node_is_told() {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = with_faults(120.0, &[Fault::DriverStuck]).await;
    let controller = stage.controller(Told::default());
    stage.pod("train", 8, None).await;
    until("metrics count it", 60, || async {
        let (_, metrics) = controller.get("/metrics").await;
        metrics.lines().any(|line| line.starts_with("prewarm_nodes_stuck{") && line.ends_with(" 1"))
    })
    .await;
    until("the pool says it", 10, || async {
        let status = stage.status("a100").await.unwrap_or_default();
        let said = |text: &str| text.contains("stuck") || text.contains("too long");
        status.conditions.iter().any(|condition| said(&condition.message))
    })
    .await;
    controller.stop().await;
    stage.end().await;
}
