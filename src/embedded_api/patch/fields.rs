//! Sets of fields, as `managedFields` writes them (`fieldsV1`): a tree whose keys are `f:<name>`,
//! `k:<key of a list item>` and `v:<value of a set>`; `.` stands for the node itself, an empty node for a leaf.

use super::shape::{List, Shape, has_key, key_of};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A node of the tree. `is_own` says that the node itself is in the set, not only something below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) is_own: bool,
    pub(crate) below: BTreeMap<String, Self>,
}

/// A way into an object, in the keys of [`Fields`].
pub(crate) type Path = Vec<String>;

impl Fields {
    fn leaf() -> Self {
        Self { is_own: true, below: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.is_own && self.below.is_empty()
    }

    pub(crate) fn read(json: &Value) -> Self {
        let Some(map) = json.as_object() else { return Self::default() };
        let below = map.iter().filter(|(key, _)| *key != ".");
        let below: BTreeMap<_, _> =
            below.map(|(key, value)| (key.clone(), Self::read(value))).collect();
        Self { is_own: map.is_empty() || map.contains_key("."), below }
    }

    pub(crate) fn json(&self) -> Value {
        let mut map = Map::new();
        if self.is_own && !self.below.is_empty() {
            map.insert(".".into(), json!({}));
        }
        map.extend(self.below.iter().map(|(key, fields)| (key.clone(), fields.json())));
        Value::Object(map)
    }

    /// Everything in a value; `with_nodes`: maps as well as what is in them.
    pub(crate) fn of(shape: Shape<'_>, value: &Value, with_nodes: bool) -> Self {
        let mut fields = Self { is_own: with_nodes, below: BTreeMap::new() };
        match value {
            Value::Object(map) if !map.is_empty() && !shape.is_atomic_map() => {
                for (key, value) in map {
                    fields.below.insert(field(key), Self::of(shape.field(key), value, with_nodes));
                }
            }
            Value::Array(items) if !items.is_empty() => match shape.list() {
                List::Atomic => return Self::leaf(),
                List::Set => {
                    for item in items {
                        fields.below.insert(format!("v:{item}"), Self::leaf());
                    }
                }
                List::Keyed(keys) => {
                    for item in items {
                        let mut below = Self::of(shape.item(), item, with_nodes);
                        below.is_own = true;
                        fields.below.insert(item_key(item, &keys), below);
                    }
                }
            },
            _ => return Self::leaf(),
        }
        fields
    }

    pub(crate) fn unite(&mut self, other: &Self) {
        self.is_own |= other.is_own;
        for (key, fields) in &other.below {
            self.below.entry(key.clone()).or_default().unite(fields);
        }
    }

    /// Takes out everything that `other` names; a leaf of it takes what is below with it.
    pub(crate) fn subtract(&mut self, other: &Self) {
        for (key, fields) in &other.below {
            let Some(own) = self.below.get_mut(key) else { continue };
            if fields.below.is_empty() {
                self.below.remove(key);
                continue;
            }
            own.subtract(fields);
            own.is_own &= !fields.is_own;
            if own.is_empty() {
                self.below.remove(key);
            }
        }
    }

    /// The ways to all nodes of the set.
    pub(crate) fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.add_paths(&mut Vec::new(), &mut paths);
        paths
    }

    fn add_paths(&self, way: &mut Path, paths: &mut Vec<Path>) {
        if self.is_own && !way.is_empty() {
            paths.push(way.clone());
        }
        for (key, fields) in &self.below {
            way.push(key.clone());
            fields.add_paths(way, paths);
            way.pop();
        }
    }

    pub(crate) fn contains(&self, path: &[String]) -> bool {
        match path.split_first() {
            None => self.is_own,
            Some((key, rest)) => self.below.get(key).is_some_and(|fields| fields.contains(rest)),
        }
    }
}

pub(crate) fn field(key: &str) -> String {
    format!("f:{key}")
}

fn item_key(item: &Value, keys: &[String]) -> String {
    format!("k:{}", Value::Object(key_of(item, keys)))
}

/// What two values differ in: new or changed, and gone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) changed: Fields,
    pub(crate) gone: Fields,
}

/// Compares two values of one place.
pub(crate) fn compare(shape: Shape<'_>, old: &Value, new: &Value) -> Difference {
    let mut difference = Difference::default();
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if !shape.is_atomic_map() => {
            let both = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
            for key in both {
                difference.below(field(key), shape.field(key), old.get(key), new.get(key));
            }
        }
        (Value::Array(old), Value::Array(new)) => match shape.list() {
            List::Atomic => difference.changed.is_own = old != new,
            List::Set => {
                for item in old.iter().chain(new.iter().filter(|item| !old.contains(item))) {
                    let is = |list: &[Value]| list.contains(item).then_some(item.clone());
                    let (before, after) = (is(old), is(new));
                    difference.below(
                        format!("v:{item}"),
                        shape.item(),
                        before.as_ref(),
                        after.as_ref(),
                    );
                }
            }
            List::Keyed(keys) => {
                for item in old.iter().chain(new) {
                    let key = key_of(item, &keys);
                    let find =
                        |list: &'_ [Value]| list.iter().find(|item| has_key(item, &key)).cloned();
                    let (before, after) = (find(old), find(new));
                    difference.below(
                        item_key(item, &keys),
                        shape.item(),
                        before.as_ref(),
                        after.as_ref(),
                    );
                }
            }
        },
        (old, new) => difference.changed.is_own = old != new,
    }
    difference
}

impl Difference {
    fn below(&mut self, key: String, shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (Some(old), Some(new)) => {
                let inner = compare(shape, old, new);
                if !inner.changed.is_empty() {
                    self.changed.below.insert(key.clone(), inner.changed);
                }
                if !inner.gone.is_empty() {
                    self.gone.below.insert(key, inner.gone);
                }
            }
            (None, Some(new)) => {
                let mut fields = Fields::of(shape, new, true);
                fields.is_own = true;
                self.changed.below.insert(key, fields);
            }
            (Some(_), None) => {
                self.gone.below.insert(key, Fields::leaf());
            }
            (None, None) => {}
        }
    }
}

/// The value at a path.
pub(crate) fn get<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| match key.split_at(2) {
        ("f:", name) => value.get(name),
        ("k:", key) => {
            let key: Map<String, Value> = serde_json::from_str(key).ok()?;
            value.as_array()?.iter().find(|item| has_key(item, &key))
        }
        (_, item) => {
            let wanted: Value = serde_json::from_str(item).ok()?;
            value.as_array()?.iter().find(|item| **item == wanted)
        }
    })
}

/// Removes the value at a path.
pub(crate) fn remove(value: &mut Value, path: &[String]) {
    let Some((key, rest)) = path.split_first() else { return };
    let (kind, name) = key.split_at(2);
    if kind == "f:" {
        let Some(map) = value.as_object_mut() else { return };
        match map.get_mut(name) {
            Some(below) if !rest.is_empty() => remove(below, rest),
            _ => drop(map.remove(name)),
        }
        return;
    }
    let Some(items) = value.as_array_mut() else { return };
    let wanted: Value = serde_json::from_str(name).unwrap_or_default();
    let is_it = |item: &Value| match (kind, wanted.as_object()) {
        ("k:", Some(key)) => has_key(item, key),
        _ => *item == wanted,
    };
    if rest.is_empty() {
        items.retain(|item| !is_it(item));
    } else if let Some(item) = items.iter_mut().find(|item| is_it(item)) {
        remove(item, rest);
    }
}

/// A path as messages print it: `.data.a`, `.spec.containers[name="x"].image`.
pub(crate) fn printed(path: &[String]) -> String {
    let part = |key: &String| match key.split_at(2) {
        ("f:", name) => format!(".{name}"),
        ("k:", key) => {
            let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let pairs: Vec<_> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", pairs.join(","))
        }
        (_, item) => format!("[={item}]"),
    };
    path.iter().map(part).collect()
}
