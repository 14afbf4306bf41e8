//! Jobs on a schedule, by the clock of a time zone.
//!
//! Over a change of the clocks the local time stays: `0 9 * * *` is 9 o'clock in winter and in
//! summer, one hour earlier by UTC.

use super::{
    Draft, Out,
    draw::{Picker, Purpose, unit},
};
use crate::{
    config::scenario::Cron,
    model::{GangId, KindId},
    time::{Millis, Timestamp},
};

pub(super) fn draw(cron: &Cron, out: &mut Out<'_>) {
    let run = out.run;
    let mut pick = Picker::new(&cron.template, run.streams, run.end);
    let mut whether = run.streams.of(Purpose::Whether);
    let mut jitter = run.streams.of(Purpose::When);
    for (nth, occurrence) in occurrences(cron, run.starts_at, run.end).enumerate() {
        // Drawn for each, so that one that is skipped moves nothing in the others.
        let is_skipped = unit(&mut whether) < cron.skip_rate;
        if is_skipped {
            continue;
        }
        let mut late = || Millis((unit(&mut jitter) * cron.jitter.0 as f64) as i64);
        let submits: Vec<_> = (0..cron.jobs).map(|_| occurrence + late()).collect();
        let gang = if cron.gang { out.gang_of(nth, &submits) } else { GangId::NONE };
        for submit in submits {
            out.push(&Draft {
                submit,
                duration: pick.run_time(),
                owner: pick.owner(),
                shape: pick.shape(),
                gang,
                kind: KindId::NONE,
            });
        }
    }
}

/// When the schedule falls due within the run, since second 0.
fn occurrences(
    cron: &Cron,
    starts_at: Timestamp,
    end: Timestamp,
) -> impl Iterator<Item = Timestamp> {
    let first = jiff::Timestamp::from_millisecond(starts_at.0).ok();
    let from = first.map(|instant| instant.to_zoned(cron.time_zone.clone()));
    from.into_iter()
        .flat_map(|from| cron.schedule.iter_from(from, croner::Direction::Forward))
        .map(move |at| Timestamp(at.timestamp().as_millisecond() - starts_at.0))
        .take_while(move |at| *at < end)
}
