//! What belongs to a whole PAI job: its line in the job table, and its tasks as a gang.

use super::super::clock::Moment;
use super::super::recording::{Recording, RunTime};
use super::super::table::Table;
use super::super::{ImportError, Source, cell};
use crate::model::{GangId, Job, TraceBuilder};
use crate::time::Timestamp;
use flate2::bufread::MultiGzDecoder;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

const COLUMNS: [&str; 6] = ["job_name", "inst_id", "user", "status", "start_time", "end_time"];

/// What the job table says about one job.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) submit: Option<Timestamp>,
    pub(super) user: &'a str,
}

/// The job table by name of the job.
#[derive(Default)]
pub(super) struct JobTable {
    /// Submission, and place of the user.
    by_name: HashMap<String, (Option<Timestamp>, usize)>,
    user_ids: HashMap<String, usize>,
    users: Vec<String>,
}

/// Tasks taken so far. Until the end, the gang of a task is the number of its job: only then it is
/// known which jobs have several tasks that count.
pub(super) struct Tasks {
    recording: Recording,
    complete: Vec<Job>,
    job_ids: HashMap<String, u32>,
    names: Vec<String>,
}

impl JobTable {
    /// Reads the file, which may be gzipped.
    pub(super) fn open(path: &Path, source: &Source<'_>) -> Result<Self, ImportError> {
        let file = path.display().to_string();
        let failed = |error| ImportError::Read { file: file.clone(), source: error };
        let mut plain = BufReader::new(File::open(path).map_err(failed)?);
        let is_gzip = plain.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let source = Source { file: &file, options: source.options, watch: source.watch };
        if is_gzip {
            Self::read(&mut BufReader::new(MultiGzDecoder::new(plain)), &source)
        } else {
            Self::read(&mut plain, &source)
        }
    }

    fn read(input: &mut dyn BufRead, source: &Source<'_>) -> Result<Self, ImportError> {
        let mut table = Table::without_header(source.file, input, b',', &COLUMNS);
        let (name, user) = (table.need("job_name")?, table.need("user")?);
        let start = table.need("start_time")?;
        let mut jobs = Self::default();
        while let Some(row) = table.next_row(source.watch)? {
            let name = row.text(name)?.trim_start_matches('\u{feff}');
            if name == COLUMNS[0] {
                continue;
            }
            let submit = cell::moment(&row, Some(start), source)?.map(Moment::at);
            let user = jobs.user(row.text(user)?);
            jobs.by_name.entry(name.to_owned()).or_insert((submit, user));
        }
        Ok(jobs)
    }

    fn user(&mut self, name: &str) -> usize {
        if let Some(&id) = self.user_ids.get(name) {
            return id;
        }
        self.users.push(name.to_owned());
        self.user_ids.insert(name.to_owned(), self.users.len() - 1);
        self.users.len() - 1
    }

    /// The line of a job.
    pub(super) fn find(&self, name: &str) -> Option<Entry<'_>> {
        let &(submit, user) = self.by_name.get(name)?;
        Some(Entry { submit, user: &self.users[user] })
    }
}

impl Tasks {
    /// No task yet.
    pub(super) fn new() -> Self {
        Self {
            recording: Recording::new(),
            complete: Vec::new(),
            job_ids: HashMap::new(),
            names: Vec::new(),
        }
    }

    /// The number of a job, new or known.
    pub(super) fn provisional_gang(&mut self, name: &str) -> GangId {
        if let Some(&id) = self.job_ids.get(name) {
            return GangId(id);
        }
        let id = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.job_ids.insert(name.to_owned(), id);
        GangId(id)
    }

    /// Times stand in the file.
    pub(super) fn saw(&mut self, times: &[Option<Moment>]) {
        self.recording.saw(times);
    }

    /// Takes or skips a task whose gang is provisional.
    pub(super) fn take(
        &mut self,
        submit: Option<Moment>,
        run_time: RunTime,
        task: Job,
        sink: &mut TraceBuilder,
    ) {
        self.complete.extend(self.recording.settle(submit, run_time, task, sink));
    }

    /// All tasks are known: jobs with several become gangs.
    pub(super) fn finish(self, sink: &mut TraceBuilder) {
        let mut tasks = self.complete;
        tasks.extend(self.recording.close(sink));
        let mut members = vec![0_u32; self.names.len()];
        for task in &tasks {
            members[task.gang.0 as usize] += 1;
        }
        for task in tasks {
            let job = task.gang.0 as usize;
            let gang = match members[job] {
                1 => GangId::NONE,
                members => sink.gang(&self.names[job], members),
            };
            sink.push(Job { gang, ..task });
        }
    }
}
