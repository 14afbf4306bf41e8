use super::*;
use crate::{
    model::{StageTime, SupplyLimit},
    time::Millis,
};

const SOURCE: &str = "- {name: s, duration: 5m, poisson: {perHour: 1}}";

/// A file with this in its head, one pool with these keys and one source.
fn with(head: &str, pool: &str) -> String {
    format!("end: 10d\n{head}pools:\n- {{name: a{pool}}}\narrivals:\n{SOURCE}\n")
}

fn ok(text: &str) -> Scenario {
    parse("dir/x.yaml", text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn told(text: &str) -> Vec<String> {
    let problems = parse("x.yaml", text).expect_err(text).to_string();
    problems.lines().map(str::to_owned).collect()
}

/// What is told about one source written below line 4.
fn told_of(source: &str) -> Vec<String> {
    told(&format!("end: 10d\npools:\n- name: a\narrivals:\n{source}\n"))
}

#[test]
fn what_is_left_out_has_the_usual_value() {
    let scenario = ok(&with("", ""));
    assert_eq!((scenario.name.as_str(), scenario.seed), ("x", 1));
    assert_eq!(scenario.score_from, Timestamp::from_secs(10 * 86_400 / 4));
    assert_eq!(scenario.decision_every, Millis::from_secs(10));
    assert_eq!(scenario.placement, PlacementName::BestFit);
    assert_eq!(scenario.pools, [model::Pool::new("a", 8)]);
    // 2026-01-05 is a Monday, 20,458 days after 1970-01-01.
    assert_eq!(scenario.starts_at, Timestamp::from_secs(20_458 * 86_400));
}

#[test]
fn every_property_of_a_pool_can_be_set() {
    let scenario = ok("end: 10d\narrivals:\n- {name: s, duration: 5m, poisson: {perHour: 1}}\n\
        pools:\n- name: mig\n  gpusPerNode: 56\n  resource: nvidia.com/mig-1g.10gb\n  gpuModel: \
        H100\n  cpu: 96\n  memory: 1Ti\n  labels: {zone: b, disk: ssd}\n  price: 3.5\n  minNodes: \
        1\n  maxNodes: 4\n  leadTime: {provisioning: 3m, warmUp: {mean: 2m, cv: 0.1}, cv: 0.25}\n  \
        drain: 90s\n  failureRate: 0.02\n  supply: [{from: 6h, until: 7h, nodes: 2}]\n  \
        stockOuts: [{from: 1h, until: 2h}]\n");
    let hour = |hour: i64| Timestamp::from_secs(hour * 3600);
    let pool = model::Pool {
        resource: "nvidia.com/mig-1g.10gb".to_owned(),
        gpu_model: "H100".to_owned(),
        cpu_milli: Some(96_000),
        memory_mib: Some(1_048_576),
        labels: [("disk", "ssd"), ("zone", "b")].map(|(k, v)| (k.into(), v.into())).to_vec(),
        price: 3.5,
        min_nodes: 1,
        max_nodes: Some(4),
        lead_time: model::LeadTime {
            provisioning: StageTime { mean: Millis::from_mins(3), cv: 0.25 },
            warm_up: StageTime { mean: Millis::from_mins(2), cv: 0.1 },
        },
        drain: Millis::from_secs(90),
        failure_rate: 0.02,
        supply: vec![
            SupplyLimit { from: hour(1), until: hour(2), nodes: 0 },
            SupplyLimit { from: hour(6), until: hour(7), nodes: 2 },
        ],
        ..model::Pool::new("mig", 56)
    };
    assert_eq!(scenario.pools, [pool]);
}

#[test]
fn all_problems_are_told_at_once_with_line_and_field() {
    let text = "end: 10d\nsede: 1\nplacement: bestfit\npools:\n- name: a\n  minNodes: 9\n  \
                maxNodes: 4\n  drain: 90\n  lables: {}\narrivals:\n- name: s\n  gpus: 0\n  poisson: \
                {perHour: -1}\n";
    assert_eq!(
        told(text),
        [
            "x.yaml:2: sede: unknown key; did you mean `seed`?",
            "x.yaml:3: placement: no placement is called \"bestfit\"; did you mean `best-fit`?",
            "x.yaml:6: pools[0].minNodes: must be <= maxNodes (4), got 9",
            "x.yaml:8: pools[0].drain: must be a duration such as 90s, 5m, 1h30m or 2d, got 90",
            "x.yaml:9: pools[0].lables: unknown key; did you mean `labels`?",
            "x.yaml:11: arrivals[0]: `duration` is missing",
            "x.yaml:12: arrivals[0].gpus: must be a whole number from 1 to 100000, got 0",
            "x.yaml:13: arrivals[0].poisson.perHour: must be a number from 0 to 10000000, got -1",
        ]
    );
}

#[test]
fn a_node_has_no_more_devices_than_can_be_told_apart() {
    assert_eq!(ok(&with("", ", gpusPerNode: 128")).pools[0].gpus_per_node, model::MAX_DEVICES);
    assert_eq!(
        told(&with("", ", gpusPerNode: 129")),
        ["x.yaml:3: pools[0].gpusPerNode: must be a whole number from 1 to 128, got 129"]
    );
}

#[test]
fn an_empty_file_is_told_what_it_needs() {
    let lines = told("description: nothing\n");
    assert_eq!(lines.len(), 3, "{lines:?}");
    for key in ["end", "pools", "arrivals"] {
        assert!(lines.iter().any(|l| l.ends_with(&format!("`{key}` is missing"))), "{lines:?}");
    }
    assert_eq!(
        told("end: 1d\npools: []\narrivals: 5\n"),
        ["x.yaml:2: pools: needs at least one pool", "x.yaml:3: arrivals: must be a list, got 5",]
    );
    assert!(parse("x.yaml", "").is_err());
    assert!(parse("x.yaml", "- a\n- b\n").is_err());
}

#[test]
fn a_source_needs_exactly_one_kind() {
    let misspelt = told_of("- {name: s, duration: 5m, posson: {perHour: 1}}");
    assert_eq!(misspelt.len(), 2, "{misspelt:?}");
    assert!(misspelt[0].contains("needs exactly one of poisson, bursts"), "{misspelt:?}");
    assert!(misspelt[1].ends_with("did you mean `poisson`?"), "{misspelt:?}");
    let both = told_of("- {name: s, duration: 5m, poisson: {perHour: 1}, bursts: {perHour: 1}}");
    assert!(both[0].ends_with("got 2"), "{both:?}");
}

#[test]
fn absurd_sizes_are_refused() {
    let jobs = told_of("- {name: s, duration: 5m, poisson: {perHour: 1e7}}");
    assert!(jobs[0].contains("makes about 2.400e9 jobs"), "{jobs:?}");
    let cron = told_of("- {name: s, duration: 5m, cron: {schedule: '* * * * *', jobs: 10000}}");
    assert!(cron[0].contains("makes about 1.44"), "{cron:?}");
    let hand = told_of("- {name: s, duration: 5m, jobs: [{at: 0s, count: 4000000000}]}");
    assert!(hand[0].contains("count: must be a whole number from 1"), "{hand:?}");
    let long = told(&with("", "").replace("10d", "99999d"));
    assert_eq!(long, ["x.yaml:1: end: must be at most 3660 days, got \"99999d\""]);
}

#[test]
fn a_rare_schedule_with_many_jobs_is_not_absurd() {
    ok(
        "end: 3650d\npools: [{name: a}]\narrivals:\n- {name: s, duration: 5m, cron: {schedule: 0 0 \
        1 * *, jobs: 1000}}\n",
    );
}

#[test]
fn nothing_that_is_written_out_falls_off_the_end() {
    let jobs = told_of("- {name: s, duration: 5m, jobs: [{at: 1h, count: 11, every: 1d}]}");
    assert_eq!(
        jobs,
        ["x.yaml:5: arrivals[0].jobs[0]: the last of them comes at 241h, but the run ends at 240h"]
    );
    let rollout = told_of("- {name: s, rollout: {at: 1h, replicas: 4, batch: 2, every: 10d}}");
    assert!(rollout[0].contains("the last batch comes at 241h"), "{rollout:?}");
    ok(
        "end: 10d\npools: [{name: a}]\narrivals:\n- {name: s, duration: 5m, jobs: [{at: 1h, count: \
        10, every: 1d}]}\n",
    );
}

#[test]
fn names_are_unique() {
    let text = format!("end: 1d\npools:\n- name: a\n- name: a\narrivals:\n{SOURCE}\n{SOURCE}\n");
    assert_eq!(
        told(&text),
        [
            "x.yaml:4: pools[1]: pool \"a\" is there twice; rename one",
            "x.yaml:7: arrivals[1]: source \"s\" is there twice; rename one",
        ]
    );
}

#[test]
fn schedules_and_time_zones_are_checked() {
    let lines = told_of(
        "- name: s\n  duration: 5m\n  cron:\n    schedule: 0 25 * * *\n    timeZone: Europe/Berln",
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("x.yaml:8: arrivals[0].cron.schedule: must be a cron schedule"));
    assert!(lines[1].starts_with("x.yaml:9: arrivals[0].cron.timeZone: must be a time zone"));
}

#[test]
fn windows_of_supply_do_not_overlap() {
    let windows = "supply: [{from: 1h, until: 5h, nodes: 1}], stockOuts: [{from: 4h, until: 6h}]";
    let lines = told(&with("", &format!(", {windows}")));
    assert_eq!(lines, ["x.yaml:3: pools[0].stockOuts[0]: overlaps the window that ends at 5h"]);
}

#[test]
fn a_window_of_scoring_is_a_share_or_an_instant_before_the_end() {
    assert_eq!(ok(&with("scoreFrom: 40%\n", "")).score_from, Timestamp::from_secs(4 * 86_400));
    assert_eq!(ok(&with("scoreFrom: 0s\n", "")).score_from, Timestamp::ZERO);
    let lines = told(&with("scoreFrom: 10d\n", ""));
    assert_eq!(lines, ["x.yaml:2: scoreFrom: must be before the end (240h), got \"10d\""]);
}

#[test]
fn a_policy_torn_apart_at_its_comma_is_told_to_be_quoted() {
    let lines = told(&with("policies: [reactive, watermark:0.2,idle=30m]\n", ""));
    assert!(lines[0].contains("\"idle\" is a knob, not a policy"), "{lines:?}");
    let scenario = ok(&with("policies: [reactive, 'watermark:0.2,idle=30m', headroom:2]\n", ""));
    assert_eq!(scenario.policies, ["reactive", "watermark:0.2,idle=30m", "headroom:2"]);
}

#[test]
fn expectations_name_policies_of_the_file() {
    let head = "policies: [reactive, watermark:0.2]\nexpect:\n\
                - {policy: [reactive, watermark:0.2], metric: node_hours, above: 1, atMost: 9}\n\
                - {policy: watermark:0.2, metric: node_hours, within: [1.1, 0.2], times: reactive}\n";
    let expect = ok(&with(head, "")).expect;
    assert_eq!(expect.len(), 5);
    let last = Expectation {
        line: 5,
        policy: Some("watermark:0.2".to_owned()),
        metric: "node_hours".to_owned(),
        comparison: Comparison::Within(0.2),
        value: 1.1,
        times: Some(Reference {
            policy: Some("reactive".to_owned()),
            metric: "node_hours".to_owned(),
        }),
    };
    assert_eq!(expect[4], last);
    let wrong = head.replace("times: reactive", "times: reactiv");
    let lines = told(&with(&wrong, ""));
    assert_eq!(
        lines,
        ["x.yaml:5: expect[1].times: policy \"reactiv\" is not in this file; \
          did you mean \"reactive\"?"]
    );
    let nothing = told(&with("expect: [{metric: trace.gpu_jobs}]\n", ""));
    assert!(nothing[0].contains("needs one of below, above"), "{nothing:?}");
}

#[test]
fn the_order_of_sizes_in_the_file_does_not_matter() {
    let text = |sizes: &str| {
        with("", "").replace("duration: 5m", &format!("duration: 5m, sizes: {sizes}"))
    };
    assert_eq!(ok(&text("{8: 1, 1: 2}")).arrivals, ok(&text("{1: 2, 8: 1}")).arrivals);
}

proptest::proptest! {
    #[test]
    fn no_slip_of_the_keyboard_makes_it_panic(place in 0usize..2000, with in "[ -~\n]{0,3}") {
        let text = include_str!("../../../simulations/stock-out-with-fallback-pool.yaml");
        let place = place % text.len();
        let torn = format!("{}{with}{}", &text[..place], &text[place + 1..]);
        if let Err(problems) = parse("x.yaml", &torn) {
            proptest::prop_assert!(!problems.problems.is_empty());
        }
    }
}

#[test]
fn signals_of_a_pool_are_read_or_refused() {
    let signals = ", signals: [{name: queue, gpusPerUnit: 2.5, leadSeconds: 720, maxGpus: 64, \
        series: [[0s, 0], [10m, 4], [1h, null]]}, {name: users, file: users.csv}]";
    let scenario = ok(&with("", signals));
    let at = Timestamp::from_secs;
    let queue = Signal {
        name: "queue".into(),
        gpus_per_unit: 2.5,
        lead: Some(Millis::from_mins(12)),
        max_gpus: Some(64),
        values: SignalValues::Series(vec![
            (at(0), Some(0.0)),
            (at(600), Some(4.0)),
            (at(3600), None),
        ]),
    };
    let users = Signal {
        name: "users".into(),
        gpus_per_unit: 1.0,
        lead: None,
        max_gpus: None,
        values: SignalValues::File("users.csv".into()),
    };
    assert_eq!(scenario.signals, [[queue, users]]);
    let told_of = |signals: &str| told(&with("", &format!(", signals: {signals}"))).join("\n");
    for (signals, says) in [
        ("[{name: a}]", "needs exactly one of series, file; got 0"),
        ("[{name: a, series: [[0s, 1]], file: b.csv}]", "needs exactly one of series, file; got 2"),
        ("[{name: a, series: []}]", "needs at least one step"),
        ("[{name: a, series: [[10m, 1], [5m, 2]]}]", "must come after the one before it"),
        ("[{name: a, series: [[10m]]}]", "must be an instant and a value"),
        ("[{name: a, series: [[10m, -1]]}]", "a number from 0 to"),
        ("[{name: a, file: x}, {name: a, file: y}]", "signal \"a\" is there twice"),
        ("[{name: a, file: x, gpusPerUnits: 2}]", "unknown key"),
    ] {
        let found = told_of(signals);
        assert!(found.contains(says), "{signals}: {found}");
    }
}
