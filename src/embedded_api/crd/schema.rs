//! Structural schemas of CRDs: what fields there are, what they are when left out, how lists merge
//! (CRD reference, "Structural schemas", "Field pruning", "Defaulting").

use super::{super::status::Cause, cel::Rules, validate};
use serde_json::{Map, Value};

/// The schema of one version with its rules, compiled.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) root: Value,
    rules: Rules,
}

impl Schema {
    /// # Errors
    /// A rule that this CEL interpreter cannot read, or a pattern that is none.
    pub(crate) fn read(schema: &Value) -> Result<Self, String> {
        validate::check_patterns(schema)?;
        Ok(Self { root: schema.clone(), rules: Rules::compile(schema)? })
    }

    /// Removes what the schema does not know and gives the paths of it.
    pub(crate) fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut unknown = Vec::new();
        prune(&self.root, object, "", true, &mut unknown);
        unknown
    }

    pub(crate) fn set_defaults(&self, object: &mut Value) {
        set_defaults(&self.root, object);
    }

    /// What is wrong with `object`; rules that name `oldSelf` are asked if there is an `old` one.
    pub(crate) fn causes(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = validate::causes(&self.root, object);
        if causes.is_empty() {
            return self.rules.broken(&self.root, object, old);
        }
        if !self.rules.is_empty() {
            let why = "some validation rules were not checked because the object was invalid; \
                correct the existing errors to complete validation";
            causes.push(Cause::invalid("<nil>", "null", why));
        }
        causes
    }
}

/// Flags of a schema node.
pub(crate) fn is_set(schema: &Value, flag: &str) -> bool {
    schema[flag] == true
}

/// The schema of the value below `key`, if the schema knows it.
pub(crate) fn property<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let named = schema.get("properties").and_then(|properties| properties.get(key));
    named.or_else(|| schema.get("additionalProperties").filter(|more| **more != false))
}

/// `path.key`, or `key` at the top.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What every object has, whether the schema says so or not.
fn is_type_or_metadata(key: &str) -> bool {
    matches!(key, "apiVersion" | "kind" | "metadata")
}

fn prune(
    schema: &Value,
    value: &mut Value,
    path: &str,
    is_object: bool,
    unknown: &mut Vec<String>,
) {
    match value {
        Value::Object(map) => {
            let has_type = is_object || is_set(schema, "x-kubernetes-embedded-resource");
            prune_map(schema, map, path, has_type, unknown);
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                prune(&schema["items"], item, &format!("{path}[{at}]"), false, unknown);
            }
        }
        _ => {}
    }
}

fn prune_map(
    schema: &Value,
    map: &mut Map<String, Value>,
    path: &str,
    has_type: bool,
    unknown: &mut Vec<String>,
) {
    let keeps_all = is_set(schema, "x-kubernetes-preserve-unknown-fields");
    map.retain(|key, value| {
        if has_type && is_type_or_metadata(key) {
            return true;
        }
        let path = join(path, key);
        match property(schema, key) {
            Some(known) => prune(known, value, &path, false, unknown),
            None if keeps_all => {}
            None => {
                unknown.push(path);
                return false;
            }
        }
        true
    });
}

fn set_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, known) in schema["properties"].as_object().into_iter().flatten() {
                let is_absent =
                    map.get(key).is_none_or(|v| v.is_null() && !is_set(known, "nullable"));
                if let Some(default) = known.get("default").filter(|_| is_absent) {
                    map.insert(key.clone(), default.clone());
                }
            }
            for (key, value) in map.iter_mut() {
                if let Some(known) = property(schema, key) {
                    set_defaults(known, value);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                set_defaults(&schema["items"], item);
            }
        }
        _ => {}
    }
}
