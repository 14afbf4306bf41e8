//! A history whose truth is known, read back from the real Prometheus.
//!
//! The history (15 days, 2,892 visible pods, with the traps of real clusters) lies in the folder that
//! `PREWARM_FIXTURES` names; without it, or without `prometheus` and `promtool`, a test says so and does nothing.
#![cfg(feature = "prometheus")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "measures, and says what is skipped"
)]
#![allow(clippy::float_cmp, clippy::match_bool, reason = "counts as floats; tables of cases")]

#[path = "support/prometheus.rs"]
mod prometheus;

use prewarm::{
    history::{
        Facts, GpuMetric, PodLife, Scrapes, Sight, Window, actual, demand_gpu_hours, guess,
        lead_samples, lost_pods, node_lives, pod_lives, recover,
    },
    prometheus::{Client, Reading, Settings, Survey, Wanted, read, survey},
    promql::Series,
    time::{Millis, Timestamp},
};
use serde_json::Value;

struct Known {
    client: Client,
    expected: Value,
    window: Window,
    survey: Survey,
    facts: Facts,
    scrapes: Scrapes,
}

async fn known(url: &str) -> Known {
    let client = Client::new(Settings::new(url).unwrap()).unwrap();
    let text = std::fs::read_to_string(prometheus::fixtures().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let secs = |name: &str| Timestamp::from_secs(expected[name].as_i64().unwrap());
    let window = Window { from: secs("start"), until: secs("end") };
    let survey = survey(&client, &Wanted::default(), window).await.unwrap();
    let piece = Millis::from_hours(6);
    let reading = Reading { source: &survey.source, window, piece, store: None };
    let (facts, remarks) = read(&client, reading, &|_, _| true).await.unwrap();
    assert!(remarks.is_empty(), "{remarks:?}");
    let text = Sight::Scraped.text(&survey.source);
    let interval = survey.source.interval;
    let looks = client.range(&text, window.from, window.until, interval).await.unwrap();
    let scrapes = Scrapes::new(&looks.data.into_series(), interval);
    Known { client, expected, window, survey, facts, scrapes }
}

#[track_caller]
fn near(what: &str, found: f64, wanted: &Value, share: f64) {
    let wanted = wanted.as_f64().unwrap();
    println!("{what}: {found:.4}, truth {wanted:.4} ({:+.2} %)", (found / wanted - 1.0) * 100.0);
    assert!((found - wanted).abs() <= share * wanted, "{what}: {found}, but {wanted}");
}

fn hours(span: Millis) -> f64 {
    span.as_hours()
}

#[tokio::test]
async fn the_truth_is_recovered_within_one_per_cent() {
    let Some(server) = prometheus::with_recorded_history() else { return };
    let known = known(&server.url).await;
    let (expected, window) = (&known.expected, known.window);
    assert_eq!(known.survey.source.interval, Millis::from_secs(240));
    assert_eq!(known.survey.covered, Some(window));
    assert_eq!(known.scrapes.holes().len(), 1);
    let pods = pod_lives(&known.facts, &known.scrapes);
    let nodes = node_lives(&known.facts, &known.scrapes, window);

    near("pods", pods.len() as f64, &expected["visible"]["pods"], 0.0);
    let waits: Vec<f64> =
        pods.iter().filter_map(|pod| Some((pod.scheduled? - pod.created?).as_secs_f64())).collect();
    let reader = &expected["scraped"];
    near("pods with a node", waits.len() as f64, &reader["pods_with_scheduled_time"], 0.0);
    let mean = waits.iter().sum::<f64>() / waits.len() as f64;
    near("mean wait", mean, &reader["mean_wait_seconds_of_these"], 0.000_01);

    // Of all that a scrape saw, started and finished: what they ran, the lost ends estimated.
    let ran = |pod: &PodLife| {
        let begin = pod.started.or(pod.scheduled)?;
        Some(hours((pod.ended()? - begin).max(Millis::ZERO)) * f64::from(pod.gpus))
    };
    let gpu_hours: f64 = pods.iter().filter_map(ran).sum();
    near("GPU-hours", gpu_hours, &expected["visible"]["gpu_hours_finished"], 0.01);
    let needed: f64 = pods
        .iter()
        .filter_map(|pod| Some(ran(pod)? / f64::from(pod.gpus) * f64::from(pod.need)))
        .sum();
    near(
        "GPU-hours with init containers",
        needed,
        &expected["visible"]["gpu_hours_finished_charging_init_need"],
        0.01,
    );
    let failed = pods.iter().filter(|pod| pod.failed).count();
    assert!(failed > 0);

    let (low, high) = lost_pods(&pods, &known.scrapes);
    let invisible = expected["invisible_pods"].as_u64().unwrap();
    println!("lost: {low} to {high}, truth {invisible}");
    assert!((low..=high).contains(&invisible));

    let leads = lead_samples(&nodes, &pods, known.scrapes.interval);
    let mean = |samples: &[Millis]| {
        samples.iter().map(|span| span.as_secs_f64()).sum::<f64>() / samples.len() as f64
    };
    let truth = &expected["burst_nodes"];
    let registered_to_gpu = truth["mean_register_to_ready_s"].as_f64().unwrap()
        + truth["mean_ready_to_gpu_s"].as_f64().unwrap();
    near(
        "registered to GPUs",
        mean(&leads.ready) + mean(&leads.warm_up),
        &registered_to_gpu.into(),
        0.05,
    );
    let asked = leads.boot[leads.boot.len() / 2].as_secs_f64() + registered_to_gpu;
    near("asked for to GPUs", asked, &truth["mean_asked_to_gpu_s"], 0.05);

    // The same demand, seen from above: every scrape counts for the time to the next.
    let text = Sight::Demand.text(&known.survey.source);
    let step = known.survey.source.interval;
    let seen = known.client.range(&text, window.from + step, window.until, step).await.unwrap();
    let seen = seen.data.into_series();
    let gpus: f64 = seen.iter().flat_map(Series::finite).map(|point| point.value).sum();
    let from_pods = demand_gpu_hours(&pods, window);
    near("demand", from_pods, &(gpus * step.as_hours()).into(), 0.02);

    let rules = guess(&nodes);
    assert_eq!(rules.len(), 1);
    assert_eq!((rules[0].name.as_str(), rules[0].gpus), ("a100", 8));
    let recovered = recover(&pods, &nodes, &rules, window, known.scrapes.interval);
    let pool = &recovered.pools[0];
    assert_eq!((pool.min_nodes, pool.max_nodes), (3, Some(8)));
    // Those that gave up, and those that were placed and gone between two scrapes.
    let visible = |name: &str| expected["visible"][name].as_u64().unwrap();
    let unseen = visible("scheduled") - reader["pods_with_scheduled_time"].as_u64().unwrap();
    assert_eq!(recovered.given_up, visible("never_scheduled_cancelled") + unseen);
    let happened = actual(&recovered, Timestamp::ZERO, Timestamp::ZERO + window.span());
    let waits = &happened.waits_ms;
    let wait = waits.iter().sum::<i64>() as f64 / 1000.0 / waits.len() as f64;
    println!(
        "actual: {} node-hours, mean wait {wait:.2} s, {} starts",
        happened.node_hours, happened.node_starts
    );
    let days: f64 = happened.days.iter().map(|day| day.waiting_gpu_hours).sum();
    assert!((days - happened.waiting_gpu_hours).abs() < 1e-6);
}

/// The figures of the whole cluster at instants whose truth is known; there is none while nobody scraped.
#[tokio::test]
async fn the_cluster_is_seen_as_it_was() {
    let Some(server) = prometheus::with_recorded_history() else { return };
    let known = known(&server.url).await;
    let source = &known.survey.source;
    assert_eq!(source.metric, GpuMetric::KubeStateMetrics);
    let instants = known.expected["at_scrape_time"].as_object().unwrap();
    assert_eq!(instants.len(), 8);
    for (at, truth) in instants {
        if truth["hole"] == true {
            continue;
        }
        let at = Timestamp::from_secs(at.parse().unwrap());
        let sum = async |sight: Sight| {
            let answer = known.client.instant(&sight.text(source), at).await.unwrap();
            answer.data.into_series().iter().filter_map(Series::last).sum::<f64>()
        };
        let (pending, demand) = (sum(Sight::Pending).await, sum(Sight::Demand).await);
        assert_eq!(pending, truth["pending_gpus_not_scheduled"].as_f64().unwrap(), "{at:?}");
        assert_eq!(demand, truth["pending_or_running_gpus"].as_f64().unwrap(), "{at:?}");
        assert_eq!(sum(Sight::Allocated).await, demand - pending, "{at:?}");
        assert_eq!(
            sum(Sight::Capacity).await,
            truth["allocatable_gpus"].as_f64().unwrap(),
            "{at:?}"
        );
        let warming = sum(Sight::WithoutDriver).await;
        assert_eq!(warming, truth["nodes_ready_without_gpu"].as_f64().unwrap(), "{at:?}");
    }
}

/// A controller that starts at the end of the history knows its jobs.
#[cfg(feature = "live")]
#[tokio::test]
async fn a_new_memory_begins_with_the_past() {
    use prewarm::{
        engine::{Memory, Settings as EngineSettings},
        live::past::{PastSource, recalled},
        model::Pool,
    };
    let Some(server) = prometheus::with_recorded_history() else { return };
    let client = Client::new(Settings::new(&server.url).unwrap()).unwrap();
    let source = PastSource {
        client: std::sync::Arc::new(client),
        wanted: Wanted::default(),
        since: Millis::from_hours(5 * 24),
    };
    let now = Timestamp::from_secs(1_792_108_800);
    let past = recalled(&source, now).await.unwrap();
    // 2,892 pods in 15 days, two of these five days of a weekend.
    assert!((700..1200).contains(&past.jobs()), "{}", past.jobs());
    // 165 nodes in the 15 days, the fewest at weekends.
    assert!((20..70).contains(&past.nodes()), "{}", past.nodes());
    let pool = |name: &str, gpus, accelerator: &str| {
        let label = ("cluster-api/accelerator".to_owned(), accelerator.to_owned());
        Pool { labels: vec![label], ..Pool::new(name, gpus) }
    };
    let pools = [pool("other", 8, "h100"), pool("small", 4, "a100"), pool("ml/a100", 8, "a100")];
    let settings = EngineSettings::new(pools, 20.0);
    let mut memory = Memory::new(&settings);
    assert_eq!(past.tell(&mut memory, &settings), 1);
    let mut other = Memory::new(&settings);
    assert_ne!(memory.keep().unwrap(), other.keep().unwrap());
    // What was recalled is kept like everything that was learned.
    other = Memory::restore(&memory.keep().unwrap(), &settings).unwrap();
    assert_eq!(memory.keep().unwrap(), other.keep().unwrap());

    let nowhere = Client::new(Settings::new("http://127.0.0.1:9").unwrap()).unwrap();
    let nowhere = PastSource { client: std::sync::Arc::new(nowhere), ..source };
    assert!(recalled(&nowhere, now).await.is_none(), "a warning, and no stop");
}
