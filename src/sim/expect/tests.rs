use super::*;

fn report() -> Report {
    let mut report = specimen();
    let reactive = &mut report.policies[0];
    reactive.name = "reactive".to_owned();
    reactive.node_hours = 100.0;
    reactive.wait_seconds.mean = 545.0;
    reactive.waiting_by_cause.insert("lead", 3.0);
    let watermark =
        PolicyReport { name: "watermark:0.2".to_owned(), node_hours: 120.0, ..reactive.clone() };
    report.policies.push(watermark);
    report.bounds.node_hours_lower = 80.0;
    report
}

fn expectation(policy: &str, metric: &str, comparison: Comparison, value: f64) -> Expectation {
    Expectation {
        line: 1,
        policy: Some(policy.to_owned()),
        metric: metric.to_owned(),
        comparison,
        value,
        times: None,
    }
}

fn verdict(expectation: Expectation) -> Verdict {
    judge(&[expectation], &report()).unwrap().remove(0)
}

#[test]
fn each_comparison_draws_its_line_where_its_name_says() {
    let cases = [
        (Comparison::Below, 545.0, false),
        (Comparison::Below, 545.1, true),
        (Comparison::Above, 545.0, false),
        (Comparison::Above, 544.9, true),
        (Comparison::AtMost, 545.0, true),
        (Comparison::AtMost, 544.9, false),
        (Comparison::AtLeast, 545.0, true),
        (Comparison::AtLeast, 545.1, false),
        (Comparison::Equals, 545.0, true),
        (Comparison::Equals, 545.001, false),
        (Comparison::Within(5.0), 540.0, true),
        (Comparison::Within(4.9), 540.0, false),
    ];
    for (comparison, value, passed) in cases {
        let expected = expectation("reactive", "wait_seconds.mean", comparison, value);
        assert_eq!(verdict(expected).passed, passed, "{comparison:?} {value}");
    }
}

#[test]
fn a_relative_expectation_is_a_multiple_of_the_other_figure() {
    let times =
        Some(Reference { policy: Some("reactive".to_owned()), metric: "node_hours".to_owned() });
    let base = expectation("watermark:0.2", "node_hours", Comparison::AtMost, 1.2);
    let fits = Expectation { times: times.clone(), ..base.clone() };
    assert!(verdict(fits).passed);
    let verdict = verdict(Expectation { times, value: 1.1, ..base });
    assert_eq!(
        verdict.to_string(),
        "FAIL watermark:0.2 node_hours: expected <= 1.1 x reactive node_hours (110), found 120"
    );
}

#[test]
fn figures_of_the_report_need_no_policy() {
    let times = Some(Reference { policy: None, metric: "bounds.node_hours_lower".to_owned() });
    let base = expectation("reactive", "node_hours", Comparison::AtLeast, 1.0);
    assert!(verdict(Expectation { times, ..base.clone() }).passed);
    let expected = Expectation { policy: None, metric: "trace.gpu_jobs".to_owned(), ..base };
    let verdict = verdict(expected);
    assert_eq!(verdict.to_string(), "FAIL trace.gpu_jobs: expected >= 1, found 0");
}

#[test]
fn a_cause_that_did_not_occur_counts_nothing() {
    let waiting = |cause: &str| format!("waiting_by_cause.{cause}");
    assert!(verdict(expectation("reactive", &waiting("max"), Comparison::Equals, 0.0)).passed);
    assert!(verdict(expectation("reactive", &waiting("lead"), Comparison::Equals, 3.0)).passed);
    let wrong = expectation("reactive", &waiting("maxx"), Comparison::Equals, 0.0);
    assert!(judge(&[wrong], &report()).is_err());
}

#[test]
fn a_null_figure_fails_and_says_so() {
    let verdict = verdict(expectation("reactive", "gap_closed.20", Comparison::AtLeast, 0.0));
    assert_eq!(
        verdict.to_string(),
        "FAIL reactive gap_closed.20: expected >= 0, found nothing (null)"
    );
}

#[test]
fn unknown_names_are_all_told_with_a_hint() {
    let expectations = [
        expectation("reactiv", "node_hours", Comparison::Below, 1.0),
        expectation("reactive", "node_hour", Comparison::Below, 1.0),
    ];
    let errors = judge(&expectations, &report()).unwrap_err();
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "policy \"reactiv\" is not in the report; did you mean \"reactive\"?",
            "unknown metric \"node_hour\"; did you mean \"node_hours\"?",
        ]
    );
}
