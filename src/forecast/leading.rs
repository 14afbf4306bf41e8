//! Does an outside signal move before demand does, and is it worth anything?

mod track;

pub use track::Track;

use crate::{
    time::{Millis, Timestamp},
    units::is_mass,
};
use serde::{Deserialize, Serialize};

/// How far back signals are remembered.
pub const SPAN: Millis = Millis::from_hours(7 * 24);

/// Spacing of samples.
pub const MINUTE: Millis = Millis::from_mins(1);

/// What a signal says of demand, with `g` GPUs for each of its units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// `g x value` GPUs come on top of what runs and waits, as of a queue.
    Additional,
    /// Demand will be `g x value` GPUs, as of users at work.
    Level,
}

/// What was learned of one signal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// When it was made.
    pub at: Timestamp,
    /// Hours of samples it rests on.
    pub hours: f64,
    /// By how many minutes the signal moves before demand does; zero and less: it does not.
    pub lag_minutes: i32,
    /// Correlation of the changes of both at that lag, -1..=1.
    pub correlation: f64,
    /// Share of the pinball loss of the best constant that it saves; below zero = worse.
    pub skill: f64,
    /// The form that fits better.
    pub form: Form,
    /// GPUs for each unit that would have fitted clearly better than those of the settings.
    pub better_gpus_per_unit: Option<f64>,
    /// Whether it leads demand and saves enough to be followed.
    pub is_useful: bool,
}

impl Study {
    /// Whether what was kept can have been.
    pub(crate) fn is_sound(&self) -> bool {
        is_mass(self.hours)
            && (-1.001..=1.001).contains(&self.correlation)
            && self.skill.is_finite()
            && self.lag_minutes.unsigned_abs() <= 24 * 60
            && self.better_gpus_per_unit.is_none_or(is_mass)
    }
}
