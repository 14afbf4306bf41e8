//! Validation against a structural schema, in the words of kube-openapi.

use super::{
    super::status::Cause,
    schema::{is_set, join, property},
};
use jiff::Timestamp;
use regex::Regex;
use serde_json::Value;

/// Everything wrong with `object` by its schema, in order of path.
pub(crate) fn causes(schema: &Value, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(schema, object, "", &mut causes);
    causes
}

/// Whether all patterns of a schema are regular expressions.
pub(crate) fn check_patterns(schema: &Value) -> Result<(), String> {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(pattern)) = map.get("pattern") {
                Regex::new(pattern).map_err(|error| format!("invalid pattern: {error}"))?;
            }
            map.values().try_for_each(check_patterns)
        }
        Value::Array(items) => items.iter().try_for_each(check_patterns),
        _ => Ok(()),
    }
}

fn check(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && is_set(schema, "nullable") {
        return;
    }
    if !has_type(schema, value) {
        let (found, wanted) = (type_of(value), schema["type"].as_str().unwrap_or_default());
        let why = format!("{path} in body must be of type {wanted}: {found:?}");
        let invalid = Cause::invalid(path, &format!("{found:?}"), &why);
        causes.push(Cause { reason: "FieldValueTypeInvalid", ..invalid });
        return;
    }
    check_enum(schema, value, path, causes);
    match value {
        Value::Object(map) => {
            let required = schema["required"].as_array().into_iter().flatten();
            for key in required.filter_map(Value::as_str).filter(|key| !map.contains_key(*key)) {
                causes.push(Cause::required(join(path, key)));
            }
            for (key, value) in map {
                if let Some(known) = property(schema, key) {
                    check(known, value, &join(path, key), causes);
                }
            }
        }
        Value::Array(items) => check_list(schema, items, path, causes),
        Value::String(text) => check_text(schema, text, path, causes),
        Value::Number(_) => check_number(schema, value, path, causes),
        _ => {}
    }
    check_combined(schema, value, path, causes);
}

fn has_type(schema: &Value, value: &Value) -> bool {
    if is_set(schema, "x-kubernetes-int-or-string") {
        return value.is_string() || is_integer(value);
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => is_integer(value),
        Some("number") => value.is_number(),
        _ => true,
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_enum(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(allowed) = schema["enum"].as_array() else { return };
    if !allowed.contains(value) {
        let supported: Vec<_> = allowed.iter().map(Value::to_string).collect();
        let message =
            format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        causes.push(Cause { reason: "FieldValueNotSupported", field: path.to_owned(), message });
    }
}

fn check_list(schema: &Value, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let count = items.len() as u64;
    if let Some(limit) = schema["maxItems"].as_u64().filter(|limit| count > *limit) {
        let message = format!("Too many: {count}: must have at most {limit} items");
        causes.push(Cause { reason: "FieldValueTooMany", field: path.to_owned(), message });
    }
    if let Some(limit) = schema["minItems"].as_u64().filter(|limit| count < *limit) {
        let why = format!("{path} in body should have at least {limit} items");
        causes.push(Cause::invalid(path, &count.to_string(), &why));
    }
    for (at, item) in items.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if items[..at].iter().any(|earlier| are_same(schema, earlier, item)) {
            let message = format!("Duplicate value: {item}");
            causes.push(Cause { reason: "FieldValueDuplicate", field: path.clone(), message });
        }
        check(&schema["items"], item, &path, causes);
    }
}

/// Two items that a list of this type cannot hold together.
fn are_same(schema: &Value, a: &Value, b: &Value) -> bool {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => a == b,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            let mut keys = keys.into_iter().flatten().filter_map(Value::as_str);
            keys.all(|key| a.get(key) == b.get(key))
        }
        _ => false,
    }
}

fn check_text(schema: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let printed = format!("{text:?}");
    let mut invalid = |why: String| causes.push(Cause::invalid(path, &printed, &why));
    let length = text.chars().count() as u64;
    if let Some(limit) = schema["minLength"].as_u64().filter(|limit| length < *limit) {
        invalid(format!("{path} in body should be at least {limit} chars long"));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
    {
        invalid(format!("{path} in body should match '{pattern}'"));
    }
    if schema["format"] == "date-time" && text.parse::<Timestamp>().is_err() {
        invalid(format!("{path} in body must be of type date-time: {text:?}"));
    }
    if let Some(limit) = schema["maxLength"].as_u64().filter(|limit| length > *limit) {
        let message = format!("Too long: may not be more than {limit} bytes");
        causes.push(Cause { reason: "FieldValueTooLong", field: path.to_owned(), message });
    }
}

fn check_number(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(number) = value.as_f64() else { return };
    let mut invalid = |why: String| causes.push(Cause::invalid(path, &value.to_string(), &why));
    if let Some(limit) = schema["maximum"].as_f64() {
        if is_set(schema, "exclusiveMaximum") && number >= limit {
            invalid(format!("{path} in body should be less than {limit}"));
        } else if number > limit {
            invalid(format!("{path} in body should be less than or equal to {limit}"));
        }
    }
    if let Some(limit) = schema["minimum"].as_f64() {
        if is_set(schema, "exclusiveMinimum") && number <= limit {
            invalid(format!("{path} in body should be greater than {limit}"));
        } else if number < limit {
            invalid(format!("{path} in body should be greater than or equal to {limit}"));
        }
    }
    if let Some(step) = schema["multipleOf"].as_f64().filter(|step| number % step != 0.0) {
        invalid(format!("{path} in body should be a multiple of {step}"));
    }
}

fn check_combined(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let holds = |schema: &Value| {
        let mut inner = Vec::new();
        check(schema, value, path, &mut inner);
        inner.is_empty()
    };
    let branches =
        |name: &str| schema[name].as_array().map(|all| all.iter().filter(|s| holds(s)).count());
    let mut failed = |how: &str| {
        let why = format!("{path:?} must validate {how}");
        causes.push(Cause::invalid(path, &value.to_string(), &why));
    };
    if branches("anyOf") == Some(0) {
        failed("at least one schema (anyOf)");
    }
    if branches("oneOf").is_some_and(|count| count != 1) {
        failed("one and only one schema (oneOf)");
    }
    if schema["not"].is_object() && holds(&schema["not"]) {
        failed("not match the schema (not)");
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(part, value, path, causes);
    }
}
