//! The real traces, if they are there.

use super::*;
use std::path::PathBuf;

/// The path of a real trace; says so if there is none.
pub(super) fn real(name: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests are told where the traces are")]
    let folder = std::env::var("PREWARM_TRACES").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/traces"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if !path.exists() {
        println!("skipped: no trace {}", path.display());
        return None;
    }
    Some(path)
}

fn trace(name: &str) -> Option<Trace> {
    Some(read_file(&real(name)?, None, &Options::default(), &()).unwrap())
}

#[test]
fn the_common_traces_have_the_rows_their_readme_states() {
    let files = [
        ("philly_d00_52.csv.gz", 64_483),
        ("alibaba_v2023_d00_21.csv.gz", 3_819),
        ("alibaba_spotgpu2026_recon_d000_120.csv.gz", 168_172),
        ("servegen_replicas_d00_07.csv.gz", 782),
    ];
    for (name, rows) in files {
        let Some(trace) = trace(name) else { continue };
        let skipped: u64 = trace.skipped.values().sum();
        assert_eq!((trace.rows, trace.jobs.len() as u64 + skipped), (rows, rows), "{name}");
    }
}

#[test]
fn philly_has_69_jobs_that_were_running_before() {
    let Some(trace) = trace("philly_d00_52.csv.gz") else { return };
    assert_eq!(trace.jobs.iter().filter(|job| job.is_preexisting()).count(), 69);
}
