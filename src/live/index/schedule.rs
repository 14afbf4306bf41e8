//! Capacity by the clock: what of a schedule is running, and what starts within a day.

use super::{capacity::shorten, findings::Note};
use crate::{
    live::{gpu_pool::Schedule, objects::go_duration},
    model::Occurrence,
    time::{Millis, Timestamp},
};
use croner::{
    Cron,
    Direction::{Backward, Forward},
    parser::{CronParser, Seconds},
};
use jiff::{Zoned, tz::TimeZone};

/// How far ahead is looked.
const AHEAD: Millis = Millis::from_hours(24);
/// Most occurrences of one schedule; one every ten minutes.
const MOST: usize = 144;

/// Occurrences of all schedules, by start.
pub(super) fn occurrences(
    schedules: &[Schedule],
    now: Timestamp,
    notes: &mut Vec<Note>,
) -> Vec<Occurrence> {
    let mut all = Vec::new();
    for schedule in schedules {
        match read(schedule) {
            Ok((cron, zone, duration)) => {
                all.extend(starts(&cron, zone, duration, now).map(|start| Occurrence {
                    start,
                    duration,
                    nodes: schedule.nodes,
                    chance: 1.0,
                }));
            }
            Err(wrong) => {
                let what = format!("schedules: {wrong}; it is left out");
                notes.push(Note::bad_setting(what));
            }
        }
    }
    all.sort_by_key(|one| (one.start, one.duration, one.nodes));
    all
}

fn read(schedule: &Schedule) -> Result<(Cron, TimeZone, Millis), String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).build();
    let shown = |text: &str| format!("{:?}", shorten(text));
    let cron = parser.parse(&schedule.cron);
    let cron = cron.map_err(|error| format!("cron {}: {error}", shown(&schedule.cron)))?;
    let zone = TimeZone::get(&schedule.time_zone)
        .map_err(|_| format!("timeZone {} is not known", shown(&schedule.time_zone)))?;
    let duration = go_duration(&schedule.duration).filter(|&duration| duration > Millis::ZERO);
    let duration = duration.ok_or_else(|| {
        format!("duration {} is no duration such as 9h or 1h30m", shown(&schedule.duration))
    })?;
    Ok((cron, zone, duration))
}

/// The last start before `now` if it still runs, and those to come.
fn starts(
    cron: &Cron,
    zone: TimeZone,
    duration: Millis,
    now: Timestamp,
) -> impl Iterator<Item = Timestamp> {
    let here = jiff::Timestamp::from_millisecond(now.0).map(|at| at.to_zoned(zone)).ok();
    let instant = |at: Zoned| Timestamp(at.timestamp().as_millisecond());
    let running = here.clone().and_then(|here| cron.iter_from(here, Backward).next()).map(instant);
    let running = running.filter(move |&start| start < now && start + duration > now);
    let coming: Vec<Timestamp> = here
        .into_iter()
        .flat_map(|here| cron.iter_from(here, Forward))
        .map(instant)
        .filter(|&start| start >= now)
        .take_while(|&start| start <= now + AHEAD)
        .take(MOST)
        .collect();
    running.into_iter().chain(coming)
}
