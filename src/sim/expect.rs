//! Holds a report against the `expect` block of its scenario.
//!
//! Metrics are paths into the report as it is written in JSON (`wait_seconds.mean` of a policy,
//! `bounds.node_hours_lower` of the report), so everything a report shows can be expected.

use super::report::{
    Bounds, ByKappa, PolicyReport, Report, SettingsSummary, TraceSummary, WaitSeconds,
};
use crate::{
    config::{
        Problem, closest,
        scenario::{Comparison, Expectation, Reference},
    },
    model::SkipReason,
    world::WaitCause,
};
use serde_json::Value;
use std::fmt;
use thiserror::Error;

/// Figures are sums of millions of terms; nothing real is as near as this without being equal.
const RELATIVE_PRECISION: f64 = 1e-9;

/// Why an expectation cannot be judged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExpectError {
    /// The report has no such figure.
    #[error("unknown metric \"{metric}\"{hint}")]
    Metric {
        /// As the scenario names it.
        metric: String,
        /// What may have been meant.
        hint: String,
    },
    /// The policy was not run.
    #[error("policy \"{policy}\" is not in the report{hint}")]
    Policy {
        /// As the scenario names it.
        policy: String,
        /// What may have been meant.
        hint: String,
    },
}

/// One expectation, judged. Prints one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// It came out as expected.
    pub passed: bool,
    /// The figure in question, with its policy.
    pub figure: String,
    /// What it had to be.
    pub expected: String,
    /// What it is; `None` = null in the report.
    pub found: Option<f64>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed { "ok  " } else { "FAIL" };
        let found = self.found.map_or_else(|| "nothing (null)".to_owned(), shown);
        write!(f, "{verdict} {}: expected {}, found {found}", self.figure, self.expected)
    }
}

/// Judges all expectations in order.
///
/// # Errors
/// All policies and metrics that the report does not have.
pub fn judge(
    expectations: &[Expectation],
    report: &Report,
) -> Result<Vec<Verdict>, Vec<ExpectError>> {
    let figures = Figures::of(report);
    let (mut verdicts, mut errors) = (Vec::new(), Vec::new());
    for expectation in expectations {
        match judge_one(expectation, &figures) {
            Ok(verdict) => verdicts.push(verdict),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(verdicts) } else { Err(errors) }
}

/// Problems of the expectations that show before any run: metrics no report has.
pub fn unknown_metrics(expectations: &[Expectation]) -> Vec<Problem> {
    let figures = Figures::of(&specimen());
    let mut problems = Vec::new();
    for expectation in expectations {
        let of_policy = expectation.policy.as_ref().map(|_| String::new());
        let own = (of_policy, &expectation.metric);
        let other = expectation.times.as_ref();
        let other = other.map(|of| (of.policy.as_ref().map(|_| String::new()), &of.metric));
        for (policy, metric) in [Some(own), other].into_iter().flatten() {
            if let Err(error) = figures.get(policy.as_deref(), metric) {
                let (line, path) = (expectation.line, "expect".to_owned());
                problems.push(Problem { line, path, message: error.to_string() });
            }
        }
    }
    problems
}

fn judge_one(expectation: &Expectation, figures: &Figures) -> Result<Verdict, ExpectError> {
    let found = figures.get(expectation.policy.as_deref(), &expectation.metric)?;
    let unit = match &expectation.times {
        Some(of) => figures.get(of.policy.as_deref(), &of.metric)?,
        None => Some(1.0),
    };
    let (comparison, value) = (expectation.comparison, expectation.value);
    let passed = found.zip(unit).is_some_and(|(found, unit)| holds(comparison, found, value, unit));
    let policy = expectation.policy.iter();
    let figure: Vec<_> = policy.chain([&expectation.metric]).map(String::as_str).collect();
    Ok(Verdict {
        passed,
        figure: figure.join(" "),
        expected: wording(comparison, value, expectation.times.as_ref(), unit),
        found,
    })
}

fn holds(comparison: Comparison, found: f64, value: f64, unit: f64) -> bool {
    let expected = value * unit;
    let slack = RELATIVE_PRECISION * found.abs().max(expected.abs());
    match comparison {
        Comparison::Below => found < expected,
        Comparison::Above => found > expected,
        Comparison::AtMost => found <= expected + slack,
        Comparison::AtLeast => found >= expected - slack,
        Comparison::Equals => (found - expected).abs() <= slack,
        Comparison::Within(tolerance) => (found - expected).abs() <= tolerance * unit.abs() + slack,
    }
}

fn wording(
    comparison: Comparison,
    value: f64,
    times: Option<&Reference>,
    unit: Option<f64>,
) -> String {
    let scaled = |value: f64| match times {
        None => shown(value),
        Some(of) => {
            let of: Vec<_> = of.policy.iter().chain([&of.metric]).map(String::as_str).collect();
            let known = unit.map_or_else(|| "null".to_owned(), |unit| shown(value * unit));
            format!("{} x {} ({known})", shown(value), of.join(" "))
        }
    };
    match comparison {
        Comparison::Below => format!("< {}", scaled(value)),
        Comparison::Above => format!("> {}", scaled(value)),
        Comparison::AtMost => format!("<= {}", scaled(value)),
        Comparison::AtLeast => format!(">= {}", scaled(value)),
        Comparison::Equals => format!("= {}", scaled(value)),
        Comparison::Within(tolerance) => format!("{} +- {}", scaled(value), shown(tolerance)),
    }
}

/// At most three decimals, no trailing zeros.
fn shown(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A report as JSON, taken apart by policy.
struct Figures {
    report: Value,
    policies: Vec<(String, Value)>,
}

impl Figures {
    fn of(report: &Report) -> Self {
        let json = |value: serde_json::Result<Value>| value.unwrap_or_default();
        let entries = report.policies.iter();
        let policies = entries.map(|p| (p.name.clone(), json(serde_json::to_value(p)))).collect();
        Self { report: json(serde_json::to_value(report)), policies }
    }

    /// A figure of a policy or of the report; `None` = it is there and null.
    fn get(&self, policy: Option<&str>, metric: &str) -> Result<Option<f64>, ExpectError> {
        let root = match policy {
            None => &self.report,
            Some(name) => match self.policies.iter().find(|(other, _)| other == name) {
                Some((_, figures)) => figures,
                None => return Err(self.unknown_policy(name)),
            },
        };
        match look_up(root, metric) {
            Some(Value::Null) => Ok(None),
            Some(value) if value.is_number() => Ok(value.as_f64()),
            _ if is_count_of_none(metric) => Ok(Some(0.0)),
            _ => Err(unknown_metric(root, metric)),
        }
    }

    fn unknown_policy(&self, policy: &str) -> ExpectError {
        let names: Vec<_> = self.policies.iter().map(|(name, _)| name.as_str()).collect();
        let hint = match closest(policy, names.iter().copied()) {
            Some(name) => format!("; did you mean \"{name}\"?"),
            None => format!("; it has {}", names.join(", ")),
        };
        ExpectError::Policy { policy: policy.to_owned(), hint }
    }
}

fn look_up<'a>(root: &'a Value, metric: &str) -> Option<&'a Value> {
    metric.split('.').try_fold(root, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => value.get(key),
    })
}

/// Maps by reason hold only what occurred; a reason that exists and did not occur counts 0.
fn is_count_of_none(metric: &str) -> bool {
    let reasons = [
        SkipReason::NoGpu,
        SkipReason::ZeroDuration,
        SkipReason::NegativeDuration,
        SkipReason::NoSubmitTime,
        SkipReason::NoDuration,
        SkipReason::NotAJob,
    ];
    match metric.rsplit_once('.') {
        Some(("waiting_by_cause", cause)) => {
            WaitCause::ALL.iter().any(|known| known.key() == cause)
        }
        Some(("trace.skipped", reason)) => reasons.iter().any(|known| known.key() == reason),
        _ => false,
    }
}

fn unknown_metric(root: &Value, metric: &str) -> ExpectError {
    let mut known = Vec::new();
    number_paths(root, "", &mut known);
    known.extend(WaitCause::ALL.map(|cause| format!("waiting_by_cause.{}", cause.key())));
    let hint = match closest(metric, known.iter().map(String::as_str)) {
        Some(path) => format!("; did you mean \"{path}\"?"),
        None => format!("; there are {}", known.join(", ")),
    };
    ExpectError::Metric { metric: metric.to_owned(), hint }
}

fn number_paths(value: &Value, path: &str, paths: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            let dot = if path.is_empty() { "" } else { "." };
            for (key, value) in entries {
                number_paths(value, &format!("{path}{dot}{key}"), paths);
            }
        }
        Value::Number(_) | Value::Null => paths.push(path.to_owned()),
        Value::Array(_) | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A report with one nameless policy: what paths there are.
fn specimen() -> Report {
    let policy = PolicyReport {
        name: String::new(),
        node_hours: 0.0,
        ready_node_hours: 0.0,
        busy_gpu_hours: 0.0,
        idle_gpu_hours: 0.0,
        waiting_gpu_hours: 0.0,
        wait_seconds: WaitSeconds::default(),
        jobs_waiting_over_60s: 0,
        node_starts: 0,
        wasted_starts: 0,
        scored_node_starts: 0,
        unfinished_jobs: 0,
        unstarted_jobs: 0,
        scored_jobs: 0,
        cost: ByKappa::default(),
        gap_closed: ByKappa::default(),
        waiting_by_cause: std::collections::BTreeMap::new(),
        refused_requests: 0,
        engine: Vec::new(),
        until_hours: None,
    };
    Report {
        schema: "prewarm.report/v1",
        scenario: String::new(),
        trace: TraceSummary {
            jobs: 0,
            gpu_jobs: 0,
            span_hours: 0.0,
            skipped: std::collections::BTreeMap::new(),
            adjusted: std::collections::BTreeMap::new(),
        },
        settings: SettingsSummary {
            gpus_per_node: 0,
            lead_time_seconds: 0.0,
            score_from_hours: 0.0,
            seed: 0,
            placement: String::new(),
            decision_seconds: 0.0,
            pools: Vec::new(),
        },
        past: None,
        caveats: Vec::new(),
        policies: vec![policy],
        bounds: Bounds { node_hours_lower: 0.0 },
        partial: false,
    }
}

#[cfg(test)]
mod tests;
