//! Alerts and the runbook.

use super::{
    files::{alerts, items, names, rules, text, word, yaml},
    promql,
};
use std::collections::BTreeSet;

fn names_of(alerts: &[serde_json::Value]) -> BTreeSet<String> {
    alerts.iter().map(|alert| word(&alert["alert"]).to_owned()).collect()
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    for alert in alerts() {
        let name = word(&alert["alert"]);
        let notes = &alert["annotations"];
        assert!(name.starts_with("Prewarm"), "{name}");
        assert!(!word(&alert["for"]).is_empty(), "{name} has no `for`");
        assert!(["critical", "warning"].contains(&word(&alert["labels"]["severity"])), "{name}");
        assert!(!word(&notes["summary"]).is_empty(), "{name}");
        assert!(word(&notes["description"]).len() > 80, "{name} says little");
        let url = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(word(&notes["runbook_url"]), url, "{name}");
    }
    assert_eq!(names_of(&alerts()).len(), alerts().len(), "no two of the same name");
}

/// A label that the expression does not leave would come out as nothing.
#[test]
fn texts_of_alerts_name_labels_that_there_are() {
    for alert in alerts() {
        let expr = word(&alert["expr"]);
        let mut known = promql::used(expr).labels;
        if expr.contains("pool:prewarm") {
            known.extend(["job", "pool"].map(str::to_owned));
        }
        for note in ["summary", "description"] {
            let note = word(&alert["annotations"][note]);
            for label in note.split("$labels.").skip(1) {
                let label = label.split(|one: char| !one.is_ascii_alphanumeric()).next().unwrap();
                assert!(known.contains(label), "{note}: {label}");
            }
        }
    }
}

#[test]
fn the_runbook_has_a_paragraph_for_each_alert_and_no_other() {
    let runbook = text("docs/runbook.md");
    let sections: Vec<(&str, &str)> = runbook
        .split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').unwrap_or((section, "")))
        .collect();
    let titles: BTreeSet<String> = sections.iter().map(|(title, _)| (*title).to_owned()).collect();
    assert_eq!(titles, names_of(&alerts()));
    for (title, told) in sections {
        for part in ["*Means.*", "*Check.*", "*Do.*"] {
            assert!(told.contains(part), "{title} lacks {part}");
        }
    }
    let anchors: BTreeSet<String> = titles.iter().map(|title| title.to_lowercase()).collect();
    for anchor in runbook.split("](#").skip(1).filter_map(|link| link.split(')').next()) {
        assert!(anchors.contains(anchor), "there is no #{anchor}");
    }
}

/// Of each alert the cases must show one that fires and one that does not.
#[test]
fn every_alert_has_a_case_that_fires_and_one_that_does_not() {
    let (mut fires, mut rests) = (BTreeSet::new(), BTreeSet::new());
    for file in names("deploy/monitoring/tests") {
        let cases = yaml(&format!("deploy/monitoring/tests/{file}"));
        let tests = items(&cases["tests"]);
        for case in tests.iter().flat_map(|test| items(&test["promql_expr_test"])) {
            let samples = items(&case["exp_samples"]);
            let expr = word(&case["expr"]);
            let asked = promql::matched(expr).into_iter().filter(|(label, _)| label == "alertname");
            if samples.is_empty() {
                rests.extend(asked.map(|(_, name)| name));
            } else if expr.starts_with("ALERTS") {
                let labels = samples.iter().map(|sample| word(&sample["labels"]));
                let firing = labels.filter(|labels| labels.contains("alertstate=\"firing\""));
                let found = firing.flat_map(promql::matched);
                let name = found.filter(|(label, _)| label == "alertname");
                fires.extend(name.map(|(_, name)| name));
            }
        }
    }
    assert_eq!(fires, names_of(&alerts()));
    assert_eq!(rests, names_of(&alerts()));
}

#[test]
fn whatever_is_recorded_is_used() {
    let rules = rules();
    let mut used: BTreeSet<String> = BTreeSet::new();
    for rule in &rules {
        used.extend(promql::used(word(&rule["expr"])).metrics);
    }
    for (_, board) in super::files::dashboards() {
        for expr in super::dashboards::expressions(&board) {
            used.extend(promql::used(&expr).metrics);
        }
    }
    for rule in rules.iter().filter(|rule| rule["record"].is_string()) {
        assert!(used.contains(word(&rule["record"])), "{} is for nothing", rule["record"]);
    }
}
