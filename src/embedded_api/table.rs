//! Table answers: what `kubectl get` prints (API concepts, "Receiving resources as Tables").

use super::{
    crd::columns::{Column, age},
    object,
    request::Call,
    view::{View, metadata_only},
};
use serde_json::{Value, json};

/// Of apimachinery; the columns of a CRD begin with it.
const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating \
    resources, although some resources may allow a client to request the generation of an appropriate \
    name automatically. Name is primarily intended for creation idempotence and configuration \
    definition. Cannot be updated. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// A Table of `items`, which are in the version asked for.
pub(crate) fn of(view: &View<'_>, call: &Call, items: &[Value], metadata: &Value) -> Value {
    let rows: Vec<_> = items.iter().map(|item| row(view, call, item)).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions(view), "rows": rows})
}

/// The Table of one watch event; only the first one names the columns.
pub(crate) fn of_event(view: &View<'_>, call: &Call, item: &Value, is_first: bool) -> Value {
    let metadata = json!({"resourceVersion": object::meta(item, "resourceVersion")});
    let mut table = of(view, call, std::slice::from_ref(item), &metadata);
    if !is_first {
        table["columnDefinitions"] = Value::Null;
    }
    table
}

fn row(view: &View<'_>, call: &Call, item: &Value) -> Value {
    let mut row = json!({"cells": cells(view, item)});
    match call.query.get("includeObject") {
        "None" => {}
        "Object" => row["object"] = item.clone(),
        _ => row["object"] = metadata_only(item),
    }
    row
}

/// Name, type and priority of a column of a built-in kind.
type Head = (&'static str, &'static str, i64);

const POD: &[Head] = &[
    ("Ready", "string", 0),
    ("Status", "string", 0),
    ("Restarts", "string", 0),
    ("Age", "string", 0),
    ("IP", "string", 1),
    ("Node", "string", 1),
    ("Nominated Node", "string", 1),
    ("Readiness Gates", "string", 1),
];
const NODE: &[Head] = &[
    ("Status", "string", 0),
    ("Roles", "string", 0),
    ("Age", "string", 0),
    ("Version", "string", 0),
    ("Internal-IP", "string", 1),
    ("OS-Image", "string", 1),
];
const NAMESPACE: &[Head] = &[("Status", "string", 0), ("Age", "string", 0)];
const CONFIG_MAP: &[Head] = &[("Data", "string", 0), ("Age", "string", 0)];
const LEASE: &[Head] = &[("Holder", "string", 0), ("Age", "string", 0)];
const EVENT: &[Head] = &[
    ("Last Seen", "string", 0),
    ("Type", "string", 0),
    ("Reason", "string", 0),
    ("Object", "string", 0),
    ("Message", "string", 0),
];
const PRIORITY_CLASS: &[Head] =
    &[("Value", "integer", 0), ("Global-Default", "boolean", 0), ("Age", "string", 0)];
const DEPLOYMENT: &[Head] = &[
    ("Ready", "string", 0),
    ("Up-to-date", "string", 0),
    ("Available", "string", 0),
    ("Age", "string", 0),
];
const CRD: &[Head] = &[("Created At", "date", 0)];
const OTHER: &[Head] = &[("Age", "string", 0)];

fn heads(kind: &str) -> &'static [Head] {
    match kind {
        "Pod" => POD,
        "Node" => NODE,
        "Namespace" => NAMESPACE,
        "ConfigMap" => CONFIG_MAP,
        "Lease" => LEASE,
        "Event" => EVENT,
        "PriorityClass" => PRIORITY_CLASS,
        "Deployment" => DEPLOYMENT,
        "CustomResourceDefinition" => CRD,
        _ => OTHER,
    }
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": description,
        "priority": priority})
}

fn definitions(view: &View<'_>) -> Vec<Value> {
    let mut definitions = vec![definition("Name", "string", "name", NAME_DESCRIPTION, 0)];
    if view.resource.is_custom {
        let of = |c: &Column| definition(&c.name, &c.kind, &c.format, &c.description, c.priority);
        definitions.extend(view.version.columns.iter().map(of));
    } else {
        let heads = heads(&view.resource.kind).iter();
        definitions
            .extend(heads.map(|(name, kind, priority)| definition(name, kind, "", "", *priority)));
    }
    definitions
}

fn cells(view: &View<'_>, item: &Value) -> Vec<Value> {
    let mut cells = vec![object::meta(item, "name").into()];
    if view.resource.is_custom {
        cells.extend(view.version.columns.iter().map(|column| column.cell(item, view.now)));
    } else {
        let heads = heads(&view.resource.kind).iter();
        cells.extend(heads.map(|(name, ..)| built_in_cell(view, item, name)));
    }
    cells
}

fn built_in_cell(view: &View<'_>, item: &Value, column: &str) -> Value {
    let text = |path: &str| match object::at(item, path) {
        Some(Value::String(text)) if !text.is_empty() => json!(text),
        _ => json!("<none>"),
    };
    let count = |path: &str| object::at(item, path).and_then(Value::as_u64).unwrap_or(0);
    match (view.resource.kind.as_str(), column) {
        (_, "Age") => age(object::meta(item, "creationTimestamp"), view.now).into(),
        (_, "Created At") => object::meta(item, "creationTimestamp").into(),
        ("Pod", "Ready") => {
            let total = item["spec"]["containers"].as_array().map_or(0, Vec::len);
            format!("{}/{total}", containers(item).filter(|c| c["ready"] == true).count()).into()
        }
        ("Pod", "Status") => pod_status(item).into(),
        ("Pod", "Restarts") => {
            let restarts: u64 = containers(item).filter_map(|c| c["restartCount"].as_u64()).sum();
            restarts.to_string().into()
        }
        ("Pod", "IP") => text("status.podIP"),
        ("Pod", "Node") => text("spec.nodeName"),
        ("Pod", "Nominated Node") => text("status.nominatedNodeName"),
        ("Node", "Status") => node_status(item).into(),
        ("Node", "Roles") => node_roles(item).into(),
        ("Node", "Version") => text("status.nodeInfo.kubeletVersion"),
        ("Node", "OS-Image") => text("status.nodeInfo.osImage"),
        ("Node", "Internal-IP") => {
            let addresses = item["status"]["addresses"].as_array().into_iter().flatten();
            let mut internal = addresses.filter(|address| address["type"] == "InternalIP");
            internal.next().map_or_else(|| json!("<none>"), |address| address["address"].clone())
        }
        ("Namespace", "Status") => text("status.phase"),
        ("ConfigMap", _) => {
            let size = |part: &str| item[part].as_object().map_or(0, serde_json::Map::len);
            (size("data") + size("binaryData")).to_string().into()
        }
        ("Lease", _) => item["spec"]["holderIdentity"].as_str().unwrap_or_default().into(),
        ("PriorityClass", "Value") => item["value"].clone(),
        ("PriorityClass", _) => (item["globalDefault"] == true).into(),
        ("Deployment", "Ready") => {
            format!("{}/{}", count("status.readyReplicas"), count("spec.replicas")).into()
        }
        ("Deployment", "Up-to-date") => count("status.updatedReplicas").to_string().into(),
        ("Deployment", _) => count("status.availableReplicas").to_string().into(),
        ("Event", column) => event_cell(view, item, column),
        _ => json!("<none>"),
    }
}

fn event_cell(view: &View<'_>, event: &Value, column: &str) -> Value {
    let either = |core: &str, new: &str| event.get(core).or_else(|| event.get(new));
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    match column {
        "Last Seen" => {
            let seen = text(either("lastTimestamp", "deprecatedLastTimestamp"));
            let seen = if seen.is_empty() { text(event.get("eventTime")) } else { seen };
            age(&seen, view.now).into()
        }
        "Type" => text(event.get("type")).into(),
        "Reason" => text(event.get("reason")).into(),
        "Message" => text(either("message", "note")).into(),
        _ => {
            let about = either("involvedObject", "regarding").unwrap_or(&Value::Null);
            format!("{}/{}", text(about.get("kind")).to_lowercase(), text(about.get("name"))).into()
        }
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["status"]["containerStatuses"].as_array().into_iter().flatten()
}

/// The Status column of a pod: what a container waits for or ended with says more than the phase.
fn pod_status(pod: &Value) -> String {
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".to_owned();
    }
    let reason = |container: &Value| {
        let state = &container["state"];
        let reason = state["waiting"]["reason"].as_str();
        reason.or_else(|| state["terminated"]["reason"].as_str()).map(str::to_owned)
    };
    let of_condition = || {
        let conditions = pod["status"]["conditions"].as_array()?;
        let gated = |condition: &&Value| condition["reason"] == "SchedulingGated";
        conditions.iter().find(gated).map(|_| "SchedulingGated".to_owned())
    };
    let phase = || pod["status"]["phase"].as_str().unwrap_or("Unknown").to_owned();
    let own = pod["status"]["reason"].as_str().map(str::to_owned);
    own.or_else(|| containers(pod).find_map(reason)).or_else(of_condition).unwrap_or_else(phase)
}

fn node_status(node: &Value) -> String {
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
    let status = match ready.map(|condition| &condition["status"]) {
        Some(status) if *status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let cordoned = if node["spec"]["unschedulable"] == true { ",SchedulingDisabled" } else { "" };
    format!("{status}{cordoned}")
}

fn node_roles(node: &Value) -> String {
    let labels = object::labels(node);
    let roles: Vec<_> =
        labels.keys().filter_map(|label| label.strip_prefix("node-role.kubernetes.io/")).collect();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}
