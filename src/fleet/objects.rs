//! Kinds and paths within objects that the fleet uses.

use super::act::Place;
use crate::time::Timestamp;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

/// Group of Cluster API.
pub const CAPI: &str = "cluster.x-k8s.io";
/// How long a pod runs, in seconds; without it for ever.
pub const RUN_SECONDS: &str = "fleet.prewarm.dev/run-seconds";
/// The label of nodes whose GPUs are to come.
pub const ACCELERATOR: &str = "cluster-api/accelerator";
/// A Machine with this annotation is deleted first.
pub const DELETE_MACHINE: &str = "cluster.x-k8s.io/delete-machine";
/// CA's annotation with the GPUs of a node.
pub const GPU_COUNT: &str = "capacity.cluster-autoscaler.kubernetes.io/gpu-count";
/// CA's annotation with the resource name.
pub const GPU_TYPE: &str = "capacity.cluster-autoscaler.kubernetes.io/gpu-type";

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// MachineDeployments.
pub fn deployments() -> ApiResource {
    resource(CAPI, "v1beta2", "MachineDeployment", "machinedeployments")
}

/// MachineSets.
pub fn sets() -> ApiResource {
    resource(CAPI, "v1beta2", "MachineSet", "machinesets")
}

/// Machines.
pub fn machines() -> ApiResource {
    resource(CAPI, "v1beta2", "Machine", "machines")
}

/// Nodes.
pub fn nodes() -> ApiResource {
    resource("", "v1", "Node", "nodes")
}

/// Pods.
pub fn pods() -> ApiResource {
    resource("", "v1", "Pod", "pods")
}

/// Where an object is.
pub fn place(resource: ApiResource, object: &DynamicObject) -> Place {
    Place {
        resource,
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: name(object).to_owned(),
    }
}

/// Its name.
pub fn name(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

/// `namespace/name`.
pub fn key(object: &DynamicObject) -> String {
    format!("{}/{}", object.metadata.namespace.as_deref().unwrap_or_default(), name(object))
}

/// When it was made.
pub fn created(object: &DynamicObject) -> Timestamp {
    let at = object.metadata.creation_timestamp.as_ref();
    at.map_or(Timestamp::ZERO, |at| Timestamp(at.0.as_millisecond()))
}

/// An annotation.
pub fn annotation<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a str> {
    object.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// A label.
pub fn label<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a str> {
    object.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// What is at a JSON pointer.
pub fn at<'a>(object: &'a DynamicObject, pointer: &str) -> Option<&'a Value> {
    object.data.pointer(pointer)
}

/// Text at a JSON pointer, empty if there is none.
pub fn text<'a>(object: &'a DynamicObject, pointer: &str) -> &'a str {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// RFC 3339, as objects have it.
pub fn rfc3339(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.0.div_euclid(1000));
    at.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// Whether a condition of the object is `True`, and since when (as text).
pub fn condition<'a>(object: &'a DynamicObject, kind: &str) -> Option<(&'a str, &'a str)> {
    let conditions = at(object, "/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    let since = found["lastTransitionTime"].as_str().unwrap_or_default();
    Some((found["status"].as_str()?, since))
}
