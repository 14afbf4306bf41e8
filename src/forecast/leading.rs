//! Does an outside signal move before demand does, and is what it says worth anything?
//!
//! Both are asked of the samples of up to a week ([`Track`]). *When*: the lag at which the changes of the signal
//! and those of demand agree best ([`lag`]). *What it is worth*: each minute the signal says by how much demand
//! will rise within a lead time of nodes, `g` GPUs for each unit; what that would have lost against what came
//! ([`crate::forecast::labels`]), compared with the best that can be said without it, a constant ([`worth`]). Only a
//! signal that passes both is useful: what merely goes up and down with demand may beat a constant and comes too
//! late all the same.
//!
//! A signal that moves earlier than nodes take to come is taken as it stood in between: it counts with its lowest
//! value since then, here as in decisions.

pub mod lag;
mod track;
pub mod worth;

pub use track::Track;

use crate::{
    forecast::{
        events::Events,
        labels::{Span, deltas},
    },
    time::{Millis, Timestamp},
    units::is_mass,
};
use serde::{Deserialize, Serialize};
use worth::{Judge, Word};

/// How far back signals are remembered.
pub const SPAN: Millis = Millis::from_hours(7 * 24);

/// Spacing of samples.
pub const MINUTE: Millis = Millis::from_mins(1);

const DAY: Millis = Millis::from_hours(24);

/// Fewer samples than this, one a minute, say nothing.
pub const LEAST_SAMPLES: usize = 6 * 60;

/// Fewer minutes than this in which demand rose say nothing.
pub const LEAST_RISES: usize = 8;

/// A signal must save this share of a constant's loss to be useful, and so much more must other GPUs for each
/// unit save to be named.
pub const CLEARLY: f64 = 0.1;

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
    /// Correlation of its changes with the rises of demand at that lag, -1..=1.
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
    /// By how much it was found to run ahead.
    pub fn lead(&self) -> Option<Millis> {
        (self.lag_minutes > 0).then(|| Millis::from_mins(i64::from(self.lag_minutes)))
    }

    /// Whether what was kept can have been.
    pub(crate) fn is_sound(&self) -> bool {
        is_mass(self.hours)
            && (-1.001..=1.001).contains(&self.correlation)
            && self.skill.is_finite()
            && self.lag_minutes.unsigned_abs() <= 24 * 60
            && self.better_gpus_per_unit.is_none_or(is_mass)
    }
}

/// What a signal is studied by.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The present. Everything up to it has been told.
    pub now: Timestamp,
    /// What the signal was.
    pub track: &'a Track,
    /// What demand was.
    pub events: &'a Events,
    /// What its units stand for.
    pub word: Word,
    /// What a node takes, with little left to chance.
    pub lead: Millis,
    /// By how much the signal is said to run ahead; `None` = not known.
    pub told_lead: Option<Millis>,
    /// Level of the quantile of demand that is kept ready, 0..1.
    pub level: f64,
    /// It was useful before: it stays so while it saves at least half of what makes one useful.
    pub was_useful: bool,
}

/// Signal, demand and what came of it at the minutes of which the outcome is known.
struct Samples {
    /// Thousandths of GPUs.
    demand: Vec<i64>,
    /// By how much it rose within the lead time.
    rises: Vec<i64>,
    values: Vec<Option<f64>>,
}

impl Samples {
    fn of(case: &Case<'_>) -> Self {
        let from = case.track.first().max(case.now - SPAN);
        let span = Span { from, now: case.now, horizon: case.lead.max(MINUTE), step: MINUTE };
        let labels = deltas(case.events, &span);
        let skipped = ((labels.first - case.track.first()).0 / MINUTE.0).max(0) as usize;
        let values = case.track.samples().skip(skipped);
        let count = labels.values.len().min(values.len());
        let mut level = case.events.demand_at(labels.first);
        let mut past = case.events.window(labels.first, case.now).peekable();
        let demand = (0..count as i64).map(|minute| {
            let at = labels.first + MINUTE * minute;
            while let Some(event) = past.next_if(|event| event.at <= at) {
                level += event.milli;
            }
            level
        });
        Self {
            demand: demand.collect(),
            rises: labels.values.into_iter().take(count).collect(),
            values: values.take(count).collect(),
        }
    }

    /// Minutes with a value.
    fn known(&self) -> usize {
        self.values.iter().flatten().count()
    }

    /// Minutes in which demand rose.
    fn rises(&self) -> usize {
        self.demand.windows(2).filter(|pair| pair[1] > pair[0]).count()
    }
}

/// By how much longer than a node takes the signal must have stood to be acted upon.
pub fn standing(lead: Millis, runs_ahead: Option<Millis>) -> Millis {
    runs_ahead.map_or(Millis::ZERO, |ahead| (ahead - lead).max(Millis::ZERO))
}

/// Studies a signal; `None` while there is not enough to judge by. Within the first day that includes one that
/// saves enough and is not clearly ahead; afterwards, where demand hardly ever rises, one that does no harm.
pub fn study(case: &Case<'_>) -> Option<Study> {
    let samples = Samples::of(case);
    if samples.known() < LEAST_SAMPLES {
        return None;
    }
    let lag = lag::best(&samples.values, &samples.demand);
    let learned = (lag.minutes > 0).then(|| Millis::from_mins(i64::from(lag.minutes)));
    let wait = standing(case.lead, case.told_lead.or(learned));
    let judge = Judge {
        level: case.level,
        values: &lowest(&samples.values, (wait.0 / MINUTE.0) as usize),
        demand: &samples.demand,
        rises: &samples.rises,
    };
    let constants = judge.constants();
    let alone = judge.constant(constants.first().copied()?);
    // Of no loss at all nothing can be saved, and whatever is lost is too much.
    let skill = |loss: f64| match alone > 0.0 {
        true => 1.0 - loss / alone,
        false if loss > 0.0 => -1.0,
        false => 0.0,
    };
    let (form, loss) = judge.better_form(case.word, &constants);
    let (better, least) = judge.best_word(case.word, &constants);
    let (skill, could_be) = (skill(loss), skill(least));
    let enough = if case.was_useful { CLEARLY / 2.0 } else { CLEARLY };
    let hours = samples.known() as f64 / 60.0;
    let (is_young, is_quiet) = (hours < DAY.as_hours(), samples.rises() < LEAST_RISES);
    let is_on_trial = if is_quiet {
        is_young || skill >= 0.0
    } else {
        is_young && lag.minutes <= 0 && skill >= enough
    };
    if is_on_trial {
        return None;
    }
    Some(Study {
        at: case.now,
        hours,
        lag_minutes: lag.minutes,
        correlation: lag.correlation,
        skill,
        form,
        better_gpus_per_unit: (alone > 0.0 && could_be > skill + CLEARLY)
            .then_some(better.gpus_per_unit),
        is_useful: !is_quiet && lag.minutes > 0 && skill >= enough,
    })
}

/// The lowest known value of each minute and the `wait` minutes before it; nothing where that reaches back before the
/// first.
fn lowest(values: &[Option<f64>], wait: usize) -> Vec<Option<f64>> {
    if wait == 0 {
        return values.to_vec();
    }
    let of = |at: usize| {
        let start = at.checked_sub(wait)?;
        values[at]?;
        values[start..=at].iter().flatten().copied().reduce(f64::min)
    };
    (0..values.len()).map(of).collect()
}
