//! What was decided, kept: the last decisions in memory for `/debug/decisions`, and on request the whole
//! decision log in a folder of files that `prewarm replay` takes.
//!
//! A log holds for one set of pools and settings; where they change, where the past becomes known, and where a
//! file has grown large, the next one begins. Of old files only the newest are kept.

use crate::{
    decision_log::{Explanation, LogWriter, explain_decision, instant},
    engine::{Decision, Memory, Settings},
    model::Snapshot,
    time::Timestamp,
};
use serde::Serialize;
use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Decisions in memory.
const RECENT: usize = 256;
/// Files in the folder.
const FILES: usize = 16;
/// Bytes after which a file ends.
const FILE_BYTES: u64 = 256 << 20;

/// A decision as `/debug/decisions` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// As in annotations and status.
    pub id: String,
    /// RFC 3339.
    pub time: String,
    /// One explanation a pool.
    pub pools: Vec<Explanation>,
    /// What was written, or would have been, or why not.
    pub writes: Vec<String>,
}

/// Keeps decisions.
#[derive(Default)]
pub struct Journal {
    recent: VecDeque<Told>,
    folder: Option<PathBuf>,
    open: Option<LogWriter<Counted>>,
    settings: Option<Settings>,
    written: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Journal {
    /// With a folder for logs, or without.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(folder: Option<PathBuf>) -> io::Result<Self> {
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { folder, ..Self::default() })
    }

    /// Memory was told something that is in no look: the next look begins a file.
    pub fn renew(&mut self) {
        self.settings = None;
    }

    /// Must be called before `decide`: begins a file where one is due, with the memory as it is then.
    ///
    /// # Errors
    /// Of the file system. Decisions go on without a log.
    pub fn before(
        &mut self,
        now: Timestamp,
        settings: &Settings,
        memory: &Memory,
    ) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let is_full = self.written.load(std::sync::atomic::Ordering::Relaxed) > FILE_BYTES;
        if self.open.is_some() && self.settings.as_ref() == Some(settings) && !is_full {
            return Ok(());
        }
        if let Some(open) = self.open.take() {
            open.finish()?;
        }
        let name = format!("decisions-{}.jsonl", instant(now).replace(':', ""));
        let file = BufWriter::new(File::create(folder.join(name))?);
        self.written = std::sync::Arc::default();
        let counted = Counted { file, bytes: std::sync::Arc::clone(&self.written) };
        self.open = Some(LogWriter::start(counted, settings, memory)?);
        self.settings = Some(settings.clone());
        prune(folder)
    }

    /// Notes a decision.
    ///
    /// # Errors
    /// Of the file system.
    pub fn note(
        &mut self,
        now: Timestamp,
        id: &str,
        snapshot: &Snapshot,
        settings: &Settings,
        decision: &Decision,
    ) -> io::Result<()> {
        let pools = 0..decision.why.len();
        let told = Told {
            id: id.to_owned(),
            time: instant(now),
            pools: pools
                .filter_map(|pool| explain_decision(now, decision, settings, pool))
                .collect(),
            writes: Vec::new(),
        };
        self.recent.push_back(told);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        match &mut self.open {
            Some(open) => open.look(now, snapshot, decision),
            None => Ok(()),
        }
    }

    /// Adds what became of the newest decision.
    pub fn wrote(&mut self, writes: Vec<String>) {
        if let Some(newest) = self.recent.back_mut() {
            newest.writes = writes;
        }
    }

    /// The last decisions, newest last.
    pub fn recent(&self) -> impl Iterator<Item = &Told> {
        self.recent.iter()
    }

    /// Ends the log.
    ///
    /// # Errors
    /// Of the file system.
    pub fn finish(&mut self) -> io::Result<()> {
        self.open.take().map_or(Ok(()), |open| open.finish().map(drop))
    }
}

/// A file that counts what is written to it and lets whole lines reach the disk.
struct Counted {
    file: BufWriter<File>,
    bytes: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes.fetch_add(written as u64, std::sync::atomic::Ordering::Relaxed);
        if bytes.ends_with(b"\n") {
            self.file.flush()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Only the newest files stay; their names sort by time.
fn prune(folder: &Path) -> io::Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("decisions-") && path.extension().is_some_and(|end| end == "jsonl")
        })
        .collect();
    files.sort_unstable();
    let excess = files.len().saturating_sub(FILES);
    files[..excess].iter().try_for_each(fs::remove_file)
}
