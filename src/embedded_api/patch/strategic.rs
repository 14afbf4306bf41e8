//! Strategic merge patch: a merge patch that knows the keys of lists (API reference, "Notes on the strategic
//! merge patch").

use super::shape::strategic_key;
use serde_json::{Map, Value};

/// Merges `patch` into `object`.
pub(crate) fn merge(object: &mut Value, patch: &Value) {
    match (object.as_object_mut(), patch.as_object()) {
        (Some(map), Some(patch)) => merge_maps(map, patch),
        _ => *object = without_directives(patch),
    }
}

fn merge_maps(map: &mut Map<String, Value>, patch: &Map<String, Value>) {
    if patch.get("$patch").is_some_and(|directive| directive == "replace") {
        map.clear();
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            delete_from(map, list, value);
        } else if key.starts_with('$') {
            // Orders of elements and keys to retain: maps have no order, and clients list all they keep.
        } else if value.is_null()
            || value.get("$patch").is_some_and(|directive| directive == "delete")
        {
            map.remove(key);
        } else {
            merge_field(map, key, value);
        }
    }
}

fn merge_field(map: &mut Map<String, Value>, key: &str, value: &Value) {
    let place = map.entry(key).or_insert(Value::Null);
    match (place, value) {
        (Value::Array(items), Value::Array(patch)) => match strategic_key(key) {
            Some(merge_key) => merge_lists(items, patch, merge_key),
            None if key == "finalizers" => {
                let new: Vec<_> =
                    patch.iter().filter(|item| !items.contains(item)).cloned().collect();
                items.extend(new);
            }
            None => patch.clone_into(items),
        },
        (place @ Value::Null, value) if value.is_object() => {
            *place = Value::Object(Map::new());
            merge(place, value);
        }
        (place, value) => merge(place, value),
    }
}

fn merge_lists(items: &mut Vec<Value>, patch: &[Value], key: &str) {
    if patch.iter().any(|item| item["$patch"] == "replace") {
        items.clear();
    }
    let before = items.clone();
    for change in patch.iter().filter(|item| item["$patch"] != "replace") {
        let is_same = |item: &Value| item.get(key) == change.get(key);
        if change["$patch"] == "delete" {
            items.retain(|item| !is_same(item));
        } else if let Some(item) = items.iter_mut().find(|item| is_same(item)) {
            merge(item, change);
        } else {
            items.push(without_directives(change));
        }
    }
    *items = ordered(std::mem::take(items), &before, patch, key);
}

/// Items of the patch in its order and the others in theirs; among items that were there before the old
/// order decides, so that new ones come first.
fn ordered(items: Vec<Value>, before: &[Value], patch: &[Value], key: &str) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| {
        list.iter().position(|other| other.get(key) == item.get(key))
    };
    let (mut named, others): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| place(patch, item).is_some());
    named.sort_by_key(|item| place(patch, item));
    let mut others = others.into_iter().peekable();
    let mut all = Vec::new();
    for item in named {
        if let Some(own) = place(before, &item) {
            while let Some(other) =
                others.next_if(|other| place(before, other).is_some_and(|at| at < own))
            {
                all.push(other);
            }
        }
        all.push(item);
    }
    all.extend(others);
    all
}

fn delete_from(map: &mut Map<String, Value>, list: &str, values: &Value) {
    let gone = values.as_array().cloned().unwrap_or_default();
    if let Some(items) = map.get_mut(list).and_then(Value::as_array_mut) {
        items.retain(|item| !gone.contains(item));
    }
}

/// What a patch says where there was nothing.
fn without_directives(patch: &Value) -> Value {
    match patch {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, value)| !key.starts_with('$') && !value.is_null());
            Value::Object(
                kept.map(|(key, value)| (key.clone(), without_directives(value))).collect(),
            )
        }
        Value::Array(items) => {
            let kept = items.iter().filter(|item| item.get("$patch").is_none());
            kept.map(without_directives).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(mut object: Value, patch: &Value) -> Value {
        merge(&mut object, patch);
        object
    }

    #[test]
    fn lists_merge_by_key_or_are_replaced() {
        let object = json!({"status": {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "False"}]},
            "spec": {"taints": [{"key": "x"}]}});
        let patch = json!({"status": {"conditions": [{"type": "B", "status": "True"}, {"$patch": "delete", "type": "A"}]},
            "spec": {"taints": [{"key": "y"}]}});
        assert_eq!(
            merged(object, &patch),
            json!({"status": {"conditions": [{"type": "B", "status": "True"}]}, "spec": {"taints": [{"key": "y"}]}})
        );
    }

    #[test]
    fn nulls_and_directives_remove() {
        let object = json!({"metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]}, "spec": {"a": 1}});
        let patch = json!({"metadata": {"labels": {"a": null, "c": "3"}, "$deleteFromPrimitiveList/finalizers": ["x"],
            "finalizers": ["z"]}, "spec": {"$patch": "replace", "b": 2}});
        assert_eq!(
            merged(object, &patch),
            json!({"metadata": {"labels": {"b": "2", "c": "3"}, "finalizers": ["y", "z"]}, "spec": {"b": 2}})
        );
    }
}
