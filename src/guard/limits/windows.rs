//! Times of the week in which speculation is allowed or off, in a fixed offset from UTC.
//!
//! Instants here count from the Unix epoch. Days with a change of the clock are not told: who wants
//! daylight-saving time gives new windows when it begins.

use crate::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

const DAY: i64 = 24 * 60;
const WEEK: i64 = 7 * DAY;
const MINUTE_MS: i64 = 60_000;
/// 1 January 1970 was a Thursday, three days after a Monday.
const EPOCH: i64 = 3 * DAY;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "their names say all")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// The same time on some days. Where it does not end after it begins, it ends on the next day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The days on which it begins.
    pub days: Vec<Weekday>,
    /// Minute of the day at which it begins, 0..1440.
    pub from_minute: u16,
    /// Minute of the day at which it ends (exclusive), 0..=1440.
    pub to_minute: u16,
}

/// When speculation is allowed: within `only`, if there is any, and outside of all `never`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// What the clock shows ahead of UTC, in minutes.
    pub utc_offset_minutes: i32,
    /// Allowed only then; empty = at any time.
    pub only: Vec<Window>,
    /// Off then.
    pub never: Vec<Window>,
}

impl Window {
    /// Minutes of its beginnings in a week that starts on Monday, and its length.
    fn spans(&self) -> impl Iterator<Item = (i64, i64)> {
        let (from, to) = (i64::from(self.from_minute), i64::from(self.to_minute));
        let length = if to > from { to - from } else { to + DAY - from };
        self.days.iter().map(move |&day| (day as i64 * DAY + from, length))
    }

    fn contains(&self, minute: i64) -> bool {
        self.spans().any(|(from, length)| (minute - from).rem_euclid(WEEK) < length)
    }
}

impl Windows {
    /// Whether speculation is allowed at an instant since the Unix epoch.
    pub fn allow(&self, now: Timestamp) -> bool {
        let minute = self.minute_of_week(now);
        let any = |windows: &[Window]| windows.iter().any(|window| window.contains(minute));
        (self.only.is_empty() || any(&self.only)) && !any(&self.never)
    }

    /// The next instant at which a window begins or ends, [`Timestamp::NEVER`] without windows.
    pub fn next_change(&self, now: Timestamp) -> Timestamp {
        let minute = self.minute_of_week(now);
        let edges = self.only.iter().chain(&self.never).flat_map(Window::spans);
        let edges = edges.flat_map(|(from, length)| [from, from + length]);
        let ahead = |edge: i64| (edge - minute - 1).rem_euclid(WEEK) + 1;
        let Some(minutes) = edges.map(ahead).min() else { return Timestamp::NEVER };
        let this_minute = Timestamp(now.0 - now.0.rem_euclid(MINUTE_MS));
        this_minute + Millis::from_mins(minutes)
    }

    fn minute_of_week(&self, now: Timestamp) -> i64 {
        let minute = now.0.div_euclid(MINUTE_MS) + i64::from(self.utc_offset_minutes) + EPOCH;
        minute.rem_euclid(WEEK)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday},
        *,
    };
    use proptest::prelude::*;

    /// Monday, 5 January 1970, 00:00 UTC.
    const MONDAY: i64 = 4 * DAY;

    fn at(day: i64, hour: i64, minute: i64) -> Timestamp {
        Timestamp((MONDAY + day * DAY + hour * 60 + minute) * MINUTE_MS)
    }

    fn window(days: &[Weekday], from_minute: u16, to_minute: u16) -> Window {
        Window { days: days.to_vec(), from_minute, to_minute }
    }

    #[test]
    fn office_hours_with_lunch_off() {
        let days = [Monday, Tuesday, Wednesday, Thursday, Friday];
        let windows = Windows {
            utc_offset_minutes: 120,
            only: vec![window(&days, 8 * 60, 18 * 60)],
            never: vec![window(&[Wednesday], 12 * 60, 13 * 60)],
        };
        let allowed = |day, hour, minute| windows.allow(at(day, hour, minute));
        // 08:00 in the office is 06:00 UTC.
        assert_eq!([allowed(0, 5, 59), allowed(0, 6, 0), allowed(0, 15, 59)], [false, true, true]);
        assert_eq!([allowed(0, 16, 0), allowed(5, 9, 0), allowed(6, 9, 0)], [false; 3]);
        assert_eq!([allowed(2, 9, 59), allowed(2, 10, 30), allowed(2, 11, 0)], [true, false, true]);
        assert_eq!(windows.next_change(at(2, 9, 59)), at(2, 10, 0));
        assert_eq!(windows.next_change(at(4, 16, 0)), at(7, 6, 0));
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_it_begins_on() {
        let windows =
            Windows { only: vec![window(&[Sunday], 22 * 60, 6 * 60)], ..Windows::default() };
        let allowed = |day, hour| windows.allow(at(day, hour, 0));
        assert_eq!(
            [allowed(6, 21), allowed(6, 22), allowed(7, 5), allowed(0, 5)],
            [false, true, true, true]
        );
        assert_eq!([allowed(7, 6), allowed(6, 5)], [false; 2]);
        let whole = Windows { only: vec![window(&[Monday], 0, 1440)], ..Windows::default() };
        assert!(
            whole.allow(at(0, 0, 0)) && whole.allow(at(0, 23, 59)) && !whole.allow(at(1, 0, 0))
        );
    }

    #[test]
    fn without_windows_it_is_always_allowed() {
        assert!(Windows::default().allow(at(3, 3, 3)));
        assert_eq!(Windows::default().next_change(at(3, 3, 3)), Timestamp::NEVER);
    }

    proptest! {
        /// By brute force, minute by minute: it changes nowhere but at the instants told.
        #[test]
        fn nothing_changes_before_the_next_change(
            from in 0u16..1440, to in 0u16..=1440, day in 0usize..7, start in -20_000i64..20_000, offset in -720i32..840,
        ) {
            let days = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
            let windows = Windows {
                utc_offset_minutes: offset,
                only: vec![window(&days[day..=day], from, to)],
                never: vec![],
            };
            let now = Timestamp(start * MINUTE_MS + 7);
            let next = windows.next_change(now);
            prop_assert!(next > now);
            let first = (1..=WEEK)
                .map(|minutes| Timestamp((start + minutes) * MINUTE_MS))
                .find(|&then| windows.allow(then) != windows.allow(now));
            if let Some(first) = first {
                prop_assert_eq!(next, first);
            }
        }
    }
}
