//! The `pools` of a scenario.

use super::signal::{self, Signal};
use crate::{
    config::{
        quantity::{parse_mib, parse_milli_cpu},
        reader::{Field, Fields},
    },
    model::{LeadTime, MAX_DEVICES, MAX_NODES, Pool, StageTime, SupplyLimit},
    time::{Millis, Timestamp},
};

pub(super) const CPU: &str = "a CPU quantity such as 64 or 500m";
pub(super) const MEMORY: &str = "a memory quantity such as 512Gi";

/// Pools, and the signals of each.
pub(super) fn read_all(list: &Field<'_>) -> (Vec<Pool>, Vec<Vec<Signal>>) {
    let mut pools: Vec<Pool> = Vec::new();
    let mut signals = Vec::new();
    for field in list.some_items("pool") {
        let (pool, of_pool) = read(&field);
        if pools.iter().any(|other| other.name == pool.name) {
            field.problem(format!("pool \"{}\" is there twice; rename one", pool.name));
        }
        pools.push(pool);
        signals.push(of_pool);
    }
    (pools, signals)
}

fn read(field: &Field<'_>) -> (Pool, Vec<Signal>) {
    let fields = field.fields();
    let name = fields.need("name").map_or_else(String::new, |f| f.text());
    let gpus = fields.get("gpusPerNode").map_or(8, |f| f.integer(1..=MAX_DEVICES));
    let base = Pool::new(name, gpus);
    let min_nodes = fields.get("minNodes").map_or(0, |f| f.integer(0..=MAX_NODES));
    let pool = Pool {
        resource: fields.get("resource").map_or(base.resource, |f| f.text()),
        gpu_model: fields.get("gpuModel").map_or(base.gpu_model, |f| f.text()),
        cpu_milli: fields.get("cpu").and_then(|f| f.parsed(CPU, parse_milli_cpu)),
        memory_mib: fields.get("memory").and_then(|f| f.parsed(MEMORY, parse_mib)),
        labels: fields.get("labels").map_or_else(Vec::new, |f| labels(&f)),
        price: fields.get("price").map_or(base.price, |f| f.number(0.0..=1e9)),
        min_nodes,
        max_nodes: max_nodes(&fields, min_nodes),
        lead_time: fields.get("leadTime").map_or(base.lead_time, |f| lead_time(&f)),
        drain: fields.get("drain").map_or(base.drain, |f| f.duration()),
        failure_rate: fields.get("failureRate").map_or(0.0, |f| f.number(0.0..=0.99)),
        supply: supply(&fields),
        ..base
    };
    let signals = fields.get("signals").map_or_else(Vec::new, |f| signal::read_all(&f));
    fields.finish();
    (pool, signals)
}

fn max_nodes(fields: &Fields<'_>, min_nodes: u32) -> Option<u32> {
    let max = fields.get("maxNodes").map(|f| f.integer(1..=MAX_NODES))?;
    if min_nodes > max
        && let Some(min) = fields.get("minNodes")
    {
        min.must(&format!("<= maxNodes ({max})"));
    }
    Some(max)
}

/// A mapping of texts, sorted by key.
pub(super) fn labels(field: &Field<'_>) -> Vec<(String, String)> {
    let mut labels: Vec<_> =
        field.entries().iter().map(|(key, value)| ((*key).to_owned(), value.text())).collect();
    labels.sort();
    labels
}

fn lead_time(field: &Field<'_>) -> LeadTime {
    let fields = field.fields();
    let cv = fields.get("cv").map_or(0.0, |f| f.number(0.0..=5.0));
    let usual = LeadTime::default();
    let lead_time = LeadTime {
        provisioning: stage(fields.get("provisioning"), usual.provisioning.mean, cv),
        warm_up: stage(fields.get("warmUp"), usual.warm_up.mean, cv),
    };
    fields.finish();
    lead_time
}

/// `5m`, or `{mean: 5m, cv: 0.3}` where the stages differ in their spread.
fn stage(field: Option<Field<'_>>, usual: Millis, cv: f64) -> StageTime {
    let Some(field) = field else { return StageTime { mean: usual, cv } };
    if !field.is_map() {
        return StageTime { mean: field.duration(), cv };
    }
    let fields = field.fields();
    let stage = StageTime {
        mean: fields.need("mean").map_or(usual, |f| f.duration()),
        cv: fields.get("cv").map_or(cv, |f| f.number(0.0..=5.0)),
    };
    fields.finish();
    stage
}

/// `supply` (at most `nodes`) and `stockOuts` (none) as one ordered list of windows.
fn supply(fields: &Fields<'_>) -> Vec<SupplyLimit> {
    let limited = fields.get("supply").map_or_else(Vec::new, |f| f.items());
    let empty = fields.get("stockOuts").map_or_else(Vec::new, |f| f.items());
    let limited = limited.iter().map(|f| (window(f, true), f.clone()));
    let mut windows: Vec<_> =
        limited.chain(empty.iter().map(|f| (window(f, false), f.clone()))).collect();
    windows.sort_by_key(|(limit, _)| limit.from);
    for pair in windows.windows(2) {
        if pair[1].0.from < pair[0].0.until {
            let until = Millis(pair[0].0.until.0);
            pair[1].1.problem(format!("overlaps the window that ends at {until}"));
        }
    }
    windows.into_iter().map(|(limit, _)| limit).collect()
}

fn window(field: &Field<'_>, with_nodes: bool) -> SupplyLimit {
    let fields = field.fields();
    let instant = |key| fields.need(key).map_or(Millis::ZERO, |f: Field<'_>| f.duration());
    let (from, until) = (instant("from"), instant("until"));
    if until <= from && until > Millis::ZERO {
        field.problem(format!("`until` must be after `from` ({from}), got {until}"));
    }
    let nodes = if with_nodes { fields.need("nodes") } else { None };
    let limit = SupplyLimit {
        from: Timestamp(from.0),
        until: Timestamp(until.0),
        nodes: nodes.map_or(0, |f| f.integer(0..=MAX_NODES)),
    };
    fields.finish();
    limit
}
