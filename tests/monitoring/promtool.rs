//! promtool's word on rules, dashboards and cases. The rule file it wants is the `spec` of the `PrometheusRule`.

use super::files::{dashboards, names, root, yaml};
use serde_json::json;
use std::{fs, path::Path, process::Command};

fn promtool(folder: &Path, args: &[String]) -> Option<String> {
    let Ok(done) = Command::new("promtool").args(args).current_dir(folder).output() else {
        println!("skipped: no promtool (Debian's package `prometheus` has it)");
        return None;
    };
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "promtool {}:\n{told}", args.join(" "));
    Some(told)
}

fn args(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn write_rules(folder: &Path) {
    let spec = &yaml("deploy/monitoring/rules.yaml")["spec"];
    fs::write(folder.join("rules.yml"), serde_json::to_vec(spec).unwrap()).unwrap();
}

#[test]
fn the_rules_are_rules() {
    let folder = tempfile::tempdir().unwrap();
    write_rules(folder.path());
    promtool(folder.path(), &args(&["check", "rules", "--lint-fatal", "rules.yml"]));
}

#[test]
fn what_panels_ask_is_promql() {
    let folder = tempfile::tempdir().unwrap();
    let exprs =
        dashboards().into_iter().flat_map(|(_, board)| super::dashboards::expressions(&board));
    let rules: Vec<_> = exprs
        .enumerate()
        .map(|(number, expr)| json!({ "record": format!("panel:{number}"), "expr": expr }))
        .collect();
    let count = rules.len();
    let file = json!({ "groups": [{ "name": "panels", "rules": rules }] });
    fs::write(folder.path().join("panels.yml"), serde_json::to_vec(&file).unwrap()).unwrap();
    if let Some(told) = promtool(folder.path(), &args(&["check", "rules", "panels.yml"])) {
        assert!(told.contains(&format!("{count} rules found")), "{told}");
    }
}

#[test]
fn the_cases_hold() {
    let folder = tempfile::tempdir().unwrap();
    write_rules(folder.path());
    let cases = "deploy/monitoring/tests";
    let mut words = args(&["test", "rules"]);
    for name in names(cases) {
        fs::copy(root().join(cases).join(&name), folder.path().join(&name)).unwrap();
        words.push(name);
    }
    promtool(folder.path(), &words);
}
