//! `additionalPrinterColumns`: cells by `JSONPath` (the part of it that such columns use: fields, indices and
//! equality filters).

use super::super::object;
use jiff::Timestamp;
use serde_json::Value;

/// One column of a Table answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    path: String,
}

impl Column {
    pub(crate) fn read_all(columns: &Value) -> Vec<Self> {
        let Some(columns) = columns.as_array() else { return vec![Self::age()] };
        columns.iter().map(Self::read).collect()
    }

    fn read(column: &Value) -> Self {
        let text = |field: &str| column[field].as_str().unwrap_or_default().to_owned();
        let path = text("jsonPath");
        let description = match column["description"].as_str() {
            Some(own) => own.to_owned(),
            None => format!("Custom resource definition column (in JSONPath format): {path}"),
        };
        let priority = column["priority"].as_i64().unwrap_or(0);
        let (name, kind, format) = (text("name"), text("type"), text("format"));
        Self { name, kind, format, description, priority, path }
    }

    /// The column of a CRD that names none.
    fn age() -> Self {
        let column = serde_json::json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"});
        Self::read(&column)
    }

    /// The cell of one object; null where there is nothing.
    pub(crate) fn cell(&self, item: &Value, now: Timestamp) -> Value {
        let found = find(item, &self.path);
        match (self.kind.as_str(), found) {
            (_, None | Some(Value::Null)) => Value::Null,
            ("date", Some(Value::String(at))) => age(at, now).into(),
            ("integer", Some(Value::Number(number))) => {
                number.as_i64().map_or_else(|| Value::Number(number.clone()), Value::from)
            }
            ("string", Some(value @ (Value::Array(_) | Value::Object(_)))) => {
                value.to_string().into()
            }
            ("string", Some(Value::Number(number))) => number.to_string().into(),
            ("string", Some(Value::Bool(flag))) => flag.to_string().into(),
            (_, Some(value)) => value.clone(),
        }
    }
}

/// The first value at a `JSONPath` such as `.status.conditions[?(@.type=="Ready")].status`.
fn find<'a>(item: &'a Value, path: &str) -> Option<&'a Value> {
    let mut rest = path.trim_start_matches('$');
    let mut value = item;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let end = closing(inside)?;
            value = pick(value, &inside[..end])?;
            rest = &inside[end + 1..];
        } else {
            rest = rest.trim_start_matches('.');
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            value = value.get(rest[..end].trim_matches('\''))?;
            rest = &rest[end..];
        }
    }
    Some(value)
}

/// Where the bracket that was opened before ends; brackets in quotes do not count.
fn closing(inside: &str) -> Option<usize> {
    let mut quote = None;
    inside.char_indices().find_map(|(at, letter)| match (quote, letter) {
        (None, ']') => Some(at),
        (None, '"' | '\'') => {
            quote = Some(letter);
            None
        }
        (Some(open), letter) if letter == open => {
            quote = None;
            None
        }
        _ => None,
    })
}

fn pick<'a>(value: &'a Value, inside: &str) -> Option<&'a Value> {
    if let Some(filter) = inside.strip_prefix("?(@") {
        let (path, wanted) = filter.strip_suffix(')')?.split_once("==")?;
        let wanted = wanted.trim().trim_matches(['"', '\'']);
        let is_wanted = |item: &&Value| object::at(item, path.trim()).is_some_and(|v| v == wanted);
        return value.as_array()?.iter().find(is_wanted);
    }
    match inside.parse::<usize>() {
        Ok(index) => value.get(index),
        Err(_) if inside == "*" => value.get(0),
        Err(_) => value.get(inside.trim_matches(['"', '\''])),
    }
}

/// Time since `at` as kubectl prints it (`duration.HumanDuration` of apimachinery).
pub(crate) fn age(at: &str, now: Timestamp) -> String {
    let Ok(at) = at.parse::<Timestamp>() else { return "<unknown>".to_owned() };
    let seconds = (now.as_second() - at.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let both = |large: i64, unit: char, small: i64, name: char| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{name}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => both(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => both(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => both(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => both(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_with_filters_and_indices() {
        let item = json!({"status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]},
            "metadata": {"annotations": {"x.y/z": "1"}}, "list": [5, 6]});
        let found = |path: &str| find(&item, path).cloned().unwrap_or_default();
        assert_eq!(found(".status.conditions[?(@.type==\"Ready\")].status"), "True");
        assert_eq!(found(".status.conditions[?(@.type=='B')].status"), Value::Null);
        assert_eq!(found(".metadata.annotations['x.y/z']"), "1");
        assert_eq!(found(".list[1]"), 6);
    }

    #[test]
    fn ages_as_kubectl_prints_them() {
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
        for (at, expected) in [
            ("2026-01-10T00:00:00Z", "0s"),
            ("2026-01-09T23:58:22Z", "98s"),
            ("2026-01-09T23:57:50Z", "2m10s"),
            ("2026-01-09T23:40:00Z", "20m"),
            ("2026-01-09T19:30:00Z", "4h30m"),
            ("2026-01-07T23:00:00Z", "2d1h"),
            ("2025-01-01T00:00:00Z", "374d"),
        ] {
            assert_eq!(age(at, now), expected, "{at}");
        }
    }
}
