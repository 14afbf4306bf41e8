//! What the controller serves and keeps: health, metrics, decisions, the decision log.

use crate::stage::{Setup, Stage, Told, until};
use prewarm::{decision_log, live::gpu_pool::Mode};
use std::{fs, io::BufReader};

/// What dashboards and alerts are made of.
const PROMISED: [&str; 18] = [
    "prewarm_build_info",
    "prewarm_decisions_total",
    "prewarm_decide_seconds_bucket",
    "prewarm_writes_total",
    "prewarm_reaction_seconds_bucket",
    "prewarm_events_total",
    "prewarm_watch_events_total",
    "prewarm_snapshot_age_seconds",
    "prewarm_leader",
    "prewarm_findings",
    "prewarm_nodes_ready",
    "prewarm_nodes_requested",
    "prewarm_nodes_target",
    "prewarm_credit_node_hours",
    "prewarm_lead_time_seconds",
    "prewarm_unmet_gpu_seconds_total",
    "prewarm_idle_gpu_seconds_total",
    "prewarm_trusted",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_metrics_decisions_and_a_log_that_is_decided_again_the_same() {
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("a100", (0, 5)).await;
    stage.pool("a100", Mode::Active).await;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("logs");
    let told = Told { decision_log: Some(folder.clone()), ..Told::default() };
    let controller = stage.controller(told);
    until("it is ready", 15, || async { controller.get("/readyz").await.0 == 200 }).await;
    assert_eq!(controller.get("/livez").await, (200, "ok\n".to_owned()));
    stage.pod("train", 8, None).await;
    until("the pod runs", 30, || async { stage.phase("train").await == "Running" }).await;

    let (code, metrics) = controller.get("/metrics").await;
    assert_eq!(code, 200);
    for name in PROMISED {
        let is_there = |line: &str| line.starts_with(name);
        assert!(metrics.lines().any(is_there), "{name} is missing:\n{metrics}");
    }
    assert!(metrics.contains("prewarm_reaction_seconds_count 1"), "{metrics}");
    assert!(
        metrics.contains("prewarm_writes_total{kind=\"scale\",result=\"done\"} 1"),
        "{metrics}"
    );

    let (code, text) = controller.get("/debug/decisions").await;
    assert_eq!(code, 200);
    let decisions: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let wrote = |one: &&serde_json::Value| !one["writes"].as_array().unwrap().is_empty();
    let raise = decisions.iter().find(wrote).expect("the raise is among the last decisions");
    assert!(raise["id"].as_str().unwrap().contains('-'), "{raise}");
    controller.stop().await;

    let mut looks = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let file = BufReader::new(fs::File::open(file.unwrap().path()).unwrap());
        let replayed = decision_log::replay(file, &|_| true).unwrap();
        assert_eq!(replayed.changed, 0, "{:?}", replayed.differences);
        looks += replayed.looks;
    }
    println!("{looks} decisions decided again");
    assert!(looks > 5);
    stage.end().await;
}
