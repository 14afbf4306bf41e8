//! A write as an HTTP request: a merge patch (RFC 7386) that names the `resourceVersion` it was decided on.
//!
//! Merge patches because they are the only ones that work everywhere: strategic ones are unknown to custom
//! resources, server-side apply of `/scale` is refused (409, with `force` 500) by the API server.

use super::{
    marks,
    write::{Object, Restored, Write},
};
use crate::live::client::ClusterApi;
use serde_json::{Map, Value, json};

/// Which of the two clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// MachineDeployments and Machines.
    Management,
    /// Nodes and Pods.
    Workload,
}

/// A PATCH request with a merge patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Wire {
    /// Where to.
    pub cluster: Cluster,
    /// Path of the collection.
    pub path: String,
    /// `scale` or nothing.
    pub subresource: Option<&'static str>,
    /// The patch.
    pub body: Value,
    /// As RBAC names it: `machinedeployments/scale in cluster.x-k8s.io`.
    pub resource: String,
}

/// The request of a write; `version` is the `resourceVersion` to name.
pub fn wire(write: &Write, version: &str, api: &ClusterApi) -> Wire {
    let object = write.object();
    let (cluster, path, resource) = place(write, object, api);
    let (annotations, spec) = change(write, &api.group);
    let mut metadata = Map::from_iter([("resourceVersion".to_owned(), json!(version))]);
    if !annotations.is_empty() {
        metadata.insert("annotations".to_owned(), Value::Object(annotations));
    }
    let mut body = Map::from_iter([("metadata".to_owned(), Value::Object(metadata))]);
    if let Some(spec) = spec {
        body.insert("spec".to_owned(), spec);
    }
    let subresource = matches!(write, Write::Scale { .. }).then_some("scale");
    Wire { cluster, path, subresource, body: Value::Object(body), resource }
}

fn place(write: &Write, object: &Object, api: &ClusterApi) -> (Cluster, String, String) {
    let namespace = &object.namespace;
    let of_cluster_api = |plural: &str, suffix: &str| {
        let path = format!("/apis/{}/{}/namespaces/{namespace}/{plural}", api.group, api.version);
        (Cluster::Management, path, format!("{plural}{suffix} in {}", api.group))
    };
    match write {
        Write::Scale { .. } => of_cluster_api(&api.scalable.plural, "/scale"),
        Write::NoteHolds { .. } | Write::Floor { .. } | Write::FloorRestore { .. } => {
            of_cluster_api(&api.scalable.plural, "")
        }
        Write::MarkMachine { .. } | Write::UnmarkMachine { .. } => {
            of_cluster_api(&api.machines.plural, "")
        }
        Write::HoldNode { .. }
        | Write::ReleaseNode { .. }
        | Write::Cordon { .. }
        | Write::Uncordon { .. }
        | Write::TouchNode { .. } => {
            (Cluster::Workload, "/api/v1/nodes".to_owned(), "nodes".to_owned())
        }
        Write::DelayPod { .. } | Write::UndelayPod { .. } => {
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            (Cluster::Workload, path, "pods".to_owned())
        }
    }
}

/// Annotations to set or, with null, to remove; and the spec to change.
fn change(write: &Write, group: &str) -> (Map<String, Value>, Option<Value>) {
    let annotations = match write {
        Write::Scale { to, .. } => return (Map::new(), Some(json!({"replicas": to}))),
        Write::NoteHolds { pending, .. } => vec![(marks::PENDING_HOLDS.to_owned(), json!(pending))],
        Write::Floor { to, user_min, since, until, .. } => {
            let users = user_min.map_or_else(String::new, |min| min.to_string());
            vec![
                (marks::min_size(group), json!(to.to_string())),
                (marks::FLOOR.to_owned(), json!(to.to_string())),
                (marks::USER_MIN.to_owned(), json!(users)),
                (marks::FLOOR_SINCE.to_owned(), json!(marks::rfc3339(*since))),
                (marks::FLOOR_UNTIL.to_owned(), json!(marks::rfc3339(*until))),
            ]
        }
        Write::FloorRestore { min, .. } => restored(*min, group),
        Write::HoldNode { until, decision, .. } => vec![
            (marks::SCALE_DOWN_DISABLED.to_owned(), json!("true")),
            (marks::HOLD_UNTIL.to_owned(), json!(marks::rfc3339(*until))),
            (marks::HOLD_DECISION.to_owned(), json!(decision)),
        ],
        Write::ReleaseNode { is_held, forget, .. } => {
            // Without a hold of ours, what keeps the node is somebody else's.
            let hold = [marks::SCALE_DOWN_DISABLED, marks::HOLD_UNTIL];
            let memory = [marks::HOLD_DECISION, marks::NUDGED_AT];
            let hold = hold.iter().filter(|_| *is_held);
            let gone = hold.chain(memory.iter().filter(|_| *forget));
            gone.map(|key| ((*key).to_owned(), Value::Null)).collect()
        }
        Write::DelayPod { delay, decision, .. } => vec![
            (marks::POD_DELAY.to_owned(), json!(marks::go_duration(*delay))),
            (marks::OUR_DELAY.to_owned(), json!(decision)),
        ],
        Write::UndelayPod { .. } => vec![
            (marks::POD_DELAY.to_owned(), Value::Null),
            (marks::OUR_DELAY.to_owned(), Value::Null),
        ],
        Write::Cordon { decision, .. } => {
            let annotations = vec![(marks::CORDONED.to_owned(), json!(decision))];
            return (Map::from_iter(annotations), Some(json!({"unschedulable": true})));
        }
        Write::Uncordon { .. } => {
            let annotations = vec![(marks::CORDONED.to_owned(), Value::Null)];
            return (Map::from_iter(annotations), Some(json!({"unschedulable": null})));
        }
        Write::TouchNode { at, .. } => {
            vec![(marks::NUDGED_AT.to_owned(), json!(marks::rfc3339(*at)))]
        }
        Write::MarkMachine { decision, .. } => vec![
            (marks::delete_machine(group), json!("prewarm")),
            (marks::MARKED.to_owned(), json!(decision)),
        ],
        Write::UnmarkMachine { .. } => vec![
            (marks::delete_machine(group), Value::Null),
            (marks::MARKED.to_owned(), Value::Null),
        ],
    };
    (Map::from_iter(annotations), None)
}

fn restored(min: Restored, group: &str) -> Vec<(String, Value)> {
    let ours = [marks::FLOOR, marks::USER_MIN, marks::FLOOR_SINCE, marks::FLOOR_UNTIL];
    let mut annotations: Vec<(String, Value)> =
        ours.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
    match min {
        Restored::To(min) => annotations.push((marks::min_size(group), json!(min.to_string()))),
        Restored::Removed => annotations.push((marks::min_size(group), Value::Null)),
        Restored::Untouched => {}
    }
    annotations
}
