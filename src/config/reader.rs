//! Walks a [`Node`] tree and collects problems instead of stopping at the first.
//!
//! Every read returns a value; where the file is wrong it is a stand-in and the problem is kept in
//! the [`Sink`]. The caller builds its result as if all were well and throws it away if the sink is
//! not empty, so there is one way through the code and all problems are found at once.

use super::{
    duration::{self, parse_duration},
    node::{Entry, Node, Value},
    problem::{Problem, hint},
};
use crate::time::Millis;
use std::{cell::RefCell, ops::RangeInclusive};

/// Where problems go.
pub(super) type Sink = RefCell<Vec<Problem>>;

/// One value of the file, with the way to it.
#[derive(Clone)]
pub(super) struct Field<'a> {
    path: String,
    node: &'a Node,
    sink: &'a Sink,
}

impl<'a> Field<'a> {
    pub(super) fn root(node: &'a Node, sink: &'a Sink) -> Self {
        Self { path: String::new(), node, sink }
    }

    pub(super) fn line(&self) -> u64 {
        self.node.line
    }

    /// Says what this must be; what was found is added.
    pub(super) fn must(&self, what: &str) {
        self.problem(format!("must be {what}, got {}", self.node.value.shown()));
    }

    pub(super) fn problem(&self, message: impl Into<String>) {
        let problem =
            Problem { line: self.node.line, path: self.path.clone(), message: message.into() };
        self.sink.borrow_mut().push(problem);
    }

    /// What was written, if it is a single value.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(value) => Some(value.to_string()),
            Value::Float(value) => Some(value.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    pub(super) fn text(&self) -> String {
        match self.scalar() {
            Some(text) if !text.trim().is_empty() => text,
            _ => {
                self.must("a text");
                String::new()
            }
        }
    }

    /// A text that `read` understands; `what` says what that is.
    pub(super) fn parsed<T>(&self, what: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.scalar().and_then(|text| read(&text));
        if value.is_none() {
            self.must(what);
        }
        value
    }

    pub(super) fn duration(&self) -> Millis {
        self.parsed(duration::EXAMPLE, parse_duration).unwrap_or_default()
    }

    pub(super) fn positive_duration(&self) -> Millis {
        let span = self.duration();
        if span <= Millis::ZERO && self.scalar().and_then(|text| parse_duration(&text)).is_some() {
            self.must("longer than 0s");
        }
        span
    }

    pub(super) fn integer<T>(&self, allowed: RangeInclusive<T>) -> T
    where
        T: Copy + Into<i128> + TryFrom<i128>,
    {
        let (low, high) = ((*allowed.start()).into(), (*allowed.end()).into());
        if let Value::Integer(value) = self.node.value
            && (low..=high).contains(&value)
            && let Ok(value) = T::try_from(value)
        {
            return value;
        }
        self.must(&format!("a whole number from {low} to {high}"));
        *allowed.start()
    }

    pub(super) fn number(&self, allowed: RangeInclusive<f64>) -> f64 {
        let value = match self.node.value {
            Value::Integer(value) => value as f64,
            Value::Float(value) => value,
            _ => f64::NAN,
        };
        if allowed.contains(&value) {
            return value;
        }
        let (low, high) = (allowed.start(), allowed.end());
        self.must(&match high.is_infinite() || *high >= f64::MAX {
            true if *low <= f64::MIN => "a number".to_owned(),
            true => format!("a number >= {low}"),
            false => format!("a number from {low} to {high}"),
        });
        *low
    }

    pub(super) fn boolean(&self) -> bool {
        if let Value::Bool(value) = self.node.value {
            return value;
        }
        self.must("true or false");
        false
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<Self> {
        let Value::List(nodes) = &self.node.value else {
            self.must("a list");
            return Vec::new();
        };
        let item = |(nth, node)| Self { path: format!("{}[{nth}]", self.path), node, ..*self };
        nodes.iter().enumerate().map(item).collect()
    }

    /// The items of a list that has to have some; `what` is one of them.
    pub(super) fn some_items(&self, what: &str) -> Vec<Self> {
        let items = self.items();
        if items.is_empty() && matches!(self.node.value, Value::List(_)) {
            self.problem(format!("needs at least one {what}"));
        }
        items
    }

    /// The items of a list, or this alone.
    pub(super) fn one_or_more(&self) -> Vec<Self> {
        if matches!(self.node.value, Value::List(_)) { self.items() } else { vec![self.clone()] }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// The entries of a mapping whose keys are the user's own.
    pub(super) fn entries(&self) -> Vec<(&'a str, Self)> {
        let Value::Map(entries) = &self.node.value else {
            self.must("a mapping");
            return Vec::new();
        };
        entries.iter().map(|entry| (entry.key.as_str(), self.child(entry))).collect()
    }

    /// A mapping of known keys.
    pub(super) fn fields(&self) -> Fields<'a> {
        if !self.is_map() {
            self.must("a mapping");
        }
        Fields { owner: self.clone(), known: RefCell::default() }
    }

    fn child(&self, entry: &'a Entry) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{dot}{}", self.path, entry.key),
            node: &entry.node,
            sink: self.sink,
        }
    }
}

/// A mapping of which every key must be known. Keys become known by being asked for; [`Self::finish`]
/// refuses the rest.
pub(super) struct Fields<'a> {
    owner: Field<'a>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The value of a key; an empty one counts as not given.
    pub(super) fn get(&self, key: &'static str) -> Option<Field<'a>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        let Value::Map(entries) = &self.owner.node.value else { return None };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        (!matches!(entry.node.value, Value::Null)).then(|| self.owner.child(entry))
    }

    /// The value of a key that has to be there.
    pub(super) fn need(&self, key: &'static str) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() && self.owner.is_map() {
            self.owner.problem(format!("`{key}` is missing"));
        }
        field
    }

    /// The mapping itself, for problems of several keys together.
    pub(super) fn owner(&self) -> &Field<'a> {
        &self.owner
    }

    /// Refuses keys nobody asked for.
    pub(super) fn finish(self) {
        let Value::Map(entries) = &self.owner.node.value else { return };
        let known = self.known.into_inner();
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let problem = Problem {
                line: entry.line,
                path: self.owner.child(entry).path,
                message: format!("unknown key{}", hint(&entry.key, &known)),
            };
            self.owner.sink.borrow_mut().push(problem);
        }
    }
}
