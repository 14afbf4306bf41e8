//! Every scenario that ships with the repository: the same bytes twice, and the table as committed.
//!
//! `UPDATE_GOLDENS=1 cargo test --test goldens` writes the tables anew; look at the difference before
//! committing it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn simulations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("simulations")
}

fn scenarios() -> Vec<PathBuf> {
    let files = fs::read_dir(simulations()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

fn simulate(scenario: &Path, flags: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .arg("simulate")
        .arg(scenario)
        .args(flags)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", scenario.display());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn there_are_at_least_ten_scenarios() {
    assert!(scenarios().len() >= 10);
}

#[test]
fn every_scenario_gives_the_same_bytes_with_any_number_of_threads() {
    for scenario in scenarios() {
        let once = simulate(&scenario, &["--output", "json", "--threads", "1", "--check"]);
        let again = simulate(&scenario, &["--output", "json", "--threads", "3"]);
        assert!(once == again, "{} differs between runs", scenario.display());
    }
}

#[test]
fn every_scenario_gives_the_committed_table() {
    let mut changed = Vec::new();
    for scenario in scenarios() {
        let name = scenario.file_stem().unwrap().to_str().unwrap();
        let golden = simulations().join("expected").join(format!("{name}.txt"));
        let found = simulate(&scenario, &[]);
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            fs::create_dir_all(golden.parent().unwrap()).unwrap();
            fs::write(&golden, &found).unwrap();
        }
        let committed = fs::read_to_string(&golden).unwrap_or_default();
        if committed != found {
            changed.push(format!("--- {name}: committed\n{committed}\n+++ {name}: now\n{found}"));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}
