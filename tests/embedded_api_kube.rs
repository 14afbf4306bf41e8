//! The `kube` client on the embedded API: watchers of both kinds, what is lost and found again, leases, events,
//! faults.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/api.rs"]
mod support;

use futures::StreamExt;
use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::{ConfigMap, Event, Node, ObjectReference, Pod},
        scheduling::v1::PriorityClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    runtime::{WatchStreamExt, reflector, watcher},
};
use prewarm::embedded_api::{EmbeddedApi, Verdict};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use support::started;

fn client(api: &EmbeddedApi) -> Client {
    Client::try_from(Config::new(api.url().parse().unwrap())).unwrap()
}

fn config_map(name: &str) -> ConfigMap {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    ConfigMap { metadata, ..ConfigMap::default() }
}

/// Follows `ConfigMaps` through creation, a cut, forgotten history and deletion.
async fn reflector_keeps_up(config: watcher::Config) {
    let api = started().await;
    let client = client(&api);
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    maps.create(&PostParams::default(), &config_map("a")).await.unwrap();
    let (store, writer) = reflector::store();
    let watched = watcher(maps.clone(), config).default_backoff();
    let stream = reflector(writer, watched);
    let following = tokio::spawn(stream.for_each(|_| std::future::ready(())));
    let holds = async |names: &[&str]| {
        let wanted: BTreeSet<_> = names.iter().map(|name| (*name).to_owned()).collect();
        for _ in 0..400 {
            let found: BTreeSet<_> =
                store.state().iter().filter_map(|map| map.metadata.name.clone()).collect();
            if found == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the reflector does not hold {names:?}");
    };
    holds(&["a"]).await;
    maps.create(&PostParams::default(), &config_map("b")).await.unwrap();
    holds(&["a", "b"]).await;
    api.faults().cut_watches();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &config_map("c")).await.unwrap();
    holds(&["b", "c"]).await;
    // While the API is away things change, and the past is forgotten: only a new list helps.
    api.faults().down(true);
    tokio::time::sleep(Duration::from_millis(100)).await;
    api.faults().down(false);
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    api.faults().compact();
    holds(&["c"]).await;
    following.abort();
    api.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_reflector_on_list_and_watch_keeps_up() {
    reflector_keeps_up(watcher::Config::default()).await;
}

#[tokio::test]
async fn a_reflector_on_streaming_lists_keeps_up() {
    reflector_keeps_up(watcher::Config::default().streaming_lists()).await;
}

#[tokio::test]
async fn a_lease_has_one_holder() {
    let api = started().await;
    let leases: Api<Lease> = Api::namespaced(client(&api), "kube-system");
    let lease = |holder: &str| Lease {
        metadata: ObjectMeta { name: Some("prewarm".into()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        }),
    };
    let reason = |error: kube::Error| match error {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("{other}"),
    };
    let params = PostParams::default();
    let mut first = leases.create(&params, &lease("a")).await.unwrap();
    let refused = leases.create(&params, &lease("b")).await.unwrap_err();
    assert_eq!(reason(refused), (409, "AlreadyExists".to_owned()));
    let second = first.clone();
    first.spec.as_mut().unwrap().lease_transitions = Some(1);
    leases.replace("prewarm", &params, &first).await.unwrap();
    let refused = leases.replace("prewarm", &params, &second).await.unwrap_err();
    assert_eq!(reason(refused), (409, "Conflict".to_owned()));
    api.shutdown().await.unwrap();
}

#[tokio::test]
async fn events_are_found_by_what_they_are_about() {
    let api = started().await;
    let events: Api<Event> = Api::default_namespaced(client(&api));
    for (name, about) in [("e-1", "p-1"), ("e-2", "p-2")] {
        let event = Event {
            metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
            involved_object: ObjectReference {
                kind: Some("Pod".into()),
                name: Some(about.into()),
                namespace: Some("default".into()),
                ..ObjectReference::default()
            },
            reason: Some("NodeOnItsWay".into()),
            ..Event::default()
        };
        events.create(&PostParams::default(), &event).await.unwrap();
    }
    let about = ListParams::default().fields("involvedObject.name=p-2,reason=NodeOnItsWay");
    let found = events.list(&about).await.unwrap();
    let names: Vec<_> = found.iter().filter_map(|event| event.metadata.name.as_deref()).collect();
    assert_eq!(names, ["e-2"]);
    api.shutdown().await.unwrap();
}

#[tokio::test]
async fn faults_are_seen_and_writes_are_recorded() {
    let api = started().await;
    let faults = api.faults();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&api));
    let create = async |name: &str| maps.create(&PostParams::default(), &config_map(name)).await;
    faults.refuse_every(2, 500, &["configmaps"]);
    create("a").await.unwrap();
    assert!(create("b").await.is_err());
    faults.refuse_every(0, 0, &[]);
    let mut left = 1;
    faults.before_write(move |write| {
        left -= 1;
        match (left, write.verb.as_str()) {
            (0, _) => Verdict::Allow,
            (-1, "create") => Verdict::BreakBefore,
            _ => Verdict::BreakAfter,
        }
    });
    create("c").await.unwrap();
    assert!(create("d").await.is_err());
    assert!(create("e").await.is_err());
    let names: BTreeSet<_> = maps
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .into_iter()
        .filter_map(|map| map.metadata.name)
        .collect();
    assert_eq!(names, ["a", "c", "e"].map(str::to_owned).into());
    assert_eq!(faults.writes().len(), 3);
    assert_eq!(
        faults.attempts().iter().map(|(_, code)| *code).collect::<Vec<_>>(),
        [201, 500, 201, 0, 201]
    );
    api.shutdown().await.unwrap();
}

#[tokio::test]
async fn apply_and_strategic_patches_through_the_client() {
    let api = started().await;
    let client = client(&api);
    let nodes: Api<Node> = Api::all(client.clone());
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
        "status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Disk", "status": "False"}]}});
    let node: Node = serde_json::from_value(node).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let patched =
        nodes.patch_status("n", &PatchParams::default(), &Patch::Strategic(&ready)).await.unwrap();
    let conditions = patched.status.unwrap().conditions.unwrap_or_default();
    let seen: Vec<_> = conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect();
    assert_eq!(seen, [("Ready", "True"), ("Disk", "False")]);
    let labels = |labels: serde_json::Value| {
        Patch::Apply(
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": labels}}),
        )
    };
    let by = |manager: &str| PatchParams::apply(manager);
    nodes.patch("n", &by("one"), &labels(json!({"a": "1", "b": "1"}))).await.unwrap();
    nodes.patch("n", &by("two"), &labels(json!({"c": "1"}))).await.unwrap();
    assert!(nodes.patch("n", &by("two"), &labels(json!({"a": "2"}))).await.is_err());
    let left = nodes.patch("n", &by("one"), &labels(json!({"a": "1"}))).await.unwrap();
    let left: Vec<_> = left.metadata.labels.unwrap().into_keys().collect();
    assert_eq!(left, ["a", "c"]);
    let pods: Api<Pod> = Api::default_namespaced(client);
    assert_eq!(pods.list(&ListParams::default().limit(5)).await.unwrap().items.len(), 0);
    api.shutdown().await.unwrap();
}

#[tokio::test]
async fn pages_of_a_list_are_of_one_revision() {
    let api = started().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&api));
    for name in ["a", "b", "d", "e"] {
        maps.create(&PostParams::default(), &config_map(name)).await.unwrap();
    }
    let names = |list: &[ConfigMap]| -> Vec<String> {
        list.iter().filter_map(|map| map.metadata.name.clone()).collect()
    };
    let first = maps.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(names(&first.items), ["a", "b"]);
    maps.delete("e", &DeleteParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &config_map("c")).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    let rest = maps.list(&ListParams::default().limit(5).continue_token(&token)).await.unwrap();
    assert_eq!(names(&rest.items), ["d", "e"]);
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
    assert_eq!(
        names(&maps.list(&ListParams::default()).await.unwrap().items),
        ["a", "b", "c", "d"]
    );
    api.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_watch_that_starts_too_late_is_told_so() {
    let mut options = support::options();
    options.history = 2;
    let api = EmbeddedApi::start(options).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&api));
    let before =
        maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &config_map(name)).await.unwrap();
    }
    let watch = maps.watch(&WatchParams::default(), &before).await.unwrap();
    let first = watch.boxed().next().await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Error(status) if status.code == 410));
    api.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_hook_may_give_orders_and_delays_are_kept() {
    let api = started().await;
    let faults = api.faults();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&api));
    let from_hook = faults.clone();
    faults.before_write(move |_| {
        from_hook.delay(Duration::from_millis(200));
        Verdict::Refuse(403)
    });
    assert!(maps.create(&PostParams::default(), &config_map("a")).await.is_err());
    let quick =
        tokio::time::timeout(Duration::from_millis(50), maps.list(&ListParams::default())).await;
    assert!(quick.is_err(), "an answer before the delay");
    faults.delay(Duration::ZERO);
    assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(faults.writes().is_empty());
    api.shutdown().await.unwrap();
}

#[tokio::test]
async fn pods_get_the_priority_of_their_class() {
    let api = started().await;
    let client = client(&api);
    let classes: Api<PriorityClass> = Api::all(client.clone());
    let class = PriorityClass {
        metadata: ObjectMeta { name: Some("high".into()), ..ObjectMeta::default() },
        value: 1000,
        ..PriorityClass::default()
    };
    classes.create(&PostParams::default(), &class).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client);
    let pod = |class: &str| -> Pod {
        let pod = json!({"metadata": {"generateName": "p-"}, "spec": {"priorityClassName": class,
            "containers": [{"name": "main", "image": "x:1"}]}});
        serde_json::from_value(pod).unwrap()
    };
    let priority = |pod: Pod| pod.spec.and_then(|spec| spec.priority);
    let create = async |class: &str| pods.create(&PostParams::default(), &pod(class)).await;
    assert_eq!(priority(create("high").await.unwrap()), Some(1000));
    assert_eq!(priority(create("system-node-critical").await.unwrap()), Some(2_000_001_000));
    assert_eq!(priority(create("").await.unwrap()), Some(0));
    assert!(matches!(create("none").await, Err(kube::Error::Api(status)) if status.code == 403));
    api.shutdown().await.unwrap();
}
