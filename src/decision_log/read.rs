//! Reading the log, line by line.

use super::SCHEMA;
use crate::{
    engine::{DamagedMemory, Decision, Memory, PoolSettings, Settings, SignalSettings},
    model::{MAX_DEVICES, PoolSnapshot, ReplayedDay, Shape, Sight, Snapshot, Waiting},
    strategy::candidates,
    time::Timestamp,
};
use serde::Deserialize;
use std::{
    io::{self, BufRead},
    sync::Arc,
};
use thiserror::Error;

/// Why a log cannot be read, and what to do about it.
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
    /// The first line is not that of a decision log.
    #[error(
        "line 1: this is no decision log ({}): name a file written by `prewarm simulate \
         --save-decisions FILE`",
        without_place(.0)
    )]
    Start(serde_json::Error),
    /// The line is no look of a decision log.
    #[error(
        "line {line}, column {}: {}: the {} lines before it are whole, keep only those or write the log \
         again",
        reason.column(), damage(reason), line - 1
    )]
    Line {
        /// Where.
        line: u64,
        /// Why.
        reason: serde_json::Error,
    },
    /// Nothing at all.
    #[error("the log is empty: its first line must have settings and memory; write the log again")]
    Empty,
    /// Another format, or another version of it.
    #[error(
        "line 1: `schema` is `{0}`, this version reads `{SCHEMA}`: use the version of prewarm that wrote \
         it, or write the log again"
    )]
    Version(String),
    /// The settings cannot be decided with.
    #[error("line 1: `settings`: pool `{pool}`: {problem}: write the log again")]
    Settings {
        /// Name of the pool.
        pool: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The memory at the start.
    #[error("line 1: `memory`: {0}: write the log again with this version")]
    Memory(#[from] DamagedMemory),
    /// A look with more or fewer pools than the settings.
    #[error(
        "line {line}: {found} pools where the settings have {expected}: the line is of another log, write \
         the log again"
    )]
    Pools {
        /// Where.
        line: u64,
        /// Pools of the look.
        found: usize,
        /// Pools of the settings.
        expected: usize,
    },
    /// A look names a shape that no line up to it lists.
    #[error(
        "line {line}: shape {shape} of {known} known ones: a line before it is missing, write the log again"
    )]
    Shape {
        /// Where.
        line: u64,
        /// The shape.
        shape: u32,
        /// Shapes listed so far.
        known: usize,
    },
}

/// The reason without `at line 1 column 7`: a line of the log is a document of its own.
fn without_place(reason: &serde_json::Error) -> String {
    let text = reason.to_string();
    text.rsplit_once(" at line ").map_or_else(|| text.clone(), |(reason, _)| reason.to_owned())
}

fn damage(reason: &serde_json::Error) -> String {
    if reason.is_eof() {
        return "the line ends early, the log was cut off".to_owned();
    }
    format!("this is no look of a decision log ({})", without_place(reason))
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
        let Header { schema } = serde_json::from_str(&first).map_err(LogError::Start)?;
        if schema != SCHEMA {
            return Err(LogError::Version(schema));
        }
        let start: StartLine = serde_json::from_str(&first).map_err(LogError::Start)?;
        check_settings(&start.settings)?;
        let memory = Memory::restore(&start.memory, &start.settings)?;
        let pools = start.settings.pools.len();
        let log = Self { lines, line: 1, pools, shapes: Arc::from([]) };
        Ok((Start { settings: start.settings, memory }, log))
    }

    fn entry(&mut self, text: &str) -> Result<Entry, LogError> {
        let line = self.line;
        let mut look: LookLine =
            serde_json::from_str(text).map_err(|reason| LogError::Line { line, reason })?;
        if look.pools.len() != self.pools {
            return Err(LogError::Pools { line, found: look.pools.len(), expected: self.pools });
        }
        if let Some(shapes) = look.shapes.take() {
            self.shapes = shapes.into();
        }
        self.check_shapes(&look)?;
        let snapshot = Snapshot {
            pools: look.pools,
            waiting: look.waiting,
            shapes: Arc::clone(&self.shapes),
            sight: look.sight,
            replays: look.replays,
        };
        Ok(Entry { line, now: look.now, snapshot, decision: look.decision })
    }

    /// The engine looks shapes up without asking whether they are there.
    fn check_shapes(&self, look: &LookLine) -> Result<(), LogError> {
        let waiting = look.waiting.iter().flat_map(|waiting| &waiting.jobs);
        let queued =
            look.pools.iter().flat_map(|pool| &pool.queued).flat_map(|queued| &queued.jobs);
        let arrived = look.pools.iter().flat_map(|pool| &pool.arrivals).map(|job| &job.shape);
        let known = self.shapes.len();
        match waiting.chain(queued).chain(arrived).find(|shape| shape.0 as usize >= known) {
            Some(shape) => Err(LogError::Shape { line: self.line, shape: shape.0, known }),
            None => Ok(()),
        }
    }
}

fn check_settings(settings: &Settings) -> Result<(), LogError> {
    for PoolSettings { pool, pinned, kappa, signals, .. } in &settings.pools {
        let known = candidates(kappa.default).len();
        let problem = match pinned {
            _ if !(1..=MAX_DEVICES).contains(&pool.gpus_per_node) => {
                "`gpus_per_node` is out of range"
            }
            Some(pinned) if *pinned >= known => "`pinned` is no candidate",
            _ => match SignalSettings::problem(signals) {
                Some(problem) => problem,
                None => continue,
            },
        };
        return Err(LogError::Settings { pool: pool.name.clone(), problem });
    }
    Ok(())
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
