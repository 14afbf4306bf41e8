//! The kinds of demand a source can have, as plain numbers. `sim::arrivals` draws from them.

use super::{JobRow, Template};
use crate::time::{Millis, Timestamp};
use jiff::tz::TimeZone;
use std::path::PathBuf;

/// When jobs come, and what they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// Independent of each other, at an even rate.
    Poisson {
        /// Mean jobs an hour.
        per_hour: f64,
        /// The jobs.
        template: Template,
    },
    /// Owners who submit the same again and again.
    Bursts(Bursts),
    /// Independent of each other, at a rate that follows the calendar.
    Profile(Profile),
    /// On a schedule.
    Cron(Cron),
    /// Replicas added or replaced at an instant.
    Rollout(Rollout),
    /// Written out.
    Jobs(Vec<JobRow>),
    /// A file of jobs, relative to the scenario file.
    Trace(PathBuf),
}

/// Bursts: at Poisson instants an owner submits one shape several times, seconds apart. Some bursts
/// have length 1; how many is fixed by [`Bursts::single_share`].
#[derive(Clone, Debug, PartialEq)]
pub struct Bursts {
    /// Mean jobs an hour, all bursts together.
    pub per_hour: f64,
    /// Share of jobs that are not alone in their burst.
    pub repeat_share: f64,
    /// Mean length of the bursts of at least 2; the length beyond 2 is geometric.
    pub mean_length: f64,
    /// Mean time between jobs of a burst, exponential.
    pub gap: Millis,
    /// All jobs of a burst run equally long.
    pub same_duration: bool,
    /// The jobs of a burst start together.
    pub gang: bool,
    /// The jobs.
    pub template: Template,
}

impl Bursts {
    /// Share s of bursts with one job. With r the share of jobs that repeat and m the mean length
    /// of the longer bursts, 1 - r = s / (s + (1 - s) m), so s = (1 - r) m / (r + (1 - r) m).
    pub fn single_share(&self) -> f64 {
        let alone = (1.0 - self.repeat_share) * self.mean_length;
        alone / (self.repeat_share + alone)
    }

    /// Mean jobs in a burst, single ones included.
    pub fn mean_jobs(&self) -> f64 {
        let single = self.single_share();
        single + (1.0 - single) * self.mean_length
    }
}

/// A Poisson process whose rate depends on hour and weekday.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Jobs an hour where both factors are 1.
    pub per_hour: f64,
    /// Factor by hour of the day, 0 to 23.
    pub hours: [f64; 24],
    /// Factor by weekday, Monday first.
    pub weekdays: [f64; 7],
    /// Whose hours and days.
    pub time_zone: TimeZone,
    /// The jobs.
    pub template: Template,
}

/// Jobs on a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    /// Five fields.
    pub schedule: croner::Cron,
    /// Whose clock.
    pub time_zone: TimeZone,
    /// Jobs at each occurrence.
    pub jobs: u32,
    /// Share of occurrences that do not happen.
    pub skip_rate: f64,
    /// Each job comes up to this much later, evenly drawn.
    pub jitter: Millis,
    /// The jobs of an occurrence start together.
    pub gang: bool,
    /// The jobs.
    pub template: Template,
}

/// A step: replicas that are added at an instant, or replace others that run since second 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// When the first new replica is asked for.
    pub at: Timestamp,
    /// New replicas.
    pub replicas: u32,
    /// So many are asked for at once.
    pub batch: u32,
    /// Time between batches.
    pub every: Millis,
    /// As many old replicas run since second 0; each ends `overlap` after its successor is asked
    /// for. `None` = nothing is replaced.
    pub overlap: Option<Millis>,
    /// The new replicas start together.
    pub gang: bool,
    /// The jobs.
    pub template: Template,
}
