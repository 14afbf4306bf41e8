//! Order of news, lists that begin anew, and rubbish.

use super::*;
use proptest::prelude::*;

/// Two pools, nodes on all steps of their way, pods of all kinds.
fn cluster() -> Vec<Event> {
    let mut events: Vec<Event> = vec![
        deployment("a", 4).into(),
        deployment("b", 1).into(),
        gpu_pool("a", json!({"mode": "Active"})),
    ];
    for (name, of, gpus) in [("n1", "a", 8), ("n2", "a", 4), ("n3", "a", 0), ("m1", "b", 8)] {
        events.push(machine(name, of, 0).into());
        events.push(node(name, 300, gpus).into());
    }
    let mut stranger = node("cpu", 300, 0);
    (stranger.meta.labels, stranger.capacity) = (Strings::new(), amounts(0));
    events.push(stranger.into());
    for (number, gpus) in [1_u64, 2, 4, 8, 1, 9].into_iter().enumerate() {
        events.push(pod(&format!("w{number}"), 350 + number as i64, gpus).into());
    }
    for (name, place, gpus) in
        [("r1", "n1", 3), ("r2", "m1", 8), ("web1", "n1", 0), ("web2", "cpu", 0)]
    {
        events.push(bound(pod(name, 310, gpus), place, 311).into());
    }
    events
}

/// What the engine and people see, as text.
fn picture(look: &Look) -> String {
    format!("{look:#?}")
}

#[test]
fn a_list_that_does_not_have_something_any_more_drops_it() {
    let mut index = index(cluster());
    let before = look(&mut index, 400);
    assert_eq!(before.pools[0].nodes.len(), 4, "three with a Machine, one without");
    for kind in [Kind::Pod, Kind::Node, Kind::Machine, Kind::MachineDeployment, Kind::GpuPool] {
        index.apply(Event::Restarted(kind));
        let again = look(&mut index, 405);
        assert_eq!(again.pools.len(), 2, "until the list is complete the old picture stands");
    }
    for event in [
        Event::from(deployment("a", 1)),
        machine("n1", "a", 0).into(),
        node("n1", 300, 8).into(),
        pod("w0", 350, 1).into(),
    ] {
        index.apply(event);
    }
    tell(&mut index, Kind::ALL.map(Event::Synced));
    let after = look(&mut index, 410);
    assert_eq!((after.pools.len(), after.pools[0].nodes.len()), (1, 1));
    assert!(!after.pools[0].exists, "its GpuPool is gone; it is found all the same");
    assert_eq!(after.waiting.len(), 1);
    assert_eq!(after.snapshot.pools[0].nodes[0].free.gpus, 8);
    // w1, w2, w3, w4 (w5 fits nowhere and never counted) and r1; the pool of r2 is gone.
    let told: usize = after.snapshot.pools.iter().map(|pool| pool.finishes.len()).sum();
    assert_eq!(told, 5);
}

#[test]
fn pods_that_have_nothing_to_do_with_gpus_are_not_kept() {
    let mut index = index(cluster());
    look(&mut index, 400);
    let kept: Vec<&str> = index.pods.others.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(kept, ["ml/web1"]);
    index.apply(bound(pod("web3", 401, 0), "cpu", 401).into());
    assert_eq!(
        index.pods.others.values().count(),
        1,
        "from the first look on not even for a moment"
    );
    index.apply(bound(pod("web4", 401, 0), "unheard-of", 401).into());
    assert_eq!(index.pods.others.values().count(), 2, "its node may be one with GPUs");
}

#[test]
fn a_resource_that_no_pool_has_is_none_of_our_business() {
    let mut odd = pod("odd", 1, 0);
    odd.requests.extended = [("example.com/fpga".to_owned(), 1)].into();
    let mut index = index(one_node().into_iter().chain([odd.into()]));
    let told = look(&mut index, 400);
    assert!(told.waiting.is_empty() && told.findings.is_empty());
    assert_eq!(index.pods.tracked.values().count(), 0);
}

#[test]
fn numbering_goes_on_after_a_restart() {
    let mut first = index(cluster());
    let before = look(&mut first, 400);
    let settings = IndexSettings { seeds: first.seeds(), ..IndexSettings::default() };
    let mut second = Index::new(settings);
    tell(&mut second, cluster());
    let after = look(&mut second, 500);
    assert_eq!(before.snapshot.shapes, after.snapshot.shapes);
    let jobs = |look: &Look| -> Vec<u32> {
        look.snapshot.pools.iter().flat_map(|pool| &pool.arrivals).map(|one| one.job).collect()
    };
    assert!(jobs(&after).iter().all(|job| !jobs(&before).contains(job)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_news_makes_no_difference(events in Just(cluster()).prop_shuffle()) {
        let expected = picture(&look(&mut index(cluster()), 400));
        prop_assert_eq!(picture(&look(&mut index(events), 400)), expected);
    }

    #[test]
    fn rubbish_in_annotations_and_labels_never_panics(
        texts in prop::collection::vec("\\PC{0,40}|-?[0-9]{1,30}|[a-z=,:./]{0,20}", 9),
    ) {
        let text = |place: usize| texts[place].clone();
        let mut odd = deployment("a", 1);
        let prefix = "capacity.cluster-autoscaler.kubernetes.io";
        for (place, name) in ["gpu-count", "gpu-type", "cpu", "memory", "labels", "taints"].iter().enumerate() {
            odd.meta.annotations.insert(format!("{prefix}/{name}"), text(place));
        }
        let max = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size";
        odd.meta.annotations.insert(max.into(), text(6));
        let mut strange = node("n1", 300, u64::MAX);
        strange.capacity = amounts(u64::MAX);
        for key in ["nvidia.com/gpu.count", "nvidia.com/gpu.replicas", "nvidia.com/mig.config.state"] {
            strange.meta.labels.insert(key.into(), text(7));
        }
        strange.meta.annotations.insert("prewarm.dev/hold-until".into(), text(8));
        let class = PriorityClass {
            meta: Meta {
                annotations: strings(&[("prewarm.dev/waiting-cost-ratio", &texts[8])]),
                ..meta("", "high", 0)
            },
            value: i32::MIN,
        };
        let spec = json!({
            "strategy": text(0), "leadTime": {"warmUp": text(1)}, "targetRef": {"name": "a"},
            "schedules": [{"cron": text(2), "timeZone": text(3), "duration": text(4), "nodes": 1}],
        });
        let mut greedy = bound(pod("p", 1, u64::MAX), "n1", 1);
        greedy.requests.cpu_milli = u64::MAX;
        greedy.requests.memory_bytes = u64::MAX;
        let waiting = Pod { node: None, ..greedy.clone() };
        let waiting = Pod { meta: meta("ml", "q", 1), ..waiting };
        let events = [
            Event::from(odd), machine("n1", "a", 0).into(), strange.into(), Event::PriorityClass(class),
            gpu_pool("x", spec), greedy.into(), waiting.into(),
        ];
        let told = look(&mut index(events), 400);
        prop_assert_eq!(told.pools.len(), 1);
        let pool = &told.settings.pools[0].pool;
        prop_assert!((1..=crate::model::MAX_DEVICES).contains(&pool.gpus_per_node));
        prop_assert!(pool.max_nodes.is_some());
        prop_assert!(told.findings.iter().all(|one| one.message.len() < 2000));
    }
}

#[test]
fn pods_that_come_last_are_not_kept_even_before_the_first_look() {
    let mut index = Index::new(IndexSettings::default());
    let (pods, others): (Vec<Event>, Vec<Event>) =
        cluster().into_iter().partition(|event| matches!(event, Event::Pod(_)));
    tell(&mut index, others);
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Pod) {
        index.apply(Event::Synced(kind));
    }
    tell(&mut index, pods);
    index.apply(Event::Synced(Kind::Pod));
    assert_eq!(
        index.pods.others.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
        ["ml/web1"]
    );
    let told = look(&mut index, 400);
    assert_eq!(picture(&told), picture(&look(&mut super::index(cluster()), 400)));
}
