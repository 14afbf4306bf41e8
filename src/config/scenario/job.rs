//! What the jobs of a source ask for: owner, shape, run time; and rows written out one by one.

use super::pool::{self, CPU, MEMORY};
use crate::{
    config::{
        quantity::{parse_mib, parse_milli_cpu},
        reader::{Field, Fields},
    },
    model::Shape,
    time::{Millis, Timestamp},
};

/// Most GPUs or workers of one job.
const MOST_GPUS: u32 = 100_000;
/// Most owners of one source.
const MOST_OWNERS: u32 = 100_000;
/// Longest draw where the file names no `max`.
const USUAL_MAX: Millis = Millis::from_hours(30 * 24);

/// How long jobs run. Draws are at least one second.
#[derive(Clone, Debug, PartialEq)]
pub enum RunTime {
    /// Always the same.
    Fixed(Millis),
    /// `ln` is normal around `ln(median)` with standard deviation `sigma`; longer draws are cut.
    LogNormal {
        /// Half of the draws are shorter.
        median: Millis,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// Longest.
        max: Millis,
    },
    /// Memoryless; longer draws are cut.
    Exponential {
        /// Mean before the cut.
        mean: Millis,
        /// Longest.
        max: Millis,
    },
    /// Even.
    Uniform {
        /// Shortest.
        from: Millis,
        /// Longest.
        to: Millis,
    },
    /// Past the end of the run.
    Forever,
}

/// What the jobs of a source have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Drawn evenly; at least one.
    pub owners: Vec<String>,
    /// Shapes with their weights; at least one, weights sum to more than 0.
    pub shapes: Vec<(Shape, f64)>,
    /// How long they run.
    pub run_time: RunTime,
}

/// One written-out row, or `count` equal ones.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// First submission, since second 0.
    pub at: Timestamp,
    /// How many.
    pub count: u32,
    /// Time between them.
    pub every: Millis,
    /// What they ask for.
    pub template: Template,
    /// Name and least members of the gang they start with.
    pub gang: Option<(String, u32)>,
    /// Running at second 0 already.
    pub is_preexisting: bool,
}

/// Reads the keys of a template out of `fields`. Owner and shape come from `base` where they are not
/// given, the run time is then `usual`; without that it has to be given.
pub(super) fn template(
    fields: &Fields<'_>,
    name: &str,
    base: Option<&Template>,
    usual: Option<RunTime>,
) -> Template {
    Template {
        owners: owners(fields, name, base),
        shapes: shapes(fields, base),
        run_time: run_time(fields, usual),
    }
}

fn owners(fields: &Fields<'_>, name: &str, base: Option<&Template>) -> Vec<String> {
    let (one, several) = (fields.get("owner"), fields.get("owners"));
    if let (Some(_), Some(field)) = (&one, &several) {
        field.problem("give either `owner` or `owners`, not both");
    }
    let from_count = |count: u32| (1..=count).map(|nth| format!("{name}-{nth}")).collect();
    match (one, several) {
        (Some(field), _) => vec![field.text()],
        (None, Some(field)) if field.scalar().is_some() => {
            from_count(field.integer(1..=MOST_OWNERS))
        }
        (None, Some(field)) => {
            let names: Vec<_> = field.items().iter().map(Field::text).collect();
            if names.is_empty() {
                field.must("a count or a list of names with at least one");
            }
            names
        }
        (None, None) => base.map_or_else(|| vec![name.to_owned()], |base| base.owners.clone()),
    }
}

fn shapes(fields: &Fields<'_>, base: Option<&Template>) -> Vec<(Shape, f64)> {
    let mut shapes = sizes(fields)
        .or_else(|| base.map(|base| base.shapes.clone()))
        .unwrap_or_else(|| vec![(Shape::whole_gpus(1), 1.0)]);
    apply(
        fields,
        "priority",
        &mut shapes,
        |f| f.integer(i32::MIN..=i32::MAX),
        |s, v| s.priority = v,
    );
    apply(fields, "workers", &mut shapes, |f| f.integer(1..=MOST_GPUS), |s, v| s.workers = v);
    apply(fields, "gpuMilli", &mut shapes, |f| f.integer(1..=1000u16), |s, v| s.gpu_milli = v);
    apply(fields, "cpu", &mut shapes, cpu, |s, v| s.cpu_milli = v);
    apply(fields, "memory", &mut shapes, memory, |s, v| s.memory_mib = v);
    apply(fields, "resource", &mut shapes, Field::text, |s, v| s.resource = v);
    apply(fields, "gpuModels", &mut shapes, models, |s, v| s.gpu_models = v);
    apply(fields, "nodeSelector", &mut shapes, pool::labels, |s, v| s.node_selector = v);
    shapes
}

/// Sets one property of all shapes, if the file gives it.
fn apply<'a, T: Clone>(
    fields: &Fields<'a>,
    key: &'static str,
    shapes: &mut [(Shape, f64)],
    read: impl Fn(&Field<'a>) -> T,
    set: impl Fn(&mut Shape, T),
) {
    if let Some(field) = fields.get(key) {
        let value = read(&field);
        for (shape, _) in shapes {
            set(shape, value.clone());
        }
    }
}

fn cpu(field: &Field<'_>) -> u32 {
    field.parsed(CPU, parse_milli_cpu).unwrap_or_default()
}

fn memory(field: &Field<'_>) -> u32 {
    field.parsed(MEMORY, parse_mib).unwrap_or_default()
}

fn models(field: &Field<'_>) -> Vec<String> {
    let mut models: Vec<_> = field.one_or_more().iter().map(Field::text).collect();
    models.sort();
    models.dedup();
    models
}

/// `gpus: 8`, or `sizes: {1: 0.7, 8: 0.3}` (GPUs per worker and weight).
fn sizes(fields: &Fields<'_>) -> Option<Vec<(Shape, f64)>> {
    let (one, several) = (fields.get("gpus"), fields.get("sizes"));
    if let (Some(_), Some(field)) = (&one, &several) {
        field.problem("give either `gpus` or `sizes`, not both");
    }
    if let Some(field) = one {
        return Some(vec![(Shape::whole_gpus(field.integer(1..=MOST_GPUS)), 1.0)]);
    }
    let field = several?;
    let mut shapes = Vec::new();
    for (key, weight) in field.entries() {
        match key.parse().ok().filter(|gpus| (1..=MOST_GPUS).contains(gpus)) {
            Some(gpus) => shapes.push((Shape::whole_gpus(gpus), weight.number(0.0..=1e9))),
            None => weight.problem(format!(
                "the key must be a number of GPUs from 1 to {MOST_GPUS}, got \"{key}\""
            )),
        }
    }
    // The draws must not depend on the order in the file.
    shapes.sort_by_key(|(shape, _)| shape.gpus);
    if field.is_map() && shapes.iter().map(|(_, weight)| weight).sum::<f64>() <= 0.0 {
        field.problem("needs at least one size with a weight above 0");
    }
    Some(shapes)
}

fn run_time(fields: &Fields<'_>, usual: Option<RunTime>) -> RunTime {
    let field = match usual {
        Some(usual) => match fields.get("duration") {
            Some(field) => field,
            None => return usual,
        },
        None => match fields.need("duration") {
            Some(field) => field,
            None => return RunTime::Forever,
        },
    };
    if field.is_map() {
        return distribution(&field);
    }
    if field.scalar().as_deref() == Some("forever") {
        return RunTime::Forever;
    }
    RunTime::Fixed(field.positive_duration())
}

fn distribution(field: &Field<'_>) -> RunTime {
    let fields = field.fields();
    let kinds = [fields.get("logNormal"), fields.get("exponential"), fields.get("uniform")];
    if kinds.iter().flatten().count() != 1 {
        field.problem("give exactly one of `logNormal`, `exponential`, `uniform`");
    }
    let run_time = match &kinds {
        [Some(field), ..] => log_normal(field),
        [_, Some(field), _] => exponential(field),
        [_, _, Some(field)] => uniform(field),
        [None, None, None] => RunTime::Forever,
    };
    fields.finish();
    run_time
}

fn maximum(fields: &Fields<'_>) -> Millis {
    fields.get("max").map_or(USUAL_MAX, |f| f.positive_duration())
}

/// By `median` and `sigma`, or by `mean` and `cv`: sigma^2 = ln(1 + cv^2), median = mean /
/// sqrt(1 + cv^2).
fn log_normal(field: &Field<'_>) -> RunTime {
    let fields = field.fields();
    let span = |key| fields.get(key).map(|f: Field<'_>| f.positive_duration());
    let (median, mean) = (span("median"), span("mean"));
    let sigma = fields.get("sigma").map(|f| f.number(0.0..=10.0));
    let cv = fields.get("cv").map(|f| f.number(0.0..=1000.0));
    let (median, sigma) = match (median, sigma, mean, cv) {
        (Some(median), Some(sigma), None, None) => (median, sigma),
        (None, None, Some(mean), Some(cv)) => {
            let spread = 1.0 + cv * cv;
            (Millis((mean.0 as f64 / spread.sqrt()).round() as i64), spread.ln().sqrt())
        }
        _ => {
            field.problem("needs `median` and `sigma`, or `mean` and `cv`");
            (Millis::ZERO, 0.0)
        }
    };
    let run_time = RunTime::LogNormal { median, sigma, max: maximum(&fields) };
    fields.finish();
    run_time
}

fn exponential(field: &Field<'_>) -> RunTime {
    let fields = field.fields();
    let mean = fields.need("mean").map_or(Millis::ZERO, |f| f.positive_duration());
    let run_time = RunTime::Exponential { mean, max: maximum(&fields) };
    fields.finish();
    run_time
}

fn uniform(field: &Field<'_>) -> RunTime {
    let fields = field.fields();
    let from = fields.need("from").map_or(Millis::ZERO, |f| f.positive_duration());
    let to = fields.need("to").map_or(Millis::ZERO, |f| f.positive_duration());
    if to < from {
        field.problem(format!("`to` must be >= `from` ({from}), got {to}"));
    }
    fields.finish();
    RunTime::Uniform { from, to }
}

/// One entry of `jobs`; what it leaves out comes from the source.
pub(super) fn row(
    field: &Field<'_>,
    name: &str,
    source: (&Template, Option<RunTime>),
    end: Millis,
) -> JobRow {
    let fields = field.fields();
    let is_preexisting = fields.get("preexisting").is_some_and(|f| f.boolean());
    let at = fields.get("at").map(|f| (f.duration(), f));
    if at.is_none() && !is_preexisting && field.is_map() {
        field.problem("`at` is missing (when the job is submitted, since the start)");
    }
    let at = at.map_or(Millis::ZERO, |(at, f)| {
        if is_preexisting && at != Millis::ZERO {
            f.must("left out, or 0s, for a preexisting job");
        } else if at >= end && end > Millis::ZERO {
            f.must(&format!("before the end ({end})"));
        }
        at
    });
    let count = fields.get("count").map_or(1, |f| f.integer(1..=MOST_GPUS * 100));
    let every = fields.get("every").map_or(Millis::ZERO, |f| f.duration());
    let last = at + every * i64::from(count.saturating_sub(1));
    if last >= end && at < end {
        field.problem(format!("the last of them comes at {last}, but the run ends at {end}"));
    }
    let row = JobRow {
        at: Timestamp(at.0),
        count,
        every,
        template: template(&fields, name, Some(source.0), source.1),
        gang: gang(&fields, count),
        is_preexisting,
    };
    fields.finish();
    row
}

fn gang(fields: &Fields<'_>, count: u32) -> Option<(String, u32)> {
    let min_members = fields.get("minMembers");
    let Some(field) = fields.get("gang") else {
        if let Some(field) = min_members {
            field.problem("says nothing without `gang`, the name of the gang");
        }
        return None;
    };
    Some((field.text(), min_members.map_or(count, |f| f.integer(1..=MOST_GPUS * 100))))
}
