//! Outside signals in a rehearsal: step functions that the engine reads once a minute, as it would read a metric.
//!
//! A value that is not there is a query that gives nothing: the last sane reading grows old meanwhile.

use super::import::{self, ImportError};
use crate::{
    config::{
        parse_duration,
        scenario::{Scenario, Signal, SignalValues},
    },
    engine::SignalSettings,
    model::{Pool, ReadValue, Reading},
    time::{Millis, Timestamp},
};
use std::{
    io::{self, BufRead},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// How often a signal is read.
const EVERY: Millis = Millis::from_mins(1);

/// The first line of a file of values.
const HEADER: &str = "time,value";

/// A signal with all its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsed {
    /// What the engine is told of it.
    pub settings: SignalSettings,
    /// From when on which value holds, ascending; `None` = nothing is read.
    steps: Vec<(Timestamp, Option<f64>)>,
}

/// Why the values of a signal cannot be read, and what to do about it.
#[derive(Debug, Error)]
pub enum SignalError {
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] ImportError),
    /// Reading failed.
    #[error("{}: cannot read the signal", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line cannot be.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

impl Rehearsed {
    /// What is read at `now`: the value of the last full minute.
    pub fn reading(&self, now: Timestamp) -> Reading {
        let at = Timestamp(now.0 - now.0.rem_euclid(EVERY.0));
        let past = self.steps.partition_point(|&(from, _)| from <= at);
        let value = past.checked_sub(1).and_then(|place| self.steps[place].1);
        let value = value.map_or(ReadValue::Absent, |units| ReadValue::of(&[units]));
        Reading { name: self.settings.name.clone(), at, value }
    }

    fn of(signal: &Signal, folder: &Path) -> Result<Self, SignalError> {
        let settings = SignalSettings {
            gpus_per_unit: signal.gpus_per_unit,
            lead: signal.lead,
            max_gpus: signal.max_gpus,
            ..SignalSettings::new(&signal.name)
        };
        let steps = match &signal.values {
            SignalValues::Series(steps) => steps.clone(),
            SignalValues::File(file) => read(&folder.join(file))?,
        };
        Ok(Self { settings, steps })
    }
}

/// The signals of a scenario by pool, in the order of `pools`; those of pools that are not among them are left out.
/// Files are seen from the scenario's folder.
///
/// # Errors
/// [`SignalError`] names file and line.
pub fn load(
    scenario: &Scenario,
    pools: &[Pool],
    path: &Path,
) -> Result<Vec<Vec<Rehearsed>>, SignalError> {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let of_pool = |pool: &Pool| {
        let mut named = scenario.pools.iter().zip(&scenario.signals);
        let signals = named.find(|(other, _)| other.name == pool.name).map(|(_, signals)| signals);
        let signals = signals.into_iter().flatten();
        signals.map(|signal| Rehearsed::of(signal, folder)).collect()
    };
    pools.iter().map(of_pool).collect()
}

/// The files that the signals of a scenario are read from, where they are seen from the caller's folder.
pub fn files(scenario: &Scenario, path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let files = scenario.signals.iter().flatten().filter_map(|signal| match &signal.values {
        SignalValues::File(file) => Some(folder.join(file)),
        SignalValues::Series(_) => None,
    });
    files.collect()
}

/// Reads `time,value`: a duration since the start or seconds, and a number or nothing.
fn read(path: &Path) -> Result<Vec<(Timestamp, Option<f64>)>, SignalError> {
    let text = import::open_text(path, &())?;
    let mut steps: Vec<(Timestamp, Option<f64>)> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.map_err(|source| SignalError::Read { path: path.to_owned(), source })?;
        let wrong = |problem| SignalError::Line { path: path.to_owned(), line, problem };
        let text = text.trim();
        if line == 1 {
            if text != HEADER {
                return Err(wrong(format!("the first line must be `{HEADER}`, found `{text}`")));
            }
        } else if !text.is_empty() {
            let step = step(text).map_err(wrong)?;
            if steps.last().is_some_and(|&(last, _)| last >= step.0) {
                return Err(wrong("must come after the line before it: sort the file".to_owned()));
            }
            steps.push(step);
        }
    }
    Ok(steps)
}

fn step(text: &str) -> Result<(Timestamp, Option<f64>), String> {
    let expected = "expected a time and a value such as `10m,4` or `600,4`";
    let (at, value) = text.split_once(',').ok_or_else(|| format!("{expected}, found `{text}`"))?;
    let seconds = || at.trim().parse().ok().map(Millis::from_secs);
    let at = seconds().or_else(|| parse_duration(at.trim()));
    let at = at.ok_or_else(|| format!("{expected}, found `{text}`"))?;
    let value = match value.trim() {
        "" => None,
        text => match text.parse().map(|units: f64| ReadValue::of(&[units])) {
            Ok(ReadValue::Units(units)) => Some(units),
            _ => return Err(format!("`{text}` is no value: a number from 0 on, or nothing")),
        },
    };
    Ok((Timestamp(at.0), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_time_and_a_value_or_none() {
        let at = Timestamp::from_secs;
        assert_eq!(step("10m,4"), Ok((at(600), Some(4.0))));
        assert_eq!(step("90, 0.5"), Ok((at(90), Some(0.5))));
        assert_eq!(step("2h,"), Ok((at(7200), None)));
        for wrong in ["", "10m", "soon,4", "10m,-1", "10m,NaN", "10m,many"] {
            assert!(step(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_is_read_at_full_minutes() {
        let at = Timestamp::from_secs;
        let steps = vec![(at(60), Some(2.0)), (at(150), Some(5.0)), (at(300), None)];
        let signal = Rehearsed { settings: SignalSettings::new("queue"), steps };
        let read = |secs| {
            let reading = signal.reading(at(secs));
            (reading.at.0 / 1000, reading.value)
        };
        assert_eq!(read(59), (0, ReadValue::Absent));
        assert_eq!(read(60), (60, ReadValue::Units(2.0)));
        // The change at 150 s is seen at 180 s.
        assert_eq!(read(179), (120, ReadValue::Units(2.0)));
        assert_eq!(read(185), (180, ReadValue::Units(5.0)));
        assert_eq!(read(301), (300, ReadValue::Absent));
    }
}
