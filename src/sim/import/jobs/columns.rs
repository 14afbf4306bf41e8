//! Where the columns of the common form are in one file.

use crate::sim::import::error::ImportError;
use crate::sim::import::table::{Column, Table};
use std::io::Read;

/// Every column of the common form, in the order in which they are written.
pub(in crate::sim) const ALL: [&str; 17] = [
    "submit_s",
    "duration_s",
    "gpus",
    "gpu_milli",
    "gpu_type",
    "owner",
    "kind",
    "priority",
    "node_selector",
    "gang_id",
    "min_members",
    "resource",
    "cpu_milli",
    "memory_mib",
    "workers",
    "id",
    "queue",
];

/// Places of the columns that are used.
pub(super) struct Columns {
    pub(super) submit: Column,
    pub(super) duration: Column,
    pub(super) gpus: Column,
    pub(super) gpu_milli: Option<Column>,
    pub(super) gpu_type: Option<Column>,
    pub(super) owner: Option<Column>,
    pub(super) kind: Option<Column>,
    pub(super) priority: Option<Column>,
    pub(super) node_selector: Option<Column>,
    pub(super) gang_id: Option<Column>,
    pub(super) min_members: Option<Column>,
    pub(super) resource: Option<Column>,
    pub(super) cpu_milli: Option<Column>,
    pub(super) memory_mib: Option<Column>,
    pub(super) workers: Option<Column>,
}

impl Columns {
    pub(super) fn of<R: Read>(file: &str, table: &Table<'_, R>) -> Result<Self, ImportError> {
        let columns = Self {
            submit: table.need("submit_s")?,
            duration: table.need("duration_s")?,
            gpus: table.need("gpus")?,
            gpu_milli: table.column("gpu_milli"),
            gpu_type: table.column("gpu_type"),
            owner: table.column("owner"),
            kind: table.column("kind"),
            priority: table.column("priority"),
            node_selector: table.column("node_selector"),
            gang_id: table.column("gang_id"),
            min_members: table.column("min_members"),
            resource: table.column("resource"),
            cpu_milli: table.column("cpu_milli"),
            memory_mib: table.column("memory_mib"),
            workers: table.column("workers"),
        };
        refuse_slips(file, table.columns())?;
        Ok(columns)
    }

    /// The columns that make the shape of a job.
    pub(super) fn of_shape(&self) -> [Option<Column>; 9] {
        [
            Some(self.gpus),
            self.gpu_milli,
            self.gpu_type,
            self.priority,
            self.node_selector,
            self.resource,
            self.cpu_milli,
            self.memory_mib,
            self.workers,
        ]
    }
}

/// A column that is twice there, or that is nearly but not quite one of ours, would be lost silently.
fn refuse_slips(file: &str, columns: &[String]) -> Result<(), ImportError> {
    let wrong = |column: &str, remedy: String| {
        let (file, column, found) = (file.to_owned(), "header".to_owned(), column.to_owned());
        Err(ImportError::Value { file, line: 1, column, found, remedy })
    };
    for (place, column) in columns.iter().enumerate() {
        if ALL.contains(&column.as_str()) {
            if columns[..place].contains(column) {
                return wrong(column, "this column is there twice; remove one".to_owned());
            }
            continue;
        }
        let absent = ALL.into_iter().filter(|known| !columns.iter().any(|there| there == known));
        if let Some(near) = crate::config::closest(column, absent) {
            return wrong(column, format!("did you mean `{near}`? rename or remove the column"));
        }
    }
    Ok(())
}
