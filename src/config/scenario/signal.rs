//! The `signals` of a pool: metrics that move before jobs do, written out or in a file.

use crate::{
    config::{
        parse_duration,
        reader::{Field, Fields},
    },
    time::{Millis, Timestamp},
};
use std::path::PathBuf;

/// Most signals of a pool, as in a cluster.
const MOST: usize = 16;

/// A metric of a pool that moves before jobs do.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Unique within the pool.
    pub name: String,
    /// GPUs for each of its units.
    pub gpus_per_unit: f64,
    /// By how much it runs ahead of jobs; `None` = to be learned.
    pub lead: Option<Millis>,
    /// Never ask for more.
    pub max_gpus: Option<u32>,
    /// What it is.
    pub values: SignalValues,
}

/// A step function: each value holds until the next, `None` = nothing is read.
#[derive(Clone, Debug, PartialEq)]
pub enum SignalValues {
    /// By instant, ascending.
    Series(Vec<(Timestamp, Option<f64>)>),
    /// A CSV file with the columns `time` and `value`, relative to the scenario file.
    File(PathBuf),
}

pub(super) fn read_all(list: &Field<'_>) -> Vec<Signal> {
    let mut signals: Vec<Signal> = Vec::new();
    for field in list.items() {
        let Some(signal) = read(&field) else { continue };
        if signals.iter().any(|other| other.name == signal.name) {
            field.problem(format!("signal \"{}\" is there twice; rename one", signal.name));
        }
        signals.push(signal);
    }
    if signals.len() > MOST {
        list.problem(format!("at most {MOST} signals a pool, got {}", signals.len()));
    }
    signals
}

fn read(field: &Field<'_>) -> Option<Signal> {
    let fields = field.fields();
    let name = fields.need("name").map_or_else(String::new, |f| f.text());
    let gpus_per_unit = fields.get("gpusPerUnit").map_or(1.0, |f| f.number(0.0..=10_000.0));
    let lead = fields.get("leadSeconds").map_or(0, |f| f.integer(0..=86_400_u32));
    let max_gpus = fields.get("maxGpus").map(|f| f.integer(0..=1_000_000));
    let values = values(&fields);
    fields.finish();
    let lead = (lead > 0).then(|| Millis::from_secs(lead.into()));
    Some(Signal { name, gpus_per_unit, lead, max_gpus, values: values? })
}

fn values(fields: &Fields<'_>) -> Option<SignalValues> {
    match (fields.get("series"), fields.get("file")) {
        (Some(series), None) => Some(SignalValues::Series(steps(&series))),
        (None, Some(file)) => Some(SignalValues::File(file.text().into())),
        (series, file) => {
            if fields.owner().is_map() {
                let got = usize::from(series.is_some()) + usize::from(file.is_some());
                fields.owner().problem(format!("needs exactly one of series, file; got {got}"));
            }
            None
        }
    }
}

fn steps(field: &Field<'_>) -> Vec<(Timestamp, Option<f64>)> {
    let mut steps: Vec<(Timestamp, Option<f64>)> = Vec::new();
    for item in field.some_items("step such as [10m, 4]") {
        let pair = item.items();
        let [at, value] = pair.as_slice() else {
            item.problem("must be an instant and a value, such as [10m, 4]");
            continue;
        };
        let what = "a duration since the start, such as 10m";
        let at = Timestamp(at.parsed(what, parse_duration).unwrap_or_default().0);
        let value = (!value.is_null()).then(|| value.number(0.0..=1e15));
        if steps.last().is_some_and(|&(last, _)| last >= at) {
            item.problem("must come after the one before it");
        }
        steps.push((at, value));
    }
    steps
}
