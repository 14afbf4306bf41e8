//! Things go wrong: in the API, in the fleet, in the controller itself.

use crate::{
    stage::{Setup, Stage, Told, needs_embedded, stays, until},
    traces::until_clean,
};
use prewarm::{
    embedded_api::Verdict,
    fleet::Fault,
    live::gpu_pool::{Actuation, Backend, Mode, ScaleDownBy},
    time::Millis,
};
use std::{sync::atomic::Ordering, time::Duration};

async fn one_pool(setup: Setup) -> Stage {
    let stage = Stage::start(setup).await;
    stage.deployment("a100", (0, 9)).await;
    stage.pool("a100", Mode::Active).await;
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_conflicts_delays_and_does_not_double() {
    if !needs_embedded("conflicts on order") {
        return;
    }
    let stage = one_pool(Setup::default()).await;
    stage.faults().refuse_every(2, 409, &["machinedeployments"]);
    let controller = stage.controller(Told::default());
    for number in 0..4 {
        stage.pod(&format!("train-{number}"), 8, None).await;
    }
    until("all four nodes are asked for", 20, || async { stage.replicas("a100").await == 4 }).await;
    stays("and no more", 3, || async { stage.replicas("a100").await == 4 }).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_watches_forgotten_history_and_a_pause_of_the_api_lose_nothing() {
    if !needs_embedded("cut watches") {
        return;
    }
    let stage = one_pool(Setup::default()).await;
    let controller = stage.controller(Told::default());
    until("the pool is known", 10, || async { stage.status("a100").await.is_some() }).await;
    stage.faults().compact();
    stage.faults().cut_watches();
    stage.pod("first", 8, None).await;
    until("replicas are raised", 20, || async { stage.replicas("a100").await == 1 }).await;
    stage.faults().down(true);
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.faults().down(false);
    stage.pod("second", 8, None).await;
    until("replicas are raised again", 90, || async { stage.replicas("a100").await == 2 }).await;
    stays("and no more", 3, || async { stage.replicas("a100").await == 2 }).await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_cannot_be_made_is_said_and_its_pod_is_not_forgotten() {
    let stage = one_pool(Setup::default()).await;
    stage.fleet.next_machines_fail([Fault::CreationFails]);
    let controller = stage.controller(Told::default());
    stage.pod("train", 8, None).await;
    until("the pool pauses after the refusal", 30, || async {
        let limited = stage.condition("a100", "Limited").await;
        limited.is_some_and(|(status, _)| status == "True") || stage.replicas("a100").await == 2
    })
    .await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_never_both_act_and_the_second_takes_over_within_fifteen_seconds() {
    let stage = one_pool(Setup::default()).await;
    let told = |name: &str| Told { identity: name.to_owned(), elect: true, ..Told::default() };
    let first = stage.controller(told("first"));
    until("the first leads", 20, || async { stage.status("a100").await.is_some() }).await;
    let second = stage.controller(told("second"));
    first.kill();
    let killed = std::time::Instant::now();
    stage.pod("train", 8, None).await;
    until("the second acts", 25, || async { stage.replicas("a100").await == 1 }).await;
    println!("killed leader to first write of the next: {:?}", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(17), "{:?}", killed.elapsed());
    stays("once", 3, || async { stage.replicas("a100").await == 1 }).await;
    second.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_takes_five_seconds_for_everything_is_slow_and_nothing_else() {
    if !needs_embedded("a slow API") {
        return;
    }
    let stage = Stage::start(Setup::default()).await;
    stage.deployment("a100", (0, 9)).await;
    // With lead times of seconds, nodes that take a minute would be late and replaced.
    stage.fast_pool("a100", Mode::Active, Actuation::default()).await;
    let controller = stage.controller(Told::default());
    until("the pool is known", 10, || async { stage.status("a100").await.is_some() }).await;
    stage.pods(3, None).await;
    stage.faults().delay(Duration::from_secs(5));
    until("all three nodes are asked for", 60, || async { stage.replicas("a100").await == 3 })
        .await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(controller.get("/livez").await.0, 200);
    stage.faults().delay(Duration::ZERO);
    until("all run", 40, || async { stage.running(3).await == 3 }).await;
    assert_eq!((stage.replicas("a100").await, stage.fleet.machines_made()), (3, 3));
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_too_many_requests_delays_and_does_not_double() {
    if !needs_embedded("throttling") {
        return;
    }
    let stage = one_pool(Setup::default()).await;
    let controller = stage.controller(Told::default());
    until("the pool is known", 10, || async { stage.status("a100").await.is_some() }).await;
    stage.pods(3, None).await;
    for _ in 0..5 {
        stage.faults().too_many_requests(20);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    stage.faults().too_many_requests(0);
    until("all three nodes are asked for", 30, || async { stage.replicas("a100").await == 3 })
        .await;
    until("all run", 40, || async { stage.running(3).await == 3 }).await;
    assert_eq!((stage.replicas("a100").await, stage.fleet.machines_made()), (3, 3));
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_two_minutes_without_an_api_it_goes_on_where_it_was() {
    if !needs_embedded("an API that is down") {
        return;
    }
    let stage = Stage::start(Setup::fast(20.0)).await;
    stage.deployment("a100", (0, 9)).await;
    stage.fast_pool("a100", Mode::Active, Actuation::default()).await;
    let controller = stage.controller(Told::default());
    until("the pool is known", 10, || async { stage.status("a100").await.is_some() }).await;
    stage.pods(2, None).await;
    until("two nodes are asked for", 10, || async { stage.replicas("a100").await == 2 }).await;
    stage.faults().down(true);
    stage.clock.sleep(Millis::from_mins(2)).await;
    assert_eq!(controller.get("/livez").await.0, 200, "the API's fault is no reason to restart");
    stage.faults().down(false);
    stage.pod("late", 8, None).await;
    until("the late pod is served too", 60, || async { stage.phase("late").await == "Running" })
        .await;
    assert_eq!((stage.replicas("a100").await, stage.fleet.machines_made()), (3, 3));
    let trusted = || async { stage.condition("a100", "Trusted").await };
    until("its view is trusted again", 60, || async {
        trusted().await.is_some_and(|(status, _)| status == "True")
    })
    .await;
    controller.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_is_not_repeated() {
    if !needs_embedded("broken connections") {
        return;
    }
    let stage = one_pool(Setup::default()).await;
    let mut lost = 0;
    stage.faults().before_write(move |write| {
        let is_raise = write.subresource == "scale";
        lost += u32::from(is_raise);
        if is_raise && lost <= 2 { Verdict::BreakAfter } else { Verdict::Allow }
    });
    let controller = stage.controller(Told::default());
    stage.pods(2, None).await;
    until("both run", 40, || async { stage.running(2).await == 2 }).await;
    stays("and no more", 3, || async { stage.replicas("a100").await == 2 }).await;
    assert_eq!(stage.fleet.machines_made(), 2);
    controller.stop().await;
    stage.end().await;
}

/// An hour forth while a node boots, two hours back before the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_of_the_cluster_that_jump_buy_nothing_twice_and_forget_nobody() {
    if !needs_embedded("the clock of the embedded API") {
        return;
    }
    let stage = Stage::start(Setup::fast(60.0)).await;
    stage.deployment("a100", (0, 9)).await;
    let actuation = Actuation { backend: Backend::Replicas, scale_down: ScaleDownBy::Prewarm };
    stage.fast_pool("a100", Mode::Active, actuation).await;
    let controller = stage.controller(Told::default());
    let hour = Millis::from_hours(1).0;
    for (pod, jump) in [("train-0", hour), ("train-1", -2 * hour)] {
        if jump < 0 {
            stage.cluster_ahead.fetch_add(jump, Ordering::SeqCst);
        }
        stage.pod(pod, 8, Some(300.0)).await;
        until("its node is asked for", 10, || async { stage.replicas("a100").await == 1 }).await;
        if jump > 0 {
            stage.cluster_ahead.fetch_add(jump, Ordering::SeqCst);
        }
        until("it has run", 20, || async { stage.phase(pod).await == "Succeeded" }).await;
        until("its node goes", 60, || async { stage.replicas("a100").await == 0 }).await;
    }
    until_clean(&stage, 40).await;
    assert_eq!(stage.fleet.machines_made(), 2);
    controller.stop().await;
    stage.end().await;
}
