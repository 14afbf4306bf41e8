//! Spans of time as people write them: `90s`, `5m`, `1h30m`, `2d`, `1.5h`, `250ms`.
//!
//! Kubernetes durations (Go's) with days and weeks added, because scenarios last days. A number
//! without a unit is refused: `300` could be seconds or minutes.

use crate::time::Millis;

/// Units and their length in milliseconds, longer names before their prefixes.
const UNITS: [(&str, f64); 6] = [
    ("ms", 1.0),
    ("s", 1_000.0),
    ("m", 60_000.0),
    ("h", 3_600_000.0),
    ("d", 86_400_000.0),
    ("w", 604_800_000.0),
];

/// What a duration looks like, for messages.
pub const EXAMPLE: &str = "a duration such as 90s, 5m, 1h30m or 2d";

/// Reads a span that is not negative; `None` if it is not one or too long to count in
/// milliseconds.
///
/// # Example
/// ```
/// # use prewarm::{config::parse_duration, time::Millis};
/// assert_eq!(parse_duration("1h30m"), Some(Millis::from_mins(90)));
/// assert_eq!(parse_duration("0"), Some(Millis::ZERO));
/// assert_eq!(parse_duration("300"), None);
/// ```
pub fn parse_duration(text: &str) -> Option<Millis> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Millis::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let (count, after_count) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, after_unit) = split_where(after_count, |c| !c.is_ascii_alphabetic());
        let length = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        total += count.parse::<f64>().ok()? * length;
        rest = after_unit;
    }
    // i64::MAX milliseconds are 292 million years; f64 counts exactly up to 2^53 of them.
    (total <= 9.0e15).then(|| Millis(total.round() as i64))
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        let cases = [
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1w", 604_800_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("0", 0),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Some(Millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "300", "5 minutes", "-5m", "m", "5min", "1h-3m", "1..5h", "1e9h", "nan"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration("999999999999w"), None);
    }
}
