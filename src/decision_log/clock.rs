//! Instants and spans as people write them. What they print, `prewarm explain --at` takes.

use crate::time::{Millis, Timestamp};

/// Later than this a clock counts from the Unix epoch: nobody simulates 30 years.
const EPOCH_CLOCK: Timestamp = Timestamp(30 * 365 * 86_400_000);

/// `1d2h30m` since the start of the log's clock, or RFC 3339 if it is the Unix epoch.
pub fn instant(at: Timestamp) -> String {
    if at == Timestamp::NEVER {
        return "never".to_owned();
    }
    if at >= EPOCH_CLOCK
        && let Ok(civil) = jiff::Timestamp::from_millisecond(at.0)
    {
        return civil.to_string();
    }
    span(at - Timestamp::ZERO)
}

/// `1d2h30m`, `9m`, `40s`, `1.5s`.
pub fn span(span: Millis) -> String {
    let (ms, mut text) = (span.0.unsigned_abs(), String::new());
    let (secs, rest) = (ms / 1000, ms % 1000);
    for (count, unit) in [(secs / 86_400, 'd'), (secs / 3600 % 24, 'h'), (secs / 60 % 60, 'm')] {
        if count > 0 {
            text += &count.to_string();
            text.push(unit);
        }
    }
    if rest > 0 {
        let shown = format!("{}.{rest:03}", secs % 60);
        text += shown.trim_end_matches('0');
        text.push('s');
    } else if secs % 60 > 0 || ms == 0 {
        text += &(secs % 60).to_string();
        text.push('s');
    }
    if span.0 < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_units_they_need() {
        let shown = [0, 40_000, 540_000, 95_400_000, 1500, -60_000].map(|ms| span(Millis(ms)));
        assert_eq!(shown, ["0s", "40s", "9m", "1d2h30m", "1.5s", "-1m"]);
    }

    #[test]
    fn a_live_clock_is_told_as_a_date() {
        assert_eq!(instant(Timestamp::from_secs(1_800_000_000)), "2027-01-15T08:00:00Z");
        assert_eq!(instant(Timestamp::from_secs(93_600)), "1d2h");
        assert_eq!(instant(Timestamp::NEVER), "never");
    }
}
