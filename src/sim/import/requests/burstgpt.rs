//! `burstgpt`: requests to `ChatGPT` and GPT-4 (Wang et al., KDD'25), one row a request.
//!
//! `Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type`; seconds from a midnight on.
//! Every model is a service of its own.

use super::super::{ImportError, Origin, Source, philly_csv::origin_checked, table::Table};
use super::load::Load;
use super::{hpa, tokens};
use crate::model::{SkipReason, TraceBuilder};
use std::io::BufRead;

/// Reads all rows.
pub(in super::super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let mut table = Table::with_header(source.file, input, b',')?;
    let (at, model) = (table.need("Timestamp")?, table.need("Model")?);
    let counts = [table.need("Request tokens")?, table.need("Response tokens")?];
    let mut load = Load::new(source)?;
    let mut origin = None;
    while let Some(row) = table.next_row(source.watch)? {
        sink.count_row();
        match origin_checked(&row, at, source, &mut origin)? {
            Some(at) => load.request(row.text(model)?, at.at(), tokens(&row, &counts)?),
            None => sink.skip(SkipReason::NoSubmitTime),
        }
    }
    hpa::push_replicas(load, source, sink)?;
    Ok(origin.unwrap_or(Origin::Trace))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing;
    use super::*;

    const HEADER: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n";

    #[test]
    fn every_model_is_a_service() {
        let rows = "5,ChatGPT,472,18,490,Conversation log\n65.5,GPT-4,10,0,10,API log\n";
        let trace = testing::read(read, &format!("{HEADER}{rows}"));
        assert_eq!(trace.owners, ["", "ChatGPT", "GPT-4"]);
        let starts: Vec<_> = trace.jobs.iter().map(|job| job.submit.0).collect();
        assert_eq!(starts, [0, 60_000]);
    }

    #[test]
    fn absurd_tokens_are_one_clear_line() {
        let message = testing::message(read, &format!("{HEADER}5,ChatGPT,-4,18,490,x\n"));
        assert!(message.starts_with("x:2: Request tokens: found `-4`: the number of"), "{message}");
    }
}
