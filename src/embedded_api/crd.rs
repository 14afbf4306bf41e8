//! Custom resources: a `CustomResourceDefinition` becomes a resource that is served at once.
//!
//! Several versions are served, one is stored; conversion changes nothing but `apiVersion` and drops what the
//! schema of the version does not know (conversion strategy `None`).

pub(crate) mod cel;
pub(crate) mod columns;
pub(crate) mod schema;
pub(crate) mod validate;

use super::{
    object,
    resources::{Form, Resource, ScalePaths, Version},
    status::Cause,
};
use columns::Column;
use jiff::Timestamp;
use schema::Schema;
use serde_json::{Value, json};
use std::sync::Arc;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// Fills in what the API server fills in.
pub(crate) fn set_defaults(crd: &mut Value) {
    let kind = text(&crd["spec"]["names"]["kind"]);
    if let Some(names) = crd.get_mut("spec").and_then(|spec| object::child(spec, "names")) {
        names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
        names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
    }
    if let Some(spec) = object::child(crd, "spec") {
        spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    }
}

/// The status of a definition that was just stored.
pub(crate) fn set_first_status(crd: &mut Value) {
    if crd["status"]["conditions"].is_null() {
        let stored = stored_versions(crd);
        let status = json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": stored});
        object::replace_part(crd, "status", Some(&status));
    }
}

fn stored_versions(crd: &Value) -> Vec<Value> {
    let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
    versions
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect()
}

/// What `kubectl wait --for=condition=Established` and clients look at.
pub(crate) fn set_status(crd: &mut Value, now: Timestamp) {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": object::time(now)})
    };
    let status = json!({
        "acceptedNames": crd["spec"]["names"],
        "storedVersions": stored_versions(crd),
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
    });
    object::replace_part(crd, "status", Some(&status));
}

/// The resource that a CRD defines.
///
/// # Errors
/// What is wrong with the definition, rules that this CEL interpreter cannot read among it.
pub(crate) fn resource(crd: &Value) -> Result<Resource, Vec<Cause>> {
    let spec = &crd["spec"];
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let mut causes = Vec::new();
    let expected = format!("{plural}.{group}");
    if object::meta(crd, "name") != expected {
        let printed = format!("{:?}", object::meta(crd, "name"));
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &printed, why));
    }
    let mut versions = Vec::new();
    let mut storage_version = String::new();
    for (at, version) in spec["versions"].as_array().into_iter().flatten().enumerate() {
        if version["storage"] == true {
            storage_version = text(&version["name"]);
        }
        match served_version(spec, version) {
            Ok(read) if version["served"] == true => versions.push(read),
            Ok(_) => {}
            Err(why) => {
                let field = format!("spec.versions[{at}].schema.openAPIV3Schema");
                causes.push(Cause::invalid(field, "\"rule\"", &why));
            }
        }
    }
    if storage_version.is_empty() {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", "null", why));
    }
    if !causes.is_empty() {
        return Err(causes);
    }
    versions.sort_by_key(|version| std::cmp::Reverse(priority(&version.name)));
    Ok(Resource {
        table: expected,
        group,
        plural,
        singular: text(&spec["names"]["singular"]),
        kind: text(&spec["names"]["kind"]),
        list_kind: text(&spec["names"]["listKind"]),
        short_names: texts(&spec["names"]["shortNames"]),
        categories: texts(&spec["names"]["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        versions,
        storage_version,
        is_custom: true,
        has_generation: true,
        top_level: Vec::new(),
        selectable: selectable(spec),
    })
}

fn served_version(spec: &Value, version: &Value) -> Result<Version, String> {
    let name = text(&version["name"]);
    let subresources = &version["subresources"];
    let scale = subresources.get("scale").map(|scale| ScalePaths {
        spec: text(&scale["specReplicasPath"]),
        status: text(&scale["statusReplicasPath"]),
        selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
    });
    let schema = Schema::read(&version["schema"]["openAPIV3Schema"])?;
    Ok(Version {
        deprecation: (version["deprecated"] == true).then(|| deprecation(spec, version, &name)),
        has_status: subresources.get("status").is_some(),
        scale,
        schema: Some(Arc::new(schema)),
        columns: Column::read_all(&version["additionalPrinterColumns"]),
        form: Form::Same,
        name,
    })
}

/// The warning of a deprecated version: its own, or the usual one that names the best other version.
fn deprecation(spec: &Value, version: &Value, name: &str) -> String {
    if let Some(own) = version["deprecationWarning"].as_str() {
        return own.to_owned();
    }
    let (group, kind) = (text(&spec["group"]), text(&spec["names"]["kind"]));
    let others = spec["versions"].as_array().into_iter().flatten();
    let better = others
        .filter(|other| other["served"] == true && other["deprecated"] != true)
        .map(|other| text(&other["name"]))
        .max_by_key(|name| priority(name));
    let said = format!("{group}/{name} {kind} is deprecated");
    match better {
        Some(better) => format!("{said}; use {group}/{better} {kind}"),
        None => said,
    }
}

/// Order of versions: stable before beta before alpha, higher numbers first (CRD versioning, "Version
/// priority").
pub(crate) fn priority(version: &str) -> (u8, u64, u64) {
    let number = |text: &str| text.parse().unwrap_or(0);
    let rest = version.trim_start_matches('v');
    if let Some((major, minor)) = rest.split_once("beta") {
        (1, number(major), number(minor))
    } else if let Some((major, minor)) = rest.split_once("alpha") {
        (0, number(major), number(minor))
    } else {
        (2, number(rest), 0)
    }
}

fn selectable(spec: &Value) -> Vec<String> {
    let versions = spec["versions"].as_array().into_iter().flatten();
    let fields = versions.filter_map(|version| version["selectableFields"].as_array()).flatten();
    fields.map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned()).collect()
}
