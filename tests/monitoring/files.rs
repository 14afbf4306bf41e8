//! The files under `deploy/` and what is in them.

use serde_json::Value;
use std::{fs, path::PathBuf};

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn text(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of files in a folder, in order.
pub(crate) fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// All rules of the `PrometheusRule`, recording and alerting.
pub(crate) fn rules() -> Vec<Value> {
    let rule = yaml("deploy/monitoring/rules.yaml");
    let groups = items(&rule["spec"]["groups"]);
    groups.iter().flat_map(|group| items(&group["rules"])).cloned().collect()
}

pub(crate) fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

/// File name and content.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let folder = "deploy/monitoring/dashboards";
    let read = |name: String| {
        let board = serde_json::from_str(&text(&format!("{folder}/{name}")));
        let board = board.unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, board)
    };
    names(folder).into_iter().map(read).collect()
}
