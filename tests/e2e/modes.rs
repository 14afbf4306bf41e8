//! What is written in which mode.

use crate::stage::{Setup, Stage, Told, needs_embedded, stays, until};
use prewarm::live::gpu_pool::Mode;

/// Writes of the controller that are not its own status, Events, Lease, ConfigMap or discovered pools.
fn foreign_writes(stage: &Stage) -> Vec<String> {
    let writes = stage.faults().writes();
    let of_controller = writes.iter().filter(|write| write.user == "controller");
    of_controller
        .filter(|write| match write.resource.as_str() {
            "gpupools" => write.subresource != "status" && write.verb != "create",
            "events" | "leases" | "configmaps" => false,
            _ => true,
        })
        .map(|write| {
            format!("{} {}/{} {}", write.verb, write.resource, write.subresource, write.name)
        })
        .collect()
}

fn two_users() -> Setup {
    let tokens = [("fleet-token", "fleet"), ("controller-token", "controller")];
    let tokens = tokens.map(|(token, user)| (token.to_owned(), user.to_owned()));
    Setup { tokens: tokens.into(), ..Setup::default() }
}

async fn controller_of(stage: &Stage, told: Told) -> crate::stage::Controller {
    let url = stage.api.as_ref().unwrap().url();
    let config = crate::stage::config_for(&url, Some("controller-token")).await;
    stage.controller_with(config, told).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shadow_and_advise_change_nothing_but_status_and_events() {
    if !needs_embedded("the log of writes") {
        return;
    }
    let stage = Stage::start(two_users()).await;
    stage.deployment("shadow", (0, 5)).await;
    stage.deployment("advise", (0, 5)).await;
    stage.pool("shadow", Mode::Shadow).await;
    stage.pool("advise", Mode::Advise).await;
    let before = foreign_writes(&stage).len();
    let controller = controller_of(&stage, Told { elect: true, ..Told::default() }).await;
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
    stays("nothing is written", 3, || async { foreign_writes(&stage).len() == before }).await;
    assert_eq!((stage.replicas("shadow").await, stage.replicas("advise").await), (0, 0));
    controller.stop().await;
    assert_eq!(foreign_writes(&stage), Vec::<String>::new());
    stage.end().await;
}
