//! How two decisions of one look differ, field by field.

use super::{Entry, instant};
use crate::{engine::Decision, time::Timestamp};
use serde_json::Value;
use std::fmt;

/// Fields shown of one look.
const SHOWN: usize = 12;

/// A look that was decided differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Line of the log.
    pub line: u64,
    /// When.
    pub now: Timestamp,
    /// Field, recorded value, value now; the fields of pools carry the pool's name.
    pub fields: Vec<(String, Value, Value)>,
}

impl Difference {
    pub(super) fn between(entry: &Entry, now: &Decision, pools: &[&str]) -> Self {
        let mut fields = Vec::new();
        // What cannot be written cannot have been read either: no difference to show.
        let value = |decision| serde_json::to_value(decision).unwrap_or_default();
        walk("", &value(&entry.decision), &value(now), pools, &mut fields);
        Self { line: entry.line, now: entry.now, fields }
    }
}

fn walk(
    path: &str,
    recorded: &Value,
    now: &Value,
    pools: &[&str],
    into: &mut Vec<(String, Value, Value)>,
) {
    match (recorded, now) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, recorded) in a {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, recorded, b.get(key).unwrap_or(&Value::Null), pools, into);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (place, (recorded, now)) in a.iter().zip(b).enumerate() {
                let path = match pools.get(place) {
                    Some(pool) if path == "why" => format!("pool {pool}"),
                    _ => format!("{path}[{place}]"),
                };
                walk(&path, recorded, now, pools, into);
            }
        }
        _ if recorded != now => into.push((path.to_owned(), recorded.clone(), now.clone())),
        _ => {}
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}, {}:", self.line, instant(self.now))?;
        for (field, recorded, now) in self.fields.iter().take(SHOWN) {
            writeln!(f, "  {field}: recorded {recorded}, decided now {now}")?;
        }
        match self.fields.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}
