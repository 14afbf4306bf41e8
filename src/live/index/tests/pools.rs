//! Pools: which there are, their limits and settings, and what of them is odd.

use super::*;
use crate::{live::gpu_pool::Mode, model::StageTime};

fn min_max(deployment: &mut MachineDeployment, min: &str, max: &str) {
    let key = |end: &str| format!("cluster.x-k8s.io/cluster-api-autoscaler-node-group-{end}-size");
    deployment.meta.annotations.insert(key("min"), min.into());
    deployment.meta.annotations.insert(key("max"), max.into());
}

fn limits(look: &Look) -> (u32, Option<u32>) {
    let pool = &look.settings.pools[0].pool;
    (pool.min_nodes, pool.max_nodes)
}

#[test]
fn a_node_group_with_gpus_is_a_pool_without_anybodys_doing() {
    let mut plain = deployment("plain", 1);
    plain.meta.annotations.retain(|key, _| !key.starts_with("capacity"));
    let mut by_node = deployment("by-node", 1);
    by_node.meta.annotations.retain(|key, _| !key.starts_with("capacity"));
    let mut by_label = plain.clone();
    by_label.meta =
        Meta { annotations: plain.meta.annotations.clone(), ..meta("demo", "by-label", 0) };
    by_label.template_labels = strings(&[("cluster-api/accelerator", "a100")]);
    let mut unannotated = deployment("unannotated", 1);
    unannotated.meta.annotations.retain(|key, _| key.starts_with("capacity"));
    let events =
        [deployment("declared", 0), plain, by_node, by_label, unannotated].map(Event::from);
    let node_of: [Event; 2] = [machine("n1", "by-node", 0).into(), node("n1", 300, 8).into()];
    let mut index = index(events.into_iter().chain(node_of));
    let told = look(&mut index, 400);
    let names: Vec<&str> = told.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["by-label", "by-node", "declared"]);
    assert!(told.pools.iter().all(|pool| !pool.exists && pool.spec.mode == Mode::Shadow));
    assert_eq!(told.settings.pools[1].pool.gpus_per_node, 8);
    let guesses = told.findings.iter().filter(|one| one.reason == "UnknownGpuCount").count();
    assert_eq!(guesses, 1, "of by-label nothing tells how many");
    index.settings.discovery = false;
    assert!(look(&mut index, 410).pools.is_empty());
}

#[test]
fn a_gpu_pool_takes_the_place_of_what_was_discovered() {
    let spec = json!({
        "targetRef": {"name": "a"}, "mode": "Active", "waitingCostRatio": 50.0,
        "limits": {"minReplicas": 1, "maxReplicas": 20, "maxInFlight": 3, "maxSpeculativeNodes": 2,
                   "speculativeOverheadPercent": 25, "speculativeNodeHours": 4},
        "leadTime": {"provisioning": "90s"}, "strategy": "headroom:2nodes,idle=10m",
    });
    let mut index = index([deployment("a", 0).into(), gpu_pool("mine", spec)]);
    let told = look(&mut index, 0);
    assert_eq!(told.pools.len(), 1);
    let pool = &told.pools[0];
    assert_eq!((pool.name.as_str(), pool.exists, pool.generation), ("mine", true, 3));
    let settings = &told.settings.pools[0];
    assert_eq!(settings.pool.name, "demo/mine");
    assert_eq!(limits(&told), (1, Some(10)), "cluster-autoscaler's 10 is below 20");
    assert!((settings.kappa.default - 50.0).abs() < 1e-12);
    assert_eq!(
        (settings.ledger.rho_permille, settings.ledger.capacity_node_ms),
        (250, 4 * 3_600_000)
    );
    assert_eq!(settings.steps.max_in_flight, Some(3));
    assert_eq!(settings.budgets.max_speculative_nodes, Some(2));
    assert_eq!(settings.pool.lead_time.provisioning, StageTime::fixed(Millis::from_secs(90)));
    let named = crate::strategy::candidates(50.0)[settings.pinned.unwrap()].to_string();
    assert_eq!(named, "headroom:2nodes,idle=10m");
    assert_eq!(told.findings, []);
}

#[test]
fn annotations_that_blind_cluster_autoscaler_freeze_the_pool_and_are_told() {
    for (min, max) in [("5", "2"), ("one", "2"), ("0", "1e3"), ("-1", "2"), ("0", "99999999999")] {
        let mut odd = deployment("a", 3);
        min_max(&mut odd, min, max);
        let told = look(&mut index([odd.into()]), 0);
        assert_eq!(limits(&told), (3, Some(3)), "{min} {max}");
        assert!(told.pools[0].target.as_ref().unwrap().annotation_fault.is_some());
        let said = told.findings.iter().find(|one| one.reason == "BadAnnotation").unwrap();
        assert!(said.message.contains("blinds cluster-autoscaler"), "{}", said.message);
    }
}

#[test]
fn without_a_maximum_no_node_is_added() {
    let mut outside = deployment("a", 3);
    outside.meta.annotations.clear();
    let spec = |limits: Value| gpu_pool("a", json!({"limits": limits}));
    let told = look(&mut index([outside.clone().into(), spec(json!({}))]), 0);
    assert_eq!((limits(&told), reasons(&told).contains(&"NoMaximum")), ((0, Some(3)), true));
    assert_eq!(told.pools[0].target.as_ref().unwrap().autoscaler_limits, None);
    let told = look(&mut index([outside.into(), spec(json!({"maxReplicas": 7}))]), 0);
    assert_eq!(limits(&told), (0, Some(7)));
    let crossed = spec(json!({"minReplicas": 12}));
    let told = look(&mut index([deployment("a", 2).into(), crossed]), 0);
    assert_eq!((limits(&told), reasons(&told)), ((2, Some(2)), vec!["BadSetting"]));
}

#[test]
fn settings_that_cannot_be_are_told_and_left_out() {
    let spec = json!({
        "strategy": "magic", "leadTime": {"warmUp": "2d"},
        "schedules": [
            {"cron": "0 8 * * *", "timeZone": "Mars/Base", "duration": "9h", "nodes": 2},
            {"cron": "* * *", "duration": "9h", "nodes": 2},
            {"cron": "0 8 * * *", "duration": "9", "nodes": 2},
        ],
    });
    let told = look(&mut index([deployment("a", 0).into(), gpu_pool("a", spec)]), 0);
    assert_eq!(reasons(&told), ["BadSetting"; 5]);
    assert_eq!(told.settings.pools[0].pinned, None);
    assert!(told.snapshot.pools[0].scheduled.is_empty());
    let lost = look(&mut index([gpu_pool("a", json!({}))]), 0);
    assert_eq!(reasons(&lost), ["TargetNotFound", "UnknownGpuCount"]);
    assert!(lost.pools[0].target.is_none());
    assert_eq!(limits(&lost), (0, Some(0)));
}

#[test]
fn schedules_follow_the_clock_of_their_zone() {
    // 2026-11-21T07:13:33Z is 08:13:33 in Berlin: today's eight o'clock has begun, the next is tomorrow's.
    let spec = json!({"schedules": [
        {"cron": "0 8 * * *", "timeZone": "Europe/Berlin", "duration": "9h", "nodes": 4},
        {"cron": "0 8 * * *", "duration": "1h30m", "nodes": 2},
    ]});
    let told = look(&mut index([deployment("a", 0).into(), gpu_pool("a", spec)]), 0);
    let starts: Vec<(i64, u32)> = told.snapshot.pools[0]
        .scheduled
        .iter()
        .map(|one| ((one.start - secs(0)).0 / 1000, one.nodes))
        .collect();
    let begun = -(13 * 60 + 33);
    assert_eq!(starts, [(begun, 4), (begun + 3600, 2), (begun + 24 * 3600, 4)]);
}

#[test]
fn costs_of_waiting_come_from_priority_classes() {
    let class = |name: &str, value, ratio: &str| {
        let annotations = strings(&[("prewarm.dev/waiting-cost-ratio", ratio)]);
        Event::PriorityClass(PriorityClass {
            meta: Meta { annotations, ..meta("", name, 0) },
            value,
        })
    };
    let classes =
        [class("a", 10, "50"), class("b", 10, "70"), class("c", -5, "2"), class("d", 7, "dear")];
    let told = look(&mut index(classes.into_iter().chain([deployment("a", 0).into()])), 0);
    assert_eq!(told.settings.pools[0].kappa.by_priority, [(-5, 2.0), (10, 70.0)]);
    assert_eq!(reasons(&told), ["BadAnnotation"]);
}

#[test]
fn a_taint_that_a_pod_does_not_tolerate_keeps_it_from_a_pool() {
    let mut tainted = deployment("a", 0);
    let key = "capacity.cluster-autoscaler.kubernetes.io/taints";
    tainted.meta.annotations.insert(key.into(), "team=red:NoSchedule,x:PreferNoSchedule".into());
    let tolerates = |key: &str, value: &str| crate::model::object::Toleration {
        key: key.into(),
        value: value.into(),
        ..crate::model::object::Toleration::default()
    };
    let red = Pod { tolerations: vec![tolerates("team", "red")], ..pod("red", 1, 1) };
    let blue = Pod { tolerations: vec![tolerates("team", "blue")], ..pod("blue", 2, 1) };
    let events = || [Event::from(tainted.clone()), red.clone().into(), blue.clone().into()];
    let told = look(&mut index(events()), 10);
    let homes: Vec<_> = told.waiting.iter().map(|pod| pod.pool).collect();
    assert_eq!(homes, [Some(0), None]);
    // With a pool beside it that is for all, the shape says so: the engine knows of no taints.
    let told = look(&mut index(events().into_iter().chain([deployment("b", 0).into()])), 10);
    let homes: Vec<_> = told.waiting.iter().map(|pod| pod.pool).collect();
    assert_eq!(homes, [Some(0), Some(1)]);
    let blue = &told.snapshot.shapes[told.snapshot.waiting[1].jobs[0].0 as usize];
    assert_eq!(blue.node_selector, [("prewarm.dev/pool".to_owned(), "demo/b".to_owned())]);
    let accepts =
        |pool: usize| crate::packing::split(blue, &told.settings.pools[pool].pool).is_some();
    assert_eq!((accepts(0), accepts(1)), (false, true));
}

#[test]
fn an_old_machine_set_with_replicas_is_a_rollout() {
    let set = |name: &str, revision, replicas| {
        let deployment = Some("a".to_owned());
        let set = MachineSet {
            meta: meta("demo", name, 0),
            deployment,
            replicas,
            revision: Some(revision),
        };
        Event::MachineSet(Box::new(set))
    };
    let is_rolling = |old: u32| {
        let mut index = index([deployment("a", 2).into(), set("a-1", 1, old), set("a-2", 2, 2)]);
        look(&mut index, 0).pools[0].target.as_ref().unwrap().is_rolling_out
    };
    assert!(is_rolling(1) && !is_rolling(0));
}

#[test]
fn nodes_that_have_other_gpus_than_declared_are_told() {
    let mut wrong = deployment("a", 1);
    let key = "capacity.cluster-autoscaler.kubernetes.io/gpu-count";
    wrong.meta.annotations.insert(key.into(), "4".into());
    let lost = node("stray", 300, 8);
    let events =
        [Event::from(wrong), machine("n1", "a", 0).into(), node("n1", 300, 8).into(), lost.into()];
    let told = look(&mut index(events), 400);
    assert_eq!(reasons(&told), ["NodeOfNoPool", "GpuCountMismatch"]);
}
