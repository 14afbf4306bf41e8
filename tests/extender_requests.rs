//! Requests of schedulers with bytes changed, cut, doubled: what the fuzz targets check, on every run of the tests.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[allow(unreachable_pub, reason = "the fuzz targets, a crate of their own, use it too")]
#[path = "../fuzz/checks.rs"]
mod checks;

use proptest::prelude::*;
use std::{fs, path::PathBuf, sync::LazyLock};

static SNAPSHOT: LazyLock<prewarm::extender::ExtenderSnapshot> = LazyLock::new(checks::snapshot);

/// The seeds of a fuzz target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn seeds_are_answered() {
    for body in seeds("filter_request") {
        assert!(checks::filter(&body, &SNAPSHOT));
        assert!(checks::prioritize(&body, &SNAPSHOT));
    }
    for body in seeds("preemption_request") {
        assert!(checks::preempt(&body, &SNAPSHOT));
    }
}

/// One change of a body.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, usize),
    Double(prop::sample::Index, usize),
    Insert(prop::sample::Index, &'static str),
}

/// What parsers stumble over.
const PIECES: [&str; 14] = [
    "null",
    "{}",
    "[]",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "1e999",
    "-1",
    "18446744073709551616",
    "\"Pod\":",
    "\"NodeNames\":[\"gpu-1\"],",
    "\u{0}",
    "[[[[[[[[",
    "\u{e9}",
];

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        at().prop_map(Change::Cut),
        (at(), 1..200_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (at(), 1..200_usize).prop_map(|(at, count)| Change::Double(at, count)),
        (at(), prop::sample::select(&PIECES[..])).prop_map(|(at, piece)| Change::Insert(at, piece)),
    ]
}

fn changed(mut body: Vec<u8>, changes: Vec<Change>) -> Vec<u8> {
    for change in changes {
        if body.is_empty() {
            break;
        }
        match change {
            Change::Set(at, byte) => {
                let at = at.index(body.len());
                body[at] = byte;
            }
            Change::Cut(at) => body.truncate(at.index(body.len())),
            Change::Remove(at, count) => {
                let at = at.index(body.len());
                body.drain(at..(at + count).min(body.len()));
            }
            Change::Double(at, count) => {
                let at = at.index(body.len());
                let piece = body[at..(at + count).min(body.len())].to_vec();
                body.splice(at..at, piece);
            }
            Change::Insert(at, piece) => {
                let at = at.index(body.len());
                body.splice(at..at, piece.bytes());
            }
        }
    }
    body
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_an_answer_wrong(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let (filters, preemptions) = (seeds("filter_request"), seeds("preemption_request"));
        let body = changed(filters[seed.index(filters.len())].clone(), changes.clone());
        checks::filter(&body, &SNAPSHOT);
        checks::prioritize(&body, &SNAPSHOT);
        checks::preempt(&changed(preemptions[seed.index(preemptions.len())].clone(), changes), &SNAPSHOT);
    }
}
