//! Synthetic demand: the sources of a scenario drawn into a trace.
//!
//! In: sources as plain numbers, a seed, the instant of second 0 for calendars, the length of the
//! run. Out: jobs. The same arguments give the same jobs; a source's draws hang on the seed and its
//! own name, so adding, removing or moving another source changes nothing in it. Each source has
//! one stream per purpose (when, who, what, how long), so that changing the mix of sizes does not
//! change the instants.
//!
//! Does not know: trace files (a `trace` source draws nothing), pools, policies.

mod bursts;
mod calendar;
mod draw;
mod jobs;
mod poisson;
mod rollout;

use crate::{
    config::scenario::{Demand, Scenario, Source},
    model::{GangId, Job, KindId, Shape, Trace, TraceBuilder},
    time::{Millis, Timestamp},
};
use draw::Streams;

/// Draws all sources into a trace of their own.
///
/// `starts_at` is the instant of second 0 since the Unix epoch.
pub fn generate(sources: &[Source], seed: u64, starts_at: Timestamp, end: Millis) -> Trace {
    let mut trace = TraceBuilder::new();
    add_to(&mut trace, sources, seed, starts_at, end);
    trace.build()
}

/// Draws all sources of a scenario; trace files are left to the caller.
pub fn of_scenario(scenario: &Scenario) -> Trace {
    generate(&scenario.arrivals, scenario.seed, scenario.starts_at, scenario.end)
}

/// Draws all sources into a trace that may hold other jobs already.
pub fn add_to(
    trace: &mut TraceBuilder,
    sources: &[Source],
    seed: u64,
    starts_at: Timestamp,
    end: Millis,
) {
    for source in sources {
        let run = Run {
            starts_at,
            end: Timestamp(end.0),
            streams: Streams { seed, source: &source.name },
        };
        let mut out = Out { trace, run };
        match &source.demand {
            Demand::Poisson { per_hour, template } => poisson::even(*per_hour, template, &mut out),
            Demand::Bursts(bursts) => bursts::draw(bursts, &mut out),
            Demand::Profile(profile) => poisson::profile(profile, &mut out),
            Demand::Cron(cron) => calendar::draw(cron, &mut out),
            Demand::Rollout(rollout) => rollout::draw(rollout, &mut out),
            Demand::Jobs(rows) => jobs::draw(rows, &mut out),
            Demand::Trace(_) => {}
        }
    }
}

/// What every generator is told.
#[derive(Clone, Copy)]
struct Run<'a> {
    starts_at: Timestamp,
    end: Timestamp,
    streams: Streams<'a>,
}

/// Where a generator's jobs go.
struct Out<'a> {
    trace: &'a mut TraceBuilder,
    run: Run<'a>,
}

/// One job before it has ids.
struct Draft<'a> {
    submit: Timestamp,
    duration: Millis,
    owner: &'a str,
    shape: &'a Shape,
    gang: GangId,
    kind: KindId,
}

impl Out<'_> {
    /// A gang for jobs that come at these instants. Those that come after the end of the run are not
    /// waited for, or the rest would never start.
    fn gang_of(&mut self, nth: usize, submits: &[Timestamp]) -> GangId {
        let members = submits.iter().filter(|submit| **submit < self.run.end).count() as u32;
        if members < 2 {
            return GangId::NONE;
        }
        self.trace.gang(&format!("{}-{nth}", self.run.streams.source), members)
    }

    /// Takes a job; one at or after the end of the run does not come any more.
    fn push(&mut self, draft: &Draft<'_>) {
        if draft.submit >= self.run.end {
            return;
        }
        let job = Job {
            submit: draft.submit,
            duration: draft.duration,
            shape: self.trace.shape(draft.shape),
            owner: self.trace.owner(draft.owner),
            gang: draft.gang,
            kind: draft.kind,
        };
        self.trace.count_row();
        self.trace.push(job);
    }
}

#[cfg(test)]
mod tests;
