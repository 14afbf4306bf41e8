//! Minimal definitions of Cluster API's kinds, for clusters that do not have them. They keep every field and
//! check none: what is tested is our side of the contract.

use super::objects::CAPI;
use kube::api::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

/// CustomResourceDefinitions.
pub fn definitions() -> ApiResource {
    let kind = "CustomResourceDefinition";
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", kind);
    ApiResource::from_gvk_with_plural(&gvk, "customresourcedefinitions")
}

/// MachineDeployment, MachineSet and Machine in versions v1beta2 (stored) and v1beta1.
pub fn cluster_api() -> Vec<Value> {
    [
        ("MachineDeployment", "machinedeployments", true),
        ("MachineSet", "machinesets", true),
        ("Machine", "machines", false),
    ]
    .into_iter()
    .map(|(kind, plural, has_scale)| definition(kind, plural, has_scale))
    .collect()
}

fn definition(kind: &str, plural: &str, has_scale: bool) -> Value {
    let version = |name: &str, is_stored: bool| {
        let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let mut version = json!({
            "name": name, "served": true, "storage": is_stored, "deprecated": !is_stored,
            "schema": { "openAPIV3Schema": {
                "type": "object", "properties": { "spec": any, "status": any },
            } },
            "subresources": { "status": {} },
        });
        if has_scale {
            version["subresources"]["scale"] = json!({
                "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            });
        }
        version
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{CAPI}"),
            "labels": { "prewarm.dev/installed-by": "fleet" },
        },
        "spec": {
            "group": CAPI, "scope": "Namespaced",
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                "singular": kind.to_lowercase(),
            },
            "versions": [version("v1beta2", true), version("v1beta1", false)],
        },
    })
}
