//! YAML as a tree that remembers lines.
//!
//! Deserialising straight into structs would stop at the first problem and lose the line of values
//! that are well-formed but wrong. So the file becomes a tree first; `reader` walks it.

use super::problem::{Problem, Problems};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;
use std::fmt;

/// A value and the line it starts on.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: u64,
    pub(super) value: Value,
}

/// What YAML can say.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: u64,
    pub(super) node: Node,
}

/// Reads the one document of a file.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, Problems> {
    serde_saphyr::from_str(text).map_err(|error| {
        let bare = error.without_snippet();
        let line = bare.location().map_or(0, |location| location.line());
        let message = format!("not valid YAML: {}", first_line(&bare.to_string()));
        Problems {
            file: file.to_owned(),
            problems: vec![Problem { line, path: String::new(), message }],
        }
    })
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl Value {
    /// The value for messages, short.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(text) => format!("\"{text}\""),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = items.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((key, node)) = entries.next_entry::<Spanned<String>, Node>()? {
            map.push(Entry { line: key.referenced.line(), key: key.value, node });
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_kind_and_line() {
        let node = parse("x", "a: 5\nb:\n  - 5m\n  - 0.5\n  - 'true'\n  - true\n1: ~\n").unwrap();
        let Value::Map(entries) = &node.value else { panic!("{node:?}") };
        let lines: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.line)).collect();
        assert_eq!(lines, [("a", 1), ("b", 2), ("1", 7)]);
        assert!(matches!(entries[0].node.value, Value::Integer(5)));
        let Value::List(items) = &entries[1].node.value else { panic!("{node:?}") };
        let shown: Vec<_> = items.iter().map(|n| (n.line, n.value.shown())).collect();
        let expected = [(3, "\"5m\""), (4, "0.5"), (5, "\"true\""), (6, "true")];
        assert_eq!(shown, expected.map(|(line, text)| (line, text.to_owned())));
        assert!(matches!(entries[2].node.value, Value::Null));
    }

    #[test]
    fn broken_yaml_names_the_line() {
        let problems = parse("x.yaml", "a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(problems.problems[0].line >= 2, "{problems}");
        assert_eq!(problems.to_string().lines().count(), 1, "{problems}");
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let problems = parse("x.yaml", "a: 1\na: 2\n").unwrap_err();
        assert!(problems.to_string().contains("x.yaml:2: "), "{problems}");
    }
}
