//! The `expect` block: what a run of the scenario must come to.
//!
//! `{policy: reactive, metric: wait_seconds.mean, within: [540, 10]}` compares a figure of the
//! report with a number; `{policy: "watermark:0.2", metric: node_hours, atMost: 1.3, times: reactive}`
//! with a multiple of another figure. Whether a metric exists is the report's to know.

use super::must_be_one_of;
use crate::config::reader::{Field, Fields};

/// How found and expected are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    /// Found < expected.
    Below,
    /// Found > expected.
    Above,
    /// Found <= expected.
    AtMost,
    /// Found >= expected.
    AtLeast,
    /// The same number.
    Equals,
    /// At most the tolerance away.
    Within(f64),
}

/// Another figure of the report, which the expected number is a multiple of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `None` = the metric belongs to the report itself.
    pub policy: Option<String>,
    /// Path within the policy's entry or the report.
    pub metric: String,
}

/// One thing that must come out.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Line in the file, for messages.
    pub line: u64,
    /// `None` = the metric belongs to the report itself, for example `trace.gpu_jobs`.
    pub policy: Option<String>,
    /// Path, for example `wait_seconds.mean`.
    pub metric: String,
    /// How to compare.
    pub comparison: Comparison,
    /// With what, in the metric's unit or as a multiple of `times`.
    pub value: f64,
    /// The figure that counts as 1.
    pub times: Option<Reference>,
}

pub(super) fn read_all(list: &Field<'_>, policies: &[String]) -> Vec<Expectation> {
    list.items().iter().flat_map(|field| read(field, policies)).collect()
}

/// One entry is as many expectations as it names policies and comparisons.
fn read(field: &Field<'_>, policies: &[String]) -> Vec<Expectation> {
    let fields = field.fields();
    let named: Vec<Option<String>> = match fields.get("policy") {
        Some(field) => field.one_or_more().iter().map(|f| Some(policy(f, policies))).collect(),
        None => vec![None],
    };
    let metric = fields.need("metric").map_or_else(String::new, |f| f.text());
    let comparisons = comparisons(&fields);
    let times = fields.get("times").map(|f| reference(&f, &metric, policies));
    if comparisons.is_empty() && field.is_map() {
        field.problem("needs one of below, above, atMost, atLeast, equals, within");
    }
    fields.finish();
    let each = |policy: Option<String>| {
        let (metric, times) = (metric.clone(), times.clone());
        comparisons.iter().map(move |&(comparison, value)| Expectation {
            line: field.line(),
            policy: policy.clone(),
            metric: metric.clone(),
            comparison,
            value,
            times: times.clone(),
        })
    };
    named.into_iter().flat_map(each).collect()
}

fn policy(field: &Field<'_>, policies: &[String]) -> String {
    let name = field.text();
    let base = name.rsplit_once('@').map_or(name.as_str(), |(base, _)| base);
    if !policies.is_empty() && !name.is_empty() && !policies.contains(&name) {
        let known: Vec<_> = policies.iter().map(String::as_str).collect();
        must_be_one_of(field, "policy", base, &known);
    }
    name
}

/// A policy's name: its same metric. Or `{policy: .., metric: ..}`, either of which can be left out.
fn reference(field: &Field<'_>, metric: &str, policies: &[String]) -> Reference {
    if !field.is_map() {
        return Reference { policy: Some(policy(field, policies)), metric: metric.to_owned() };
    }
    let fields = field.fields();
    let reference = Reference {
        policy: fields.get("policy").map(|f| policy(&f, policies)),
        metric: fields.get("metric").map_or_else(|| metric.to_owned(), |f| f.text()),
    };
    fields.finish();
    reference
}

fn comparisons(fields: &Fields<'_>) -> Vec<(Comparison, f64)> {
    let simple = [
        ("below", Comparison::Below),
        ("above", Comparison::Above),
        ("atMost", Comparison::AtMost),
        ("atLeast", Comparison::AtLeast),
        ("equals", Comparison::Equals),
    ];
    let any = f64::MIN..=f64::MAX;
    let given = simple
        .into_iter()
        .filter_map(|(key, comparison)| Some((comparison, fields.get(key)?.number(any.clone()))));
    given.chain(fields.get("within").and_then(|f| within(&f))).collect()
}

fn within(field: &Field<'_>) -> Option<(Comparison, f64)> {
    let items = field.one_or_more();
    let [value, tolerance] = items.as_slice() else {
        field.must("[value, tolerance]");
        return None;
    };
    let value = value.number(f64::MIN..=f64::MAX);
    Some((Comparison::Within(tolerance.number(0.0..=f64::MAX)), value))
}
