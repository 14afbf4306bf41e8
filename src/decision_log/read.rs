//! Reading the log, line by line.

use super::SCHEMA;
use crate::{
    engine::{DamagedMemory, Decision, Memory, Settings},
    model::{PoolSnapshot, ReplayedDay, Shape, Sight, Snapshot, Waiting},
    time::Timestamp,
};
use serde::Deserialize;
use std::{
    io::{self, BufRead},
    sync::Arc,
};
use thiserror::Error;

/// Why a log cannot be read.
#[derive(Debug, Error)]
pub enum LogError {
    /// Reading failed.
    #[error("line {line}: {reason}")]
    Io {
        /// Where.
        line: u64,
        /// Why.
        reason: io::Error,
    },
    /// The line is no look of a decision log.
    #[error("line {line}: {reason}")]
    Line {
        /// Where.
        line: u64,
        /// Why.
        reason: serde_json::Error,
    },
    /// Nothing at all.
    #[error("the log is empty: its first line must have settings and memory")]
    Empty,
    /// Another format, or another version of it.
    #[error("line 1: `schema` is `{0}`, this version reads `{SCHEMA}`")]
    Version(String),
    /// The memory at the start.
    #[error("line 1: `memory`: {0}")]
    Memory(#[from] DamagedMemory),
    /// A look with more or fewer pools than the settings.
    #[error("line {line}: {found} pools where the settings have {expected}")]
    Pools {
        /// Where.
        line: u64,
        /// Pools of the look.
        found: usize,
        /// Pools of the settings.
        expected: usize,
    },
}

#[derive(Deserialize)]
struct Header {
    schema: String,
}

#[derive(Deserialize)]
struct StartLine {
    settings: Settings,
    memory: String,
}

#[derive(Deserialize)]
struct LookLine {
    now: Timestamp,
    #[serde(default)]
    shapes: Option<Vec<Shape>>,
    pools: Vec<PoolSnapshot>,
    waiting: Vec<Waiting>,
    sight: Sight,
    #[serde(default)]
    replays: Vec<ReplayedDay>,
    decision: Decision,
}

/// What the first line says.
#[derive(Debug)]
pub struct Start {
    /// Settings of all decisions of the log.
    pub settings: Settings,
    /// Memory before the first one.
    pub memory: Memory,
}

/// One look.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Line of the log, from 1.
    pub line: u64,
    /// When.
    pub now: Timestamp,
    /// What was seen.
    pub snapshot: Snapshot,
    /// What was decided.
    pub decision: Decision,
}

/// A log that is being read: an iterator over its looks.
pub struct Log<R> {
    lines: io::Lines<R>,
    line: u64,
    pools: usize,
    shapes: Arc<[Shape]>,
}

impl<R: BufRead> Log<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// [`LogError`] if it is not the first line of a decision log of this version.
    pub fn open(reader: R) -> Result<(Start, Self), LogError> {
        let mut lines = reader.lines();
        let first = lines.next().ok_or(LogError::Empty)?;
        let first = first.map_err(|reason| LogError::Io { line: 1, reason })?;
        let parse = |reason| LogError::Line { line: 1, reason };
        let Header { schema } = serde_json::from_str(&first).map_err(parse)?;
        if schema != SCHEMA {
            return Err(LogError::Version(schema));
        }
        let start: StartLine = serde_json::from_str(&first).map_err(parse)?;
        let memory = Memory::restore(&start.memory, &start.settings)?;
        let pools = start.settings.pools.len();
        let log = Self { lines, line: 1, pools, shapes: Arc::from([]) };
        Ok((Start { settings: start.settings, memory }, log))
    }

    fn entry(&mut self, text: &str) -> Result<Entry, LogError> {
        let line = self.line;
        let look: LookLine =
            serde_json::from_str(text).map_err(|reason| LogError::Line { line, reason })?;
        if look.pools.len() != self.pools {
            return Err(LogError::Pools { line, found: look.pools.len(), expected: self.pools });
        }
        if let Some(shapes) = look.shapes {
            self.shapes = shapes.into();
        }
        let snapshot = Snapshot {
            pools: look.pools,
            waiting: look.waiting,
            shapes: Arc::clone(&self.shapes),
            sight: look.sight,
            replays: look.replays,
        };
        Ok(Entry { line, now: look.now, snapshot, decision: look.decision })
    }
}

impl<R: BufRead> Iterator for Log<R> {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.lines.next()?;
        self.line += 1;
        let line = self.line;
        Some(match text {
            Ok(text) => self.entry(&text),
            Err(reason) => Err(LogError::Io { line, reason }),
        })
    }
}
