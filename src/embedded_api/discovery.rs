//! What is served, told in both forms: one document a group and version, and the aggregated one.

use super::{
    http::Reply,
    resources::{Registry, Resource, Version, api_version},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// In the order of the part of the server that serves custom resources.
const CUSTOM_VERBS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const SUB_VERBS: [&str; 3] = ["get", "patch", "update"];

/// `/version`.
pub(crate) fn version() -> Value {
    json!({"major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35", "gitVersion": "v1.36.2",
        "gitCommit": "unknown", "gitTreeState": "", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.26.6", "compiler": "gc", "platform": "linux/amd64"})
}

/// A version of a group with the resources that are served in it.
type Served<'a> = (&'a str, Vec<(&'a Resource, &'a Version)>);

/// Versions by group, the preferred one first.
type Groups<'a> = BTreeMap<&'a str, Vec<Served<'a>>>;

fn groups(registry: &Registry) -> Groups<'_> {
    let mut groups = Groups::new();
    for resource in registry.all() {
        let versions = groups.entry(&resource.group).or_default();
        for version in &resource.versions {
            let served = (&**resource, version);
            match versions.iter_mut().find(|(name, _)| *name == version.name) {
                Some((_, all)) => all.push(served),
                None => versions.push((&version.name, vec![served])),
            }
        }
    }
    for versions in groups.values_mut() {
        versions.sort_by_key(|(name, _)| std::cmp::Reverse(super::crd::priority(name)));
    }
    groups
}

/// Answers a discovery path (without slashes at its ends), `None` for every other one.
pub(crate) fn answer(registry: &Registry, path: &str, accept: &str) -> Option<Reply> {
    let groups = groups(registry);
    let parts: Vec<_> = path.split('/').collect();
    let is_aggregated = accept.split(',').next()?.contains("as=APIGroupDiscoveryList");
    match parts.as_slice() {
        ["api"] if is_aggregated => Some(aggregated(&groups, str::is_empty)),
        ["apis"] if is_aggregated => Some(aggregated(&groups, |group| !group.is_empty())),
        ["api"] => Some(Reply::json(
            200,
            json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": []}),
        )),
        ["apis"] => {
            let named = groups.iter().filter(|(group, _)| !group.is_empty());
            let all: Vec<_> =
                named.map(|(group, versions)| group_document(group, versions)).collect();
            Some(Reply::json(
                200,
                json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all}),
            ))
        }
        ["api", version] => resource_list(&groups, "", version),
        ["apis", group] => {
            let mut document = group_document(group, groups.get(group)?);
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            Some(Reply::json(200, document))
        }
        ["apis", group, version] => resource_list(&groups, group, version),
        _ => None,
    }
}

fn group_document<T>(group: &str, versions: &[(&str, T)]) -> Value {
    let of = |(version, _): &(&str, T)| json!({"groupVersion": api_version(group, version), "version": version});
    let versions: Vec<_> = versions.iter().map(of).collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

fn resource_list(groups: &Groups<'_>, group: &str, version: &str) -> Option<Reply> {
    let (_, served) = groups.get(group)?.iter().find(|(name, _)| *name == version)?;
    let mut resources = Vec::new();
    for (resource, version) in served {
        let mut entry = json!({"name": resource.plural, "singularName": resource.singular,
            "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs(resource)});
        add_names(&mut entry, resource);
        resources.push(entry);
        for sub in subresources(resource, version) {
            let mut entry = json!({"name": format!("{}/{}", resource.plural, sub.name),
                "singularName": "", "namespaced": resource.namespaced, "kind": sub.kind,
                "verbs": sub.verbs});
            if !sub.group.is_empty() {
                entry["group"] = sub.group.into();
                entry["version"] = "v1".into();
            }
            resources.push(entry);
        }
    }
    let mut list = json!({"kind": "APIResourceList", "groupVersion": api_version(group, version),
        "resources": resources});
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(Reply::json(200, list))
}

fn verbs(resource: &Resource) -> Vec<&'static str> {
    let all = if resource.is_custom { CUSTOM_VERBS } else { VERBS };
    let offered = |verb: &&str| resource.allows_delete_collection() || *verb != "deletecollection";
    all.into_iter().filter(offered).collect()
}

fn add_names(entry: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
}

struct Subresource<'a> {
    name: &'static str,
    /// Of the kind, if it is not that of the resource.
    group: &'static str,
    kind: &'a str,
    verbs: &'static [&'static str],
}

fn subresources<'a>(resource: &'a Resource, version: &Version) -> Vec<Subresource<'a>> {
    let mut all = Vec::new();
    if version.has_status {
        let kind = &resource.kind;
        all.push(Subresource { name: "status", group: "", kind, verbs: &SUB_VERBS });
    }
    if version.scale.is_some() {
        all.push(Subresource {
            name: "scale",
            group: "autoscaling",
            kind: "Scale",
            verbs: &SUB_VERBS,
        });
    }
    if resource.table == "pods" {
        all.push(Subresource { name: "binding", group: "", kind: "Binding", verbs: &["create"] });
        let verbs = &["create"];
        all.push(Subresource { name: "eviction", group: "policy", kind: "Eviction", verbs });
    }
    all
}

fn aggregated(groups: &Groups<'_>, wanted: impl Fn(&str) -> bool) -> Reply {
    let of_group = |(group, versions): (&&str, &Vec<Served<'_>>)| {
        let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
        let of_version = |(version, served): &Served<'_>| {
            let resources: Vec<_> = served.iter().map(|(r, v)| aggregated_resource(r, v)).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        };
        json!({"metadata": metadata, "versions": versions.iter().map(of_version).collect::<Value>()})
    };
    let items: Value = groups.iter().filter(|(group, _)| wanted(group)).map(of_group).collect();
    let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": items});
    Reply::json_as(AGGREGATED, 200, &list)
}

fn aggregated_resource(resource: &Resource, version: &Version) -> Value {
    // The part of the server that serves built-in kinds leaves out what is that of the resource.
    let (group, name) =
        if resource.is_custom { (&*resource.group, &*version.name) } else { ("", "") };
    let kind = json!({"group": group, "version": name, "kind": resource.kind});
    let scope = if resource.namespaced { "Namespaced" } else { "Cluster" };
    let mut entry = json!({"resource": resource.plural, "responseKind": kind, "scope": scope,
        "singularResource": resource.singular, "verbs": verbs(resource)});
    add_names(&mut entry, resource);
    let of = |sub: Subresource<'_>| {
        let kind = if sub.group.is_empty() {
            json!({"group": group, "version": name, "kind": sub.kind})
        } else {
            json!({"group": sub.group, "version": "v1", "kind": sub.kind})
        };
        json!({"subresource": sub.name, "responseKind": kind, "verbs": sub.verbs})
    };
    let all: Vec<_> = subresources(resource, version).into_iter().map(of).collect();
    if !all.is_empty() {
        entry["subresources"] = all.into();
    }
    entry
}
