//! `prewarm release`: what a killed controller left is taken back.

use crate::{
    stage::{Setup, Stage, Told, needs_embedded, until},
    traces::{everything_left, foreign_writes, held},
};
use prewarm::{
    embedded_api::Denied,
    fleet::NodeTimes,
    live::gpu_pool::{GpuPool, Mode},
    time::Millis,
};
use std::process::{Command, Output};

/// Three nodes are held, and the controller that held them was killed.
async fn after_a_kill(denied: &[Denied]) -> Stage {
    let times = NodeTimes { warm_up: Millis::from_mins(10), ..Setup::default().times };
    let mut setup = Setup { times, ..Setup::default() }.with_users(&["controller", "person"]);
    setup.denied.insert("person".to_owned(), denied.to_vec());
    let stage = Stage::start(setup).await;
    stage.deployment("a100", (0, 5)).await;
    stage.pool("a100", Mode::Active).await;
    let controller = stage.controller_as("controller", Told::default());
    stage.pods(3, None).await;
    until("three nodes are held", 20, || async { held(&stage).await == 3 }).await;
    controller.kill();
    stage
}

async fn prewarm_release(stage: &Stage, more: &'static [&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, stage.api.as_ref().unwrap().kubeconfig("person-token")).unwrap();
    let namespace = stage.own.clone();
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_prewarm"))
            .args(["release", "--namespace", &namespace, "--kubeconfig"])
            .arg(&kubeconfig)
            .args(more)
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    drop(folder);
    output
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_tells_and_a_run_takes_everything_back() {
    if !needs_embedded("users of its own") {
        return;
    }
    let stage = after_a_kill(&[]).await;
    let told = prewarm_release(&stage, &["--dry-run"]).await;
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    assert!(
        lines(&told).iter().filter(|line| line.contains("let cluster-autoscaler have")).count()
            == 3
    );
    assert_eq!(foreign_writes(&stage, "person"), Vec::<String>::new());
    assert_eq!(held(&stage).await, 3);

    let done = prewarm_release(&stage, &[]).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let would: Vec<String> = lines(&done).iter().map(|line| format!("would: {line}")).collect();
    assert_eq!(would, lines(&told), "what was told is what is done");
    assert_eq!(everything_left(&stage).await, Vec::<String>::new());
    assert_eq!(stage.replicas("a100").await, 3, "nodes stay");

    let again = prewarm_release(&stage, &[]).await;
    assert_eq!(lines(&again), ["nothing of Prewarm was found"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_pools_and_their_definition_it_finds_everything_all_the_same() {
    if !needs_embedded("users of its own") {
        return;
    }
    let stage = after_a_kill(&[]).await;
    stage.pools().delete("a100", &Default::default()).await.unwrap();
    let definitions: kube::Api<kube::api::DynamicObject> =
        kube::Api::all_with(stage.client.clone(), &prewarm::fleet::crds::definitions());
    let name = <GpuPool as kube::CustomResourceExt>::crd_name();
    definitions.delete(name, &Default::default()).await.unwrap();
    let done = prewarm_release(&stage, &[]).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(everything_left(&stage).await, Vec::<String>::new());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_taken_back_is_listed_with_the_missing_right() {
    if !needs_embedded("denied rights") {
        return;
    }
    let stage = after_a_kill(&[Denied::new("patch", "nodes")]).await;
    let done = prewarm_release(&stage, &[]).await;
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(complaint.contains("left: let cluster-autoscaler have node"), "{complaint}");
    assert!(complaint.contains("patch nodes"), "{complaint}");
    stage.end().await;
}
