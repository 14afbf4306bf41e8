//! Jobs independent of each other: at an even rate, or at one that follows the calendar.
//!
//! The second by thinning: candidates at the highest rate, each kept with the share that its hour
//! has of it (Lewis and Shedler 1979).

use super::{
    Draft, Out, Run,
    draw::{Picker, Purpose, exponential, unit},
};
use crate::{
    config::scenario::{Profile, Template},
    model::{GangId, KindId},
    time::Timestamp,
};

const HOUR_MS: f64 = 3_600_000.0;

pub(super) fn even(per_hour: f64, template: &Template, out: &mut Out<'_>) {
    thinned(per_hour, template, out, |_| 1.0);
}

pub(super) fn profile(profile: &Profile, out: &mut Out<'_>) {
    let peak = profile.peak_per_hour();
    let run = out.run;
    thinned(peak, &profile.template, out, |at| rate(profile, run, at) / peak);
}

/// The rate at an instant, in jobs an hour.
fn rate(profile: &Profile, run: Run<'_>, at: Timestamp) -> f64 {
    let Ok(instant) = jiff::Timestamp::from_millisecond(run.starts_at.0.saturating_add(at.0))
    else {
        return 0.0;
    };
    let local = profile.time_zone.to_datetime(instant);
    let hour = profile.hours[local.hour() as usize];
    profile.per_hour * hour * profile.weekdays[local.weekday().to_monday_zero_offset() as usize]
}

fn thinned(per_hour: f64, template: &Template, out: &mut Out<'_>, keep: impl Fn(Timestamp) -> f64) {
    let mut pick = Picker::new(template, out.run.streams, out.run.end);
    for submit in instants(per_hour, out.run, keep) {
        out.push(&Draft {
            submit,
            duration: pick.run_time(),
            owner: pick.owner(),
            shape: pick.shape(),
            gang: GangId::NONE,
            kind: KindId::NONE,
        });
    }
}

/// Instants of a Poisson process of which each is kept with the probability `keep`.
pub(super) fn instants(
    per_hour: f64,
    run: Run<'_>,
    keep: impl Fn(Timestamp) -> f64,
) -> impl Iterator<Item = Timestamp> {
    let mut when = run.streams.of(Purpose::When);
    let mut whether = run.streams.of(Purpose::Whether);
    let mean_gap = HOUR_MS / per_hour;
    let mut at_ms = 0.0;
    std::iter::from_fn(move || {
        loop {
            at_ms += exponential(&mut when, mean_gap);
            // Also ends a rate of 0, whose gaps are infinite.
            if at_ms.is_nan() || at_ms >= run.end.0 as f64 {
                return None;
            }
            let at = Timestamp(at_ms as i64);
            if unit(&mut whether) < keep(at) {
                return Some(at);
            }
        }
    })
}
