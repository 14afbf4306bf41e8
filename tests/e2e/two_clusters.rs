//! Pods and Nodes in one cluster, Cluster API and our own objects in another.

use crate::stage::{Setup, Stage, Told, config_for, core, create, needs_embedded, stays, until};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};
use prewarm::{
    embedded_api::{EmbeddedApi, Options},
    fleet::{jobs, objects},
    live::gpu_pool::Mode,
};
use serde_json::{Value, json};
use std::sync::Arc;

const NAMESPACE: &str = "research";

/// The Node of a Machine of the other cluster, with all its GPUs.
fn node_of(machine: &DynamicObject) -> Value {
    let amounts = json!({ "cpu": "96", "memory": "1152Gi", "pods": "110", "nvidia.com/gpu": "8" });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": "gpu-node", "labels": { "cluster-api/accelerator": "a100" } },
        "spec": { "providerID": objects::text(machine, "/spec/providerID") },
        "status": { "capacity": amounts, "allocatable": amounts, "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": machine.metadata.creation_timestamp },
        ] },
    })
}

async fn all(client: &Client, resource: &kube::api::ApiResource) -> Vec<DynamicObject> {
    let api = Api::<DynamicObject>::all_with(client.clone(), resource);
    api.list(&ListParams::default()).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_of_the_one_raise_replicas_in_the_other_and_each_gets_only_what_is_its_own() {
    if !needs_embedded("a second cluster") {
        return;
    }
    // The fleet plays Cluster API in the management cluster.
    let management = Stage::start(Setup::default()).await;
    management.deployment("a100", (0, 5)).await;
    management.pool("a100", Mode::Active).await;
    let clock = management.clock;
    let workload = EmbeddedApi::start(Options::new(Arc::new(move || clock.civil()))).await.unwrap();
    let config = config_for(&workload.url(), None);
    let client = Client::try_from(config.clone()).unwrap();
    create(&client, &core("Namespace", "namespaces"), "", jobs::namespace(NAMESPACE)).await;
    let controller =
        management.controller_of(management.config.clone(), Some(config), Told::default());
    let pod = jobs::gpu_pod(NAMESPACE, "train", 8, None);
    create(&client, &objects::pods(), NAMESPACE, pod).await;
    until("a node is asked for", 15, || async { management.replicas("a100").await == 1 }).await;
    stays("and only one", 2, || async { management.replicas("a100").await == 1 }).await;

    let machines = || async { all(&management.client, &objects::machines()).await };
    until("the Machine has its provider id", 15, || async {
        machines().await.iter().any(|one| !objects::text(one, "/spec/providerID").is_empty())
    })
    .await;
    let node = node_of(&machines().await[0]);
    create(&client, &objects::nodes(), "", node).await;
    until("the node counts as ready", 15, || async {
        management.status("a100").await.is_some_and(|status| status.ready == 1)
    })
    .await;
    until("the pod hears of it", 15, || async {
        let events = all(&client, &core("Event", "events")).await;
        events.iter().any(|event| objects::text(event, "/involvedObject/name") == "train")
    })
    .await;
    assert!(all(&management.client, &objects::pods()).await.is_empty());
    let leases = kube::api::ApiResource::from_gvk_with_plural(
        &kube::core::GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease"),
        "leases",
    );
    assert!(
        all(&client, &leases).await.is_empty(),
        "our own objects are not in the workload cluster"
    );
    controller.stop().await;
    workload.shutdown().await.unwrap();
    management.end().await;
}
