//! Signals from the real Prometheus: examples that it accepts, readings, and the past of a new one.
#![cfg(feature = "live")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, one that is skipped says so, and all read the clock"
)]

#[path = "support/http.rs"]
mod http;
#[path = "support/prometheus.rs"]
mod prometheus;

use http::{Reply, Server};
use prewarm::{
    live::{
        clock::Clock,
        gpu_pool::GpuPool,
        signals::{self, Answered, PAST, PAST_EVERY, SignalKey, Signals},
    },
    model::ReadValue,
    prometheus::{Client, QueryError, Settings},
    time::Millis,
};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

fn client(url: &str) -> Arc<Client> {
    Arc::new(Client::new(Settings::new(url).unwrap()).unwrap())
}

/// Asks for one signal.
fn asking(url: &str, promql: &str, stop: &CancellationToken) -> Signals {
    let signals = signals::start(client(url), Clock::system(), stop.clone());
    signals.ask([(key(), promql.to_owned())].into());
    signals
}

fn key() -> SignalKey {
    SignalKey::new("gpu/a100", "queue")
}

/// What is known once it is as wanted.
async fn until(signals: &mut Signals, is_so: impl Fn(&Answered) -> bool) -> Answered {
    let begun = Instant::now();
    loop {
        if let Some(known) = signals.known().get(&key())
            && is_so(known)
        {
            return known.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "still {:?}", signals.known());
        tokio::time::timeout(Duration::from_millis(200), signals.changed()).await.ok();
    }
}

fn examples() -> Vec<(PathBuf, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/signals");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let value = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, value)
    };
    files.into_iter().map(read).collect()
}

/// Every field of the first is in the second.
fn is_within(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| is_within(value, found))),
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted.iter().zip(found).all(|(wanted, found)| is_within(wanted, found))
        }
        (Value::Number(wanted), Value::Number(found)) => wanted.as_f64() == found.as_f64(),
        _ => wanted == found,
    }
}

#[tokio::test]
async fn every_example_is_a_pool_and_every_query_one_that_prometheus_takes() {
    let all = examples();
    let names: Vec<_> =
        all.iter().map(|(path, _)| path.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["airflow", "jupyterhub", "keda", "kueue", "vllm"]);
    let mut queries = Vec::new();
    for (path, example) in &all {
        let pool: GpuPool = serde_json::from_value(example.clone()).unwrap();
        let known = serde_json::to_value(&pool).unwrap();
        assert!(is_within(example, &known), "{path:?}: a field is not known");
        queries.extend(pool.spec.signals.into_iter().map(|signal| signal.promql));
    }
    let Some(server) = prometheus::with_history(|out| writeln!(out, "up 1 1760000000\n# EOF"))
    else {
        return;
    };
    let client = client(&server.url);
    let now = Clock::system().now();
    for query in queries {
        let answer = client.instant(&query, now).await.unwrap_or_else(|e| panic!("{query}: {e}"));
        let number = signals::number(answer);
        assert_ne!(number.value, ReadValue::Absurd, "{query}");
    }
    let refused = client.instant("sum(", now).await.unwrap_err();
    assert!(matches!(refused, QueryError::Refused { status: 400, .. }), "{refused}");
}

#[tokio::test]
async fn a_new_signal_is_read_a_week_back() {
    let now = Clock::system().now();
    let first = (now - Millis::from_hours(5 * 24)).0 / 60_000 * 60;
    let hole = 600..700;
    let minutes = 5 * 24 * 60 - 30;
    let Some(server) = prometheus::with_history(|out| {
        writeln!(out, "# TYPE jobs gauge")?;
        for minute in (0..minutes).filter(|minute| !hole.contains(minute)) {
            writeln!(out, "jobs {} {}", minute % 7, first + minute * 60)?;
        }
        writeln!(out, "# EOF")
    }) else {
        return;
    };
    let stop = CancellationToken::new();
    let mut signals = asking(&server.url, "jobs", &stop);
    let known = until(&mut signals, |known| known.trouble.is_some()).await;
    let past = known.past.unwrap();
    assert_eq!((past.every, past.values.len()), (PAST_EVERY, (PAST.0 / PAST_EVERY.0) as usize + 1));
    // A value counts for 230 s in this server, so each end and the hole's begin reach further.
    let found = past.values.iter().flatten().count() as i64;
    assert!((minutes - 100..=minutes - 100 + 8).contains(&found), "{found}");
    for (step, value) in past.values.iter().enumerate() {
        let Some(value) = value else { continue };
        let at = past.from + past.every * step as i64;
        let minute = (at.0 / 1000 - first).div_euclid(60);
        let held = (0..4).map(|back| minute - back).filter(|minute| *minute < minutes);
        assert!(held.clone().any(|minute| minute % 7 == *value as i64), "{minute}: {value}");
    }
    // It ended half an hour ago.
    assert!(known.trouble.unwrap().contains("gives nothing"));
    stop.cancel();
}

#[tokio::test]
async fn readings_follow_what_is_scraped_and_grow_old_where_nothing_answers() {
    let queued = Arc::new(AtomicU32::new(3));
    let shown = Arc::clone(&queued);
    let exporter = Server::start(move |_| {
        let body = format!("jobs_queued {}\n", shown.load(Ordering::SeqCst));
        Reply::Full(200, vec![("Content-Type", "text/plain".to_owned())], body.into_bytes())
    });
    let Some(server) = prometheus::scraping(exporter.port) else { return };
    let stop = CancellationToken::new();
    let query = "sum(jobs_queued)";
    // Fifteen seconds are one here; what is asked lies ahead of the scrapes, but within Prometheus' five minutes.
    let signals = signals::start(client(&server.url), Clock::fast(15.0), stop.clone());
    signals.ask([(key(), query.to_owned())].into());
    let mut signals = signals;
    let of = |known: &Answered| known.reading.as_ref().map(|reading| reading.value);
    until(&mut signals, |known| of(known) == Some(ReadValue::Units(3.0))).await;
    queued.store(7, Ordering::SeqCst);
    let before =
        until(&mut signals, |known| of(known) == Some(ReadValue::Units(7.0))).await.reading;
    drop(server);
    let after = until(&mut signals, |known| known.trouble.is_some()).await;
    assert_eq!(after.reading.as_ref().map(|r| r.value), before.as_ref().map(|r| r.value));
    let trouble = after.trouble.unwrap();
    assert!(trouble.contains("no connection"), "{trouble}");
    stop.cancel();
}

#[tokio::test]
async fn another_query_under_the_same_name_forgets_what_the_first_said() {
    let server = Server::start(|request| {
        if request.line.contains("query_range") {
            return Reply::json(
                r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
            );
        }
        let value = if request.field("query").unwrap() == "one" { 1 } else { 2 };
        let data = format!(
            r#"{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{value}"]}}]}}"#
        );
        Reply::json(&format!(r#"{{"status":"success","data":{data}}}"#))
    });
    let stop = CancellationToken::new();
    let mut signals = asking(&server.url(), "one", &stop);
    let of = |known: &Answered| known.reading.as_ref().map(|reading| reading.value);
    let first = until(&mut signals, |known| of(known) == Some(ReadValue::Units(1.0))).await;
    assert_eq!((first.promql.as_str(), first.past), ("one", None));
    signals.ask([(key(), "two".to_owned())].into());
    let second = until(&mut signals, |known| known.promql == "two" && of(known).is_some()).await;
    assert_eq!(of(&second), Some(ReadValue::Units(2.0)));
    stop.cancel();
}
