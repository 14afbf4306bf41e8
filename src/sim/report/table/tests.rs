use super::{super::invented, *};

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap()
}

#[test]
fn a_dozen_policies_with_long_names_fit_a_hundred_columns() {
    let mut report = invented::report();
    report.policies[3].name =
        "hysteresis:up=0.85,down=0.35,step=4,idle=30m,cooldown=15m".to_owned();
    report.policies[4].name = "x".repeat(150);
    report.scenario = "a very long scenario name ".repeat(8) + &"y".repeat(130);
    report.policies[5].node_hours = 9.87e9;
    report.policies[5].until_hours = Some(1000.0);
    assert!(report.policies.len() >= 12);
    let text = table(&report);
    assert!(widest(&text) <= WIDTH, "{} columns:\n{text}", widest(&text));
}

#[test]
fn the_best_value_is_marked_and_the_reference_stands_apart() {
    let mut report = invented::report();
    for policy in &mut report.policies {
        policy.node_hours = if policy.name == "ces" { 70_000.0 } else { 90_000.0 };
    }
    let reference = report.policies.iter_mut().find(|p| p.name == "clairvoyant").unwrap();
    reference.node_hours = 60_000.0;
    let text = table(&report);
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(line("ces").contains("70,000*"));
    assert!(!line("clairvoyant").contains('*'));
    let place = |start: &str| text.lines().position(|line| line.starts_with(start)).unwrap();
    assert!(
        place("for reference:") > place("ces") && place("clairvoyant") > place("for reference:")
    );
}

#[test]
fn colour_codes_come_only_when_asked_for_and_change_nothing_else() {
    let report = invented::report();
    let plain = table(&report);
    let coloured = table_in_colour(&report);
    assert!(!plain.contains('\u{1b}'));
    assert!(coloured.contains("\u{1b}[1;32m"));
    assert_eq!(coloured.replace("\u{1b}[1;32m", "").replace("\u{1b}[0m", ""), plain);
}

#[test]
fn figures_stand_under_one_another() {
    let text = table(&invented::report());
    let ends: Vec<usize> = text
        .lines()
        .filter(|l| l.starts_with("reactive ") || l.starts_with("ces ") || l.starts_with("clairv"))
        .map(|l| l.chars().rev().skip_while(|c| *c == ' ' || *c == '*').count())
        .collect();
    assert_eq!(ends.len(), 3);
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}\n{text}");
}

#[test]
fn names_cannot_steer_the_terminal() {
    let mut report = invented::report();
    report.policies[0].name = "evil\u{1b}[2J\nname".to_owned();
    report.scenario = "\u{7}bell".to_owned();
    let text = table(&report);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'));
}

#[test]
fn skipped_rows_and_interrupted_runs_are_told() {
    let mut report = invented::report();
    report.partial = true;
    report.policies[1].until_hours = Some(12.0);
    let text = table(&report);
    assert!(text.contains("no GPU asked for (1,204)"), "{text}");
    assert!(text.contains("PARTIAL") && text.contains("(partial, to 12.0 h)"), "{text}");
    assert!(!table(&invented::report()).contains("PARTIAL"));
}

#[test]
fn an_empty_report_is_a_table_without_rows() {
    assert!(table(&invented::empty_report()).contains("No policy was run."));
}

#[test]
fn what_the_engine_did_stands_below_the_table() {
    assert!(!table(&invented::report()).contains("followed:"));
    let text = table(&invented::with_engine());
    assert!(widest(&text) <= WIDTH, "{text}");
    for told in [
        "\nadaptive@20:\n  cost at its own kappa: 900 at κ = 20, gap closed 40 %\n",
        "  limits that bound a decision: the credit for nodes ahead of demand (1,200 ×), the step limit",
        "  followed: first reactive,idle=5m; from 36.0 h watermark:0.1,idle=10m\n",
        "\nbest-fixed@100:\n",
        "  the best of the candidates in hindsight: headroom:2nodes\n",
        "has a cost and a gap at that κ only",
    ] {
        assert!(text.contains(told), "{told:?} is missing in:\n{text}");
    }
}
