//! Beside cluster-autoscaler (emulated, see `fleet::autoscaler`): nothing is bought twice, nothing is removed
//! that is wanted, and idle nodes still go.

use crate::{
    stage::{Setup, Stage, Told, core, needs_embedded, stays, until},
    traces::{everything_left, held, until_clean},
};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use prewarm::{
    fleet::{
        autoscaler::{AutoscalerSettings, status_map},
        objects::{self, annotation},
    },
    live::{
        actuate::ActuationSettings,
        gpu_pool::{Actuation, Backend, Mode},
    },
    time::Millis,
};
use serde_json::json;

const GPU: &str = "nvidia.com/gpu";
const POD_DELAY: &str = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay";
const MIN_SIZE: &str = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size";

fn beside(flags: AutoscalerSettings) -> Setup {
    Setup { autoscaler: Some(flags), ..Setup::fast(60.0) }
}

fn bought(stage: &Stage) -> u64 {
    stage.fleet.with_state(|state| state.autoscaler.bought).unwrap_or_default()
}

async fn delayed(stage: &Stage) -> usize {
    let pods = stage.objects(&objects::pods()).list(&Default::default()).await.unwrap();
    pods.iter().filter(|pod| annotation(pod, POD_DELAY).is_some()).count()
}

/// `Auto`, which is `Replicas` unless minimums are enforced.
fn auto() -> Actuation {
    Actuation::default()
}

async fn seen(stage: &Stage) -> Option<(String, String)> {
    stage.condition("a100", "AutoscalerSeen").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_it_buys_once_for_each_pod_and_removes_what_is_idle_down_to_the_minimum() {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = Stage::start(beside(AutoscalerSettings::default())).await;
    stage.deployment("a100", (1, 9)).await;
    // It does not count a node that is coming and that it did not ask for.
    let has_gpus = || async {
        stage.nodes().await.iter().any(|node| !node.data["status"]["allocatable"][GPU].is_null())
    };
    until("the node of the minimum is there", 20, has_gpus).await;
    stage.pods(3, Some(300.0)).await;
    until("all three run", 20, || async { stage.running(3).await == 3 }).await;
    assert_eq!((bought(&stage), stage.fleet.machines_made()), (2, 3));
    until("two idle nodes have gone", 40, || async { stage.nodes().await.len() == 1 }).await;
    stays("the minimum stays", 2, || async { stage.replicas("a100").await == 1 }).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_pods_are_hidden_from_it_so_that_nothing_is_bought_twice() {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = Stage::start(beside(AutoscalerSettings::default())).await;
    stage.deployment("a100", (0, 9)).await;
    stage.fast_pool("a100", Mode::Active, auto()).await;
    let controller = stage.controller(Told::default());
    until("it is seen", 10, || async {
        seen(&stage).await == Some(("True".to_owned(), "Running".to_owned()))
    })
    .await;
    stage.pods(3, Some(600.0)).await;
    until("all three pods are hidden", 10, || async { delayed(&stage).await == 3 }).await;
    until("new nodes are held", 10, || async { held(&stage).await == 3 }).await;
    until("all three run", 20, || async { stage.running(3).await == 3 }).await;
    assert_eq!((bought(&stage), stage.fleet.machines_made()), (0, 3));
    until("neither holds nor delays are left on what runs", 10, || async {
        held(&stage).await == 0 && delayed(&stage).await == 0
    })
    .await;
    until("it removes the idle nodes", 60, || async { stage.nodes().await.is_empty() }).await;
    assert_eq!((bought(&stage), stage.fleet.machines_made()), (0, 3));
    until_clean(&stage, 60).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_pods_may_not_be_hidden_it_buys_again_and_the_pool_says_so() {
    if !needs_embedded("fast motion") {
        return;
    }
    let stage = Stage::start(beside(AutoscalerSettings::default())).await;
    stage.deployment("a100", (0, 9)).await;
    stage.fast_pool("a100", Mode::Active, auto()).await;
    let actuation = ActuationSettings { delay_pods: false, ..ActuationSettings::default() };
    let controller = stage.controller(Told { actuation, ..Told::default() });
    until("it is seen", 10, || async { seen(&stage).await.is_some_and(|(is, _)| is == "True") })
        .await;
    stage.pods(3, None).await;
    until("the pool says so", 10, || async {
        let acting = stage.condition("a100", "Actuating").await;
        acting.is_some_and(|(_, reason)| reason == "AutoscalerMayBuyAgain")
    })
    .await;
    // For how many of them depends on who looks first: what Prewarm has asked for by then it counts as coming.
    until("it buys for the same pods", 10, || async { bought(&stage) > 0 }).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_floor_makes_it_buy_and_goes_when_the_controller_does() {
    if !needs_embedded("fast motion") {
        return;
    }
    let flags = AutoscalerSettings { enforces_min: true, ..AutoscalerSettings::default() };
    let stage = Stage::start(beside(flags)).await;
    stage.deployment("a100", (0, 2)).await;
    stage.fast_pool("a100", Mode::Active, Actuation { backend: Backend::Floor, ..auto() }).await;
    let controller = stage.controller(Told::default());
    until("it is seen", 10, || async { seen(&stage).await.is_some_and(|(is, _)| is == "True") })
        .await;
    stage.pods(3, None).await;
    let min = || async {
        let found = stage.objects(&objects::deployments()).get("a100").await.unwrap();
        annotation(&found, MIN_SIZE).map(str::to_owned)
    };
    until("the floor is raised to the maximum", 10, || async {
        min().await.as_deref() == Some("2")
    })
    .await;
    stays("and not above", 3, || async { min().await.as_deref() == Some("2") }).await;
    until("two nodes run", 20, || async {
        let phases = [stage.phase("train-0").await, stage.phase("train-1").await];
        phases.iter().all(|phase| phase == "Running")
    })
    .await;
    assert_eq!((bought(&stage), stage.fleet.machines_made()), (2, 2));
    controller.stop().await;
    assert_eq!(min().await.as_deref(), Some("0"), "the user's own minimum is back");
    assert_eq!(everything_left(&stage).await, Vec::<String>::new());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_nodes_are_held_until_the_hold_ends_and_then_removed() {
    if !needs_embedded("fast motion") {
        return;
    }
    let flags = AutoscalerSettings { idle: Millis::from_mins(1), ..AutoscalerSettings::default() };
    let stage = Stage::start(beside(flags)).await;
    stage.deployment("a100", (0, 9)).await;
    stage.fast_pool("a100", Mode::Active, auto()).await;
    let controller = stage.controller(Told::default());
    until("the pool is known", 10, || async { stage.status("a100").await.is_some() }).await;
    stage.pods(3, None).await;
    until("new nodes are held", 15, || async { held(&stage).await == 3 }).await;
    // Without the hold the node would go a minute after it registered.
    let pods = stage.objects(&objects::pods());
    pods.delete("train-0", &Default::default()).await.unwrap();
    until("two run", 20, || async { stage.phase("train-2").await == "Running" }).await;
    assert_eq!(stage.nodes().await.len(), 3, "the third is kept while it warms up");
    until("the third goes", 60, || async { stage.nodes().await.len() == 2 }).await;
    until_clean(&stage, 60).await;
    assert_eq!(stage.fleet.machines_made(), 3);
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_of_yesterday_counts_as_no_autoscaler() {
    if !needs_embedded("the namespace kube-system") {
        return;
    }
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("a100", (0, 9)).await;
    stage.pool("a100", Mode::Active).await;
    let yesterday = stage.clock.now() - Millis::from_hours(24);
    status_map(yesterday, &[], false).carry_out(&stage.client).await.unwrap();
    let controller = stage.controller(Told::default());
    until("it is called stale", 10, || async {
        seen(&stage).await == Some(("False".to_owned(), "Stale".to_owned()))
    })
    .await;
    stage.pods(3, None).await;
    until("nodes are asked for", 10, || async { stage.replicas("a100").await == 3 }).await;
    stays("no pod is hidden", 2, || async { delayed(&stage).await == 0 }).await;
    let maps: Api<DynamicObject> =
        Api::namespaced_with(stage.client.clone(), "kube-system", &core("ConfigMap", "configmaps"));
    let broken = json!({ "data": { "status": "a: [1" } });
    let name = "cluster-autoscaler-status";
    maps.patch(name, &PatchParams::default(), &Patch::Merge(broken)).await.unwrap();
    until("one that is no YAML is said too", 10, || async {
        seen(&stage).await == Some(("False".to_owned(), "Unreadable".to_owned()))
    })
    .await;
    controller.stop().await;
    stage.end().await;
}
