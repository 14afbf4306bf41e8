//! Events have two APIs on one store: core/v1 and events.k8s.io/v1 name their fields differently.

use serde_json::{Map, Value, json};

/// Names in core/v1 and in events.k8s.io/v1.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn renamed(event: Value, name: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(map) = event else { return event };
    let pairs = map.into_iter().map(|(key, value)| match name(&key) {
        Some(new) => (new.to_owned(), value),
        None => (key, value),
    });
    Value::Object(pairs.collect())
}

/// core/v1 to events.k8s.io/v1.
pub(crate) fn to_new(event: Value) -> Value {
    let mut event =
        renamed(event, |key| NAMES.iter().find(|(core, _)| *core == key).map(|(_, new)| *new));
    let always = ["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"];
    if let Some(map) = event.as_object_mut() {
        fill(map, &always, &Value::Null);
        fill(map, &["deprecatedSource"], &json!({}));
        map.retain(|key, value| {
            key != "reportingController" && key != "reportingInstance" || value != ""
        });
    }
    event
}

/// events.k8s.io/v1 to core/v1.
pub(crate) fn to_core(event: Value) -> Value {
    renamed(event, |key| NAMES.iter().find(|(_, new)| *new == key).map(|(core, _)| *core))
}

/// What a core event has even if nobody set it.
pub(crate) fn set_defaults(event: &mut Value) {
    if let Some(map) = event.as_object_mut() {
        fill(map, &["firstTimestamp", "lastTimestamp", "eventTime"], &Value::Null);
        fill(map, &["source", "involvedObject"], &json!({}));
        fill(map, &["reportingComponent", "reportingInstance"], &json!(""));
    }
}

fn fill(map: &mut Map<String, Value>, names: &[&str], by: &Value) {
    for name in names {
        map.entry(*name).or_insert_with(|| by.clone());
    }
}
