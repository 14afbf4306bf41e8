//! Rules of CRD schemas (`x-kubernetes-validations`), compiled once and asked for every value of the node
//! they stand at. `self` is the value, `oldSelf` what it was before the change.
//!
//! The functions of the CEL standard library are there; those that Kubernetes adds (quantities, URLs, IP
//! addresses) are not, and a CRD that uses one is refused.

use super::{
    super::status::Cause,
    schema::{join, property},
};
use cel::{Context, Env, Program, Value as CelValue};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

/// Compiled expressions by their text.
pub(crate) struct Rules {
    env: Arc<Env>,
    programs: BTreeMap<String, Program>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.programs.keys()).finish()
    }
}

impl Rules {
    /// # Errors
    /// An expression that cannot be read.
    pub(crate) fn compile(schema: &Value) -> Result<Self, String> {
        let mut rules = Self { env: Arc::new(Env::stdlib()), programs: BTreeMap::new() };
        rules.add_below(schema)?;
        Ok(rules)
    }

    fn add_below(&mut self, schema: &Value) -> Result<(), String> {
        match schema {
            Value::Object(map) => {
                for rule in rules_of(schema) {
                    self.add(rule["rule"].as_str().unwrap_or_default())?;
                    if let Some(message) = rule["messageExpression"].as_str() {
                        self.add(message)?;
                    }
                }
                map.values().try_for_each(|below| self.add_below(below))
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.add_below(item)),
            _ => Ok(()),
        }
    }

    fn add(&mut self, expression: &str) -> Result<(), String> {
        let program = self.env.compile(expression);
        let program =
            program.map_err(|error| format!("compilation of {expression:?} failed: {error}"))?;
        self.programs.insert(expression.to_owned(), program);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// Rules that `object` breaks; transition rules only if there is an `old` object.
    pub(crate) fn broken(&self, schema: &Value, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = Vec::new();
        if !self.is_empty() {
            self.visit(schema, object, old, "", &mut causes);
        }
        causes
    }

    fn visit(
        &self,
        schema: &Value,
        value: &Value,
        old: Option<&Value>,
        path: &str,
        causes: &mut Vec<Cause>,
    ) {
        for rule in rules_of(schema) {
            causes.extend(self.judge(schema, rule, value, old, path));
        }
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    if let Some(known) = property(schema, key) {
                        let old = old.and_then(|old| old.get(key));
                        self.visit(known, value, old, &join(path, key), causes);
                    }
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    let old = old.and_then(|old| same_item(schema, item, old));
                    self.visit(&schema["items"], item, old, &format!("{path}[{at}]"), causes);
                }
            }
            _ => {}
        }
    }

    fn judge(
        &self,
        schema: &Value,
        rule: &Value,
        value: &Value,
        old: Option<&Value>,
        path: &str,
    ) -> Option<Cause> {
        let expression = rule["rule"].as_str()?;
        if old.is_none() && expression.contains("oldSelf") {
            return None;
        }
        let why = match self.evaluate(expression, schema, value, old) {
            Ok(CelValue::Bool(true)) => return None,
            Ok(_) => self.message(rule, schema, value, old),
            Err(error) => format!("rule evaluation error: {error}: {expression}"),
        };
        let at = match rule["fieldPath"].as_str() {
            Some(below) => join(path, below.trim_start_matches('.')),
            None if path.is_empty() => "<nil>".to_owned(),
            None => path.to_owned(),
        };
        Some(broken(rule["reason"].as_str(), at, &why))
    }

    fn message(&self, rule: &Value, schema: &Value, value: &Value, old: Option<&Value>) -> String {
        let computed = rule["messageExpression"].as_str().and_then(|expression| {
            match self.evaluate(expression, schema, value, old) {
                Ok(CelValue::String(text)) => Some(text.to_string()),
                _ => None,
            }
        });
        let own = || rule["message"].as_str().map(str::to_owned);
        let usual = || format!("failed rule: {}", rule["rule"].as_str().unwrap_or_default());
        computed.or_else(own).unwrap_or_else(usual)
    }

    fn evaluate(
        &self,
        expression: &str,
        schema: &Value,
        value: &Value,
        old: Option<&Value>,
    ) -> Result<CelValue, String> {
        let program = self.programs.get(expression).ok_or("not compiled")?;
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_from_value("self", cel_value(schema, value));
        if let Some(old) = old {
            context.add_variable_from_value("oldSelf", cel_value(schema, old));
        }
        program.execute(&context).map_err(|error| error.to_string())
    }
}

fn broken(reason: Option<&str>, field: String, why: &str) -> Cause {
    let (reason, message) = match reason {
        Some("FieldValueForbidden") => ("FieldValueForbidden", format!("Forbidden: {why}")),
        Some("FieldValueRequired") => ("FieldValueRequired", format!("Required value: {why}")),
        Some("FieldValueDuplicate") => ("FieldValueDuplicate", format!("Duplicate value: {why}")),
        _ => ("FieldValueInvalid", format!("Invalid value: {why}")),
    };
    Cause { reason, field, message }
}

fn rules_of(schema: &Value) -> impl Iterator<Item = &Value> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten()
}

/// The item of an old list that a new one goes back to: by its keys; items of other lists have no past.
fn same_item<'a>(schema: &Value, item: &Value, old: &'a Value) -> Option<&'a Value> {
    let keys = schema["x-kubernetes-list-map-keys"].as_array()?;
    let is_same = |old: &&Value| {
        keys.iter().filter_map(Value::as_str).all(|key| old.get(key) == item.get(key))
    };
    old.as_array()?.iter().find(is_same)
}

/// JSON as CEL sees it: whole numbers are `int` unless the schema says `number`.
fn cel_value(schema: &Value, value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(flag) => CelValue::Bool(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) if schema["type"] != "number" => CelValue::Int(whole),
            _ => CelValue::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Array(items) => {
            let items = items.iter().map(|item| cel_value(&schema["items"], item));
            CelValue::List(Arc::new(items.collect()))
        }
        Value::Object(map) => {
            let below = |key: &str| property(schema, key).unwrap_or(&Value::Null);
            let pairs = map.iter().map(|(key, value)| (key.clone(), cel_value(below(key), value)));
            let pairs: HashMap<String, CelValue> = pairs.collect();
            CelValue::Map(pairs.into())
        }
    }
}
