//! The common form: one row a job, columns in any order.
//!
//! `submit_s,duration_s,gpus` must be there; `gpu_milli` (default 1000), `gpu_type` (`a|b` = either
//! model), `owner`, `kind`, `priority`, `node_selector` (`key=value;key=value`), `gang_id`,
//! `min_members` (default: all rows of the gang), `resource`, `cpu_milli`, `memory_mib` and `workers`
//! may be. `id` and `queue` are accepted and not used; other columns are ignored unless they look
//! like a slip of the keyboard. Seconds may have a fraction and count from the start of the trace.
//!
//! Rows are streamed without allocation: what a shape, owner, kind or gang is written like is
//! remembered as raw bytes together with its id.

mod columns;
mod shapes;

use super::error::ImportError;
use super::seconds::milliseconds;
use super::table::{Row, Table};
use super::{Origin, Source};
use crate::model::{GangId, Job, KindId, OwnerId, SkipReason, TraceBuilder};
use crate::time::{Millis, Timestamp};
use columns::Columns;
use shapes::Shapes;
use std::collections::HashMap;
use std::io::BufRead;

pub(in crate::sim) use columns::ALL as COLUMNS;

/// A `preexisting` job may be written with a submit time up to this (milliseconds); it then runs from
/// 0 to the same end.
const FIRST_ROUND: i64 = 60_000;

/// Rows whose start was moved so.
const MOVED_TO_START: &str = "preexisting_moved_to_start";

/// Reads the common form.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    trace: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let mut table = Table::with_header(source.file, input, b',')?;
    let mut reader = Reader::new(Columns::of(source.file, &table)?);
    while let Some(row) = table.next_row(source.watch)? {
        trace.count_row();
        match reader.job(&row, trace)? {
            Ok(job) => trace.push(job),
            Err(reason) => trace.skip(reason),
        }
    }
    reader.gangs.settle(trace);
    Ok(Origin::Trace)
}

/// What is remembered from row to row.
struct Reader {
    columns: Columns,
    shapes: Shapes,
    owners: HashMap<Vec<u8>, OwnerId>,
    kinds: HashMap<Vec<u8>, KindId>,
    gangs: Gangs,
}

impl Reader {
    fn new(columns: Columns) -> Self {
        let (owners, kinds) = (HashMap::new(), HashMap::new());
        Self { columns, shapes: Shapes::default(), owners, kinds, gangs: Gangs::default() }
    }

    /// A row is a job, or skipped, or wrong. What is wrong comes first: a row is only skipped if it
    /// could have been taken otherwise.
    fn job(
        &mut self,
        row: &Row<'_>,
        trace: &mut TraceBuilder,
    ) -> Result<Result<Job, SkipReason>, ImportError> {
        let mut submit = self.submit(row)?;
        let mut duration = milliseconds(row, self.columns.duration, "the run time")?;
        let shape = self.shapes.id(row, &self.columns, trace)?;
        let kind = self.kind(row, trace)?;
        if kind == KindId::PREEXISTING && submit > 0 {
            self.check_start(row, submit)?;
            trace.adjust(MOVED_TO_START);
            duration = duration.map(|span| if span > 0 { span + submit } else { span });
            submit = 0;
        }
        let Some(shape) = shape else { return Ok(Err(SkipReason::NoGpu)) };
        let duration = match duration {
            None => return Ok(Err(SkipReason::NoDuration)),
            Some(0) => return Ok(Err(SkipReason::ZeroDuration)),
            Some(..0) => return Ok(Err(SkipReason::NegativeDuration)),
            Some(duration) => Millis(duration),
        };
        let owner = self.owner(row, trace)?;
        let gang = self.gangs.id(row, &self.columns, trace)?;
        Ok(Ok(Job { submit: Timestamp(submit), duration, shape, owner, gang, kind }))
    }

    /// Recorders start a running fleet within their first round; later it is an arrival.
    fn check_start(&self, row: &Row<'_>, submit: i64) -> Result<(), ImportError> {
        if submit <= FIRST_ROUND {
            return Ok(());
        }
        Err(row.wrong(
            self.columns.submit,
            "a job of kind `preexisting` runs from the start: write 0 or another kind",
        ))
    }

    fn submit(&self, row: &Row<'_>) -> Result<i64, ImportError> {
        let column = self.columns.submit;
        match milliseconds(row, column, "the submit time")? {
            Some(submit @ 0..) => Ok(submit),
            _ => Err(row.wrong(column, "write the seconds from the start of the trace, 0 or more")),
        }
    }

    fn owner(&mut self, row: &Row<'_>, trace: &mut TraceBuilder) -> Result<OwnerId, ImportError> {
        let Some(column) = self.columns.owner else { return Ok(OwnerId(0)) };
        let raw = row.bytes(column);
        if let Some(&id) = self.owners.get(raw) {
            return Ok(id);
        }
        let id = trace.owner(row.text(column)?);
        self.owners.insert(raw.to_owned(), id);
        Ok(id)
    }

    fn kind(&mut self, row: &Row<'_>, trace: &mut TraceBuilder) -> Result<KindId, ImportError> {
        let Some(column) = self.columns.kind else { return Ok(KindId::NONE) };
        let raw = row.bytes(column);
        if let Some(&id) = self.kinds.get(raw) {
            return Ok(id);
        }
        let id = trace.kind(row.text(column)?);
        self.kinds.insert(raw.to_owned(), id);
        Ok(id)
    }
}

/// Gangs and how many members each needs.
#[derive(Default)]
struct Gangs {
    places: HashMap<Vec<u8>, usize>,
    gangs: Vec<Known>,
}

/// One gang met so far.
struct Known {
    id: GangId,
    name: String,
    rows: u32,
    stated: bool,
}

impl Gangs {
    fn id(
        &mut self,
        row: &Row<'_>,
        columns: &Columns,
        trace: &mut TraceBuilder,
    ) -> Result<GangId, ImportError> {
        let Some(column) = columns.gang_id else { return Ok(GangId::NONE) };
        let raw = row.bytes(column);
        if raw.is_empty() {
            return Ok(GangId::NONE);
        }
        let needed = columns.min_members.filter(|&column| !row.bytes(column).is_empty());
        let needed = needed
            .map(|column| row.integer(column, 1..=1_000_000, "the members needed"))
            .transpose()?;
        let place = match self.places.get(raw) {
            Some(&place) => place,
            None => self.add(raw, row.text(column)?, trace),
        };
        let gang = &mut self.gangs[place];
        gang.rows += 1;
        if let Some(needed) = needed {
            gang.stated = true;
            trace.gang(&gang.name, needed as u32);
        }
        Ok(gang.id)
    }

    fn add(&mut self, raw: &[u8], name: &str, trace: &mut TraceBuilder) -> usize {
        let id = trace.gang(name, 1);
        self.gangs.push(Known { id, name: name.to_owned(), rows: 0, stated: false });
        self.places.insert(raw.to_owned(), self.gangs.len() - 1);
        self.gangs.len() - 1
    }

    /// A gang that nobody gave a size starts when all its rows are there.
    fn settle(self, trace: &mut TraceBuilder) {
        for gang in self.gangs.iter().filter(|gang| !gang.stated) {
            trace.gang(&gang.name, gang.rows);
        }
    }
}
