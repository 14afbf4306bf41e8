//! Answers of a Prometheus-compatible API as typed values, and the few pieces of PromQL that are written by
//! hand. Bytes in, values out: nothing here sends anything.
//!
//! # Source
//! Prometheus documentation, "HTTP API" (format of answers) and "Querying basics" (strings).

mod answer;
mod parse;
#[cfg(test)]
mod tests;
mod text;

pub use answer::{Answer, Data, Labels, Point, Remark, Series};
pub use parse::{AnswerFault, parse};
pub use text::{in_quotes, is_label_name};

/// Most points a range query may ask for per series.
pub const MOST_POINTS: i64 = 11_000;
