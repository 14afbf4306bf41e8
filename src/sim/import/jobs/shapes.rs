//! From the fields of a row that make its shape to the id of the shape, remembered as raw bytes.

use super::columns::Columns;
use crate::model::{NVIDIA_GPU, Shape, ShapeId, TraceBuilder};
use crate::sim::import::error::ImportError;
use crate::sim::import::table::{Column, Row};
use std::collections::HashMap;

/// More GPUs than this in one job are a mistake.
const MOST_GPUS: i64 = 100_000;

/// Shapes met so far, by how they are written. `None`: asks for no GPU.
#[derive(Default)]
pub(super) struct Shapes {
    known: HashMap<Vec<u8>, Option<ShapeId>>,
    key: Vec<u8>,
}

impl Shapes {
    /// The shape of a row; `None` if it asks for no GPU.
    pub(super) fn id(
        &mut self,
        row: &Row<'_>,
        columns: &Columns,
        trace: &mut TraceBuilder,
    ) -> Result<Option<ShapeId>, ImportError> {
        self.key.clear();
        for column in columns.of_shape().into_iter().flatten() {
            let raw = row.bytes(column);
            self.key.extend_from_slice(&(raw.len() as u32).to_ne_bytes());
            self.key.extend_from_slice(raw);
        }
        if let Some(&id) = self.known.get(&self.key) {
            return Ok(id);
        }
        let id = shape(row, columns)?.map(|shape| trace.shape(&shape));
        self.known.insert(self.key.clone(), id);
        Ok(id)
    }
}

/// The shape of a row; `None` if it asks for no GPU.
fn shape(row: &Row<'_>, columns: &Columns) -> Result<Option<Shape>, ImportError> {
    let whole = |column: Option<Column>, default: i64, range, meaning| match column {
        Some(column) if !row.bytes(column).is_empty() => row.integer(column, range, meaning),
        _ => Ok(default),
    };
    let most = i64::from(u32::MAX);
    let gpus = row.integer(columns.gpus, 0..=MOST_GPUS, "the number of GPUs")?;
    let resource = row.text_or_empty(columns.resource)?;
    let shape = Shape {
        priority: whole(
            columns.priority,
            0,
            i64::from(i32::MIN)..=i64::from(i32::MAX),
            "the priority",
        )? as i32,
        workers: whole(columns.workers, 1, 1..=MOST_GPUS, "the number of workers")? as u32,
        gpus: gpus as u32,
        gpu_milli: whole(columns.gpu_milli, 1000, 1..=1000, "the share of each GPU")? as u16,
        cpu_milli: whole(columns.cpu_milli, 0, 0..=most, "the milli-CPU of a worker")? as u32,
        memory_mib: whole(columns.memory_mib, 0, 0..=most, "the MiB of a worker")? as u32,
        resource: if resource.is_empty() { NVIDIA_GPU.to_owned() } else { resource.to_owned() },
        gpu_models: models(row.text_or_empty(columns.gpu_type)?),
        node_selector: selector(row, columns.node_selector)?,
    };
    Ok(Some(shape).filter(|shape| shape.gpus > 0))
}

/// `a|b` as a sorted list without repetition; empty = any.
pub(in crate::sim::import) fn models(text: &str) -> Vec<String> {
    let names = text.split('|').map(str::trim).filter(|name| !name.is_empty());
    let mut models: Vec<String> = names.map(str::to_owned).collect();
    models.sort_unstable();
    models.dedup();
    models
}

/// `key=value;key=value`, sorted by key.
fn selector(row: &Row<'_>, column: Option<Column>) -> Result<Vec<(String, String)>, ImportError> {
    let Some(column) = column else { return Ok(Vec::new()) };
    let mut labels = Vec::new();
    for pair in row.text(column)?.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.trim().is_empty())
        else {
            return Err(row.wrong(column, "write labels as key=value;key=value"));
        };
        labels.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    labels.sort_unstable();
    labels.dedup();
    if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(row.wrong(column, "a label has one value; a node cannot have both"));
    }
    Ok(labels)
}
