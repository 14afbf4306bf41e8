//! What the API server knows of built-in kinds: defaults, and the few rules that clients run into.

use super::{
    event_form, object,
    resources::{Resource, Version},
    status::Cause,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
    '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
    validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Whether a name is a lowercase RFC 1123 subdomain.
fn is_subdomain(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Names of objects; those of RBAC are free. A `generateName` is looked at without a dash at its end.
pub(crate) fn name_causes(resource: &Resource, object: &Value) -> Vec<Cause> {
    if resource.group == "rbac.authorization.k8s.io" {
        return Vec::new();
    }
    let mut causes = Vec::new();
    let prefix = object::meta(object, "generateName");
    let prefix =
        prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |head| format!("{head}a"));
    if !prefix.is_empty() && !is_subdomain(&prefix) {
        causes.push(Cause::invalid("metadata.generateName", &format!("{prefix:?}"), SUBDOMAIN));
    }
    let name = object::meta(object, "name");
    if causes.is_empty() && !is_subdomain(name) {
        causes.push(Cause::invalid("metadata.name", &format!("{name:?}"), SUBDOMAIN));
    }
    causes
}

/// Fills in what a new object of a built-in kind has even if nobody set it.
pub(crate) fn set_defaults(resource: &Resource, value: &mut Value) {
    match resource.kind.as_str() {
        "Pod" => pod_defaults(value),
        "Namespace" => {
            let name = object::meta(value, "name").to_owned();
            if let Some(labels) = value.get_mut("metadata").and_then(|m| object::child(m, "labels"))
            {
                labels.insert("kubernetes.io/metadata.name".into(), name.into());
            }
            object::replace_part(value, "spec", Some(&json!({"finalizers": ["kubernetes"]})));
            object::replace_part(value, "status", Some(&json!({"phase": "Active"})));
        }
        "Event" => event_form::set_defaults(value),
        "Secret" => {
            default(value, "type", "Opaque");
            encode_texts(value);
        }
        "PriorityClass" => default(value, "preemptionPolicy", "PreemptLowerPriority"),
        _ => {}
    }
}

/// `stringData` of a Secret is for writing only.
fn encode_texts(secret: &mut Value) {
    let texts = secret["stringData"].take();
    object::replace_part(secret, "stringData", None);
    let Some(data) = object::child(secret, "data").filter(|_| texts.is_object()) else { return };
    for (key, text) in texts.as_object().into_iter().flatten() {
        let encoded = BASE64_STANDARD.encode(text.as_str().unwrap_or_default());
        data.insert(key.clone(), encoded.into());
    }
}

fn default(value: &mut Value, key: &str, by: &str) {
    if let Some(map) = value.as_object_mut() {
        map.entry(key).or_insert_with(|| by.into());
    }
}

fn pod_defaults(pod: &mut Value) {
    let Some(spec) = object::child(pod, "spec") else { return };
    let usual = [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
        ("priority", json!(0)),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
    ];
    for (key, value) in usual {
        spec.entry(key).or_insert(value);
    }
    if spec.get("nodeSelector") == Some(&json!({})) {
        spec.remove("nodeSelector");
    }
    for part in ["containers", "initContainers"] {
        let containers = spec.get_mut(part).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(container_defaults);
    }
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    if let Some(tolerations) = tolerations.as_array_mut() {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            if !tolerations.iter().any(|toleration| toleration["key"] == key) {
                tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": 300}));
            }
        }
    }
    let is_gated =
        spec.get("schedulingGates").and_then(Value::as_array).is_some_and(|g| !g.is_empty());
    let quality = quality(spec);
    let mut status = json!({"phase": "Pending", "qosClass": quality});
    if is_gated {
        status["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null, "lastTransitionTime": null}]);
    }
    if pod["status"].is_null() {
        object::replace_part(pod, "status", Some(&status));
    }
}

fn container_defaults(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default().to_owned();
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let pull = if matches!(tag, None | Some("latest")) { "Always" } else { "IfNotPresent" };
    let Some(map) = container.as_object_mut() else { return };
    map.entry("imagePullPolicy").or_insert_with(|| pull.into());
    map.entry("terminationMessagePath").or_insert_with(|| "/dev/termination-log".into());
    map.entry("terminationMessagePolicy").or_insert_with(|| "File".into());
    let resources = map.entry("resources").or_insert_with(|| json!({}));
    let limits = resources["limits"].as_object().cloned().unwrap_or_default();
    if let Some(requests) = object::child(resources, "requests").filter(|_| !limits.is_empty()) {
        for (name, quantity) in limits {
            requests.entry(name).or_insert(quantity);
        }
    }
    if resources["requests"].as_object().is_some_and(Map::is_empty) {
        resources.as_object_mut().and_then(|map| map.remove("requests"));
    }
}

/// Quality of service (pod `QoS` classes), for CPU and memory.
fn quality(spec: &Map<String, Value>) -> &'static str {
    let containers = spec.get("containers").and_then(Value::as_array);
    let containers: Vec<_> = containers.into_iter().flatten().map(|c| &c["resources"]).collect();
    let says = |part: &str| {
        containers.iter().any(|r| !r[part]["cpu"].is_null() || !r[part]["memory"].is_null())
    };
    let is_guaranteed = containers.iter().all(|r| {
        ["cpu", "memory"]
            .iter()
            .all(|name| r["limits"][name].is_string() && r["limits"][name] == r["requests"][name])
    });
    match (is_guaranteed, says("requests") || says("limits")) {
        (true, true) => "Guaranteed",
        (false, true) => "Burstable",
        (_, false) => "BestEffort",
    }
}

/// What is wrong with an object of a built-in kind; `version` is the one of the request.
pub(crate) fn causes(
    resource: &Resource,
    version: &Version,
    value: &Value,
    old: Option<&Value>,
) -> Vec<Cause> {
    match resource.kind.as_str() {
        "Lease" => lease_causes(value),
        "Event" => event_causes(resource, version, value, old),
        "Pod" => pod_causes(value, old),
        _ => Vec::new(),
    }
}

fn lease_causes(lease: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(seconds) = lease["spec"]["leaseDurationSeconds"].as_i64().filter(|s| *s <= 0) {
        let field = "spec.leaseDurationSeconds";
        causes.push(Cause::invalid(field, &seconds.to_string(), "must be greater than 0"));
    }
    causes
}

/// Event validation of events.k8s.io/v1, and what both APIs ask for.
fn event_causes(
    resource: &Resource,
    version: &Version,
    event: &Value,
    old: Option<&Value>,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let about = &event["involvedObject"];
    let namespace = object::meta(event, "namespace");
    let is_elsewhere = match about["namespace"].as_str() {
        None | Some("") => namespace != "default",
        Some(_) => false,
    };
    if is_elsewhere {
        let why = "does not match event.namespace";
        causes.push(Cause::invalid("involvedObject.namespace", "\"\"", why));
    }
    if version.form != super::resources::Form::NewEvent
        || resource.group.is_empty()
        || old.is_some()
    {
        return causes;
    }
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    if text("eventTime").is_empty() {
        causes.push(Cause::required("eventTime"));
    }
    if text("reportingComponent").is_empty() {
        let field = "reportingController";
        let letters = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start \
            and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
            used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        causes.push(Cause::required(field));
        causes.push(Cause::invalid(field, "\"\"", "name part must be non-empty"));
        causes.push(Cause::invalid(field, "\"\"", letters));
    }
    for field in ["reportingInstance", "action", "reason"] {
        if text(field).is_empty() {
            causes.push(Cause::required(field));
        }
    }
    if text("message").chars().count() > 1024 {
        causes.push(Cause::invalid("message", "\"\"", "can have at most 1024 characters"));
    }
    causes
}

/// Spec fields that may change in a pod that exists.
const CHANGEABLE: [&str; 5] = [
    "activeDeadlineSeconds",
    "tolerations",
    "terminationGracePeriodSeconds",
    "nodeName",
    "schedulingGates",
];

fn pod_causes(pod: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if pod["spec"]["containers"].as_array().is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.containers"));
    }
    for (at, container) in pod["spec"]["containers"].as_array().into_iter().flatten().enumerate() {
        let resources = &container["resources"];
        for (name, limit) in resources["limits"].as_object().into_iter().flatten() {
            let request = &resources["requests"][name];
            // Extended resources cannot be overcommitted.
            if name.contains('/') && !request.is_null() && request != limit {
                let why =
                    format!("must be equal to {name} limit of {}", limit.as_str().unwrap_or(""));
                let field = format!("spec.containers[{at}].resources.requests");
                causes.push(Cause::invalid(field, &request.to_string(), &why));
            }
        }
    }
    if old.is_some_and(|old| fixed_part(old) != fixed_part(pod)) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
            `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions \
            to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it \
            was previously negative)";
        causes.push(Cause::forbidden("spec", why));
    }
    causes
}

fn fixed_part(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    if let Some(map) = spec.as_object_mut() {
        map.retain(|key, _| !CHANGEABLE.contains(&key.as_str()));
        for part in ["containers", "initContainers"] {
            let containers = map.get_mut(part).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
                container.remove("image");
            }
        }
    }
    spec
}

/// Times with microseconds that cannot be read (`MicroTime` wants a fraction).
pub(crate) fn unreadable_time(resource: &Resource, value: &Value) -> Option<String> {
    if resource.kind != "Lease" {
        return None;
    }
    let times =
        ["acquireTime", "renewTime"].iter().filter_map(|field| value["spec"][field].as_str());
    let mut broken = times.filter(|time| !time.contains('.'));
    broken.next().map(|time| {
        format!(
            "parsing time {time:?} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \
             \".000000\""
        )
    })
}
