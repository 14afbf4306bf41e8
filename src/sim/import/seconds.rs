//! Seconds written as a number, as milliseconds.

use super::error::ImportError;
use super::table::{Column, Row};

/// More than this many seconds (1000 years) are a mistake: milliseconds, a wrong column.
const MOST_SECONDS: f64 = 1000.0 * 365.25 * 86_400.0;

/// Milliseconds of a field of seconds, rounded; `None` if the field is empty.
pub(super) fn milliseconds(
    row: &Row<'_>,
    column: Column,
    meaning: &str,
) -> Result<Option<i64>, ImportError> {
    let bytes = row.bytes(column);
    if bytes.is_empty() {
        return Ok(None);
    }
    if let Some(seconds) = short_integer(bytes) {
        return Ok(Some(seconds * 1000));
    }
    let seconds = row.number(column, meaning)?;
    if seconds.abs() > MOST_SECONDS {
        let remedy = format!("{meaning} is in seconds, at most 1000 years; check the unit");
        return Err(row.wrong(column, &remedy));
    }
    Ok(Some((seconds * 1000.0).round() as i64))
}

/// Up to 10 digits; always within the limit.
fn short_integer(bytes: &[u8]) -> Option<i64> {
    if bytes.len() > 10 || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bytes.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}
