//! The `arrivals` of a scenario: one source each, with a name that its random draws hang on.

use super::{
    Bursts, Cron, Demand, MOST_JOBS, Profile, Rollout, RunTime,
    job::{row, template},
};
use crate::{
    config::{
        parse_duration,
        reader::{Field, Fields},
    },
    time::{Millis, Timestamp},
};
use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;

/// Weekdays as keys, Monday first.
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Occurrences of a schedule that are counted before the rest is extrapolated.
const COUNTED_OCCURRENCES: usize = 1000;
/// Jobs an hour that nothing real exceeds.
const MOST_PER_HOUR: f64 = 1e7;

/// A source of jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Unique. Draws depend on it and the seed only, not on the other sources.
    pub name: String,
    /// What comes when.
    pub demand: Demand,
}

impl Source {
    /// Mean number of jobs in a run; 0 for a trace, which is not looked at here.
    pub fn expected_jobs(&self, starts_at: Timestamp, end: Millis) -> f64 {
        let hours = end.as_hours();
        match &self.demand {
            Demand::Poisson { per_hour, .. } | Demand::Bursts(Bursts { per_hour, .. }) => {
                per_hour * hours
            }
            // The peak rate bounds the draws that thinning makes.
            Demand::Profile(profile) => profile.peak_per_hour() * hours,
            Demand::Cron(cron) => cron.occurrences(starts_at, end) * f64::from(cron.jobs),
            Demand::Rollout(rollout) => f64::from(rollout.replicas) * 2.0,
            Demand::Jobs(rows) => rows.iter().map(|row| f64::from(row.count)).sum(),
            Demand::Trace(_) => 0.0,
        }
    }
}

impl Profile {
    /// The highest rate of the week.
    pub fn peak_per_hour(&self) -> f64 {
        let peak = |factors: &[f64]| factors.iter().copied().fold(0.0, f64::max);
        self.per_hour * peak(&self.hours) * peak(&self.weekdays)
    }
}

impl Cron {
    fn occurrences(&self, starts_at: Timestamp, end: Millis) -> f64 {
        let Ok(start) = jiff::Timestamp::from_millisecond(starts_at.0) else { return 0.0 };
        let zoned = start.to_zoned(self.time_zone.clone());
        let offset = |at: jiff::Zoned| at.timestamp().as_millisecond() - starts_at.0;
        let within = self.schedule.iter_from(zoned, croner::Direction::Forward).map(offset);
        let (mut count, mut last) = (0.0, 0);
        for at in within.take(COUNTED_OCCURRENCES).take_while(|at| *at < end.0) {
            (count, last) = (count + 1.0, at);
        }
        if count < COUNTED_OCCURRENCES as f64 || last == 0 {
            return count;
        }
        count * end.0 as f64 / last as f64
    }
}

pub(super) fn read_all(list: &Field<'_>, starts_at: Timestamp, end: Millis) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    let mut jobs = 0.0;
    for field in list.some_items("source") {
        let Some(source) = read(&field, end) else { continue };
        if sources.iter().any(|other| other.name == source.name) {
            field.problem(format!("source \"{}\" is there twice; rename one", source.name));
        }
        let more = source.expected_jobs(starts_at, end);
        if jobs <= MOST_JOBS && jobs + more > MOST_JOBS {
            field.problem(format!(
                "makes about {:.3e} jobs with the sources above, at most {MOST_JOBS:.0e} are \
                 possible; lower its rate or count, or shorten the run",
                jobs + more
            ));
        }
        jobs += more;
        sources.push(source);
    }
    sources
}

fn read(field: &Field<'_>, end: Millis) -> Option<Source> {
    let fields = field.fields();
    let name = fields.need("name").map_or_else(String::new, |f| f.text());
    let demand = read_demand(&fields, &name, end);
    if demand.is_none() {
        // Learn the keys all kinds share, so that only the misspelt one is reported.
        let _ = (gang(&fields), template(&fields, &name, None, Some(RunTime::Forever)));
    }
    fields.finish();
    Some(Source { name, demand: demand? })
}

/// Exactly one of the kinds is a key of the source.
fn read_demand(fields: &Fields<'_>, name: &str, end: Millis) -> Option<Demand> {
    const KINDS: [&str; 7] = ["poisson", "bursts", "profile", "cron", "rollout", "jobs", "trace"];
    let given: Vec<_> =
        KINDS.into_iter().filter_map(|kind| Some((kind, fields.get(kind)?))).collect();
    let [(kind, field)] = given.as_slice() else {
        if fields.owner().is_map() {
            let kinds = KINDS.join(", ");
            fields.owner().problem(format!("needs exactly one of {kinds}; got {}", given.len()));
        }
        return None;
    };
    Some(match *kind {
        "poisson" => poisson(fields, field, name),
        "bursts" => Demand::Bursts(bursts(fields, field, name)),
        "profile" => Demand::Profile(profile(fields, field, name)),
        "cron" => Demand::Cron(cron(fields, field, name)?),
        "rollout" => Demand::Rollout(rollout(fields, field, name, end)),
        "jobs" => jobs(fields, field, name, end),
        _ => Demand::Trace(field.text().into()),
    })
}

fn per_hour(fields: &Fields<'_>) -> f64 {
    fields.need("perHour").map_or(0.0, |f| f.number(0.0..=MOST_PER_HOUR))
}

fn poisson(source: &Fields<'_>, field: &Field<'_>, name: &str) -> Demand {
    let fields = field.fields();
    let per_hour = per_hour(&fields);
    fields.finish();
    Demand::Poisson { per_hour, template: template(source, name, None, None) }
}

fn gang(source: &Fields<'_>) -> bool {
    source.get("gang").is_some_and(|f| f.boolean())
}

fn span(field: Option<Field<'_>>, usual: &str) -> Millis {
    field.map_or_else(|| parse_duration(usual).unwrap_or_default(), |f| f.duration())
}

fn bursts(source: &Fields<'_>, field: &Field<'_>, name: &str) -> Bursts {
    let fields = field.fields();
    let bursts = Bursts {
        per_hour: per_hour(&fields),
        // Philly: 71 % of the jobs come within 60 s of another of the same owner and size.
        repeat_share: fields.get("repeatShare").map_or(0.71, |f| f.number(0.0..=1.0)),
        mean_length: fields.get("meanLength").map_or(6.0, |f| f.number(2.0..=10_000.0)),
        gap: span(fields.get("gap"), "8s"),
        same_duration: fields.get("sameDuration").is_some_and(|f| f.boolean()),
        gang: gang(source),
        template: template(source, name, None, None),
    };
    fields.finish();
    bursts
}

fn time_zone(fields: &Fields<'_>) -> TimeZone {
    let what = "a time zone such as Europe/Berlin";
    let zone = fields.get("timeZone").and_then(|f| f.parsed(what, |t| TimeZone::get(t).ok()));
    zone.unwrap_or(TimeZone::UTC)
}

fn profile(source: &Fields<'_>, field: &Field<'_>, name: &str) -> Profile {
    let fields = field.fields();
    let profile = Profile {
        per_hour: per_hour(&fields),
        hours: fields.get("hours").map_or([1.0; 24], |f| hours(&f)),
        weekdays: fields.get("weekdays").map_or([1.0; 7], |f| weekdays(&f)),
        time_zone: time_zone(&fields),
        template: template(source, name, None, None),
    };
    fields.finish();
    profile
}

fn hours(field: &Field<'_>) -> [f64; 24] {
    let factors: Vec<_> = field.items().iter().map(|f| f.number(0.0..=1000.0)).collect();
    factors.clone().try_into().unwrap_or_else(|_| {
        field.problem(format!("needs 24 factors, one per hour from 0, got {}", factors.len()));
        [1.0; 24]
    })
}

/// A list of 7 from Monday, or a mapping of the days that differ.
fn weekdays(field: &Field<'_>) -> [f64; 7] {
    let mut factors = [1.0; 7];
    if field.is_map() {
        let fields = field.fields();
        for (factor, day) in factors.iter_mut().zip(WEEKDAYS) {
            *factor = fields.get(day).map_or(1.0, |f| f.number(0.0..=1000.0));
        }
        fields.finish();
        return factors;
    }
    let given: Vec<_> = field.items().iter().map(|f| f.number(0.0..=1000.0)).collect();
    given.clone().try_into().unwrap_or_else(|_| {
        field.problem(format!("needs 7 factors from Monday, or a mapping, got {}", given.len()));
        [1.0; 7]
    })
}

fn cron(source: &Fields<'_>, field: &Field<'_>, name: &str) -> Option<Cron> {
    let fields = field.fields();
    let parser = CronParser::builder().seconds(Seconds::Disallowed).build();
    let what = "a cron schedule of five fields such as \"0 2 * * 1-5\"";
    let schedule = fields.need("schedule").and_then(|f| f.parsed(what, |t| parser.parse(t).ok()));
    let parts = (
        time_zone(&fields),
        fields.get("jobs").map_or(1, |f| f.integer(1..=1_000_000)),
        fields.get("skipRate").map_or(0.0, |f| f.number(0.0..=1.0)),
        span(fields.get("jitter"), "0s"),
    );
    let (gang, template) = (gang(source), template(source, name, None, None));
    fields.finish();
    let (time_zone, jobs, skip_rate, jitter) = parts;
    Some(Cron { schedule: schedule?, time_zone, jobs, skip_rate, jitter, gang, template })
}

fn rollout(source: &Fields<'_>, field: &Field<'_>, name: &str, end: Millis) -> Rollout {
    let fields = field.fields();
    let at = fields.need("at").map_or(Millis::ZERO, |f| {
        let at = f.duration();
        if at >= end && end > Millis::ZERO {
            f.must(&format!("before the end ({end})"));
        }
        at
    });
    let replicas: u32 = fields.need("replicas").map_or(1, |f| f.integer(1..=1_000_000));
    let replaces = fields.get("replace").is_some_and(|f| f.boolean());
    let overlap = span(fields.get("overlap"), "10m");
    let batch = fields.get("batch").map_or(replicas, |f| f.integer(1..=1_000_000));
    let every = span(fields.get("every"), "0s");
    let last = at + every * i64::from(replicas.saturating_sub(1) / batch);
    if last >= end && at < end {
        field.problem(format!("the last batch comes at {last}, but the run ends at {end}"));
    }
    let rollout = Rollout {
        at: Timestamp(at.0),
        replicas,
        batch,
        every,
        overlap: replaces.then_some(overlap),
        gang: gang(source),
        template: template(source, name, None, Some(RunTime::Forever)),
    };
    fields.finish();
    rollout
}

fn jobs(source: &Fields<'_>, list: &Field<'_>, name: &str, end: Millis) -> Demand {
    let has_run_time = source.get("duration").is_some();
    let base = template(source, name, None, Some(RunTime::Forever));
    let usual = has_run_time.then(|| base.run_time.clone());
    let items = list.some_items("job");
    let rows = items.iter().map(|field| row(field, name, (&base, usual.clone()), end));
    Demand::Jobs(rows.collect())
}
