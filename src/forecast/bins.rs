//! In which situation an instant is: the coarse bins that quantiles are conditioned on.
//!
//! Features of an instant, taken only from events up to and at it: how many GPUs came in the last
//! 10 minutes, the hour and whether it is weekend, and whether owners are at work. A [`Scheme`] turns
//! them into one bin; every bin has a coarser parent to lean on when it has seen little:
//! hour of the week -> hour -> 4-hour block -> all; burst x block, burst x activity -> burst -> all.
//!
//! Bins are coarse on purpose: finer ones (burst x hour, two windows) were measured not to help on
//! months of data. Time is a plain offset: a change to summer time moves the hours by one.

use super::events::{Event, Events};
use crate::{
    model::OwnerId,
    time::{Millis, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Arrivals this recent make a burst.
pub const BURST_WINDOW: Millis = Millis::from_mins(10);
/// An owner who submitted this recently is active.
pub const ACTIVE_WINDOW: Millis = Millis::from_mins(60);
/// A job of the same owner and size this soon after another is a repeat.
pub const REPEAT_WINDOW: Millis = Millis::from_secs(60);

/// GPUs from which the burst level is 1, 2, ...: {0, 1-2, 3-7, 8-15, 16-31, 32 and more}.
const BURST_FROM: [u64; 5] = [1, 3, 8, 16, 32];
const DAY: i64 = 24 * 3_600_000;

/// Where days and weeks begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Any Monday at 00:00 of the local time.
    pub monday: Timestamp,
}

impl Calendar {
    /// Hour of the day, 0..24, and whether it is Saturday or Sunday.
    pub fn hour_and_weekend(self, at: Timestamp) -> (u8, bool) {
        let since = (at - self.monday).0;
        let hour = since.rem_euclid(DAY) / 3_600_000;
        (hour as u8, since.div_euclid(DAY).rem_euclid(7) >= 5)
    }
}

/// What owners are doing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Activity {
    /// Nobody submitted in the last hour.
    #[default]
    Quiet,
    /// Somebody submitted in the last hour.
    Active,
    /// In the last minute somebody submitted again what they had submitted within a minute before.
    Repeating,
}

/// The situation at an instant. Unknown owners count as one owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Level of the GPUs that came in the last 10 minutes, 0..6.
    pub burst: u8,
    /// Hour of the day, 0..24.
    pub hour: u8,
    /// Saturday or Sunday.
    pub weekend: bool,
    /// What owners are doing.
    pub activity: Activity,
}

impl Features {
    /// The situation at `at`: what a sweep says of it, from no more events than it takes.
    pub fn at(events: &Events, at: Timestamp, calendar: Calendar) -> Self {
        let arrivals = |window| events.window(at - window, at).filter(|event| event.is_arrival());
        let activity = if arrivals(ACTIVE_WINDOW).next_back().is_none() {
            Activity::Quiet
        } else if is_repeating(arrivals(REPEAT_WINDOW * 2), at - REPEAT_WINDOW) {
            Activity::Repeating
        } else {
            Activity::Active
        };
        let burst = arrivals(BURST_WINDOW).map(|event| event.milli).sum();
        let (hour, weekend) = calendar.hour_and_weekend(at);
        Self { burst: Self::burst_level(burst), hour, weekend, activity }
    }

    /// The situations at `first`, `first + step`, ..., `count` of them, in one pass over the events.
    pub fn sweep(
        events: &Events,
        first: Timestamp,
        step: Millis,
        count: usize,
        calendar: Calendar,
    ) -> Vec<Self> {
        let mut recent = Recent::new(events, first - ACTIVE_WINDOW, first + step * count as i64);
        (0..count as i64).map(|index| recent.features(first + step * index, calendar)).collect()
    }

    fn burst_level(milli: i64) -> u8 {
        let gpus = (milli.max(0) as u64).div_ceil(1000);
        BURST_FROM.iter().filter(|&&from| gpus >= from).count() as u8
    }
}

/// Whether one of the arrivals after `since` is a repeat.
fn is_repeating<'a>(arrivals: impl Iterator<Item = &'a Event>, since: Timestamp) -> bool {
    let mut last_of = BTreeMap::new();
    arrivals.into_iter().any(|event| {
        let before: Option<Timestamp> = last_of.insert((event.owner, event.milli), event.at);
        event.at > since && before.is_some_and(|before| event.at - before <= REPEAT_WINDOW)
    })
}

/// What of the past still matters while the present moves on.
struct Recent<I> {
    ahead: I,
    behind: I,
    /// Thousandths that came in the burst window.
    burst: i64,
    last: Option<Timestamp>,
    last_repeat: Option<Timestamp>,
    last_of: BTreeMap<(OwnerId, i64), Timestamp>,
}

impl<'a> Recent<std::iter::Peekable<std::collections::vec_deque::Iter<'a, Event>>> {
    fn new(events: &'a Events, after: Timestamp, until: Timestamp) -> Self {
        let ahead = events.window(after, until).peekable();
        let behind = ahead.clone();
        let last_of = BTreeMap::new();
        Self { ahead, behind, burst: 0, last: None, last_repeat: None, last_of }
    }

    fn features(&mut self, now: Timestamp, calendar: Calendar) -> Features {
        while let Some(event) = self.ahead.next_if(|event| event.at <= now) {
            if event.is_arrival() {
                self.arrival(event);
            }
        }
        while let Some(event) = self.behind.next_if(|event| event.at <= now - BURST_WINDOW) {
            self.burst -= event.milli.max(0);
        }
        let within = |last: Option<Timestamp>, window| last.is_some_and(|at| at > now - window);
        let activity = match (within(self.last, ACTIVE_WINDOW), self.last_repeat) {
            (false, _) => Activity::Quiet,
            (true, repeat) if within(repeat, REPEAT_WINDOW) => Activity::Repeating,
            (true, _) => Activity::Active,
        };
        let (hour, weekend) = calendar.hour_and_weekend(now);
        Features { burst: Features::burst_level(self.burst), hour, weekend, activity }
    }

    fn arrival(&mut self, event: &Event) {
        self.burst += event.milli;
        self.last = Some(event.at);
        let before = self.last_of.insert((event.owner, event.milli), event.at);
        if before.is_some_and(|before| event.at - before <= REPEAT_WINDOW) {
            self.last_repeat = Some(event.at);
        }
    }
}

/// A way to tell situations apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scheme {
    /// All instants alike.
    All,
    /// Six blocks of 4 hours.
    Block,
    /// 24 hours.
    Hour,
    /// Weekday or weekend x hour.
    WeekHour,
    /// Six levels of what came in the last 10 minutes.
    Burst,
    /// Burst x block.
    BurstBlock,
    /// Burst x what owners are doing.
    BurstActivity,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMED.iter().find(|(_, scheme)| scheme == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl Scheme {
    /// All schemes; a parent comes before its children.
    pub const EVERY: [Self; 7] = [
        Self::All,
        Self::Block,
        Self::Hour,
        Self::WeekHour,
        Self::Burst,
        Self::BurstBlock,
        Self::BurstActivity,
    ];

    /// All schemes by name.
    pub const NAMED: [(&str, Self); 7] = [
        ("burst", Self::Burst),
        ("hour", Self::Hour),
        ("week-hour", Self::WeekHour),
        ("block", Self::Block),
        ("burst-block", Self::BurstBlock),
        ("activity", Self::BurstActivity),
        ("all", Self::All),
    ];

    /// Bins of all schemes together.
    pub const ALL_BINS: usize = 1 + 6 + 24 + 48 + 6 + 36 + 18;

    /// Number of bins.
    pub const fn bins(self) -> usize {
        match self {
            Self::All => 1,
            Self::Block | Self::Burst => 6,
            Self::Hour => 24,
            Self::WeekHour => 48,
            Self::BurstBlock => 36,
            Self::BurstActivity => 18,
        }
    }

    /// Place of the first bin among the bins of all schemes.
    pub const fn offset(self) -> usize {
        match self {
            Self::All => 0,
            Self::Block => 1,
            Self::Hour => 7,
            Self::WeekHour => 31,
            Self::Burst => 79,
            Self::BurstBlock => 85,
            Self::BurstActivity => 121,
        }
    }

    /// The bin of a situation, `0..bins()`.
    pub fn bin(self, features: &Features) -> usize {
        let (burst, hour) = (usize::from(features.burst), usize::from(features.hour));
        match self {
            Self::All => 0,
            Self::Block => hour / 4,
            Self::Hour => hour,
            Self::WeekHour => usize::from(features.weekend) * 24 + hour,
            Self::Burst => burst,
            Self::BurstBlock => burst * 6 + hour / 4,
            Self::BurstActivity => burst * 3 + features.activity as usize,
        }
    }

    /// The coarser scheme and the bin there that holds `bin`; `None` for [`Scheme::All`].
    pub const fn parent(self, bin: usize) -> Option<(Self, usize)> {
        match self {
            Self::All => None,
            Self::Block | Self::Burst => Some((Self::All, 0)),
            Self::Hour => Some((Self::Block, bin / 4)),
            Self::WeekHour => Some((Self::Hour, bin % 24)),
            Self::BurstBlock => Some((Self::Burst, bin / 6)),
            Self::BurstActivity => Some((Self::Burst, bin / 3)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ShapeId;
    use proptest::prelude::*;

    fn came(secs: i64, gpus: u64, owner: u32) -> Event {
        Event::arrival(Timestamp::from_secs(secs), gpus * 1000, ShapeId(0), OwnerId(owner))
    }

    fn at(told: &[Event], secs: i64) -> Features {
        let mut events = Events::new(Timestamp::ZERO, 0);
        for &event in told {
            events.push(event);
        }
        Features::at(&events, Timestamp::from_secs(secs), Calendar::default())
    }

    #[test]
    fn burst_levels_begin_where_they_should() {
        let levels = [0, 1, 1000, 2000, 2001, 7000, 8000, 15_000, 16_000, 31_000, 32_000, 900_000]
            .map(Features::burst_level);
        assert_eq!(levels, [0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    }

    #[test]
    fn a_burst_is_over_after_ten_minutes() {
        let told = [came(100, 8, 1), came(100, 8, 1).finished(Timestamp::from_secs(110))];
        assert_eq!([99, 100, 699, 700].map(|secs| at(&told, secs).burst), [0, 3, 3, 0]);
    }

    #[test]
    fn repeats_need_the_same_owner_and_size_within_a_minute() {
        let activity = |second: Event, secs| at(&[came(100, 2, 1), second], secs).activity;
        assert_eq!(activity(came(160, 2, 1), 160), Activity::Repeating);
        assert_eq!(activity(came(160, 2, 1), 219), Activity::Repeating);
        assert_eq!(activity(came(160, 2, 1), 220), Activity::Active);
        assert_eq!(activity(came(161, 2, 1), 161), Activity::Active);
        assert_eq!(activity(came(130, 2, 2), 130), Activity::Active);
        assert_eq!(activity(came(130, 4, 1), 130), Activity::Active);
        assert_eq!(activity(came(130, 4, 1), 3729), Activity::Active);
        assert_eq!(activity(came(130, 4, 1), 3730), Activity::Quiet);
    }

    #[test]
    fn the_week_begins_where_the_calendar_says() {
        // Zero is a Sunday.
        let calendar = Calendar { monday: Timestamp(DAY) };
        let seen = |hours: i64| calendar.hour_and_weekend(Timestamp(hours * 3_600_000));
        assert_eq!(
            [0, 23, 24, 5 * 24 + 30, -1].map(seen),
            [(0, true), (23, true), (0, false), (6, true), (23, true)]
        );
        assert_eq!(seen(5 * 24 + 23), (23, false));
    }

    #[test]
    fn offsets_follow_each_other_without_gaps() {
        let mut next = 0;
        for scheme in Scheme::EVERY {
            assert_eq!(scheme.offset(), next);
            next += scheme.bins();
        }
        assert_eq!(next, Scheme::ALL_BINS);
    }

    proptest! {
            #[test]
            fn a_parent_is_the_bin_of_the_coarser_scheme(
                burst in 0u8..6, hour in 0u8..24, weekend: bool, busy in 0usize..3,
            ) {
                let activity = [Activity::Quiet, Activity::Active, Activity::Repeating][busy];
                let features = Features { burst, hour, weekend, activity };
                for scheme in Scheme::EVERY {
                    let bin = scheme.bin(&features);
                    prop_assert!(bin < scheme.bins());
                    if let Some((parent, of)) = scheme.parent(bin) {
                        prop_assert_eq!(parent.bin(&features), of);
                        prop_assert!(parent.offset() < scheme.offset());
                    }
                }
            }

            #[test]
            fn a_sweep_sees_what_single_looks_see_and_nothing_of_the_future(
                jobs in prop::collection::vec(
                    (prop_oneof![0i64..8000, 1000i64..1500], 1u64..9, 0u32..3), 0..60,
                ),
            ) {
                let mut all = Events::new(Timestamp::ZERO, 0);
                for &(secs, gpus, owner) in &jobs {
     all.push(came(secs, gpus, owner));
    }
                let calendar = Calendar::default();
                let step = Millis::from_secs(97);
                let swept = Features::sweep(&all, Timestamp::ZERO, step, 90, calendar);
                for (index, &features) in swept.iter().enumerate() {
                    let now = Timestamp::ZERO + step * index as i64;
                    prop_assert_eq!(features, Features::at(&all, now, calendar));
                    let mut told = Events::new(Timestamp::ZERO, 0);
                    all.iter().filter(|event| event.at <= now).for_each(|&event| told.push(event));
                    prop_assert_eq!(features, Features::at(&told, now, calendar));
                }
            }
        }
}
