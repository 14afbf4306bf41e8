//! `azure-llm`: Azure's LLM inference traces (Patel et al., ISCA'24), one row a request.
//!
//! `TIMESTAMP,ContextTokens,GeneratedTokens`, times as in all formats. One service.

use super::super::{ImportError, Origin, Source, cell, table::Table};
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
    let at = table.need("TIMESTAMP")?;
    let counts = [table.need("ContextTokens")?, table.need("GeneratedTokens")?];
    let mut load = Load::new(source)?;
    while let Some(row) = table.next_row(source.watch)? {
        sink.count_row();
        match cell::moment(&row, Some(at), source)? {
            Some(at) => load.request("llm", at.at(), tokens(&row, &counts)?),
            None => sink.skip(SkipReason::NoSubmitTime),
        }
    }
    hpa::push_replicas(load, source, sink)?;
    Ok(Origin::Epoch)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Options, testing};
    use super::super::{Capacity, ReplicaRule};
    use super::*;

    #[test]
    fn requests_or_tokens_per_window_become_replicas() {
        let text = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n\
                    2023-11-16 18:16:50.1234567,100,20\r\n2023-11-16 18:15:46.6805900,5000,1000\r\n\
                    ,1,1\r\n";
        let trace = testing::read(read, text);
        assert_eq!(testing::runs(&trace), [(120, 1)]);
        assert_eq!(testing::skipped(&trace, SkipReason::NoSubmitTime), 1);
        // 6000 tokens in the first minute are 100 a second: two replicas of 50.
        let rule = ReplicaRule { capacity: Capacity::Tokens(50.0), ..ReplicaRule::default() };
        let options = Options { replicas: rule, ..Options::default() };
        let (trace, origin) = testing::try_read(read, text, &options).unwrap();
        assert_eq!(testing::runs(&trace), [(120, 1), (60, 1)]);
        assert_eq!(origin, Origin::Epoch);
    }
}
