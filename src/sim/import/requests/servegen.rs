//! `servegen`: load of one client or service by `ServeGen` (Xiang et al., 2025), without header.
//!
//! `t_s,rate_rps,cv,family,arg1,arg2`: from `t_s` on, requests come at `rate_rps`, until the next row;
//! the last row holds as long as the one before it. Burstiness within a row (`cv` and the distribution)
//! is not looked at: windows of the rule are about as long. There are no tokens to count.

use super::super::{ImportError, Origin, Source, cell, sniff::Head, table::Table};
use super::hpa;
use super::load::{Load, MOST_WINDOWS};
use crate::model::{SkipReason, TraceBuilder};
use std::collections::BTreeMap;
use std::io::BufRead;

const COLUMNS: [&str; 6] = ["t_s", "rate_rps", "cv", "family", "arg1", "arg2"];

/// Highest rate of one service.
const MOST_RPS: f64 = 1e8;

/// Six fields, no header: instant, rate and variation, then the name of a distribution.
pub(in super::super) fn looks_like(head: &Head<'_>) -> bool {
    let fields: Vec<&str> = head.columns().collect();
    fields.len() == COLUMNS.len()
        && fields[..3].iter().all(|field| field.parse::<f64>().is_ok())
        && fields[3].parse::<f64>().is_err()
}

/// Reads all rows.
pub(in super::super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let mut load = Load::new(source)?;
    if load.counts_tokens() {
        return Err(ImportError::File {
            file: source.file.to_owned(),
            problem: "the format has rates of requests but no tokens".to_owned(),
            remedy: "give the capacity of a replica in requests per second".to_owned(),
        });
    }
    let mut table = Table::without_header(source.file, input, b',', &COLUMNS);
    let (at, rate) = (table.need("t_s")?, table.need("rate_rps")?);
    // Sum and number of the rows in each window.
    let mut windows: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    while let Some(row) = table.next_row(source.watch)? {
        sink.count_row();
        let Some(start) = cell::seconds(&row, at)? else {
            sink.skip(SkipReason::NoSubmitTime);
            continue;
        };
        let value = cell::number(&row, Some(rate), "the rate")?.unwrap_or(0.0);
        if !(0.0..=MOST_RPS).contains(&value) {
            return Err(row.wrong(rate, "the rate is in requests per second"));
        }
        let window = windows.entry(load.window_of(start)).or_default();
        *window = (window.0.saturating_add(load.amount_at(value)), window.1 + 1);
    }
    hold(&windows, &mut load);
    hpa::push_replicas(load, source, sink)?;
    Ok(Origin::Trace)
}

/// Every window until the next one with rows has the mean of its rows.
fn hold(windows: &BTreeMap<i64, (u64, u64)>, load: &mut Load) {
    let starts: Vec<i64> = windows.keys().copied().collect();
    let ends = starts.first().zip(starts.last());
    let is_refused = ends.is_some_and(|(first, last)| last - first >= MOST_WINDOWS);
    for (i, (&start, &(sum, rows))) in windows.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| starts.get(i));
        let length = match (starts.get(i + 1), before) {
            (Some(next), _) => next - start,
            (None, Some(before)) => start - before,
            (None, None) => 1,
        };
        // A trace that is refused for its span is not filled up before.
        let length = if is_refused { 1 } else { length };
        for window in start..start + length {
            load.add("llm", window, sum / rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Options, testing};
    use super::super::{Capacity, ReplicaRule};
    use super::*;

    #[test]
    fn a_rate_holds_until_the_next_row() {
        // 2 replicas of 2 requests/s from minute 1, 5 from minute 11 (600 s later), to minute 20.
        let trace = testing::read(read, "600,10,1.2,Gamma,0.6,3.1\n0,4,1.1,Weibull,0.9,0.2\n");
        let lives: Vec<_> =
            trace.jobs.iter().map(|j| (j.submit.0 / 60_000, j.duration.0 / 60_000)).collect();
        assert_eq!(lives, [(0, 20), (1, 19), (11, 9), (11, 9), (11, 9)]);
    }

    #[test]
    fn tokens_and_wrong_rates_are_refused() {
        let rule = ReplicaRule { capacity: Capacity::Tokens(50.0), ..ReplicaRule::default() };
        let options = Options { replicas: rule, ..Options::default() };
        let error = testing::try_read(read, "", &options).err().unwrap().to_string();
        assert!(error.contains("no tokens: give the capacity"), "{error}");
        let message = testing::message(read, "0,-4,1.1,Weibull,0.9,0.2\n");
        assert_eq!(message, "x:1: rate_rps: found `-4`: the rate is in requests per second");
    }
}
