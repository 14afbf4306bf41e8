//! `kill -9` between any two writes: the next controller buys nothing twice and leaves nothing behind.

use crate::{
    stage::{Setup, Stage, Told, needs_embedded, stays, until},
    traces::{foreign_writes, is_foreign, left, line, until_clean},
};
use prewarm::{
    embedded_api::Verdict,
    fleet::autoscaler::AutoscalerSettings,
    live::gpu_pool::{Actuation, Backend, Mode, ScaleDownBy},
};
use std::sync::{Arc, Mutex};

/// Which writes the first controller got through, and whether it is dead.
#[derive(Default)]
struct Victim {
    written: Vec<String>,
    is_dead: bool,
}

/// The connection of user `first` breaks for good right after its `last`-th write (0: before any).
fn kill_after(stage: &Stage, last: usize) -> Arc<Mutex<Victim>> {
    let victim = Arc::new(Mutex::new(Victim { is_dead: last == 0, ..Victim::default() }));
    let shared = Arc::clone(&victim);
    stage.faults().before_write(move |write| {
        let mut victim = shared.lock().unwrap();
        if write.user != "first" {
            return Verdict::Allow;
        }
        if victim.is_dead {
            return Verdict::BreakBefore;
        }
        if is_foreign(write) {
            victim.written.push(line(write));
            victim.is_dead = victim.written.len() == last;
        }
        if victim.is_dead { Verdict::BreakAfter } else { Verdict::Allow }
    });
    victim
}

/// How nodes come and go.
#[derive(Clone, Copy)]
enum Scene {
    /// Both are our doing.
    Alone,
    /// We raise replicas, cluster-autoscaler removes.
    Beside,
    /// We raise a floor, cluster-autoscaler does the rest.
    Floor,
}

impl Scene {
    fn setup(self) -> Setup {
        let enforces_min = matches!(self, Self::Floor);
        let flags = AutoscalerSettings { enforces_min, ..AutoscalerSettings::default() };
        let (speed, autoscaler) = match self {
            Self::Alone => (120.0, None),
            Self::Beside | Self::Floor => (60.0, Some(flags)),
        };
        Setup { autoscaler, ..Setup::fast(speed).with_users(&["first", "second"]) }
    }

    fn actuation(self) -> Actuation {
        let (backend, scale_down) = match self {
            Self::Alone => (Backend::Replicas, ScaleDownBy::Prewarm),
            Self::Beside => (Backend::Replicas, ScaleDownBy::ClusterAutoscaler),
            Self::Floor => (Backend::Floor, ScaleDownBy::ClusterAutoscaler),
        };
        Actuation { backend, scale_down }
    }
}

/// Two pods come, run for ten minutes and end; the first controller dies after `last` writes. False: it
/// had nothing more to write, so nobody died.
async fn survives(scene: Scene, last: usize) -> bool {
    let stage = Stage::start(scene.setup()).await;
    stage.deployment("a100", (0, 5)).await;
    stage.fast_pool("a100", Mode::Active, scene.actuation()).await;
    let victim = kill_after(&stage, last);
    let first = stage.controller_as("first", Told::default());
    for pod in ["train-0", "train-1"] {
        stage.pod(pod, 8, Some(600.0)).await;
    }
    let is_over = || async {
        stage.phase("train-0").await == "gone"
            && stage.phase("train-1").await == "gone"
            && stage.replicas("a100").await == 0
            && stage.nodes().await.is_empty()
    };
    let is_dead = || victim.lock().unwrap().is_dead;
    until(&format!("kill after {last}: it dies, or all is over"), 120, || async {
        is_dead() || is_over().await
    })
    .await;
    let died = is_dead();
    first.kill();
    let second = stage.controller_as("second", Told::default());
    let written = victim.lock().unwrap().written.clone();
    let begun = std::time::Instant::now();
    while !is_over().await {
        assert!(
            begun.elapsed().as_secs() < 60,
            "kill after {last} ({:?}): still {} replicas, {:?}, {:?}; the second wrote {:?}",
            written,
            stage.replicas("a100").await,
            [stage.phase("train-0").await, stage.phase("train-1").await],
            left(&stage).await,
            foreign_writes(&stage, "second"),
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    until_clean(&stage, 40).await;
    let written = written.join("; ");
    println!("kill after {last}: {written}");
    assert_eq!(stage.fleet.machines_made(), 2, "kill after {last}: {written}");
    stays("nothing more is bought", 1, || async { stage.replicas("a100").await == 0 }).await;
    second.stop().await;
    stage.end().await;
    died
}

/// Four writes at a time; beyond the last one there is nobody to kill.
async fn survives_all(scene: Scene) {
    let mut deaths = 0;
    for begin in (0..).step_by(4) {
        let tasks: Vec<_> =
            (begin..begin + 4).map(|last| tokio::spawn(survives(scene, last))).collect();
        let mut all_died = true;
        for task in tasks {
            let died = task.await.unwrap();
            deaths += u32::from(died);
            all_died &= died;
        }
        if !all_died {
            break;
        }
    }
    // Before, between and after the writes of a purchase; a floor may need two writes in all.
    let least = if matches!(scene, Scene::Floor) { 3 } else { 4 };
    assert!(deaths >= least, "{deaths} deaths");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_any_write_of_a_life_from_purchase_to_removal_nothing_is_bought_twice_or_left()
{
    if needs_embedded("kills between writes") {
        survives_all(Scene::Alone).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_any_write_beside_cluster_autoscaler_nothing_is_bought_twice_or_left() {
    if needs_embedded("kills between writes") {
        survives_all(Scene::Beside).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_any_write_of_a_floor_nothing_is_bought_twice_or_left() {
    if needs_embedded("kills between writes") {
        survives_all(Scene::Floor).await;
    }
}
