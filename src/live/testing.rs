//! Recorded objects for tests. They are not part of the package: without them the tests that need them say
//! so and do nothing.
#![allow(clippy::print_stderr, reason = "a test says why it does nothing")]

use std::{env, fs, path::PathBuf};

/// The text of a recording, from `PREWARM_FIXTURES` or `../shared/fixtures` beside the package.
pub(crate) fn fixture_text(name: &str) -> Option<String> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    let folder = env::var_os("PREWARM_FIXTURES").map_or_else(beside, PathBuf::from);
    let text = fs::read_to_string(folder.join(name)).ok();
    if text.is_none() {
        eprintln!("skipped: no recording {name} (PREWARM_FIXTURES names the folder)");
    }
    text
}

/// A recorded JSON document.
pub(crate) fn fixture(name: &str) -> Option<serde_json::Value> {
    fixture_text(name).map(|text| serde_json::from_str(&text).unwrap())
}
