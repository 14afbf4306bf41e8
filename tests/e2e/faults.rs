//! Things go wrong: in the API, in the fleet, in the controller itself.

use crate::stage::{Setup, Stage, Told, needs_embedded, stays, until};
use prewarm::{fleet::Fault, live::gpu_pool::Mode};
use std::time::Duration;

async fn one_pool(setup: Setup) -> Stage {
    let stage = Stage::start(setup).await;
    stage.deployment("a100", (0, 9)).await;
    stage.pool("a100", Mode::Active).await;
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_conflicts_delays_and_does_not_double() {
    if !needs_embedded("conflicts on order") {
        return;
    }
    let stage = one_pool(Setup::default()).await;
    stage.faults().refuse_every(2, 409, &["machinedeployments"]);
    let controller = stage.controller(Told::default()).await;
    for number in 0..4 {
        stage.pod(&format!("train-{number}"), 8, None).await;
    }
    until("all four nodes are asked for", 20, || async { stage.replicas("a100").await == 4 }).await;
    stays("and no more", 3, || async { stage.replicas("a100").await == 4 }).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_watches_forgotten_history_and_a_pause_of_the_api_lose_nothing() {
    if !needs_embedded("cut watches") {
        return;
    }
    let stage = one_pool(Setup::default()).await;
    let controller = stage.controller(Told::default()).await;
    until("the pool is known", 10, || async { stage.status("a100").await.is_some() }).await;
    stage.faults().compact();
    stage.faults().cut_watches();
    stage.pod("first", 8, None).await;
    until("replicas are raised", 20, || async { stage.replicas("a100").await == 1 }).await;
    stage.faults().down(true);
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.faults().down(false);
    stage.pod("second", 8, None).await;
    until("replicas are raised again", 90, || async { stage.replicas("a100").await == 2 }).await;
    stays("and no more", 3, || async { stage.replicas("a100").await == 2 }).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_cannot_be_made_is_said_and_its_pod_is_not_forgotten() {
    let stage = one_pool(Setup::default()).await;
    stage.fleet.next_machines_fail([Fault::CreationFails]);
    let controller = stage.controller(Told::default()).await;
    stage.pod("train", 8, None).await;
    until("the pool pauses after the refusal", 30, || async {
        let limited = stage.condition("a100", "Limited").await;
        limited.is_some_and(|(status, _)| status == "True") || stage.replicas("a100").await == 2
    })
    .await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_never_both_act_and_the_second_takes_over_within_fifteen_seconds() {
    let stage = one_pool(Setup::default()).await;
    let told = |name: &str| Told { identity: name.to_owned(), elect: true, ..Told::default() };
    let first = stage.controller(told("first")).await;
    until("the first leads", 20, || async { stage.status("a100").await.is_some() }).await;
    let second = stage.controller(told("second")).await;
    first.kill();
    let killed = std::time::Instant::now();
    stage.pod("train", 8, None).await;
    until("the second acts", 25, || async { stage.replicas("a100").await == 1 }).await;
    println!("killed leader to first write of the next: {:?}", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(17), "{:?}", killed.elapsed());
    stays("once", 3, || async { stage.replicas("a100").await == 1 }).await;
    second.stop().await;
    stage.end().await;
}
