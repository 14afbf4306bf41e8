//! The learned state as plain data, to be kept over a restart, and its way back with every check.
//!
//! At most 721 pairs per stage. The prior and the way of learning are settings and not part of it.

use super::{failures::Failures, grid::BINS, stage_table::StageTable};
use crate::time::Timestamp;
use thiserror::Error;

use serde::{Deserialize, Serialize};

/// The learned state of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LeadTimeParts {
    /// Request to node ready.
    pub provisioning: StageParts,
    /// Node ready to GPUs usable.
    pub warm_up: StageParts,
}

/// The learned state of one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageParts {
    /// The instant for which the masses hold; `None` = nothing was seen.
    pub as_of: Option<Timestamp>,
    /// Bin and mass of finished nodes, by rising bin.
    pub events: Vec<(u16, f64)>,
    /// Bin and mass of nodes last seen at the end of that bin, by rising bin; bin 360 = beyond the grid.
    pub leaving: Vec<(u16, f64)>,
    /// Mass of nodes that failed.
    pub failed: f64,
    /// Mass of nodes that came through.
    pub succeeded: f64,
    /// Running mean of the place of durations among earlier ones, less 1/2; -0.5 to 0.5.
    pub surprise: f64,
}

/// Why a learned state was refused.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum DamagedParts {
    /// A number that is no mass.
    #[error("`{field}` is {found}, expected {expected}")]
    Number {
        /// Where.
        field: &'static str,
        /// What was there.
        found: f64,
        /// What could be there.
        expected: &'static str,
    },
    /// A bin that does not exist or is out of order.
    #[error("`{field}` has bin {bin} where a bin above {above} and at most {last} must be")]
    Bin {
        /// Where.
        field: &'static str,
        /// The bin found.
        bin: u16,
        /// The bin before it, -1 for none.
        above: i32,
        /// The last bin there is.
        last: usize,
    },
}

/// More than any forgetting leaves, except none at all.
const MOST: f64 = 1e9;

impl StageTable {
    /// The learned state.
    pub fn to_parts(&self) -> StageParts {
        StageParts {
            as_of: self.as_of,
            events: sparse(&self.events),
            leaving: sparse(&self.leaving),
            failed: self.failures.failed,
            succeeded: self.failures.succeeded,
            surprise: self.surprise,
        }
    }

    /// The table with this learned state in place of its own.
    ///
    /// # Errors
    /// [`DamagedParts`] for masses that are negative, not finite or absurdly large, bins that do not exist
    /// or are out of order, and a surprise outside -0.5..0.5.
    pub fn with_parts(mut self, parts: &StageParts) -> Result<Self, DamagedParts> {
        self.events = dense("events", &parts.events, BINS)?;
        self.leaving = dense("leaving", &parts.leaving, BINS + 1)?;
        let failed = mass("failed", parts.failed)?;
        self.failures = Failures { failed, succeeded: mass("succeeded", parts.succeeded)? };
        if !(-0.5..=0.5).contains(&parts.surprise) {
            let expected = "-0.5 to 0.5";
            return Err(DamagedParts::Number {
                field: "surprise",
                found: parts.surprise,
                expected,
            });
        }
        self.surprise = parts.surprise;
        self.as_of = parts.as_of;
        Ok(self)
    }
}

fn sparse(masses: &[f64]) -> Vec<(u16, f64)> {
    (0..).zip(masses).filter(|(_, mass)| **mass > 0.0).map(|(bin, mass)| (bin, *mass)).collect()
}

fn dense(
    field: &'static str,
    sparse: &[(u16, f64)],
    bins: usize,
) -> Result<Vec<f64>, DamagedParts> {
    let mut masses = vec![0.0; bins];
    let mut above = -1;
    for &(bin, found) in sparse {
        if i32::from(bin) <= above || usize::from(bin) >= bins {
            return Err(DamagedParts::Bin { field, bin, above, last: bins - 1 });
        }
        masses[usize::from(bin)] = mass(field, found)?;
        above = i32::from(bin);
    }
    Ok(masses)
}

fn mass(field: &'static str, found: f64) -> Result<f64, DamagedParts> {
    let is_mass = (0.0..=MOST).contains(&found);
    is_mass.then_some(found).ok_or(DamagedParts::Number { field, found, expected: "a mass from 0" })
}

#[cfg(test)]
mod tests {
    use super::{super::stage_table::Learning, *};
    use crate::time::Millis;

    fn fresh() -> StageTable {
        StageTable::new(Millis::from_secs(300), Learning::default())
    }

    fn taught() -> StageTable {
        let mut table = fresh();
        for node in 0..400_i64 {
            let now = Timestamp::from_secs(node * 3600);
            table.record(Millis(150_000 + node * 977 % 300_000), now);
            match node % 7 {
                0 => table.record_failure(Millis(node * 400), now),
                3 => table.record_given_up(Millis(node * 300), now),
                5 => table.record(Millis::MAX, now),
                _ => {}
            }
        }
        table
    }

    #[test]
    fn a_restart_changes_nothing() {
        let mut table = taught();
        let mut restarted = fresh().with_parts(&table.to_parts()).unwrap();
        assert_eq!(restarted, table);
        for table in [&mut table, &mut restarted] {
            table.record(Millis::from_secs(500), Timestamp::from_secs(2_000_000));
        }
        assert_eq!(restarted, table);
    }

    #[test]
    fn a_damaged_state_is_refused_with_its_place() {
        let refused = |spoil: fn(&mut StageParts)| {
            let mut parts = taught().to_parts();
            spoil(&mut parts);
            fresh().with_parts(&parts).unwrap_err().to_string()
        };
        assert_eq!(refused(|p| p.events[0].1 = -1.0), "`events` is -1, expected a mass from 0");
        assert_eq!(refused(|p| p.failed = f64::NAN), "`failed` is NaN, expected a mass from 0");
        assert_eq!(refused(|p| p.succeeded = 1e300).split(" is ").next(), Some("`succeeded`"));
        assert_eq!(refused(|p| p.surprise = 0.7), "`surprise` is 0.7, expected -0.5 to 0.5");
        assert_eq!(
            refused(|p| p.events = vec![(9, 1.0), (9, 1.0)]),
            "`events` has bin 9 where a bin above 9 and at most 359 must be"
        );
        assert_eq!(
            refused(|p| p.leaving = vec![(361, 1.0)]),
            "`leaving` has bin 361 where a bin above -1 and at most 360 must be"
        );
    }
}
