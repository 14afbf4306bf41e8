//! Alibaba GPU v2023 ("openb"): a list of pods with CPU, memory and shared GPUs, and one of nodes.
//!
//! Times are seconds from the start of the recording. A pod that was never scheduled has no run time
//! and is skipped as such, even if it was deleted; a pod without deletion ran past the recording.
//! Nodes without GPUs are left out. The lists of pods without times (the mixes of the packing
//! benchmark) are not traces and are refused.

use super::error::ImportError;
use super::field::{amount, time};
use super::jobs::models;
use super::life::{self, Lives};
use super::table::{Row, Table};
use super::{Origin, Source};
use crate::model::{Job, MAX_DEVICES, NVIDIA_GPU, Pool, Shape, SkipReason, TraceBuilder};
use crate::sim::watch::Watch;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufRead,
    path::Path,
};

/// Columns that tell this format.
pub(super) const SIGN: &[&str] = &["cpu_milli", "memory_mib", "num_gpu", "gpu_milli"];

/// Reads a list of pods.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    trace: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let mut table = Table::with_header(source.file, input, b',')?;
    let (created, scheduled, deleted) =
        (table.need("creation_time")?, table.need("scheduled_time")?, table.need("deletion_time")?);
    let quality = table.column("qos");
    let shape = pod_shape(&table)?;
    let mut lives = Lives::default();
    while let Some(row) = table.next_row(source.watch)? {
        trace.count_row();
        let created = time(&row, created)?;
        let (start, end) = (time(&row, scheduled)?, time(&row, deleted)?);
        lives.saw([created, start, end]);
        let shape = shape(&row)?;
        let kind = trace.kind(row.text_or_empty(quality)?);
        match (created, start) {
            _ if shape.gpus == 0 => trace.skip(SkipReason::NoGpu),
            (None, None) => trace.skip(SkipReason::NoSubmitTime),
            (_, None) => trace.skip(SkipReason::NoDuration),
            (created, Some(start)) => {
                let submit = created.unwrap_or(start);
                let job = Job { kind, ..life::job(submit, trace.shape(&shape)) };
                lives.push(trace, job, start, end);
            }
        }
    }
    lives.settle(trace);
    Ok(Origin::Trace)
}

/// How the shape of a pod is read from its row.
fn pod_shape<R: std::io::Read>(
    table: &Table<'_, R>,
) -> Result<impl Fn(&Row<'_>) -> Result<Shape, ImportError> + use<R>, ImportError> {
    let (gpus, share) = (table.need("num_gpu")?, table.need("gpu_milli")?);
    let (cpu, memory) = (table.column("cpu_milli"), table.column("memory_mib"));
    let model = table.column("gpu_spec");
    Ok(move |row: &Row<'_>| {
        let gpus = row.integer(gpus, 0..=100_000, "the number of GPUs")? as u32;
        let least = i64::from(gpus > 0);
        Ok(Shape {
            gpu_milli: row.integer(share, least..=1000, "the share of each GPU")? as u16,
            cpu_milli: amount(row, cpu, 1.0, "the milli-CPU of a pod")?,
            memory_mib: amount(row, memory, 1.0, "the MiB of a pod")?,
            gpu_models: models(row.text_or_empty(model)?),
            ..Shape::whole_gpus(gpus)
        })
    })
}

/// Reads a list of nodes (`sn,cpu_milli,memory_mib,gpu,model`) as pools of equal nodes that neither
/// grow nor shrink. Nodes without GPUs are left out.
pub fn read_nodes(path: &Path, watch: &dyn Watch) -> Result<Vec<Pool>, ImportError> {
    let name = path.display().to_string();
    let (text, _) = super::open::text(&name, super::open::open(path, watch)?)?;
    let mut table = Table::with_header(&name, text, b',')?;
    let (gpus, model) = (table.need("gpu")?, table.need("model")?);
    let (cpu, memory) = (table.need("cpu_milli")?, table.need("memory_mib")?);
    let mut counts: BTreeMap<(String, u32, u32, u32), u32> = BTreeMap::new();
    while let Some(row) = table.next_row(watch)? {
        let gpus =
            row.integer(gpus, 0..=i64::from(MAX_DEVICES), "the number of GPUs of a node")? as u32;
        let cpu = amount(&row, Some(cpu), 1.0, "the milli-CPU of a node")?;
        let memory = amount(&row, Some(memory), 1.0, "the MiB of a node")?;
        if gpus > 0 {
            *counts.entry((row.text(model)?.to_owned(), gpus, cpu, memory)).or_default() += 1;
        }
    }
    Ok(pools(counts))
}

/// One pool for each kind of node: `T4-2`, or `T4-2-96000mcpu-524288mib` where more than one would be that.
fn pools(counts: BTreeMap<(String, u32, u32, u32), u32>) -> Vec<Pool> {
    let short = |model: &str, gpus: u32| {
        if model.is_empty() { format!("gpu-{gpus}") } else { format!("{model}-{gpus}") }
    };
    let mut once = BTreeSet::new();
    let twice: BTreeSet<String> = counts
        .keys()
        .map(|(model, gpus, ..)| short(model, *gpus))
        .filter(|name| !once.insert(name.clone()))
        .collect();
    let pool = |((model, gpus, cpu, memory), count): ((String, u32, u32, u32), u32)| {
        let mut name = short(&model, gpus);
        if twice.contains(&name) {
            name = format!("{name}-{cpu}mcpu-{memory}mib");
        }
        Pool {
            gpu_model: model,
            resource: NVIDIA_GPU.to_owned(),
            cpu_milli: Some(cpu),
            memory_mib: Some(memory),
            min_nodes: count,
            max_nodes: Some(count),
            ..Pool::new(name, gpus)
        }
    };
    counts.into_iter().map(pool).collect()
}
