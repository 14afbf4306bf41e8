//! Pools that nobody declared.

use crate::stage::{Setup, Stage, Told, create, needs_embedded, stays, until};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject},
};
use prewarm::{
    fleet::{crds, jobs, objects},
    live::gpu_pool::Mode,
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gpu_deployment_of_cluster_autoscaler_gets_a_pool_in_shadow_that_goes_with_it() {
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("gpus", (0, 5)).await;
    let mut web = jobs::gpu_deployment(&stage.namespace, "web", 8, (0, 5));
    web["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !name.contains("gpu-"));
    web["spec"]["template"]["metadata"]["labels"] = json!({ "pool": "web" });
    create(&stage.client, &objects::deployments(), &stage.namespace, web).await;
    let controller = stage.controller(Told::default());
    until("the pool is there", 15, || async {
        stage.pools().get_opt("gpus").await.unwrap().is_some()
    })
    .await;
    let pool = stage.pools().get("gpus").await.unwrap();
    assert_eq!(pool.spec.mode, Mode::Shadow);
    let deployment = stage.objects(&objects::deployments()).get("gpus").await.unwrap();
    let owner = &pool.metadata.owner_references.unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), &owner.uid),
        ("MachineDeployment", &deployment.metadata.uid.unwrap())
    );
    stage.pods(2, None).await;
    until("it says what it would do", 15, || async {
        stage.status("gpus").await.unwrap_or_default().target_replicas == 2
    })
    .await;
    stays("and does nothing", 2, || async { stage.replicas("gpus").await == 0 }).await;
    assert!(stage.pools().get_opt("web").await.unwrap().is_none(), "no GPUs, no pool");
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_discovery_no_pool_is_made() {
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("gpus", (0, 5)).await;
    let controller = stage.controller(Told { discovery: false, ..Told::default() });
    until("it is ready", 15, || async { controller.get("/readyz").await.0 == 200 }).await;
    stays("no pool", 2, || async { stage.pools().get_opt("gpus").await.unwrap().is_none() }).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_our_definition_it_looks_on_and_works_once_that_is_there() {
    if !needs_embedded("a cluster without our definition") {
        return;
    }
    let stage = Stage::start(Setup::default()).await;
    let definitions: Api<DynamicObject> = Api::all_with(stage.client.clone(), &crds::definitions());
    definitions.delete("gpupools.prewarm.dev", &DeleteParams::default()).await.unwrap();
    stage.deployment("gpus", (0, 5)).await;
    let controller = stage.controller(Told::default());
    until("it is ready", 15, || async { controller.get("/readyz").await.0 == 200 }).await;
    until("it decides in shadow", 15, || async {
        let (_, metrics) = controller.get("/metrics").await;
        metrics.contains("prewarm_nodes_target{pool=")
    })
    .await;
    let fresh =
        serde_json::to_value(<prewarm::live::gpu_pool::GpuPool as kube::CustomResourceExt>::crd());
    create(&stage.client, &crds::definitions(), "", fresh.unwrap()).await;
    until("the pool is made", 60, || async {
        stage.pools().get_opt("gpus").await.ok().flatten().is_some()
    })
    .await;
    controller.stop().await;
    stage.end().await;
}
