//! Writing the log.

use super::SCHEMA;
use crate::{
    engine::{Decision, Memory, Settings},
    model::{PoolSnapshot, ReplayedDay, Shape, Sight, Snapshot, Waiting},
    time::Timestamp,
};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct StartLine<'a> {
    schema: &'static str,
    settings: &'a Settings,
    /// As [`Memory::keep`] gives it.
    memory: String,
}

#[derive(Serialize)]
struct LookLine<'a> {
    now: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    shapes: Option<&'a [Shape]>,
    pools: &'a [PoolSnapshot],
    waiting: &'a [Waiting],
    sight: Sight,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    replays: &'a [ReplayedDay],
    decision: &'a Decision,
}

/// Writes one log. A line reaches `out` in one piece, so whatever ends the run ends it after a line.
pub struct LogWriter<W: Write> {
    out: W,
    line: Vec<u8>,
    shapes: usize,
}

impl<W: Write> LogWriter<W> {
    /// Starts a log with all that later decisions hang on.
    ///
    /// # Errors
    /// If `out` does.
    pub fn start(out: W, settings: &Settings, memory: &Memory) -> io::Result<Self> {
        let start = StartLine { schema: SCHEMA, settings, memory: memory.keep()? };
        let mut log = Self { out, line: Vec::new(), shapes: 0 };
        log.add(&start)?;
        Ok(log)
    }

    fn add(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    /// Adds a look.
    ///
    /// # Errors
    /// If `out` does.
    pub fn look(
        &mut self,
        now: Timestamp,
        snapshot: &Snapshot,
        decision: &Decision,
    ) -> io::Result<()> {
        let has_new_shapes = snapshot.shapes.len() != self.shapes;
        self.shapes = snapshot.shapes.len();
        let look = LookLine {
            now,
            shapes: has_new_shapes.then_some(&*snapshot.shapes),
            pools: &snapshot.pools,
            waiting: &snapshot.waiting,
            sight: snapshot.sight,
            replays: &snapshot.replays,
            decision,
        };
        self.add(&look)
    }

    /// Ends the log.
    ///
    /// # Errors
    /// If `out` does.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
