//! Signals raise capacity before there are pods, and what is wrong with them is told.

use crate::{
    http::{Reply, Server},
    stage::{Setup, Stage, Told, needs_embedded, stays, until},
};
use prewarm::{
    live::gpu_pool::{GpuPoolSpec, Mode, SignalQuery, SignalStatus},
    prometheus::{Client, Settings},
};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// What the server says: a number, or one of these.
const FAILS: i64 = -1;
const SEVERAL: i64 = -2;

/// Speaks the API of Prometheus as far as signals need it; without a past.
fn server(says: &Arc<AtomicI64>) -> Server {
    let says = Arc::clone(says);
    Server::start(move |request| {
        let vector = |values: &[i64]| {
            let series = values.iter().enumerate().map(|(nth, value)| {
                format!(r#"{{"metric":{{"n":"{nth}"}},"value":[1,"{value}"]}}"#)
            });
            let series = series.collect::<Vec<_>>().join(",");
            let data = format!(r#"{{"resultType":"vector","result":[{series}]}}"#);
            Reply::json(&format!(r#"{{"status":"success","data":{data}}}"#))
        };
        if request.line.contains("query_range") {
            return Reply::json(
                r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
            );
        }
        match says.load(Ordering::SeqCst) {
            FAILS => Reply::status(
                400,
                r#"{"status":"error","errorType":"bad_data","error":"1:5: parse error"}"#,
            ),
            SEVERAL => vector(&[1, 2]),
            number => vector(&[number]),
        }
    })
}

fn told(server: &Server) -> Told {
    let client = Client::new(Settings::new(&server.url()).unwrap()).unwrap();
    Told { signals: Some(Arc::new(client)), ..Told::default() }
}

fn queue() -> SignalQuery {
    SignalQuery {
        name: "queue".to_owned(),
        promql: "sum(jobs_queued)".to_owned(),
        gpus_per_unit: 8.0,
        lead_seconds: 0,
        max_gpus: Some(24),
    }
}

fn spec(times: (&str, &str)) -> GpuPoolSpec {
    let strategy = "reactive,10m".to_owned();
    let mut spec = GpuPoolSpec {
        mode: Mode::Active,
        strategy,
        signals: vec![queue()],
        ..GpuPoolSpec::defaults()
    };
    spec.lead_time.provisioning = Some(times.0.to_owned());
    spec.lead_time.warm_up = Some(times.1.to_owned());
    spec
}

async fn signal(stage: &Stage) -> SignalStatus {
    let status = stage.status("a100").await.unwrap_or_default();
    status.signals.into_iter().next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_come_before_the_pods_that_a_queue_tells_of() {
    let says = Arc::new(AtomicI64::new(0));
    let server = server(&says);
    let stage = Stage::start(Setup::fast(20.0)).await;
    stage.deployment("a100", (0, 9)).await;
    stage.pool_with("a100", spec(("90s", "90s"))).await;
    let controller = stage.controller(told(&server));
    // On a real cluster, where a minute is a minute, all of this takes minutes.
    until("zero is read", 60, || async { signal(&stage).await.value == Some(0.0) }).await;
    stays("nobody queues", 1, || async { stage.replicas("a100").await == 0 }).await;
    says.store(2, Ordering::SeqCst);
    until("two nodes are asked for", 60, || async { stage.replicas("a100").await == 2 }).await;
    let known = signal(&stage).await;
    assert_eq!((known.state.as_str(), known.value), ("Trial", Some(2.0)), "{known:?}");
    let ready = || async { stage.status("a100").await.is_some_and(|status| status.ready == 2) };
    until("both have their GPUs", 300, ready).await;
    stage.pods(2, None).await;
    let begun = std::time::Instant::now();
    until("both run at once", 20, || async { stage.running(2).await == 2 }).await;
    println!("pods created to running: {:?}", begun.elapsed());
    // What the signal tells of is there.
    stays("no third node", 3, || async { stage.replicas("a100").await == 2 }).await;
    assert_eq!(stage.fleet.machines_made(), 2);
    let (read, _) = stage.condition("a100", "SignalsRead").await.unwrap();
    assert_eq!(read, "True");
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_never_asks_for_more_than_it_may() {
    let says = Arc::new(AtomicI64::new(1_000_000));
    let server = server(&says);
    let stage = Stage::start(Setup::fast(20.0)).await;
    stage.deployment("a100", (0, 9)).await;
    stage.pool_with("a100", spec(("90s", "90s"))).await;
    let controller = stage.controller(told(&server));
    until("24 GPUs are asked for", 60, || async { stage.replicas("a100").await == 3 }).await;
    stays("and no more", 3, || async { stage.replicas("a100").await == 3 }).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_signal_is_told_and_pods_that_wait_are_served() {
    let says = Arc::new(AtomicI64::new(FAILS));
    let server = server(&says);
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("a100", (0, 9)).await;
    stage.pool_with("a100", spec(("2s", "2s"))).await;
    let controller = stage.controller(told(&server));
    until("it is told", 30, || async { signal(&stage).await.message.contains("parse error") })
        .await;
    let known = signal(&stage).await;
    assert_eq!((known.state.as_str(), known.value), ("Unread", None));
    let (read, reason) = stage.condition("a100", "SignalsRead").await.unwrap();
    assert_eq!((read.as_str(), reason.as_str()), ("False", "Trouble"));
    // What was never read takes nothing from the trust in the rest.
    assert_eq!(stage.condition("a100", "Trusted").await.unwrap().0, "True");
    stage.pods(1, None).await;
    until("the pod runs", 30, || async { stage.running(1).await == 1 }).await;
    says.store(SEVERAL, Ordering::SeqCst);
    until("two series are told", 40, || async {
        signal(&stage).await.message.contains("2 series")
    })
    .await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_prometheus_the_status_says_so() {
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("a100", (0, 9)).await;
    stage.pool_with("a100", spec(("2s", "2s"))).await;
    let controller = stage.controller(Told::default());
    until("it is told", 20, || async { signal(&stage).await.message.contains("--prometheus-url") })
        .await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_grows_old_freezes_and_then_is_left_out() {
    if !needs_embedded("a signal that grows old") {
        return;
    }
    let says = Arc::new(AtomicI64::new(1));
    let server = server(&says);
    let stage = Stage::start(Setup::fast(30.0)).await;
    stage.deployment("a100", (0, 9)).await;
    stage.pool_with("a100", spec(("90s", "90s"))).await;
    let controller = stage.controller(told(&server));
    let trusted = || async { stage.condition("a100", "Trusted").await.unwrap_or_default() };
    until("one node is asked for", 20, || async { stage.replicas("a100").await == 1 }).await;
    assert_eq!(trusted().await.0, "True");
    says.store(FAILS, Ordering::SeqCst);
    // Two minutes are four seconds here.
    until("frozen", 15, || async { trusted().await == ("False".into(), "Freeze".into()) }).await;
    assert_eq!(signal(&stage).await.state, "Stale");
    stays("nothing goes", 2, || async { stage.replicas("a100").await == 1 }).await;
    let reason = || async { trusted().await.1 };
    until("forecasts are left out", 30, || async { reason().await == "NonForecast" }).await;
    assert_eq!(signal(&stage).await.gpus, 0);
    says.store(1, Ordering::SeqCst);
    until("trusted again", 10, || async { trusted().await.0 == "True" }).await;
    controller.stop().await;
    stage.end().await;
}
