//! A scenario file: what is simulated, with which demand, and what must come out.
//!
//! [`parse`] answers with a [`Scenario`] that needs no further checks, or with all problems of the
//! file at once. It reads no other file: a `trace` source only names one. simulations/README.md
//! describes every key.

mod demand;
mod expectation;
mod job;
mod pool;
mod signal;
mod source;

pub use demand::{Bursts, Cron, Demand, Profile, Rollout};
pub use expectation::{Comparison, Expectation, Reference};
pub use job::{JobRow, RunTime, Template};
pub use signal::{Signal, SignalValues};
pub use source::Source;

use super::{
    node,
    problem::{Problem, Problems, hint},
    reader::{Field, Fields, Sink},
};
use crate::{
    config::{parse_duration, problem},
    model,
    time::{Millis, Timestamp},
};

/// Longest run: ten years. Enough for every question, and it keeps a slip such as `5200d` from
/// filling the memory.
pub const LONGEST_RUN: Millis = Millis::from_hours(24 * 3660);

/// Most jobs of a scenario: 20 million are 640 MB as a trace.
pub const MOST_JOBS: f64 = 20_000_000.0;

/// A Monday, so that weekdays are easy to follow when the file names no start.
const DEFAULT_START: &str = "2026-01-05T00:00:00Z";

/// Where waiting jobs are put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlacementName {
    /// The fullest node that fits.
    #[default]
    BestFit,
    /// The emptiest node, as kube-scheduler does by default.
    Spread,
    /// Least new fragmentation.
    Fgd,
    /// Least taken from the jobs to come, as the scheduler extender does.
    Prewarm,
}

impl PlacementName {
    /// All names, default first.
    pub const ALL: [Self; 4] = [Self::BestFit, Self::Spread, Self::Fgd, Self::Prewarm];

    /// As written in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BestFit => "best-fit",
            Self::Spread => "spread",
            Self::Fgd => "fgd",
            Self::Prewarm => "prewarm",
        }
    }
}

/// A checked scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Short name; the file's stem unless given.
    pub name: String,
    /// What it shows, for people.
    pub description: String,
    /// Seed of everything drawn.
    pub seed: u64,
    /// The instant of second 0 since the Unix epoch: what calendars (cron, weekdays) count from.
    pub starts_at: Timestamp,
    /// How long the run is.
    pub end: Millis,
    /// Jobs submitted and nodes billed from here on count; since second 0.
    pub score_from: Timestamp,
    /// Where waiting jobs are put.
    pub placement: PlacementName,
    /// Spacing of decisions.
    pub decision_every: Millis,
    /// In order of preference; at least one.
    pub pools: Vec<model::Pool>,
    /// By pool: metrics that move before jobs do.
    pub signals: Vec<Vec<Signal>>,
    /// Policies to compare; empty = the caller's table.
    pub policies: Vec<String>,
    /// Where jobs come from; at least one.
    pub arrivals: Vec<Source>,
    /// What must come out.
    pub expect: Vec<Expectation>,
}

/// Reads the text of a scenario file; `file` is its name for messages.
///
/// # Errors
/// All problems of the file, by line.
pub fn parse(file: &str, text: &str) -> Result<Scenario, Problems> {
    let root = node::parse(file, text)?;
    let sink = Sink::default();
    let scenario = read(file, &Field::root(&root, &sink));
    let mut problems = sink.into_inner();
    if problems.is_empty() {
        return Ok(scenario);
    }
    problems.sort_by_key(|problem: &Problem| problem.line);
    Err(Problems { file: file.to_owned(), problems })
}

fn read(file: &str, root: &Field<'_>) -> Scenario {
    let fields = root.fields();
    let end = read_end(&fields);
    let starts_at = read_start(&fields);
    let policies = read_policies(&fields);
    let (pools, signals) =
        fields.need("pools").map_or_else(Default::default, |field| pool::read_all(&field));
    let scenario = Scenario {
        name: fields.get("name").map_or_else(|| stem(file), |field| field.text()),
        description: fields.get("description").map_or_else(String::new, |field| field.text()),
        seed: fields.get("seed").map_or(1, |field| field.integer(0..=u64::MAX)),
        starts_at,
        end,
        score_from: read_score_from(&fields, end),
        placement: fields
            .get("placement")
            .map_or_else(PlacementName::default, |field| placement(&field)),
        decision_every: fields
            .get("decisionEvery")
            .map_or(Millis::from_secs(10), |field| field.positive_duration()),
        pools,
        signals,
        arrivals: fields
            .need("arrivals")
            .map_or_else(Vec::new, |field| source::read_all(&field, starts_at, end)),
        expect: fields
            .get("expect")
            .map_or_else(Vec::new, |field| expectation::read_all(&field, &policies)),
        policies,
    };
    fields.finish();
    scenario
}

fn stem(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}

fn read_end(fields: &Fields<'_>) -> Millis {
    let Some(field) = fields.need("end") else { return Millis::ZERO };
    let end = field.positive_duration();
    if end > LONGEST_RUN {
        field.must(&format!("at most {} days", LONGEST_RUN.0 / 86_400_000));
        return Millis::ZERO;
    }
    end
}

fn read_start(fields: &Fields<'_>) -> Timestamp {
    let parse = |text: &str| {
        let utc = || text.parse::<jiff::civil::DateTime>().ok()?.in_tz("UTC").ok();
        let instant = text.parse().ok().or_else(|| utc().map(|zoned| zoned.timestamp()));
        instant.map(|at: jiff::Timestamp| Timestamp(at.as_millisecond()))
    };
    let what = "an instant such as 2026-01-05T00:00:00Z";
    let given = fields.get("startsAt").and_then(|field| field.parsed(what, parse));
    given.or_else(|| parse(DEFAULT_START)).unwrap_or_default()
}

fn read_score_from(fields: &Fields<'_>, end: Millis) -> Timestamp {
    let share = |percent: f64| Millis((end.0 as f64 * percent / 100.0).round() as i64);
    let parse = |text: &str| match text.strip_suffix('%') {
        Some(percent) => {
            percent.trim().parse().ok().filter(|p| (0.0..100.0).contains(p)).map(share)
        }
        None => parse_duration(text),
    };
    let Some(field) = fields.get("scoreFrom") else { return Timestamp(share(25.0).0) };
    let what = "a duration since the start or a share of the run, such as 240h or 25%";
    let from = field.parsed(what, parse).unwrap_or_default();
    if from >= end && end > Millis::ZERO {
        field.must(&format!("before the end ({end})"));
    }
    Timestamp(from.0)
}

fn placement(field: &Field<'_>) -> PlacementName {
    let text = field.text();
    let known = PlacementName::ALL.map(PlacementName::name);
    let found = PlacementName::ALL.into_iter().find(|placement| placement.name() == text);
    if found.is_none() && !text.is_empty() {
        field.problem(format!("no placement is called \"{text}\"{}", hint(&text, &known)));
    }
    found.unwrap_or_default()
}

fn read_policies(fields: &Fields<'_>) -> Vec<String> {
    let Some(list) = fields.get("policies") else { return Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for field in list.items() {
        let name = field.text();
        if names.contains(&name) {
            field.problem(format!("policy \"{name}\" is listed twice; remove one"));
        } else if let Some((knob, _)) = lone_knob(&name) {
            field.problem(format!(
                "\"{knob}\" is a knob, not a policy; write the policy and its knobs in quotes: \
                 \"watermark:0.2,idle=30m\""
            ));
        }
        names.push(name);
    }
    names
}

/// `[watermark:0.2,idle=30m]` without quotes is two items for YAML; the second gives it away.
fn lone_knob(name: &str) -> Option<(&str, &str)> {
    name.split_once('=').filter(|(knob, _)| !knob.contains([',', ':', '-']))
}

/// A named choice among things defined elsewhere in the file.
fn must_be_one_of(field: &Field<'_>, what: &str, name: &str, known: &[&str]) {
    if !known.contains(&name) {
        let hint = match problem::closest(name, known.iter().copied()) {
            Some(candidate) => format!("did you mean \"{candidate}\"?"),
            None => format!("there are: {}", known.join(", ")),
        };
        field.problem(format!("{what} \"{name}\" is not in this file; {hint}"));
    }
}

#[cfg(test)]
mod tests;
