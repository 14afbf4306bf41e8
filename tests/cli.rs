//! The program as people meet it: exit codes, messages, files, Ctrl-C.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "measures how long Ctrl-C takes")]

mod support;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

fn prewarm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_prewarm")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Exit code 2, nothing on stdout, and one message that says all of this.
#[track_caller]
fn refused(arguments: &[&str], says: &[&str]) {
    let output = prewarm(arguments);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(stdout(&output), "");
    for part in says {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

const HEADER: &str = "submit_s,duration_s,gpus,gpu_milli,gpu_type,owner,kind\n";

fn small_trace(folder: &Path) -> PathBuf {
    file(
        folder,
        "jobs.csv",
        &format!("{HEADER}0,600,8,1000,,amy,train\n60,600,4,1000,,amy,train\n"),
    )
}

#[test]
fn a_trace_alone_gives_the_document_of_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let trace = small_trace(folder.path());
    let arguments = ["simulate", "--trace", trace.to_str().unwrap(), "--output", "json"];
    let flags = ["--policy", "reactive,watermark:0.5,idle=30m,clairvoyant", "--score-from", "0h"];
    let output = prewarm(&[&arguments[..], &flags[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["schema"], "prewarm.report/v1");
    assert_eq!(report["scenario"], "jobs.csv");
    assert_eq!(report["trace"]["jobs"], 2);
    assert_eq!(report["trace"]["gpu_jobs"], 2);
    assert_eq!(report["trace"]["skipped"], serde_json::json!({}));
    assert_eq!(report["settings"]["gpus_per_node"], 8);
    assert_eq!(report["settings"]["lead_time_seconds"], 540.0);
    assert_eq!(report["settings"]["seed"], 1);
    let names: Vec<_> = report["policies"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["reactive", "watermark:0.5,idle=30m", "clairvoyant"]);
    let reactive = &report["policies"][0];
    assert_eq!(reactive["wait_seconds"]["mean"], 540.0);
    assert_eq!(reactive["node_starts"], 2);
    assert_eq!(reactive["gap_closed"]["20"], 0.0);
    assert!(reactive["cost"]["5"].is_f64() && reactive["cost"]["100"].is_f64());
    assert!(report["bounds"]["node_hours_lower"].is_f64());
}

#[test]
fn wrong_arguments_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let trace = small_trace(folder.path());
    let trace = trace.to_str().unwrap();
    refused(&["simulate"], &["name a scenario", "--trace FILE"]);
    refused(&["simulate", "--trase", trace], &["--trase", "--trace"]);
    refused(&["simulate", "--trace", trace, "--policy", "reactiv"], &["did you mean `reactive`"]);
    refused(&["simulate", "--trace", trace, "--policy", "reactive,reactive"], &["twice"]);
    refused(
        &["simulate", "--trace", trace, "--policy", "watermark:0.2,idel=5m"],
        &["did you mean `idle`"],
    );
    refused(&["simulate", "--trace", trace, "--gpus-per-node", "0"], &["1 to 128"]);
    refused(&["simulate", "--trace", trace, "--provisioning", "5 parsecs"], &["300s, 5m or 1h30m"]);
    refused(&["simulate", "--trace", trace, "--pool", "a100"], &["NAME=GPUS[:MODEL]"]);
    refused(&["simulate", "--trace", trace, "--score-from", "99h"], &["nothing would be scored"]);
    refused(
        &["simulate", "--trace", trace, "--placement", "worst"],
        &["best-fit, spread, fgd or prewarm"],
    );
    let limits = ["--min-nodes", "3", "--max-nodes", "2"];
    refused(&[&["simulate", "--trace", trace], &limits[..]].concat(), &["`default`", "3", "2"]);
    let pools = ["--pool", "a=8", "--pool", "a=4"];
    refused(&[&["simulate", "--trace", trace], &pools[..]].concat(), &["`a`", "twice"]);
    refused(&["simulate", "--trace", trace, "--failure-rate", "1"], &["0.99"]);
    refused(&["simulate", "no-such-scenario.yaml"], &["no-such-scenario.yaml"]);
    refused(&["simulate", "--trace", "no-such-trace.csv"], &["no-such-trace.csv"]);
    refused(&["simulate", "--trace", trace, "--threads", "0"], &["1..=256"]);
    refused(&["simulat"], &["simulate"]);
    for (flag, value, says) in [
        ("--min-nodes", "-5", "1000000"),
        ("--max-nodes", "-5", "1000000"),
        ("--min-nodes", "1000001", "1000000"),
        ("--max-nodes", "0", "1..=1000000"),
        ("--seed", "-5", "not a seed"),
        ("--failure-rate", "-0.5", "between 0 and 0.99"),
        ("--lead-cv", "-1", "between 0 and 10"),
        ("--provisioning", "-5", "write 300s"),
        ("--gpus-per-node", "-8", "1 to 128"),
        ("--pool", "=8", "the name is empty"),
    ] {
        refused(&["simulate", "--trace", trace, flag, value], &[flag, value, says]);
    }
    let scenario = "end: 1d\npools: [{name: ''}]\npolicies: [reactive]\n\
                    arrivals: [{name: j, jobs: [{at: 0s, gpus: 8, duration: 1h}]}]\n";
    let scenario = file(folder.path(), "nameless.yaml", scenario);
    refused(&["simulate", scenario.to_str().unwrap()], &["name"]);
}

#[test]
fn a_wrong_value_in_a_trace_is_named_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let trace = file(
        folder.path(),
        "bad.csv",
        &format!("{HEADER}0,600,8,1000,,a,t\n5,60,many,1000,,a,t\n"),
    );
    refused(&["simulate", "--trace", trace.to_str().unwrap()], &["bad.csv:3", "gpus", "`many`"]);
}

#[test]
fn an_unknown_key_of_a_scenario_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let text = "end: 1d\npools: [{name: a, gpuPerNode: 8}]\npolicies: [reactive]\n\
                arrivals: [{name: j, jobs: [{at: 0s, gpus: 8, duration: 1h}]}]\n";
    let scenario = file(folder.path(), "x.yaml", text);
    refused(&["simulate", scenario.to_str().unwrap()], &["x.yaml:2", "gpuPerNode", "gpusPerNode"]);
}

#[test]
fn a_broken_expectation_is_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let text = "end: 1d\nscoreFrom: 0s\npools: [{name: a}]\npolicies: [reactive]\n\
                arrivals: [{name: j, jobs: [{at: 1h, gpus: 8, duration: 1h}]}]\n\
                expect: [{policy: reactive, metric: wait_seconds.mean, below: 60}]\n";
    let scenario = file(folder.path(), "x.yaml", text);
    let output = prewarm(&["simulate", scenario.to_str().unwrap(), "--check"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("FAIL"), "{}", stderr(&output));
    assert!(stderr(&output).contains("540"), "{}", stderr(&output));
}

#[test]
fn recorded_supply_delays_a_node_and_a_node_list_makes_pools() {
    let folder = tempfile::tempdir().unwrap();
    let trace = small_trace(folder.path());
    let dry_hour = r#"{"metadata": {"gap_seconds": 3600}, "data": [0, 9]}"#;
    let supply = file(folder.path(), "supply.json", dry_hour);
    let nodes = file(
        folder.path(),
        "nodes.csv",
        "sn,cpu_milli,memory_mib,gpu,model\nn1,96000,786432,8,A100\nn2,96000,786432,0,\n",
    );
    let (trace, supply) = (trace.to_str().unwrap(), supply.to_str().unwrap());
    let run = |flags: &[&str]| -> serde_json::Value {
        let fixed = ["simulate", "--trace", trace, "--output", "json", "--score-from", "0h"];
        let output = prewarm(&[&fixed[..], &["--policy", "reactive"], flags].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let wait =
        |report: &serde_json::Value| report["policies"][0]["wait_seconds"]["max"].as_f64().unwrap();
    // Nothing to be had for an hour, then tried again after at most 30 min, then a lead time.
    let delayed = wait(&run(&["--supply", supply]));
    assert!((3600.0 + 480.0..3600.0 + 1800.0 + 540.0).contains(&delayed), "{delayed}");
    let fixed = run(&["--nodes", nodes.to_str().unwrap()]);
    assert_eq!(fixed["settings"]["pools"][0]["name"], "A100-8");
    assert_eq!(fixed["settings"]["pools"][0]["max_nodes"], 1);
    // The node is there; the second job waits for the first to end.
    assert!((wait(&fixed) - 540.0).abs() < 1e-9);
    refused(
        &["simulate", "--trace", trace, "--pool", "a=8", "--pool", "b=8", "--supply", supply],
        &["POOL=FILE", "a, b"],
    );
}

#[test]
fn several_pools_stand_after_commas() {
    let folder = tempfile::tempdir().unwrap();
    let trace = small_trace(folder.path());
    let fixed = ["simulate", "--trace", trace.to_str().unwrap(), "--output", "json"];
    let flags = ["--policy", "reactive", "--pool", "a100=8:A100,t4=4:T4"];
    let output = prewarm(&[&fixed[..], &flags[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["settings"]["pools"][0]["name"], "a100");
    assert_eq!(report["settings"]["pools"][1]["gpu_model"], "T4");
}

#[test]
fn the_page_is_written_and_its_path_is_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let trace = small_trace(folder.path());
    let page = folder.path().join("report.html");
    let (trace, page) = (trace.to_str().unwrap(), page.to_str().unwrap());
    let output = prewarm(&["simulate", "--trace", trace, "--report", page]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let last = stdout(&output).trim_end().rsplit('\n').next().unwrap().to_owned();
    assert!(last.starts_with("Report: ") && last.ends_with("report.html"), "{last}");
    let html = fs::read_to_string(page).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("<svg"));
    let nowhere = ["simulate", "--trace", trace, "--report", "/no/such/folder/x.html"];
    let output = prewarm(&nowhere);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there is no folder /no/such/folder"));
    assert_eq!(stdout(&output), "", "refused before the work");
}

#[test]
fn the_page_replaces_no_input() {
    let folder = tempfile::tempdir().unwrap();
    let trace = small_trace(folder.path());
    let nodes =
        file(folder.path(), "nodes.csv", "sn,cpu_milli,memory_mib,gpu,model\nn1,9,9,8,T4\n");
    let supply = file(folder.path(), "s.json", r#"{"metadata": {"gap_seconds": 9}, "data": [9]}"#);
    let text = "end: 1d\npools: [{name: a}]\npolicies: [reactive]\n\
                arrivals: [{name: t, trace: jobs.csv}]\n";
    let scenario = file(folder.path(), "x.yaml", text);
    let files = [&trace, &nodes, &supply, &scenario];
    let before = files.map(|file| fs::read(file).unwrap());
    let [trace, nodes, supply, scenario] = files.map(|file| file.to_str().unwrap());
    let roundabout = folder.path().join(".").join("jobs.csv");
    let of_trace = ["simulate", "--trace", trace];
    for (flags, page) in [
        (&["--policy", "reactive"][..], roundabout.to_str().unwrap()),
        (&["--nodes", nodes], nodes),
        (&["--supply", &format!("default={supply}")], supply),
    ] {
        let arguments = [&of_trace[..], flags, &["--report", page]].concat();
        refused(&arguments, &["this is the input: name another file"]);
    }
    for page in [scenario, trace] {
        refused(&["simulate", scenario, "--report", page], &["this is the input"]);
    }
    refused(
        &[&of_trace[..], &["--report", folder.path().to_str().unwrap()]].concat(),
        &["this is a folder"],
    );
    assert_eq!([trace, nodes, supply, scenario].map(|file| fs::read(file).unwrap()), before);
}

#[test]
fn what_to_know_before_trusting_the_figures_stands_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "0,600,8,1000,T4,amy,train\n0,600,8,1000,A100,amy,train\n";
    let trace = file(folder.path(), "jobs.csv", &format!("{HEADER}{rows}"));
    let page = folder.path().join("report.html");
    let run = |flags: &[&str]| {
        let fixed = ["simulate", "--policy", "reactive", "--trace", trace.to_str().unwrap()];
        let output = prewarm(&[&fixed[..], flags].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let table = run(&["--pool", "t4=8:T4", "--report", page.to_str().unwrap()]);
    assert!(table.contains("! 1 job fits no pool") && table.contains("8 GPU of A100"), "{table}");
    assert!(fs::read_to_string(&page).unwrap().contains("1 job fits no pool"));
    let report: serde_json::Value = serde_json::from_str(&run(&["--output", "json"])).unwrap();
    let caveats = report["caveats"].as_array().unwrap();
    assert_eq!(caveats.len(), 1);
    assert!(caveats[0].as_str().unwrap().starts_with("2 jobs ask for a GPU model"), "{caveats:?}");
}

#[test]
fn a_trace_without_jobs_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let header = file(folder.path(), "header.csv", HEADER);
    let no_gpu = file(folder.path(), "cpu.csv", &format!("{HEADER}0,600,0,1000,,amy,train\n"));
    let (header, no_gpu) = (header.to_str().unwrap(), no_gpu.to_str().unwrap());
    refused(&["simulate", "--trace", header], &["header.csv", "a header but no row"]);
    refused(&["simulate", "--trace", no_gpu], &["cpu.csv", "none of the 1 rows", "1 no gpu"]);
    let text = "end: 1d\npools: [{name: a}]\npolicies: [reactive]\n\
                arrivals: [{name: j, jobs: [{at: 0s, gpus: 8, duration: 1h}]}]\n";
    let scenario = file(folder.path(), "x.yaml", text);
    refused(&["simulate", scenario.to_str().unwrap(), "--trace", header], &["no row"]);
}

#[test]
fn the_order_of_rows_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<String> = (0..500)
        .map(|i| {
            format!(
                "{},{},{},1000,,o{},t\n",
                i * 37 % 9000,
                60 + i * 91 % 4000,
                1 << (i % 4),
                i % 7
            )
        })
        .collect();
    let forward = file(folder.path(), "same.csv", &format!("{HEADER}{}", rows.concat()));
    let run = |path: &Path| {
        let output = prewarm(&["simulate", "--trace", path.to_str().unwrap(), "--output", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let before = run(&forward);
    let reversed: String = rows.iter().rev().cloned().collect();
    let backward = file(folder.path(), "same.csv", &format!("{HEADER}{reversed}"));
    assert_eq!(before, run(&backward));
}

/// A trace that keeps the program busy for seconds.
fn long_trace(folder: &Path) -> PathBuf {
    let path = folder.join("long.csv");
    let mut text = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    text.write_all(HEADER.as_bytes()).unwrap();
    for i in 0..400_000u64 {
        writeln!(text, "{},{},{},1000,,u{},t", i * 30, 60 + i * 7919 % 40_000, 1 + i % 9, i % 50)
            .unwrap();
    }
    text.into_inner().unwrap().sync_all().unwrap();
    path
}

#[test]
fn ctrl_c_ends_within_a_second_and_shows_what_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = long_trace(folder.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["simulate", "--trace", path.to_str().unwrap(), "--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success(), "it had ended before it could be interrupted");
    let asked = Instant::now();
    while child.try_wait().unwrap().is_none() && asked.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = asked.elapsed();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    assert!(stderr(&output).contains("interrupted"), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["partial"], true);
}

#[test]
fn a_file_that_is_not_there_says_where_it_was_looked_for() {
    let here = std::env::current_dir().unwrap().display().to_string();
    for arguments in [&["simulate", "--trace", "no/such.csv"][..], &["simulate", "no/such.yaml"]] {
        refused(arguments, &["no/such", "hint: ", &here]);
    }
    refused(&["replay", "no/such.jsonl"], &["no/such", "hint: ", &here]);
}

#[test]
fn a_negative_span_is_told_what_a_span_is() {
    refused(&["simulate", "--trace", "x.csv", "--provisioning", "-5m"], &["`-5m`", "write 300s"]);
}

/// The second Ctrl-C ends the program at once; what was half written does not stay.
#[cfg(unix)]
#[test]
fn a_second_ctrl_c_leaves_no_half_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = long_trace(folder.path());
    let out = folder.path().join("log.jsonl.gz");
    let mut child = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["simulate", "--trace", path.to_str().unwrap(), "--policy", "adaptive@20"])
        .args(["--save-decisions", out.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let half_files = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".part")).count()
    };
    let began = Instant::now();
    while half_files() == 0 && began.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(half_files(), 1, "it ended, or never began to write");
    for _ in 0..2 {
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(half_files(), 0);
}

#[test]
fn help_has_an_example_and_goes_to_stdout() {
    for command in ["simulate", "import", "replay", "explain"] {
        let output = prewarm(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("Example"), "{command}");
    }
}

#[test]
fn the_traces_that_ship_with_nobody_are_read_when_they_are_there() {
    let Some(traces) = support::traces() else { return };
    let philly = traces.join("philly_d00_52.csv.gz");
    let output = prewarm(&[
        "simulate",
        "--trace",
        philly.to_str().unwrap(),
        "--policy",
        "reactive",
        "--score-from",
        "240h",
        "--output",
        "json",
    ]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["trace"]["jobs"], 64_483);
    let lower = report["bounds"]["node_hours_lower"].as_f64().unwrap();
    assert!((lower - 73_900.0).abs() < 0.01 * 73_900.0, "{lower}");
}
