//! What of Prewarm is left in a cluster, and what it wrote there.

use crate::stage::Stage;
use kube::{
    Api,
    api::{DynamicObject, ListParams},
};
use prewarm::{
    embedded_api::WriteInfo,
    fleet::objects::{self, annotation, key},
};

const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
const POD_DELAY: &str = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay";
/// That a node was held or touched once is remembered on purpose; it holds nothing.
const MEMORY: [&str; 2] = ["prewarm.dev/hold-decision", "prewarm.dev/nudged-at"];

/// Holds, floors, cordons, marks and delays that are left, by object; a sentence each.
pub(crate) async fn left(stage: &Stage) -> Vec<String> {
    let mut left = everything_left(stage).await;
    left.retain(|line| !MEMORY.iter().any(|memory| line.ends_with(memory)));
    left
}

/// The same, with what is only remembered.
pub(crate) async fn everything_left(stage: &Stage) -> Vec<String> {
    let kinds = [
        objects::deployments(),
        objects::sets(),
        objects::machines(),
        objects::nodes(),
        objects::pods(),
    ];
    let mut left = Vec::new();
    for resource in kinds {
        let api: Api<DynamicObject> = Api::all_with(stage.client.clone(), &resource);
        for object in api.list(&ListParams::default()).await.unwrap() {
            let here = |what: &str| format!("{} {}: {what}", resource.kind, key(&object));
            let annotations = object.metadata.annotations.iter().flatten();
            left.extend(
                annotations
                    .map(|(name, _)| name)
                    .filter(|name| {
                        name.starts_with("prewarm.dev/")
                            || [SCALE_DOWN_DISABLED, POD_DELAY].contains(&name.as_str())
                    })
                    .map(|name| here(name)),
            );
            if objects::at(&object, "/spec/unschedulable").is_some_and(|value| value == true) {
                left.push(here("cordoned"));
            }
        }
    }
    left
}

/// Nodes that carry a hold of ours.
pub(crate) async fn held(stage: &Stage) -> usize {
    let nodes = stage.nodes().await;
    nodes.iter().filter(|node| annotation(node, "prewarm.dev/hold-until").is_some()).count()
}

/// The write changes something that is not the controller's own (status, Events, Lease, ConfigMaps, pools
/// that were discovered).
pub(crate) fn is_foreign(write: &WriteInfo) -> bool {
    match write.resource.as_str() {
        "gpupools" => write.subresource != "status" && write.verb != "create",
        "events" | "leases" | "configmaps" => false,
        _ => true,
    }
}

/// A write in one line.
pub(crate) fn line(write: &WriteInfo) -> String {
    format!("{} {}/{} {}", write.verb, write.resource, write.subresource, write.name)
}

/// What this user changed that was not its own, in order.
pub(crate) fn foreign_writes(stage: &Stage, user: &str) -> Vec<String> {
    let writes = stage.faults().writes();
    writes.iter().filter(|write| write.user == user && is_foreign(write)).map(line).collect()
}

/// Waits until nothing of ours is left; what is, is told.
pub(crate) async fn until_clean(stage: &Stage, seconds: u64) {
    let begun = std::time::Instant::now();
    loop {
        let left = left(stage).await;
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed().as_secs() < seconds, "after {seconds} s still left: {left:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
