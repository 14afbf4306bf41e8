//! Which series and labels an expression names. Not a parser: promtool says whether it is `PromQL` at all.

use std::collections::BTreeSet;

/// What an expression names.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Used {
    pub(crate) metrics: BTreeSet<String>,
    pub(crate) labels: BTreeSet<String>,
}

const OPERATORS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "atan2"];
/// Words before a list of labels in parentheses.
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Identifiers, and each other character by itself; texts in quotes are one token.
fn tokens(expr: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = expr.chars().peekable();
    while let Some(first) = rest.next() {
        let mut token = String::from(first);
        if first == '"' {
            while let Some(next) = rest.next() {
                token.push(next);
                match next {
                    '\\' => token.extend(rest.next()),
                    '"' => break,
                    _ => {}
                }
            }
        } else if is_part(first) {
            while let Some(next) = rest.next_if(|&next| is_part(next)) {
                token.push(next);
            }
        } else if first.is_whitespace() {
            continue;
        }
        tokens.push(token);
    }
    tokens
}

fn is_part(one: char) -> bool {
    one.is_ascii_alphanumeric() || matches!(one, '_' | ':' | '.')
}

fn is_identifier(token: &str) -> bool {
    token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// Series and labels of `expr`.
pub(crate) fn used(expr: &str) -> Used {
    let tokens = tokens(expr);
    let mut used = Used::default();
    let (mut in_braces, mut in_grouping) = (false, false);
    for (place, token) in tokens.iter().enumerate() {
        let before = place.checked_sub(1).map_or("", |before| tokens[before].as_str());
        let after = tokens.get(place + 1).map_or("", String::as_str);
        match token.as_str() {
            "{" => in_braces = true,
            "}" => in_braces = false,
            "(" if GROUPINGS.contains(&before) => in_grouping = true,
            ")" => in_grouping = false,
            name if !is_identifier(name) => {}
            name if in_braces || in_grouping => {
                used.labels.insert(name.to_owned());
            }
            name if OPERATORS.contains(&name) || GROUPINGS.contains(&name) => {}
            // A function, or an aggregation whose grouping comes first.
            _ if after == "(" || GROUPINGS.contains(&after) => {}
            name => {
                used.metrics.insert(name.to_owned());
            }
        }
    }
    used
}

/// Labels with the texts that they are compared with.
pub(crate) fn matched(expr: &str) -> Vec<(String, String)> {
    let tokens = tokens(expr);
    let texts = tokens.iter().enumerate().filter(|(_, token)| token.starts_with('"'));
    let label = |place: usize| tokens[..place].iter().rev().find(|token| is_identifier(token));
    texts
        .filter_map(|(place, text)| {
            Some((label(place)?.clone(), text.trim_matches('"').to_owned()))
        })
        .collect()
}

#[test]
fn series_and_labels_are_told_from_functions_and_words() {
    let expr = "max by (job, pool) (rate(a_total{kind=~\"b|c\", d!=\"\"}[5m])) > 2 * vector(1e3)\n\
                and on (job) e:f:max offset 1m unless sum without (g) (h) == 0.5";
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let (metrics, labels) =
        (set(&["a_total", "e:f:max", "h"]), set(&["d", "g", "job", "kind", "pool"]));
    assert_eq!(used(expr), Used { metrics, labels });
    let pairs = [("kind", "b|c"), ("d", "")];
    assert_eq!(matched(expr), pairs.map(|(label, text)| (label.to_owned(), text.to_owned())));
}
