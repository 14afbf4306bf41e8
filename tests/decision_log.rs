//! The decision log: what is written can be read, decided again to the same decisions, and damage is
//! found and named.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use prewarm::decision_log::{Log, LogError, LogWriter, instant, replay};
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn prewarm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_prewarm")).args(arguments).output().unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs `simulate` with `arguments` and gives the log it saved.
fn saved(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let log = folder.join(name);
    let save = ["--save-decisions", log.to_str().unwrap()];
    let output = prewarm(&[&["simulate"], arguments, &save[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    log
}

fn scenario(name: &str) -> String {
    format!("{}/simulations/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

/// The log of a short scenario with waiting, starts and removals, as text.
fn small_log(folder: &Path) -> String {
    let rows: Vec<String> =
        (0..40).map(|i| format!("{},1200,4,1000,,amy,train\n", i * 400)).collect();
    let rows = rows.concat();
    let trace = folder.join("jobs.csv");
    fs::write(&trace, format!("submit_s,duration_s,gpus,gpu_milli,gpu_type,owner,kind\n{rows}"))
        .unwrap();
    let arguments = ["--trace", trace.to_str().unwrap(), "--policy", "adaptive@20"];
    fs::read_to_string(saved(folder, "small.jsonl", &arguments)).unwrap()
}

/// Exit code and both outputs of `replay` on this text.
fn replayed(folder: &Path, text: &str) -> (Option<i32>, String, String) {
    let log = folder.join("replayed.jsonl");
    fs::write(&log, text).unwrap();
    let output = prewarm(&["replay", log.to_str().unwrap()]);
    (output.status.code(), said(&output.stdout), said(&output.stderr))
}

#[track_caller]
fn refused(folder: &Path, text: &str, says: &[&str]) {
    let (code, stdout, stderr) = replayed(folder, text);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    for part in [&["replayed.jsonl"], says].concat() {
        assert!(stderr.contains(part), "{part:?} is missing in: {stderr}");
    }
}

fn replaced(text: &str, line: usize, by: &str) -> String {
    let lines = text.lines().enumerate().map(|(at, old)| if at + 1 == line { by } else { old });
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn scenarios_are_decided_again_to_the_same_decisions() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "fractional-gpus",
        "mig-slices",
        "gang-burst",
        "max-reached",
        "stock-out-with-fallback-pool",
        "slow-and-failing-nodes",
        "monday-morning",
    ] {
        let log =
            saved(folder.path(), "log.jsonl.gz", &[&scenario(name), "--policy", "adaptive@20"]);
        let output = prewarm(&["replay", log.to_str().unwrap()]);
        let stdout = said(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{name}: {stdout}{}", said(&output.stderr));
        assert!(
            stdout.ends_with("decisions, all the same\n") && !stdout.starts_with("0 "),
            "{stdout}"
        );
    }
}

#[test]
fn the_first_days_of_a_real_trace_are_decided_again_to_the_same_decisions() {
    let Some(traces) = support::traces() else { return };
    let folder = tempfile::tempdir().unwrap();
    let philly = traces.join("philly_d00_52.csv.gz");
    let trace = ["--trace", philly.to_str().unwrap(), "--until", "3d", "--policy", "adaptive@100"];
    let log = saved(folder.path(), "log.jsonl.gz", &trace);
    let output = prewarm(&["replay", log.to_str().unwrap(), "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["schema"], "prewarm.replay/v1");
    assert_eq!(found["changed"], 0);
    assert!(found["decisions"].as_u64().unwrap() > 1000);
}

#[test]
fn what_is_read_is_written_as_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let text = small_log(folder.path());
    let (start, log) = Log::open(text.as_bytes()).unwrap();
    let mut writer = LogWriter::start(Vec::new(), &start.settings, &start.memory).unwrap();
    let mut looks = 0;
    for entry in log {
        let entry = entry.unwrap();
        writer.look(entry.now, &entry.snapshot, &entry.decision).unwrap();
        looks += 1;
    }
    assert_eq!(looks, text.lines().count() - 1);
    assert!(looks > 40, "{looks}");
    assert!(said(&writer.finish().unwrap()) == text);
}

#[test]
fn a_gzipped_log_holds_the_same_text() {
    let folder = tempfile::tempdir().unwrap();
    let plain = small_log(folder.path());
    let trace = folder.path().join("jobs.csv");
    let arguments = ["--trace", trace.to_str().unwrap(), "--policy", "reactive,adaptive@20"];
    let zipped = saved(folder.path(), "small.jsonl.gz", &arguments);
    let mut text = String::new();
    GzDecoder::new(fs::File::open(zipped).unwrap()).read_to_string(&mut text).unwrap();
    assert!(text == plain, "another policy in the run, or gzip, changes the log");
}

#[test]
fn a_changed_decision_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = small_log(folder.path());
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains("\"create\":1,")).unwrap();
    let forged = lines[at].replace("\"create\":1,", "\"create\":7,");
    let (code, stdout, _) = replayed(folder.path(), &replaced(&text, at + 1, &forged));
    assert_eq!(code, Some(1), "{stdout}");
    let looks = lines.len() - 1;
    for part in [
        format!("{looks} decisions, 1 changed\n"),
        format!("line {}, ", at + 1),
        "pool default.create: recorded 7, decided now 1\n".to_owned(),
    ] {
        assert!(stdout.contains(&part), "{part:?} is missing in: {stdout}");
    }
    let log = folder.path().join("replayed.jsonl");
    let output = prewarm(&["replay", log.to_str().unwrap(), "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let difference = &found["differences"][0];
    assert_eq!((&found["changed"], &difference["line"]), (&1.into(), &(at as u64 + 1).into()));
    let field = serde_json::json!({"field": "pool default.create", "recorded": 7, "now": 1});
    assert_eq!(difference["fields"], serde_json::json!([field]));
}

#[test]
fn other_settings_give_other_decisions_or_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = small_log(folder.path());
    let dear = text.replacen("\"default\":20.0", "\"default\":50.0", 1);
    assert!(dear != text, "the price of waiting stands in the first line");
    refused(folder.path(), &dear, &["line 1", "`candidates` differ", "kappa=20"]);
    let small = text.replacen("\"max_nodes\":null", "\"max_nodes\":1", 1);
    assert!(small != text, "the maximum stands in the first line");
    let (code, stdout, stderr) = replayed(folder.path(), &small);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert!(stdout.contains("those after the first may only follow from it"), "{stdout}");
}

#[test]
fn a_damaged_log_is_refused_with_the_line_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let text = small_log(folder.path());
    let refused = |text: &str, says: &[&str]| refused(folder.path(), text, says);
    let lines: Vec<&str> = text.lines().collect();
    refused("", &["the log is empty", "write the log again"]);
    refused("submit_s,duration_s\n", &["line 1", "no decision log", "--save-decisions"]);
    refused(&replaced(&text, 5, "{}"), &["line 5", "missing field", "4 lines before it are whole"]);
    refused(&replaced(&text, 5, "hello"), &["line 5", "no look of a decision log"]);
    let half = format!("{}\n{}", lines[0], &lines[1][..lines[1].len() / 2]);
    refused(&half, &["line 2", "the log was cut off", "1 lines before it are whole"]);
    let newer = text.replacen("prewarm.decisions/v1", "prewarm.decisions/v9", 1);
    refused(&newer, &["`prewarm.decisions/v9`", "`prewarm.decisions/v1`", "version of prewarm"]);
    let no_pool = serde_json::from_str::<serde_json::Value>(lines[3]).map(|mut look| {
        look["pools"] = serde_json::json!([]);
        look.to_string()
    });
    refused(&replaced(&text, 4, &no_pool.unwrap()), &["line 4", "0 pools", "have 1"]);
    let first = lines.iter().position(|line| line.contains("\"shapes\":[")).unwrap();
    let without: String = lines
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != first)
        .flat_map(|(_, l)| [*l, "\n"])
        .collect();
    refused(&without, &["shape 0 of 0", "a line before it is missing"]);
    let no_gpus = text.replacen("\"gpus_per_node\":8", "\"gpus_per_node\":0", 1);
    refused(&no_gpus, &["line 1", "`default`", "`gpus_per_node`"]);
}

#[test]
fn a_gzip_file_that_was_cut_off_is_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(small_log(folder.path()).as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    let log = folder.path().join("cut.jsonl.gz");
    fs::write(&log, &whole[..whole.len() / 2]).unwrap();
    let output = prewarm(&["replay", log.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = said(&output.stderr);
    assert!(stderr.contains("cut.jsonl.gz") && stderr.contains("cut off"), "{stderr}");
}

#[test]
fn a_replay_can_be_ended_early() {
    let folder = tempfile::tempdir().unwrap();
    let text = small_log(folder.path());
    let asked = std::cell::Cell::new(0);
    let go_on = |_| asked.replace(asked.get() + 1) < 5;
    let replayed = replay(text.as_bytes(), &go_on).unwrap();
    assert_eq!((replayed.looks, replayed.changed), (5, 0));
    assert!(matches!(replay(&b""[..], &|_| true), Err(LogError::Empty)));
}

#[test]
fn explain_finds_the_decision_and_says_what_it_cannot_find() {
    let folder = tempfile::tempdir().unwrap();
    let text = small_log(folder.path());
    let log = folder.path().join("small.jsonl");
    let log = log.to_str().unwrap();
    let explain = |arguments: &[&str]| {
        let output = prewarm(&[&["explain", "--log", log], arguments].concat());
        (output.status.code(), said(&output.stdout), said(&output.stderr))
    };
    // The first job comes at second 0 and finds no node.
    let (code, stdout, stderr) = explain(&["--at", "0s"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("Pool default at 0s (line 2 of the log)\n"), "{stdout}");
    for part in ["Asked for ", "1 for waiting work", "Work for 4 GPUs waits", "Next look: "] {
        assert!(stdout.contains(part), "{part:?} is missing in: {stdout}");
    }
    // Between two decisions the earlier one counts.
    let entries: Vec<_> = Log::open(text.as_bytes()).unwrap().1.map(Result::unwrap).collect();
    let gap = entries.windows(2).find(|pair| (pair[1].now - pair[0].now).0 > 2000).unwrap();
    let between = format!("{}s", gap[0].now.0 / 1000 + 1);
    let (code, stdout, _) = explain(&["--at", &between, "default", "--output", "json"]);
    assert_eq!(code, Some(0));
    let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&found["schema"], &found["line"]),
        (&"prewarm.explain/v1".into(), &gap[0].line.into())
    );
    assert_eq!(found["report"]["create"], gap[0].decision.why[0].create);
    for (arguments, says) in [
        (&["--at", "1h", "a100"][..], "there is no pool `a100` in the log, there is default"),
        (&["--at", "noon"], "`noon` is no instant"),
    ] {
        let (code, stdout, stderr) = explain(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        assert!(stderr.contains(says), "{stderr}");
    }
}

#[test]
fn explain_needs_a_pool_where_there_are_several_and_an_instant_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&scenario("stock-out-with-fallback-pool"), "--policy", "adaptive@20"];
    let log = saved(folder.path(), "log.jsonl", &arguments);
    let explain = |path: &Path, arguments: &[&str]| {
        let output = prewarm(&[&["explain", "--log", path.to_str().unwrap()], arguments].concat());
        (output.status.code(), said(&output.stderr))
    };
    let (code, stderr) = explain(&log, &["--at", "1d"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("several pools") && stderr.contains("spot, on-demand"), "{stderr}");
    assert_eq!(explain(&log, &["--at", "1d", "spot"]).0, Some(0));
    // A log that begins later.
    let text = fs::read_to_string(&log).unwrap();
    let (start, entries) = Log::open(text.as_bytes()).unwrap();
    let mut late = LogWriter::start(Vec::new(), &start.settings, &start.memory).unwrap();
    let entries: Vec<_> = entries.map(Result::unwrap).filter(|entry| entry.now.0 > 0).collect();
    for entry in &entries {
        late.look(entry.now, &entry.snapshot, &entry.decision).unwrap();
    }
    let path = folder.path().join("late.jsonl");
    fs::write(&path, late.finish().unwrap()).unwrap();
    let (code, stderr) = explain(&path, &["--at", "0s", "spot"]);
    assert_eq!(code, Some(2));
    let first = instant(entries[0].now);
    let says =
        format!("the first decision was made at {first}, after --at 0s: choose {first} or later");
    assert!(stderr.contains(&says), "{stderr}");
    assert_eq!(explain(&path, &["--at", &first, "spot"]).0, Some(0));
}

#[test]
fn a_log_is_saved_of_one_adaptive_policy_and_over_no_input() {
    let folder = tempfile::tempdir().unwrap();
    small_log(folder.path());
    let trace = folder.path().join("jobs.csv");
    let (trace, out) = (trace.to_str().unwrap(), folder.path().join("out.jsonl"));
    let out = out.to_str().unwrap();
    for (flags, says) in [
        (&["--policy", "reactive", "--save-decisions", out][..], "add --policy adaptive@20"),
        (
            &["--policy", "adaptive", "--save-decisions", out],
            "choose one, such as --policy adaptive@5",
        ),
        (&["--save-decisions", out], "without --policy there are several"),
        (&["--policy", "adaptive@20", "--save-decisions", trace], "this is the input"),
        (
            &["--policy", "adaptive@20", "--save-decisions", "/no/such/folder/x"],
            "there is no folder",
        ),
        (&["--policy", "adaptive@20", "--save-decisions", out, "--report", out], "name another"),
    ] {
        let output = prewarm(&[&["simulate", "--trace", trace], flags].concat());
        let stderr = said(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{says:?} is missing in: {stderr}");
        assert_eq!(said(&output.stdout), "");
    }
    assert!(!Path::new(out).exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_after_the_run() {
    let folder = tempfile::tempdir().unwrap();
    small_log(folder.path());
    let trace = folder.path().join("jobs.csv");
    let output = prewarm(&[
        "simulate",
        "--trace",
        trace.to_str().unwrap(),
        "--policy",
        "adaptive@20",
        "--save-decisions",
        "/dev/full",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output.stdout).contains("adaptive@20"), "the table is shown all the same");
    let stderr = said(&output.stderr);
    assert!(stderr.contains("/dev/full: cannot write the decisions"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_a_whole_log() {
    let folder = tempfile::tempdir().unwrap();
    let row = |i| format!("{},{},4,1000,,amy,train\n", i * 60, 300 + i % 977);
    let rows = (0..200_000).map(row).collect::<Vec<_>>().concat();
    let trace = folder.path().join("long.csv");
    fs::write(&trace, format!("submit_s,duration_s,gpus,gpu_milli,gpu_type,owner,kind\n{rows}"))
        .unwrap();
    let log = folder.path().join("log.jsonl.gz");
    let (trace, path) = (trace.to_str().unwrap(), log.to_str().unwrap());
    let child = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["simulate", "--trace", trace, "--policy", "adaptive@20", "--save-decisions", path])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(4));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = said(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("Decisions up to the interruption"), "{stderr}");
    let output = prewarm(&["replay", path]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    assert!(said(&output.stdout).ends_with("all the same\n"));
}
