//! The dashboards: complete panels, on series that there are.

use super::{
    files::{dashboards, items, text, word, yaml},
    registered,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// What Grafana puts in place of variables, by the longest name first.
const VARIABLES: [(&str, &str); 7] = [
    ("$waiting_cost_ratio", "20"),
    ("$__rate_interval", "5m"),
    ("$gpu_hour_price", "2"),
    ("$gpus_per_node", "8"),
    ("$__range", "6h"),
    ("$pool", "gpu/a100"),
    ("$job", "prewarm"),
];

fn substituted(expr: &str) -> String {
    let put = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
    let expr = VARIABLES.iter().fold(expr.to_owned(), put);
    assert!(!expr.contains('$'), "{expr}: which variable is that?");
    expr
}

fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    items(&board["panels"]).iter().filter(|panel| panel["type"] != "row")
}

/// Everything that its panels ask, with values for variables.
pub(crate) fn expressions(board: &Value) -> Vec<String> {
    let targets = panels(board).flat_map(|panel| items(&panel["targets"]));
    targets.map(|target| substituted(word(&target["expr"]))).collect()
}

#[test]
fn every_series_that_panels_and_variables_name_exists() {
    let series = registered::series();
    for (name, board) in dashboards() {
        for expr in expressions(&board) {
            let unknown = registered::unknown(&expr, &series);
            assert!(unknown.is_empty(), "{name}: {expr}: there is no {unknown:?}");
        }
        for variable in items(&board["templating"]["list"]) {
            if variable["type"] != "query" {
                continue;
            }
            let query = word(&variable["query"]["query"]);
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (selector, label) = inner.unwrap().rsplit_once(", ").unwrap();
            let expr = format!("sum by ({label}) ({})", substituted(selector));
            let unknown = registered::unknown(&expr, &series);
            assert!(unknown.is_empty(), "{name}: {query}: there is no {unknown:?}");
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_what_is_too_much() {
    for (name, board) in dashboards() {
        for panel in panels(&board) {
            let (title, defaults) = (&panel["title"], &panel["fieldConfig"]["defaults"]);
            assert!(word(&panel["description"]).len() > 5, "{name}, {title}: no description");
            assert!(!word(&defaults["unit"]).is_empty(), "{name}, {title}: no unit");
            let steps = items(&defaults["thresholds"]["steps"]);
            assert!(
                !steps.is_empty() && steps[0]["value"].is_null(),
                "{name}, {title}: thresholds"
            );
            assert!(!items(&panel["targets"]).is_empty(), "{name}, {title}: asks nothing");
        }
    }
}

/// Another Grafana has other numbers and other data sources.
#[test]
fn nothing_is_bound_to_one_grafana() {
    let boards = dashboards();
    let uids: BTreeSet<&str> = boards.iter().map(|(_, board)| word(&board["uid"])).collect();
    assert_eq!(uids.len(), boards.len());
    for (name, board) in &boards {
        assert!(board["id"].is_null(), "{name}: the number of a dashboard is Grafana's to give");
        assert_eq!(board["schemaVersion"], 42, "{name}: Grafana 12's");
        assert_eq!(*name, format!("{}.json", word(&board["uid"])));
        let variables = items(&board["templating"]["list"]);
        assert_eq!(variables[0]["type"], "datasource", "{name}");
        let queries = variables.iter().filter(|variable| variable["type"] == "query");
        let targets = panels(board).flat_map(|panel| items(&panel["targets"]));
        for asks in panels(board).chain(targets).chain(queries) {
            assert_eq!(asks["datasource"]["uid"], "${datasource}", "{name}: {asks:#}");
        }
        for link in items(&board["links"]) {
            let uid = word(&link["url"]).strip_prefix("/d/").unwrap();
            assert!(uids.contains(uid), "{name}: link to {uid}");
        }
    }
}

#[test]
fn panels_lie_side_by_side() {
    for (name, board) in dashboards() {
        let mut taken = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        for panel in items(&board["panels"]) {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{name}: {}", panel["title"]);
            assert!(at("x") + at("w") <= 24, "{name}: {} is too wide", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{name}: {} lies on another", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn kustomize_makes_a_config_map_of_each() {
    let kustomization = yaml("deploy/monitoring/kustomization.yaml");
    let maps = items(&kustomization["configMapGenerator"]);
    let told: BTreeSet<&str> = maps.iter().flat_map(|map| items(&map["files"])).map(word).collect();
    let names: Vec<String> =
        dashboards().into_iter().map(|(name, _)| format!("dashboards/{name}")).collect();
    assert_eq!(told, names.iter().map(String::as_str).collect());
    for resource in items(&kustomization["resources"]) {
        assert!(!text(&format!("deploy/monitoring/{}", word(resource))).is_empty());
    }
}

/// A variable that is not given would be asked for as it stands.
#[test]
fn variables_that_panels_use_are_given() {
    for (name, board) in dashboards() {
        let variables = items(&board["templating"]["list"]);
        let given: BTreeSet<&str> = variables.iter().map(|given| word(&given["name"])).collect();
        for panel in panels(&board) {
            for target in items(&panel["targets"]) {
                let used = word(&target["expr"]).split('$').skip(1);
                let used = used.filter_map(|text| {
                    text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_').next()
                });
                for variable in used.filter(|variable| !variable.starts_with("__")) {
                    assert!(given.contains(variable), "{name}, {}: ${variable}", panel["title"]);
                }
            }
        }
    }
}
