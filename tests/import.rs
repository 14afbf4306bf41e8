//! `prewarm import` as people call it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const JOBS: &str = "gpus,submit_s,duration_s\n8,5,60\n0,1,60\n1,0,1.5\n";

fn import(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .arg("import")
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("in.csv"), JOBS).unwrap();
    folder
}

#[test]
fn every_row_is_accounted_for_and_the_common_form_written() {
    let folder = folder();
    let done = import(folder.path(), &["in.csv", "-o", "out.csv"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let said = text(&done.stdout);
    for line in ["3 rows read", "2 jobs taken", "1 rows skipped: no gpu", "written to out.csv"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(
        fs::read_to_string(folder.path().join("out.csv")).unwrap(),
        "submit_s,duration_s,gpus,gpu_milli,gpu_type,owner,kind\n\
         0,1.5,1,1000,,,\n5,60,8,1000,,,\n"
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "no file but input and output");
}

#[test]
fn a_gz_name_is_written_compressed_and_reads_back() {
    let folder = folder();
    let args = ["in.csv", "-o", "out.csv.gz", "--output", "json", "--time-zone", "Europe/Berlin"];
    let done = import(folder.path(), &args);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let counts: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&counts["rows"], &counts["jobs"]), (&3.into(), &2.into()));
    assert_eq!(counts["skipped"], serde_json::json!({"no_gpu": 1}));
    let zipped = fs::read(folder.path().join("out.csv.gz")).unwrap();
    assert_eq!(zipped[..2], [0x1f, 0x8b]);
    let again = import(folder.path(), &["out.csv.gz", "-o", "again.csv"]);
    assert!(text(&again.stdout).contains("2 jobs taken"));
}

#[test]
fn wrong_use_ends_with_2_and_one_line() {
    let folder = folder();
    fs::write(folder.path().join("odd.csv"), "colour\nred\n").unwrap();
    fs::write(folder.path().join("bad.csv"), "submit_s,duration_s,gpus\n0,soon,1\n").unwrap();
    let cases: [(&[&str], &str); 7] = [
        (&["in.csv", "-o", "./in.csv"], "this is the input: name another file"),
        (&["in.csv", "-o", "."], "this is a folder: name a file to write"),
        (&["in.csv", "-o", "no/where.csv"], "no/where.csv: there is no folder no: make it first"),
        (&["none.csv", "-o", "out.csv"], "none.csv: cannot read: No such file"),
        (&["odd.csv", "-o", "out.csv"], "not known from its start `colour`: name the format"),
        (&["bad.csv", "-o", "out.csv"], "bad.csv:2: duration_s: found `soon`: the run time is"),
        (&["in.csv", "-o", "out.csv", "--format", "job"], "did you mean `jobs`?"),
    ];
    for (args, expected) in cases {
        let done = import(folder.path(), args);
        let complaint = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {complaint}");
        assert!(complaint.contains(expected), "{args:?}: {complaint}");
        assert!(!folder.path().join("out.csv").exists(), "{args:?}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("in.csv")).unwrap(), JOBS, "untouched");
}
