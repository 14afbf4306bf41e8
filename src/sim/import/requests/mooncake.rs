//! `mooncake`: requests to Kimi (Qin et al., FAST'25), one JSON object a line.
//!
//! `{"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [..]}`; milliseconds
//! from the start of the trace. What is cached (`hash_ids`) is not looked at. One service.

use super::super::{ImportError, Origin, Source, json};
use super::hpa;
use super::load::{Load, MOST_TOKENS};
use crate::model::{SkipReason, TraceBuilder};
use crate::time::Timestamp;
use serde::Deserialize;
use std::io::BufRead;

/// Lines between two looks at the watch.
const LINES_PER_LOOK: u64 = 8192;

/// Latest time, 100 years; later is a slip of unit.
const LATEST_MS: f64 = 3.2e12;

const FORM: &str =
    "{\"timestamp\": ms, \"input_length\": tokens, \"output_length\": tokens} a line";

#[derive(Deserialize)]
struct Request {
    timestamp: Option<f64>,
    #[serde(default)]
    input_length: u32,
    #[serde(default)]
    output_length: u32,
}

/// Reads all lines.
pub(in super::super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let mut load = Load::new(source)?;
    let mut text = Vec::new();
    for line in 1_u64.. {
        let file = || source.file.to_owned();
        if line % LINES_PER_LOOK == 1 && source.watch.cancelled() {
            return Err(ImportError::Cancelled { file: file() });
        }
        text.clear();
        let read = input.read_until(b'\n', &mut text);
        if read.map_err(|error| ImportError::Read { file: file(), source: error })? == 0 {
            break;
        }
        let object = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii();
        if object.is_empty() {
            continue;
        }
        sink.count_row();
        let request = serde_json::from_slice::<Request>(object)
            .map_err(|error| json::at_line(source.file, line, error, FORM))?;
        take(&request, line, source, &mut load, sink)?;
    }
    hpa::push_replicas(load, source, sink)?;
    Ok(Origin::Trace)
}

fn take(
    request: &Request,
    line: u64,
    source: &Source<'_>,
    load: &mut Load,
    sink: &mut TraceBuilder,
) -> Result<(), ImportError> {
    let wrong = |field: &str, found: String, remedy: &str| ImportError::Value {
        file: source.file.to_owned(),
        line,
        column: field.to_owned(),
        found,
        remedy: remedy.to_owned(),
    };
    let Some(at) = request.timestamp else {
        sink.skip(SkipReason::NoSubmitTime);
        return Ok(());
    };
    if !(0.0..=LATEST_MS).contains(&at) {
        let remedy = "a timestamp is in milliseconds from the start, up to 100 years";
        return Err(wrong("timestamp", at.to_string(), remedy));
    }
    let tokens = request.input_length.max(request.output_length);
    if tokens > MOST_TOKENS {
        let remedy = format!("a request has at most {MOST_TOKENS} tokens");
        return Err(wrong("input_length, output_length", tokens.to_string(), &remedy));
    }
    let tokens = u64::from(request.input_length) + u64::from(request.output_length);
    load.request("llm", Timestamp(at.round() as i64), tokens);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::testing;
    use super::*;

    #[test]
    fn milliseconds_blank_lines_and_crlf_are_read() {
        let line = |at: u32| {
            format!(
                "{{\"timestamp\": {at}, \"input_length\": 6758, \"output_length\": 500, \"hash_ids\": [0, 1]}}\r\n"
            )
        };
        let trace = testing::read(read, &format!("\u{feff}{}\r\n{}", line(0), line(60_000)));
        assert_eq!(testing::runs(&trace), [(120, 1)]);
        assert_eq!(trace.rows, 2);
    }

    #[test]
    fn errors_name_their_line() {
        let message = testing::message(read, "{\"timestamp\": 0}\n{\"timestamp\": \"a\"}\n");
        assert!(message.starts_with("x:2: invalid type: string \"a\""), "{message}");
        let message = testing::message(read, "{\"timestamp\": -1}\n");
        assert!(message.starts_with("x:1: timestamp: found `-1`: a timestamp is"), "{message}");
    }
}
