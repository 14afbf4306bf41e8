//! Deciding again, and comparing.

use super::{Difference, Log, LogError};
use crate::{engine::decide, time::Timestamp};
use std::io::BufRead;

/// What came of deciding a log again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replayed {
    /// Looks decided again.
    pub looks: u64,
    /// Looks that came out differently.
    pub changed: u64,
    /// The first of them, at most [`Replayed::MOST`].
    pub differences: Vec<Difference>,
}

impl Replayed {
    /// Differences that are kept: those that follow a first one are mostly its consequences.
    pub const MOST: usize = 10;
}

/// Decides the whole log again. `go_on` is asked at every look with its instant; `false` ends the
/// replay there.
///
/// # Errors
/// [`LogError`] with the line if the log is damaged.
pub fn replay(
    reader: impl BufRead,
    go_on: &dyn Fn(Timestamp) -> bool,
) -> Result<Replayed, LogError> {
    let (start, log) = Log::open(reader)?;
    let mut memory = start.memory;
    let mut replayed = Replayed::default();
    for entry in log {
        let entry = entry?;
        if !go_on(entry.now) {
            break;
        }
        let decision = decide(entry.now, &entry.snapshot, &start.settings, &mut memory);
        replayed.looks += 1;
        if decision == entry.decision {
            continue;
        }
        replayed.changed += 1;
        if replayed.differences.len() < Replayed::MOST {
            let pools = start.settings.pools.iter();
            let names: Vec<&str> = pools.map(|pool| pool.pool.name.as_str()).collect();
            replayed.differences.push(Difference::between(&entry, &decision, &names));
        }
    }
    Ok(replayed)
}
