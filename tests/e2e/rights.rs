//! A right is missing: whoever looks is told which verb on which resource.

use crate::stage::{Setup, Stage, Told, needs_embedded, until};
use prewarm::{embedded_api::Denied, live::gpu_pool::Mode};

async fn without(verb: &str, resource: &str) -> Stage {
    let mut setup = Setup::default().with_users(&["controller"]);
    setup.denied.insert("controller".to_owned(), vec![Denied::new(verb, resource)]);
    let stage = Stage::start(setup).await;
    stage.deployment("a100", (0, 5)).await;
    stage.pool("a100", Mode::Active).await;
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_patch_on_scale_the_condition_names_it_and_the_right_given_heals_it() {
    if !needs_embedded("denied rights") {
        return;
    }
    let stage = without("patch", "machinedeployments/scale").await;
    let controller = stage.controller_as("controller", Told::default());
    stage.pod("train", 8, None).await;
    until("the condition names it", 15, || async {
        let status = stage.status("a100").await.unwrap_or_default();
        let acting = status.conditions.into_iter().find(|one| one.kind == "Actuating");
        acting.is_some_and(|acting| {
            acting.status == "False"
                && acting.reason == "Forbidden"
                && acting.message.contains("patch")
                && acting.message.contains("machinedeployments/scale")
        })
    })
    .await;
    assert_eq!(stage.replicas("a100").await, 0);
    controller.stop().await;
    stage.end().await;
}

async fn unready_text(verb: &str, resource: &str, streaming: bool) -> String {
    let stage = without(verb, resource).await;
    stage.faults().streaming_lists(streaming);
    let controller = stage.controller_as("controller", Told::default());
    until("it says so", 15, || async {
        let (code, text) = controller.get("/readyz").await;
        code == 503 && text.contains("403")
    })
    .await;
    let (_, text) = controller.get("/readyz").await;
    let (alive, _) = controller.get("/livez").await;
    assert_eq!(alive, 200, "a missing right is no reason to restart");
    let (_, metrics) = controller.get("/metrics").await;
    assert!(metrics.contains("prewarm_watch_errors_total{"), "{metrics}");
    controller.stop().await;
    stage.end().await;
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_list_on_machines_it_is_not_ready_and_says_why() {
    if !needs_embedded("denied rights") {
        return;
    }
    let text = unready_text("list", "machines", false).await;
    assert!(text.contains("list") && text.contains("machines"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_watch_on_pools_it_is_not_ready_and_says_why() {
    if !needs_embedded("denied rights") {
        return;
    }
    let text = unready_text("watch", "gpupools", true).await;
    assert!(text.contains("watch") && text.contains("gpupools"), "{text}");
}
