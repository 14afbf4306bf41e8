//! How lists and maps merge: whole, as sets, or item by item by their keys. Built-in kinds are known by the
//! names of their fields (which are the same wherever they occur), custom ones by their schema.

use super::super::crd::schema::{is_set, property};
use serde_json::{Map, Value};

/// What becomes of a list when two meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum List {
    /// It is replaced.
    Atomic,
    /// Values are united.
    Set,
    /// Items with the same values of these keys are merged.
    Keyed(Vec<String>),
}

/// Lists of built-in kinds: name, keys for server-side apply, key for strategic merge (empty: replaced).
const LISTS: &[(&str, &[&str], &str)] = &[
    ("addresses", &["type"], "type"),
    ("conditions", &["type"], "type"),
    ("containers", &["name"], "name"),
    ("ephemeralContainers", &["name"], "name"),
    ("env", &["name"], "name"),
    ("hostAliases", &["ip"], "ip"),
    ("imagePullSecrets", &["name"], "name"),
    ("initContainers", &["name"], "name"),
    ("ownerReferences", &["uid"], "uid"),
    ("podIPs", &["ip"], "ip"),
    ("ports", &["containerPort", "protocol"], "containerPort"),
    ("schedulingGates", &["name"], "name"),
    ("secrets", &["name"], "name"),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"], "topologyKey"),
    ("volumeDevices", &["devicePath"], "devicePath"),
    ("volumeMounts", &["mountPath"], "mountPath"),
    ("volumes", &["name"], "name"),
];

/// The key by which strategic merge finds the items of a list.
pub(crate) fn strategic_key(list: &str) -> Option<&'static str> {
    LISTS.iter().find(|(name, ..)| *name == list).map(|(.., key)| *key)
}

/// A place in an object, for looking up how its value merges.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    /// In a built-in kind, below a field of this name.
    Named(&'a str),
    /// In a custom resource.
    Schema(&'a Value),
}

impl<'a> Shape<'a> {
    /// The place below a field. Metadata is the same everywhere.
    pub(crate) fn field(self, key: &'a str) -> Self {
        match self {
            Self::Schema(_) if key == "metadata" => Shape::Named(key),
            Self::Schema(schema) => Shape::Schema(property(schema, key).unwrap_or(&Value::Null)),
            Self::Named(_) => Shape::Named(key),
        }
    }

    pub(crate) fn item(self) -> Self {
        match self {
            Self::Schema(schema) => Shape::Schema(&schema["items"]),
            Self::Named(_) => Shape::Named(""),
        }
    }

    pub(crate) fn list(self) -> List {
        match self {
            Self::Named("finalizers") => List::Set,
            Self::Named(name) => {
                let known = LISTS.iter().find(|(list, ..)| *list == name);
                known.map_or(List::Atomic, |(_, keys, _)| {
                    List::Keyed(keys.iter().map(|key| (*key).to_owned()).collect())
                })
            }
            Self::Schema(schema) => match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => List::Set,
                Some("map") => {
                    let keys =
                        schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
                    List::Keyed(keys.filter_map(Value::as_str).map(str::to_owned).collect())
                }
                _ => List::Atomic,
            },
        }
    }

    /// A map that is replaced as a whole.
    pub(crate) fn is_atomic_map(self) -> bool {
        match self {
            Self::Named(name) => {
                matches!(name, "selector" | "labelSelector" | "resourceRef" | "source")
            }
            Self::Schema(schema) => {
                schema["x-kubernetes-map-type"] == "atomic"
                    || (schema["properties"].is_null()
                        && schema["additionalProperties"].is_null()
                        && is_set(schema, "x-kubernetes-preserve-unknown-fields"))
            }
        }
    }
}

/// The part of an item that says which one it is.
pub(crate) fn key_of(item: &Value, keys: &[String]) -> Map<String, Value> {
    let pairs = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
    pairs.collect()
}

/// Whether an item is the one with this key.
pub(crate) fn has_key(item: &Value, key: &Map<String, Value>) -> bool {
    key.iter().all(|(name, value)| item.get(name) == Some(value))
}
