//! Annotations that cluster-autoscaler cannot read: told, survived, and no other pool's business.

use crate::stage::{Setup, Stage, Told, stays, until};
use prewarm::live::gpu_pool::{GpuPoolSpec, Mode};
use serde_json::json;

const MIN: &str = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size";
const MAX: &str = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size";

async fn is_told_and_others_go_on(annotations: serde_json::Value) {
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("good", (0, 5)).await;
    stage.deployment("bad", (0, 5)).await;
    stage.annotate("bad", annotations).await;
    stage.pool("good", Mode::Active).await;
    stage.pool("bad", Mode::Active).await;
    let controller = stage.controller(Told::default());
    until("the bad one is told", 15, || async {
        let valid = stage.condition("bad", "SettingsValid").await;
        valid == Some(("False".to_owned(), "BadAnnotation".to_owned()))
    })
    .await;
    stage.pods(2, None).await;
    until("the good pool works", 15, || async { stage.replicas("good").await == 2 }).await;
    stays("the bad one stays as it is", 2, || async { stage.replicas("bad").await == 0 }).await;
    let valid = stage.condition("good", "SettingsValid").await;
    assert_eq!(valid.map(|(status, _)| status).as_deref(), Some("True"));
    stage.annotate("bad", json!({ MIN: "0", MAX: "5" })).await;
    until("once corrected all is well", 15, || async {
        stage.condition("bad", "SettingsValid").await.is_some_and(|(status, _)| status == "True")
    })
    .await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minimum_above_the_maximum() {
    is_told_and_others_go_on(json!({ MIN: "7", MAX: "3" })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_maximum_that_is_no_number() {
    is_told_and_others_go_on(json!({ MAX: "many" })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_negative_minimum() {
    is_told_and_others_go_on(json!({ MIN: "-1" })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_of_two_hundred_thousand_digits() {
    is_told_and_others_go_on(json!({ MAX: "9".repeat(200_000) })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_limits_contradict_the_group_is_told_and_stays_as_it_is() {
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("a100", (0, 3)).await;
    let mut spec = GpuPoolSpec { mode: Mode::Active, ..GpuPoolSpec::defaults() };
    spec.limits.min_replicas = Some(4);
    stage.pool_with("a100", spec).await;
    let controller = stage.controller(Told::default());
    until("it is told", 15, || async {
        let valid = stage.condition("a100", "SettingsValid").await;
        valid == Some(("False".to_owned(), "BadSetting".to_owned()))
    })
    .await;
    stage.pods(2, None).await;
    stays("nothing is asked for", 2, || async { stage.replicas("a100").await == 0 }).await;
    controller.stop().await;
    stage.end().await;
}
