//! When did it happen? Reads the ways in which traces write an instant.
//!
//! Civil times (`2017-10-09 07:02:37`, also with `T`, fractions, an offset or `Z`) and Unix seconds.
//! A time without offset is read in a time zone that the caller names. Where that zone's clocks jump:
//! - a time in the gap (clocks go forward, the time does not exist) is read with the offset that was
//!   valid before the gap, so 02:30 becomes 03:30;
//! - a time in the fold (clocks go back, the time exists twice) is the first of the two, except for
//!   the end of a run that would then lie before its start: that is the second ([`Moment::not_before`]).
//!
//! Both are what RFC 5545 asks for and jiff calls "compatible". Years before 1970 and after 2100 are
//! refused: they are slips (milliseconds for seconds, a day for a year), not history.

use crate::time::Timestamp;
use jiff::{civil, fmt::temporal::Pieces, tz::TimeZone};

/// How a time is to be written, for messages.
pub(super) const FORM: &str = "a time is `2017-10-09 07:02:37`, optionally with an offset, or Unix seconds, from 1970 to 2100";

/// 2100-01-01 00:00:00 UTC.
const LATEST_UNIX_SECS: f64 = 4_102_444_800.0;

/// A time as it is written, before a time zone is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Written {
    /// On the wall, without offset.
    Civil(civil::DateTime),
    /// Since the Unix epoch.
    Instant(Timestamp),
}

/// An instant, or two if the clocks showed the time twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    first: Timestamp,
    second: Timestamp,
}

impl Written {
    /// Reads a time; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return unix_secs(text).map(Self::Instant);
        }
        let pieces = Pieces::parse(text).ok()?;
        let civil = pieces.date().to_datetime(pieces.time().unwrap_or(civil::Time::midnight()));
        if !(1970..=2100).contains(&civil.year()) {
            return None;
        }
        let Some(offset) = pieces.to_numeric_offset() else { return Some(Self::Civil(civil)) };
        let instant = offset.to_timestamp(civil).ok()?;
        Some(Self::Instant(Timestamp(instant.as_millisecond())))
    }

    /// The instant, a time without offset being one of `zone`.
    pub(super) fn moment(self, zone: &TimeZone) -> Moment {
        let civil = match self {
            Self::Instant(at) => return Moment::from(at),
            Self::Civil(civil) => civil,
        };
        let readings = zone.to_ambiguous_timestamp(civil);
        let first = readings.compatible().unwrap_or(jiff::Timestamp::MAX);
        let second = readings.later().unwrap_or(first);
        Moment {
            first: Timestamp(first.as_millisecond()),
            second: Timestamp(second.as_millisecond()),
        }
    }
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self { first: at, second: at }
    }
}

impl Moment {
    /// The instant; of two, the first.
    pub(super) const fn at(self) -> Timestamp {
        self.first
    }

    /// The instant; of two, the second if the first lies before `start`.
    pub(super) fn not_before(self, start: Timestamp) -> Timestamp {
        if self.first < start { self.second } else { self.first }
    }
}

/// Words that traces write for "there is no such time".
pub(super) fn is_absent(text: &str) -> bool {
    const WORDS: [&str; 9] = ["", "none", "null", "unknown", "nan", "nat", "n/a", "-", "\\n"];
    text.len() <= 7 && WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

fn unix_secs(text: &str) -> Option<Timestamp> {
    let secs = text.parse::<f64>().ok().filter(|secs| *secs <= LATEST_UNIX_SECS)?;
    Some(Timestamp((secs * 1000.0).round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc_secs(text: &str) -> i64 {
        Written::parse(text).unwrap().moment(&TimeZone::UTC).at().0 / 1000
    }

    fn los_angeles(text: &str) -> Moment {
        Written::parse(text).unwrap().moment(&TimeZone::get("America/Los_Angeles").unwrap())
    }

    #[test]
    fn every_spelling_of_one_instant_is_the_same_instant() {
        // 2023-05-17 is 19,494 days after the epoch; 11:00:58 are 39,658 s.
        let expected = 19_494 * 86_400 + 39_658;
        for text in [
            "2023-05-17 11:00:58",
            "2023-05-17T11:00:58",
            "2023-05-17T11:00:58Z",
            "2023-05-17 11:00:58+00:00",
            "2023-05-17 19:00:58+08:00",
            "2023-05-17 11:00:58.1234567",
            "1684321258",
            "1684321258.0",
        ] {
            assert_eq!(utc_secs(text), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_and_absurd_years_are_no_times() {
        for text in
            ["", "soon", "1684321258000", "2023-13-01 00:00:00", "0017-10-09 07:02:37", "1.2.3"]
        {
            assert_eq!(Written::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_in_the_gap_moves_forward_by_the_gap() {
        // Clocks went from 02:00 PST to 03:00 PDT on 2017-03-12.
        assert_eq!(los_angeles("2017-03-12 02:30:00"), los_angeles("2017-03-12 03:30:00"));
    }

    #[test]
    fn a_time_in_the_fold_is_the_first_unless_that_is_before_the_start() {
        // Clocks went from 02:00 PDT to 01:00 PST on 2017-11-05: 01:30 PDT is 08:30 UTC.
        let twice = los_angeles("2017-11-05 01:30:00");
        let first = Written::parse("2017-11-05 08:30:00Z").unwrap().moment(&TimeZone::UTC).at();
        assert_eq!(twice.at(), first);
        assert_eq!(twice.not_before(Timestamp(first.0 - 1)), first);
        assert_eq!(twice.not_before(Timestamp(first.0 + 1)).0, first.0 + 3_600_000);
    }

    #[test]
    fn words_for_no_time_are_known_in_any_case() {
        assert!(["", "None", "null", "Unknown", "NaT"].iter().all(|word| is_absent(word)));
        assert!(!is_absent("2017-10-09"));
    }
}
