//! What is written in which mode.

use crate::{
    stage::{Controller, Setup, Stage, Told, needs_embedded, stays, until},
    traces::{everything_left, foreign_writes, held},
};
use prewarm::{
    fleet::NodeTimes,
    live::{
        actuate::{ActuationSettings, Position},
        gpu_pool::Mode,
    },
    time::Millis,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shadow_and_advise_change_nothing_but_status_and_events() {
    if !needs_embedded("the log of writes") {
        return;
    }
    let stage = Stage::start(Setup::default().with_users(&["controller"])).await;
    stage.deployment("shadow", (0, 5)).await;
    stage.deployment("advise", (0, 5)).await;
    stage.pool("shadow", Mode::Shadow).await;
    stage.pool("advise", Mode::Advise).await;
    let before = foreign_writes(&stage, "controller").len();
    let controller = stage.controller_as("controller", Told { elect: true, ..Told::default() });
    for number in 0..6 {
        stage.pod(&format!("train-{number}"), 8, None).await;
    }
    until("both say what they would do", 20, || async {
        let mut said = 0;
        for pool in ["shadow", "advise"] {
            let status = stage.status(pool).await.unwrap_or_default();
            said += usize::from(status.target_replicas > 0);
        }
        said >= 1
    })
    .await;
    stays("nothing is written", 3, || async {
        foreign_writes(&stage, "controller").len() == before
    })
    .await;
    assert_eq!((stage.replicas("shadow").await, stage.replicas("advise").await), (0, 0));
    controller.stop().await;
    assert_eq!(foreign_writes(&stage, "controller"), Vec::<String>::new());
    stage.end().await;
}

/// Three nodes are coming and held; their drivers take a minute.
async fn three_held_nodes() -> (Stage, Controller) {
    let times = NodeTimes { warm_up: Millis::from_mins(1), ..Setup::default().times };
    let stage = Stage::start(Setup { times, ..Setup::default() }).await;
    stage.deployment("a100", (0, 5)).await;
    stage.pool("a100", Mode::Active).await;
    let controller = stage.controller(Told::default());
    stage.pods(3, None).await;
    until("three nodes are held", 20, || async { held(&stage).await == 3 }).await;
    (stage, controller)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_active_to_shadow_everything_is_taken_back_at_once() {
    let (stage, controller) = three_held_nodes().await;
    stage.set_mode("a100", Mode::Shadow).await;
    until("nothing of ours is left", 10, || async { everything_left(&stage).await.is_empty() })
        .await;
    assert_eq!(stage.replicas("a100").await, 3, "nodes that were asked for stay");
    stays("and nothing comes back", 2, || async { everything_left(&stage).await.is_empty() }).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_switch_bounds_all_pools_and_its_removal_lets_them_go_on() {
    let (stage, controller) = three_held_nodes().await;
    stage.switch("Shadow").await;
    until("nothing of ours is left", 10, || async { everything_left(&stage).await.is_empty() })
        .await;
    let acting = stage.condition("a100", "Actuating").await;
    assert_eq!(acting, Some(("False".to_owned(), "Shadow".to_owned())));
    stage.pod("more", 8, None).await;
    stays("nothing is asked for", 3, || async { stage.replicas("a100").await == 3 }).await;
    let maps = crate::stage::core("ConfigMap", "configmaps");
    let api: kube::Api<kube::api::DynamicObject> =
        kube::Api::namespaced_with(stage.client.clone(), &stage.own, &maps);
    api.delete(prewarm::live::watched::SWITCH, &Default::default()).await.unwrap();
    until("the fourth is asked for", 10, || async { stage.replicas("a100").await == 4 }).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_that_was_turned_before_the_start_is_obeyed_from_the_first_look() {
    if !needs_embedded("the log of writes") {
        return;
    }
    let stage = Stage::start(Setup::default().with_users(&["controller"])).await;
    stage.deployment("a100", (0, 5)).await;
    stage.pool("a100", Mode::Active).await;
    stage.switch("no such mode").await;
    stage.pods(2, None).await;
    let controller = stage.controller_as("controller", Told::default());
    until("the pool says so", 15, || async {
        let acting = stage.condition("a100", "Actuating").await;
        acting.is_some_and(|(_, reason)| reason == "Shadow")
    })
    .await;
    controller.stop().await;
    assert_eq!(foreign_writes(&stage, "controller"), Vec::<String>::new());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_tells_what_it_would_write_and_writes_none_of_it() {
    if !needs_embedded("the log of writes") {
        return;
    }
    let stage = Stage::start(Setup::default().with_users(&["controller"])).await;
    stage.deployment("a100", (0, 5)).await;
    stage.pool("a100", Mode::Active).await;
    let actuation = ActuationSettings { switch: Position::DryRun, ..ActuationSettings::default() };
    let controller = stage.controller_as("controller", Told { actuation, ..Told::default() });
    stage.pods(2, None).await;
    until("it tells", 15, || async {
        let (_, metrics) = controller.get("/metrics").await;
        metrics.contains("prewarm_writes_total{kind=\"scale\",result=\"dry_run\"}")
    })
    .await;
    controller.stop().await;
    assert_eq!(foreign_writes(&stage, "controller"), Vec::<String>::new());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_leaves_nothing_but_pools() {
    let (stage, controller) = three_held_nodes().await;
    controller.stop().await;
    assert_eq!(everything_left(&stage).await, Vec::<String>::new());
    assert_eq!(stage.replicas("a100").await, 3, "nodes that were asked for stay");
    stage.end().await;
}
