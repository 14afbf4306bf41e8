//! Reading and writing the parts that all objects have (API conventions, "Metadata").

use super::store::{Key, Pairs};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A string of `metadata`, empty if absent.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

pub(crate) fn set_meta(object: &mut Value, field: &str, value: Value) {
    if let Some(metadata) = child(object, "metadata") {
        metadata.insert(field.to_owned(), value);
    }
}

pub(crate) fn remove_meta(object: &mut Value, field: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove(field);
    }
}

/// The map below `key`, made if absent; `None` if `object` is no map.
pub(crate) fn child<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    let entry = object.as_object_mut()?.entry(key).or_insert(Value::Null);
    if !entry.is_object() {
        *entry = json!({});
    }
    entry.as_object_mut()
}

/// Sets or removes a top-level part.
pub(crate) fn replace_part(object: &mut Value, part: &str, by: Option<&Value>) {
    if let Some(map) = object.as_object_mut() {
        match by {
            Some(value) => map.insert(part.to_owned(), value.clone()),
            None => map.remove(part),
        };
    }
}

pub(crate) fn labels(object: &Value) -> Pairs {
    let labels = object["metadata"]["labels"].as_object();
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(text).collect()
}

pub(crate) fn key(object: &Value) -> Key {
    (meta(object, "namespace").to_owned(), meta(object, "name").to_owned())
}

pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["finalizers"].as_array();
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// metav1.Time: whole seconds.
pub(crate) fn time(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or_default().to_string()
}

/// The value at a dotted path such as `.spec.warm`; list indices and filters are not known here.
pub(crate) fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(object, |value, part| value.get(part))
}

/// Sets the value at a dotted path, making maps on the way.
pub(crate) fn set_at(object: &mut Value, path: &str, value: Value) {
    let parts: Vec<_> = path.split('.').filter(|part| !part.is_empty()).collect();
    let Some((last, way)) = parts.split_last() else { return };
    let mut place = object;
    for part in way {
        if child(place, part).is_none() {
            return;
        }
        place = &mut place[*part];
    }
    if let Some(map) = place.as_object_mut() {
        map.insert((*last).to_owned(), value);
    }
}

/// What `kind` says, with the apiVersion, as clients expect it first.
pub(crate) fn set_type(object: &mut Value, api_version: &str, kind: &str) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".into(), api_version.into());
        map.insert("kind".into(), kind.into());
    }
}
