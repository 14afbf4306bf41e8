//! Fields that several formats write alike: times that may be missing, whole numbers written `8.0`.

use super::clock::{self, Moment, Written, is_absent};
use super::table::{Column, Row};
use super::{ImportError, Source};
use crate::time::{Millis, Timestamp};

/// More of anything in one job (GPUs, nodes, instances) than has ever been asked for.
pub(super) const MOST: u32 = 1_000_000;

/// More seconds than any job runs (about 300 years).
const MOST_SECS: f64 = 1e10;

/// A time that may be missing (empty, `None`, `Unknown`, ...).
pub(super) fn moment(
    row: &Row<'_>,
    column: Option<Column>,
    source: &Source<'_>,
) -> Result<Option<Moment>, ImportError> {
    let Some(column) = column else { return Ok(None) };
    let text = row.text(column)?;
    if is_absent(text) {
        return Ok(None);
    }
    let written = Written::parse(text).ok_or_else(|| row.wrong(column, clock::FORM))?;
    Ok(Some(written.moment(&source.options.time_zone)))
}

/// A number that may be missing.
pub(super) fn number(
    row: &Row<'_>,
    column: Option<Column>,
    meaning: &str,
) -> Result<Option<f64>, ImportError> {
    match column {
        Some(column) if !is_absent(row.text(column)?) => row.number(column, meaning).map(Some),
        _ => Ok(None),
    }
}

/// A count from 0 to [`MOST`], also written `8.0`; `None` if it is missing.
pub(super) fn count(
    row: &Row<'_>,
    column: Option<Column>,
    meaning: &str,
) -> Result<Option<u32>, ImportError> {
    let Some(column) = column else { return Ok(None) };
    let remedy = || format!("{meaning} is a whole number from 0 to {MOST}");
    match number(row, Some(column), meaning).map_err(|_| row.wrong(column, &remedy()))? {
        None => Ok(None),
        Some(value) if value.fract() == 0.0 && (0.0..=f64::from(MOST)).contains(&value) => {
            Ok(Some(value as u32))
        }
        Some(_) => Err(row.wrong(column, &remedy())),
    }
}

/// A span in seconds, which may be negative or missing.
pub(super) fn span(
    row: &Row<'_>,
    column: Option<Column>,
    meaning: &str,
) -> Result<Option<Millis>, ImportError> {
    let Some(column) = column else { return Ok(None) };
    match number(row, Some(column), meaning)? {
        None => Ok(None),
        Some(secs) if secs.abs() <= MOST_SECS => Ok(Some(Millis((secs * 1000.0).round() as i64))),
        Some(_) => Err(row.wrong(column, &format!("{meaning} is in seconds"))),
    }
}

/// Seconds since the start of the trace, not negative; may be missing.
pub(super) fn seconds(row: &Row<'_>, column: Column) -> Result<Option<Timestamp>, ImportError> {
    const MEANING: &str = "the time, in seconds from the start,";
    match span(row, Some(column), MEANING)? {
        Some(span) if span < Millis::ZERO => {
            Err(row.wrong(column, &format!("{MEANING} is not negative")))
        }
        span => Ok(span.map(|span| Timestamp::ZERO + span)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;

    /// The count, or the message.
    fn counted(text: &str) -> (Option<u32>, String) {
        let text = format!("n,x\n{text},\n");
        let mut table = Table::with_header("x.csv", text.as_bytes(), b',').unwrap();
        let column = table.column("n");
        let row = table.next_row(&()).unwrap().unwrap();
        match count(&row, column, "the number of GPUs") {
            Ok(count) => (count, String::new()),
            Err(error) => (None, error.to_string()),
        }
    }

    #[test]
    fn counts_may_carry_a_decimal_point_but_no_fraction() {
        assert_eq!(counted("8"), (Some(8), String::new()));
        assert_eq!(counted("8.0"), (Some(8), String::new()));
        assert_eq!(counted(""), (None, String::new()));
        for text in ["8.5", "-1", "1e12", "inf", "eight"] {
            let expected = format!(
                "x.csv:2: n: found `{text}`: the number of GPUs is a whole number from 0 to 1000000"
            );
            assert_eq!(counted(text), (None, expected));
        }
    }
}
