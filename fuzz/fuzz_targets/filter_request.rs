//! Bytes as a filter request and as a prioritize request.
#![no_main]

#[path = "../checks.rs"]
#[expect(dead_code, reason = "shared by all targets")]
mod checks;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static SNAPSHOT: LazyLock<prewarm::extender::ExtenderSnapshot> = LazyLock::new(checks::snapshot);

fuzz_target!(|body: &[u8]| {
    checks::filter(body, &SNAPSHOT);
    checks::prioritize(body, &SNAPSHOT);
});
