//! Bytes as an answer of a Prometheus-compatible API: a fault or well-formed series, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prewarm::promql::{Series, parse};

fuzz_target!(|body: &[u8]| {
    if let Ok(answer) = parse(body) {
        let series = answer.data.into_series();
        assert!(series.windows(2).all(|two| two[0].labels < two[1].labels), "ordered, none twice");
        series.iter().for_each(check);
    }
});

fn check(series: &Series) {
    assert!(series.points.windows(2).all(|two| two[0].at < two[1].at), "in the order of time");
    assert!(series.labels.values().all(|value| !value.is_empty()), "an empty label is none");
}
