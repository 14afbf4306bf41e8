//! Fields as published data sets write them: seconds that may be missing, numbers with a fraction.

use super::error::ImportError;
use super::seconds::milliseconds;
use super::table::{Column, Row};

/// Ways of writing "not known".
const MISSING: [&[u8]; 6] = [b"", b"NaN", b"nan", b"None", b"null", b"NULL"];

/// Is there no value?
pub(super) fn is_missing(row: &Row<'_>, column: Column) -> bool {
    MISSING.contains(&row.bytes(column))
}

/// A time in seconds from the start of the trace, as milliseconds; `None` if the recording missed it.
pub(super) fn time(row: &Row<'_>, column: Column) -> Result<Option<i64>, ImportError> {
    if is_missing(row, column) {
        return Ok(None);
    }
    match milliseconds(row, column, "the time")? {
        Some(..0) => {
            Err(row.wrong(column, "write the seconds from the start of the trace, 0 or more"))
        }
        time => Ok(time),
    }
}

/// A number that is not negative, times `factor`, rounded; missing = 0.
pub(super) fn amount(
    row: &Row<'_>,
    column: Option<Column>,
    factor: f64,
    meaning: &str,
) -> Result<u32, ImportError> {
    let Some(column) = column.filter(|&column| !is_missing(row, column)) else { return Ok(0) };
    let scaled = (row.number(column, meaning)? * factor).round();
    if (0.0..=f64::from(u32::MAX)).contains(&scaled) {
        return Ok(scaled as u32);
    }
    let most = f64::from(u32::MAX) / factor;
    Err(row.wrong(column, &format!("{meaning} is a number from 0 to {most:.0}; check the unit")))
}

/// A number of GPUs, possibly with a fraction, as devices and the share of each in thousandths. More
/// than one device with a fraction is spread evenly: 1.5 are two devices of 750.
pub(super) fn gpus(row: &Row<'_>, column: Column) -> Result<(u32, u16), ImportError> {
    let milli = amount(row, Some(column), 1000.0, "the number of GPUs")?;
    if milli > 100_000_000 {
        return Err(row.wrong(column, "the number of GPUs is at most 100000"));
    }
    let devices = milli.div_ceil(1000);
    Ok((devices, if devices == 0 { 0 } else { milli.div_ceil(devices) as u16 }))
}
