//! `OpenAPI` v3 documents, as much of them as kubectl reads before it creates, applies or explains: the
//! schemas of custom resources whole, of built-in ones their names only.

use super::resources::{Registry, Resource, Version, api_version};
use serde_json::{Map, Value, json};

/// `/openapi/v2` is protobuf; nothing at all is a document without definitions, and kubectl then leaves the
/// validation to the server.
pub(crate) const V2_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

fn path_of(group: &str, version: &str) -> String {
    let root = if group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", api_version(group, version))
}

/// `/openapi/v3`; `revision` tells clients when to read again.
pub(crate) fn index(registry: &Registry, revision: u64) -> Value {
    let versions = registry.all().flat_map(|resource| {
        resource.versions.iter().map(|version| path_of(&resource.group, &version.name))
    });
    let paths: Map<String, Value> = versions
        .map(|path| {
            let url = format!("/openapi/v3/{path}?hash={revision:X}");
            (path, json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// The document of one group and version, such as `apis/apps/v1`.
pub(crate) fn document(registry: &Registry, group_version: &str) -> Option<Value> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in registry.all() {
        for version in &resource.versions {
            if path_of(&resource.group, &version.name) == group_version {
                add(&mut paths, &mut schemas, resource, version);
            }
        }
    }
    if schemas.is_empty() {
        return None;
    }
    schemas.insert(OBJECT_META.into(), json!({"type": "object"}));
    Some(json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": paths, "components": {"schemas": schemas}}))
}

fn add(
    paths: &mut Map<String, Value>,
    schemas: &mut Map<String, Value>,
    resource: &Resource,
    version: &Version,
) {
    let gvk = json!({"group": resource.group, "version": version.name, "kind": resource.kind});
    let reversed: Vec<_> = resource.group.split('.').rev().collect();
    let name = format!("{}.{}.{}", reversed.join("."), version.name, resource.kind);
    let content =
        json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}});
    let query = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let parameters = [query("dryRun"), query("fieldManager"), query("fieldValidation")];
    let operation = |action: &str| {
        json!({"x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk,
            "parameters": parameters, "responses": {"200": {"content": content}}})
    };
    let writing = |action: &str| {
        let mut operation = operation(action);
        operation["requestBody"] = json!({"content": content, "required": true});
        operation
    };
    let root = format!("/{}", path_of(&resource.group, &version.name));
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let plural = &resource.plural;
    paths.insert(
        format!("{root}{scope}/{plural}"),
        json!({"get": operation("list"), "post": writing("post"), "delete": operation("deletecollection")}),
    );
    paths.insert(
        format!("{root}{scope}/{plural}/{{name}}"),
        json!({"get": operation("get"), "put": writing("put"), "patch": writing("patch"),
            "delete": operation("delete")}),
    );
    schemas.insert(name, schema_of(version, &gvk));
}

fn schema_of(version: &Version, gvk: &Value) -> Value {
    let mut schema = match &version.schema {
        Some(schema) => schema.root.clone(),
        // Nothing is known of what is below: everything is allowed.
        None => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    };
    schema["x-kubernetes-group-version-kind"] = json!([gvk]);
    if version.schema.is_some() {
        let text = json!({"type": "string"});
        let metadata = json!({"allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}]});
        for (key, known) in [("apiVersion", &text), ("kind", &text), ("metadata", &metadata)] {
            schema["properties"][key] = known.clone();
        }
    }
    schema
}
